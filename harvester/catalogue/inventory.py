"""What the catalogue holds, a part at a time and in order, for comparing it with the other tiers; and what is mended.

Each part is read in one short transaction of its own, so that no harvest waits for a comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import zstandard
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, select, update

from harvester.archive import page_key
from harvester.catalogue.clock import take_datestamp
from harvester.catalogue.commit import PackedRecord
from harvester.catalogue.database import Catalogue, is_among, pack_values
from harvester.catalogue.lists import start_anew
from harvester.catalogue.public_ids import encode_public_id
from harvester.catalogue.tables import forms, harvests, match_keys, members, pages, records, work_changes
from harvester.catalogue.takedowns import is_up

_IDS_AT_ONCE = 5000
_LOST = bytes(16)  # the hash of no payload: whatever comes next is news


@dataclass(frozen=True, slots=True)
class RunPages:
    """The pages of one run: (archive key, size of the body). `folder` begins the keys of all its answers."""

    member: str
    folder: str
    pages: Sequence[tuple[str, int]]


class StoredRecord(NamedTuple):
    """A row of the records, and its member's slug."""

    number: int
    public_id: str
    member_id: int
    member: str
    identifier: str
    work: int
    datestamp: int
    deleted: bool


class StoredForm(NamedTuple):
    """A record's payload in one prefix; `whole` where all that is stored unpacks, and is what its hash says.

    A deleted one may have no payload, a live one may not.
    """

    record: int
    prefix: str
    page: int
    deleted: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Inventory:
    """How much there is."""

    members: int
    pages: int
    records: int
    works: int


class MemberCount(NamedTuple):
    """A member's records as they are told and as they are."""

    id: int
    slug: str
    told: tuple[int, int]
    counted: tuple[int, int]


def count_all(connection: Connection) -> Inventory:
    """How many members, pages, records and works the catalogue has; works that an index has to show."""
    of_works = select(func.count()).where(*_IS_WORK)
    counts = (select(func.count()).select_from(table) for table in (members, pages, records))
    return Inventory(*(connection.execute(query).scalar_one() for query in (*counts, of_works)))


def iter_runs(catalogue: Catalogue) -> Iterator[RunPages]:
    """Every run of every member, ascending by its folder in the archive; in memory are the members and one run."""
    with catalogue.read() as connection:
        known = connection.execute(select(members.c.id, members.c.slug)).all()
    for member_id, slug in sorted(known, key=lambda row: f"{row.slug}/"):
        with catalogue.read() as connection:
            runs = connection.execute(select(harvests.c.id).where(harvests.c.member_id == member_id)).scalars().all()
        for folder, run in sorted((page_key(slug, run, 0).rpartition("/")[0] + "/", run) for run in runs):
            query = select(pages.c.archive_key, pages.c.size).where(pages.c.harvest_id == run)
            with catalogue.read() as connection:
                yield RunPages(slug, folder, [(key, size) for key, size in connection.execute(query)])


def list_runs(connection: Connection, member_id: int) -> tuple[str, tuple[int, ...]]:
    """The member's slug, by which its pages are kept, and its runs, ascending."""
    slug = connection.execute(select(members.c.slug).where(members.c.id == member_id)).scalar_one()
    runs = select(harvests.c.id).where(harvests.c.member_id == member_id).order_by(harvests.c.id)
    return slug, tuple(connection.execute(runs).scalars())


def resize_page(connection: Connection, key: str, size: int) -> None:
    """The page under this key has so many bytes now."""
    connection.execute(update(pages).where(pages.c.archive_key == key).values(size=size))


def is_spoken_for(connection: Connection, run_id: int, key: str) -> bool:
    """Whether a page of the run names this object, or may do so soon, as the run goes on."""
    open_run = select(harvests.c.id).where(harvests.c.id == run_id, harvests.c.outcome.is_(None))
    named = select(pages.c.id).where(pages.c.harvest_id == run_id, pages.c.archive_key == key)
    return any(connection.execute(query.limit(1)).first() for query in (open_run, named))


def find_page_key(connection: Connection, page: int) -> str | None:
    """Where the archive has the page; None where the catalogue does not know it."""
    return connection.execute(select(pages.c.archive_key).where(pages.c.id == page)).scalar()


def list_records(connection: Connection, after: int, limit: int) -> list[StoredRecord]:
    """The next records behind this number, ascending."""
    query = _RECORDS.where(records.c.id > after).order_by(records.c.id).limit(limit)
    return [_record(row) for row in connection.execute(query)]


def get_records(
    connection: Connection, *, numbers: Collection[int] = (), works: Collection[int] = (), ids: Collection[int] = ()
) -> list[StoredRecord]:
    """The records of these numbers, those of these works, deleted ones too, and those of these decoded public ids;
    ascending."""
    named = ((records.c.id, numbers), (records.c.work_id, works), (records.c.public_id, ids))
    found = (_record(row) for column, values in named for row in _among(connection, _RECORDS, column, values))
    return sorted(set(found))  # by their numbers


def list_forms(connection: Connection, numbers: Collection[int]) -> list[StoredForm]:
    """The forms of these records, each unpacked and hashed."""
    columns = [forms.c[name] for name in ("record_id", "prefix", "page_id", "deleted", "hash", "xml", "abouts")]
    rows = _among(connection, select(*columns), forms.c.record_id, numbers)
    return [StoredForm(row[0], row[1], row[2], row[3], _is_whole(*row[3:])) for row in rows]


