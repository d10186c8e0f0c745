"""A page of records committed as one transaction: added, changed, unchanged and deleted told apart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import zstandard
from sqlalchemy import Connection, Insert, Integer, Table, and_, bindparam, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from harvester.catalogue.abouts import is_news, pack_abouts
from harvester.catalogue.clock import expect_datestamp, take_datestamp
from harvester.catalogue.database import Catalogue, Row, execute, insert_rows, is_among, pack_values
from harvester.catalogue.lists import SUPERSEDED
from harvester.catalogue.members import Member
from harvester.catalogue.public_ids import make_public_id
from harvester.catalogue.tables import forms, harvests, lists, members, pages, problems, records
from harvester.catalogue.takedowns import is_up
from harvester.datestamps import format_datestamp, response_moment
from harvester.errors import CatalogueError, HarvestSupersededError
from harvester.oai.page import Page, Record

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Fetched:
    """Where a page came from: its request, answer and place in the archive. `fetched_at` is our clock's."""

    archive_key: str
    url: str
    status: int
    size: int
    fetched_at: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What a page did to the catalogue; `records` is the sum of the others."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0

    @property
    def records(self) -> int:
        """Every record that the page listed."""
        return self.added + self.changed + self.unchanged + self.deleted + self.failed

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def commit_page(  # noqa: PLR0913 - what one transaction holds
    catalogue: Catalogue,
    *,
    harvest_id: int,
    member: Member,
    list_id: int,
    prefix: str,
    page: Page,
    fetched: Fetched,
    packed: Sequence[PackedRecord] | None = None,
    moves: bool = True,
    new: int | None = None,
    reached: str | None = None,
    resumed: bool = False,
) -> Counts:
    """The page, its records, the run's counts and the list's position stand in the catalogue, or none of it does.

    `packed` is `pack_records(page)`, where it is ready already. With `moves`, the list goes on behind the page, by
    `new` records where the page shows some again, and `reached` is the newest datestamp that it has come to.

    In a walk that was `resumed`, nobody remembers which copy of a record came before: a live and a deleted copy are
    told apart by what the pass has stored.

    Records are told apart by the hash of their metadata and what stands about them; one that came unchanged keeps our
    datestamp. A deletion of a record that we never had is counted as unchanged and leaves no row.

    Raises:
        HarvestSupersededError: another run owns the list by now.
        CatalogueError: the catalogue does not answer; nothing was written.
    """
    arrivals = pack_records(page) if packed is None else packed
    further = page.size if new is None else new
    salts: dict[str, int] = {}
    public_ids = {arrival.identifier: make_public_id(member.slug, arrival.identifier) for arrival in arrivals}
    while True:
        try:
            with catalogue.write(beside=True) as connection:
                if moves and page.verb != "GetRecord":  # asked for by itself, it leaves the list where it is
                    _move_list(connection, list_id, harvest_id, page, fetched, further, reached)
                commit = _PageCommit(connection, member, prefix, catalogue.now(), public_ids, resumed=resumed)
                counts = commit.store(arrivals, page, harvest_id, list_id, fetched)
                _count_page(connection, harvest_id, counts, catalogue.now())
                commit.take_clock()
                return counts
        except CatalogueError as error:
            if not isinstance(error.__cause__, IntegrityError | sqlite3.IntegrityError):
                raise
            if "pk_records" in str(error) and _settle_numbers(catalogue):
                continue
            if "public_id" not in str(error) or not _salt_collisions(catalogue, member, arrivals, salts):
                raise
            public_ids |= {name: make_public_id(member.slug, name, salt) for name, salt in salts.items()}


def _salt_collisions(
    catalogue: Catalogue, member: Member, arrivals: Sequence[PackedRecord], salts: dict[str, int]
) -> bool:
    """Those arrivals whose public ids other records have get another salt; True if there were any."""
    with catalogue.read() as connection:
        wanted: dict[int, str] = {}
        collided = []
        for arrival in arrivals:
            number = make_public_id(member.slug, arrival.identifier, salts.get(arrival.identifier, 0))
            if wanted.setdefault(number, arrival.identifier) != arrival.identifier:
                collided.append(arrival.identifier)
        query = select(records.c.public_id, records.c.member_id, records.c.identifier)
        collided += [
            wanted[row.public_id]
            for row in connection.execute(query.where(is_among(records.c.public_id)), pack_values(connection, wanted))
            if (row.member_id, row.identifier) != (member.id, wanted[row.public_id])
        ]
    for identifier in collided:
        salts[identifier] = salts.get(identifier, 0) + 1
    return bool(collided)


