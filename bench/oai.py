"""Our OAI-PMH endpoint out of a catalogue of millions: records a second, parts at any depth, single records."""

from __future__ import annotations

import gc
import gzip
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import astuple, replace
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from lxml import etree
from werkzeug.test import create_environ

from bench.figures import Figure, Report, medians, own_memory
from bench.material import dublin_core, prepared, read_or_make
from harvester.catalogue import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.public_ids import encode_public_id, make_public_id
from harvester.catalogue.records import CataloguedRecord, Form
from harvester.catalogue.tables import feed
from harvester.settings import Settings
from indexer.feed.prepare import prepare_rows
from web.app import create_app
from web.oai.tokens import read_token, write_token

_FIRST = 1_600_000_000
_A_SECOND = 400  # records of one datestamp
_DISTINCT = 20_000
_PART = 200
_KEY = "bench"
_WHOLE = "verb=ListRecords&metadataPrefix=oai_dc"
_HERE = Path(__file__).parent
_PEERS = ("pyoai", "oai_repo")


class Site:
    """Our endpoint, asked as a server asks it."""

    def __init__(self, home: Path) -> None:
        self.app = create_app(Settings(home=home, secret_key=_KEY, base_url="http://network.example", oai_part=_PART))
        self._environment = create_environ("/oai", "http://network.example")

    def ask(self, query: str, **headers: str) -> bytes:
        """The body of the answer."""
        answer = self.app({**self._environment, "QUERY_STRING": query, **headers}, lambda *_: lambda _: None)
        try:
            return b"".join(answer)
        finally:
            answer.close()  # type: ignore[attr-defined]  # as WSGI has it

    def timed(self, query: str, **headers: str) -> tuple[float, bytes]:
        """Seconds of processor time, and the body."""
        begin = time.process_time()
        body = self.ask(query, **headers)
        return time.process_time() - begin, body


