"""Pages of new records committed to a catalogue of two million in PostgreSQL, against bare upserts of the same rows."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count, islice
from typing import Any

import psycopg

from bench.commit import Place, Ready, commit_ready, iter_pages, list_places, make_rows, prefill_rows
from bench.figures import Figure, Report, medians
from bench.material import MEMBERS
from harvester.catalogue import open_catalogue
from tests.services.postgresql import running

_PAGES = 40  # of one round and writer
_RECORD = """INSERT INTO peer.records
    (id, public_id, member_id, identifier, work_id, datestamp, added, source_datestamp, deleted)
    SELECT id, public_id, member_id, identifier, work_id, 1700000000, 1700000000, source_datestamp, false
    FROM unnest(%b::bigint[], %b::bigint[], %b::int[], %b::text[], %b::bigint[], %b::text[])
        AS row (id, public_id, member_id, identifier, work_id, source_datestamp)
    ON CONFLICT (member_id, identifier) DO UPDATE SET datestamp = excluded.datestamp"""
_FORM = """INSERT INTO peer.forms (record_id, prefix, page_id, hash, deleted, set_specs, xml)
    SELECT record_id, 'oai_dc', 1, hash, false, set_specs, xml
    FROM unnest(%b::bigint[], %b::bytea[], %b::text[], %b::bytea[]) AS row (record_id, hash, set_specs, xml)
    ON CONFLICT (record_id, prefix) DO UPDATE SET hash = excluded.hash, xml = excluded.xml"""
_SERVER = ("shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=1h", "synchronous_commit=on")


def measure(*, quick: bool) -> Report:
    """Records a second of both, with one writer and with two."""
    rows, rounds = (100_000, 2) if quick else (2_000_000, 5)
    with ExitStack() as stack:
        url = stack.enter_context(running(*_SERVER)).new_catalogue()
        _fill(url, rows)
        with closing(open_catalogue(url)) as catalogue:
            places = list_places(catalogue)
        writers = [stack.enter_context(_Writer(url, at, rows, places)) for at in range(2)]

        def speed(what: str, of: list[_Writer]) -> Callable[[], float]:
            return lambda: _PAGES * 100 * len(of) / _together(what, of)

        works = [speed(what, of) for of in (writers[:1], writers) for what in ("ours", "theirs")]
        medians(1, *works)  # statements are prepared
        one, bare_one, two, bare_two = medians(rounds, *works)
    return Report(
        f"`commit_page` with pages of 100 new records into a catalogue of {rows:,} in PostgreSQL, fsync and "
        "synchronous_commit on, against psycopg upserting the same rows into a copy of the same two tables with their "
        "indexes (no foreign keys), by two statements a transaction, each column an array; nothing looked up, stamped "
        "or counted. Payloads are compressed beforehand for both. "
        f"Median of {rounds} rounds of {_PAGES} pages a writer, by turns; two writers are two "
        "processes.",
        (
            Figure("commit_page against bare upserts, one writer", one / bare_one, "x", at_least=0.3),
            Figure("commit_page against bare upserts, two writers", two / bare_two, "x", at_least=0.3),
            Figure("commit_page, one writer", one, "records/s"),
            Figure("bare upserts, one writer", bare_one, "records/s"),
            Figure("commit_page, two writers", two, "records/s"),
            Figure("bare upserts, two writers", bare_two, "records/s"),
        ),
    )


def _together(what: str, writers: list[_Writer]) -> float:
    """Seconds until each has done its pages."""
    for writer in writers:
        writer.prepare(what)
    begin = time.perf_counter()
    for writer in writers:
        writer.go()
    for writer in writers:
        writer.wait()
    return time.perf_counter() - begin


class _Writer:
    """A process that writes pages of every second member."""

    def __init__(self, url: str, at: int, rows: int, places: list[Place]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_write, args=(url, at, rows, places, theirs), daemon=True)

    def __enter__(self) -> _Writer:
        self._process.start()
        self.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._line.send("end")
        self._process.join()

    def prepare(self, what: str) -> None:
        self._line.send(what)
        self.wait()

    def go(self) -> None:
        self._line.send("go")

    def wait(self) -> None:
        self._line.recv()


def _write(url: str, at: int, rows: int, places: list[Place], line: Any) -> None:
    numbers = count(rows * (3 + 50 * at))
    with closing(open_catalogue(url)) as catalogue, psycopg.connect(url) as peer:
        mine = (ready for ready in iter_pages(rows * 2 // MEMBERS) if ready.at % 2 == at)
        line.send("ready")
        while (what := line.recv()) != "end":
            some = list(islice(mine, _PAGES))
            work = _ours(catalogue, places, some) if what == "ours" else _theirs(peer, places, numbers, some)
            next(work)
            line.send("prepared")
            line.recv()
            next(work, None)
            line.send("done")


def _ours(catalogue: Any, places: list[Place], some: list[Ready]) -> Iterator[None]:
    yield
    for number, ready in enumerate(some):
        commit_ready(catalogue, places[ready.at], number, ready)


def _theirs(
    peer: psycopg.Connection[Any], places: list[Place], numbers: Iterator[int], some: list[Ready]
) -> Iterator[None]:
    prepared = [
        [list(map(list, zip(*rows, strict=True))) for rows in make_rows(places[ready.at].member, numbers, ready)]
        for ready in some
    ]
    yield
    with peer.cursor() as cursor:
        for records, forms in prepared:
            cursor.execute(_RECORD, records)
            cursor.execute(_FORM, forms)
            peer.commit()


def _fill(url: str, rows: int) -> None:
    with closing(open_catalogue(url)) as catalogue:
        parts = prefill_rows(catalogue, rows)
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for records, forms in parts:
                with cursor.copy(
                    "COPY records (id, public_id, member_id, identifier, work_id, source_datestamp, datestamp, added,"
                    " deleted) FROM STDIN"
                ) as copy:
                    for record in records:
                        copy.write_row((*record, 1_700_000_000, 1_700_000_000, False))
                with cursor.copy(
                    "COPY forms (record_id, hash, set_specs, xml, prefix, page_id, deleted) FROM STDIN"
                ) as copy:
                    for form in forms:
                        copy.write_row((*form, "oai_dc", 1, False))
            cursor.execute(
                "INSERT INTO pages (harvest_id, archive_key, url, fetched_at, response_date, status, size, records)"
                " VALUES (1, 'pages/0', 'http://r.example.ac.id/oai', 1, '2025', 200, 1, 1)"
            )
            cursor.execute("CREATE SCHEMA peer")
            for table in ("records", "forms"):
                cursor.execute(f"CREATE TABLE peer.{table} (LIKE {table} INCLUDING ALL)")  # type: ignore[call-overload]  # names above
                cursor.execute(f"INSERT INTO peer.{table} SELECT * FROM {table}")  # type: ignore[call-overload]  # noqa: S608 - as above
            connection.commit()
            connection.autocommit = True
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
