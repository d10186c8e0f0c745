"""What readers see of a hit whose full text explains it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from flask import Flask
from flask.testing import FlaskClient
from sample_network import Network, Page, build_network

from harvester.archive import open_archive
from harvester.catalogue import open_catalogue
from harvester.catalogue.files import File, FullText, find_fulltexts, follow_records, put_file, put_fulltext, put_text
from harvester.catalogue.records import iter_records
from harvester.fulltext.keep import text_key
from indexer import passages
from indexer.build import advance
from indexer.engine.opening import open_engine
from web.app import create_app
from web.takedowns import carry_out

PAGES = ("Kata pengantar <b>\n", "Wawancara dengan para\npekaseh berlangsung di pura.\n")
FILE = sha256(b"the file").hexdigest()


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network in which one work of alfa has a PDF with a text of two pages."""
    network = build_network(tmp_path_factory.mktemp("reading"), indexed=False)
    archive = open_archive(network.settings.archive_url)
    text = "".join(PAGES)
    archive.put(text_key(FILE), zstandard.ZstdCompressor().compress(text.encode()))
    with closing(open_catalogue(network.settings.catalogue_url)) as catalogue:
        now = catalogue.now()
        number = next(each.number for each in iter_records(catalogue) if each.id == network.id_of("padi-7"))
        with catalogue.write() as connection:
            follow_records(connection, now)
            known = find_fulltexts(connection, [number])[number]
            file = File(
                number, 0, "https://alfa.example/padi.pdf", "text", "page", "kept", now,
                sha256=FILE, media_type="application/pdf", size=8, fetched_at=now,
            )  # fmt: skip
            put_file(connection, file)
            assert put_fulltext(connection, known, FullText(number, "held", checked_at=now, next_check=now + 10**9))
            put_text(
                connection, FILE, "text", now, language="id", page_starts=(0, len(PAGES[0])), characters=len(text)
            )  # fmt: skip
        with closing(open_engine(network.settings)) as engine:
            advance(catalogue, engine, archive)
    return network


@pytest.fixture(scope="module")
def reading_app(reading: Network) -> Iterator[Flask]:
    app = create_app(reading.settings)
    yield app
    app.extensions["lumbung"].close()


@pytest.fixture
def reader(reading_app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(passages, "_SECONDS", 60.0)  # however busy the machine is
    client = reading_app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


@pytest.mark.parametrize(("language", "place"), [("en", "p. 2"), ("id", "hlm. 2")])
def test_a_phrase_of_a_pdf_finds_its_work_and_is_shown_with_its_page(
    reader: FlaskClient, language: str, place: str
) -> None:
    reader.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
    page = Page(reader, "/search?q=%22para+pekaseh%22")
    assert page.titles() == ["Panen padi nomor 7 di desa Sukamaju"]
    (shown,) = page.tree.xpath('//p[contains(@class, "passage")]')
    assert shown.get("lang") == "id"
    assert page.text('//p[contains(@class, "passage")]/span[@class="place"]') == place
    assert page.texts('//p[contains(@class, "passage")]/mark') == ["para", "pekaseh"]


def test_a_hit_that_its_title_explains_has_no_passage(reader: FlaskClient) -> None:
    page = Page(reader, "/search?q=padi+sukamaju+nomor+7")
    assert "Panen padi nomor 7 di desa Sukamaju" in page.titles()
    assert page.texts('//p[contains(@class, "passage")]') == []


def test_the_api_has_the_piece_its_page_and_the_number_of_works_with_text(reader: FlaskClient) -> None:
    answer = reader.get("/api/search?q=pekaseh").get_json()
    (hit,) = answer["hits"]
    assert (hit["page"], hit["file"], hit["fulltext"]) == (2, 1, True)
    assert "para pekaseh berlangsung" in hit["snippet"]
    assert reader.get("/api/search?q=padi").get_json()["facets"]["fulltext"] == [{"value": "1", "count": 1}]
    assert reader.get("/api/search?q=padi&fulltext=1").get_json()["total"] == 1
    assert reader.get("/api/search?q=padi+fulltext:yes").get_json()["total"] == 1


def test_markup_in_a_text_is_text(reader: FlaskClient) -> None:
    page = Page(reader, "/search?q=text:pengantar")
    assert page.text('//p[contains(@class, "passage")]') == "p. 1 Kata pengantar <b>"


def test_without_its_archived_text_a_hit_is_a_hit(reader: FlaskClient, reading: Network) -> None:
    path = Path(reading.settings.home) / "archive" / text_key(FILE)
    held = path.with_suffix(".held")
    path.rename(held)
    try:
        page = Page(reader, "/search?q=pekaseh")
        assert len(page.titles()) == 1
        assert page.texts('//p[contains(@class, "passage")]') == []
    finally:
        held.rename(path)


def test_while_the_archive_is_away_a_hit_is_a_hit(reader: FlaskClient, reading: Network) -> None:
    folder = Path(reading.settings.home) / "archive"
    held = folder.rename(folder.with_name("away"))
    try:
        assert len(Page(reader, "/search?q=pekaseh").titles()) == 1
        assert reader.get("/api/search?q=pekaseh").get_json()["hits"][0]["page"] is None
    finally:
        held.rename(folder)
    assert reader.get("/api/search?q=pekaseh").get_json()["hits"][0]["page"] == 2


def test_a_file_that_is_taken_down_is_found_no_more_at_once(reader: FlaskClient, reading: Network) -> None:
    archive = open_archive(reading.settings.archive_url)
    with closing(open_catalogue(reading.settings.catalogue_url)) as catalogue:
        for lift in (False, True):
            done = carry_out(reading.settings, catalogue, archive, FILE, "asked for", lift=lift)
            assert done.amiss == ()
            assert reader.get("/api/search?q=pekaseh").get_json()["total"] == lift
            assert reader.get("/api/search?q=padi&fulltext=1").get_json()["total"] == lift