def _take_numbers(connection: Connection, count: int) -> list[int]:
    """Numbers for so many new records, which no other transaction takes."""
    if connection.dialect.name == "postgresql":
        return execute(connection, _NEXT_NUMBERS, {"count": count}).values
    last = execute(connection, _LAST_NUMBER, {}).value or 0  # nobody else writes
    return list(range(last + 1, last + 1 + count))


def _settle_numbers(catalogue: Catalogue) -> bool:
    """PostgreSQL counts on from the last record: rows that came with numbers of their own have not moved its count."""
    if catalogue.engine.dialect.name != "postgresql":
        return False
    with catalogue.write() as connection:
        connection.execute(_SETTLE_NUMBERS)
    return True


def commit_failed_page(
    catalogue: Catalogue, *, harvest_id: int, list_id: int | None, fetched: Fetched, error: str
) -> None:
    """A page that is no answer is on record, with its bytes' place and what was wrong with it.

    Raises:
        HarvestSupersededError: the run has been ended by another; nothing was written.
    """
    with catalogue.write(beside=True) as connection:
        execute(connection, _INSERT_PAGE, _page_row(harvest_id, list_id, fetched, "", 0, error))
        _count_page(connection, harvest_id, Counts(), catalogue.now())


class PackedRecord(NamedTuple):
    """A record as it comes in, compressed before the transaction begins."""

    identifier: str
    datestamp: str
    deleted: bool
    hash: bytes
    set_specs: str
    xml: bytes | None
    abouts: bytes | None


def pack_records(page: Page) -> tuple[PackedRecord, ...]:
    """The page's records as they are stored, each identifier once. Needs no catalogue, and is half of the work."""
    chosen: dict[str, Record] = {}
    for record in page.records:
        earlier = chosen.get(record.header.identifier)
        if earlier is None or _wins(record, earlier):
            chosen[record.header.identifier] = record
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        # Level 3 takes a fifth longer for as many bytes: records are small.
        compressor = _local.compressor = zstandard.ZstdCompressor(level=1)
    return tuple(_pack(record, compressor) for record in chosen.values())


def _pack(record: Record, compressor: zstandard.ZstdCompressor) -> PackedRecord:
    header = record.header
    return PackedRecord(
        identifier=header.identifier,
        datestamp=header.datestamp[:40],
        deleted=header.deleted,
        hash=record.hash,
        set_specs="\n".join(header.set_specs),
        xml=None if record.metadata is None else compressor.compress(record.metadata),
        abouts=pack_abouts(record.abouts, compressor),
    )


def _wins(record: Record, earlier: Record) -> bool:
    """One identifier twice in a page: the later datestamp wins, the live one on a tie."""
    one, other = record.header, earlier.header
    return (one.datestamp, not one.deleted) >= (other.datestamp, not other.deleted)


def _loses(arrival: PackedRecord, row: Any) -> bool:
    """Whether it is the twin, dead or alive, of a stored copy that would be the better one, if it is of this pass."""
    if row.hash is None or arrival.deleted == row.form_deleted:
        return False
    return (arrival.datestamp, not arrival.deleted) < (row.source_datestamp, not row.form_deleted)


