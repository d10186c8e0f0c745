"""Feeds of ended runs, and the list of many members."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree
from sample_network import Page
from troubled_network import DAY, NOW, build_troubled, put_run

from harvester.catalogue.database import open_catalogue
from harvester.catalogue.members import Member, add_member
from web.app import create_app

_ATOM = "{http://www.w3.org/2005/Atom}"
_SPACES = {"a": _ATOM[1:-1]}


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[Flask]:
    app = create_app(build_troubled(tmp_path))
    yield app
    app.extensions["lumbung"].close()


@pytest.fixture
def reader(troubled: Flask) -> FlaskClient:
    client = troubled.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


def feed_of(client: FlaskClient, path: str) -> etree._Element:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    return etree.fromstring(answer.data)


def texts(feed: etree._Element, path: str) -> list[str]:
    return [element.text or "" for element in feed.findall(path, _SPACES)]


@pytest.mark.parametrize("path", ["/members/.atom", "/members/alfa.atom", "/members/gama.atom"])
def test_every_feed_and_entry_has_what_atom_demands(reader: FlaskClient, path: str) -> None:
    """Spec: RFC 4287, 4.1.1 and 4.1.2."""
    feed = feed_of(reader, path)
    assert feed.tag == _ATOM + "feed"
    for element in (feed, *feed.findall("a:entry", _SPACES)):
        for name in ("id", "title", "updated"):
            (text,) = texts(element, f"a:{name}")
            assert text
        assert texts(element, "a:author/a:name")[0]
        assert element.find("a:link[@rel='alternate']", _SPACES) is not None
        assert all(text.endswith("Z") and len(text) == 20 for text in texts(element, "a:updated"))
    ids = texts(feed, "a:entry/a:id")
    assert len(ids) == len(set(ids))
    own = feed.find("a:link[@rel='self']", _SPACES)
    assert own is not None
    assert own.get("href") == "http://library.test" + path


def test_a_members_feed_tells_its_ended_runs_newest_first(reader: FlaskClient) -> None:
    feed = feed_of(reader, "/members/alfa.atom")
    assert texts(feed, "a:entry/a:title") == [
        f"Repositori <Alfa> & Rekan: {word}"
        for word in ("Failed", "Incomplete", "Complete", "Complete, some records unreadable")
    ]
    assert texts(feed, "a:entry/a:id")[0] == "http://library.test/members/alfa#run-6"
    assert texts(feed, "a:updated") == ["2026-11-17T23:07:40Z"]
    content = texts(feed, "a:entry/a:content")[1]
    assert content.splitlines() == [
        "Harvest", "Incomplete: 100 records",
        "Some pages came, then the list broke off. What came is kept; the next harvest goes on from there.",
        "alfa sent a <html> page",
    ]  # fmt: skip


def test_each_run_that_ends_is_a_new_entry_of_both_feeds_and_none_before(reader: FlaskClient, tmp_path: Path) -> None:
    before = texts(feed_of(reader, "/members/.atom"), "a:entry/a:id")
    assert len(before) == 5  # delta's run has not ended
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    with catalogue.write() as connection:
        control = "a \x00\x1a\ufffe control"
        put_run(connection, 1, "failed", NOW, error=control)
        put_run(connection, 2, None, NOW)
    catalogue.close()
    network = feed_of(reader, "/members/.atom")
    assert texts(network, "a:entry/a:id") == ["http://library.test/members/alfa#run-7", *before]
    assert texts(network, "a:entry/a:content")[0].endswith("a \ufffd\ufffd\ufffd control")
    assert texts(feed_of(reader, "/members/alfa.atom"), "a:entry/a:id")[0].endswith("#run-7")


def test_a_feed_of_no_run_and_of_no_member(reader: FlaskClient) -> None:
    assert texts(feed_of(reader, "/members/gama.atom"), "a:entry/a:id") == []
    assert reader.get("/members/nobody.atom").status_code == 404


def test_members_are_counted_by_state_and_found_by_state_and_name(reader: FlaskClient) -> None:
    page = Page(reader, "/members/")
    assert page.texts('//nav[contains(@class, "states")]/a') == [
        "All 4", "Waits for a decision 1", "Complete 1", "Harvest under way 1", "Paused 1",
    ]  # fmt: skip
    assert Page(reader, "/members/?state=paused").texts("//tbody//th") == ["Arsip Gama 100%"]
    assert Page(reader, "/members/?name=PERPUS").texts("//tbody//th") == ["Perpustakaan Beta"]
    assert Page(reader, "/members/?name=100%25").texts("//tbody//th") == ["Arsip Gama 100%"]
    assert Page(reader, "/members/?name=delt").texts("//tbody//th") == ["Jurnal Delta"]
    nobody = Page(reader, "/members/?name=<b>")
    assert "No member is like that." in nobody.text('//p[@class="note"]')
    assert nobody.tree.xpath('string(//input[@id="name"]/@value)') == "<b>"


def test_many_members_are_paged_for_people_and_for_programs(reader: FlaskClient, tmp_path: Path) -> None:
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    with catalogue.write() as connection:
        for number in range(250):
            add_member(connection, Member(f"m-{number}", f"Nama {number:03}", "https://m.example/oai"), NOW - DAY)
    catalogue.close()
    names = [f"Nama {number:03}" for number in range(250)]
    seen, path = [], "/members/?name=nama"
    while path:
        page = Page(reader, path)
        seen += page.texts("//tbody//th")
        path = page.links('//nav[@class="pages"]/a').get("Next page", "")
    assert seen == names
    listed, path = [], "/members/.json?name=nama"
    while path:
        answer = reader.get(path).get_json()
        assert (answer["total"], answer["states"]) == (250, {"never": 250})
        listed += [member["name"] for member in answer["members"]]
        path = (answer["next"] or "").removeprefix("http://localhost")
    assert listed == names
    for page_number in ("0", "-1", "x", "99", "9" * 30, "²"):
        assert Page(reader, f"/members/?page={page_number}").texts("//tbody//th")
    home = Page(reader, "/")
    assert len(home.texts('//ul[contains(@class, "roll")]/li')) == 12
    assert home.links()["All members"] == "/members/"
