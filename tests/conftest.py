"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real material beside the project; the test is skipped where it is absent."""
    if not _SHARED.is_dir():
        pytest.skip(f"the real material is not here: {_SHARED}")
    return _SHARED
