"""The commands about vanished records say what waits, let a person decide, and exit as they should."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy

import pytest
from click.testing import CliRunner, Result
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault

from harvester.errors import ConfigError
from web.cli import lumbung

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A command, of an installation with a fresh catalogue."""
    home = tmp_path / "home"
    home.mkdir()
    copy(migrated, home)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUMBUNG_HOME", str(home))
    monkeypatch.setenv("LUMBUNG_MAX_WAIT", "0.001")
    return lambda *arguments: CliRunner().invoke(lumbung, arguments)


@pytest.fixture
def repository(provider: FakeProvider, run: Run) -> FakeRepository:
    """Of a member `a` that was harvested; nine of its thirty records have vanished since."""
    repository = FakeRepository([FakeRecord(f"oai:a:{n:02}") for n in range(30)], page_size=10)
    assert run("members", "add", "a", provider.serve(repository)).exit_code == 0
    assert run("harvest").exit_code == 0
    repository.records = {name: record for name, record in repository.records.items() if name >= "oai:a:09"}
    return repository


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("repository")
def test_a_halted_member_is_told_and_a_person_decides(run: Run) -> None:
    halted = run("reconcile", "--json")
    (told,) = lines(halted)
    reason = "9 of 30 records are not listed any more, which is more than 10 %"
    assert (halted.exit_code, told["outcome"], told["records"]) == (1, "complete-with-failures", 21)
    assert told["halted"] == told["error"] == reason
    waiting = run("members", "pending", "a", "--json")
    assert [row["identifier"] for row in lines(waiting)] == [f"oai:a:{n:02}" for n in range(9)]
    assert {tuple(row) for row in lines(waiting)} == {
        ("id", "identifier", "prefix", "missed_at", "times", "due_at", "kept_at")
    }
    assert f"halted: {reason}" in waiting.stderr
    assert "1 stay" in run("members", "keep", "a", "oai:a:00").stdout
    assert "8 go" in run("members", "approve", "a").stdout
    decided = lines(run("members", "pending", "a", "--json"))
    assert [bool(row["kept_at"]) for row in decided] == [True] + [False] * 8
    assert [str(row["due_at"]) < str(row["missed_at"]) for row in decided] == [False] + [True] * 8
    text = run("members", "pending", "a").stdout.splitlines()
    assert "is kept since 20" in text[0]
    assert text[1].endswith("1 x; goes when missed again")
    done = run("reconcile", "a", "--json")
    assert (done.exit_code, lines(done)[0]["deleted"], lines(done)[0]["halted"]) == (0, 8, None)


def test_a_member_that_cannot_be_compared_is_exit_status_1(run: Run, repository: FakeRepository) -> None:
    repository.fail("ListIdentifiers", *[Fault(body=b"<html>")] * 9)
    result = run("reconcile")
    assert result.exit_code == 1
    assert "failed" in result.stdout


def test_an_unknown_member_or_record_is_named(run: Run, repository: FakeRepository) -> None:
    for command in (["reconcile", "b"], ["members", "pending", "b"], ["members", "keep", "a", "oai:a:20"]):
        assert isinstance(run(*command).exception, ConfigError)
