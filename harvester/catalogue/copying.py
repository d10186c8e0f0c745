"""A whole catalogue into another database: all of it or nothing, compared before it stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Connection, Table, delete, func, select, text, tuple_

from harvester.catalogue.database import Catalogue, insert_rows
from harvester.catalogue.tables import clock, leases, metadata
from harvester.errors import CatalogueError, ConfigError
from harvester.owners import is_gone

_ROWS_AT_ONCE = 1000

Progress = Callable[[str, int, int], None]  # table, rows copied, rows there are


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A table as it is in both places."""

    name: str
    rows: int
    checksum: str


def copy_catalogue(source: Catalogue, target: Catalogue, progress: Progress) -> list[TableCopy]:
    """The target holds what one state of the source does, read back and compared; it was empty before.

    One transaction of each: whatever stops it, the target is empty then. A few thousand rows are in memory.

    Raises:
        ConfigError: the target is not empty, or somebody harvests into the source.
        CatalogueError: one of the two refuses or is away, or did not keep what it was given.
    """
    with source.read() as reading:
        _refuse_harvested(reading, source.now())
        with target.write() as writing:
            _refuse_filled(writing)
            writing.execute(delete(clock))
            done = [_copy(reading, writing, table, progress) for table in metadata.sorted_tables]
            for table, copied in zip(metadata.sorted_tables, done, strict=True):
                if (found := _summary(table, _iter_rows(writing, table))) != copied:
                    raise CatalogueError(f"{table.name} differs in the copy: {found} instead of {copied}")
            if writing.dialect.name == "postgresql":
                _settle(writing)
    return done


def _refuse_harvested(source: Connection, now: int) -> None:
    for owner, until in source.execute(select(leases.c.owner, leases.c.until)):
        if until > now and not is_gone(owner):
            process = ":".join(owner.split(":")[:2])
            raise ConfigError(f"process {process} harvests into this catalogue; stop it first, or it is lost in part")


def _refuse_filled(target: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is not clock and target.execute(select(table).limit(1)).first():
            raise ConfigError(f"the catalogue to copy into is not empty: it has {table.name}")


def _copy(source: Connection, target: Connection, table: Table, progress: Progress) -> TableCopy:
    total = source.execute(select(func.count()).select_from(table)).scalar_one()
    done = 0

    def pass_on() -> Iterator[Sequence[Any]]:
        nonlocal done
        rows = _iter_rows(source, table)
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            if target.dialect.name == "postgresql":  # which keeps no U+0000 in texts
                some = [
                    [each.replace("\0", "\ufffd") if isinstance(each, str) else each for each in row] for row in some
                ]
            insert_rows(target, table, some)
            done += len(some)
            progress(table.name, done, total)
            yield from some

    return _summary(table, pass_on())


def _iter_rows(connection: Connection, table: Table) -> Iterator[Sequence[Any]]:
    """Each row in the order of its key, as a database takes it, the same of every database."""
    documents = [at for at, column in enumerate(table.c) if isinstance(column.type, JSON)]
    key = tuple(table.primary_key)
    query = select(table).order_by(*key).limit(_ROWS_AT_ONCE)
    some = connection.execute(query).all()
    while some:
        for row in some:
            values = list(row)
            for at in documents:
                values[at] = None if row[at] is None else json.dumps(row[at])
            yield values
        last = tuple(some[-1]._mapping[column] for column in key)  # noqa: SLF001 - SQLAlchemy's public name
        some = connection.execute(query.where(tuple_(*key) > last)).all()


def _summary(table: Table, rows: Iterator[Sequence[Any]]) -> TableCopy:
    count, digest = 0, blake2b(digest_size=16)
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the last one counts
        digest.update(repr(row).encode())
    return TableCopy(table.name, count, digest.hexdigest())


def _settle(target: Connection) -> None:
    """New rows get numbers behind those that came along, and the planner knows how much there is."""
    for table in metadata.sorted_tables:
        if "id" in table.c and (
            sequence := target.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": table.name})
        ):
            last = select(func.setval(sequence, func.max(table.c.id))).having(func.max(table.c.id).is_not(None))
            target.execute(last)
    target.execute(text("ANALYZE"))
