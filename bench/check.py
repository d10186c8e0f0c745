"""`lumbung check` over a made network: processor time a record, and memory that does not grow with the network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from bench.figures import Figure, Report
from bench.material import MEMBERS, Statements, iter_made, list_records_xml, prepared, record_xml
from harvester.archive import open_archive, page_key, put_page
from harvester.catalogue import open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.oai.page import parse_page
from indexer.build import advance
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.schema import schema_checksum

_PAGE = 100
_CHECK = """
import json, sys, threading
from pathlib import Path
from bench.figures import own_memory, processor_time
from harvester.archive import open_archive
from harvester.catalogue import open_catalogue
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.schema import schema_checksum
from indexer.tiers import TierCheck

home, over, most = Path(sys.argv[1]), threading.Event(), 0

def watch():
    global most
    while not over.wait(0.02):
        most = max(most, own_memory())

watcher = threading.Thread(target=watch)
watcher.start()
catalogue = open_catalogue(f"sqlite:///{home / 'catalogue.sqlite'}")
engine = EmbeddedEngine(home / "index")
found = list(TierCheck(catalogue, open_archive((home / "archive").as_uri()), engine).iter_differences())
engine.close()
over.set()
watcher.join()
print(json.dumps([len(found), most, processor_time()]))
"""


def measure(*, quick: bool) -> Report:
    """Peak memory of a check of a small network and of a larger one, of which nothing differs."""
    sizes = (2_000, 8_000) if quick else (20_000, 100_000)
    few, many = (_check(count) for count in sizes)
    return Report(
        f"`indexer.tiers.TierCheck` over {MEMBERS} members with {sizes[0]:,} and with {sizes[1]:,} made records, each "
        "page in the archive, each work in the index; in a process of its own, with others that read the records. "
        "Nothing differs. Memory is what the checking process had of its own at the most, looked at 50 times a second; "
        "pages of the index's files, which the system maps and takes back as it likes, are not in it.",
        (
            Figure(f"memory for {sizes[0]:,} records", few[1], "MB"),
            Figure(f"memory for {sizes[1]:,} records", many[1], "MB"),
            Figure("growth from the one to the other", many[1] / few[1], "x", at_most=1.25),
            Figure("processor time in all processes, a record", many[2] / sizes[1] * 1000, "ms"),
        ),
    )


def _check(count: int) -> list[float]:
    home = prepared(f"check-{count}", f"{schema_checksum()}-2", lambda folder: _fill(folder, count))
    command = [sys.executable, "-c", _CHECK, str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: list[float] = json.loads(done.stdout)
    assert found[0] == 0
    return found


def _fill(home: Path, count: int) -> None:
    archive = open_archive((home / "archive").as_uri())
    made = iter_made()
    with closing(open_catalogue(f"sqlite:///{home / 'catalogue.sqlite'}")) as catalogue:
        for at in range(MEMBERS):
            with catalogue.write() as connection:
                member = Member(f"member-{at:02}", f"Member {at}", f"http://r{at}.example.ac.id/oai")
                member = add_member(connection, member, catalogue.now())
                run = begin_harvest(connection, member, catalogue.now())
                list_id = get_lists(connection, run)[0].id
            for number, body in enumerate(_iter_bodies(at, list(islice(made, count // MEMBERS))), 1):
                key = page_key(member.slug, run, number)
                put_page(archive, key, body)
                commit_page(
                    catalogue,
                    harvest_id=run,
                    member=member,
                    list_id=list_id,
                    prefix="oai_dc",
                    page=parse_page(body),
                    fetched=Fetched(key, member.base_url, 200, len(body), catalogue.now()),
                )
        with closing(EmbeddedEngine(home / "index")) as engine:
            advance(catalogue, engine)


def _iter_bodies(at: int, records: list[Statements]) -> Iterator[bytes]:
    for start in range(0, len(records), _PAGE):
        numbered = enumerate(records[start : start + _PAGE], start)
        yield list_records_xml(record_xml(f"oai:r{at}.example.ac.id:{n}", each) for n, each in numbered)
