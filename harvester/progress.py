"""What a person sees while members are harvested: one line each, with pages, records and rate."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from harvester.catalogue.members import Member
from harvester.run import Progress


class _Rate(TextColumn):
    """Records a second of this run; kept when the run has ended."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        elapsed = task.finished_time if task.finished and task.finished_time else task.elapsed
        rate = task.completed / elapsed if elapsed else 0.0
        return Text(f"{rate:,.0f} records/s", style="cyan")


class HarvestDisplay:
    """Draws progress on stderr; where that is no terminal, one line every ten seconds a member. Thread-safe."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._console = Console(stderr=True)
        self._output = Console(soft_wrap=True, highlight=False, markup=False)
        self._live = self._console.is_terminal
        self._progress = RichProgress(
            TextColumn("{task.fields[slug]:<24}", style="green"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[pages]:>6} pages {task.completed:>9,.0f} records"),
            _Rate(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
            disable=not self._live,
        )
        self._members = tuple(members)
        self._tasks = {
            member.slug: self._progress.add_task("", total=None, slug=member.slug, pages=0, state="waits", start=False)
            for member in self._members
        }
        self._spoken: dict[str, float] = {}

    def __enter__(self) -> HarvestDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, progress: Progress) -> None:
        """The member's line shows where it is."""
        if not self._live:
            self._speak(progress)
            return
        task = self._tasks[progress.member]
        if not self._progress.tasks[task].started:
            self._progress.start_task(task)
        total: float | None = progress.expected
        if progress.run is not None:
            total = progress.records or 1
        self._progress.update(
            task,
            completed=total if progress.run is not None and not progress.records else progress.records,
            total=total,
            pages=progress.pages,
            state=(progress.run.outcome or "") if progress.run else "harvesting",
        )

    def print(self, line: str) -> None:
        """A line on stdout, clear of the bars."""
        if self._live and self._output.is_terminal:
            self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            self._output.print(line)

    def _speak(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.run is None and now - self._spoken.setdefault(progress.member, now) > 10:
            self._spoken[progress.member] = now
            expected = f" of {progress.expected}" if progress.expected else ""
            self._console.print(f"{progress.member}: {progress.pages} pages, {progress.records}{expected} records")
