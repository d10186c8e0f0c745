"""Searches over 200,000 works with facets and highlights, against bare tantivy running the same queries."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import tantivy

from bench.figures import Figure, Report, percentile
from bench.material import SHARED, iter_documents, prepared
from indexer.engine.compile import Compiler
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.schema import schema_checksum
from indexer.engine.store import open_index
from indexer.engine.tantivy_query import TantivyDialect
from indexer.parser import parse_query
from indexer.query import Facet, SearchRequest

FACETS: tuple[Facet, ...] = ("member", "year", "type", "language", "subject", "author")
_AT_ONCE = 5000
_PROCESSOR = "all, processor time"

# What readers of a network of Indonesian universities type; each once with facets of the whole answer.
TYPED = (
    "pengaruh", "analisis", "bandung", "transportasi", "batubara", "gempa", "kualitas pelayanan", "air tanah",
    "energi terbarukan", "perancangan sistem informasi", "pengolahan limbah cair", "jaringan saraf tiruan",
    "kinerja karyawan", "strategi pemasaran", "manajemen rantai pasok", "tata ruang kota", "kualitas air sungai",
    "optimasi produksi gas", "simulasi numerik", "model matematika", "sintesis dan karakterisasi", "beton bertulang",
    "perilaku konsumen", "pariwisata berkelanjutan", "neural network", "water quality", "supply chain management",
    "finite element", "customer satisfaction", "machine learning classification", "solar cell", "reservoir simulation",
    "financial performance analysis", "design of experiments", "carbon dioxide", "business strategy",
    '"tugas akhir"', '"studi kasus"', '"sistem informasi geografis"', '"kota bandung"', '"sumber daya air"',
    '"case study"', '"competitive advantage"', '"root cause analysis"', '"energi panas bumi" indonesia',
    "judul:analisis", "judul:perancangan sistem", "penulis:henry", "subjek:transportasi", "penulis:budi judul:model",
    "gempa OR tsunami", "batubara OR minyak OR gas", "air -laut", "(kota OR desa) pembangunan", "tahun:2010-2015 beton",
    "jenis:thesis manajemen", "bahasa:id ekonomi",
)  # fmt: skip
FILTERED = (
    SearchRequest(parse_query("pengembangan"), filters=(("type", ("thesis",)), ("year", ("2015", "2016")))),
    SearchRequest(parse_query("teknologi"), filters=(("member", ("member-07", "member-12")),), years=(2005, None)),
    SearchRequest(parse_query(""), filters=(("language", ("id",)),)),
)


def measure(*, quick: bool) -> Report:
    """Milliseconds of the middle query and of the slow ones, and what the parts of an answer cost."""
    count, repeats = (10_000, 3) if quick else (200_000, 9)
    folder, distinct = _built(count)
    requests = [
        replace(request, facets=FACETS, size=20, highlight=True)
        for request in (*(SearchRequest(parse_query(text)) for text in TYPED), *FILTERED)
    ]
    with closing(EmbeddedEngine(folder)) as engine:
        bare = _bare(folder)
        kinds: dict[str, Callable[[SearchRequest], object]] = {
            "all": engine.search,
            "bare": bare,
            "no facets": lambda request: engine.search(replace(request, facets=())),
            "no authors": lambda request: engine.search(replace(request, facets=FACETS[:-1])),
            "no marks": lambda request: engine.search(replace(request, highlight=False)),
        }
        times = _times(kinds, requests, repeats)
        found = sum(engine.search(request).total > 0 for request in requests)
    middle = {kind: median(values) for kind, values in times.items()}
    slowest = max(zip(times["all"], (*TYPED, "filters 1", "filters 2", "filters 3"), strict=True))
    return Report(
        f"{count:,} works ({_kind()}, texts mixed anew), {distinct['author_key']:,} different authors and "
        f"{distinct['subject_key']:,} subjects; {len(requests)} queries (Indonesian and English words, phrases, "
        f"fields, filters), {found} of them with hits; six facets, marks, 20 hits. A query's time is its median of "
        f"{repeats}, by turns; p50 and p95 are over the queries. Bare tantivy: the same compiled query, 20 addresses, "
        f"no document, facet or mark. The slowest query is {slowest[1]!r}.",
        (
            Figure("p50 of a search", middle["all"], "ms", at_most=15),
            Figure("p50 of a search, processor time alone", middle[_PROCESSOR], "ms"),
            Figure("p95 of a search", percentile(times["all"], 0.95), "ms"),
            Figure("slowest search", slowest[0], "ms"),
            Figure("p50 of bare tantivy", middle["bare"], "ms"),
            Figure("p95 of bare tantivy", percentile(times["bare"], 0.95), "ms"),
            Figure("p50 against bare tantivy", middle["all"] / middle["bare"], "x as long"),
            Figure("p50 without facets", middle["no facets"], "ms"),
            Figure("p50 without the facet of authors", middle["no authors"], "ms"),
            Figure("p50 without marks", middle["no marks"], "ms"),
        ),
    )


def _times(
    kinds: dict[str, Callable[[SearchRequest], object]], requests: list[SearchRequest], repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each request in each kind: medians of the repeats, the first of which only warms up."""
    found: dict[str, list[list[float]]] = {kind: [[] for _ in requests] for kind in (*kinds, _PROCESSOR)}
    order = [(kind, at) for kind in kinds for at in range(len(requests))]
    source = random.Random(1)
    for _ in range(repeats + 1):
        source.shuffle(order)
        for kind, at in order:
            begin, worked = time.perf_counter(), time.thread_time()
            kinds[kind](requests[at])
            found[kind][at].append((time.perf_counter() - begin) * 1000)
            if kind == "all":
                found[_PROCESSOR][at].append((time.thread_time() - worked) * 1000)
    return {kind: [median(values[1:]) for values in each] for kind, each in found.items()}


def _bare(folder: Path) -> Callable[[SearchRequest], object]:
    """A search of the compiled query and nothing else."""
    (build,) = folder.glob("*-*/")
    index = open_index(build)
    searcher = index.searcher()
    compiler = Compiler(TantivyDialect(index.schema, searcher))
    compiled: dict[SearchRequest, tantivy.Query] = {}

    def search(request: SearchRequest) -> object:
        query = compiled.get(request)
        if query is None:
            query = compiled[request] = compiler.narrowed(request)
        return searcher.search(query, 20)

    return search


def _built(count: int) -> tuple[Path, dict[str, int]]:
    """The folder of an index of so many works, and its numbers of different values."""

    def fill(draft: Path) -> None:
        values: dict[str, set[str]] = {"author_key": set(), "subject_key": set()}
        with closing(EmbeddedEngine(draft / "index")) as engine:
            documents = iter_documents(count)
            while some := list(islice(documents, _AT_ONCE)):
                engine.write(some, [], some[-1].added)
                for document in some:
                    values["author_key"].update(document.creators)
                    values["subject_key"].update(document.subjects)
        (draft / "distinct.json").write_text(json.dumps({name: len(each) for name, each in values.items()}))

    folder = prepared(f"search-{count}", f"{schema_checksum()}-{_kind().split()[0]}", fill)
    return folder / "index", json.loads((folder / "distinct.json").read_text())


def _kind() -> str:
    return "real records" if (SHARED / "records").is_dir() else "made records"