def list_orphans(connection: Connection, after: int, upto: int | None) -> list[int]:
    """Numbers behind `after`, up to and with `upto` (None: without end), of which there is more than no record."""
    found: list[int] = []
    for column in (forms.c.record_id, match_keys.c.record_id):
        within = [column > after] + ([column <= upto] if upto is not None else [])
        query = select(column).where(*within, ~exists().where(records.c.id == column)).distinct()
        found += connection.execute(query).scalars().all()
    return sorted(set(found))


def get_changes(connection: Connection, works: Collection[int]) -> dict[int, int]:
    """The last change of each of these works that is listed for the index."""
    query = select(work_changes.c.work_id, work_changes.c.change)
    return dict(tuple(row) for row in _among(connection, query, work_changes.c.work_id, works))


def iter_work_ids(catalogue: Catalogue) -> Iterator[str]:
    """The public id of every work that an index has to show, ascending by its bytes."""
    last = -1
    while True:
        query = select(records.c.public_id).where(records.c.public_id > last, *_IS_WORK).order_by(records.c.public_id)
        with catalogue.read() as connection:
            some = connection.execute(query.limit(_IDS_AT_ONCE)).scalars().all()
        if not some:
            return
        yield from map(encode_public_id, some)  # of equal length, in digits that sort as numbers do
        last = some[-1]


def iter_member_counts(catalogue: Catalogue) -> Iterator[MemberCount]:
    """Each member's records, counted."""
    with catalogue.read() as connection:
        known = connection.execute(select(members.c.id)).scalars().all()
    for member_id in known:
        with catalogue.read() as connection:
            yield count_member(connection, member_id)


def count_member(connection: Connection, member_id: int) -> MemberCount:
    """The member's live and deleted records, as they are told and counted now."""
    columns = (members.c.id, members.c.slug, members.c.live, members.c.tombstones)
    number, slug, *told = connection.execute(select(*columns).where(members.c.id == member_id)).one()
    query = select(records.c.deleted, func.count()).where(records.c.member_id == member_id)
    counted = {bool(gone): count for gone, count in connection.execute(query.group_by(records.c.deleted))}
    return MemberCount(number, slug, (told[0], told[1]), (counted.get(False, 0), counted.get(True, 0)))


def correct_count(connection: Connection, member_id: int) -> None:
    """The member's counts are what its records say."""
    live, tombstones = count_member(connection, member_id).counted
    this = members.c.id == member_id
    connection.execute(update(members).where(this).values(live=live, tombstones=tombstones))


def restore_form(connection: Connection, form: StoredForm, packed: PackedRecord) -> bool:
    """The form is as it came in; False where it has changed since it was looked at. No datestamp changes."""
    values = {"hash": packed.hash, "xml": packed.xml, "abouts": packed.abouts}
    return bool(connection.execute(update(forms).where(_this(form)).values(values)).rowcount)


def drop_payload(connection: Connection, form: StoredForm, member_id: int) -> None:
    """The form has no payload; a live one comes again with the next harvest, which begins its list anew."""
    values = {"xml": None, "abouts": None} | ({} if form.deleted else {"hash": _LOST})
    changed = connection.execute(update(forms).where(_this(form)).values(values)).rowcount
    if changed and not form.deleted:
        start_anew(connection, member_id, form.prefix)


def correct_state(connection: Connection, record: StoredRecord, now: int) -> None:
    """The record is deleted if all its forms are, or it was taken down, under a new datestamp."""
    alive = exists().where(forms.c.record_id == record.number, forms.c.deleted.is_(False), is_up(forms.c.record_id))
    values = {"deleted": ~select(alive).scalar_subquery(), "datestamp": take_datestamp(connection, now)}
    connection.execute(update(records).where(records.c.id == record.number).values(values))
    correct_count(connection, record.member_id)


def drop_orphan(connection: Connection, number: int) -> None:
    """Nothing is left of a record that is not there; its member's lists begin anew, and may bring it back."""
    lost = exists().where(records.c.id == number)
    if connection.execute(select(lost)).scalar():
        return
    query = select(harvests.c.member_id, forms.c.prefix).join_from(forms, pages, pages.c.id == forms.c.page_id)
    query = query.join(harvests, harvests.c.id == pages.c.harvest_id).where(forms.c.record_id == number)
    for member_id, prefix in connection.execute(query).all():
        start_anew(connection, member_id, prefix)
    for table in (forms, match_keys):
        connection.execute(delete(table).where(table.c.record_id == number))


_IS_WORK = (records.c.work_id == records.c.id, records.c.deleted.is_(False))
_RECORDS = select(
    records.c.id,
    records.c.public_id,
    records.c.member_id,
    members.c.slug,
    records.c.identifier,
    records.c.work_id,
    records.c.datestamp,
    records.c.deleted,
).join(members, members.c.id == records.c.member_id)


def _record(row: Any) -> StoredRecord:
    number, public_id, *others = row
    return StoredRecord(number, encode_public_id(public_id), *others)


def _this(form: StoredForm) -> ColumnElement[bool]:
    """The form, as long as no later page has brought another."""
    return and_(forms.c.record_id == form.record, forms.c.prefix == form.prefix, forms.c.page_id == form.page)


def _among(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Collection[int]
) -> Iterator[Any]:
    if not values:
        return iter(())
    return iter(connection.execute(query.where(is_among(column)), pack_values(connection, sorted(values))).all())


def _is_whole(deleted: bool, hash_: bytes, xml: bytes | None, abouts: bytes | None) -> bool:
    decompressor = zstandard.ZstdDecompressor()
    try:
        if abouts:
            decompressor.decompress(abouts)
        if not xml:
            return deleted
        return blake2b(decompressor.decompress(xml), digest_size=16).digest() == hash_
    except (zstandard.ZstdError, MemoryError):  # the latter by a damaged length
        return False
