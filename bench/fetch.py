"""Files of many hosts fetched side by side: whether the hosts' own delays are the limit, and what it costs."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import structlog

from bench.figures import Figure, Report, peak_memory

_TESTS = Path(__file__).parents[1] / "tests"
_SIZE = 300_000
_BIG = 99_000_000
_PAUSE = 2.0


def measure(*, quick: bool) -> Report:
    """Wall time against the least that the pauses take, in a process of its own; then one file of 99 MB."""
    hosts, records = (10, 3) if quick else (50, 12)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    serving = context.Process(target=_serve, args=(theirs, hosts, records), daemon=True)
    serving.start()
    port = ours.recv()
    with context.Pool(1) as pool:
        wall, worked, memory, held, big = pool.apply(_fetch, (port, hosts, records))
    ours.send(None)
    serving.join()
    # robots.txt and the list of formats are asked for, too; a pause lies before each request but the first.
    least = (records + 1) * _PAUSE
    return Report(
        f"{hosts} hosts with {records} files of {_SIZE // 1000} kB each on loopback addresses, {_PAUSE:g} seconds "
        "between two requests to a host; SQLite, synchronous=FULL; a folder as archive. The server runs beside, on "
        "the same cores.",
        (
            Figure("least time by the pauses, of the time taken", least / wall, "", at_least=0.8),
            Figure("files kept", held, "files", at_least=hosts * records + 1),
            Figure("processor time a file, with its requests and commits", worked / (hosts * records) * 1000, "ms"),
            Figure(f"a file of {_BIG // 10**6} MB, from the first request to the archive", big, "s"),
            Figure("most memory resident", memory, "MB", at_most=300),
        ),
    )


def _serve(pipe: Connection, hosts: int, records: int) -> None:
    sys.path.insert(0, str(_TESTS))
    from fakes.files import FileSite, pdf

    with FileSite() as site:
        site.things |= {f"/{host}/{n}.pdf": pdf(f"{host} {n}", _SIZE) for host in range(hosts) for n in range(records)}
        site.things["/big.pdf"] = pdf("big", _BIG)
        pipe.send(int(site.url("").rpartition(":")[2]))
        pipe.recv()


def _fetch(port: int, hosts: int, records: int) -> tuple[float, float, float, int, float]:
    sys.path[:0] = [str(_TESTS), str(_TESTS / "indexer")]
    from filling import fill

    from harvester.archive import open_archive
    from harvester.catalogue import open_catalogue
    from harvester.catalogue.members import Member, add_member
    from harvester.fulltext.run import USUAL, FullTexts
    from harvester.run import HarvestContext
    from harvester.settings import Settings
    from indexer.clues import clues_of

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder,
        closing(open_catalogue(f"sqlite:///{Path(folder) / 'catalogue.sqlite'}")) as catalogue,
    ):
        home = Path(folder)
        archive = open_archive((home / "archive").as_uri())

        def put(slug: str, host: str, paths: list[str]) -> None:
            site = f"http://{host}:{port}"
            with catalogue.write() as connection:
                add_member(connection, Member(slug, slug, f"{site}/oai"), catalogue.now())
            values = {path: {"title": [path], "identifier": [site + path]} for path in paths}
            fill(catalogue, slug, [(f"oai:{slug}:{path}", values[path]) for path in paths])

        for host in range(hosts):
            put(f"m{host}", f"127.0.1.{host + 1}", [f"/{host}/{n}.pdf" for n in range(records)])
        context = HarvestContext(Settings(home=home, allow_private=True), catalogue, archive)
        finder = FullTexts(
            lambda record: clues_of(record, this_year=2026), replace(USUAL, pause=_PAUSE, at_home=_PAUSE)
        )
        finder.follow(context)
        begin, worked = time.perf_counter(), time.process_time()
        finder.fetch_due(context)
        wall, worked = time.perf_counter() - begin, time.process_time() - worked
        put("big", "127.0.2.1", ["/big.pdf"])
        begin = time.perf_counter()
        replace(finder, pace=replace(USUAL, pause=0.0)).fetch_due(context)
        big = time.perf_counter() - begin
        return wall, worked, peak_memory(), len(list(archive.iter_keys("files/"))), big
