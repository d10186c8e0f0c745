"""Counts over the whole network for those who watch it: who is due, runs by outcome, problems by kind."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from harvester.catalogue.tables import harvests, members, problems

_UNSETTLED = 100  # of the newest runs: one with a lower number may be seen later than one with a higher


@dataclass(frozen=True, slots=True)
class Tally:
    """Runs by (kind, outcome), `running` now, and problems by code, of all members since the beginning."""

    runs: dict[tuple[str, str], int]
    running: int
    problems: dict[str, int]


class Tallier:
    """Counts each run that has ended once, however often it is asked. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = 0  # runs up to this one are in the counts
        self._runs: Counter[tuple[str, str]] = Counter()
        self._problems: Counter[str] = Counter()

    def count(self, connection: Connection) -> Tally:
        """The counts as the connection sees them."""
        with self._lock:
            newer = harvests.c.id > self._settled
            first_open = connection.scalar(select(func.min(harvests.c.id)).where(newer, harvests.c.outcome.is_(None)))
            last = connection.scalar(select(func.max(harvests.c.id))) or 0
            upto = max(self._settled, min(last - _UNSETTLED, (first_open or last + 1) - 1))
            self._runs += _count_runs(connection, self._settled, upto)
            self._problems += _count_problems(connection, self._settled, upto)
            self._settled = upto
            runs = self._runs + _count_runs(connection, upto, last)
            found = self._problems + _count_problems(connection, upto, last)
        running = select(func.count()).where(harvests.c.id > upto, harvests.c.outcome.is_(None))
        return Tally(dict(runs), connection.scalar(running) or 0, dict(found))


def count_due(connection: Connection, now: int) -> int:
    """How many members are due now, those that are being harvested among them."""
    due = func.coalesce(members.c.next_run, 0) <= now
    query = select(func.count()).where(members.c.paused.is_(False), members.c.removed_at.is_(None), due)
    return connection.scalar(query) or 0


def _count_runs(connection: Connection, after: int, upto: int) -> Counter[tuple[str, str]]:
    these = (harvests.c.id > after, harvests.c.id <= upto, harvests.c.outcome.is_not(None))
    what = (harvests.c.kind, harvests.c.outcome)
    query = select(*what, func.count()).where(*these).group_by(*what)
    return Counter({(kind, outcome): count for kind, outcome, count in connection.execute(query)})


def _count_problems(connection: Connection, after: int, upto: int) -> Counter[str]:
    these = (problems.c.harvest_id > after, problems.c.harvest_id <= upto)
    query = select(problems.c.code, func.count()).where(*these).group_by(problems.c.code)
    return Counter(dict(connection.execute(query).all()))