class _PageCommit:
    """One page's transaction: looks up what is there, sorts the arrivals, writes each kind in one statement.

    The clock's row is taken last, and only where a record has been stamped: others wait for it.
    """

    def __init__(
        self,
        connection: Connection,
        member: Member,
        prefix: str,
        now: int,
        public_ids: dict[str, int],
        *,
        resumed: bool,
    ) -> None:
        self.connection = connection
        self.member = member
        self.prefix = prefix
        self.now = now
        self.public_ids = public_ids
        self.resumed = resumed
        self.revived = 0  # of the changed ones: records that were tombstones
        self.datestamp = 0  # the clock's, as far as one can tell before it is taken
        self.added: list[int] = []
        self.stamped: list[int] = []

    def store(
        self, arrivals: Sequence[PackedRecord], page: Page, harvest_id: int, list_id: int, fetched: Fetched
    ) -> Counts:
        """All of the page's records stand, and their counts are returned."""
        row = _page_row(harvest_id, list_id, fetched, page.response_date[:40], page.size, None)
        page_id = int(execute(self.connection, _INSERT_PAGE, row).value)
        present = self._find_present([arrival.identifier for arrival in arrivals])
        known = [(arrival, present[arrival.identifier]) for arrival in arrivals if arrival.identifier in present]
        new = [arrival for arrival in arrivals if arrival.identifier not in present and not arrival.deleted]
        if self.resumed:
            known = self._without_losers(known, list_id)
        stamped = self._change(known, page_id)
        if new or stamped:
            self.datestamp = expect_datestamp(self.connection, self.now)
        self._add(new, page_id)
        changed, deleted = self._stamp(stamped)
        _count_live(self.connection, self.member, len(new) + self.revived - deleted, deleted - self.revived)
        if page.failed:
            execute(
                self.connection,
                _INSERT_PROBLEM,
                [
                    {
                        "harvest_id": harvest_id,
                        "page_id": page_id,
                        "code": failed.code,
                        "identifier": failed.identifier,
                        "cause": failed.cause,
                    }
                    for failed in page.failed
                ],
            )
        return Counts(
            added=len(new),
            changed=changed,
            deleted=deleted,
            unchanged=len(page.records) - len(new) - changed - deleted,
            failed=len(page.failed),
        )

    def take_clock(self) -> None:
        """The stamped records bear the datestamp of this commit, and no other commit comes between until it ends."""
        if not (self.added or self.stamped):
            return
        datestamp = take_datestamp(self.connection, self.datestamp)
        if datestamp == self.datestamp:
            return
        values: Row = {"new_datestamp": datestamp}
        these = pack_values(self.connection, self.added + self.stamped)
        execute(self.connection, _STAMP_AGAIN, {**values, **these})
        execute(self.connection, _ADD_AGAIN, {**values, **pack_values(self.connection, self.added)})

    def _find_present(self, identifiers: list[str]) -> dict[str, Any]:
        parameters = {"member": self.member.id, "with_prefix": self.prefix, **pack_values(self.connection, identifiers)}
        return {row.identifier: row for row in execute(self.connection, _PRESENT, parameters)}

    def _without_losers(self, known: list[tuple[PackedRecord, Any]], list_id: int) -> list[tuple[PackedRecord, Any]]:
        among = [row.id for arrival, row in known if _loses(arrival, row)]
        if not among:
            return known
        parameters = {"this_list": list_id, "with_prefix": self.prefix, **pack_values(self.connection, among)}
        better = set(execute(self.connection, _OF_THIS_PASS, parameters).values)
        return [(arrival, row) for arrival, row in known if row.id not in better]

    def _add(self, new: list[PackedRecord], page_id: int) -> None:
        if not new:
            return
        member_id, datestamp = self.member.id, self.datestamp
        self.added = _take_numbers(self.connection, len(new))
        rows = [  # as the table has its columns
            (number, self.public_ids[name], member_id, name, number, datestamp, datestamp, source, False)
            for number, (name, source, *_) in zip(self.added, new, strict=True)
        ]
        insert_rows(self.connection, records, rows)
        new_forms = [self._form_row(number, arrival, page_id) for number, arrival in zip(self.added, new, strict=True)]
        insert_rows(self.connection, forms, new_forms)

    def _form_row(self, number: int, arrival: PackedRecord, page_id: int) -> tuple[Any, ...]:
        """As the table has its columns."""
        _, _, deleted, metadata_hash, set_specs, xml, abouts = arrival
        return number, self.prefix, page_id, metadata_hash, deleted, set_specs, xml, abouts

    def _change(self, known: list[tuple[PackedRecord, Any]], page_id: int) -> list[dict[str, Any]]:
        """The forms are as they came; the rows of the records that have changed by that, to be stamped."""
        stamped: list[dict[str, Any]] = []
        new_forms: list[tuple[Any, ...]] = []
        payloads, gone = [], []
        quiet: list[dict[str, Any]] = []
        for arrival, row in known:
            key = {"key_id": row.id, "key_prefix": self.prefix}
            stamp = {"key_id": row.id, "new_source": arrival.datestamp}
            if arrival.deleted and row.hash is not None and not row.form_deleted:
                gone.append({**key, "new_page": page_id})
                stamped.append({**stamp, "was_deleted": row.deleted})
            elif not arrival.deleted and row.hash is None:
                new_forms.append(self._form_row(row.id, arrival, page_id))
                stamped.append({**stamp, "was_deleted": row.deleted})
            elif not arrival.deleted and (
                row.form_deleted or row.hash != arrival.hash or is_news(arrival.abouts, row.abouts)
            ):
                form = self._form_row(row.id, arrival, page_id)
                payloads.append({**key, **dict(zip(_NEW_FORM, form, strict=True))})
                stamped.append({**stamp, "was_deleted": row.deleted})
            else:
                # Deleted headers carry no sets (EPrints): the last known ones stay.
                set_specs = row.set_specs if arrival.deleted else arrival.set_specs
                if (row.source_datestamp, row.set_specs) != (arrival.datestamp, set_specs):
                    quiet.append({**key, "new_source": arrival.datestamp, "new_set_specs": set_specs})
        if new_forms:
            insert_rows(self.connection, forms, new_forms)
        if payloads:
            execute(self.connection, _UPDATE_FORM, payloads)
        if gone:
            execute(self.connection, _DELETE_FORM, gone)
        if quiet:
            execute(self.connection, _UPDATE_SETS, quiet)
            execute(self.connection, _UPDATE_SOURCE, quiet)
        return stamped

    def _stamp(self, stamped: list[dict[str, Any]]) -> tuple[int, int]:
        """How many were changed, and how many were deleted."""
        if not stamped:
            return 0, 0
        self.stamped = [row["key_id"] for row in stamped]
        live = set(execute(self.connection, _LIVE, pack_values(self.connection, self.stamped)).values)
        deleted = 0
        for row in stamped:
            row["new_datestamp"] = self.datestamp
            row["new_deleted"] = row["key_id"] not in live
            was_deleted = row.pop("was_deleted")
            deleted += row["new_deleted"] > was_deleted
            self.revived += was_deleted > row["new_deleted"]
        execute(self.connection, _STAMP_RECORD, stamped)
        return len(stamped) - deleted, deleted


