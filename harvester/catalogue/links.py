"""The landing links of records: when each is checked, how it answered, and which are dead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from harvester.catalogue.tables import link_reports, links, members, records
from harvester.datestamps import DAY as DAY_ONLY
from harvester.datestamps import format_datestamp, from_epoch
from harvester.schedule import DAY

STRIKES = 3  # on as many days: a link is dead
_DEAD_DAYS = 7  # until a dead link is tried again
_SEEDED = 20_000  # links made in one transaction
# A prime: neighbours by number are checked far apart, and all of them evenly over any number of days.
_STEP = 4_805_821

Reason = Literal[
    "not-found", "server-error", "unreachable", "refused", "private-address", "certificate", "not-a-web-link"
]
Outcome = Reason | Literal["alive", "unknown"]  # unknown: there is no link, or it may not be asked

_WORDS: dict[str, str] = {
    "not-found": "the server says that there is no such page",
    "server-error": "the server fails",
    "unreachable": "the server cannot be reached, or does not answer in time",
    "refused": "the server turns us away",
    "private-address": "the address lies in a private network",
    "certificate": "the server's certificate cannot be trusted",
    "not-a-web-link": "it is no web address, or leads to none",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A record's link as it was checked last. Times in seconds since 1970; `since` is that of the first strike,
    `turned_at` when it was found dead, or to live again."""

    record_id: int
    url: str | None = None
    checked_at: int | None = None
    next_check: int = 0
    strikes: int = 0
    reason: Reason | None = None
    since: int | None = None
    turned_at: int | None = None

    @property
    def dead(self) -> bool:
        """Whether it did not answer on three days."""
        return self.strikes >= STRIKES


@dataclass(frozen=True, slots=True)
class DeadLink:
    """A dead link of a live record."""

    record_id: int
    identifier: str
    url: str
    reason: str
    since: int
    checked_at: int

    @property
    def cause(self) -> str:
        """What is wrong, in a sentence."""
        return f"{self.url}: {_WORDS[self.reason]}, since {format_datestamp(from_epoch(self.since), DAY_ONLY)}"


@dataclass(frozen=True, slots=True)
class LinkReport:
    """How many of a member's links answered when they were checked last, and what turned since the report before."""

    made_at: int
    alive: int
    dead: int
    newly_dead: int
    recovered: int


def after_check(link: Link, url: str | None, outcome: Outcome, now: int, days: int) -> Link:
    """The link once it was checked at the record's present address; one with another address starts anew.

    Strikes of one day count as one. A struck link is checked again a day later, a dead one within a week.
    """
    if url != link.url or outcome == "unknown":
        link = Link(link.record_id, url)
    regular = now + days * DAY
    if outcome == "unknown":
        return replace(link, next_check=regular)
    if outcome == "alive":
        turned_at = now if link.dead else link.turned_at
        return Link(link.record_id, url, now, regular, turned_at=turned_at)
    counts = not link.strikes or link.checked_at is None or now // DAY > link.checked_at // DAY
    strikes = min(link.strikes + counts, STRIKES)
    pause = min(days, _DEAD_DAYS if strikes == STRIKES else 1) * DAY
    return Link(
        link.record_id,
        url,
        now,
        now + pause,
        strikes,
        outcome,
        now if link.since is None else link.since,
        now if strikes == STRIKES and not link.dead else link.turned_at,
    )


def seed_links(connection: Connection, now: int, days: int) -> None:
    """The next records that are new have a link each, the first checks spread evenly over so many days."""
    last = select(func.coalesce(func.max(links.c.record_id), 0)).scalar_subquery()
    spread = literal(now) + records.c.id * _STEP % (days * DAY)
    new = select(records.c.id, records.c.member_id, spread, literal(0)).where(records.c.id > last)
    columns = ["record_id", "member_id", "next_check", "strikes"]
    connection.execute(insert(links).from_select(columns, new.order_by(records.c.id).limit(_SEEDED)))


def hasten_links(connection: Connection, now: int, days: int) -> None:
    """Links with strikes whose record has changed since are due, and none is due later than in so many days."""
    changed = exists().where(records.c.id == links.c.record_id, records.c.datestamp > links.c.checked_at)
    waits = update(links).where(links.c.next_check > now)
    connection.execute(waits.where(links.c.strikes > 0, changed).values(next_check=now))
    far = links.c.next_check > now + days * DAY
    connection.execute(update(links).where(far).values(next_check=now + links.c.record_id * _STEP % (days * DAY)))


def put_link(connection: Connection, was: Link, link: Link) -> None:
    """The link is as it was found; nothing happens if another process has checked it meanwhile."""
    same = and_(links.c.record_id == was.record_id, links.c.checked_at.is_not_distinct_from(was.checked_at))
    connection.execute(update(links).where(same).values(asdict(link)))


def list_dead(connection: Connection, member_id: int, limit: int, before: int | None = None) -> tuple[DeadLink, ...]:
    """The member's dead links by the number of their record, descending; those before the number `before`."""
    query = _dead().where(links.c.member_id == member_id).order_by(links.c.record_id.desc()).limit(limit)
    if before is not None:
        query = query.where(links.c.record_id < before)
    return tuple(DeadLink(*row) for row in connection.execute(query))


def find_dead(connection: Connection, numbers: Iterable[int]) -> dict[int, DeadLink]:
    """The dead links among those of these records, by number."""
    rows = connection.execute(_dead().where(links.c.record_id.in_(list(numbers))))
    return {row.record_id: DeadLink(*row) for row in rows}


def count_dead(connection: Connection, member_id: int) -> int:
    """How many dead links the member has."""
    found = _dead().where(links.c.member_id == member_id).subquery()
    return int(connection.execute(select(func.count()).select_from(found)).scalar_one())


def find_link_report(connection: Connection, member_id: int) -> LinkReport | None:
    """The member's newest daily report; None before the first."""
    columns = [link_reports.c[field.name] for field in fields(LinkReport)]
    row = connection.execute(select(*columns).where(link_reports.c.member_id == member_id)).one_or_none()
    return LinkReport(*row) if row else None


def write_reports(connection: Connection, now: int) -> tuple[tuple[str, LinkReport], ...]:
    """Each member with links that were checked has a report of now, which is returned with its slug."""
    dead = links.c.strikes >= STRIKES
    turned = links.c.turned_at > func.coalesce(link_reports.c.made_at, 0)

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    query = (
        select(members.c.id, members.c.slug, number(~dead), number(dead), number(dead & turned), number(~dead & turned))
        .join(links, links.c.member_id == members.c.id)
        .join(records, records.c.id == links.c.record_id)
        .outerjoin(link_reports, link_reports.c.member_id == members.c.id)
        .where(links.c.checked_at.is_not(None), records.c.deleted.is_(False), members.c.removed_at.is_(None))
        .group_by(members.c.id, members.c.slug)
        .order_by(members.c.slug)
    )
    reports = [(member_id, slug, LinkReport(now, *counts)) for member_id, slug, *counts in connection.execute(query)]
    connection.execute(delete(link_reports))
    if reports:
        rows = [{"member_id": member_id, **asdict(report)} for member_id, _, report in reports]
        connection.execute(insert(link_reports), rows)
    return tuple((slug, report) for _, slug, report in reports)


def _dead() -> Select[Any]:
    columns = (links.c.record_id, records.c.identifier, links.c.url, links.c.reason, links.c.since, links.c.checked_at)
    query = select(*columns).join(records, records.c.id == links.c.record_id)
    return query.where(links.c.strikes >= STRIKES, records.c.deleted.is_(False))
