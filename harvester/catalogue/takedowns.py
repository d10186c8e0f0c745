"""What was taken down: records with all their files, and files wherever they came from. Each stays on the list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select, update

from harvester.catalogue.database import is_among, pack_values
from harvester.catalogue.tables import files, records, takedowns


@dataclass(frozen=True, slots=True)
class Takedown:
    """One takedown, of a record or of a file; `lifted_at` where it was taken back.

    `redacted_upto`: the last archived page that was looked at for the record; empty where nothing is cut out.
    """

    id: int
    record_id: int | None
    sha256: str | None
    note: str
    made_at: int
    lifted_at: int | None = None
    lifted_note: str | None = None
    redacted_upto: str = ""


class Unsettled(NamedTuple):
    """A takedown whose archived pages are to be looked at, and the member whose they are."""

    member_id: int
    takedown: Takedown


def is_up(record: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether the record of this number is not down."""
    return ~exists().where(takedowns.c.record_id == record, takedowns.c.lifted_at.is_(None))


def find_takedown(connection: Connection, record: int | None, sha256: str | None) -> Takedown | None:
    """The takedown in force of the record, or of the file; None where there is none."""
    this = takedowns.c.record_id == record if record is not None else takedowns.c.sha256 == sha256
    row = connection.execute(_ALL.where(this, takedowns.c.lifted_at.is_(None))).first()
    return Takedown(*row) if row else None


def list_takedowns(connection: Connection) -> tuple[Takedown, ...]:
    """All there ever were, the newest first."""
    return tuple(Takedown(*row) for row in connection.execute(_ALL.order_by(takedowns.c.id.desc())))


def count_takedowns(connection: Connection) -> int:
    """How many are in force."""
    query = select(func.count()).where(takedowns.c.lifted_at.is_(None)).select_from(takedowns)
    return int(connection.execute(query).scalar_one())


def list_unsettled(connection: Connection) -> tuple[Unsettled, ...]:
    """Takedowns of records that are in force, and lifted ones with pieces of pages cut out; by member."""
    query = _ALL.add_columns(records.c.member_id).join(records, records.c.id == takedowns.c.record_id)
    query = query.where(or_(takedowns.c.lifted_at.is_(None), takedowns.c.redacted_upto != ""))
    rows = connection.execute(query.order_by(records.c.member_id, takedowns.c.id))
    return tuple(Unsettled(row[-1], Takedown(*row[:-1])) for row in rows)


def mark_redacted(connection: Connection, takedown: Takedown, upto: str) -> None:
    """The archived pages up to this one were looked at; empty: nothing is cut out any more."""
    connection.execute(update(takedowns).where(takedowns.c.id == takedown.id).values(redacted_upto=upto))


def find_records_down(connection: Connection, numbers: Collection[int]) -> frozenset[int]:
    """Those of these records that are down."""
    query = select(takedowns.c.record_id).where(is_among(takedowns.c.record_id), takedowns.c.lifted_at.is_(None))
    return frozenset(connection.execute(query, pack_values(connection, list(numbers))).scalars())


def is_file_down(connection: Connection, sha256: str, record: int | None = None) -> bool:
    """Whether the file is down, by itself or with the record."""
    named = takedowns.c.sha256 == sha256
    if record is not None:
        named = or_(named, takedowns.c.record_id == record)
    query = select(takedowns.c.id).where(named, takedowns.c.lifted_at.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def find_barred(connection: Connection, numbers: Collection[int]) -> frozenset[tuple[int, str]]:
    """Addresses, by record, from which one of these records had a file that is down, before redirects and after: the
    next file that comes from there is the same with another stamp on it."""
    down = select(takedowns.c.sha256).where(takedowns.c.sha256.is_not(None), takedowns.c.lifted_at.is_(None))
    query = select(files.c.record_id, files.c.url, files.c.led_to).where(is_among(files.c.record_id))
    rows = connection.execute(query.where(files.c.sha256.in_(down)), pack_values(connection, list(numbers)))
    return frozenset((row.record_id, url) for row in rows for url in (row.url, row.led_to) if url)


_ALL = select(*[takedowns.c[field.name] for field in fields(Takedown)])
