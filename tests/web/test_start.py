"""A site or a worker whose index is of another version says so at once, and does not start."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harvester.errors import SchemaChangedError
from web.cli import lumbung


@pytest.mark.parametrize("command", [["serve", "--port", "18472"], ["work", "--once"]])
def test_with_an_index_of_another_version_nothing_starts_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "current").write_text("0123456789ab-1")
    error = CliRunner().invoke(lumbung, command).exception
    assert isinstance(error, SchemaChangedError)
    assert "lumbung reindex" in str(error)


def test_a_worker_starts_while_the_search_server_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    monkeypatch.setenv("LUMBUNG_ENGINE", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(lumbung, ["work", "--once", "--quiet"]).exit_code == 0
