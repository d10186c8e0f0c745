"""The SQL of the feed that re-harvesters are shown: its rows, written once for each change, and lists of them.

A row's datestamp is the record's own, later only where what we show changed without the record. A list is walked by
(datestamp, record number), so a part costs the same wherever it begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import starmap
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    Select,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from harvester.catalogue.database import execute, insert_new, insert_rows, is_among, pack_values
from harvester.catalogue.public_ids import decode_public_id
from harvester.catalogue.tables import MOVED, clock, cursors, feed, feed_counts, feed_formats, forms, members, records


@dataclass(slots=True)
class FeedRow:
    """A record as it is shown. `datestamp` is None where it never was; the columns tell the rest."""

    record_id: int
    public_id: int
    member_id: int
    datestamp: int | None
    deleted: bool
    type: str
    open: bool
    origin: int | None
    distance: int
    hash: bytes
    payload: bytes | None

    def outranks(self, other: FeedRow) -> bool:
        """Whether it is the one to show, of two copies of a record that different members gave."""
        return self.member_id != other.member_id and (self.distance, self.record_id) < (other.distance, other.record_id)


class Shown(NamedTuple):
    """What a list needs of a row; `payload` and the member's own `xml` are packed, and None where not asked for."""

    record_id: int
    public_id: int
    member_id: int
    datestamp: int
    deleted: bool
    type: str
    open: bool
    payload: bytes | None = None
    xml: bytes | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a list holds: in a window of our datestamps (inclusive), of one set, in one of the members' formats.

    `set_kind` is member, type, access, region, or empty; with no `set_value` it is all that have any.
    """

    from_: int
    until: int
    set_kind: str = ""
    set_value: str | int = ""
    source_prefix: str = ""


class MetadataFormat(NamedTuple):
    """A format that members gave something in."""

    prefix: str
    namespace: str
    schema: str


def find_row(connection: Connection, public_id: str) -> FeedRow | None:
    """The row of the record of this public id, if it was ever shown."""
    number = decode_public_id(public_id)
    if number is None:
        return None
    query = select(feed).join(records, records.c.id == feed.c.record_id)
    row = connection.execute(query.where(records.c.public_id == number, feed.c.datestamp.is_not(None))).one_or_none()
    return FeedRow(*row) if row else None


def list_rows(
    connection: Connection, chosen: Selection, after: tuple[int, int], limit: int, *, payloads: bool
) -> list[Shown]:
    """The next rows of the list behind (datestamp, record number), in that order; behind (`from_`, 0) all of them."""
    if chosen.set_kind == "region":
        return _list_of_several(connection, chosen, after, limit, payloads=payloads)
    statement = _listing(chosen.set_kind if chosen.set_value else "", bool(chosen.source_prefix), payloads)
    place = {"after_at": after[0], "after_id": after[1], "until": chosen.until, "most": limit}
    found = execute(connection, statement, place | _arguments(chosen))
    return list(starmap(Shown, found.rows))


def list_record(connection: Connection, chosen: Selection, record_id: int, *, payloads: bool) -> list[Shown]:
    """The record as it is now, whatever set it is in; nothing where it is not in the format that was chosen."""
    anywhere = _listing("", bool(chosen.source_prefix), payloads).where(feed.c.record_id == record_id)
    place = {"after_at": 0, "after_id": 0, "until": 1 << 50, "most": 1}
    wanted = {"prefix": chosen.source_prefix} if chosen.source_prefix else {}
    return [Shown(*row) for row in connection.execute(anywhere, place | wanted)]


def _list_of_several(
    connection: Connection, chosen: Selection, after: tuple[int, int], limit: int, *, payloads: bool
) -> list[Shown]:
    """Of each member of the region as many as may be among the next ones: no index has them together."""
    found: list[Shown] = []
    for member in _members_in(connection, chosen.set_value):
        until = found[-1].datestamp if len(found) == limit else chosen.until
        one = replace(chosen, until=until, set_kind="member", set_value=member)
        found += list_rows(connection, one, after, limit, payloads=payloads)
        found = sorted(found, key=lambda row: (row.datestamp, row.record_id))[:limit]
    return found


def _members_in(connection: Connection, region: str | int) -> Sequence[int]:
    """The members there; without a region those that are in any."""
    wanted = members.c.region == region if region else members.c.region.is_not(None)
    return connection.execute(select(members.c.id).where(wanted)).scalars().all()


def _arguments(chosen: Selection) -> dict[str, str | int]:
    wanted = {"value": chosen.set_value} if chosen.set_value else {}
    return wanted | ({"prefix": chosen.source_prefix} if chosen.source_prefix else {})


@cache
def _listing(kind: str, of_members: bool, payloads: bool) -> Select[Any]:
    """Compiled once: a part has no time for it."""
    place = (feed.c.datestamp, feed.c.record_id)
    bodies = ([feed.c.payload, forms.c.xml] if of_members else [feed.c.payload]) if payloads else []
    header = _HEADER_OF_MEMBERS if of_members else _HEADER
    query = _narrowed(select(*header, *bodies), kind, of_members=of_members).where(feed.c.datestamp <= _UNTIL)
    # The only lower bound, or SQLite would seek by another one and read its way to this one.
    behind = tuple_(bindparam("after_at", type_=BigInteger), bindparam("after_id", type_=BigInteger))
    return query.where(tuple_(*place) > behind).order_by(*place).limit(bindparam("most", type_=Integer))


def count_rows(connection: Connection, chosen: Selection) -> int | None:
    """How many rows the list holds; None where that would take long to find out."""
    several = chosen.set_kind == "region"
    found = _members_in(connection, chosen.set_value) if several else [chosen.set_value]
    total = 0
    for value in found:
        one = replace(chosen, set_kind="member" if several else chosen.set_kind, set_value=value)
        count = _count_rows(connection, one)
        if count is None:
            return None
        total += count
    return total


def _count_rows(connection: Connection, chosen: Selection) -> int | None:
    """All that were ever shown of the set without those outside the window; or those inside, one by one."""
    kind = chosen.set_kind if chosen.set_value else ""
    window = {"from": chosen.from_, "until": chosen.until}
    if not chosen.source_prefix:
        counted = {"kind": kind, "counted": str(chosen.set_value)}
        (row,) = execute(connection, _outside(kind), window | counted | _arguments(chosen))
        if max(row.before, row.behind) <= _COUNTED:
            return int(row.all or 0) - int(row.before) - int(row.behind)
    query = _bounded(kind, feed.c.datestamp.between(_FROM, _UNTIL), of_members=bool(chosen.source_prefix))
    inside = int(connection.execute(select(query), window | _arguments(chosen)).scalar_one())
    return inside if inside <= _COUNTED else None


@cache
def _outside(kind: str) -> Select[Any]:
    """In one statement: each sees a state of its own, where a database lets others write meanwhile."""
    here = (feed_counts.c.kind == bindparam("kind"), feed_counts.c.value == bindparam("counted"))
    total = select(feed_counts.c.rows).where(*here).scalar_subquery()
    before, behind = _bounded(kind, feed.c.datestamp < _FROM), _bounded(kind, feed.c.datestamp > _UNTIL)
    return select(total.label("all"), before.label("before"), behind.label("behind"))


def _bounded(kind: str, window: ColumnElement[bool], *, of_members: bool = False) -> ScalarSelect[Any]:
    """How many there are in the window, at the most one more than are counted."""
    inside = _narrowed(select(feed.c.record_id), kind, of_members=of_members).where(window).limit(_COUNTED + 1)
    return select(func.count()).select_from(inside.subquery()).scalar_subquery()


def _narrowed(query: Select[Any], kind: str, *, of_members: bool) -> Select[Any]:
    query = query.select_from(feed)
    if kind == "access":
        query = query.where(feed.c.open)
    elif kind:
        query = query.where(feed.c[{"member": "member_id"}.get(kind, kind)] == bindparam("value"))
    if of_members:
        query = query.join(forms, forms.c.record_id == feed.c.record_id)
        query = query.where(forms.c.prefix == bindparam("prefix"))
    return query


_COUNTED = 10_000  # rows that are counted one by one
_FROM: ColumnElement[int] = bindparam("from", type_=BigInteger)
_UNTIL: ColumnElement[int] = bindparam("until", type_=BigInteger)
_HEADER = (
    feed.c.record_id,
    feed.c.public_id,
    feed.c.member_id,
    feed.c.datestamp,
    feed.c.deleted,
    feed.c.type,
    feed.c.open,
)


# A record lives as long as one of its forms, and in the format of a form no longer than that.
_HEADER_OF_MEMBERS = tuple(or_(each, forms.c.deleted) if each is feed.c.deleted else each for each in _HEADER)


def find_earliest(connection: Connection) -> int:
    """The oldest datestamp that is or will be shown; 0 where there is none yet."""
    shown = connection.execute(select(func.min(feed.c.datestamp))).scalar()
    waiting = connection.execute(select(func.min(records.c.datestamp))).scalar()
    return min((found for found in (shown, waiting) if found is not None), default=0)


def find_closed(connection: Connection, now: int) -> int | None:
    """The newest second that no later commit will use, if it is the present one or a later one, and all is in it."""
    closed, last = connection.execute(select(clock.c.closed, clock.c.last)).one()
    return int(closed) if closed >= max(now, last) else None


def get_rows(connection: Connection, numbers: Collection[int]) -> dict[int, FeedRow]:
    """The rows of these records, as far as there are any."""
    if not numbers:
        return {}
    found = connection.execute(select(feed).where(is_among(feed.c.record_id)), pack_values(connection, list(numbers)))
    return {row.record_id: FeedRow(*row) for row in found}


def get_copies(connection: Connection, origins: Collection[int]) -> list[FeedRow]:
    """The rows of live records with one of these origins."""
    if not origins:
        return []
    found = connection.execute(select(feed).where(is_among(feed.c.origin)), pack_values(connection, list(origins)))
    return [FeedRow(*row) for row in found]


def replace_rows(connection: Connection, rows: Sequence[FeedRow], before: Iterable[FeedRow]) -> None:
    """These rows stand in the place of those `before`, of the same records, and the counts of the sets with them."""
    if not rows:
        return
    new = list(map(_columns, rows))
    execute(connection, _DELETE, pack_values(connection, [row.record_id for row in rows]))
    insert_rows(connection, feed, new)
    change = Counter(each for row in rows for each in _sets_of(row))
    change.subtract(each for row in before for each in _sets_of(row))
    for (kind, value), count in sorted(change.items()):
        if count:
            connection.execute(insert_new(feed_counts).values(kind=kind, value=value, rows=0))
            execute(connection, _COUNT, {"this_kind": kind, "this_value": value, "more": count})


def _sets_of(row: FeedRow) -> tuple[tuple[str, str], ...]:
    """What a row counts for; one that was never shown, for nothing."""
    if row.datestamp is None:
        return ()
    always = (("", ""), ("member", str(row.member_id)), ("type", row.type))
    return (*always, ("access", "open")) if row.open else always


_columns = attrgetter(*feed.c.keys())
_DELETE = delete(feed).where(is_among(feed.c.record_id))
_COUNT = (
    update(feed_counts)
    .where(feed_counts.c.kind == bindparam("this_kind"), feed_counts.c.value == bindparam("this_value"))
    .values(rows=feed_counts.c.rows + bindparam("more", type_=BigInteger))
)


def list_moved(connection: Connection) -> dict[int, int]:
    """The members whose region has changed, and up to which datestamp their rows are to get a new one; 0: all."""
    found = connection.execute(select(cursors).where(cursors.c.name.like(f"{MOVED}%")).order_by(cursors.c.name))
    return {int(row.name.removeprefix(MOVED)): row.datestamp for row in found}


def stamp_moved(connection: Connection, member_id: int, until: int, stamp: int, limit: int) -> int:
    """Some rows of the member that have an older datestamp have this one; how many. With none left it is done."""
    mine = (feed.c.member_id == member_id, feed.c.datestamp <= (until or stamp - 1))
    found = connection.execute(select(feed.c.record_id).where(*mine).order_by(feed.c.datestamp).limit(limit))
    numbers = found.scalars().all()
    name = f"{MOVED}{member_id}"
    if numbers:
        execute(connection, _STAMP, {"stamp": stamp, **pack_values(connection, numbers)})
        connection.execute(update(cursors).where(cursors.c.name == name).values(datestamp=until or stamp - 1))
    else:
        connection.execute(delete(cursors).where(cursors.c.name == name))
    return len(numbers)


_STAMP = update(feed).where(is_among(feed.c.record_id)).values(datestamp=bindparam("stamp", type_=BigInteger))


def list_numbers(connection: Connection, after: int, limit: int) -> Sequence[int]:
    """The numbers of the next records that have a row, in ascending order."""
    query = select(feed.c.record_id).where(feed.c.record_id > after).order_by(feed.c.record_id).limit(limit)
    return connection.execute(query).scalars().all()


def get_formats(connection: Connection) -> dict[str, MetadataFormat]:
    """The members' own formats by prefix, in order."""
    found = connection.execute(select(feed_formats).order_by(feed_formats.c.prefix))
    return {row.prefix: MetadataFormat(*row) for row in found}


