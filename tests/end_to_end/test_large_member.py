"""20,547 real Indonesian theses, from the provider to the reader, with the harvester killed on the way."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import NamedTuple

import pytest
from installation import Installation
from ports import wait_until

from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import Run, list_runs
from harvester.catalogue.members import get_member
from harvester.catalogue.records import iter_records
from harvester.samples.provider import SampleServer, serve
from harvester.samples.repository import SampleRecord, SampleRepository
from harvester.settings import Settings
from indexer.engine import Engine
from indexer.engine.opening import open_engine
from indexer.parser import parse_query
from indexer.query import And, Not, SearchRequest, Term

RECORDS = 20_547
PAGE = 200


class Network(NamedTuple):
    """The network of one large member, harvested in two runs and indexed."""

    installation: Installation
    repository: SampleRepository
    runs: tuple[Run, ...]  # the newest first
    requests: tuple[int, int]  # of the run that was killed, of the other
    engine: Engine

    @property
    def settings(self) -> Settings:
        return Settings(home=self.installation.home)


@pytest.fixture(scope="module")
def network(shared_data: Path, installation: Callable[..., Installation]) -> Iterator[Network]:
    here = installation()
    repository = read_theses(shared_data / "records" / "itb-digilib-a.jsonl.gz")
    with serve([repository], latency=0.01) as server:
        here.run("members", "add", "itb", server.url_of("itb"))
        kill_in_the_middle(here, server)
        killed = server.requests
        run = here.harvest()["itb"]
        requests = (killed, server.requests - killed)
    assert run["outcome"] == "complete", run
    here.run("index")
    settings = Settings(home=here.home)
    catalogue = open_catalogue(settings.catalogue_url)
    with catalogue.read() as connection:
        runs = list_runs(connection, get_member(connection, "itb"))
    catalogue.close()
    engine = open_engine(settings)
    yield Network(here, repository, runs, requests, engine)
    engine.close()


def read_theses(file: Path) -> SampleRepository:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    records = tuple(
        SampleRecord(
            identifier=f"oai:digilib.itb.ac.id:{n}",
            datestamp=f"2021-03-{n % 28 + 1:02d}T00:00:00Z",
            sets=(),
            dc=tuple((element, text, None) for element, values in row["dc"].items() for text in values),
        )
        for n, row in enumerate(rows)
    )
    return SampleRepository("itb", "Digilib ITB", "/itb/oai", records, page_size=PAGE)


def kill_in_the_middle(here: Installation, server: SampleServer) -> None:
    """A harvest has been killed without warning after about half of the pages."""
    process = here.start("harvest", stdout=DEVNULL, stderr=DEVNULL)
    wait_until(lambda: server.requests >= RECORDS // PAGE // 2, process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def test_the_killed_run_is_on_record_and_the_next_one_went_on_from_its_last_page(network: Network) -> None:
    second, first = network.runs
    assert (first.outcome, second.outcome) == ("incomplete", "complete")
    assert first.error is not None
    assert "stopped before the harvest ended" in first.error
    assert first.added >= (network.requests[0] - 3) * PAGE
    assert first.added + second.added == RECORDS
    assert second.unchanged == second.changed == 0
    assert sum(network.requests) <= -(-RECORDS // PAGE) + 3  # two Identify, and the page that was in flight


def test_every_thesis_is_catalogued_once_and_indexed_once(network: Network) -> None:
    catalogue = open_catalogue(network.settings.catalogue_url)
    identifiers = Counter(record.identifier for record in iter_records(catalogue) if not record.deleted)
    catalogue.close()
    assert identifiers == Counter(record.identifier for record in network.repository.records)
    assert network.engine.count() == RECORDS  # one member never holds the same work twice
    assert network.engine.search(SearchRequest(size=1)).total == RECORDS


def test_an_index_that_is_up_to_date_stays_as_it_is(network: Network) -> None:
    watermark = network.engine.watermark()
    network.installation.run("index")
    assert network.engine.watermark() == watermark
    assert network.engine.count() == RECORDS


@pytest.mark.parametrize(
    ("one", "other"),
    [("penelitian", "meneliti"), ("pengaruh", "memengaruhi"), ("perancangan", "merancang"), ("ukuran", "pengukuran")],
)
def test_words_of_one_root_find_each_other(network: Network, one: str, other: str) -> None:
    def total(*nodes: Term | Not) -> int:
        return network.engine.search(SearchRequest(And(nodes), size=1)).total

    alone, both = total(Term(one)), total(Term(one), Term(other))
    assert both > 100
    assert both > 0.9 * alone


def test_pasted_titles_find_themselves_first(network: Network) -> None:
    titles = Counter(title.casefold() for title, _ in titles_of(network))
    unique = [pair for pair in titles_of(network) if titles[pair[0].casefold()] == 1 and len(pair[0].split()) > 3]
    catalogue = open_catalogue(network.settings.catalogue_url)
    identifiers = {record.id: record.identifier for record in iter_records(catalogue)}
    catalogue.close()
    for title, identifier in random.Random(20_547).sample(unique, 50):
        hits = network.engine.search(SearchRequest(parse_query(title), size=3)).hits
        assert hits, title
        assert identifiers[hits[0].document.holders[0].record] == identifier, title


def titles_of(network: Network) -> list[tuple[str, str]]:
    """(title as sent, identifier) of every thesis that has one."""
    return [
        (values[0], record.identifier) for record in network.repository.records if (values := record.values("title"))
    ]


def test_the_year_facet_has_no_absurd_year_and_leaves_no_dated_thesis_out(network: Network) -> None:
    buckets = network.engine.search(SearchRequest(facets=("year",), size=1)).facets["year"]
    years = [int(bucket.value) for bucket in buckets]
    assert years == sorted(years)
    assert years[0] >= 1950
    assert years[-1] <= datetime.now(UTC).year
    dated = sum(record.values("date")[0][-4:].isdecimal() for record in network.repository.records)
    assert sum(bucket.count for bucket in buckets) == dated


def test_deep_pages_by_year_meet_every_thesis_once(network: Network) -> None:
    seen: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        request = SearchRequest(sort="oldest", size=1000, cursor=cursor, highlight=False)
        found = network.engine.search(request)
        seen.update(hit.document.id for hit in found.hits)
        cursor = found.next_cursor
        if cursor is None:
            break
    assert len(seen) == RECORDS
    assert set(seen.values()) == {1}
