"""The state of the network and of its members."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sample_network import NOW, Network, Page

from harvester.catalogue.database import open_catalogue
from harvester.catalogue.harvests import begin_harvest, finish_harvest
from harvester.catalogue.members import Member, add_member
from harvester.settings import Settings
from indexer.engine.opening import open_engine
from web.app import create_app


def rows(page: Page, table: str = "//table") -> list[list[str]]:
    return [
        [" ".join(cell.text_content().split()) for cell in row.xpath("th | td")]
        for row in page.tree.xpath(f"({table})[1]//tbody/tr[not(@class)]")
    ]


def test_the_list_says_state_attempts_and_records_of_each(client: FlaskClient) -> None:
    assert rows(Page(client, "/members/")) == [
        ["Arsip Gama", "Never harvested", "–", "–", "0"],
        ["Perpustakaan Alfa", "Complete", "19 October 2026", "19 October 2026", "57"],
        ["Repositori Beta", "Failed", "24 October 2026", "19 October 2026", "2"],
    ]


def test_a_member_tells_its_runs_its_numbers_and_its_problems(client: FlaskClient) -> None:
    page = Page(client, "/members/alfa")
    assert page.text("//h1") == "Perpustakaan Alfa"
    assert page.text('//p[@class="sentence"]') == "Complete: 1 record, 1 deleted"
    runs = rows(page, '//table[@class="runs list"]')
    assert [run[1:] for run in runs] == [
        ["Complete", "1", "1", "0", "0", "0", "1", "0", "57"],
        ["Complete, some records unreadable", "1", "59", "58", "0", "0", "0", "1", "58"],
    ]
    assert page.text("//figcaption").startswith("From 58 records on 9 October 2026 to 57 on 19 October 2026")
    assert len(page.tree.xpath('//*[local-name()="circle"]')) == 2
    assert page.text('//article[@class="problem"]//ul/li') == "oai:broken"
    assert "the record is not deleted and has no metadata" in page.texts('//article[@class="problem"]//dd')


def test_a_failed_harvest_says_why(client: FlaskClient) -> None:
    page = Page(client, "/members/beta")
    assert page.text('//p[@class="sentence"]') == "Failed: 0 records"
    assert page.text('//p[@class="note bad"]') == "beta did not answer <within> 60 s"


def test_one_harvest_is_one_dot_and_full_texts_are_no_number_where_there_are_none(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    catalogue = open_catalogue(settings.catalogue_url)
    with catalogue.write() as connection:
        delta = add_member(connection, Member("delta", "Delta", "https://delta.example/oai"), NOW)
        harvest = begin_harvest(connection, delta, NOW)
        finish_harvest(connection, harvest, outcome="nothing-new", error=None, requests=1, size=1, now=NOW)
    engine = open_engine(settings)
    engine.write([], [], 0)
    engine.close()
    catalogue.close()
    app = create_app(settings)
    page = Page(app.test_client(), "/members/delta", Accept_Language="en")
    assert len(page.tree.xpath('//*[local-name()="circle"]')) == 1
    assert page.text("//figcaption").startswith("Records after the harvest of 18 November 2026: 0.")
    assert Page(app.test_client(), "/", Accept_Language="en").texts("//dl//dt") == ["works", "member"]
    app.extensions["lumbung"].close()


def test_a_member_that_was_never_harvested_has_a_page(client: FlaskClient) -> None:
    assert "has not begun" in Page(client, "/members/gama").text('//p[@class="sentence"]')


def test_a_member_can_be_read_as_json(client: FlaskClient) -> None:
    status = client.get("/members/alfa.json").get_json()
    assert (status["slug"], status["outcome"], status["records"], status["deleted"]) == ("alfa", "complete", 57, 1)
    assert status["last_attempt"]["started_at"].startswith("2026-10-19T")
    assert [run["outcome"] for run in status["runs"]] == ["complete", "complete-with-failures"]
    assert [run["from"] for run in status["runs"]] == ["2026-10-08", None]
    assert status["problems"][0]["identifier"] == "oai:broken"
    assert client.get("/members/gama.json").get_json()["last_attempt"] is None


def test_an_unknown_member_is_404_in_both_forms(client: FlaskClient) -> None:
    Page(client, "/members/nobody", status=404)
    answer = client.get("/members/nobody.json")
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_the_first_page_names_members_and_numbers(client: FlaskClient, network: Network) -> None:
    page = Page(client, "/")
    assert dict(zip(page.texts("//dl//dt"), page.texts("//dl//dd"), strict=True)) == {
        "works": "58", "members": "3", "with full text": "1",
    }  # fmt: skip
    assert page.texts('//ul[contains(@class, "roll")]//span[@class="state"]') == [
        "Complete", "Failed", "Never harvested",
    ]  # fmt: skip
    assert len(page.tree.xpath('//section[@aria-labelledby="newest"]//li')) == 6


@pytest.mark.parametrize("path", ["/", "/search", "/search?q=padi", "/members/", "/members/alfa", "/about", "/nothing"])
def test_every_page_has_one_h1_a_language_and_a_name_for_each_field(client: FlaskClient, path: str) -> None:
    page = Page(client, path, status=404 if path == "/nothing" else 200)
    assert len(page.tree.xpath("//h1")) == 1
    assert page.tree.get("lang") == "en"
    assert page.text("//head/title")
    assert page.tree.xpath("//main")
    assert not page.tree.xpath("//*[@style] | //script[not(@src)] | //style")
    ids = page.tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    for field in page.tree.xpath('//input[not(@type="hidden")]'):
        assert field.xpath("ancestor::label") or page.tree.xpath(f'//label[@for="{field.get("id")}"]')
