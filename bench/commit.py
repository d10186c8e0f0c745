"""Pages of new records committed to a catalogue of two million, against bare SQLite upserting the same rows."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count, islice
from pathlib import Path
from typing import TypeAlias

import zstandard
from sqlalchemy.schema import CreateIndex, CreateTable

from bench.figures import Figure, Report, medians
from bench.material import MEMBERS, dublin_core, iter_made, prepared
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.commit import Fetched, PackedRecord, commit_page, pack_records
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member, list_members
from harvester.catalogue.public_ids import make_public_id
from harvester.catalogue.tables import metadata
from harvester.oai.page import Header, Page, Record

_PAGE = 100
_PAGES = 40  # of one round
_BLOBS = 2000  # different payloads in the prefilled catalogues
_DATESTAMP = "2025-03-14T08:09:10Z"
_RECORD = """INSERT INTO records
    (id, public_id, member_id, identifier, work_id, datestamp, added, source_datestamp, deleted)
    VALUES (?, ?, ?, ?, ?, 1700000000, 1700000000, ?, 0)
    ON CONFLICT (member_id, identifier) DO UPDATE SET datestamp = excluded.datestamp"""
_FORM = """INSERT INTO forms (record_id, prefix, page_id, hash, deleted, set_specs, xml)
    VALUES (?, 'oai_dc', 1, ?, 0, ?, ?)
    ON CONFLICT (record_id, prefix) DO UPDATE SET hash = excluded.hash, xml = excluded.xml"""
_SETS = "7374617475733D707562"


Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member's pages go."""

    member: Member
    harvest_id: int
    list_id: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A page of new records with their payloads compressed, for both to store."""

    at: int
    page: Page
    packed: tuple[PackedRecord, ...]


def measure(*, quick: bool) -> Report:
    """Pages a second of both."""
    rows, rounds = (100_000, 2) if quick else (2_000_000, 7)
    folder = _prefilled(rows)
    with (
        closing(open_catalogue(f"sqlite:///{folder / 'catalogue.sqlite'}")) as catalogue,
        closing(_open_peer(folder)) as peer,
    ):
        places = list_places(catalogue)
        pages = iter_pages(_first_number(peer))
        numbers = count(_first_number(peer) * MEMBERS)

        def ours() -> float:
            some = list(islice(pages, _PAGES))
            begin = time.perf_counter()
            for number, ready in enumerate(some):
                commit_ready(catalogue, places[ready.at], number, ready)
            return _PAGES / (time.perf_counter() - begin)

        def theirs() -> float:
            some = [make_rows(places[ready.at].member, numbers, ready) for ready in islice(pages, _PAGES)]
            begin = time.perf_counter()
            for records, forms in some:
                peer.execute("BEGIN IMMEDIATE")
                peer.executemany(_RECORD, records)
                peer.executemany(_FORM, forms)
                peer.execute("COMMIT")
            return _PAGES / (time.perf_counter() - begin)

        medians(1, ours, theirs)  # the files are warm
        speed, bare = medians(rounds, ours, theirs)
    return Report(
        f"`commit_page` with pages of {_PAGE} new records into a catalogue of {rows:,}, synchronous=FULL, against bare "
        "`sqlite3` upserting the same rows into a copy of the same two tables with their indexes, by two executemany a "
        "transaction, synchronous=FULL, WAL, the same cache; nothing looked up, stamped or counted. Payloads are "
        f"compressed beforehand for both. Median of {rounds} rounds of {_PAGES} pages, by turns.",
        (
            Figure("commit_page against bare SQLite", speed / bare, "x", at_least=0.5),
            Figure("commit_page", speed * _PAGE, "records/s"),
            Figure("bare SQLite", bare * _PAGE, "records/s"),
        ),
    )


def commit_ready(catalogue: Catalogue, place: Place, number: int, ready: Ready) -> None:
    """The page stands in the catalogue."""
    key = f"pages/{place.member.slug}/{number}"
    commit_page(
        catalogue,
        harvest_id=place.harvest_id,
        member=place.member,
        list_id=place.list_id,
        prefix="oai_dc",
        page=ready.page,
        fetched=Fetched(key, place.member.base_url, 200, 200_000, int(time.time())),
        packed=ready.packed,
    )


def iter_pages(number: int) -> Iterator[Ready]:
    """Pages of new records without end, of each member in turn, with the member's place."""
    payloads = [dublin_core(made).encode() for made in islice(iter_made(), _BLOBS)]
    while True:
        for at in range(MEMBERS):
            records = []
            for one in range(number, number + _PAGE):
                payload = payloads[(one * 7 + at) % _BLOBS]
                header = Header(_identifier(at, one), _DATESTAMP, (_SETS,))
                records.append(Record(header, payload, blake2b(payload, digest_size=16).digest()))
            page = Page("ListRecords", _DATESTAMP, tuple(records))
            yield Ready(at, page, pack_records(page))
        number += _PAGE