def add_formats(connection: Connection, found: Iterable[MetadataFormat]) -> None:
    """Formats that are not known yet are."""
    for each in found:
        connection.execute(insert_new(feed_formats).values(each._asdict()))


class Given(NamedTuple):
    """What a member gave of a record in one format: the last payload, packed; it may be deleted there."""

    xml: bytes
    deleted: bool


def find_given(connection: Connection, record_id: int) -> dict[str, Given]:
    """What the member gave of the record, by prefix."""
    query = select(forms.c.prefix, forms.c.xml, forms.c.deleted)
    query = query.where(forms.c.record_id == record_id, forms.c.xml.is_not(None))
    return {row.prefix: Given(row.xml, row.deleted) for row in connection.execute(query.order_by(forms.c.prefix))}


class Source(NamedTuple):
    """A member that has rows; it may be registered no more."""

    id: int
    slug: str
    name: str
    base_url: str
    removed: bool


_SOURCE = (members.c.id, members.c.slug, members.c.name, members.c.base_url, members.c.removed_at.is_not(None))


def list_sources(connection: Connection, after: str = "", limit: int | None = None) -> list[Source]:
    """The next members behind this slug, by slug; all of them without a limit."""
    query = select(*_SOURCE).where(members.c.slug > after)
    return [Source(*row) for row in connection.execute(query.order_by(members.c.slug).limit(limit))]


def find_source(connection: Connection, slug: str) -> Source | None:
    """The member of this slug, or None."""
    query = select(*_SOURCE).where(members.c.slug == slug)
    row = connection.execute(query).one_or_none()
    return Source(*row) if row else None


def get_places(connection: Connection, ids: Collection[int]) -> dict[int, tuple[str, str | None]]:
    """The slug and region of each of these members."""
    found = execute(connection, _PLACES, pack_values(connection, list(ids)))
    return {row.id: (row.slug, row.region) for row in found}


_PLACES = select(members.c.id, members.c.slug, members.c.region).where(is_among(members.c.id))


def list_regions(connection: Connection, after: str = "", limit: int | None = None) -> Sequence[str]:
    """The next regions behind this one in which a member is, in order; all of them without a limit."""
    query = select(members.c.region).where(members.c.region > after).distinct()
    return connection.execute(query.order_by(members.c.region).limit(limit)).scalars().all()


def count_sources(connection: Connection) -> int:
    """How many members there are or were."""
    return int(connection.execute(select(func.count()).select_from(members)).scalar_one())
