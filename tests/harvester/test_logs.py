"""Logs say what happened, and no secret with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from harvester.errors import ArchiveError
from harvester.logs import set_up_logging


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_an_exception_is_logged_without_the_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    def use(password: str) -> None:
        raise ArchiveError("the archive cannot be used")

    set_up_logging(verbose=True)
    try:
        use("s3" + "cr3t")
    except ArchiveError as error:
        structlog.get_logger("x").error("a harvest died", exc_info=error)
    told = capsys.readouterr().err
    assert "the archive cannot be used" in told
    assert "test_logs.py" in told
    assert "s3cr3t" not in told
