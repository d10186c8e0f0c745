"""What every test may ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from services.postgresql import catalogue_url, database, migrated, new_catalogue, postgresql

from harvester.logs import ForwardingHandler

__all__ = ["catalogue_url", "database", "migrated", "new_catalogue", "postgresql"]  # fixtures

pytest_plugins = ["services.elasticsearch", "services.s3"]

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real material beside the project; the test is skipped where it is absent."""
    if not _SHARED.is_dir():
        pytest.skip(f"the real material is not here: {_SHARED}")
    return _SHARED


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Commands set up where logs go, and which: to the stderr of their own test."""
    yield
    structlog.reset_defaults()
    for handler in [each for each in logging.root.handlers if isinstance(each, ForwardingHandler)]:
        logging.root.removeHandler(handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On the machine that checks every change, a skipped service test is a failure: services can be had there."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and item.get_closest_marker("service"):
        report.outcome = "failed"
        report.longrepr = f"a service test was skipped in CI: {call.excinfo.value if call.excinfo else report.longrepr}"
    return report
