"""The four sample members, by the commands of the operator and through the site that readers see."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from html import unescape
from subprocess import DEVNULL, PIPE
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from installation import Installation
from ports import end_group, fetch, fetch_json, free_port, is_open, wait_until

from harvester.samples.entries import Entry, get_entries
from harvester.settings import Settings
from indexer.engine import Engine
from indexer.engine.opening import open_engine
from indexer.query import SearchRequest
from web.app import create_app

SLUGS = ("tirta-samudra", "arunika", "kembang-nusa", "wanasari")


class Network(NamedTuple):
    """The network of the four sample members, harvested and indexed."""

    installation: Installation
    samples_port: int
    runs: dict[str, dict[str, Any]]
    engine: Engine


@pytest.fixture(scope="module")
def network(installation: Callable[..., Installation]) -> Iterator[Network]:
    here, port = installation(), free_port()
    samples = here.start("sample-members", "--port", str(port), "--register", stdout=PIPE)
    assert samples.stdout is not None
    try:
        said = [samples.stdout.readline() for _ in SLUGS]  # each with its base URL, once they are members
        assert all(slug in line for slug, line in zip(SLUGS, said, strict=True)), said
        runs = here.harvest()
        here.run("index")
        engine = open_engine(Settings(home=here.home))
        yield Network(here, port, runs, engine)
        engine.close()
    finally:
        end_group(samples, signal.SIGTERM)
        samples.stdout.close()


def live_entries() -> dict[str, list[Entry]]:
    """The works that each member has not deleted, as its cataloguer wrote them."""
    return {slug: [entry for entry in get_entries(slug) if not entry.deleted] for slug in SLUGS}


def records_of(network: Network) -> list[dict[str, Any]]:
    return [json.loads(line) for line in network.installation.run("records", "--json").splitlines()]


def test_every_live_record_arrives_and_every_run_is_complete(network: Network) -> None:
    expected = {slug: len(entries) for slug, entries in live_entries().items()}
    assert {slug: run["added"] for slug, run in network.runs.items()} == expected
    assert {run["outcome"] for run in network.runs.values()} == {"complete"}
    assert {run["failed"] for run in network.runs.values()} == {0}
    assert sum(expected.values()) > 480


def test_the_records_command_streams_them_all_with_their_titles(network: Network) -> None:
    records = records_of(network)
    titles = Counter((record["member"], " ".join(record["title"].split()).casefold()) for record in records)
    wanted = Counter((slug, entry.title.casefold()) for slug, entries in live_entries().items() for entry in entries)
    assert set(records[0]) == {
        "member", "identifier", "id", "work", "datestamp", "source_datestamp", "deleted",
        "title", "year", "type", "language", "url", "fulltext",
    }  # fmt: skip
    assert sum((titles & wanted).values()) > 0.95 * sum(wanted.values())  # SLiMS writes titles in its own way
    assert not any(record["deleted"] for record in records)


def test_a_second_harvest_and_index_leave_everything_as_it_is(network: Network) -> None:
    before = records_of(network)
    runs = network.installation.harvest()
    network.installation.run("index")
    assert {run["outcome"] for run in runs.values()} == {"nothing-new"}
    assert records_of(network) == before


def test_a_work_of_two_members_is_one_hit_with_two_holders(network: Network) -> None:
    by_work: dict[str, list[dict[str, Any]]] = {}
    for record in records_of(network):
        by_work.setdefault(record["work"], []).append(record)
    shared = [records for records in by_work.values() if len(records) > 1]
    assert network.engine.count() == len(by_work)
    assert 20 <= len(shared) <= 40
    for records in shared:
        members = [record["member"] for record in records]
        assert len(set(members)) == len(members)
    client = create_app(Settings(home=network.installation.home)).test_client()
    for records in shared:
        answer = client.get("/api/search", query_string={"q": records[0]["title"]}).get_json()
        first = answer["hits"][0]
        assert set(first["members"]) == {record["member"] for record in records}
        page = client.get(f"/record/{records[0]['id']}").text
        assert all(f"/record/{record['id']}" in page for record in records[1:])


def test_the_same_doi_or_isbn_at_two_members_is_one_work(network: Network) -> None:
    holders: dict[str, set[str]] = {}
    for slug, entries in live_entries().items():
        for entry in entries:
            for number in filter(None, (entry.doi.lower(), entry.isbn.replace("-", ""))):
                holders.setdefault(number, set()).add(slug)
    shared = {number: slugs for number, slugs in holders.items() if len(slugs) > 1}
    assert len(shared) >= 5
    client = create_app(Settings(home=network.installation.home)).test_client()
    for number, slugs in shared.items():
        hits = client.get("/api/search", query_string={"q": number}).get_json()["hits"]
        assert set(hits[0]["members"]) == slugs, number


def test_the_facets_count_the_members_works(network: Network) -> None:
    found = network.engine.search(SearchRequest(facets=("member", "year", "type", "language")))
    counts = {bucket.value: bucket.count for bucket in found.facets["member"]}
    assert counts == {slug: len(entries) for slug, entries in live_entries().items()}
    years = {bucket.value for bucket in found.facets["year"]}
    assert years <= {entry.year for entries in live_entries().values() for entry in entries}
    assert {bucket.value for bucket in found.facets["language"]} >= {"id", "en"}
    other = next((bucket.count for bucket in found.facets["type"] if bucket.value == "other"), 0)
    assert other < 0.1 * found.total


def test_a_served_site_answers_readers_and_programs(network: Network) -> None:
    port = free_port()
    site = network.installation.start("serve", "--port", str(port), stdout=DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_open(port), site)
        assert fetch_json(f"{base}/healthz")["status"] == "ok"
        entry = live_entries()["tirta-samudra"][0]
        hit = fetch_json(f"{base}/api/search?q={quote(entry.title)}")["hits"][0]
        assert hit["title"].casefold() == entry.title.casefold()
        assert hit["member"] == "tirta-samudra"
        assert hit["year"] == int(entry.year)
        assert f"127.0.0.1:{network.samples_port}" in hit["url"]
        assert fetch(hit["url"])[0] == 200  # the member's own page of the work
        for path in ("/", f"/search?q={quote(entry.title)}", f"/record/{hit['id']}", "/members/", "/members/arunika"):
            status, body = fetch(base + path)
            assert (path, status) == (path, 200)
            assert b"Traceback" not in body
        for ending in ("ris", "bib", "json", "xml"):
            status, body = fetch(f"{base}/record/{hit['id']}.{ending}")
            assert (ending, status) == (ending, 200)
            assert entry.title.split()[0].encode() in body
        assert fetch(f"{base}/record/000000000000")[0] == 404
    finally:
        end_group(site, signal.SIGINT)
    assert not is_open(port)


def test_every_author_on_a_record_page_leads_to_that_work(network: Network) -> None:
    client = create_app(Settings(home=network.installation.home)).test_client()
    pages = {record["id"]: record["work"] for record in records_of(network) if not record["deleted"]}
    lost = []
    for record_id, work in pages.items():
        html = client.get(f"/record/{record_id}").get_data(as_text=True)
        (people,) = re.findall(r'<p class="people">(.*?)</p>', html, re.DOTALL)
        for address in re.findall(r'href="([^"]+)"', people):
            found = client.get("/api/" + unescape(address).removeprefix("/") + "&size=100").get_json()["hits"]
            if work not in {pages[hit["id"]] for hit in found}:
                lost.append((record_id, address))
    assert not lost


def test_the_files_of_a_member_are_found_kept_read_and_shown(network: Network) -> None:
    here = Installation(network.installation.home, {**network.installation.settings, "LUMBUNG_ALLOW_PRIVATE": "1"})
    (told,) = map(json.loads, here.run("fulltext", "--json", "kembang-nusa").splitlines())
    closed = {"restricted", "embargo"}
    with_files = [entry for entry in live_entries()["kembang-nusa"] if entry.files and entry.access not in closed]
    assert told["held"] + told["reasons"]["not-a-file"] == len(with_files)
    assert told["rungs"] == {"metadata": told["held"]}  # OJS names its galleys in dc:relation
    assert here.run("archive", "verify", "--json").splitlines()[-1].startswith('{"files": ')
    client = create_app(Settings(home=here.home)).test_client()
    told = client.get("/members/kembang-nusa/fulltext.json").get_json()
    assert told["searchable"] + sum(told["reasons"].values()) == told["records"]
    assert {"scanned", "encrypted"} <= told["reasons"].keys()
    assert "unread" not in told["reasons"]
    numbers = {record["identifier"]: record["id"] for record in records_of(network)}
    without = {one["identifier"] for one in told["missing"]}
    found = next(numbers[name] for name in sorted(numbers) if "kembang" in name and name not in without)
    copy = re.search(rf"/record/{found}/files/[0-9a-f]{{16}}", client.get(f"/record/{found}").text)
    assert copy is not None
    assert client.get(copy[0]).data.startswith(b"%PDF-")
