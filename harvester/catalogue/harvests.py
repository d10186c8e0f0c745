"""Runs of a member's harvest: begun, counted page by page, and ended with an honest word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from harvester.catalogue.lists import own_lists
from harvester.catalogue.members import Member, member_of
from harvester.catalogue.tables import harvests, members, pages, problems

Outcome = Literal["complete", "complete-with-failures", "nothing-new", "incomplete", "failed"]
SUCCESSES: frozenset[str] = frozenset({"complete", "complete-with-failures", "nothing-new"})

KILLED = "the process was stopped before the harvest ended; the next harvest goes on from its last page"


@dataclass(frozen=True, slots=True)
class Run:
    """One harvest of one member. Times in seconds since 1970; `outcome` is None while it runs."""

    id: int
    started_at: int
    finished_at: int | None
    outcome: Outcome | None
    from_: str | None
    until: str | None
    requests: int
    pages: int
    records: int
    added: int
    changed: int
    unchanged: int
    deleted: int
    failed: int
    bytes: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run leaves for whoever asks how it went: its requests, and where its error can be seen."""

    retries: int = 0
    first_url: str | None = None
    last_url: str | None = None
    response_date: str | None = None
    error_url: str | None = None
    error_key: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A record of a run that could not be used."""

    identifier: str
    cause: str
    archive_key: str


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member, its last attempt and last success, its live and deleted records, and when it is due next.

    `next_run` is None for one that is due as soon as may be.
    """

    member: Member
    last_attempt: Run | None
    last_success: Run | None
    records: int
    deleted: int
    next_run: int | None


def begin_harvest(connection: Connection, member: Member, now: int, *, full: bool = False) -> int:
    """A run is begun and owns the member's lists; its id. Runs that a killed process left open are ended.

    With `full`, every list starts from its beginning.
    """
    connection.execute(
        update(harvests)
        .where(harvests.c.member_id == member.id, harvests.c.outcome.is_(None))
        .values(outcome="incomplete", finished_at=now, error=KILLED)
    )
    result = connection.execute(insert(harvests).values(member_id=member.id, started_at=now))
    assert result.inserted_primary_key is not None  # noqa: S101 - an INSERT of one row always has it
    harvest_id = int(result.inserted_primary_key[0])
    own_lists(connection, member, harvest_id, full=full)
    return harvest_id


def finish_harvest(
    connection: Connection,
    harvest_id: int,
    *,
    outcome: Outcome,
    error: str | None,
    requests: int,
    size: int,
    now: int,
    trace: Trace | None = None,
) -> Run:
    """The run has ended; its row as it stays. One that another process has ended stays as that left it."""
    traces = {} if trace is None else {name: getattr(trace, name) for name in Trace.__dataclass_fields__}
    connection.execute(
        update(harvests)
        .where(harvests.c.id == harvest_id, harvests.c.outcome.is_(None))
        .values(outcome=outcome, error=error, requests=requests, bytes=size, finished_at=now, **traces)
    )
    return get_run(connection, harvest_id)


def set_window(connection: Connection, harvest_id: int, from_: str | None, until: str | None) -> None:
    """The run's row says from when on it asked (None: everything) and what moment it is proved to reach."""
    values = {"from_": from_, "until": until}
    this = (harvests.c.id == harvest_id, harvests.c.outcome.is_(None))
    connection.execute(update(harvests).where(*this).values(**values))


def note_problem(connection: Connection, harvest_id: int, code: str, cause: str, identifier: str = "") -> None:
    """The problem is on record with the run; it is of no single page."""
    connection.execute(insert(problems).values(harvest_id=harvest_id, code=code, cause=cause, identifier=identifier))


def get_run(connection: Connection, harvest_id: int) -> Run:
    """The run of this id."""
    return _run(connection.execute(select(harvests).where(harvests.c.id == harvest_id)).one())


def list_runs(connection: Connection, member: Member, limit: int = 50) -> tuple[Run, ...]:
    """The member's runs, newest first."""
    query = select(harvests).where(harvests.c.member_id == member.id).order_by(harvests.c.id.desc())
    return tuple(_run(row) for row in connection.execute(query.limit(limit)))


def list_problems(connection: Connection, harvest_id: int, limit: int = 1000) -> tuple[Problem, ...]:
    """What could not be used in a run, in the order in which it came."""
    query = (
        select(problems.c.identifier, problems.c.cause, pages.c.archive_key)
        .join(pages, pages.c.id == problems.c.page_id)
        .where(problems.c.harvest_id == harvest_id)
        .order_by(problems.c.id)
        .limit(limit)
    )
    return tuple(Problem(*row) for row in connection.execute(query))


def list_statuses(connection: Connection, limit: int | None = None, offset: int = 0) -> tuple[MemberStatus, ...]:
    """The registered members' statuses, by name: all, or a page of them."""
    by_name = (members.c.name, members.c.id)
    page = select(members.c.id).where(members.c.removed_at.is_(None)).order_by(*by_name).correlate(None)
    page = page.limit(limit).offset(offset) if limit is not None else page
    found = connection.execute(_STATUS.where(members.c.id.in_(page)).order_by(*by_name))
    return tuple(map(_status, found))


def get_status(connection: Connection, member: Member) -> MemberStatus:
    """The member's status."""
    return _status(connection.execute(_STATUS.where(members.c.id == member.id)).one())


_ATTEMPT, _SUCCESS = harvests.alias("attempt"), harvests.alias("success")
_NEWEST = (
    select(harvests.c.id)
    .where(harvests.c.member_id == members.c.id, harvests.c.kind == "harvest")
    .correlate(members)
    .order_by(harvests.c.id.desc())
    .limit(1)
)
_NEWEST_SUCCESS = _NEWEST.where(harvests.c.outcome.in_(SUCCESSES))
_STATUS = (
    select(
        members,
        *(run.c[name].label(f"{run.name}_{name}") for run in (_ATTEMPT, _SUCCESS) for name in Run.__dataclass_fields__),
    )
    .select_from(members)
    .outerjoin(_ATTEMPT, _ATTEMPT.c.id == _NEWEST.scalar_subquery())
    .outerjoin(_SUCCESS, _SUCCESS.c.id == _NEWEST_SUCCESS.scalar_subquery())
)


def _status(row: Any) -> MemberStatus:
    attempt, success = (
        Run(*(getattr(row, f"{run}_{name}") for name in Run.__dataclass_fields__))
        if getattr(row, f"{run}_id") is not None
        else None
        for run in ("attempt", "success")
    )
    return MemberStatus(member_of(row), attempt, success, row.live, row.tombstones, row.next_run)


def _run(row: Any) -> Run:
    return Run(*(getattr(row, name) for name in Run.__dataclass_fields__))
