"""Networks that harvest each other settle: each record once in each, its origin kept, and no churn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.lumbung_process import Harvests
from fakes.provider import FakeProvider, FakeRecord, FakeRepository
from flask.testing import FlaskClient
from lxml import etree
from oai_client import NS, walk
from test_oai_polling import served

from harvester.catalogue import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.datestamps import format_datestamp
from harvester.settings import Settings
from indexer.build import advance
from indexer.engine.opening import open_engine
from web.app import create_app

# Who harvests whom; x and y are repositories.
_NETWORKS = {
    "pair": {"a": "xb", "b": "ya"},
    "ring": {"a": "xc", "b": "ya", "c": "b"},
    "tree": {"a": "x", "b": "xy", "c": "ab"},
}


@dataclass
class Hub:
    """A Lumbung of its own: harvested into by real processes, and served."""

    name: str
    home: Path
    client: FlaskClient
    url: str

    def harvest(self, harvests: Harvests) -> None:
        harvests.start(self.home, f"sqlite:///{self.home / 'catalogue.sqlite'}", None)
        assert harvests.wait() == 0, (self.home / "output").read_text()

    def feed(self) -> bytes:
        """All records that it gives."""
        parts = walk(self.client, "ListRecords", metadataPrefix="oai_dc")
        return b"".join(etree.tostring(each) for part in parts for each in part.root.iterfind(".//o:record", NS))

    def find_works(self) -> dict[str, int]:
        """The title of each work in the search, and how many members hold it."""
        settings = Settings(home=self.home)
        catalogue = open_catalogue(settings.catalogue_url)
        with closing(catalogue), closing(open_engine(settings)) as engine:
            advance(catalogue, engine)
            works = [work for work_id in engine.iter_ids() if (work := engine.get(work_id))]
        assert len({work.title for work in works}) == len(works)
        return {work.title: len(work.holders) for work in works}

    def origins(self) -> list[str]:
        """The identifier at its first station of each live record, with its title."""
        found: list[str] = []
        for part in walk(self.client, "ListRecords", metadataPrefix="oai_dc"):
            for record in part.root.iterfind(".//o:record[o:metadata]", NS):
                stations = record.findall(".//p:identifier", NS)
                found.append(f"{stations[-1].text} {record.findtext('.//dc:title', None, NS)}")
        return sorted(found)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", _NETWORKS)
def test_a_network_of_networks_settles(name: str, stack: ExitStack, tmp_path: Path) -> None:
    edges = _NETWORKS[name]
    repositories: dict[str, FakeRepository] = {}
    urls: dict[str, str] = {}
    for at, slug in enumerate("xy", 2):
        old = "2024-01-01T00:00:00Z"
        repositories[slug] = FakeRepository(FakeRecord(f"oai:{slug}:{n}", old, f"Title {slug}{n}") for n in range(6))
        urls[slug] = stack.enter_context(FakeProvider(f"127.0.0.{at}")).serve(repositories[slug])
    hubs: list[Hub] = []
    for hub in edges:
        home = tmp_path / hub
        settings = Settings(home=home, base_url=f"http://{hub}.test", secret_key="k", oai_part=8)
        app = create_app(settings)
        urls[hub] = stack.enter_context(served(app))
        hubs.append(Hub(hub, home, app.test_client(), urls[hub]))
    for hub in hubs:
        catalogue = open_catalogue(f"sqlite:///{hub.home / 'catalogue.sqlite'}")
        with catalogue.write() as connection:
            for slug in edges[hub.name]:
                add_member(connection, Member(slug, slug, urls[slug]), 1)
        catalogue.close()
    harvests = stack.enter_context(Harvests())

    def go_round(times: int) -> None:
        for _ in range(times):
            for hub in hubs:
                hub.harvest(harvests)
                # A feed gives a second once it is over: what a quick machine reads sooner comes a round later.
                time.sleep(1.05 - time.time() % 1)

    def expected() -> list[str]:
        live = [r for repository in repositories.values() for r in repository.records.values() if not r.deleted_in]
        return sorted(f"{record.identifier} {record.title}" for record in live)

    go_round(2)
    everywhere = hubs if name != "tree" else hubs[1:]
    assert [hub.origins() for hub in everywhere] == [expected()] * len(everywhere)
    now = format_datestamp(datetime.now(UTC))
    repositories["x"].put(FakeRecord("oai:x:1", now, "Changed"), FakeRecord("oai:x:2", now, deleted_in=("oai_dc",)))
    go_round(2)
    settled = [hub.feed() for hub in hubs]
    assert [hub.origins() for hub in everywhere] == [expected()] * len(everywhere)
    go_round(1)
    assert [hub.feed() for hub in hubs] == settled
    if name == "tree":  # in search too, what came by two ways is one, though its short title alone joins nothing
        titles = [line.partition(" ")[2] for line in expected()]
        ways = {title: 1 if title.startswith("Title y") else 2 for title in titles}
        assert hubs[2].find_works() == ways
