"""What a measurement yields, and how it is written down."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results.md"
_PACKAGES = ("sickle", "lxml", "sqlalchemy", "zstandard", "tantivy", "requests")
_INTRODUCTION = """# Results of `make bench`

Each part is one measurement with its own date, as the last run of `python -m bench [NAME...]` left it. What
counts is the ratio to a peer in the same run; the other figures are of this machine and its load. "Load" is
the system's load average of one minute before the measurement: much above 0.5 means that others were at work.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; one with neither bound is for information."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The bound in words."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    @property
    def verdict(self) -> str:
        """Whether the bound holds."""
        if not self.target:
            return ""
        low = self.at_least is not None and self.value < self.at_least
        high = self.at_most is not None and self.value > self.at_most
        return "**no**" if low or high else "yes"

    @property
    def measured(self) -> str:
        """The value with its unit, to three or more digits."""
        digits = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if abs(self.value) >= limit), 3)
        return f"{self.value:,.{digits}f} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one measurement, and a sentence on what was measured."""

    about: str
    figures: tuple[Figure, ...]


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def medians(rounds: int, *works: Callable[[], float]) -> list[float]:
    """The median of what each returns in so many rounds; in each round all have their turn, so load meets all."""
    found: list[list[float]] = [[] for _ in works]
    for number in range(rounds):
        order = list(enumerate(works))
        for place, work in order if number % 2 else reversed(order):
            found[place].append(work())
    return [median(values) for values in found]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def peak_memory() -> float:
    """The most memory that this process has had resident so far, in MB."""
    # Not getrusage: a child inherits its parent's maximum there.
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) / 1000


def own_memory() -> float:
    """What this process has of its own now, files that are mapped left out, in MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition("RssAnon:")[2].split()[0]) / 1000


def processor_time() -> float:
    """Seconds that this process and its ended children have worked."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def section(name: str, report: Report, load: float, *, quick: bool = False) -> str:
    """The measurement as a part of the results."""
    rows = [("figure", "measured", "target", "holds"), ("---", "---:", "---", "---")]
    rows += [(figure.name, figure.measured, figure.target, figure.verdict) for figure in report.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )
    size = " (quick: small sizes, not a result)" if quick else ""
    return f"## {name}{size}\n{report.about}\n\n{table}\n\n{_circumstances(load)}\n"


def keep(name: str, text: str) -> None:
    """The part of this name in the results is replaced; the others stay."""
    known: dict[str, str] = {}
    if RESULTS.exists():
        for part in re.split(r"^(?=## )", RESULTS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            known[part[3:].split("\n")[0]] = part.rstrip() + "\n"
    known[name] = text
    RESULTS.write_text("\n".join([_INTRODUCTION, *(known[each] for each in sorted(known))]), encoding="utf-8")


def _circumstances(load: float) -> str:
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{os.cpu_count()} x {_processor()}, {platform.system()} {platform.release()}"
    return f"{now}; load {load:.2f}; {machine}; Python {platform.python_version()}, {packages}."


def _processor() -> str:
    with suppress(FileNotFoundError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def say(lines: Iterable[str]) -> None:
    """Progress, on stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)
