"""The page of a record, its exports and its tombstone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from lxml import etree
from sample_network import NOW, Network, Page, build_network

from harvester.catalogue.database import open_catalogue
from harvester.catalogue.members import get_member, mark_removed
from indexer.document import Description
from web.app import create_app
from web.reference import telling_sources

MEDIA_TYPES = {
    "ris": "application/x-research-info-systems",
    "bib": "application/x-bibtex",
    "json": "application/vnd.citationstyles.csl+json",
    "xml": "application/xml",
}


def test_the_page_tells_what_the_member_told(client: FlaskClient, network: Network) -> None:
    page = Page(client, f"/record/{network.id_of('batik')}")
    assert page.text("//h1") == "Batik Pesisir: Sejarah & Makna <Motif>"
    assert page.text('//p[@class="also"]') == "Coastal Batik: History and Meaning"
    assert page.links('//p[@class="people"]/a')["Widjaja, Siti Nur"] == "/search?author=Widjaja,+Siti+Nur"
    told = dict(zip(page.texts("//dl/div/dt"), page.texts("//dl/div/dd[1]"), strict=True))
    assert told["Published"] == "12 March 2019"
    assert told["Language"] == "Indonesian"
    assert told["Subjects"] == "batik · sejarah"
    assert told["DOI"] == "10.5555/alfa.2019_1"
    assert told["Identifier at the member"] == "oai:batik"
    assert page.links("//dl//a")["10.5555/alfa.2019_1"] == "https://doi.org/10.5555/alfa.2019_1"
    assert ("creator", "Santoso, Budi") in zip(
        page.texts('//details[@class="raw"]//th[@scope="row"]'),
        page.texts('//details[@class="raw"]//td'),
        strict=True,
    )


def test_the_member_comes_first_and_the_other_holders_after_it(client: FlaskClient, network: Network) -> None:
    page = Page(client, f"/record/{network.id_of('batik-beta')}")
    assert page.links('//aside//a[contains(@class, "button")]') == {
        "Read at Repositori Beta": "https://beta.example/b/7"
    }
    others = page.links('//ul[contains(@class, "holders")]//a')
    assert others["Perpustakaan Alfa"] == "https://alfa.example/batik/1"
    assert others["its record (Perpustakaan Alfa)"] == f"/record/{network.id_of('batik')}"


def test_the_citation_is_one_plain_line(client: FlaskClient, network: Network) -> None:
    page = Page(client, f"/record/{network.id_of('batik')}")
    assert page.text('//*[@id="citation"]') == (
        "Widjaja, S. N., & Santoso, B. (2019). Batik Pesisir: Sejarah & Makna <Motif>. "
        "Jurnal Budaya, 5(2), 123-130. https://doi.org/10.5555/alfa.2019_1"
    )


def test_similar_works_are_other_works(client: FlaskClient, network: Network) -> None:
    page = Page(client, f"/record/{network.id_of('batik')}")
    assert page.links('//section[@class="similar"]//a') == {
        "Makna motif batik Lasem": f"/record/{network.id_of('lasem')}"
    }


@pytest.mark.parametrize(("suffix", "media_type"), MEDIA_TYPES.items())
def test_an_export_has_its_media_type_by_ending_and_by_accept(
    client: FlaskClient, network: Network, suffix: str, media_type: str
) -> None:
    path = f"/record/{network.id_of('batik')}"
    by_ending = client.get(f"{path}.{suffix}")
    by_accept = client.get(path, headers={"Accept": media_type})
    assert by_ending.mimetype == by_accept.mimetype == media_type
    assert by_ending.data == by_accept.data
    assert "Accept" in by_accept.vary


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "image/png",
        "nonsense",
    ],
)
def test_browsers_get_the_page(client: FlaskClient, network: Network, accept: str | None) -> None:
    answer = client.get(f"/record/{network.id_of('batik')}", headers={"Accept": accept} if accept else {})
    assert answer.mimetype == "text/html"
    assert "Accept" in answer.vary


def test_json_and_xml_exports_parse(client: FlaskClient, network: Network) -> None:
    (item,) = json.loads(client.get(f"/record/{network.id_of('batik')}.json").data)
    assert item["title"] == "Batik Pesisir: Sejarah & Makna <Motif>"
    assert item["issued"] == {"date-parts": [[2019, 3, 12]]}
    assert item["URL"] == "https://alfa.example/batik/1"
    root = etree.fromstring(client.get(f"/record/{network.id_of('batik')}.xml").data)
    assert root.findtext("{http://purl.org/dc/elements/1.1/}title") == "Batik Pesisir: Sejarah & Makna <Motif>"


def test_a_removed_record_answers_410_and_says_when_and_who(client: FlaskClient, network: Network) -> None:
    page = Page(client, f"/record/{network.id_of('gone')}", status=410)
    assert page.text("//h1") == "This record was removed"
    assert "Perpustakaan Alfa" in page.text("//main")
    assert "19 October 2026" in page.text("//main")
    assert "Rahasia" not in page.answer.text
    export = client.get(f"/record/{network.id_of('gone')}.ris")
    assert (export.status_code, "Accept" in export.vary) == (410, False)


def test_after_a_membership_the_tombstone_says_that_it_ended(tmp_path: Path) -> None:
    network = build_network(tmp_path, indexed=False)
    catalogue = open_catalogue(network.settings.catalogue_url)
    with catalogue.write() as connection:
        mark_removed(connection, get_member(connection, "alfa"), NOW)
    catalogue.close()
    app = create_app(network.settings)
    page = Page(app.test_client(), f"/record/{network.id_of('gone')}", status=410, Accept_Language="en")
    assert "The membership of Perpustakaan Alfa ended" in page.text("//main")
    app.extensions["lumbung"].close()


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        (("2301-1234", "Jurnal Tani; Vol. 5"), ("Jurnal Tani; Vol. 5",)),
        (("e-ISSN: 2301-123X", "urn:issn:2301-1234", "ISSN 2301-1234 (online)"), ()),
        (("Tani 1998-2003", "Jurnal 2301-1234"), ("Tani 1998-2003", "Jurnal 2301-1234")),
    ],
)
def test_a_source_that_is_only_an_issn_is_no_source(sources: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert telling_sources(Description(sources=sources)) == kept


@pytest.mark.parametrize("path", ["000000000000", "x", "padi", "0" * 5000, "..%2f..%2fetc", "%00", "a.ris", ".ris"])
def test_an_unknown_record_answers_404_with_a_search_box(client: FlaskClient, path: str) -> None:
    page = Page(client, f"/record/{path}", status=404)
    assert page.tree.xpath('//form[@role="search"]//input[@name="q"]')


def test_an_unknown_ending_answers_404(client: FlaskClient, network: Network) -> None:
    Page(client, f"/record/{network.id_of('batik')}.exe", status=404)


def test_an_id_in_capitals_leads_to_the_record(client: FlaskClient, network: Network) -> None:
    answer = client.get(f"/record/{network.id_of('batik').upper()}.bib")
    assert answer.status_code == 301
    assert answer.location == f"/record/{network.id_of('batik')}.bib"
    assert client.get(f"/record/{network.id_of('batik')}.RIS").location == f"/record/{network.id_of('batik')}.ris"
