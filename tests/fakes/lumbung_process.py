"""`lumbung harvest` and others as processes that can be told to kill themselves at any step, and start in no time.

Run as a program, this loads everything once and then forks one harvest for each line it reads.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

# The modules whose steps may be planted, by command.
_STEPS = {
    "harvest": ("harvester.harvest", "harvester.listing", "harvester.run"),
    "fulltext": ("harvester.fulltext.climb", "harvester.fulltext.run", "harvester.fulltext.keep"),
}


@dataclass(frozen=True, slots=True)
class Plant:
    """The process kills itself when `step` is reached for the `nth` time, before or after it is done."""

    step: str
    nth: int = 1
    before: bool = False


class Harvests:
    """Starts harvests, or runs of another command, one after the other; `with` ends it."""

    def __init__(self, command_name: str = "harvest") -> None:
        command = [sys.executable, __file__, command_name]
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Harvests:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.communicate()

    def start(self, home: Path, catalogue: str, plant: Plant | None, *slugs: str) -> int:
        """The process id of a harvest of these members, or all, into this home, and the catalogue at this URL."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps([str(home), catalogue, plant and asdict(plant), slugs]) + "\n")
        self._program.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """The exit status of the harvest that was started last, negative for a signal."""
        return self._read()

    def _read(self) -> int:
        assert self._program.stdout is not None
        return int(self._program.stdout.readline())


def serve_harvests() -> None:
    """Forks a harvest for each line, tells its process id, waits for it and tells its exit status."""
    of_command = _STEPS[sys.argv[1]]
    for name in (
        *of_command,
        "harvester.side_by_side",
        "harvester.progress",
        "harvester.cli",
        "web.cli",
        "indexer.cli",
    ):
        import_module(name)  # loaded once, for all that are forked

    for line in sys.stdin:
        home, catalogue, plant, slugs = json.loads(line)
        pid = os.fork()
        if not pid:
            run_harvest(Path(home), catalogue, plant and Plant(**plant), slugs)
        _tell(pid)
        _tell(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def run_harvest(home: Path, catalogue: str, plant: Plant | None, slugs: Sequence[str] = ()) -> None:
    """This process is the command with `--json`, and all it prints is in the file `output` of its home."""
    import web.cli
    from harvester.fulltext import run as finding

    output = os.open(home / "output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"LUMBUNG_HOME": str(home), "LUMBUNG_CATALOGUE": catalogue, "LUMBUNG_MAX_WAIT": "0.001"}
    if sys.argv[1] == "fulltext":
        os.environ["LUMBUNG_ALLOW_PRIVATE"] = "1"
    finding.USUAL = replace(finding.USUAL, pause=0.0)
    modules = [import_module(name) for name in _STEPS[sys.argv[1]]]
    if plant is not None and plant.step == "COMMIT":
        _plant_in_commits(plant)
    elif plant is not None:
        module = next(module for module in modules if hasattr(module, plant.step))
        setattr(module, plant.step, _deadly(getattr(module, plant.step), plant))
    sys.argv = ["lumbung", sys.argv[1], "--json", *slugs]
    web.cli.main()
    sys.exit(0)


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


if __name__ == "__main__":
    serve_harvests()
