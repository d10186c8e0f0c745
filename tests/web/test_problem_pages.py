"""What a manager sees of a member in trouble: cause and fix of each problem, the records concerned, what waits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale
from sample_network import Page
from sqlalchemy import insert
from troubled_network import EVIL, NOW, build_troubled, put_run

from harvester.catalogue.database import open_catalogue
from harvester.catalogue.findings import list_found_problems
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.members import get_member
from harvester.catalogue.tables import problems
from harvester.problems import CODES
from web.app import create_app
from web.fixes import FIXES, explain, find_platform, places
from web.places import PLACES, PLATFORMS
from web.problems import iter_csv


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = create_app(build_troubled(tmp_path_factory.mktemp("troubled")))
    yield app
    app.extensions["lumbung"].close()


@pytest.fixture
def reader(troubled: Flask) -> FlaskClient:
    client = troubled.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


def test_every_problem_has_title_cause_and_fix_in_both_languages(troubled: Flask) -> None:
    assert set(FIXES) == CODES
    with troubled.app_context():
        for code in CODES:
            words = explain(code)
            for text in (words.title, words.cause, words.fix):
                with force_locale("en"):
                    english = str(text)
                with force_locale("id"):
                    indonesian = str(text)
                assert english
                assert indonesian not in {"", english}


def test_every_place_of_a_fix_names_all_platforms(troubled: Flask) -> None:
    assert {words.place for words in FIXES.values()} - {""} == set(PLACES)
    assert all(set(found) == set(PLATFORMS) for found in PLACES.values())
    with troubled.app_context(), force_locale("en"):
        assert "oai_max_records" in places("short-list", "ojs")["OJS"]
        assert list(places("short-list", None)) == ["EPrints", "DSpace", "OJS", "SLiMS"]
        assert places("certificate", None) == {}


@pytest.mark.parametrize(
    ("url", "identifier", "platform"),
    [
        ("https://eprints.undip.ac.id/cgi/oai2", "", "eprints"),
        ("https://repo.example/server/oai/request", "", "dspace"),
        ("https://repo.example/oai", "oai:repo.example:123456789/42", "dspace"),
        ("https://jurnal.example/index.php/index/oai", "", "ojs"),
        ("https://jurnal.example/jip/oai", "", "ojs"),
        ("https://lib.example/oai2.php", "", "slims"),
        ("https://lib.example/pmh", "oai:slims/12", "slims"),
        ("https://lib.example/pmh", "", None),
    ],
)
def test_the_platform_is_known_by_address_or_identifiers(url: str, identifier: str, platform: str | None) -> None:
    assert find_platform(url, [identifier]) == platform


def test_the_page_groups_what_stands_with_cause_fix_and_identifiers(reader: FlaskClient) -> None:
    page = Page(reader, "/members/alfa")
    assert page.texts('//article[@class="problem"]/h3') == [
        "A record that is not well-formed 1",  # of two: one came again in good order
        "A record without metadata 1",
        "The answer is not OAI-PMH 1",
    ]
    assert page.texts('//article[@class="problem"]//li') == [EVIL, "oai:alfa:3"]
    assert page.texts('//article[@class="problem"]//dt')[0] == "EPrints"  # and no other platform
    assert "DSpace" not in page.texts("//dt")


def test_the_page_tells_state_schedule_error_quirks_and_what_is_missing(reader: FlaskClient) -> None:
    page = Page(reader, "/members/alfa")
    assert page.text("//h1") == "Repositori <Alfa> & Rekan"
    assert page.text('//p[@class="sentence"]') == "Incomplete: 100 records"
    first, *others = page.texts('//p[contains(@class, "note")]')
    assert first == "alfa sent a <html> page"
    assert "1,200 of 5,000" in others[0]
    assert "certificate of this server is not checked until" in others[1]
    facts = dict(zip(page.texts("//main/dl/div/dt"), page.texts("//main/dl/div/dd"), strict=True))
    assert facts["Next harvest"] == "19 November 2026, 11:06 UTC"
    assert facts["Last success"] == "13 November 2026, 11:07 UTC"
    assert facts["Rule"] == "1d · 23:00-04:00 Asia/Jakarta"
    assert facts["Deletions"] == "Deletions are announced for some time"
    assert page.links()["https://alfa.example/cgi/oai2?resumptionToken=def"]
    run = page.texts('//tr[@class="told"][2]//dd')
    assert run[:3] == ["17 November 2026, 11:07 UTC", "0 · 4 repeated · 124 kB", "2026-11-12 – not proved"]
    assert "2026-11-17T01:02:03Z" in run
    assert page.texts('//section[@aria-labelledby="vanished"]//tbody/tr/*') == [
        "oai:alfa:9", "16 November 2026", "1", "30 November 2026",
    ]  # fmt: skip
    assert page.texts('//section[@aria-labelledby="quirks"]//tbody/tr/*') == [
        "granularity YYYY-MM-DD", "9 November 2026", "badArgument for 2026-11-08T00:00:00Z",
    ]  # fmt: skip
    assert "Comparison of all identifiers" in page.text('//tr[@id="run-6"]/td[1]')


def test_paused_and_running_members_say_so(reader: FlaskClient) -> None:
    assert "paused" in Page(reader, "/members/gama").text('//p[@class="note"]')
    running = Page(reader, "/members/delta")
    assert running.text('//p[@class="sentence"]') == "Harvest under way: 7 records"
    assert "Last sign of progress: 18 November 2026" in running.text('//p[@role="status"]')


def test_no_page_shows_whom_a_member_wants_written_to(reader: FlaskClient) -> None:
    for path in ("alfa", "alfa.json", "alfa.atom", "alfa/problems", "alfa/problems.csv", ".json", ".atom", ""):
        assert "rahasia" not in reader.get(f"/members/{path}").text


def test_json_says_the_same(reader: FlaskClient) -> None:
    status = reader.get("/members/alfa.json").get_json()
    assert (status["state"], status["outcome"], status["platform"]) == ("halted", "incomplete", "eprints")
    assert status["next_run"] == "2026-11-19T11:06:40Z"
    assert [(one["code"], one["count"], one["identifiers"]) for one in status["findings"]] == [
        ("broken-record", 1, [EVIL]), ("no-metadata", 1, ["oai:alfa:3"]), ("not-oai", 1, []),
    ]  # fmt: skip
    assert list(status["findings"][0]["places"]) == ["EPrints"]
    assert status["vanished"]["count"] == 1
    assert status["vanished"]["first"][0]["due_at"] == "2026-11-30T11:06:40Z"
    assert status["quirks"][0]["found_at"] == "2026-11-09T11:06:40Z"
    run = status["last_attempt"]
    assert (run["kind"], run["retries"], run["from"], run["error_key"]) == (
        "harvest", 4, "2026-11-12", "alfa/3/2.xml.zst",
    )  # fmt: skip
    assert reader.get("/members/gama.json").get_json()["next_run"] is None
    indonesian = reader.get("/members/alfa.json", headers={"Accept-Language": "id"}).get_json()
    assert indonesian["findings"][1]["title"] == "Rekaman tanpa metadata"


def test_the_csv_has_every_problem_and_nothing_that_a_spreadsheet_runs(reader: FlaskClient) -> None:
    answer = reader.get("/members/alfa/problems.csv")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [(row["run"], row["code"], row["identifier"], row["state"]) for row in rows] == [
        ("5", "not-oai", "", "open"),
        ("3", "repaired-xml", "", "mended"),  # a later harvest would have told it again
        ("3", "no-metadata", "oai:alfa:3", "open"),
        ("3", "broken-record", "'" + EVIL, "open"),
        ("3", "broken-record", "oai:alfa:1", "mended"),
    ]
    assert rows[0]["url"] == "https://alfa.example/cgi/oai2?resumptionToken=def"
    assert rows[0]["when"] == "2026-11-17T11:07:40Z"
    assert rows[1]["url"] == "https://alfa.example/cgi/oai2?verb=ListRecords&x=1"
    assert reader.get("/members/nobody/problems.csv").status_code == 404


def test_thousands_of_problems_are_paged_and_streamed_without_a_gap(tmp_path: Path) -> None:
    settings = build_troubled(tmp_path)
    catalogue = open_catalogue(settings.catalogue_url, lambda: NOW)
    with catalogue.write() as connection:
        beta = get_member(connection, "beta")
        run = begin_harvest(connection, beta, NOW)
        rows = [
            {"harvest_id": run, "code": "no-metadata", "identifier": f"oai:{n}", "cause": "+1"} for n in range(2345)
        ]
        connection.execute(insert(problems), rows)
    with catalogue.read() as connection:
        assert len(list_found_problems(connection, beta.id, 5000)) == 2345
    table = list(csv.DictReader(io.StringIO("".join(iter_csv(catalogue, beta.id)), newline="")))
    assert [row["identifier"] for row in table] == [f"oai:{n}" for n in reversed(range(2345))]
    assert {row["cause"] for row in table} == {"'+1"}
    app = create_app(settings)
    client = app.test_client()
    path, seen = "/members/beta/problems", []
    while path:
        page = Page(client, path, Accept_Language="en")
        seen += page.texts("//tbody//th")
        path = page.links('//nav[@class="pages"]/a').get("Next page", "")
    assert seen == [row["identifier"] for row in table]
    member = Page(client, "/members/beta", Accept_Language="en")
    assert member.text('//article[@class="problem"]/h3').endswith("2,345")
    assert "and 2,340 more" in member.text('//article[@class="problem"]//dd[ul]')
    app.extensions["lumbung"].close()
    catalogue.close()


def test_a_full_harvest_without_the_problem_ends_it(tmp_path: Path) -> None:
    settings = build_troubled(tmp_path)
    catalogue = open_catalogue(settings.catalogue_url, lambda: NOW)
    app = create_app(settings)

    def codes() -> list[str]:
        status = app.test_client().get("/members/alfa.json").get_json()
        return [finding["code"] for finding in status["findings"]]

    assert codes() == ["broken-record", "no-metadata", "not-oai"]
    for outcome, standing in (("failed", codes()[:2]), ("nothing-new", [])):
        with catalogue.write() as connection:
            put_run(connection, 1, outcome, NOW)
        assert codes() == standing
    app.extensions["lumbung"].close()
    catalogue.close()
