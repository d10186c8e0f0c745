"""Records read from the catalogue, with their payloads, in the order of our datestamps or their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import structlog
import zstandard
from sqlalchemy import Connection, select

from harvester.catalogue.database import Catalogue, is_among, pack_values
from harvester.catalogue.public_ids import decode_public_id, encode_public_id
from harvester.catalogue.tables import forms, members, pages, records

ABOUT_SEPARATOR = b"\0"  # between the about containers of a form: it cannot stand in XML


@dataclass(frozen=True, slots=True)
class Form:
    """A record's payload in one metadata format, as its member sent it. `fetched_at` in seconds since 1970."""

    prefix: str
    xml: bytes
    abouts: tuple[bytes, ...]
    set_specs: tuple[str, ...]
    deleted: bool
    response_date: str


@dataclass(frozen=True, slots=True)
class CataloguedRecord:
    """One record of the catalogue. `id` is the public id, `number` the catalogue's own, `work` the work's number.

    `forms` holds its payloads by prefix, first the member's first; the last good ones of a deleted record.
    """

    number: int
    id: str
    member: str
    identifier: str
    work: int
    datestamp: int
    added: int
    source_datestamp: str
    deleted: bool
    forms: tuple[Form, ...] = ()


_COLUMNS = (
    records.c.id,
    records.c.public_id,
    members.c.slug,
    records.c.identifier,
    records.c.work_id,
    records.c.datestamp,
    records.c.added,
    records.c.source_datestamp,
    records.c.deleted,
)
_RECORDS = select(*_COLUMNS).join(members, members.c.id == records.c.member_id)
_BY_NUMBER = _RECORDS.where(is_among(records.c.id)).order_by(records.c.id)
_BY_WORK = (
    _RECORDS.where(is_among(records.c.work_id))
    .where(records.c.deleted.is_(False))
    .order_by(records.c.work_id, records.c.id)
)
_PUBLIC = select(records.c.id, records.c.public_id).where(is_among(records.c.id))
_FORMS = (
    select(
        forms.c.record_id,
        forms.c.prefix,
        forms.c.xml,
        forms.c.abouts,
        forms.c.set_specs,
        forms.c.deleted,
        pages.c.response_date,
        pages.c.list_id,
    )
    .join(pages, pages.c.id == forms.c.page_id)
    .where(is_among(forms.c.record_id))
)


def find_record(connection: Connection, public_id: str) -> CataloguedRecord | None:
    """The record of this public id with its forms, or None."""
    number = decode_public_id(public_id)
    if number is None:
        return None
    found = connection.execute(_RECORDS.where(records.c.public_id == number))
    return next(_with_forms(connection, found.all()), None)


def get_records(connection: Connection, numbers: Iterable[int]) -> Iterator[CataloguedRecord]:
    """The records of these numbers, with forms, in ascending order."""
    wanted = sorted(numbers)
    for start in range(0, len(wanted), 500):
        some = pack_values(connection, wanted[start : start + 500])
        yield from _with_forms(connection, connection.execute(_BY_NUMBER, some).all())


def get_works(connection: Connection, works: Iterable[int], *, payloads: bool = True) -> Iterator[CataloguedRecord]:
    """The live records of these works, ordered by (work, number); with forms, unless no payloads are asked for."""
    wanted = sorted(works)
    for start in range(0, len(wanted), 500):
        some = pack_values(connection, wanted[start : start + 500])
        rows = connection.execute(_BY_WORK, some).all()
        yield from _with_forms(connection, rows) if payloads else map(_record, rows)


def iter_records(catalogue: Catalogue, slugs: Sequence[str] = (), batch: int = 1000) -> Iterator[CataloguedRecord]:
    """Every record, tombstones too, with forms, in the order of their numbers and in bounded memory."""
    query = _RECORDS.where(members.c.slug.in_(slugs)) if slugs else _RECORDS
    last = 0
    while True:
        with catalogue.read() as connection:
            some = query.where(records.c.id > last).order_by(records.c.id).limit(batch)
            found = list(_with_forms(connection, connection.execute(some).all()))
        if not found:
            return
        yield from found
        last = found[-1].number


def public_ids(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The public ids of records by their numbers."""
    ids: dict[int, str] = {}
    for start in range(0, len(numbers), 500):
        some = pack_values(connection, numbers[start : start + 500])
        ids.update((number, encode_public_id(public)) for number, public in connection.execute(_PUBLIC, some).all())
    return ids


def _record(row: Any, forms: tuple[Form, ...] = ()) -> CataloguedRecord:
    number, public_id, *others = row
    return CataloguedRecord(number, encode_public_id(public_id), *others, forms)  # type: ignore[call-arg]  # others are 7


def _with_forms(connection: Connection, rows: Sequence[Any]) -> Iterator[CataloguedRecord]:
    by_record: dict[int, list[tuple[int, Form]]] = {}
    decompressor = zstandard.ZstdDecompressor()
    numbers = [row[0] for row in rows]
    for start in range(0, len(numbers), 500):
        some = connection.execute(_FORMS, pack_values(connection, numbers[start : start + 500])).all()
        for number, prefix, xml, abouts, set_specs, deleted, response_date, list_id in some:
            form = Form(
                prefix=prefix,
                xml=_unpack(decompressor, xml, number) or b"",
                abouts=tuple((_unpack(decompressor, abouts, number) or b"").split(ABOUT_SEPARATOR)) if abouts else (),
                set_specs=tuple(set_specs.split("\n")) if set_specs else (),
                deleted=deleted,
                response_date=response_date,
            )
            by_record.setdefault(number, []).append((list_id or 0, form))
    for row in rows:
        # Lists are made in the order of the member's prefixes.
        ordered = sorted(by_record.get(row[0], ()), key=itemgetter(0))
        yield _record(row, tuple([form for _, form in ordered]))


def _unpack(decompressor: zstandard.ZstdDecompressor, packed: bytes | None, number: int) -> bytes | None:
    """What was packed; None where it is damaged: one record must not keep all others from the index."""
    if not packed:
        return None
    try:
        return decompressor.decompress(packed)
    except (zstandard.ZstdError, MemoryError):  # the latter by a damaged length
        structlog.get_logger("catalogue").warning(
            "a stored payload is damaged; `lumbung check --repair` sees to it", record=number
        )
        return None
