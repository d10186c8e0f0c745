"""Documents written to the index, against bare tantivy; and the whole way from the catalogue to searchable."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from bench.figures import Figure, Report, medians, processor_time, seconds
from bench.material import MEMBERS, Statements, iter_documents, list_records_xml, read_or_make, record_xml
from harvester.catalogue import open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.oai.page import parse_page
from indexer.build import advance
from indexer.document import Document
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.schema import Entry, make_entry
from indexer.engine.store import body_of, create_index

_AT_ONCE = 5000  # of one commit, about as `advance` has it
_WRITER_BYTES, _WRITER_THREADS = 150_000_000, 2
_PAGE = 100


def measure(*, quick: bool) -> Report:
    """Documents a second of both, with and without analysis, and works a second of the whole way."""
    count, rounds = (4_000, 1) if quick else (20_000, 3)
    documents = list(iter_documents(count))
    ready = list(map(make_entry, documents))
    ours: list[float] = []  # processor time of each round
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder:
        place = Path(folder)
        given, analysed, bare = medians(
            rounds,
            lambda: count / _worked(ours, lambda: _write(place / "given", ready)),
            lambda: count / _write(place / "analysed", documents),
            lambda: count / _worked(theirs, lambda: _write_bare(place / "bare", ready)),
        )
        kind, records = read_or_make(count)
        run = _whole_way(place, records)
        worked = processor_time()
        whole = medians(rounds, run)[0]
        worked = (processor_time() - worked) / rounds / len(records)
    return Report(
        f"`EmbeddedEngine.write` of {count:,} documents in commits of {_AT_ONCE:,}, against a bare tantivy writer "
        f"({_WRITER_THREADS} threads each, {_WRITER_BYTES // 10**6} MB, the same schema and commits) adding the same "
        "JSON; once with the entries of the documents ready for both, once with our analysis in the time. The whole "
        f"way: `indexer.build.advance` over a catalogue of {len(records):,} {kind}: works assigned, described, "
        f"analysed, searchable; the start of its processes is in the time. Median of {rounds}, by turns.",
        (
            Figure("write of analysed documents against bare tantivy", given / bare, "x", at_least=0.8),
            Figure("the same by processor time, merges included", median(theirs) / median(ours), "x"),
            Figure("write of analysed documents", given, "documents/s"),
            Figure("bare tantivy", bare, "documents/s"),
            Figure("write with analysis", analysed, "documents/s"),
            Figure("write with analysis against bare tantivy", analysed / bare, "x"),
            Figure("from the catalogue to searchable", whole, "works/s", at_least=3000),
            Figure("its processor time in all processes, a record", worked * 1000, "ms"),
        ),
    )


def _worked(kept: list[float], work: Callable[[], float]) -> float:
    """What the work returns; the processor time that it took is kept, which load distorts far less than the clock."""
    begin = processor_time()
    result = work()
    kept.append(processor_time() - begin)
    return result


def _write(folder: Path, documents: Sequence[Document | Entry]) -> float:
    with closing(EmbeddedEngine(folder, threads=_WRITER_THREADS)) as engine:
        engine.write([], [], 0)  # the folder and the writer are there
        took = seconds(
            lambda: [
                engine.write(documents[start : start + _AT_ONCE], [], start)  # type: ignore[func-returns-value]  # called for its effect
                for start in range(0, len(documents), _AT_ONCE)
            ]
        )
        assert engine.count() == len(documents)
    shutil.rmtree(folder)
    return took


def _write_bare(folder: Path, ready: list[Entry]) -> float:
    folder.mkdir()
    index = create_index(folder / "index")
    writer = index.writer(_WRITER_BYTES, _WRITER_THREADS)

    bodies = list(map(body_of, ready))

    def add_all() -> None:
        for start in range(0, len(bodies), _AT_ONCE):
            for body in bodies[start : start + _AT_ONCE]:
                writer.add_json(body)
            writer.commit()

    took = seconds(add_all)
    writer.wait_merging_threads()
    index.reload()
    assert index.searcher().num_docs == len(ready)
    shutil.rmtree(folder)
    return took


def _whole_way(place: Path, records: list[Statements]) -> Callable[[], float]:
    """Works a second of an `advance` over a catalogue of these records, filled now; each call has a fresh copy."""
    path = place / "catalogue.sqlite"
    fill_catalogue(path, records)

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            copy = shutil.copy(path, folder)
            with (
                closing(open_catalogue(f"sqlite:///{copy}")) as catalogue,
                closing(EmbeddedEngine(Path(folder) / "index")) as engine,
            ):
                took = seconds(lambda: advance(catalogue, engine))
                return engine.count() / took

    return run


def fill_catalogue(path: Path, records: list[Statements]) -> None:
    """A new catalogue holds these records, of many members."""
    with closing(open_catalogue(f"sqlite:///{path}")) as catalogue:
        for at in range(MEMBERS):
            share = records[at::MEMBERS]
            with catalogue.write() as connection:
                member = Member(f"member-{at:02}", f"Member {at}", f"http://r{at}.example.ac.id/oai")
                member = add_member(connection, member, catalogue.now())
                harvest_id = begin_harvest(connection, member, catalogue.now())
                list_id = get_lists(connection, harvest_id)[0].id
            for start in range(0, len(share), _PAGE):
                numbered = enumerate(share[start : start + _PAGE], start)
                body = list_records_xml(record_xml(f"oai:r{at}.example.ac.id:{n}", each) for n, each in numbered)
                commit_page(
                    catalogue,
                    harvest_id=harvest_id,
                    member=member,
                    list_id=list_id,
                    prefix="oai_dc",
                    page=parse_page(body),
                    fetched=Fetched(f"pages/{at}/{start}", member.base_url, 200, len(body), catalogue.now()),
                )
