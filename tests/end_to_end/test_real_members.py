"""The whole way of 298 real responses: harvested over HTTP, kept, catalogued, indexed and found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from installation import Installation
from material import RealRecord, read_responses
from replay import BAD_TOKEN, IDENTIFY, Endpoint, Replay, replaying
from sqlalchemy import select

from harvester.archive import get_page, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.records import CataloguedRecord, iter_records
from harvester.catalogue.tables import harvests, members, pages
from harvester.oai.client import Client
from harvester.oai.transport import Transport
from harvester.settings import Settings
from indexer.engine import Engine
from indexer.engine.opening import open_engine
from indexer.parser import parse_query
from indexer.query import SearchRequest
from web.app import create_app


class Harvested(NamedTuple):
    """The network after one `lumbung harvest` of everything."""

    replay: Replay
    installation: Installation
    catalogue: Catalogue
    runs: dict[str, dict[str, Any]]

    @property
    def settings(self) -> Settings:
        return Settings(home=self.installation.home)


@pytest.fixture(scope="module")
def harvested(shared_data: Path, installation: Callable[..., Installation]) -> Iterator[Harvested]:
    here = installation()
    with replaying(read_responses(shared_data / "oai")) as replay:
        register(here, replay)
        runs = here.harvest(status=1)  # some of the material is broken, so some members must fail
        catalogue = open_catalogue(Settings(home=here.home).catalogue_url)
        yield Harvested(replay, here, catalogue, runs)
        catalogue.close()


def register(here: Installation, replay: Replay) -> None:
    entries = [
        f"[[members]]\nslug = {json.dumps(each.slug)}\nbase_url = {json.dumps(replay.url_of(each))}\n"
        f"prefixes = {json.dumps([each.first.prefix])}\n"
        for each in replay.endpoints
    ]
    file = here.home.parent / "members.toml"
    file.write_text("\n".join(entries), encoding="utf-8")
    here.run("members", "import", str(file))


def lists_records(endpoint: Endpoint) -> bool:
    return endpoint.first.verb == "ListRecords"


def expected_end(endpoint: Endpoint) -> tuple[str, str]:
    """The outcome and the name of the error that a harvest of the endpoint must come to, by the material alone."""
    first, records = endpoint.first, endpoint.records
    if first.verb == "error":
        nothing = first.error_codes[0] == "noRecordsMatch"
        return "nothing-new" if nothing else "failed", f"ProtocolError: {first.error_codes[0]}"
    if not lists_records(endpoint):
        return "failed", "MalformedResponseError"
    if endpoint.cut_off:
        return "incomplete", "ProtocolError: badResumptionToken"
    if len(records) < max(page.promised for page in endpoint.pages):
        return "incomplete", ""
    return "complete" if any(record.usable for record in records) else "nothing-new", ""


def records_of(catalogue: Catalogue) -> dict[str, dict[str, CataloguedRecord]]:
    """Every record of the catalogue by member and identifier."""
    found: dict[str, dict[str, CataloguedRecord]] = {}
    for record in iter_records(catalogue):
        found.setdefault(record.member, {})[record.identifier] = record
    return found


def errors_of(catalogue: Catalogue) -> dict[str, list[str]]:
    """What the catalogue says of each member's answers that were no pages of records."""
    query = (
        select(members.c.slug, pages.c.error)
        .join_from(pages, harvests, harvests.c.id == pages.c.harvest_id)
        .join(members, members.c.id == harvests.c.member_id)
        .where(pages.c.error.is_not(None))
        .order_by(pages.c.id)
    )
    found: dict[str, list[str]] = {}
    with catalogue.read() as connection:
        for slug, error in connection.execute(query):
            found.setdefault(slug, []).append(error)
    return found


@pytest.fixture(scope="module")
def engine(harvested: Harvested) -> Iterator[Engine]:
    harvested.installation.run("index")
    opened = open_engine(harvested.settings)
    yield opened
    opened.close()


def unique_titles(replay: Replay) -> Iterator[tuple[Endpoint, RealRecord]]:
    """The usable records whose title is longer than three words and nobody else's."""
    everything = Counter(record.title.casefold() for each in replay.endpoints for record in each.records)
    for endpoint in replay.endpoints:
        for record in endpoint.records:
            if record.usable and len(record.title.split()) > 3 and everything[record.title.casefold()] == 1:
                yield endpoint, record


