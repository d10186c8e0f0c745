"""The SQL of the feed that re-harvesters are shown: its rows, written once for each change, and lists of them.

A row's datestamp is the record's own, later only where what we show changed without the record. A list is walked by
(datestamp, record number), so a part costs the same wherever it begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, func, select, tuple_

from harvester.catalogue.database import execute, insert_new, insert_rows, is_among, pack_values
from harvester.catalogue.public_ids import decode_public_id
from harvester.catalogue.tables import clock, feed, feed_formats, forms, members, records


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

    `set_kind` is member, type, access, or empty; with no `set_value` it is all that have any.
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
    place = (feed.c.datestamp, feed.c.record_id)
    bodies = ([feed.c.payload, forms.c.xml] if chosen.source_prefix else [feed.c.payload]) if payloads else []
    query = _narrowed(select(*_HEADER, *bodies), chosen)
    # The only lower bound, or SQLite would seek by another one and read its way to this one.
    query = query.where(tuple_(*place) > tuple_(bindparam("after_at"), bindparam("after_id")))
    query = query.order_by(*place).limit(limit)
    found = connection.execute(query, {"after_at": after[0], "after_id": after[1]}).all()
    return [Shown(*row) for row in found]


def count_rows(connection: Connection, chosen: Selection) -> int:
    """How many rows the list holds."""
    query = _narrowed(select(func.count()), chosen).where(feed.c.datestamp >= chosen.from_)
    return int(connection.execute(query).scalar_one())


def _narrowed(query: Select[Any], chosen: Selection) -> Select[Any]:
    query = query.select_from(feed).where(feed.c.datestamp <= chosen.until)
    if chosen.set_kind == "access":
        query = query.where(feed.c.open)
    elif chosen.set_value:
        column = feed.c.member_id if chosen.set_kind == "member" else feed.c.type
        query = query.where(column == chosen.set_value)
    if chosen.source_prefix:
        query = query.join(forms, forms.c.record_id == feed.c.record_id)
        query = query.where(forms.c.prefix == chosen.source_prefix)
    return query


_HEADER = (
    feed.c.record_id,
    feed.c.public_id,
    feed.c.member_id,
    feed.c.datestamp,
    feed.c.deleted,
    feed.c.type,
    feed.c.open,
)


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


def replace_rows(connection: Connection, rows: Iterable[FeedRow]) -> None:
    """These rows stand in the place of those of the same records."""
    new = [asdict(row) for row in rows]
    if new:
        execute(connection, _DELETE, pack_values(connection, [row["record_id"] for row in new]))
        insert_rows(connection, feed, new)


_DELETE = delete(feed).where(is_among(feed.c.record_id))


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


def find_payloads(connection: Connection, record_id: int) -> dict[str, bytes]:
    """The record's packed XML by prefix, in each format that its member gave it in."""
    query = select(forms.c.prefix, forms.c.xml).where(forms.c.record_id == record_id, forms.c.xml.is_not(None))
    return {row.prefix: row.xml for row in connection.execute(query.order_by(forms.c.prefix))}


class Source(NamedTuple):
    """A member that has rows; it may be registered no more."""

    id: int
    slug: str
    name: str
    base_url: str


def list_sources(connection: Connection, after: str = "", limit: int | None = None) -> list[Source]:
    """The next members behind this slug, by slug; all of them without a limit."""
    query = select(members.c.id, members.c.slug, members.c.name, members.c.base_url).where(members.c.slug > after)
    return [Source(*row) for row in connection.execute(query.order_by(members.c.slug).limit(limit))]


def find_source(connection: Connection, slug: str) -> Source | None:
    """The member of this slug, or None."""
    query = select(members.c.id, members.c.slug, members.c.name, members.c.base_url).where(members.c.slug == slug)
    row = connection.execute(query).one_or_none()
    return Source(*row) if row else None


def get_slugs(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The slugs of these members."""
    query = select(members.c.id, members.c.slug).where(is_among(members.c.id))
    return {row.id: row.slug for row in connection.execute(query, pack_values(connection, list(ids)))}


def count_sources(connection: Connection) -> int:
    """How many members there are or were."""
    return int(connection.execute(select(func.count()).select_from(members)).scalar_one())
