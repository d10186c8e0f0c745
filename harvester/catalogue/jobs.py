"""What is done now and then for the whole network: one row a job, and one worker at a time for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, insert, or_, select, update

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
    rows = {row.name: row for row in connection.execute(select(jobs))}
    claimed = []
    for name in names:
        row = rows.get(name)
        if row is None:
            connection.execute(insert(jobs).values(name=name, next_run=now))
        elif row.next_run > now or (row.owner and row.until > now and not is_gone(row.owner)):
            continue
        this = (jobs.c.name == name, or_(jobs.c.owner.is_(None), jobs.c.owner == (row.owner if row else None)))
        mine = update(jobs).where(*this).values(owner=owner, until=now + LEASE_SECONDS)
        if connection.execute(mine).rowcount:
            claimed.append(name)
    return tuple(claimed)


def renew_job(connection: Connection, name: str, owner: str, now: int) -> None:
    """The owner is still at the job; nothing happens where it is another's."""
    this = (jobs.c.name == name, jobs.c.owner == owner)
    connection.execute(update(jobs).where(*this).values(until=now + LEASE_SECONDS))


def finish_job(connection: Connection, name: str, owner: str, now: int, *, next_run: int, error: str | None) -> None:
    """The job was done, with `error` amiss, and is due again at `next_run`; nothing where it is another's."""
    this = (jobs.c.name == name, jobs.c.owner == owner)
    values = {"owner": None, "until": None, "last_run": now, "next_run": next_run, "error": error}
    connection.execute(update(jobs).where(*this).values(**values))
