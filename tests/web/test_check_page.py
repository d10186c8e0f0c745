"""Anybody may have a repository checked: on a page, as JSON, and on the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault
from flask.testing import FlaskClient
from sample_network import Page

from harvester.samples.platforms import sample_repositories
from harvester.samples.provider import serve
from harvester.settings import Settings
from indexer.check import asking
from indexer.check.texts import TEXTS
from web import check
from web.app import create_app
from web.cli import lumbung


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PAUSE", 0)


@pytest.fixture(scope="module")
def slims() -> Iterator[str]:
    """The base URL of a repository on SLiMS, with its usual faults."""
    with serve(
        [each for each in sample_repositories("http://127.0.0.1") if each.platform == "slims"], "127.0.0.1", 0
    ) as s:
        yield s.url_of("wanasari")


@pytest.fixture
def reader(tmp_path: Path) -> FlaskClient:
    """A reader of a site that may ask private addresses."""
    client = create_app(Settings(home=tmp_path, allow_private=True, admin_email="op@x.id")).test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


def test_the_empty_page_explains_itself_and_asks_nobody(reader: FlaskClient) -> None:
    page = Page(reader, "/check")
    assert page.text("//h1") == "Check a repository"
    assert page.tree.xpath('//form[@action="/check"]//label/@for') == ["url"]
    assert "up to a minute" in page.text("//main")
    assert page.text('//section[@aria-labelledby="looked"]/h2') == "What is looked at"
    assert not page.tree.xpath('//section[@aria-labelledby="report"]')


def test_a_report_names_what_hurts_and_how_to_mend_it(reader: FlaskClient, slims: str) -> None:
    page = Page(reader, f"/check?url={slims}?verb=Identify")
    assert page.text('//section[@aria-labelledby="report"]/h2') == "Perpustakaan STSB Wanasari"
    assert page.text('//dt[.="Platform"]/following-sibling::dd') == "SLiMS"
    assert page.text('//dt[.="Base URL"]/following-sibling::dd') == slims
    rules = page.tree.xpath('//section[@aria-labelledby="hurts"]//h3/span[@lang="en"]/text()')
    assert "Record identifiers (oai: scheme)" in rules
    text = page.text('//section[@aria-labelledby="hurts"]')
    assert TEXTS["Record identifiers (oai: scheme)"].mend in text
    assert "80 of 80" in text
    assert "oai:slims/1" in text
    assert "Resumption token list size" in page.text('//section[@aria-labelledby="good"]')
    assert page.tree.xpath('//meta[@name="robots"]/@content') == ["noindex"]
    assert page.tree.xpath('//input[@name="url"]/@value') == [f"{slims}?verb=Identify"]


def test_the_report_is_in_the_readers_language(reader: FlaskClient, slims: str) -> None:
    reader.environ_base["HTTP_ACCEPT_LANGUAGE"] = "id"
    text = Page(reader, f"/check?url={slims}").text('//section[@aria-labelledby="hurts"]')
    assert "Cara memperbaikinya: EPrints archive_id di cfg.d/oai.pl" in text
    assert "80 dari 80" in text


@pytest.mark.parametrize("path", ["/check.json?url=", "/check?format=json&url="])
def test_programs_get_the_same_report(path: str, reader: FlaskClient, slims: str) -> None:
    answer = reader.get(path + slims)
    told = answer.get_json()
    assert (answer.status_code, told["base_url"], told["usable"], told["platform"]) == (200, slims, True, "SLiMS")
    found = {each["rule"]: each for each in told["findings"]}
    assert (found["Deletion policy"]["level"], found["Deletion policy"]["examples"]) == ("hurts", ["no"])
    assert found["Deletion policy"]["why"] == TEXTS["Deletion policy"].why


@pytest.mark.parametrize("url", ["ftp://x.example/", "https://", "http://[", "javascript:alert(1)"])
def test_what_is_no_web_address_is_said_to_be_none(url: str, reader: FlaskClient) -> None:
    assert "no web address" in Page(reader, f"/check?url={url}", status=400).text('//p[@role="alert"]')
    assert reader.get(f"/check.json?url={url}").status_code == 400
    assert reader.get("/check.json").status_code == 400


def test_no_private_address_is_asked_for_strangers(tmp_path: Path, slims: str) -> None:
    with FakeProvider() as provider:
        repository = FakeRepository()
        provider.serve(repository)
        client = create_app(Settings(home=tmp_path)).test_client()
        told = client.get(f"/check.json?url={provider.base}/oai").get_json()
    assert (told["usable"], repository.requests) == (False, [])
    assert "not on the open internet" in told["findings"][0]["examples"][0]


def test_names_and_examples_of_a_stranger_are_text_and_nothing_else(reader: FlaskClient) -> None:
    with FakeProvider() as provider:
        repository = FakeRepository([FakeRecord("oai:<script>alert(2)</script>")])
        repository.name = "<script>alert(1)</script>"
        base_url = provider.serve(repository)
        repository.fail("ListSets", Fault(headers={"Content-Type": "<script>x</script>"}))
        page = Page(reader, f"/check?url={base_url}")
    assert page.text('//section[@aria-labelledby="report"]/h2') == "<script>alert(1)</script>"
    assert "<script>x</script>" in page.text('//section[@aria-labelledby="hint"]')
    assert len(page.tree.xpath("//script")) == 1


def test_a_report_of_the_last_minutes_is_not_made_again(reader: FlaskClient) -> None:
    with FakeProvider() as provider:
        repository = FakeRepository()
        base_url = provider.serve(repository)
        assert reader.get(f"/check.json?url={base_url}").status_code == 200
        asked = len(repository.requests)
        assert reader.get(f"/check.json?url={base_url}").status_code == 200
        assert len(repository.requests) == asked > 0


def test_a_client_and_all_together_have_a_limit(reader: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_PER_CLIENT", 2)
    monkeypatch.setattr(check, "_IN_ALL", 3)

    def statuses(client: str, numbers: range, forwarded: str = "") -> list[int]:
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        return [
            reader.get(
                f"/check.json?url=127.0.0.9:{n}", environ_base={"REMOTE_ADDR": client}, headers=headers
            ).status_code
            for n in numbers
        ]

    assert statuses("9.9.9.9", range(1, 4)) == [200, 200, 429]
    assert statuses("9.9.9.9", range(4, 5), "198.51.100.7") == [429], "a reader from outside may say anything"
    assert statuses("127.0.0.1", range(5, 7), "1.1.1.1, 198.51.100.7") == [200, 429]
    refused = reader.get("/check?url=127.0.0.9:9", environ_base={"REMOTE_ADDR": "9.9.9.9"})
    assert refused.status_code == 429
    assert 500 < int(refused.headers["Retry-After"]) <= 601
    assert "Too many checks" in refused.get_data(as_text=True)


def test_one_host_is_checked_once_at_a_time(reader: FlaskClient) -> None:
    with FakeProvider() as provider:
        repository = FakeRepository()
        base_url = provider.serve(repository)
        entered, go_on = threading.Event(), threading.Event()

        def hold(_request: object) -> None:
            entered.set()
            go_on.wait(20)

        repository.on_request = hold
        first = threading.Thread(target=reader.application.test_client().get, args=(f"/check.json?url={base_url}",))
        first.start()
        assert entered.wait(20)
        second = reader.get(f"/check.json?url={base_url}/other")
        go_on.set()
        first.join()
        assert (second.status_code, second.headers["Retry-After"]) == (429, "20")
        assert reader.get(f"/check.json?url={base_url}").status_code == 200


def test_the_command_reports_and_its_exit_status_tells(
    slims: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = CliRunner().invoke(lumbung, ["members", "check", slims])
    assert good.exit_code == 0
    assert "platform     SLiMS" in good.stdout
    assert f"Identify {slims}" in good.stderr
    bad = CliRunner().invoke(lumbung, ["members", "check", slims.replace("oai2.php", "nothing/"), "--json"])
    told = json.loads(bad.stdout)
    assert (bad.exit_code, told["usable"], told["base_url"]) == (1, False, "")
    assert (told["findings"][0]["rule"], told["findings"][0]["level"]) == ("Base URL", "fatal")
    assert not list(tmp_path.iterdir()), "nothing is stored"
