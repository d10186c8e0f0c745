"""What is done now and then for the whole network: one row a job, and one worker at a time for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from harvester.catalogue.database import insert_new
from harvester.catalogue.tables import jobs
from harvester.owners import is_gone

LEASE_SECONDS = 120


class JobState(NamedTuple):
    """When a job was done last, and what was amiss then; None where nothing was."""

    name: str
    last_run: int
    error: str | None


def list_jobs(connection: Connection) -> tuple[JobState, ...]:
    """Every job that was done at least once, by name."""
    query = select(jobs.c.name, jobs.c.last_run, jobs.c.error).where(jobs.c.last_run.is_not(None))
    return tuple(JobState(*row) for row in connection.execute(query.order_by(jobs.c.name)))


def claim_jobs(connection: Connection, names: Iterable[str], owner: str, now: int) -> tuple[str, ...]:
    """Those of these jobs that are due and that nobody does; they are the owner's now. A new one is due at once."""
    wanted = tuple(names)
    known = set(connection.execute(select(jobs.c.name)).scalars())
    for name in sorted(set(wanted) - known):
        connection.execute(insert_new(jobs).values(name=name, next_run=now))
    due = select(jobs).where(jobs.c.name.in_(wanted), jobs.c.next_run <= now)
    # What another worker claims just now is passed over.
    rows = connection.execute(due.with_for_update(skip_locked=True)).all()
    free = {row.name for row in rows if not (row.owner and row.until > now and not is_gone(row.owner))}
    if free:
        mine = update(jobs).where(jobs.c.name.in_(free))
        connection.execute(mine.values(owner=owner, until=now + LEASE_SECONDS))
    return tuple(name for name in wanted if name in free)


def renew_job(connection: Connection, name: str, owner: str, now: int) -> None:
    """The owner is still at the job; nothing happens where it is another's."""
    this = (jobs.c.name == name, jobs.c.owner == owner)
    connection.execute(update(jobs).where(*this).values(until=now + LEASE_SECONDS))


def finish_job(connection: Connection, name: str, owner: str, now: int, *, next_run: int, error: str | None) -> None:
    """The job was done, with `error` amiss, and is due again at `next_run`; nothing where it is another's."""
    this = (jobs.c.name == name, jobs.c.owner == owner)
    values = {"owner": None, "until": None, "last_run": now, "next_run": next_run, "error": error}
    connection.execute(update(jobs).where(*this).values(**values))