def measure(*, quick: bool) -> Report:
    """The list of everything, walked at its beginning and far behind it, and records one by one."""
    count = 50_000 if quick else 5_000_000
    deep = count // 5
    site = Site(prepared(f"oai-{count}", "2", lambda folder: _fill(folder, count)))
    token = _token_in(site.ask(_WHOLE))
    parts, packed = (20, 5) if quick else (300, 40)
    _walk(site, "ListRecords", token, packed)
    first, at_depth = _time_by_turns(site, token, deep, 5 if quick else 40)
    before = own_memory()
    rate = _walk(site, "ListRecords", token, parts)
    grown = own_memory() - before
    gzipped = _walk(site, "ListRecords", token, packed, HTTP_ACCEPT_ENCODING="gzip")
    headers = _token_in(site.ask(_WHOLE.replace("Records", "Identifiers")))
    marc = _token_in(site.ask(_WHOLE.replace("oai_dc", "marcxml")))
    one = _single(site, count, 20 if quick else 400)
    figures = (
        *_against_peers(site, 2_000 if quick else _DISTINCT, 1 if quick else 5),
        Figure("records a second, oai_dc", rate, "records/s"),
        Figure("records a second, oai_dc packed with gzip", gzipped, "records/s"),
        Figure("records a second, marcxml", _walk(site, "ListRecords", marc, packed), "records/s"),
        Figure("headers a second", _walk(site, "ListIdentifiers", headers, parts), "headers/s"),
        Figure("the first part, with the size of the list", first * 1000, "ms"),
        Figure(f"the part behind {deep:,} records", at_depth * 1000, "ms"),
        Figure("the deep part against the first", at_depth / first, "x", at_most=1.2),
        Figure("GetRecord, median", median(one) * 1000, "ms", at_most=5),
        Figure("GetRecord, slowest of 100", sorted(one)[-len(one) // 100 - 1] * 1000, "ms"),
        Figure(f"memory that {parts} parts add", grown, "MB"),
    )
    site.app.extensions["lumbung"].close()
    return Report(
        f"ListRecords, ListIdentifiers and GetRecord of `web.oai` through WSGI in one process and thread, {_PART} "
        f"records a part, out of a SQLite catalogue with {count:,} prepared records (texts of {_DISTINCT:,}). The "
        "peers hold the first of these in memory and give the same records (pyoai without the containers about them) "
        "by their own Python functions, each in a process of its own, by turns with ours. Processor time.",
        figures,
    )


def _against_peers(site: Site, count: int, rounds: int) -> tuple[Figure, ...]:
    """Live records a second of ours and of other servers, that hold the same records in memory."""
    lock = _HERE / "oai_peers.lock"
    home = prepared("oai-peers", blake2b(lock.read_bytes(), digest_size=6).hexdigest(), partial(_install, lock))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        path.write_text("".join(_first_live(site, count)), encoding="utf-8")

        def peer(name: str) -> float:
            command = (home / "bin" / "python", _HERE / "oai_peers.py", name, path, str(_PART))
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        ours, *theirs = medians(rounds, partial(_walk_live, site, count), *(partial(peer, name) for name in _PEERS))
    return (
        Figure("live records a second against the quicker peer", ours / max(theirs), "x", at_least=3),
        Figure("live records a second, oai_dc", ours, "records/s"),
        *(Figure(f"of {name}", rate, "records/s") for name, rate in zip(_PEERS, theirs, strict=True)),
    )


def _install(lock: Path, folder: Path) -> None:
    """The peers stand in an environment of their own: one of them needs what we must not have."""
    subprocess.run((sys.executable, "-m", "venv", folder), check=True)
    install = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r", lock)
    subprocess.run((folder / "bin" / "python", *install), check=True)


def _first_live(site: Site, count: int) -> Iterator[str]:
    """The first records as lines of JSON: identifier, datestamp, sets, statements, containers."""
    query, found = _WHOLE, 0
    while found < count:
        body = site.ask(query)
        query = f"verb=ListRecords&resumptionToken={_token_in(body)}"
        records = etree.fromstring(body).iter("{*}record")
        for record in islice((each for each in records if each.find("{*}metadata") is not None), count - found):
            found += 1
            sets = [each.text for each in record.iter("{*}setSpec")]
            names = [record.findtext(f".//{{*}}{name}") for name in ("identifier", "datestamp")]
            core = [[etree.QName(each).localname, each.text] for each in record.find("{*}metadata/{*}dc")]
            abouts = [etree.tostring(each[0]).decode() for each in record.iterfind("{*}about")]
            yield f"{json.dumps([*names, sets, core, abouts])}\n"


def _walk_live(site: Site, count: int) -> float:
    """Live records a second over the beginning of the list."""
    query, found, worked = _WHOLE, 0, 0.0
    while found < count:
        seconds, body = site.timed(query)
        worked += seconds
        found += body.count(b"<metadata>")
        query = f"verb=ListRecords&resumptionToken={_token_in(body)}"
    return found / worked


def _token_in(body: bytes) -> str:
    found = re.search(rb"<resumptionToken[^>]*>([^<]+)<", body[-1000:])
    assert found, body[:500]
    return found[1].decode()


def _time_by_turns(site: Site, token: str, deep: int, rounds: int) -> tuple[float, float]:
    """Median seconds of the first part, and of parts behind so many records, of which none is read twice."""
    near, far = [], []
    begun = replace(read_token(token, "ListRecords", [_KEY]), cursor=deep)
    token = write_token(replace(begun, after_at=_FIRST + deep // _A_SECOND - 1, after_id=deep), [_KEY])
    for _ in range(rounds):
        near.append(site.timed(_WHOLE)[0])
        seconds, body = site.timed(f"verb=ListRecords&resumptionToken={token}")
        far.append(seconds)
        token = _token_in(body)
    return median(near[1:]), median(far[1:])


def _walk(site: Site, verb: str, token: str, parts: int, **headers: str) -> float:
    """Records a second of processor time over so many parts."""
    gc.collect()
    worked = 0.0
    for _ in range(parts):
        seconds, body = site.timed(f"verb={verb}&resumptionToken={token}", **headers)
        worked += seconds
        token = _token_in(gzip.decompress(body) if headers else body)
    return parts * _PART / worked


def _single(site: Site, count: int, rounds: int) -> list[float]:
    times = []
    for at in range(rounds):
        public_id = encode_public_id(make_public_id("member", f"oai:r:{1 + at * (count // rounds)}"))
        name = f"oai:network.example:member/{public_id}"
        seconds, body = site.timed(f"verb=GetRecord&metadataPrefix=oai_dc&identifier={name}")
        times.append(seconds)
        assert b"<metadata>" in body, body
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
    for kind, value, which in (
        ("", "''", "1"),
        ("member", "CAST(member_id AS TEXT)", "1"),
        ("type", "type", "1"),
        ("access", "'open'", "open"),
    ):
        database.execute(
            f"INSERT INTO feed_counts SELECT '{kind}', {value}, count(*) FROM feed WHERE {which} GROUP BY 2"  # noqa: S608 - constants
        )
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
