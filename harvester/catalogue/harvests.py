"""Runs of a member's harvest: begun, counted page by page, and ended with an honest word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from harvester.catalogue.members import Member
from harvester.catalogue.tables import harvests, lists, members, pages, problems
from harvester.errors import HarvestSupersededError

Outcome = Literal["complete", "complete-with-failures", "nothing-new", "incomplete", "failed"]
SUCCESSES: frozenset[str] = frozenset({"complete", "complete-with-failures", "nothing-new"})

SUPERSEDED = "another process has begun to harvest this member, or it was removed; this harvest stops"
KILLED = "the process was stopped before the harvest ended; the next harvest goes on from its last page"


@dataclass(frozen=True, slots=True)
class ListState:
    """One list of a member (one prefix, one set) and how far its present pass has come.

    `watermark` is the `from` of the next pass, None for everything. A pass is unfinished where `token` is
    set; `pass_started` is when its first page was made.
    """

    id: int
    prefix: str
    set_spec: str
    watermark: str | None
    token: str | None
    pass_from: str | None
    pass_started: str | None
    pass_received: int
    pass_size: int | None


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
class Problem:
    """A record of a run that could not be used."""

    identifier: str
    cause: str
    archive_key: str


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A member, its last attempt and its last success, and its live and deleted records."""

    member: Member
    last_attempt: Run | None
    last_success: Run | None
    records: int
    deleted: int


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
    wanted = dict.fromkeys((prefix, set_spec) for prefix in member.prefixes for set_spec in member.sets or ("",))
    rows = connection.execute(select(lists).where(lists.c.member_id == member.id))
    present = {(row.prefix, row.set_spec): row.base_url for row in rows}
    fresh = dict.fromkeys(("watermark", *_PASS), None) | {"pass_received": 0}
    for prefix, set_spec in wanted:
        this = (lists.c.member_id == member.id, lists.c.prefix == prefix, lists.c.set_spec == set_spec)
        if (prefix, set_spec) not in present:
            values = {"member_id": member.id, "prefix": prefix, "set_spec": set_spec}
            connection.execute(insert(lists).values(**values, base_url=member.base_url, **fresh))
        elif full or present[prefix, set_spec] != member.base_url:
            connection.execute(update(lists).where(*this).values(base_url=member.base_url, **fresh))
        connection.execute(update(lists).where(*this).values(harvest_id=harvest_id))
    return harvest_id


_PASS = ("token", "pass_from", "pass_started", "pass_size")


def get_lists(connection: Connection, harvest_id: int) -> tuple[ListState, ...]:
    """The lists that this run owns."""
    columns = [lists.c[name] for name in ListState.__dataclass_fields__]
    query = select(*columns).where(lists.c.harvest_id == harvest_id).order_by(lists.c.id)
    return tuple(ListState(*row) for row in connection.execute(query))


def start_pass(connection: Connection, harvest_id: int, list_id: int, from_: str | None) -> None:
    """The list's pass begins anew at `from_`; what an unfinished one had reached is forgotten."""
    _set_pass(connection, harvest_id, list_id, {"pass_from": from_})


def finish_pass(connection: Connection, harvest_id: int, list_id: int, watermark: str) -> None:
    """The list was proved complete: the watermark moves, and nothing is left to resume."""
    _set_pass(connection, harvest_id, list_id, {"watermark": watermark})


def _set_pass(connection: Connection, harvest_id: int, list_id: int, values: dict[str, str | None]) -> None:
    owned = (lists.c.id == list_id, lists.c.harvest_id == harvest_id)
    blank = dict.fromkeys(_PASS, None) | {"pass_received": 0}
    if not connection.execute(update(lists).where(*owned).values(blank | values)).rowcount:
        raise HarvestSupersededError(SUPERSEDED)


def finish_harvest(
    connection: Connection,
    harvest_id: int,
    *,
    outcome: Outcome,
    error: str | None,
    requests: int,
    size: int,
    now: int,
) -> Run:
    """The run has ended; its row as it stays. One that another process has ended stays as that left it."""
    connection.execute(
        update(harvests)
        .where(harvests.c.id == harvest_id, harvests.c.outcome.is_(None))
        .values(outcome=outcome, error=error, requests=requests, bytes=size, finished_at=now)
    )
    return get_run(connection, harvest_id)


def set_window(connection: Connection, harvest_id: int, from_: str | None, until: str | None) -> None:
    """The run's row says from when on it asked (None: everything) and what moment it is proved to reach."""
    values = {"from_": from_, "until": until}
    this = (harvests.c.id == harvest_id, harvests.c.outcome.is_(None))
    connection.execute(update(harvests).where(*this).values(**values))


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


def list_statuses(connection: Connection) -> tuple[MemberStatus, ...]:
    """Every registered member's status, by name."""
    found = connection.execute(
        select(members).where(members.c.removed_at.is_(None)).order_by(members.c.name, members.c.id)
    )
    return tuple(get_status(connection, Member(**_member_values(row))) for row in found)


def get_status(connection: Connection, member: Member) -> MemberStatus:
    """The member's status."""
    this = harvests.c.member_id == member.id
    newest = select(harvests).where(this).order_by(harvests.c.id.desc()).limit(1)
    attempt = connection.execute(newest).one_or_none()
    success = connection.execute(newest.where(harvests.c.outcome.in_(SUCCESSES))).one_or_none()
    counts = connection.execute(select(members.c.live, members.c.tombstones).where(members.c.id == member.id)).one()
    return MemberStatus(
        member=member,
        last_attempt=_run(attempt) if attempt else None,
        last_success=_run(success) if success else None,
        records=counts.live,
        deleted=counts.tombstones,
    )


def _member_values(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in Member.__dataclass_fields__}
    return values | {"prefixes": tuple(row.prefixes), "sets": tuple(row.sets)}


def _run(row: Any) -> Run:
    return Run(*(getattr(row, name) for name in Run.__dataclass_fields__))
