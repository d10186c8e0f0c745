"""Many members at a glance: counted by state, and listed a page at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, not_, or_, select, true

from harvester.catalogue.findings import RunReport, to_run
from harvester.catalogue.harvests import SUCCESSES
from harvester.catalogue.tables import harvests, members, problems


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One member in a list; `state` is `paused`, `halted`, `never`, `running`, or the last harvest's outcome."""

    slug: str
    name: str
    state: str
    records: int
    deleted: int
    next_run: int | None
    last_attempt: RunReport | None
    last_success: RunReport | None


def count_states(connection: Connection, name: str = "") -> dict[str, int]:
    """How many registered members are in each state that occurs, of those whose name or slug contains `name`."""
    query = select(_STATE.label("state"), func.count()).where(_ALL_REGISTERED, _called(name)).group_by("state")
    return {str(state): int(count) for state, count in connection.execute(query)}


def list_lines(
    connection: Connection, *, name: str = "", state: str = "", limit: int, offset: int = 0
) -> tuple[MemberLine, ...]:
    """So many of the registered members, by name; those that contain `name`, those in the state `state`."""
    query = select(members.c.id).where(_REGISTERED, _called(name)).order_by(members.c.name, members.c.id)
    if state:
        query = query.where(_STATE == state)  # noqa: SIM300 - the column is the one that compares
    return _lines(connection, query.limit(limit).offset(offset))


def list_largest(connection: Connection, limit: int) -> tuple[MemberLine, ...]:
    """The registered members with the most records."""
    query = select(members.c.id).where(_ALL_REGISTERED).order_by(members.c.live.desc(), members.c.name)
    return _lines(connection, query.limit(limit))


def count_members(connection: Connection) -> int:
    """How many members are registered."""
    return int(connection.scalar(select(func.count()).select_from(members).where(_REGISTERED)) or 0)


def find_names(connection: Connection, slugs: Iterable[str]) -> dict[str, str]:
    """The names of those of these that are registered, by slug."""
    query = select(members.c.slug, members.c.name).where(members.c.slug.in_(set(slugs)), _REGISTERED)
    return {row.slug: row.name for row in connection.execute(query)}


def find_silent(connection: Connection, slugs: Iterable[str]) -> dict[str, int]:
    """Those of these members whose server did not answer the newest harvest that ended, and when it was found so
    first."""
    no_answer = exists().where(problems.c.harvest_id == harvests.c.id, problems.c.code.in_(_NO_ANSWER))
    ended = and_(harvests.c.kind == "harvest", harvests.c.outcome.is_not(None))
    heard = _last(harvests.c.outcome.is_not(None), or_(harvests.c.outcome.in_(SUCCESSES), not_(no_answer)))
    query = (
        select(members.c.slug, func.min(harvests.c.started_at))
        .join(harvests, harvests.c.member_id == members.c.id)
        .where(members.c.slug.in_(set(slugs)), ended, harvests.c.id > func.coalesce(heard.scalar_subquery(), 0))
        .group_by(members.c.slug)
    )
    return {str(slug): int(since) for slug, since in connection.execute(query)}


_NO_ANSWER = ("unreachable", "server-error")


def state_of(*, paused: bool, halted: str | None, attempt: RunReport | None) -> str:
    """The state of a member."""
    if paused:
        return "paused"
    if halted:
        return "halted"
    return "never" if attempt is None else attempt.outcome or "running"


def _last(*conditions: ColumnElement[bool]) -> Select[tuple[int]]:
    """The newest harvest of the member of the row around this."""
    of_member = and_(harvests.c.member_id == members.c.id, harvests.c.kind == "harvest", *conditions)
    return select(harvests.c.id).where(of_member).correlate(members).order_by(harvests.c.id.desc()).limit(1)


# The same as `state_of`, for the database to count and to choose by.
_STATE: ColumnElement[str] = case(
    (members.c.paused, "paused"),
    (members.c.halted.is_not(None), "halted"),
    else_=func.coalesce(
        _last().with_only_columns(func.coalesce(harvests.c.outcome, "running")).scalar_subquery(), "never"
    ),
)


_REGISTERED = members.c.removed_at.is_(None)
# The same, for what looks at every member in no order: found by the index of names, each would be a seek of its own.
_ALL_REGISTERED = func.coalesce(members.c.removed_at, 0) == 0


def _called(name: str) -> ColumnElement[bool]:
    """Whether a member's name or slug contains this."""
    if not name:
        return true()
    return or_(members.c.name.icontains(name, autoescape=True), members.c.slug.contains(name.lower(), autoescape=True))


def _lines(connection: Connection, wanted: Select[tuple[int]]) -> tuple[MemberLine, ...]:
    numbers = list(connection.scalars(wanted))
    succeeded = _last(harvests.c.outcome.in_(SUCCESSES)).scalar_subquery()
    query = select(members, _last().scalar_subquery().label("attempt"), succeeded.label("success"))
    rows = {row.id: row for row in connection.execute(query.where(members.c.id.in_(numbers)))}
    ran = {number for row in rows.values() for number in (row.attempt, row.success) if number}
    runs = {row.id: to_run(row) for row in connection.execute(select(harvests).where(harvests.c.id.in_(ran)))}
    return tuple(_line(rows[number], runs) for number in numbers)


def _line(row: Any, runs: dict[int, RunReport]) -> MemberLine:
    attempt = runs.get(row.attempt)
    return MemberLine(
        slug=row.slug,
        name=row.name,
        state=state_of(paused=row.paused, halted=row.halted, attempt=attempt),
        records=row.live,
        deleted=row.tombstones,
        next_run=row.next_run,
        last_attempt=attempt,
        last_success=runs.get(row.success),
    )