_PRESENT = (
    select(
        records.c.identifier,
        records.c.id,
        records.c.deleted,
        records.c.source_datestamp,
        forms.c.hash,
        forms.c.deleted.label("form_deleted"),
        forms.c.set_specs,
        forms.c.abouts,
    )
    .outerjoin(forms, and_(forms.c.record_id == records.c.id, forms.c.prefix == bindparam("with_prefix")))
    .where(records.c.member_id == bindparam("member"))
    .where(is_among(records.c.identifier))
)
# An older pass's copy tells nothing: of dates by the day, a deletion may bear the date of what was there before.
_OF_THIS_PASS = (
    select(forms.c.record_id)
    .join(pages, pages.c.id == forms.c.page_id)
    .join(lists, lists.c.id == pages.c.list_id)
    .where(lists.c.id == bindparam("this_list"), pages.c.response_date >= lists.c.pass_started)
    .where(forms.c.prefix == bindparam("with_prefix"), is_among(forms.c.record_id))
)
_LAST_NUMBER = select(func.max(records.c.id))
_NEXT_NUMBERS = text("SELECT nextval('records_id_seq') FROM generate_series(1, :count)")
_SETTLE_NUMBERS = text("SELECT setval('records_id_seq', max(id)) FROM records")
_LIVE = select(forms.c.record_id).where(
    is_among(forms.c.record_id), forms.c.deleted.is_(False), is_up(forms.c.record_id)
)


def _insert(table: Table, *, numbered: bool = False) -> Insert:
    """A row of all columns; where the database numbers the rows, of all but `id`."""
    return insert(table).values({c.name: bindparam(c.name) for c in table.c if not (numbered and c.name == "id")})


_INSERT_PAGE = _insert(pages, numbered=True).returning(pages.c.id)
_INSERT_PROBLEM = _insert(problems, numbered=True)
_THIS_FORM = and_(forms.c.record_id == bindparam("key_id"), forms.c.prefix == bindparam("key_prefix"))
_UPDATE_FORM = (
    update(forms)
    .where(_THIS_FORM)
    .values(
        {
            forms.c[name]: bindparam(f"new_{name}")
            for name in ("page_id", "hash", "deleted", "set_specs", "xml", "abouts")
        }
    )
)
_NEW_FORM = tuple(f"new_{column.name}" for column in forms.c)
_DELETE_FORM = update(forms).where(_THIS_FORM).values(deleted=True, page_id=bindparam("new_page"))
_UPDATE_SETS = update(forms).where(_THIS_FORM).values(set_specs=bindparam("new_set_specs"))
_THIS_RECORD = records.c.id == bindparam("key_id")
_UPDATE_SOURCE = update(records).where(_THIS_RECORD).values(source_datestamp=bindparam("new_source"))
_STAMP_RECORD = (
    update(records)
    .where(_THIS_RECORD)
    .values(
        datestamp=bindparam("new_datestamp"),
        source_datestamp=bindparam("new_source"),
        deleted=bindparam("new_deleted"),
    )
)
_STAMP_AGAIN = update(records).where(is_among(records.c.id)).values(datestamp=bindparam("new_datestamp"))
_ADD_AGAIN = update(records).where(is_among(records.c.id)).values(added=bindparam("new_datestamp"))


