"""A harvest into a bucket of a real S3 server, against the same into a folder, and against bare puts to that server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from unittest.mock import patch

from bench.figures import Figure, Report, medians, say
from bench.harvest import Harvest, harvest, provider
from bench.material import iter_made, list_records_xml, record_xml
from bench.provider import LATENCY, RECORDS
from harvester.archive import open_archive, put_page
from harvester.side_by_side import HOSTS_AT_ONCE
from tests.services.s3 import S3Server, running


def measure(*, quick: bool) -> Report:
    """Pages a second of all three, by turns."""
    members, pages, rounds = (16, 5, 1) if quick else (50, 20, 3)
    total = members * pages
    runs: dict[str, list[Harvest]] = {"folder": [], "bucket": []}
    numbers = count()
    with running() as server, provider(members, pages) as port:
        bucket = server.make_bucket()

        def into(place: str) -> Callable[[], float]:
            def run() -> float:
                url = {"LUMBUNG_ARCHIVE": f"s3://{bucket}/{next(numbers)}", "LUMBUNG_S3_ENDPOINT": server.endpoint}
                with patch.dict(os.environ, url if place == "bucket" else {}):
                    runs[place].append(harvest("lumbung", port, members, pages))
                say([f"  {place}: {runs[place][-1].speed:,.0f} records/s"])
                return runs[place][-1].speed / RECORDS

            return run

        works = (into("folder"), into("bucket"), lambda: _put(server, f"s3://{bucket}/{next(numbers)}", total))
        folder, ours, bare = medians(rounds, *works)
        server.remove_bucket(bucket)
    folder_work, our_work = (min(run.processor for run in some) * 1000 / total for some in runs.values())
    return Report(
        f"{members} members, {pages} pages of {RECORDS} made records each, {LATENCY * 1000:.0f} ms latency, harvested "
        "by `harvest_members` into a folder (fsync) and into a bucket of Ceph's gateway on the same machine (objects "
        f"in memory). Bare: {HOSTS_AT_ONCE} threads that do nothing but keep such pages in that bucket, each read "
        f"before it is written. All of them share the processors: where S3 adds less to a page's time than a bare put "
        f"takes, the server limits it and not the harvest. Median of {rounds}, by turns.",
        (
            Figure("what S3 adds to a page's time, against a bare put", (1 / ours - 1 / folder) * bare, "x", at_most=1),
            Figure("harvest into S3 against bare puts to that server", ours / bare, "x"),
            Figure("harvest into S3 against harvest into a folder", ours / folder, "x"),
            Figure("harvest into S3", ours, "pages/s"),
            Figure("bare puts", bare, "pages/s"),
            Figure("harvest into a folder", folder, "pages/s"),
            Figure("harvest into S3: processor time of a page", our_work, "ms"),
            Figure("harvest into a folder: processor time of a page", folder_work, "ms"),
        ),
    )


def _put(server: S3Server, url: str, total: int) -> float:
    """Pages kept in a second."""
    archive = open_archive(url, server.endpoint)
    made = iter_made()
    page = list_records_xml((record_xml(f"oai:x:{n}", next(made)) for n in range(RECORDS)), "")
    begin = time.perf_counter()
    with ThreadPoolExecutor(HOSTS_AT_ONCE) as pool:
        list(pool.map(lambda number: put_page(archive, f"pages/{number}", page), range(total)))
    return total / (time.perf_counter() - begin)
