"""What is known of one member in one value: its runs in full, what is wrong, its quirks, what vanished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, String, and_, case, cast, exists, func, or_, select

from harvester.catalogue.harvests import SUCCESSES, Run
from harvester.catalogue.links import LinkReport, count_dead, find_link_report, list_dead
from harvester.catalogue.tables import (
    forms,
    harvests,
    lists,
    members,
    pages,
    problems,
    quirks,
    records,
    vanished,
)

RUNS = 50  # whose problems are told
_EXAMPLES = 5
_RECENT = 2000  # runs among which the newest that ended are looked for

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RunReport(Run):
    """A run with its requests and its error. `kind` is `harvest` or `reconcile`; `response_date` as the server said."""

    kind: str
    first_url: str | None
    last_url: str | None
    response_date: str | None
    retries: int
    error_url: str | None
    error_key: str | None
    heartbeat: int | None


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """The problems of one code that stand: how many, the newest cause, and some identifiers, newest first."""

    code: str
    count: int
    cause: str
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundProblem:
    """One problem of one run. `url` is the request that showed it; one that does not stand was mended since."""

    id: int
    run: int
    found_at: int
    code: str
    cause: str
    identifier: str
    url: str | None
    stands: bool


@dataclass(frozen=True, slots=True)
class FoundQuirk:
    """What a member's server does against the protocol; `set_by` is `harvester` or `operator`."""

    name: str
    value: str
    found_at: int
    evidence: str
    set_by: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A live record that complete lists did not show: it goes at `due_at`, unless it was kept."""

    identifier: str
    prefix: str
    missed_at: int
    times: int
    due_at: int
    kept_at: int | None


@dataclass(frozen=True, slots=True)
class MemberReport:
    """A registered member as its manager sees it.

    `running` is the run that has not ended; `runs` are newest first, `missing` the first of `missing_count`
    that nobody kept, soonest due first; `links` is the newest daily report of them. Times in seconds since 1970.
    """

    id: int
    slug: str
    name: str
    base_url: str
    prefixes: tuple[str, ...]
    sets: tuple[str, ...]
    records: int
    deleted: int
    paused: bool
    halted: str | None
    rule: str
    window: str | None
    timezone: str
    next_run: int | None
    failures: int
    insecure_until: int | None
    deletion: str | None
    running: RunReport | None
    last_attempt: RunReport | None
    last_success: RunReport | None
    runs: tuple[RunReport, ...]
    problems: tuple[ProblemGroup, ...]
    quirks: tuple[FoundQuirk, ...]
    missing: tuple[Missing, ...]
    missing_count: int
    links: LinkReport | None


_OF_THE_ROW = (
    "id", "slug", "name", "base_url", "paused", "halted", "rule", "window", "timezone", "next_run", "failures",
    "insecure_until", "deletion",
)  # fmt: skip


def find_report(connection: Connection, slug: str, limit: int = RUNS) -> MemberReport | None:
    """All that is known of the registered member of this slug, or None."""
    row = connection.execute(
        select(members).where(members.c.slug == slug, members.c.removed_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    newest = select(harvests).where(harvests.c.member_id == row.id).order_by(harvests.c.id.desc())
    runs = tuple(to_run(found) for found in connection.execute(newest.limit(limit)))
    success = connection.execute(newest.where(harvests.c.outcome.in_(SUCCESSES), _HARVEST).limit(1)).one_or_none()
    of_member = quirks.c.member_id == row.id
    missing, missing_count = _list_missing(connection, row.id)
    return MemberReport(
        **{name: getattr(row, name) for name in _OF_THE_ROW},
        prefixes=tuple(row.prefixes),
        sets=tuple(row.sets),
        records=row.live,
        deleted=row.tombstones,
        running=next((run for run in runs if run.outcome is None), None),
        last_attempt=next((run for run in runs if run.kind == "harvest"), None),
        last_success=to_run(success) if success else None,
        runs=runs,
        problems=(*list_groups(connection, row.id), *_group_dead_links(connection, row.id)),
        quirks=_values(FoundQuirk, connection, select(quirks).where(of_member).order_by(quirks.c.found_at.desc())),
        missing=missing,
        missing_count=missing_count,
        links=find_link_report(connection, row.id),
    )


def list_ended_runs(connection: Connection, limit: int = RUNS) -> tuple[tuple[str, str, RunReport], ...]:
    """The runs of all registered members that ended last, newest first, each with its member's slug and name."""
    recent = select(func.max(harvests.c.id) - _RECENT).scalar_subquery()
    query = (
        select(harvests, members.c.slug, members.c.name)
        .join(members, members.c.id == harvests.c.member_id)
        .where(harvests.c.id > recent, harvests.c.finished_at.is_not(None), members.c.removed_at.is_(None))
        .order_by(harvests.c.finished_at.desc(), harvests.c.id.desc())
        .limit(limit)
    )
    return tuple((row.slug, row.name, to_run(row)) for row in connection.execute(query))