def _move_list(
    connection: Connection,
    list_id: int,
    harvest_id: int,
    page: Page,
    fetched: Fetched,
    further: int,
    reached: str | None,
) -> None:
    """The list's position is after this page, if the run still owns the list."""
    moved = execute(
        connection,
        _MOVE_LIST,
        {
            "this_list": list_id,
            "owner": harvest_id,
            "new_token": page.next_token or None,
            "started": format_datestamp(response_moment(page.response_date, fetched.fetched_at)),
            "more": further,
            "reached": reached,
            "size": page.token.complete_list_size if page.token else None,
        },
    )
    if not moved.rowcount:
        raise HarvestSupersededError(SUPERSEDED)


_MOVE_LIST = (
    update(lists)
    .where(lists.c.id == bindparam("this_list"), lists.c.harvest_id == bindparam("owner"))
    .values(
        token=bindparam("new_token"),
        pass_started=func.coalesce(lists.c.pass_started, bindparam("started")),
        pass_received=lists.c.pass_received + bindparam("more"),
        reached=bindparam("reached"),
        # What was promised first: further pages may speak of another list, their token's filters forgotten.
        pass_size=func.coalesce(lists.c.pass_size, bindparam("size", type_=Integer)),
    )
)


def _page_row(
    harvest_id: int, list_id: int | None, fetched: Fetched, response_date: str, size: int, error: str | None
) -> dict[str, Any]:
    return {
        "harvest_id": harvest_id,
        "list_id": list_id,
        "archive_key": fetched.archive_key,
        "url": fetched.url,
        "fetched_at": fetched.fetched_at,
        "response_date": response_date,
        "status": fetched.status,
        "size": fetched.size,
        "records": size,
        "error": error,
    }


_COUNTED = ("records", "added", "changed", "unchanged", "deleted", "failed")
_COUNT_PAGE = (
    update(harvests)
    .where(harvests.c.id == bindparam("this_harvest"), harvests.c.outcome.is_(None))
    .values(
        heartbeat=bindparam("now"),
        pages=harvests.c.pages + 1,
        **{name: harvests.c[name] + bindparam(f"more_{name}") for name in _COUNTED},
    )
)


def _count_page(connection: Connection, harvest_id: int, counts: Counts, now: int) -> None:
    more = {f"more_{name}": getattr(counts, name) for name in _COUNTED} | {"now": now}
    if not execute(connection, _COUNT_PAGE, {"this_harvest": harvest_id, **more}).rowcount:
        raise HarvestSupersededError(SUPERSEDED)


_COUNT_LIVE = (
    update(members)
    .where(members.c.id == bindparam("this_member"))
    .values(live=members.c.live + bindparam("more_live"), tombstones=members.c.tombstones + bindparam("more_dead"))
)


def _count_live(connection: Connection, member: Member, live: int, tombstones: int) -> None:
    """The member has so many more live records, and so many more tombstones; both may be negative."""
    if live or tombstones:
        more = {"this_member": member.id, "more_live": live, "more_dead": tombstones}
        execute(connection, _COUNT_LIVE, more)


def delete_records(catalogue: Catalogue, member: Member, batch: int = 1000) -> int:
    """Every live record of the member is a tombstone with a new datestamp; how many there were."""
    total = 0
    while True:
        with catalogue.write() as connection:
            some = (
                select(records.c.id).where(records.c.member_id == member.id, records.c.deleted.is_(False)).limit(batch)
            )
            numbers = connection.execute(some).scalars().all()
            if not numbers:
                return total
            datestamp = take_datestamp(connection, catalogue.now())
            these = pack_values(connection, numbers)
            gone = update(records).where(is_among(records.c.id)).values(deleted=True, datestamp=datestamp)
            connection.execute(gone, these)
            connection.execute(update(forms).where(is_among(forms.c.record_id)).values(deleted=True), these)
            _count_live(connection, member, -len(numbers), len(numbers))
            total += len(numbers)