def longest_titles(replay: Replay) -> dict[str, list[tuple[Endpoint, RealRecord]]]:
    """Three of them for each folder of the material."""
    found: dict[str, list[tuple[Endpoint, RealRecord]]] = {}
    for endpoint, record in unique_titles(replay):
        found.setdefault(endpoint.first.host, []).append((endpoint, record))
    return {host: sorted(pairs, key=lambda pair: -len(pair[1].title))[:3] for host, pairs in found.items()}


def finds_first(engine: Engine, title: str, public_id: str) -> bool:
    hits = engine.search(SearchRequest(parse_query(title), size=1)).hits
    return any(holder.record == public_id for hit in hits for holder in hit.document.holders)


def test_the_material_is_what_these_tests_were_written_for(harvested: Harvested) -> None:
    endpoints = harvested.replay.endpoints
    files = {page.file for endpoint in endpoints for page in endpoint.pages}
    chains = Counter(len(endpoint.pages) for endpoint in endpoints if lists_records(endpoint))
    assert len(files) == 298
    assert {length: n for length, n in chains.items() if length > 1} == {2: 5, 3: 1, 4: 1, 9: 1, 17: 1}
    assert sum(len(endpoint.records) for endpoint in endpoints) == 5252


def test_every_usable_record_is_in_the_catalogue_and_no_other(harvested: Harvested) -> None:
    catalogued = records_of(harvested.catalogue)
    for endpoint in harvested.replay.endpoints:
        expected = {record.identifier for record in endpoint.records if record.usable}
        found = catalogued.get(endpoint.slug, {})
        assert set(found) == expected, endpoint.slug
        assert not any(record.deleted for record in found.values())


def test_the_counts_of_each_run_are_those_of_the_material(harvested: Harvested) -> None:
    for endpoint in harvested.replay.endpoints:
        run, records = harvested.runs[endpoint.slug], endpoint.records
        assert run["added"] == sum(record.usable for record in records)
        assert (run["changed"], run["deleted"]) == (0, 0)
        if run["outcome"] == "incomplete":  # it was asked for again, and in parts
            assert run["records"] > len(records)
            continue
        if len(endpoint.pages) > 1 and run["records"] > len(records):  # its end is not marked: it was asked for again
            assert run["unchanged"] >= run["records"] - len(records)
            continue
        assert run["records"] == len(records)
        assert run["failed"] == sum(record.broken for record in records)
        assert run["unchanged"] == sum(record.deleted for record in records)  # never ours, so nothing to delete


def test_every_member_ends_as_its_answers_deserve_and_each_bad_answer_is_named(harvested: Harvested) -> None:
    errors = errors_of(harvested.catalogue)
    ends = {}
    for endpoint in harvested.replay.endpoints:
        run = harvested.runs[endpoint.slug]
        outcome, error = expected_end(endpoint)
        ends[endpoint.slug] = (outcome, error)
        assert (endpoint.slug, run["outcome"]) == (endpoint.slug, outcome)
        assert bool(run["error"]) == (outcome in {"failed", "incomplete"})
        assert "\n" not in (run["error"] or "")
        found = errors.get(endpoint.slug, [])
        assert {text[: len(error)] for text in found} == ({error} if error else set()), endpoint.slug
    assert Counter(outcome for outcome, _ in ends.values()) == {
        "complete": 53,
        "incomplete": 9,
        "nothing-new": 5,
        "failed": 197,
    }


def test_an_answer_to_another_verb_is_told_by_both_names(harvested: Harvested) -> None:
    others = [e for e in harvested.replay.endpoints if e.first.verb not in {"", "error", "ListRecords"}]
    assert {e.first.verb for e in others} == {
        "GetRecord", "Identify", "ListIdentifiers", "ListMetadataFormats", "ListSets"
    }  # fmt: skip
    for endpoint in others:
        error = harvested.runs[endpoint.slug]["error"]
        assert error.startswith(f"asked for ListRecords, the server answered {endpoint.first.verb} ["), error


def test_the_archive_holds_every_answer_byte_for_byte_and_nothing_else(harvested: Harvested) -> None:
    archive = open_archive(harvested.settings.archive_url)
    kept = Counter(sha256(get_page(archive, key)).hexdigest() for key in archive.iter_keys("pages/"))
    assert kept == Counter(digest for _, digest in harvested.replay.served)
    own = {sha256(IDENTIFY).hexdigest(), sha256(BAD_TOKEN).hexdigest()}
    files = {page.digest for endpoint in harvested.replay.endpoints for page in endpoint.pages[:1]}
    assert files <= set(kept)
    assert all(page.digest in kept for e in harvested.replay.endpoints if lists_records(e) for page in e.pages)
    assert set(kept) - files - own <= {page.digest for e in harvested.replay.endpoints for page in e.pages[1:]}


