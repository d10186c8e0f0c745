"""One harvest in a process of its own: `python -m bench.harvester_process lumbung|sickle PORT MEMBERS PAGES FOLDER`.

Prints one line of JSON: records received, seconds, seconds of processor time of this process and those it started.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
from sickle import Sickle

from bench.figures import processor_time
from bench.provider import base_url
from harvester.archive import open_archive_of
from harvester.catalogue import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.run import HarvestContext
from harvester.settings import load_settings
from harvester.side_by_side import HOSTS_AT_ONCE, harvest_members


def harvest_with_lumbung(urls: list[str], folder: Path) -> tuple[int, float]:
    """Everything harvested into archive and catalogue: the records, and the seconds."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = load_settings(home=folder)
    catalogue = open_catalogue(settings.catalogue_url)
    with catalogue.write() as connection:
        members = [
            add_member(connection, Member(f"member-{number}", f"Member {number}", url), catalogue.now())
            for number, url in enumerate(urls, 1)
        ]
    context = HarvestContext(settings, catalogue, open_archive_of(settings))
    begin = time.perf_counter()
    runs = [run for _, run in harvest_members(context, members)]
    took = time.perf_counter() - begin
    catalogue.close()
    assert {run.outcome for run in runs} == {"complete"}, {run.error for run in runs}
    return sum(run.added for run in runs), took


def harvest_with_sickle(urls: list[str]) -> tuple[int, float]:
    """Everything read as sickle's users do, and nothing kept: the records, and the seconds."""

    def read(url: str) -> int:
        count = 0
        for record in Sickle(url).ListRecords(metadataPrefix="oai_dc"):
            seen = (record.header.identifier, record.header.datestamp, record.metadata["title"])
            count += all(seen)
        return count

    begin = time.perf_counter()
    with ThreadPoolExecutor(HOSTS_AT_ONCE) as pool:
        total = sum(pool.map(read, urls))
    return total, time.perf_counter() - begin


def main(harvester: str, port: str, members: str, pages: str, folder: str) -> None:
    """The line is printed."""
    urls = [base_url(number, int(port), int(pages)) for number in range(1, int(members) + 1)]
    sickle = harvester == "sickle"
    worked = processor_time()
    records, took = harvest_with_sickle(urls) if sickle else harvest_with_lumbung(urls, Path(folder))
    worked = processor_time() - worked
    print(json.dumps({"records": records, "seconds": took, "processor": worked}))


if __name__ == "__main__":
    main(*sys.argv[1:6])
