"""What members and time may do to a list: odd records shown to people, and lists whose rest has changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from oai_client import NS, Answer
from sqlalchemy import update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import members
from harvester.oai.page import parse_page
from harvester.settings import Settings
from web.app import create_app

_DC = "http://purl.org/dc/elements/1.1/"


class Place:
    """One member's records, and a site over them."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, base_url="http://library.test", secret_key="k", oai_part=3)
        self.catalogue: Catalogue = open_catalogue(self.settings.catalogue_url)
        member = Member("alfa", "Alfa", "http://alfa.example/oai")
        with self.catalogue.write() as connection:
            self.member = add_member(connection, member, 1)
        self.app = create_app(self.settings)
        self.client: FlaskClient = self.app.test_client()

    def close(self) -> None:
        self.catalogue.close()
        self.app.extensions["lumbung"].close()

    def bring(self, *payloads: str, start: int = 0) -> None:
        with self.catalogue.write() as connection:
            harvest = begin_harvest(connection, self.member, self.catalogue.now())
            (state,) = get_lists(connection, harvest)
        records = "".join(
            f"<record><header><identifier>oai:a:{n}</identifier><datestamp>2026-01-01</datestamp></header>"
            f"<metadata>{payload}</metadata></record>"
            for n, payload in enumerate(payloads, start)
        )
        xml = (
            f"<OAI-PMH><responseDate>2026-11-01T00:00:00Z</responseDate><ListRecords>{records}</ListRecords></OAI-PMH>"
        )
        commit_page(
            self.catalogue,
            harvest_id=harvest,
            member=self.member,
            list_id=state.id,
            prefix="oai_dc",
            page=parse_page(xml.encode()),
            fetched=Fetched("pages/1", self.member.base_url, 200, len(xml), self.catalogue.now()),
        )
        time.sleep(1.05 - time.time() % 1)  # a second is given once it is over


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def dublin_core(kind: str, title: str = "Padi", more: str = "") -> str:
    return f'<dc xmlns="{_DC}"><title>{title}</title><type>{kind}</type>{more}</dc>'


@pytest.mark.parametrize("more", ["<!-- a comment --><?pi x?>", "<a>" * 250 + "</a>" * 250], ids=["comment", "deep"])
def test_people_are_shown_whatever_a_member_sends(place: Place, more: str) -> None:
    place.bring(dublin_core("Article", "Sawah <![CDATA[<b>]]>", more))
    page = place.client.get(
        "/oai?verb=ListRecords&metadataPrefix=source_oai_dc", headers={"Sec-Fetch-Dest": "document"}
    )
    assert page.status_code == 200
    assert "Sawah &lt;b&gt;" in page.text


def test_a_page_that_was_asked_for_by_post_has_links_that_work(place: Place) -> None:
    place.bring(*(dublin_core("Article", f"Padi {n}") for n in range(7)))
    form = {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"}
    page = place.client.post("/oai", data=form, headers={"Sec-Fetch-Dest": "document"})
    assert 'href="/oai?verb=ListIdentifiers&amp;resumptionToken=' in page.text


def first_part(place: Place, spec: str) -> str:
    part = Answer(place.client, verb="ListRecords", metadataPrefix="oai_dc", set=spec)
    (token,) = part.all("//o:resumptionToken")
    return str(token)


@pytest.mark.parametrize("changed", ["rest", "all"])
def test_a_list_whose_rest_has_left_its_set_ends_well(place: Place, changed: str) -> None:
    place.bring(*(dublin_core("Thesis", f"Padi {n}") for n in range(7)))
    token = first_part(place, "type:thesis")
    start = 3 if changed == "rest" else 0
    place.bring(*(dublin_core("Article", f"Padi {n}") for n in range(start, 7)), start=start)
    Answer(place.client, verb="ListRecords", metadataPrefix="oai_dc")  # the feed moves on
    last = Answer(place.client, verb="ListRecords", resumptionToken=token)
    assert last.codes == []
    assert len(last.headers) == 1
    assert last.all("//o:resumptionToken/text()") == []
    if changed == "rest":
        ((_, stamp, _),) = last.headers
        assert stamp <= last.all("//o:responseDate")[0]


def test_a_list_of_a_region_that_is_no_more_ends_well(place: Place) -> None:
    def move(region: str | None) -> None:
        with place.catalogue.write() as connection:
            connection.execute(update(members).values(region=region))

    move("jawa-tengah")
    place.bring(*(dublin_core("Thesis", f"Padi {n}") for n in range(7)))
    token = first_part(place, "region:jawa-tengah")
    move(None)
    assert Answer(place.client, verb="ListRecords", resumptionToken=token).codes == []


def test_members_that_are_removed_are_friends_no_more(place: Place) -> None:
    def friends() -> list[str]:
        return Answer(place.client, verb="Identify").all("//*[local-name()='friends']/*[local-name()='baseURL']")

    place.bring(dublin_core("Thesis"))
    assert friends() == ["http://alfa.example/oai"]
    with place.catalogue.write() as connection:
        connection.execute(update(members).values(removed_at=5))
    assert friends() == []


def test_a_part_is_bounded_by_what_it_unpacks_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.oai.provider._MOST_BYTES", 5_000_000)
    text = f"<description>{'a ' * 1_500_000}</description>"
    place.bring(*(dublin_core("Thesis", f"Padi {n}", text) for n in range(3)))
    part = Answer(place.client, verb="ListRecords", metadataPrefix="source_oai_dc")
    assert len(part.root.findall(".//o:record", NS)) == 1
    assert part.all("//o:resumptionToken")


def test_a_method_that_is_not_there_is_refused_with_those_that_are(place: Place) -> None:
    refused = place.client.delete("/oai")
    assert refused.status_code == 405
    assert {"GET", "POST"} <= set(refused.allow)
