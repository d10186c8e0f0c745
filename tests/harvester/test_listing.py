"""A list that breaks off is had all the same, from where it was, and is never called complete without proof."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.lumbung_process import Harvests, Plant
from fakes.network import Network
from fakes.provider import FakeProvider, FakeRecord, Fault, Request
from fakes.wild import WildRepository
from sqlalchemy import select

from harvester.archive import open_archive
from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import list_problems
from harvester.catalogue.tables import problems
from harvester.datestamps import format_datestamp
from harvester.oai import client

EXPIRED = Fault(body=b'<OAI-PMH><error code="badResumptionToken">told so</error></OAI-PMH>')
BUSY = Fault(status=503, body=b"busy", headers={"Retry-After": "9999"})
BROKEN = Fault(status=500, body=b"oops")


def daily(count: int, **others: object) -> list[FakeRecord]:
    """So many records, one a day of 2023 and later."""
    first = datetime(2023, 1, 1, tzinfo=UTC)
    return [
        FakeRecord(f"oai:a:{n:03}", format_datestamp(first + timedelta(days=n)), f"Judul {n}", **others)  # type: ignore[arg-type]  # fields of a record
        for n in range(count)
    ]


@pytest.fixture
def repository(network: Network) -> WildRepository:
    """A hundred records in twenty pages, of the member `a`."""
    repository = WildRepository(daily(100))
    network.add("a", repository)
    return repository


@pytest.fixture(scope="module")
def harvests() -> Iterator[Harvests]:
    with Harvests() as running:
        yield running


@pytest.fixture
def home(network: Network, repository: WildRepository, tmp_path: Path, catalogue_url: str) -> tuple[Path, str]:
    """A folder, and the same catalogue, for processes."""
    return tmp_path, catalogue_url


def kill(harvests: Harvests, home: tuple[Path, str], plant: Plant) -> None:
    harvests.start(*home, plant)
    assert harvests.wait() == -signal.SIGKILL, (home[0] / "output").read_text()


def expire(repository: WildRepository) -> None:
    repository._places.clear()


# Going on behind the newest datestamp.


def test_a_killed_list_whose_token_has_expired_goes_on_behind_the_newest_datestamp(
    network: Network, repository: WildRepository, harvests: Harvests, home: tuple[Path, str]
) -> None:
    kill(harvests, home, Plant("commit_page", 12))
    expire(repository)
    repository.requests.clear()
    run = network.harvest()
    assert (run.outcome, run.added, run.unchanged) == ("complete", 40, 1)  # the newest comes again
    assert network.live() == set(repository.records)
    stale, first, *_ = repository.lists()
    assert (stale.resumes, first.arguments["from"]) == (True, repository.records["oai:a:059"].datestamp)
    assert len(repository.lists()) == 1 + 9
    assert run.from_ is None


def test_a_list_behind_a_kept_token_that_is_too_short_is_asked_for_whole(
    network: Network, repository: WildRepository
) -> None:
    """What came before the kill was in order, and yet the rest is not behind it."""
    repository.habits.order = lambda record: record.identifier
    repository.put(*(replace(record, datestamp="2022-01-01T00:00:00Z") for record in daily(100)[70:80]))
    repository.fail(lambda request: repository.page_of(request) == 11, BUSY)
    assert network.harvest().outcome == "incomplete"
    expire(repository)
    repository.requests.clear()
    run = network.harvest()
    assert (run.outcome, run.added) == ("complete", 50)
    assert network.live() == set(repository.records)
    assert ["from" in request.arguments for request in repository.lists() if not request.resumes] == [True, False]


def test_where_no_size_is_stated_a_list_never_goes_on_behind_a_datestamp(
    network: Network, repository: WildRepository
) -> None:
    repository.state_size = False
    repository.fail(lambda request: repository.page_of(request) == 11, BUSY)
    network.harvest()
    expire(repository)
    repository.requests.clear()
    run = network.harvest()
    assert (run.outcome, run.added, run.unchanged) == ("complete", 50, 50)
    assert [request.arguments.get("from") for request in repository.lists() if not request.resumes] == [None]


def test_records_of_the_newest_moment_are_not_counted_twice(network: Network, repository: WildRepository) -> None:
    """Seven share the moment at which the list broke off, and one record that was promised is nowhere."""
    moment = repository.records["oai:a:049"].datestamp
    repository.put(*(replace(record, datestamp=moment) for record in daily(100)[43:53]))
    repository.fail(lambda request: repository.page_of(request) == 11, BUSY)
    network.harvest()
    expire(repository)
    repository.remove("oai:a:099")
    run = network.harvest()
    assert run.outcome == "complete"
    assert ["from" in r.arguments for r in repository.lists() if not r.resumes] == [False, True, False]


def test_tokens_that_die_after_some_pages_never_cost_the_whole_list(
    network: Network, repository: WildRepository
) -> None:
    repository.always(lambda request: repository.page_of(request) > 4, EXPIRED)
    run = network.harvest()
    assert (run.outcome, run.added) == ("complete", 100)
    assert len(repository.lists()) <= 32


# Windows.


def test_windows_outlive_a_kill(
    network: Network, repository: WildRepository, harvests: Harvests, home: tuple[Path, str]
) -> None:
    repository.state_size = False
    repository.always(lambda request: request.resumes, EXPIRED)
    kill(harvests, home, Plant("commit_page", 30))
    had, asked = set(network.live()), repository.lists()
    assert 20 < len(had) < 80
    repository.requests.clear()
    run = network.harvest()
    assert (run.outcome, run.added) == ("complete", 100 - len(had))
    assert network.live() == set(repository.records)
    windows = [
        [(request.arguments.get("from"), request.arguments.get("until")) for request in part if not request.resumes]
        for part in (asked, repository.lists())
    ]
    assert windows[1][0] == windows[0][-1]  # which was the one under way
    assert not set(windows[1][1:]) & set(windows[0])
    assert all((from_ or "") >= (windows[1][0][0] or "") for from_, _until in windows[1])


@pytest.mark.parametrize("step", ["start_window", "commit_page", "COMMIT"])
@pytest.mark.parametrize("before", [True, False])
def test_whatever_step_of_a_list_in_windows_is_killed_nothing_is_lost(
    step: str, before: bool, network: Network, repository: WildRepository, harvests: Harvests, home: tuple[Path, str]
) -> None:
    repository.records = {record.identifier: record for record in daily(30)}
    repository.always(lambda request: request.resumes, EXPIRED)
    repository.state_size = False
    for number in (2, 5, 9):
        kill(harvests, home, Plant(step, number, before))
    run = network.harvest()
    assert run.outcome in {"complete", "nothing-new"}
    assert network.live() == set(repository.records)


def test_a_window_that_cannot_be_had_is_left_for_another_run_and_never_keeps_the_news_away(
    network: Network, repository: WildRepository
) -> None:
    """Five of one second and more, tokens that are never known: no way leads to the others of that second."""
    crowded = [replace(record, datestamp="2023-02-01T00:00:00Z") for record in daily(60)[20:40]]
    repository.records = {record.identifier: record for record in [*daily(60), *crowded]}
    repository.state_size = False
    repository.always(lambda request: request.resumes, EXPIRED)
    first = network.harvest()
    assert first.outcome == "incomplete"
    assert "badResumptionToken" in str(first.error)
    assert len(network.live()) == 60 - 20 + 5
    assert network.watermark() is None
    repository.put(FakeRecord("oai:a:new", "2024-06-01T00:00:00Z"))
    repository.requests.clear()
    second = network.harvest()
    assert (second.outcome, len(repository.lists())) == ("incomplete", 2)
    assert network.harvest().outcome == "incomplete"
    assert "oai:a:new" in network.live()
    repository._always.clear()
    runs = [network.harvest(), network.harvest()]
    assert runs[-1].outcome in {"complete", "nothing-new"}
    assert network.live() == set(repository.records)


def test_a_refusal_of_every_request_is_no_refused_token(network: Network, repository: WildRepository) -> None:
    repository.fail(lambda request: request.number >= 4, *[EXPIRED] * 999)
    assert network.harvest().outcome == "incomplete"
    assert len(repository.requests) < 20


# Damage.


def spoil(repository: WildRepository, names: set[str], fault: Fault, verbs: str = "ListRecords GetRecord") -> None:
    """Each answer of these verbs that holds one of the records meets the fault."""
    take = repository.take

    def taken(query: str, headers: dict[str, str]) -> tuple[Request, bytes, Fault]:
        request, body, usual = take(query, headers)
        shown = set(re.findall("<identifier>(.*?)</identifier>", body.decode()))
        if request.verb in verbs.split() and shown & names:
            return request, fault.body or b"", fault
        return request, body, usual

    repository.take = taken  # type: ignore[method-assign, assignment]  # it is this one that misbehaves


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize("newest_first", [True, False])
def test_damaged_records_cost_nothing_but_themselves(
    sizes: bool, newest_first: bool, network: Network, repository: WildRepository
) -> None:
    repository.state_size, repository.habits.newest_first = sizes, newest_first
    spoiled = {"oai:a:000", "oai:a:031", "oai:a:032", "oai:a:077", "oai:a:099"}
    spoil(repository, spoiled, BROKEN)
    run = network.harvest()
    assert (run.outcome, run.failed) == ("complete-with-failures", len(spoiled))
    assert network.live() == set(repository.records) - spoiled
    with network.catalogue.read() as connection:
        assert {problem.identifier for problem in list_problems(connection, run.id)} == spoiled
    assert len(repository.requests) < 50 * len(spoiled)  # of which five each for whoever answers 500
    assert network.watermark() is not None


def test_a_list_that_only_its_identifiers_prove_is_had_record_by_record(
    network: Network, repository: WildRepository
) -> None:
    """The damage hides what GetRecord gives: nothing is lost at all."""
    spoil(repository, {"oai:a:050", "oai:a:051"}, BROKEN, "ListRecords")
    run = network.harvest()
    assert (run.outcome, run.failed) == ("complete", 0)
    assert network.live() == set(repository.records)


def test_deletions_in_a_damaged_window_are_taken_from_its_identifiers(
    network: Network, repository: WildRepository
) -> None:
    network.harvest()
    changed = [replace(record, datestamp="2024-05-01T13:00:00Z", title="Lain") for record in daily(8)]
    repository.put(*changed[1:], replace(changed[0], deleted_in=("oai_dc",)))
    spoil(repository, {"oai:a:000", "oai:a:005"}, BROKEN)
    repository.habits.filed = lambda record: (
        "9" if record in repository.records.values() and record.title == "Lain" else ""
    )
    run = network.harvest()
    assert (run.outcome, run.deleted, run.changed, run.failed) == ("complete-with-failures", 1, 6, 1)


@pytest.mark.parametrize("number", range(8, 30, 3))
def test_a_server_that_dies_in_the_rescue_loses_nothing(
    number: int, network: Network, repository: WildRepository
) -> None:
    """No record is a problem because its server was away when it was asked for."""
    repository.records = {record.identifier: record for record in daily(12)}
    spoil(repository, {"oai:a:007"}, BROKEN)
    dead = Fault(status=500, body=b"")
    repository.always(lambda request: request.number >= number, dead)
    first = network.harvest()
    repository._always.clear()
    runs = [first, network.harvest()]
    assert {run.failed for run in runs} <= {0, 1}
    assert runs[1].outcome in {"complete-with-failures", "complete"} or first.outcome == "complete-with-failures"
    assert network.live() == set(repository.records) - {"oai:a:007"}


# Whoever lies.


class Liar(WildRepository):
    """States sizes as it likes, ends lists early, shows records again and forgets tokens; true is its first word.

    It never gives more than `most` of its records.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(daily(24))
        self.chance = random.Random(seed)
        self.hidden = set(self.chance.sample(sorted(self.records), self.chance.choice([0, 1, 3])))
        self.told = False

    def _list(self, verb: str, arguments: dict[str, str]) -> bytes:  # type: ignore[override]  # a narrower type will do
        self.state_size = True
        if self.told:
            self.state_size = self.chance.choice([True, False, 3, 10, 24, 40])
        token = arguments.get("resumptionToken")
        if token and self.chance.random() < 0.1:
            return self._error("badResumptionToken")
        body = super()._list(verb, arguments).decode()
        if self.told and self.chance.random() < 0.2:
            body = re.sub("<resumptionToken.*?</resumptionToken>", "", body)
        records = re.findall("<record>.*?</record>", body)
        for record in records:
            name = re.findall("<identifier>(.*?)</identifier>", record)[0]
            if name in self.hidden:
                body = body.replace(record, self.chance.choice(["", records[0] if records[0] != record else ""]))
        self.told = True
        return body.encode()


