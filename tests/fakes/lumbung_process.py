"""`lumbung harvest` as a process that can be told to kill itself at any step. Imports little: it starts often."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Plant:
    """The process kills itself when `step` is reached for the `nth` time, before or after it is done."""

    step: str
    nth: int = 1
    before: bool = False


def run_harvest(home: Path, plant: Plant | None) -> None:
    """This process is `lumbung harvest --json`, and all it prints is in the file `output` of its home."""
    import harvester.harvest
    import web.cli

    output = os.open(home / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"LUMBUNG_HOME": str(home), "LUMBUNG_MAX_WAIT": "0.001"}
    if plant is not None and plant.step == "COMMIT":
        _plant_in_commits(plant)
    elif plant is not None:
        step = getattr(harvester.harvest, plant.step)
        setattr(harvester.harvest, plant.step, _deadly(step, plant))
    sys.argv = ["lumbung", "harvest", "--json"]
    web.cli.main()


def _deadly(step: Callable[..., Any], plant: Plant) -> Callable[..., Any]:
    count = iter(range(1, 10**6))

    def wrapped(*arguments: Any, **named: Any) -> Any:
        fatal = next(count) == plant.nth
        if fatal and plant.before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = step(*arguments, **named)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def _plant_in_commits(plant: Plant) -> None:
    """All of the nth transaction is written, and only its COMMIT is missing."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "commit", _deadly(lambda _connection: None, plant))
