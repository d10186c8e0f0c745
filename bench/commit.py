"""Pages of new records committed to a catalogue of two million, against bare SQLite upserting the same."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any

import zstandard
from sqlalchemy import event
from sqlalchemy.schema import CreateIndex, CreateTable

from bench.figures import Figure, Report, medians, seconds
from bench.material import MEMBERS, dublin_core, iter_made, prepared
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest, get_lists
from harvester.catalogue.members import Member, add_member, list_members
from harvester.catalogue.public_ids import make_public_id
from harvester.catalogue.tables import metadata
from harvester.oai.page import Header, Page, Record

_PAGE = 100
_PAGES = 40  # of one round
_BLOBS = 2000  # different payloads in the prefilled catalogues
_PEER = """CREATE TABLE records (
    member INTEGER NOT NULL, identifier TEXT NOT NULL, datestamp TEXT NOT NULL, xml BLOB, UNIQUE (member, identifier)
)"""
_UPSERT = """INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (member, identifier)
    DO UPDATE SET datestamp = excluded.datestamp, xml = excluded.xml"""
_DATESTAMP = "2025-03-14T08:09:10Z"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a member's pages go."""

    member: Member
    harvest_id: int
    list_id: int


def measure(*, quick: bool) -> Report:
    """Pages a second of both, and where ours spends its time."""
    rows, rounds = (100_000, 2) if quick else (2_000_000, 7)
    folder = _prefilled(rows)
    with (
        closing(open_catalogue(f"sqlite:///{folder / 'catalogue.sqlite'}")) as catalogue,
        closing(_open_peer(folder)) as peer,
    ):
        places = _places(catalogue)
        pages = _iter_pages(_first_number(peer))

        def ours() -> float:
            some = list(islice(pages, _PAGES))
            begin = time.perf_counter()
            for at, page in some:
                _commit(catalogue, places[at], at, page)
            return _PAGES / (time.perf_counter() - begin)

        def theirs() -> float:
            some = [_peer_rows(at, page) for at, page in islice(pages, _PAGES)]
            begin = time.perf_counter()
            for rows_ in some:
                peer.execute("BEGIN IMMEDIATE")
                peer.executemany(_UPSERT, rows_)
                before = time.perf_counter()
                peer.execute("COMMIT")
                synced.append(time.perf_counter() - before)
            return _PAGES / (time.perf_counter() - begin)

        synced: list[float] = []
        medians(1, ours, theirs)  # the files are warm
        speed, bare = medians(rounds, ours, theirs)
        parts, whole = _parts_of_commit(catalogue, places, list(islice(pages, _PAGES)))
    return Report(
        f"`commit_page` with ready pages of {_PAGE} new records, a catalogue of {rows:,} records, synchronous=FULL, "
        "against bare `sqlite3`: one table with a unique (member, identifier), payloads compressed beforehand, "
        f"executemany of {_PAGE} upserts a transaction, synchronous=FULL, WAL, the same cache. Median of {rounds} "
        f"rounds of {_PAGES} pages, by turns. The parts are of one more round of ours, in ms a page.",
        (
            Figure("commit_page against bare SQLite", speed / bare, "x", at_least=0.5),
            Figure("commit_page", speed * _PAGE, "records/s"),
            Figure("bare SQLite", bare * _PAGE, "records/s"),
            Figure("bare SQLite, one page: all", 1000 / bare, "ms"),
            Figure("bare SQLite, one page: commit with fsync", 1000 * mean(synced), "ms"),
            Figure("one page: all", whole, "ms"),
            *(Figure(f"one page: {name}", took, "ms") for name, took in parts.items()),
            Figure("one page: the rest, Python and SQLAlchemy", whole - sum(parts.values()), "ms"),
        ),
    )


def _commit(catalogue: Catalogue, place: _Place, number: int, page: Page) -> None:
    commit_page(
        catalogue,
        harvest_id=place.harvest_id,
        member=place.member,
        list_id=place.list_id,
        prefix="oai_dc",
        page=page,
        fetched=Fetched(
            f"pages/{place.member.slug}/{number}", place.member.base_url, 200, 200_000, int(time.time())
        ),
    )


def _iter_pages(number: int) -> Iterator[tuple[int, Page]]:
    """Pages of new records without end, of each member in turn, with the member's place."""
    payloads = [dublin_core(made).encode() for made in islice(iter_made(), _BLOBS)]
    while True:
        for at in range(MEMBERS):
            records = []
            for one in range(number, number + _PAGE):
                payload = payloads[(one * 7 + at) % _BLOBS]
                header = Header(_identifier(at, one), _DATESTAMP, ("7374617475733D707562",))
                records.append(Record(header, payload, blake2b(payload, digest_size=16).digest()))
            yield at, Page("ListRecords", _DATESTAMP, tuple(records))
        number += _PAGE


def _identifier(at: int, number: int) -> str:
    return f"oai:repository{at}.example.ac.id:{number}"


def _peer_rows(at: int, page: Page) -> list[tuple[object, ...]]:
    compressor = zstandard.ZstdCompressor(level=3)
    return [
        (at, record.header.identifier, record.header.datestamp, compressor.compress(record.metadata or b""))
        for record in page.records
    ]


def _places(catalogue: Catalogue) -> list[_Place]:
    places = []
    with catalogue.write() as connection:
        for member in sorted(list_members(connection), key=lambda member: member.id):
            harvest_id = begin_harvest(connection, member, catalogue.now(), full=True)
            places.append(_Place(member, harvest_id, get_lists(connection, harvest_id)[0].id))
    return places


