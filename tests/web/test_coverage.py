"""A member's manager sees the share of full texts, each reason with its records, what led to files, and dead links."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from held_files import PDF, number_of, put_held
from sample_network import NOW, Network, Page, build_network
from sqlalchemy import update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.files import count_rungs
from harvester.catalogue.links import seed_links
from harvester.catalogue.members import get_member
from harvester.catalogue.tables import fulltexts, links, members
from harvester.fulltext.ladder import RUNGS
from harvester.fulltext.states import REASONS
from web.app import create_app
from web.cli import lumbung
from web.reasons import LOST
from web.reasons import REASONS as WORDS
from web.reasons import RUNGS as WAYS

DAY = 86_400


def miss(catalogue: Catalogue, identifier: str, state: str, reason: str, **others: object) -> None:
    known = {"state": state, "reason": reason, "url": f"https://alfa.example/{reason}", "checked_at": NOW - DAY}
    number = number_of(catalogue, identifier)
    with catalogue.write() as connection:
        connection.execute(update(fulltexts).where(fulltexts.c.record_id == number).values({**known, **others}))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    network = build_network(tmp_path_factory.mktemp("coverage"))
    catalogue = open_catalogue(network.settings.catalogue_url, lambda: NOW)
    for n, state in enumerate(("text", "text", "scanned", "encrypted")):
        files = (f"https://alfa.example/{n}.pdf", f"%PDF {n}".encode(), PDF)
        put_held(network.settings, catalogue, f"oai:padi-{n}", files, state=state, now=NOW - DAY)
    miss(catalogue, "oai:padi-1", "held", "not-found", strikes=3, since=NOW - 9 * DAY)
    for n in (4, 5, 6):
        miss(catalogue, f"oai:padi-{n}", "missing", "robots")
    miss(catalogue, "oai:padi-7", "withheld", "embargoed", url=None)
    with catalogue.write() as connection:
        alfa = get_member(connection, "alfa")
        count_rungs(connection, alfa, [("metadata", True), ("metadata", True), ("citation", False)])
        seed_links(connection, NOW, 90)
        dead = {"strikes": 3, "reason": "not-found", "since": NOW - 9 * DAY, "checked_at": NOW - DAY}
        number = number_of(catalogue, "oai:padi-9")
        connection.execute(
            update(links).where(links.c.record_id == number).values(url="https://alfa.example/9", **dead)
        )
    catalogue.close()
    return network


@pytest.fixture(scope="module")
def visitor(network: Network) -> Iterator[FlaskClient]:
    app = create_app(network.settings)
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    yield client
    app.extensions["lumbung"].close()


def test_every_reason_and_every_way_has_words() -> None:
    assert set(WORDS) == {*REASONS, "due", LOST}
    assert set(WAYS) == set(RUNGS)


def test_the_numbers_of_all_reasons_and_of_what_was_read_are_all_records(visitor: FlaskClient) -> None:
    told = visitor.get("/members/alfa.json").get_json()["fulltext"]
    assert told == {
        "records": 57,
        "held": 4,
        "searchable": 2,
        "source_away": 1,
        "reasons": {"due": 49, "robots": 3, "embargoed": 1, "encrypted": 1, "scanned": 1},
        "found_by": {"metadata": {"tried": 2, "found": 2}, "citation": {"tried": 1, "found": 0}},
    }
    assert told["searchable"] + sum(told["reasons"].values()) == told["records"]


def test_the_members_page_tells_share_and_first_reasons(visitor: FlaskClient) -> None:
    page = Page(visitor, "/members/alfa")
    section = '//section[@aria-labelledby="texts"]'
    assert page.text(section + "/h2") == "Full texts 3 %"
    assert page.texts(section + "/p")[0] == (
        "Of 57 records, 2 have a text that can be searched; files of 4 are held. The sources of 1 of them are away."
    )
    assert page.links(section + "//a")["robots.txt forbids it"] == "/members/alfa/fulltext?reason=robots"


def test_the_report_lists_reasons_with_numbers_and_help_and_the_ways_that_worked(visitor: FlaskClient) -> None:
    page = Page(visitor, "/members/alfa/fulltext")
    rows = page.texts('//section[@aria-labelledby="reasons"]//tbody/tr/th//a')
    numbers = page.texts('//section[@aria-labelledby="reasons"]//tbody/tr/td')
    assert "Let robots.txt of the file's host allow" in page.texts('//section[@aria-labelledby="reasons"]//th//p')[0]
    assert list(zip(rows, numbers, strict=True)) == [
        ("Not looked for yet", "49"),
        ("robots.txt forbids it", "3"),
        ("Under embargo", "1"),
        ("The file opens with a password only", "1"),
        ("Pictures of pages, without a layer of text", "1"),
        ("The source does not give the file any more", "1"),
    ]
    assert page.texts('//section[@aria-labelledby="rungs"]//tbody/tr') == [
        "Links in the record22",
        "citation_pdf_url10",
    ]


@pytest.mark.parametrize(
    ("reason", "identifiers", "url"),
    [
        ("robots", ["oai:padi-4", "oai:padi-5", "oai:padi-6"], "https://alfa.example/robots"),
        ("scanned", ["oai:padi-2"], "https://alfa.example/2.pdf"),
        ("source-away", ["oai:padi-1"], "https://alfa.example/not-found"),
        ("embargoed", ["oai:padi-7"], ""),
        ("login", [], ""),
    ],
)
def test_the_records_of_a_reason_are_listed_with_address_and_date(
    visitor: FlaskClient, reason: str, identifiers: list[str], url: str
) -> None:
    path = f"/members/alfa/fulltext?reason={reason}"
    assert Page(visitor, path).texts('//section[@aria-labelledby="records"]//tbody/tr/th') == identifiers
    rows = list(csv.DictReader(io.StringIO(visitor.get(f"/members/alfa/fulltext.csv?reason={reason}").text)))
    told = visitor.get(f"/members/alfa/fulltext.json?reason={reason}").get_json()
    assert [row["identifier"] for row in rows] == [one["identifier"] for one in told["missing"]] == identifiers
    assert {row["url"] for row in rows} <= {url}
    assert {row["checked_at"] for row in rows} <= {"2026-11-17T11:06:40Z"}
    assert told["next"] is None


def test_all_records_without_a_text_are_listed_in_parts(visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.coverage._AT_ONCE", 20)
    monkeypatch.setattr("web.coverage._STREAMED", 20)
    path, found = "/members/alfa/fulltext", list[str]()
    while path:
        page = Page(visitor, path)
        found += page.texts('//section[@aria-labelledby="records"]//tbody/tr/th')
        path = page.links().get("Next page", "")
    rows = list(csv.DictReader(io.StringIO(visitor.get("/members/alfa/fulltext.csv").text)))
    assert [row["identifier"] for row in rows] == found
    assert (len(found), len(set(found)), "oai:padi-0" in found) == (55, 55, False)
    first = visitor.get("/members/alfa/fulltext.json").get_json()
    second = visitor.get(first["next"].partition("library.test")[2] or first["next"]).get_json()
    assert [one["identifier"] for one in first["missing"] + second["missing"]] == found[:40]


def test_links_that_died_are_listed_with_address_and_date(visitor: FlaskClient) -> None:
    page = Page(visitor, "/members/alfa/links")
    (row,) = page.texts("//tbody/tr")
    assert row == (
        "oai:padi-9 The page or file is not there https://alfa.example/9 17 November 2026 · since 9 November 2026"
    )
    (told,) = visitor.get("/members/alfa/links.json").get_json()["links"]
    (line,) = csv.DictReader(io.StringIO(visitor.get("/members/alfa/links.csv").text))
    assert told == line == {
        "identifier": "oai:padi-9", "record": line["record"], "state": "dead", "reason": "not-found",
        "url": "https://alfa.example/9", "checked_at": "2026-11-17T11:06:40Z", "since": "2026-11-09T11:06:40Z",
    }  # fmt: skip


def test_a_member_whose_files_are_not_fetched_has_one_reason(network: Network, visitor: FlaskClient) -> None:
    catalogue = open_catalogue(network.settings.catalogue_url)
    with catalogue.write() as connection:
        connection.execute(update(members).where(members.c.slug == "beta").values(fulltext=False))
    catalogue.close()
    told = visitor.get("/members/beta/fulltext.json").get_json()
    assert told["reasons"] == {"no-fulltext": 2}
    assert [one["reason"] for one in told["missing"]] == ["no-fulltext"] * 2


def test_the_reports_are_in_indonesian_too(visitor: FlaskClient) -> None:
    page = Page(visitor, "/members/alfa/fulltext", Accept_Language="id")
    assert page.texts('//section[@aria-labelledby="reasons"]//tbody/tr/th//a')[1] == "Dilarang oleh robots.txt"
    assert visitor.get("/members/nobody/fulltext").status_code == 404


def test_the_measurements_and_the_status_tell_of_full_texts(
    network: Network, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured = visitor.get("/metrics").text
    for line in (
        'lumbung_fulltexts{state="held"} 4.0',
        'lumbung_fulltexts{state="missing"} 3.0',
        'lumbung_fulltexts{state="withheld"} 1.0',
        'lumbung_files{text="text"} 2.0',
        'lumbung_files{text="unread"} 0.0',
        "lumbung_takedowns 0.0",
    ):
        assert line in measured.splitlines()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUMBUNG_HOME", str(network.settings.home))
    told = [json.loads(line) for line in CliRunner().invoke(lumbung, ["status", "--json"]).stdout.splitlines()]
    assert {each["member"]: each["fulltext"]["held"] for each in told} == {"alfa": 4, "beta": 0, "gama": 0}
    (alfa,) = (each for each in told if each["member"] == "alfa")
    assert alfa["fulltext"] == {"due": 49, "held": 4, "missing": 3, "withheld": 1}
    lines = CliRunner().invoke(lumbung, ["status"]).stdout.splitlines()
    assert [line.endswith("; 4 with files") for line in lines if line.startswith("alfa ")] == [True]