def test_each_catalogued_answer_leads_to_its_own_bytes(harvested: Harvested) -> None:
    archive = open_archive(harvested.settings.archive_url)
    served = dict(harvested.replay.served)
    with harvested.catalogue.read() as connection:
        rows = connection.execute(select(pages.c.url, pages.c.archive_key, pages.c.size)).all()
    assert len(rows) > 298
    for url, key, size in rows:
        body = get_page(archive, key)
        assert len(body) == size
        path, _, query = url.partition("?")
        assert sha256(body).hexdigest() == served["/" + path.split("/", 3)[3] + "?" + query]


def test_a_chain_of_sets_is_walked_by_the_same_client(harvested: Harvested) -> None:
    chain = next(e for e in harvested.replay.endpoints if e.first.verb == "ListSets" and len(e.pages) == 10)
    transport = Transport(user_agent="tests", from_email="", max_wait=0.01)
    kept: list[bytes] = []
    client = Client(harvested.replay.url_of(chain), transport, lambda answer: kept.append(answer.body))
    specs = {e.text for page in client.ListSets() for e in page.xml.iter("{*}setSpec")}
    transport.close()
    assert kept == [page.body for page in chain.pages]
    assert len(specs) == sum(page.body.count(b"<setSpec>") for page in chain.pages)


def test_a_second_harvest_changes_nothing(harvested: Harvested) -> None:
    before = records_of(harvested.catalogue)
    whole = [e.slug for e in harvested.replay.endpoints if expected_end(e)[0] == "complete"]
    again = harvested.installation.harvest("--full", *whole[:20])
    assert {run["outcome"] for run in again.values()} == {"nothing-new"}
    assert records_of(harvested.catalogue) == before


def test_every_live_record_is_held_by_one_work_of_the_index(harvested: Harvested, engine: Engine) -> None:
    live = {r.id: (r.member, r.work) for each in records_of(harvested.catalogue).values() for r in each.values()}
    works = [document for id_ in engine.iter_ids() if (document := engine.get(id_)) is not None]
    holders = [holder for document in works for holder in document.holders]
    assert sorted(holder.record for holder in holders) == sorted(live)
    assert all(live[holder.record][0] == holder.member for holder in holders)
    assert engine.count() == len(works) == len({work for _, work in live.values()})


def test_the_index_counts_each_members_works(harvested: Harvested, engine: Engine) -> None:
    found = engine.search(SearchRequest(facets=("member",), facet_size=1000))
    expected = {slug: len({r.work for r in of.values()}) for slug, of in records_of(harvested.catalogue).items()}
    assert {bucket.value: bucket.count for bucket in found.facets["member"]} == expected
    assert found.total == engine.count()


def test_no_work_of_the_material_has_an_absurd_year(engine: Engine) -> None:
    found = engine.search(SearchRequest(facets=("year",), size=1))
    years = {int(bucket.value): bucket.count for bucket in found.facets["year"]}
    assert min(years) >= 1000
    assert max(years) <= datetime.now(UTC).year
    assert sum(years.values()) > 0.9 * found.total


def test_a_title_as_pasted_finds_its_record_first_at_every_host(harvested: Harvested, engine: Engine) -> None:
    titles = longest_titles(harvested.replay)
    catalogued = records_of(harvested.catalogue)
    assert len(titles) >= 20
    for endpoint, record in (pair for pairs in titles.values() for pair in pairs):
        assert finds_first(engine, record.title, catalogued[endpoint.slug][record.identifier].id), record.title


def test_of_all_titles_as_pasted_hardly_one_misses_its_record(harvested: Harvested, engine: Engine) -> None:
    catalogued = records_of(harvested.catalogue)
    some = list(unique_titles(harvested.replay))[::4]
    missed = [
        record.title
        for endpoint, record in some
        if not finds_first(engine, record.title, catalogued[endpoint.slug][record.identifier].id)
    ]
    assert len(some) > 1000
    assert len(missed) / len(some) < 0.01, missed


def test_the_site_finds_and_shows_a_record_of_every_host(harvested: Harvested, engine: Engine) -> None:
    client = create_app(harvested.settings).test_client()
    catalogued = records_of(harvested.catalogue)
    for pairs in longest_titles(harvested.replay).values():
        endpoint, record = pairs[-1]
        answer = client.get("/api/search", query_string={"q": record.title}).get_json()
        assert endpoint.slug in answer["hits"][0]["members"], record.title
        page = client.get(f"/record/{catalogued[endpoint.slug][record.identifier].id}")
        assert page.status_code == 200
        assert page.text.count("<h1") == 1
