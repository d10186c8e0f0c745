"""Our OAI-PMH endpoint out of a catalogue of millions: records a second, parts at any depth, single records."""

from __future__ import annotations

import gc
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, replace
from pathlib import Path
from statistics import median
from typing import Any

from flask.testing import FlaskClient

from bench.figures import Figure, Report, own_memory
from bench.material import dublin_core, prepared, read_or_make
from harvester.catalogue import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.public_ids import encode_public_id, make_public_id
from harvester.catalogue.records import CataloguedRecord, Form
from harvester.catalogue.tables import feed
from harvester.settings import Settings
from indexer.feed.prepare import prepare_rows
from web.app import create_app
from web.oai.tokens import Position, read_token, write_token

_FIRST = 1_600_000_000
_A_SECOND = 400  # records of one datestamp
_DISTINCT = 20_000
_PART = 200
_KEY = "bench"


def measure(*, quick: bool) -> Report:
    """The list of everything, walked at its beginning and far behind it, and records one by one."""
    count = 50_000 if quick else 5_000_000
    deep = count // 5
    home = prepared(f"oai-{count}", "1", lambda folder: _fill(folder, count))
    settings = Settings(home=home, secret_key=_KEY, base_url="http://network.example", oai_part=_PART)
    app = create_app(settings)
    client = app.test_client()
    begin = time.process_time()
    first = client.get("/oai?verb=ListRecords&metadataPrefix=oai_dc").text
    counted = time.process_time() - begin
    token = _token_in(first)
    position = read_token(token, "ListRecords", [_KEY])
    far = replace(position, after_at=_FIRST + deep // _A_SECOND - 1, after_id=deep, cursor=deep)
    shallow, at_depth = _time_by_turns(client, position, far, 5 if quick else 40)
    parts, packed = (20, 5) if quick else (300, 40)
    _walk(client, "ListRecords", token, packed)
    before = own_memory()
    rate = _walk(client, "ListRecords", token, parts)
    grown = own_memory() - before
    gzipped = _walk(client, "ListRecords", token, packed, {"Accept-Encoding": "gzip"})
    headers = _token_in(client.get("/oai?verb=ListIdentifiers&metadataPrefix=oai_dc").text)
    marc = _token_in(client.get("/oai?verb=ListRecords&metadataPrefix=marcxml").text)
    one = _single(client, count, 20 if quick else 400)
    figures = (
        Figure("records a second, oai_dc", rate, "records/s", at_least=22_000),
        Figure("records a second, oai_dc packed with gzip", gzipped, "records/s"),
        Figure("records a second, marcxml", _walk(client, "ListRecords", marc, packed), "records/s"),
        Figure("headers a second", _walk(client, "ListIdentifiers", headers, parts), "headers/s"),
        Figure("the second part", shallow * 1000, "ms"),
        Figure(f"the part behind {deep:,} records", at_depth * 1000, "ms"),
        Figure("the deep part against the second", at_depth / shallow, "x", at_most=1.2),
        Figure("the first part, which counts the list", counted * 1000, "ms"),
        Figure("GetRecord, median", median(one) * 1000, "ms", at_most=5),
        Figure("GetRecord, slowest of 100", sorted(one)[-len(one) // 100 - 1] * 1000, "ms"),
        Figure(f"memory that {parts} parts add", grown, "MB"),
    )
    app.extensions["lumbung"].close()
    return Report(
        f"ListRecords, ListIdentifiers and GetRecord of `web.oai` through WSGI in one process and thread, {_PART} "
        f"records a part, out of a SQLite catalogue with {count:,} prepared records (texts of {_DISTINCT:,}). "
        "Processor time.",
        figures,
    )


def _token_in(text: str) -> str:
    found = re.search(r"<resumptionToken[^>]*>([^<]+)<", text)
    assert found, text[:500]
    return found[1]


def _time_by_turns(client: FlaskClient, near: Position, far: Position, rounds: int) -> tuple[float, float]:
    """Median seconds of parts that begin near and far; each part is another one, none is read twice."""
    times: tuple[list[float], list[float]] = ([], [])
    tokens = [write_token(position, [_KEY]) for position in (near, far)]
    for _ in range(rounds):
        for at in (0, 1):
            begin = time.process_time()
            text = client.get(f"/oai?verb=ListRecords&resumptionToken={tokens[at]}").text
            times[at].append(time.process_time() - begin)
            tokens[at] = _token_in(text)
    return median(times[0][1:]), median(times[1][1:])


def _walk(client: FlaskClient, verb: str, token: str, parts: int, headers: dict[str, str] | None = None) -> float:
    """Records a second of processor time over so many parts."""
    gc.collect()
    worked = 0.0
    for _ in range(parts):
        begin = time.process_time()
        answer = client.get(f"/oai?verb={verb}&resumptionToken={token}", headers=headers)
        worked += time.process_time() - begin
        if headers:
            position = read_token(token, verb, [_KEY])
            token = write_token(replace(position, after_id=position.after_id + 1), [_KEY])
        else:
            token = _token_in(answer.text)
    return parts * _PART / worked


def _single(client: FlaskClient, count: int, rounds: int) -> list[float]:
    times = []
    for at in range(rounds):
        public_id = encode_public_id(make_public_id("member", f"oai:r:{1 + at * (count // rounds)}"))
        begin = time.process_time()
        text = client.get(
            f"/oai?verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:network.example:member/{public_id}"
        ).text
        times.append(time.process_time() - begin)
        assert "<metadata>" in text, text
    return times


def _fill(home: Path, count: int) -> None:
    settings = Settings(home=home, base_url="http://network.example")
    with closing(open_catalogue(settings.catalogue_url)) as catalogue, catalogue.write() as connection:
        member = add_member(connection, Member("member", "Member", "http://r.example.ac.id/oai"), catalogue.now())
    _, statements = read_or_make(min(count, _DISTINCT))
    with closing(open_catalogue(settings.catalogue_url)) as catalogue:
        bases = prepare_rows(
            catalogue, settings.repository_domain, (_record(at, one) for at, one in enumerate(statements, 1))
        )
    tuples = [astuple(row) for row in bases]
    database = sqlite3.connect(home / "catalogue.sqlite")
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
        database.execute(f"PRAGMA {pragma}")
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('feed', 'records')"
    ).fetchall()
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")

    def rows(make: Callable[[int, int, int], tuple[Any, ...]]) -> Any:
        for number in range(1, count + 1):
            yield make(number, make_public_id("member", f"oai:r:{number}"), _FIRST + number // _A_SECOND)

    columns = len(feed.c)
    database.executemany(
        f"INSERT INTO feed VALUES ({', '.join('?' * columns)})",  # noqa: S608 - question marks
        rows(
            lambda number, public, at: (
                number,
                public,
                member.id,
                at,
                number % 50 == 0,
                *tuples[number % len(tuples)][5:7],
                number,
                0,
                *tuples[number % len(tuples)][9:],
            )
        ),
    )
    database.executemany(
        "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows(
            lambda number, public, at: (
                number,
                public,
                member.id,
                f"oai:r:{number}",
                number,
                at,
                at,
                "2025-03-14",
                number % 50 == 0,
            )
        ),
    )
    for _, statement in indexes:
        database.execute(statement)
    database.execute("INSERT INTO cursors VALUES ('feed', ?, ?)", (_FIRST + count // _A_SECOND, count))
    database.execute("UPDATE clock SET last = ?", (_FIRST + count // _A_SECOND,))
    database.execute("ANALYZE")
    database.commit()
    database.execute("PRAGMA journal_mode=WAL")
    database.close()


def _record(number: int, statements: Any) -> CataloguedRecord:
    form = Form("oai_dc", dublin_core(statements).encode(), (), (), False, "2025-04-01T00:00:00Z")
    public_id = encode_public_id(make_public_id("member", f"oai:r:{number}"))
    return CataloguedRecord(
        number, public_id, "member", f"oai:r:{number}", number, _FIRST, _FIRST, "2025-03-14", False, (form,)
    )
