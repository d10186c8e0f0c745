"""Logs say what happened, and no secret with it."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from harvester.errors import ArchiveError
from harvester.logs import LogFormat, set_up_logging


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_is_logged_without_the_values_of_variables(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    def use(password: str) -> None:
        raise ArchiveError("the archive cannot be used")

    set_up_logging(verbose=True, log_format=log_format)
    try:
        use("s3" + "cr3t")
    except ArchiveError as error:
        structlog.get_logger("x").error("a harvest died", exc_info=error)
    told = capsys.readouterr().err
    assert "the archive cannot be used" in told
    assert "test_logs.py" in told
    assert "s3cr3t" not in told


def test_each_line_is_one_json_object_with_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(verbose=True, log_format="json")
    log = structlog.get_logger("harvest").bind(member="alfa", harvest=7)
    log.info("claimed\nagain", host="alfa.example", name="Perpustakaan “Alfa”")
    logging.getLogger("web").warning("%s: %s", "archive", "away")
    logging.getLogger("web").info("not told")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("timestamp").endswith("Z")
    about = {"member": "alfa", "harvest": 7, "host": "alfa.example", "name": "Perpustakaan “Alfa”"}
    assert first == {"event": "claimed\nagain", "level": "info", **about}
    assert {name: second[name] for name in ("event", "level", "logger")} == {
        "event": "archive: away",
        "level": "warning",
        "logger": "web",
    }
