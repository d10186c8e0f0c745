"""What every end-to-end test may ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installation]:
    """Makes a new, empty installation."""

    def make(**settings: str) -> Installation:
        return Installation(tmp_path_factory.mktemp("lumbung") / "home", settings)

    return make
