"""Answers for programs, headers, failures and languages."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from lxml import etree
from sample_network import Network, Page, build_network

from harvester.catalogue.database import open_catalogue
from harvester.settings import Settings
from indexer.engine import Bucket
from web.app import create_app
from web.charts import plot_values, year_bars


def test_the_api_answers_in_the_promised_shape(client: FlaskClient, network: Network) -> None:
    answer = client.get("/api/search?q=batik+sejarah").get_json()
    assert list(answer) == ["total", "hits", "facets", "next"]
    (hit,) = answer["hits"]
    snippet = hit.pop("snippet")
    assert "batik pesisir" in snippet
    assert hit == {
        "id": network.id_of("batik"),
        "title": "Batik Pesisir: Sejarah & Makna <Motif>",
        "creators": ["Widjaja, Siti Nur", "Santoso, Budi"],
        "year": 2019,
        "type": "article",
        "language": "id",
        "member": "alfa",
        "members": ["alfa", "beta"],
        "url": "https://alfa.example/batik/1",
        "fulltext": False,
        "page": None,
        "file": None,
    }
    assert answer["facets"]["member"] == [{"value": "alfa", "count": 1}, {"value": "beta", "count": 1}]
    assert set(answer["facets"]) == {"member", "year", "type", "language", "subject", "fulltext"}
    assert answer["facets"]["fulltext"] == []
    assert answer["next"] is None


def test_the_api_can_be_followed_to_its_end(client: FlaskClient) -> None:
    path = "/api/search?q=padi+nomor"
    ids: list[str] = []
    while path:
        answer = client.get(path).get_json()
        assert answer["total"] == 50
        ids += [hit["id"] for hit in answer["hits"]]
        path = (answer["next"] or "").removeprefix("http://localhost")
    assert len(set(ids)) == len(ids) == 50


def test_suggestions_complete_what_is_typed(client: FlaskClient) -> None:
    found = client.get("/api/suggest?q=bati").get_json()
    assert {"text": "batik", "kind": "subject"} in found
    assert client.get("/api/suggest?q=b").get_json() == client.get("/api/suggest").get_json() == []


def test_suggestions_that_begin_with_what_is_typed_come_first(client: FlaskClient) -> None:
    assert [(found["text"], found["kind"]) for found in client.get("/api/suggest?q=batik").get_json()] == [
        ("batik", "subject"),
        ("Batik Pesisir: Sejarah & Makna <Motif>", "title"),
        ("Makna motif batik Lasem", "title"),
    ]


def test_the_health_names_every_tier(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ok", "tiers": {"catalogue": "ok", "archive": "ok", "engine": "ok"}}


@pytest.mark.parametrize("path", ["/", "/search", "/api/search", "/favicon.svg", "/nothing", "/members/alfa.json"])
def test_every_answer_carries_the_strict_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/api/search", "/metrics", "/members/alfa.json", "/robots.txt"])
def test_nothing_is_kept_without_asking_again(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-cache"


def test_texts_travel_compressed_where_the_reader_takes_that(client: FlaskClient) -> None:
    for path in ("/search?q=padi&facet=author", "/api/search?q=padi", "/members/alfa"):
        plain = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
        packed = client.get(path, headers={"Accept-Encoding": "br, gzip"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(packed.data) == int(packed.headers["Content-Length"]) < len(plain.data) / 2
        assert "Accept-Encoding" in plain.vary
        assert len(gzip.decompress(packed.data)) == len(plain.data)
    assert "Content-Encoding" not in client.get("/robots.txt", headers={"Accept-Encoding": "gzip"}).headers


def test_the_about_page_names_only_addresses_that_answer(client: FlaskClient) -> None:
    for page, language in (("/about", "en"), ("/about/oai", "en"), ("/about/oai", "id")):
        for path in Page(client, page, Accept_Language=language).tree.xpath('//main//a[starts-with(@href, "/")]/@href'):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert b"<error" not in answer.data or "set=type:thesis" in path


def test_static_files_are_kept_for_ever_under_their_hash_only(client: FlaskClient) -> None:
    (path,) = Page(client, "/").tree.xpath('//link[@rel="stylesheet"]/@href')
    assert client.get(path).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get("/static/yesterday/style.css").headers["Cache-Control"] == "no-cache"
    for wrong in ("/static/x/../../app.py", "/static/x/app.py", "/static/x/%2e%2e%2fapp.py"):
        assert client.get(wrong).status_code == 404


def test_files_stay_light(client: FlaskClient) -> None:
    assert len(client.get("/static/x/style.css").data) < 20_000
    assert len(client.get("/static/x/site.js").data) < 10_000


def test_small_files_for_browsers_and_crawlers(client: FlaskClient) -> None:
    assert client.get("/favicon.svg").mimetype == "image/svg+xml"
    assert "Disallow: /search" in client.get("/robots.txt").text
    answer = client.get("/opensearch.xml")
    assert answer.mimetype == "application/opensearchdescription+xml"
    url = etree.fromstring(answer.data).find("{http://a9.com/-/spec/opensearch/1.1/}Url")
    assert url is not None
    assert url.get("template") == "http://localhost/search?q={searchTerms}"


def test_a_language_is_chosen_by_link_kept_in_a_cookie_and_gone_from_the_address(pembaca: FlaskClient) -> None:
    assert Page(pembaca, "/search?q=padi").tree.get("lang") == "id"
    answer = pembaca.get("/search?q=padi&type=book&lang=en")
    assert answer.status_code == 302
    assert answer.location == "/search?q=padi&type=book"
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert Page(pembaca, answer.location).tree.get("lang") == "en"
    pembaca.get("/?lang=id")
    assert Page(pembaca, "/", Accept_Language="en").tree.get("lang") == "id"


def test_the_switch_keeps_the_search(client: FlaskClient) -> None:
    page = Page(client, "/search?q=padi+%26+air&type=book&type=thesis")
    link = page.links('//a[@class="switch"]')["Indonesia"]
    assert client.get(link).location == "/search?q=padi+%26+air&type=book&type=thesis"


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example", "/\\/evil.example"])
def test_choosing_a_language_never_leads_away(client: FlaskClient, path: str) -> None:
    answer = client.get("/", query_string="lang=en", environ_overrides={"PATH_INFO": path})
    assert answer.status_code == 302
    assert answer.location.startswith("/evil.example")


@pytest.mark.parametrize(
    ("accept", "lang"), [("id-ID,id;q=0.9,en;q=0.5", "id"), ("en-GB", "en"), ("fr", "id"), ("", "id")]
)
def test_the_browsers_language_is_honoured(pembaca: FlaskClient, accept: str, lang: str) -> None:
    page = Page(pembaca, "/members/", Accept_Language=accept)
    assert page.tree.get("lang") == lang
    assert "Accept-Language" in page.answer.vary
    assert "Cookie" in page.answer.vary


def test_indonesian_pages_have_indonesian_words_numbers_and_dates(pembaca: FlaskClient, network: Network) -> None:
    page = Page(pembaca, "/members/alfa")
    assert page.text('//p[@class="sentence"]') == "Selesai: 1 rekaman, 1 dihapus"
    assert "19 Oktober 2026" in page.text("//main")
    record = Page(pembaca, f"/record/{network.id_of('batik')}")
    assert "Baca di Perpustakaan Alfa" in record.answer.text
    assert "12 Maret 2019" in record.text("//main")
    with create_app(network.settings).test_request_context("/"):
        from web.locales import format_number

        assert format_number(1284) == "1.284"


@pytest.mark.parametrize("path", ["/search?q=padi", "/api/search?q=padi", "/api/suggest?q=padi"])
def test_a_missing_index_is_503_with_plain_words_and_a_time(tmp_path: Path, path: str) -> None:
    app = create_app(build_network(tmp_path, indexed=False).settings)
    answer = app.test_client().get(path, headers={"Accept-Language": "en"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "index is being built" in answer.text
    assert answer.is_json == path.startswith("/api/")
    app.extensions["lumbung"].close()


def test_first_page_members_and_records_go_on_without_the_index(tmp_path: Path) -> None:
    network = build_network(tmp_path, indexed=False)
    app = create_app(network.settings)
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    assert "Search is resting" in Page(client, "/").text('//p[@class="note"]')
    assert Page(client, "/members/alfa").text("//h1") == "Perpustakaan Alfa"
    assert Page(client, f"/record/{network.id_of('batik')}").text("//h1").startswith("Batik")
    health = client.get("/healthz")
    assert health.status_code == 200  # the site goes on
    assert health.get_json() == {
        "status": "degraded",
        "tiers": {"catalogue": "ok", "archive": "ok", "engine": "away"},
    }
    assert 'lumbung_tier_up{tier="engine"} 0.0' in client.get("/metrics").text
    app.extensions["lumbung"].close()


def test_an_unreachable_catalogue_is_503_and_comes_back(tmp_path: Path) -> None:
    wall = tmp_path / "wall"
    wall.mkdir()
    settings = Settings(home=tmp_path, catalogue=f"sqlite:///{wall / 'catalogue.sqlite'}")
    (wall / "catalogue.sqlite").mkdir()  # a folder where the database should be
    app = create_app(settings)
    client = app.test_client()
    for path in ("/", "/members/", "/record/000000000000"):
        answer = client.get(path, headers={"Accept-Language": "en"})
        assert (answer.status_code, "catalogue cannot be reached" in answer.text) == (503, True)
    assert client.get("/about").status_code == 200
    health = client.get("/healthz")
    assert (health.status_code, health.get_json()["status"]) == (503, "down")
    assert health.get_json()["tiers"]["catalogue"] == "away"
    (wall / "catalogue.sqlite").rmdir()
    open_catalogue(settings.catalogue_url).close()
    deadline = time.monotonic() + 10
    while client.get("/members/").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    app.extensions["lumbung"].close()


def test_an_empty_network_has_a_first_page(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path))
    page = Page(app.test_client(), "/", Accept_Language="en")
    assert "No member has joined yet" in page.text("//main")
    assert "No member has joined yet" in Page(app.test_client(), "/members/", Accept_Language="en").text("//main")
    app.extensions["lumbung"].close()


def test_a_fault_of_ours_is_a_page_without_its_trace(network: Network) -> None:
    app = create_app(network.settings)

    @app.get("/fault")
    def fault() -> str:
        raise ZeroDivisionError("secret detail")

    answer = app.test_client().get("/fault", headers={"Accept-Language": "en"})
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "secret" not in answer.text


def test_a_wrong_method_and_a_wrong_address_are_designed(client: FlaskClient) -> None:
    assert client.post("/search").status_code == 405
    page = Page(client, "/nothing/here", status=404)
    assert page.tree.xpath('//form[@role="search"]')
    assert client.get("/api/nothing").get_json()["error"] == "There is nothing at this address"


def test_the_histogram_gathers_years_where_they_are_many() -> None:
    bars = year_bars([Bucket("1850", 1), Bucket("2019", 30), Bucket("2020", 10)], (2019, 2020))
    assert len(bars) <= 36
    assert sum(bar.count for bar in bars) == 41
    assert (bars[0].lower, bars[-1].upper) == (1850, 2020)
    assert [bar.chosen for bar in bars if bar.count] == [False, True, True]
    assert year_bars([], (None, None)) == ()


def test_a_plot_reaches_from_its_first_to_its_last_moment() -> None:
    plot = plot_values([0, 50, 100], [0, 5, 10], width=200, height=100)
    assert plot.points == "0.0,100.0 100.0,50.0 200.0,0.0"
    assert plot.top == 10