def _parts_of_commit(
    catalogue: Catalogue, places: list[_Place], pages: list[tuple[int, Page]]
) -> tuple[dict[str, float], float]:
    """Milliseconds a page, by part, and of all of it."""
    spent: defaultdict[str, float] = defaultdict(float)
    with _watched(catalogue, spent):
        begin = time.perf_counter()
        for at, page in pages:
            _commit(catalogue, places[at], at, page)
        whole = time.perf_counter() - begin
    compressor = zstandard.ZstdCompressor(level=3)
    payloads = [record.metadata or b"" for _, page in pages for record in page.records]
    spent["compression"] = seconds(lambda: [compressor.compress(payload) for payload in payloads])
    return {name: took * 1000 / len(pages) for name, took in sorted(spent.items())}, whole * 1000 / len(pages)


@contextmanager
def _watched(catalogue: Catalogue, spent: defaultdict[str, float]) -> Iterator[None]:
    """Meanwhile the time of every statement in the driver is added up by its kind; COMMIT holds the fsync."""
    begun = [0.0]
    kinds = {
        "SELECT": "lookup",
        "INSERT": "insert",
        "UPDATE": "update of counts, clock and list",
        "BEGIN": "begin",
    }

    def before(*_: Any) -> None:
        begun[0] = time.perf_counter()

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        spent[kinds[statement.split(None, 1)[0].upper()]] += time.perf_counter() - begun[0]

    dialect = catalogue.engine.dialect
    bare = dialect.do_commit

    def commit(connection: Any) -> None:
        spent["commit with fsync"] += seconds(lambda: bare(connection))

    event.listen(catalogue.engine, "before_cursor_execute", before)
    event.listen(catalogue.engine, "after_cursor_execute", after)
    dialect.do_commit = commit  # type: ignore[assignment,method-assign]  # SQLAlchemy tells of a commit only before it begins
    try:
        yield
    finally:
        dialect.do_commit = bare  # type: ignore[method-assign]  # as it was
        event.remove(catalogue.engine, "before_cursor_execute", before)
        event.remove(catalogue.engine, "after_cursor_execute", after)


def _prefilled(rows: int) -> Path:
    """The folder of a catalogue and a peer of so many records."""
    tables = [str(CreateTable(table)) for table in metadata.sorted_tables]
    options = [str(table.dialect_options["sqlite"]["with_rowid"]) for table in metadata.sorted_tables]
    indexes = sorted(str(CreateIndex(index)) for table in metadata.sorted_tables for index in table.indexes)
    key = blake2b("".join([*tables, *options, *indexes, _PEER]).encode(), digest_size=6).hexdigest()
    return prepared(f"commit-{rows}", key, lambda folder: _fill(folder, rows))


def _fill(folder: Path, rows: int) -> None:
    path = folder / "catalogue.sqlite"
    with closing(open_catalogue(f"sqlite:///{path}")) as catalogue, catalogue.write() as connection:
        members = [
            add_member(connection, Member(f"member-{at:02}", f"Member {at}", f"http://r{at}.example.ac.id/oai"), 1)
            for at in range(MEMBERS)
        ]
        harvest_id = begin_harvest(connection, members[0], 1)
    compressor = zstandard.ZstdCompressor(level=3)
    payloads = [dublin_core(made).encode() for made in islice(iter_made(), _BLOBS)]
    blobs = [(blake2b(payload, digest_size=16).digest(), compressor.compress(payload)) for payload in payloads]
    each = rows // MEMBERS
    with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(folder / "peer.sqlite")) as peer:
        peer.execute("PRAGMA journal_mode=WAL")
        peer.execute(_PEER)
        for connection_ in (ours, peer):
            connection_.execute("PRAGMA synchronous=OFF")
            connection_.execute("PRAGMA cache_size=-1000000")
        ours.execute(
            "INSERT INTO pages (harvest_id, archive_key, url, fetched_at, response_date, status, size, records)"
            " VALUES (?, 'pages/0', 'http://r.example.ac.id/oai', 1, ?, 200, 1, 1)",
            (harvest_id, _DATESTAMP),
        )
        for at, member in enumerate(members):
            ids = range(at * each + 1, (at + 1) * each + 1)
            names = [_identifier(at, number) for number in range(1, each + 1)]
            ours.executemany(
                "INSERT INTO records (id, public_id, member_id, identifier, work_id, datestamp, added,"
                " source_datestamp, deleted) VALUES (?, ?, ?, ?, ?, 1700000000, 1700000000, ?, 0)",
                (
                    (id_, make_public_id(member.slug, name), member.id, name, id_, _DATESTAMP)
                    for id_, name in zip(ids, names, strict=True)
                ),
            )
            ours.executemany(
                "INSERT INTO forms (record_id, prefix, page_id, hash, deleted, set_specs, xml)"
                " VALUES (?, 'oai_dc', 1, ?, 0, '7374617475733D707562', ?)",
                ((id_, *blobs[id_ % _BLOBS]) for id_ in ids),
            )
            peer.executemany(
                _UPSERT, ((at, name, _DATESTAMP, blobs[n % _BLOBS][1]) for n, name in zip(ids, names, strict=True))
            )
            ours.commit()
            peer.commit()


def _first_number(peer: sqlite3.Connection) -> int:
    """A number from which on no member has records in either file."""
    (count,) = peer.execute("SELECT max(rowid) FROM records").fetchone()
    return int(count) * 2 // MEMBERS + 1


def _open_peer(folder: Path) -> sqlite3.Connection:
    peer = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "temp_store=MEMORY"):
        peer.execute(f"PRAGMA {pragma}")
    return peer
