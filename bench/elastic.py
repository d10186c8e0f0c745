"""Elasticsearch: documents written, against the client's own parallel_bulk; searches, against the bare request."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk

from bench.figures import Figure, Report, medians, percentile, seconds
from bench.index import fill_catalogue
from bench.material import iter_documents, read_or_make
from bench.search import FACETS, FILTERED, TYPED
from harvester.catalogue import open_catalogue
from indexer.build import advance
from indexer.engine.elastic import ElasticEngine, body_of
from indexer.engine.elastic_reading import Reader
from indexer.engine.elastic_server import parse_address
from indexer.engine.schema import Entry, make_entry, schema_checksum
from indexer.parser import parse_query
from indexer.query import SearchRequest
from tests.services.elasticsearch import Server, running_server

_AT_ONCE = 5000  # of one write, about as `advance` has it
_THREADS, _CHUNK = 2, 500  # of the peer: its best on two cores


def measure(*, quick: bool) -> Report:
    """Documents and works a second, and milliseconds of the middle search."""
    count, rounds, whole_rounds, repeats = (4_000, 1, 1, 3) if quick else (10_000, 7, 3, 9)
    ready = list(map(make_entry, iter_documents(count)))
    kind, records = read_or_make(count)
    with TemporaryDirectory(prefix="lumbung-bench-") as folder, running_server() as server:
        path = Path(folder) / "catalogue.sqlite"
        fill_catalogue(path, records)
        medians(1, lambda: _write(server, ready), lambda: _write_bare(server, ready))  # the server is warm
        works: tuple[list[float], list[float]] = ([], [])  # processor time of each round
        ours, theirs = medians(
            rounds,
            lambda: count / _worked(server, works[0], lambda: _write(server, ready)),
            lambda: count / _worked(server, works[1], lambda: _write_bare(server, ready)),
        )
        whole = medians(whole_rounds, lambda: _whole_way(server, path))[0]
        with server.new_index() as address, closing(ElasticEngine(parse_address(address, replicas=0))) as engine:
            for start in range(0, count, _AT_ONCE):
                engine.write(ready[start : start + _AT_ONCE], (), start + 1)
            searches, unmarked, requests = _times(engine, *_bare_client(server, address), repeats)
    return Report(
        f"A server of 9.5 on this machine with 1 GB, one shard. `ElasticEngine.write` of {count:,} ready documents in "
        f"writes of {_AT_ONCE:,}, each refreshed, against `parallel_bulk` ({_THREADS} threads, requests of {_CHUNK}) "
        "of the same entries into an index of the same mapping, refreshed at the same places; median of "
        f"{rounds}, by turns. The whole way: `advance` over a catalogue of {len(records):,} {kind}, median of "
        f"{whole_rounds}. Searches: {len(TYPED)} queries and {len(FILTERED)} filters, six facets, marks, 20 hits, over "
        f"the {count:,}; the bare request is what the search itself asked, sent again by the client alone. A query's "
        f"time is its median of {repeats}, by turns.",
        (
            Figure("write of ready documents against parallel_bulk", ours / theirs, "x", at_least=0.9),
            Figure("the same by processor time, the server's too", median(works[1]) / median(works[0]), "x"),
            Figure("write of ready documents", ours, "documents/s"),
            Figure("parallel_bulk", theirs, "documents/s"),
            Figure("from the catalogue to searchable against parallel_bulk", whole / theirs, "x", at_least=0.6),
            Figure("from the catalogue to searchable", whole, "works/s"),
            Figure("p50 of a search against the bare request", median(searches) / median(requests), "x", at_most=1.3),
            Figure("the same without marks", median(unmarked) / median(requests), "x"),
            Figure("p50 of a search", median(searches), "ms"),
            Figure("p50 of a search without marks", median(unmarked), "ms"),
            Figure("p50 of the bare request", median(requests), "ms"),
            Figure("p95 of a search", percentile(searches, 0.95), "ms"),
            Figure("p95 of the bare request", percentile(requests, 0.95), "ms"),
        ),
    )


def _worked(server: Server, kept: list[float], work: Callable[[], float]) -> float:
    """What the work returns; the processor time that it took here and in the server is kept."""
    begin = time.process_time() + server.processor_time()
    result = work()
    kept.append(time.process_time() + server.processor_time() - begin)
    return result


def _write(server: Server, ready: Sequence[Entry]) -> float:
    with server.new_index() as address, closing(ElasticEngine(parse_address(address, replicas=0))) as engine:
        engine.write((), (), 0)  # the index is there
        return seconds(
            lambda: [
                engine.write(ready[start : start + _AT_ONCE], (), start + 1)  # type: ignore[func-returns-value]  # called for its effect
                for start in range(0, len(ready), _AT_ONCE)
            ]
        )


def _write_bare(server: Server, ready: Sequence[Entry]) -> float:
    with server.new_index() as address, closing(ElasticEngine(parse_address(address, replicas=0))) as engine:
        engine.write((), (), 0)
        client, index = _bare_client(server, address)

        bodies = [({"index": {"_id": entry.id}}, body_of(entry)) for entry in ready]

        def send_all() -> None:
            for start in range(0, len(bodies), _AT_ONCE):
                done = parallel_bulk(
                    client,
                    bodies[start : start + _AT_ONCE],
                    index=index,
                    thread_count=_THREADS,
                    chunk_size=_CHUNK,
                    expand_action_callback=lambda pair: pair,
                )
                assert all(well for well, _ in done)
                client.indices.refresh(index=index)

        took = seconds(send_all)
        assert engine.count() == len(ready)
        return took


def _whole_way(server: Server, catalogue_path: Path) -> float:
    """Works a second of an `advance` over a copy of this catalogue."""
    with TemporaryDirectory(prefix="lumbung-bench-") as folder, server.new_index() as address:
        copy = shutil.copy(catalogue_path, folder)
        with (
            closing(open_catalogue(f"sqlite:///{copy}")) as catalogue,
            closing(ElasticEngine(parse_address(address, replicas=0))) as engine,
        ):
            took = seconds(lambda: advance(catalogue, engine))
            return engine.count() / took


def _bare_client(server: Server, address: str) -> tuple[Elasticsearch, str]:
    """A client with nothing of ours, and the alias of the index at this address."""
    return Elasticsearch(server.url, request_timeout=60), f"{parse_address(address).name}-{schema_checksum()}"


def _times(engine: ElasticEngine, client: Elasticsearch, index: str, repeats: int) -> list[list[float]]:
    """Milliseconds of each search, of it without marks, and of its bare request; the first repeat only warms up."""
    asked = [replace(SearchRequest(parse_query(text)), facets=FACETS, size=20) for text in TYPED]
    asked += [replace(request, facets=FACETS, size=20) for request in FILTERED]
    pairs: list[tuple[Callable[[], object], ...]] = []
    for request in asked:
        sent: list[tuple[Any, Any]] = []
        search = Reader.search

        def keep(
            reader: Reader, body: Any, *, preference: str | None = None, sent: Any = sent, search: Any = search
        ) -> Any:
            sent.append((body, preference))
            return search(reader, body, preference=preference)

        with patch.object(Reader, "search", keep):
            engine.search(request)
        body, preference = sent[0]
        pairs.append(
            (
                partial(engine.search, request),
                partial(engine.search, replace(request, highlight=False)),
                partial(client.search, index=index, body=body, preference=preference),
            )
        )
    found: list[tuple[list[float], ...]] = [([], [], []) for _ in pairs]
    for repeat in range(repeats + 1):
        for pair, times in zip(pairs, found, strict=True):
            for turn in range(3):  # the first one asked finds the server colder: each is it as often
                at = (turn + repeat) % 3
                begin = time.perf_counter()
                pair[at]()
                times[at].append((time.perf_counter() - begin) * 1000)
    return [[median(times[at][1:]) for times in found] for at in range(3)]