def _identifier(at: int, number: int) -> str:
    return f"oai:repository{at}.example.ac.id:{number}"


def make_rows(member: Member, numbers: Iterator[int], ready: Ready) -> tuple[list[Row], list[Row]]:
    """The same rows that ours would write."""
    records: list[Row] = []
    forms: list[Row] = []
    for packed, number in zip(ready.packed, numbers, strict=False):
        public_id = make_public_id(member.slug, packed.identifier)
        records.append((number, public_id, member.id, packed.identifier, number, packed.datestamp))
        forms.append((number, packed.hash, packed.set_specs, packed.xml))
    return records, forms


def list_places(catalogue: Catalogue) -> list[Place]:
    """Every member's, with a run that has just begun."""
    places = []
    with catalogue.write() as connection:
        for member in sorted(list_members(connection), key=lambda member: member.id):
            harvest_id = begin_harvest(connection, member, catalogue.now(), full=True)
            places.append(Place(member, harvest_id, get_lists(connection, harvest_id)[0].id))
    return places


def _prefilled(rows: int) -> Path:
    """The folder of a catalogue of so many records, and its copy for the peer."""
    tables = [str(CreateTable(table)) for table in metadata.sorted_tables]
    indexes = sorted(str(CreateIndex(index)) for table in metadata.sorted_tables for index in table.indexes)
    key = blake2b("".join([*tables, *indexes, _RECORD, _FORM]).encode(), digest_size=6).hexdigest()
    return prepared(f"commit-{rows}", key, lambda folder: _fill(folder, rows))


def prefill_rows(catalogue: Catalogue, rows: int) -> Iterator[tuple[Iterator[Row], Iterator[Row]]]:
    """The members are registered; so many records in all, and their forms, of each member in turn."""
    with catalogue.write() as connection:
        members = [
            add_member(connection, Member(f"member-{at:02}", f"Member {at}", f"http://r{at}.example.ac.id/oai"), 1)
            for at in range(MEMBERS)
        ]
        begin_harvest(connection, members[0], 1)
    compressor = zstandard.ZstdCompressor(level=3)
    payloads = [dublin_core(made).encode() for made in islice(iter_made(), _BLOBS)]
    blobs = [(blake2b(payload, digest_size=16).digest(), _SETS, compressor.compress(payload)) for payload in payloads]
    each = rows // MEMBERS
    for at, member in enumerate(members):
        names = ((at * each + number, _identifier(at, number)) for number in range(1, each + 1))
        yield (
            ((id_, make_public_id(member.slug, name), member.id, name, id_, _DATESTAMP) for id_, name in names),
            ((id_, *blobs[id_ % _BLOBS]) for id_ in range(at * each + 1, (at + 1) * each + 1)),
        )


def _fill(folder: Path, rows: int) -> None:
    path = folder / "catalogue.sqlite"
    with closing(open_catalogue(f"sqlite:///{path}")) as catalogue, closing(sqlite3.connect(path)) as ours:
        parts = prefill_rows(catalogue, rows)
        ours.execute("PRAGMA synchronous=OFF")
        ours.execute("PRAGMA cache_size=-1000000")
        for records, forms in parts:
            ours.executemany(_RECORD, records)
            ours.executemany(_FORM, forms)
            ours.commit()
        ours.execute(
            "INSERT INTO pages (harvest_id, archive_key, url, fetched_at, response_date, status, size, records)"
            " VALUES (1, 'pages/0', 'http://r.example.ac.id/oai', 1, ?, 200, 1, 1)",
            (_DATESTAMP,),
        )
        ours.commit()
        ours.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, folder / "peer.sqlite")


def _first_number(peer: sqlite3.Connection) -> int:
    """A number from which on no member has records in either file."""
    (last,) = peer.execute("SELECT max(id) FROM records").fetchone()
    return int(last) * 2 // MEMBERS + 1


def _open_peer(folder: Path) -> sqlite3.Connection:
    peer = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-32768", "temp_store=MEMORY"):
        peer.execute(f"PRAGMA {pragma}")
    return peer
