"""Dead links of records are told: to readers beside the link, to the manager with cause, fix and each identifier."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sample_network import NOW, Network, Page, build_network
from sqlalchemy import select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.findings import find_report
from harvester.catalogue.links import seed_links, write_reports
from harvester.catalogue.tables import links, records
from web.app import create_app

DAY = 86_400
DEAD = {"strikes": 3, "reason": "not-found", "since": NOW - 9 * DAY, "checked_at": NOW - DAY, "turned_at": NOW - DAY}

WHY = "the server says that there is no such page, since 2026-11-09"


def kill(catalogue: Catalogue, identifier: str, url: str, **values: object) -> None:
    number = select(records.c.id).where(records.c.identifier == identifier).scalar_subquery()
    with catalogue.write() as connection:
        statement = update(links).where(links.c.record_id == number)
        connection.execute(statement.values({"url": url, **DEAD, **values}))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    network = build_network(tmp_path_factory.mktemp("dead"))
    catalogue = open_catalogue(network.settings.catalogue_url, lambda: NOW)
    with catalogue.write() as connection:
        seed_links(connection, NOW, 90)
    kill(catalogue, "oai:padi-1", "https://alfa.example/padi/1")
    kill(catalogue, "oai:padi-2", "https://alfa.example/padi/2", strikes=2, turned_at=None)
    kill(catalogue, "oai:padi-3", "https://alfa.example/where-it-was-once")
    kill(catalogue, "oai:batik-beta", "https://beta.example/b/7")
    kill(catalogue, "oai:gone", "https://alfa.example/gone")
    with catalogue.write() as connection:
        write_reports(connection, NOW)
    catalogue.close()
    return network


@pytest.fixture(scope="module")
def visitor(network: Network) -> Iterator[FlaskClient]:
    app = create_app(network.settings)
    yield app.test_client()
    app.extensions["lumbung"].close()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "the member's page did not answer since 9 November 2026"),
        ("id", "halaman anggota ini tidak menjawab sejak 9 November 2026"),
    ],
)
def test_a_reader_is_told_beside_the_link_which_stays(
    visitor: FlaskClient, network: Network, language: str, words: str
) -> None:
    page = Page(visitor, f"/record/{network.id_of('padi-1')}", Accept_Language=language)
    assert page.text('//aside[@class="read"]/p[@class="facts"]') == words
    assert "https://alfa.example/padi/1" in page.links('//aside[@class="read"]//a').values()


def test_a_holder_whose_page_is_dead_is_told_of_where_it_is_listed(visitor: FlaskClient, network: Network) -> None:
    page = Page(visitor, f"/record/{network.id_of('batik')}", Accept_Language="en")
    assert "did not answer since 9 November 2026" in page.text('//ul[contains(@class, "holders")]/li')
    assert page.texts('//aside[@class="read"]/p[@class="facts"]') == []


@pytest.mark.parametrize("name", ["padi-2", "padi-3", "padi-4"])
def test_two_strikes_or_another_address_or_no_check_say_nothing(
    visitor: FlaskClient, network: Network, name: str
) -> None:
    assert "did not answer" not in visitor.get(f"/record/{network.id_of(name)}?lang=en").text


def test_the_manager_sees_count_cause_fix_and_identifiers(visitor: FlaskClient) -> None:
    page = Page(visitor, "/members/alfa", Accept_Language="en")
    problem = '//article[@aria-labelledby="problem-dead-link"]'
    assert page.text(problem + "/h3") == "Links that lead nowhere 2"
    assert page.texts(problem + "//li") == ["oai:padi-3", "oai:padi-1"]
    assert "https://alfa.example/where-it-was-once: " + WHY in (page.texts(problem + "//dd"))
    facts = dict(zip(page.texts("//main/dl/div/dt"), page.texts("//main/dl/div/dd"), strict=True))
    assert facts["Links of records"] == ("1 answer · 2 are dead · 2 of them newly · 0 answer again · 18 November 2026")
    assert "Dead links of records: 2." in Page(visitor, "/members/alfa/problems", Accept_Language="en").text(
        '//p[@class="note"]'
    )


def test_json_and_csv_say_the_same(visitor: FlaskClient) -> None:
    status = visitor.get("/members/alfa.json").get_json()
    assert status["links"] == {
        "made_at": "2026-11-18T11:06:40Z", "alive": 1, "dead": 2, "newly_dead": 2, "recovered": 0,
    }  # fmt: skip
    (found,) = [finding for finding in status["findings"] if finding["code"] == "dead-link"]
    assert (found["count"], found["identifiers"]) == (2, ["oai:padi-3", "oai:padi-1"])
    rows = list(csv.DictReader(io.StringIO(visitor.get("/members/alfa/problems.csv").text, newline="")))
    assert [tuple(row.values()) for row in rows if row["code"] == "dead-link"] == [
        ("", "2026-11-17T11:06:40Z", "dead-link", f"{url}: {WHY}",
         identifier, url, "open")
        for identifier, url in (
            ("oai:padi-3", "https://alfa.example/where-it-was-once"), ("oai:padi-1", "https://alfa.example/padi/1")
        )
    ]  # fmt: skip
    assert visitor.get("/members/gama.json").get_json()["links"] is None


def test_the_report_of_a_member_names_dead_links_among_what_is_wrong(network: Network) -> None:
    catalogue = open_catalogue(network.settings.catalogue_url)
    with catalogue.read() as connection:
        report = find_report(connection, "beta")
    catalogue.close()
    assert report is not None
    assert [(group.code, group.identifiers) for group in report.problems] == [("dead-link", ("oai:batik-beta",))]
