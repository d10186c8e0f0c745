"""A harvest of many members at once, archived and catalogued, against sickle reading the same and keeping nothing."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.figures import Figure, Report, medians, say
from bench.provider import LATENCY, RECORDS

_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Harvest:
    """One harvest: seconds, seconds of processor time, and MB, all its processes together."""

    records: int
    seconds: float
    processor: float
    memory: float

    @property
    def speed(self) -> float:
        """Records a second."""
        return self.records / self.seconds


def measure(*, quick: bool) -> Report:
    """Records a second of both, and the memory of ours at one and at four times the size."""
    members, pages, rounds = (16, 5, 1) if quick else (50, 20, 3)
    with provider(members, pages * _GROWTH) as port:
        harvests: dict[str, list[Harvest]] = {"lumbung": [], "sickle": []}

        def speed(harvester: str) -> float:
            harvests[harvester].append(harvest(harvester, port, members, pages))
            say([f"  {harvester}: {harvests[harvester][-1].speed:,.0f} records/s"])
            return harvests[harvester][-1].speed

        ours, sickles = medians(rounds, lambda: speed("lumbung"), lambda: speed("sickle"))
        large = harvest("lumbung", port, members, pages * _GROWTH)
    answers = members * pages
    total = answers * RECORDS
    assert {run.records for runs in harvests.values() for run in runs} == {total}
    memory = max(run.memory for run in harvests["lumbung"])
    return Report(
        f"{members} members on addresses of their own, {pages} pages of {RECORDS} made records each, "
        f"{LATENCY * 1000:.0f} ms latency. Ours: `harvest_members` with archive (fsync) and catalogue (SQLite, "
        f"synchronous=FULL). Peer: `sickle` in 16 threads, each record's identifier, datestamp and metadata read, "
        f"nothing kept. Median of {rounds}, by turns.",
        (
            Figure("Lumbung against sickle", ours / sickles, "x", at_least=1.5),
            Figure("Lumbung", ours, "records/s"),
            Figure("sickle", sickles, "records/s"),
            *(
                Figure(
                    f"{name}: processor time of a page",
                    median(run.processor for run in runs) * 1000 / answers,
                    "ms",
                )
                for name, runs in harvests.items()
            ),
            Figure("peak memory of the harvesting processes", memory, "MB", at_most=200),
            Figure(f"peak memory at {_GROWTH} times as many records", large.memory, "MB", at_most=200),
            Figure("memory per further record", (large.memory - memory) * 1e6 / (large.records - total), "bytes"),
            Figure(f"Lumbung at {_GROWTH} times as many records", large.speed, "records/s"),
        ),
    )


def harvest(harvester: str, port: int, members: int, pages: int) -> Harvest:
    """Everything harvested anew, into a folder that does not stay, or where the environment says."""
    with tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder:
        arguments = (harvester, str(port), str(members), str(pages), folder)
        command = [sys.executable, "-m", "bench.harvester_process", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            memory = 0.0
            while process.poll() is None:
                memory = max(memory, sum(map(_memory, _iter_family(process.pid))))
                time.sleep(0.1)
            assert process.stdout is not None
            line = process.stdout.read()
        assert process.returncode == 0
    return Harvest(**json.loads(line), memory=memory)


def _iter_family(process: int) -> Iterator[int]:
    """The process and those that it started."""
    yield process
    with suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _iter_family(int(child))


def _memory(process: int) -> float:
    """MB of memory, what several processes share counted once for all of them."""
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) / 1000 if found else 0.0
    return 0.0


@contextmanager
def provider(members: int, pages: int) -> Iterator[int]:
    """The port at which the repositories answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.provider", str(port), str(members), str(pages)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", "the repositories did not come up"
            yield port
        finally:
            process.terminate()