def list_groups(connection: Connection, member_id: int, harvest_id: int | None = None) -> tuple[ProblemGroup, ...]:
    """The member's problems that stand, by code; with `harvest_id`, all of that run. The most frequent come first."""
    found = _problems(member_id).subquery()
    # A record that was refused ten times is one problem; a page or a list is one each time.
    same = case((found.c.identifier == "", cast(found.c.id, String)), else_="=" + found.c.identifier)
    repeat = func.row_number().over(partition_by=(found.c.code, same), order_by=found.c.id.desc())
    wanted = found.c.stands if harvest_id is None else found.c.run == harvest_id
    once = select(found, repeat.label("repeat")).where(wanted).subquery()
    place = func.row_number().over(partition_by=once.c.code, order_by=once.c.id.desc()).label("place")
    number = func.count().over(partition_by=once.c.code).label("number")
    ranked = select(*once.c, place, number).where(once.c.repeat == 1).subquery()
    query = select(ranked).where(ranked.c.place <= _EXAMPLES)
    rows = connection.execute(query.order_by(ranked.c.number.desc(), ranked.c.code, ranked.c.place)).all()
    return tuple(
        ProblemGroup(
            row.code, row.number, row.cause, tuple(o.identifier for o in rows if o.code == row.code and o.identifier)
        )
        for row in rows
        if row.place == 1
    )


def _group_dead_links(connection: Connection, member_id: int) -> tuple[ProblemGroup, ...]:
    some = list_dead(connection, member_id, _EXAMPLES)
    if not some:
        return ()
    identifiers = tuple(link.identifier for link in some)
    return (ProblemGroup("dead-link", count_dead(connection, member_id), some[0].cause, identifiers),)


def list_found_problems(
    connection: Connection, member_id: int, limit: int, before: int | None = None
) -> tuple[FoundProblem, ...]:
    """The problems of the member's newest runs, newest first; of those before the id `before` where one is given."""
    query = _problems(member_id).order_by(problems.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(problems.c.id < before)
    return _values(FoundProblem, connection, query)


def count_found_problems(connection: Connection, member_id: int) -> int:
    """How many problems the member's newest runs have."""
    return int(
        connection.scalar(
            select(func.count()).select_from(problems).where(problems.c.harvest_id.in_(_newest(member_id)))
        )
        or 0
    )


def to_run(row: Row[Any]) -> RunReport:
    """The row of `harvests` as a value."""
    return RunReport(**{name: getattr(row, name) for name in RunReport.__dataclass_fields__})


_HARVEST = harvests.c.kind == "harvest"


def _newest(member_id: int) -> Select[tuple[int]]:
    of_member = harvests.c.member_id == member_id
    return select(harvests.c.id).where(of_member).order_by(harvests.c.id.desc()).limit(RUNS)


def _problems(member_id: int) -> Select[Any]:
    return (
        select(
            problems.c.id,
            problems.c.harvest_id.label("run"),
            func.coalesce(pages.c.fetched_at, harvests.c.finished_at, harvests.c.started_at).label("found_at"),
            problems.c.code,
            problems.c.cause,
            problems.c.identifier,
            func.coalesce(pages.c.url, harvests.c.error_url).label("url"),
            _stands().label("stands"),
        )
        .join(harvests, harvests.c.id == problems.c.harvest_id)
        .outerjoin(pages, pages.c.id == problems.c.page_id)
        .outerjoin(lists, lists.c.id == pages.c.list_id)
        .where(problems.c.harvest_id.in_(_newest(member_id)))
    )


def _stands() -> ColumnElement[bool]:
    """Whether nothing since has shown that the problem of this row is over.

    A record's is over when the record came again in good order, or when everything was listed anew; any
    other when a later run of its kind has ended, which would tell it again.
    """
    later = harvests.alias("later")
    after = and_(later.c.member_id == harvests.c.member_id, later.c.id > harvests.c.id, later.c.kind == harvests.c.kind)
    last_page = select(func.max(pages.c.id)).where(pages.c.harvest_id == problems.c.harvest_id).correlate(problems)
    came_again = exists(
        select(forms.c.record_id)
        .join(records, records.c.id == forms.c.record_id)
        .where(
            records.c.member_id == harvests.c.member_id,
            records.c.identifier == problems.c.identifier,
            forms.c.page_id > func.coalesce(problems.c.page_id, last_page.scalar_subquery()),
            or_(lists.c.prefix.is_(None), forms.c.prefix == lists.c.prefix),
        )
    )
    listed_anew = exists(select(later.c.id).where(after, later.c.from_.is_(None), later.c.outcome.in_(SUCCESSES)))
    ended_since = exists(select(later.c.id).where(after, later.c.outcome.is_not(None)))
    return case((and_(_HARVEST, problems.c.identifier != ""), and_(~came_again, ~listed_anew)), else_=~ended_since)


def _list_missing(connection: Connection, member_id: int, limit: int = 20) -> tuple[tuple[Missing, ...], int]:
    waiting = and_(vanished.c.member_id == member_id, vanished.c.kept_at.is_(None))
    query = (
        select(vanished, records.c.identifier)
        .join(records, records.c.id == vanished.c.record_id)
        .where(waiting)
        .order_by(vanished.c.due_at, vanished.c.record_id)
        .limit(limit)
    )
    count = connection.scalar(select(func.count()).select_from(vanished).where(waiting))
    return _values(Missing, connection, query), int(count or 0)


def _values(kind: type[Value], connection: Connection, query: Select[Any]) -> tuple[Value, ...]:
    """The rows as values of a dataclass whose fields are columns."""
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]  # every kind given is a dataclass
    return tuple(kind(**{name: getattr(row, name) for name in names}) for row in connection.execute(query))