def test_sizes_that_change_never_make_a_list_complete_that_lacks_records(
    provider: FakeProvider, tmp_path: Path, migrated: Path
) -> None:
    outcomes = {"complete": 0, "incomplete": 0}
    for seed in range(80):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "catalogue.sqlite").write_bytes(migrated.read_bytes())
        catalogue = open_catalogue(f"sqlite:///{folder / 'catalogue.sqlite'}")
        network = Network(provider, catalogue, open_archive((folder / "archive").as_uri()))
        liar = Liar(seed)
        network.add("a", liar)
        run = network.harvest()
        live = network.live()
        catalogue.close()
        assert run.outcome in outcomes, seed
        outcomes[run.outcome] += 1
        assert run.outcome == "incomplete" or live == set(liar.records), seed
        assert len(liar.requests) < 200
    assert min(outcomes.values()) > 5


def test_a_list_that_goes_round_is_had_in_parts_and_in_parts_at_once_the_next_time(
    network: Network, repository: WildRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_FRUITLESS", 5)
    repository.habits.stuck = True
    run = network.harvest()
    assert (run.outcome, run.added) == ("complete", 100)
    with network.catalogue.read() as connection:
        assert connection.execute(select(problems.c.code)).scalars().all() == ["token-loop"]
    repository.requests.clear()
    assert network.harvest(full=True).outcome == "nothing-new"
    assert "until" in repository.lists()[0].arguments
