"""Full texts in the index: what they cost in time, memory and room, and what they cost a search."""

from __future__ import annotations

import multiprocessing
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import median

import zstandard

from bench.figures import Figure, Report, peak_memory, percentile, processor_time
from bench.material import iter_documents
from bench.search import FACETS, TYPED
from harvester.archive import open_archive
from harvester.catalogue.files import Copy
from harvester.fulltext.keep import text_key
from indexer.document import Document, Text
from indexer.engine import Engine
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.schema import Entry, make_entry
from indexer.highlight import Matcher
from indexer.parser import parse_query
from indexer.passages import find_best
from indexer.query import SearchRequest

_PAGE = 2000  # characters
_SEED = 7


def measure(*, quick: bool) -> Report:
    """Memory, room and processor time of a book and of theses; searches with and without them; the pages of hits."""
    works, theses, repeats = (2_000, 100, 3) if quick else (40_000, 2_000, 5)
    with (
        tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as alone,
    ):
        book = alone.apply(_write_book, (Path(folder) / "book",))
        many = alone.apply(_write_theses, (Path(folder) / "theses", works, theses))
        with_texts, without = alone.apply(_search, (Path(folder) / "theses", works, repeats))
        pages = alone.apply(_find_pages, (Path(folder) / "archive",))
    return Report(
        f"A book of 2,000 pages of {_PAGE:,} characters, and {works:,} works of which {theses:,} have a text of 100 "
        "such pages (sentences of real abstracts, one word in fifty misread), in one commit of `EmbeddedEngine`. "
        f"Searches: {len(TYPED)} queries with six facets and marks over these works, and over the same without texts, "
        f"by turns, each the median of {repeats}. Pages: the best of a work's 100 for 20 hits, out of the archive.",
        (
            Figure("the book analysed and written, processor time", book["seconds"], "s"),
            Figure(
                "resident memory that this adds at its peak, tantivy's 150 MB included",
                book["memory"],
                "MB",
                at_most=300,
            ),
            Figure("the book in the index, against its text", book["room"], "x", at_most=1),
            Figure("theses analysed and written, processor time", many["speed"], "MB of text/s"),
            Figure(
                "resident memory that this adds at its peak, tantivy's 150 MB included",
                many["memory"],
                "MB",
                at_most=300,
            ),
            Figure("a thesis in the index, against its text", many["room"], "x", at_most=1),
            Figure("p50 of a search, processor time", median(with_texts), "ms"),
            Figure("the same without texts", median(without), "ms"),
            Figure("with texts against without", median(with_texts) / median(without), "x as long"),
            Figure("p95 of a search, processor time", percentile(with_texts, 0.95), "ms"),
            Figure("pages of 20 hits, for words that are on most of them, processor time", pages["common"], "ms"),
            Figure("the same for a rare word and a common one", pages["rare"], "ms"),
        ),
    )


def iter_pages() -> Iterator[str]:
    """Pages without end, as a reader of files gives them."""
    source = random.Random(_SEED)
    abstracts = [document.abstracts[0].value for document in iter_documents(2_000) if document.abstracts]
    sentences = [sentence for abstract in abstracts for sentence in re.split(r"(?<=[.])\s+", abstract)]
    while True:
        page = ""
        while len(page) < _PAGE:
            page += " ".join(_misread(word, source) for word in source.choice(sentences).split()) + "\n"
        yield page[:_PAGE]


def _misread(word: str, source: random.Random) -> str:
    if source.random() > 0.02 or len(word) < 3:
        return word
    at = source.randrange(len(word))
    return word[:at] + source.choice("abcdefghijklmnopqrstuvwxyz1") + word[at + 1 :]


def _write_book(folder: Path) -> dict[str, float]:
    (document,) = iter_documents(1)
    text = "".join(islice(iter_pages(), 2_000))
    with closing(EmbeddedEngine(folder)) as engine:
        engine.write([document], [], 1)
        before, small = peak_memory(), _room(folder)
        begin = processor_time()
        engine.write([make_entry(document, [Text(text, "id")])], [], 2)
        worked = processor_time() - begin
        peak = peak_memory() - before
    return {"seconds": worked, "memory": peak, "room": (_room(folder) - small) / len(text)}


def _write_theses(folder: Path, works: int, theses: int) -> dict[str, float]:
    documents = list(iter_documents(works))
    pages = iter_pages()
    with closing(EmbeddedEngine(folder / "without")) as engine:
        begin = processor_time()
        engine.write(documents, [], 1)
        plain = processor_time() - begin
    made = [0.0]

    def ready() -> Iterator[Document | Entry]:
        for at, document in enumerate(documents):
            if at % (works // theses):
                yield document
                continue
            start = processor_time()
            text = Text("".join(islice(pages, 100)), document.text_language)
            made[0] += processor_time() - start
            yield make_entry(document, [text])

    with closing(EmbeddedEngine(folder / "with")) as engine:
        engine.write([], [], 0)
        before, begin = peak_memory(), processor_time()
        engine.write(ready(), [], 1)
        worked = processor_time() - begin - made[0] - plain
        peak = peak_memory() - before
    size = theses * 100 * _PAGE
    room = (_room(folder / "with") - _room(folder / "without")) / size
    return {"speed": size / 1e6 / worked, "memory": peak, "room": room}


def _room(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _search(folder: Path, works: int, repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each query, with texts and without."""
    requests = [SearchRequest(parse_query(text), facets=FACETS) for text in TYPED]
    with closing(EmbeddedEngine(folder / "with")) as one, closing(EmbeddedEngine(folder / "without")) as other:
        assert one.count() == other.count() == works
        times = [[(_worked(one, each), _worked(other, each)) for _ in range(repeats)] for each in requests]
    with_texts, without = ([median(pair[at] for pair in pairs) for pairs in times] for at in (0, 1))
    return with_texts, without


def _worked(engine: Engine, request: SearchRequest) -> float:
    return _milliseconds(lambda: engine.search(request))


def _milliseconds(work: Callable[[], object]) -> float:
    begin = time.thread_time()
    work()
    return (time.thread_time() - begin) * 1000


def _find_pages(folder: Path) -> dict[str, float]:
    archive, pages = open_archive(folder.as_uri()), iter_pages()
    copies = []
    for number in range(20):
        text = "".join(islice(pages, 100))
        name = sha256(text.encode()).hexdigest()
        archive.put(text_key(name), zstandard.ZstdCompressor(level=9).compress(text.encode()))
        starts = tuple(range(0, len(text), _PAGE))
        copies.append(Copy(number, 0, "text", "", name, "application/pdf", 1, 1, "text", "id", starts, len(text)))

    def look(query: str) -> None:
        matcher = Matcher(parse_query(query))
        for copy in copies:
            assert find_best(archive, [copy], matcher, None, 2_000_000, time.monotonic() + 60)[0]

    common, rare = '"sistem informasi" kualitas pelayanan', "penelitian likuifaksi"
    look(common)  # stems are known from now on
    return {"common": _milliseconds(lambda: look(common)), "rare": _milliseconds(lambda: look(rare))}
