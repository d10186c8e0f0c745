"""A record's texts and links are a stranger's: they are shown, never obeyed."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sample_network import HOSTILE, Network, Page

from web.links import safe_url


@pytest.mark.parametrize("name", HOSTILE)
def test_every_strange_record_has_a_page_and_all_exports(client: FlaskClient, network: Network, name: str) -> None:
    page = Page(client, f"/record/{network.id_of(name)}")
    assert len(page.tree.xpath("//h1")) == 1
    for suffix in ("ris", "bib", "json", "xml"):
        assert client.get(f"/record/{network.id_of(name)}.{suffix}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=aneh",
        "/",
        "/search?subject='><img src=x onerror=alert(1)>",
        "record",
        "/search?q=<img>+padi&type=book",
        "/search?q=<img>+nothing",
        "/search?q=<padi>&year=2000",
    ],
)
def test_markup_in_records_is_text(client: FlaskClient, network: Network, path: str) -> None:
    page = Page(client, f"/record/{network.id_of('script')}" if path == "record" else path)
    assert len(page.tree.xpath("//script")) == 1  # our own
    assert page.tree.xpath("//script/@src")
    assert not page.tree.xpath("//img | //padi | //b[@onload] | //*[@onerror] | //*[@style]")


@pytest.mark.parametrize("name", ["script", "data-url"])
def test_only_web_addresses_become_links(client: FlaskClient, network: Network, name: str) -> None:
    for path in (f"/record/{network.id_of(name)}", "/search?q=aneh", "/search?q=tautan"):
        for link in Page(client, path).tree.xpath("//@href"):
            assert link.startswith(("/", "#", "http://", "https://", "mailto:")), link


@pytest.mark.parametrize(
    "url",
    [
        None, "", "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)",
        "data:text/html,x", "file:///etc/passwd", "//evil.example/x", "http:///x", "https://", "http://[bad/",
        "vbscript:x", "javascript://a.example/%0aalert(1)", "ftp://a.example/x", "https://a.example/x y", "https://a.example/\u202e",
    ],
)  # fmt: skip
def test_other_addresses_are_no_links(url: str | None) -> None:
    assert safe_url(url) is None


def test_a_web_address_stays_as_it_is() -> None:
    assert safe_url("https://alfa.example/a?b=1&c=%20#d") == "https://alfa.example/a?b=1&c=%20#d"


def test_a_work_without_title_is_named_so_and_can_be_opened(client: FlaskClient, network: Network) -> None:
    page = Page(client, "/search?year=2001&sort=title")
    assert page.links("//h2/a")["Without a title"] == f"/record/{network.id_of('untitled')}"
    assert Page(client, f"/record/{network.id_of('untitled')}").text("//h1") == "Without a title"


@pytest.mark.parametrize(("name", "word"), [("arabic", "الأرز"), ("chinese", "稻米")])
def test_other_scripts_are_found_and_flow_in_their_own_direction(
    client: FlaskClient, network: Network, name: str, word: str
) -> None:
    page = Page(client, f"/search?q={word}")
    (link,) = page.tree.xpath("//h2/a")
    assert link.get("href") == f"/record/{network.id_of(name)}"
    assert link.get("dir") == "auto"
