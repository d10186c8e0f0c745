"""A harvest is complete only if that was proved, and nothing a member does stops another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from fakes.network import Network, numbered
from fakes.provider import DAY, FakeProvider, FakeRecord, FakeRepository, Fault, Request
from sqlalchemy import select

from harvester.archive import get_page
from harvester.catalogue.harvests import Run, list_problems, list_runs
from harvester.catalogue.members import Member, get_member, import_members, list_members
from harvester.catalogue.tables import pages
from harvester.datestamps import format_datestamp
from harvester.errors import ArchiveError
from harvester.oai import client
from harvester.side_by_side import harvest_members

HTML = Fault(body=b"<!DOCTYPE html><p>Database error<br>")
REFUSED = Fault(status=403, body=b"no")  # which nothing but a person can help


@pytest.fixture
def repository(network: Network) -> FakeRepository:
    """Twelve records in three pages, of the member `a`."""
    repository = FakeRepository(numbered(12))
    network.add("a", repository)
    return repository


def counts(run: Run) -> tuple[object, ...]:
    return run.outcome, run.added, run.changed, run.unchanged, run.deleted, run.failed


def test_a_complete_harvest(network: Network, repository: FakeRepository) -> None:
    run = network.harvest()
    assert counts(run) == ("complete", 12, 0, 0, 0, 0)
    assert (run.records, run.pages, run.requests, run.error) == (12, 3, 4, None)
    assert (run.from_, run.until) == (None, "2024-05-01T12:00:00Z")
    assert run.bytes == sum(map(len, repository.sent))
    assert run.finished_at is not None
    assert network.live() == set(repository.records)
    assert all(record.forms[0].xml.endswith(b"</oai_dc:dc>") for record in network.records().values())
    assert [progress.records for progress in network.seen] == [5, 10, 12, 12]
    assert [progress.expected for progress in network.seen] == [12, 12, 12, None]
    assert network.seen[-1].run == run


def test_nothing_new(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    before = network.records()
    run = network.harvest(full=True)
    assert counts(run) == ("nothing-new", 0, 0, 12, 0, 0)
    assert network.records() == before
    repository.now = "2024-05-02T12:00:00Z"
    run = network.harvest()
    assert counts(run) == ("nothing-new", 0, 0, 0, 0, 0)
    assert (run.from_, run.until) == ("2024-05-01T11:45:00Z", "2024-05-02T12:00:00Z")
    assert network.watermark() == "2024-05-02T11:45:00Z"


def test_an_empty_repository_is_complete_and_is_asked_for_everything_again(network: Network) -> None:
    network.add("a", FakeRepository())
    assert counts(network.harvest()) == ("nothing-new", 0, 0, 0, 0, 0)
    assert network.watermark() is None


def test_a_list_that_is_empty_all_at_once_is_not_believed(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    repository.fail("ListRecords", *[error("noRecordsMatch")] * 2)
    run = network.harvest(full=True)
    assert run.outcome == "failed"
    assert "empty, though its records were had before" in (run.error or "")
    assert network.watermark() is None
    repository.fail("ListRecords", error("noRecordsMatch"))  # once: it is asked again
    assert counts(network.harvest()) == ("nothing-new", 0, 0, 12, 0, 0)


def test_complete_with_failures(network: Network, repository: FakeRepository) -> None:
    repository.put(replace(repository.records["oai:a:003"], payload=""))
    run = network.harvest()
    assert counts(run) == ("complete-with-failures", 11, 0, 0, 0, 1)
    assert network.watermark() == "2024-05-01T11:45:00Z"
    with network.catalogue.read() as connection:
        (problem,) = list_problems(connection, run.id)
    assert (problem.identifier, "no metadata" in problem.cause) == ("oai:a:003", True)
    assert b"oai:a:003" in get_page(network.archive, problem.archive_key)


def test_a_list_of_which_nothing_could_be_used_has_failed(network: Network) -> None:
    repository = FakeRepository(numbered(7, payload=""))
    network.add("a", repository)
    run = network.harvest()
    assert counts(run) == ("failed", 0, 0, 0, 0, 7)
    assert run.error is not None
    assert "none could be used of 7" in run.error
    assert network.watermark() is None
    repository.put(*numbered(7))
    assert counts(network.harvest()) == ("complete", 7, 0, 0, 0, 0)


def test_a_last_page_of_failures_is_no_failed_list_even_if_it_is_all_of_a_run(
    network: Network, repository: FakeRepository
) -> None:
    repository.put(*(replace(repository.records[f"oai:a:0{n}"], payload="") for n in (10, 11)))
    repository.fail(4, REFUSED)
    assert network.harvest().outcome == "incomplete"
    assert counts(network.harvest()) == ("complete-with-failures", 0, 0, 0, 0, 2)
    assert network.watermark() == "2024-05-01T11:45:00Z"


@pytest.mark.parametrize(
    ("news", "outcome"), [(1, "complete-with-failures"), (19, "complete-with-failures"), (20, "failed")]
)
def test_a_few_unusable_records_since_the_last_harvest_hold_nothing_up_and_many_are_a_failure(
    news: int, outcome: str, network: Network, repository: FakeRepository
) -> None:
    network.harvest()
    former = network.watermark()
    repository.now = "2024-06-01T12:00:00Z"
    repository.put(*numbered(news, payload="", datestamp="2024-05-20T00:00:00Z"))
    assert counts(network.harvest()) == (outcome, 0, 0, 0, 0, news)
    assert network.watermark() == (former if outcome == "failed" else "2024-06-01T11:45:00Z")
    assert network.harvest(full=True).outcome == ("failed" if news > 12 else "complete-with-failures")


Break = Callable[[Network, FakeRepository], None]


def at(number: int, fault: Fault) -> Break:
    return lambda _network, repository: repository.fail(lambda r: r.number >= number, *[fault] * 999)


def state_more(_network: Network, repository: FakeRepository) -> None:
    repository.state_size = 13


def lead_nowhere(_network: Network, repository: FakeRepository) -> None:
    repository.last_token, repository.state_size = True, 13


def loop(_network: Network, repository: FakeRepository) -> None:
    first: list[bytes] = []

    def again(body: bytes) -> bytes:
        first.append(body)
        return first[0]

    repository.fail("ListRecords", *[Fault(edit=again)] * 999)


def vanish(network: Network, repository: FakeRepository) -> None:
    def close(request: Request) -> None:
        if request.number == 3:
            threading.Thread(target=network.provider.close).start()
            network.provider.closed.wait()

    repository.on_request = close
    repository.fail(3, Fault(cut=0))


def stop_at(number: int) -> Break:
    def arrange(network: Network, repository: FakeRepository) -> None:
        repository.on_request = lambda request: network.stop.set() if request.number == number else None

    return arrange


def error(code: str) -> Fault:
    return Fault(body=f'<OAI-PMH><responseDate>2024</responseDate><error code="{code}">no</error></OAI-PMH>'.encode())


BROKEN: dict[str, tuple[Break, str, str]] = {
    "HTML in mid list": (at(3, HTML), "incomplete", "HTML page"),
    "a cut page": (at(3, Fault(edit=lambda body: body[:-30])), "incomplete", "not well-formed|is broken"),
    "an empty page": (at(3, Fault(body=b"")), "incomplete", "empty"),
    "cut connections": (at(3, Fault(cut=50)), "incomplete", "cut|broke off|reached"),
    "a server in trouble": (lambda _n, r: r.fail(lambda q: q.resumes, *[Fault(status=500)] * 9), "complete", ""),
    "errors of the server": (
        lambda _n, r: r.fail(lambda q: q.resumes, *[Fault(status=500, body=b"x")] * 999), "incomplete", "HTTP 500",
    ),
    "a refusal": (at(3, Fault(status=403, body=b"no")), "incomplete", "refuses us"),
    "an unknown error": (at(3, error("internalException")), "incomplete", "internalException: no"),
    "an expired token": (at(3, error("badResumptionToken")), "incomplete", "badResumptionToken"),
    "another verb": (at(3, Fault(body=b"<OAI-PMH><Identify/></OAI-PMH>")), "incomplete", "answered Identify"),
    "fewer than promised": (state_more, "incomplete", "ended after 12 of 13"),
    "a token to nowhere": (lead_nowhere, "incomplete", "ended after 12 of 13"),
    "an early end": (
        at(3, Fault(edit=lambda body: body.replace(b"<resumptionToken", b"<x").replace(b"</resumptionToken", b"</x"))),
        "incomplete", "ended after 10 of 12|held",
    ),
    "one token for ever": (loop, "incomplete", "same resumptionToken"),
    "a server that goes away": (vanish, "incomplete", "reached"),
    "the operator": (stop_at(3), "incomplete", "stopped by the operator"),
    "the operator, at once": (stop_at(1), "failed", "stopped by the operator"),
    "HTML at the start": (at(2, HTML), "failed", "HTML page"),
    "a wrong prefix": (lambda _n, r: setattr(r, "prefixes", ("mods",)), "failed", "cannotDisseminateFormat"),
    "nobody there": (lambda n, _r: n.provider.close(), "failed", "cannot be reached"),
    "a pause of hours": (at(3, Fault(status=503, headers={"Retry-After": "7200"})), "incomplete", "wait 7200"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_list_that_is_not_proved_complete_never_moves_the_watermark(
    name: str, network: Network, repository: FakeRepository
) -> None:
    arrange, outcome, words = BROKEN[name]
    network.harvest()
    assert network.watermark() == "2024-05-01T11:45:00Z"
    repository.requests.clear()
    repository.now = "2024-06-01T12:00:00Z"
    repository.put(*numbered(12, datestamp="2024-05-20T00:00:00Z", title="New"))
    arrange(network, repository)
    run = network.harvest()
    assert run.outcome == outcome
    if outcome == "complete":
        return
    assert run.error is not None
    assert any(word in run.error for word in words.split("|"))
    assert network.watermark() == "2024-05-01T11:45:00Z"
    assert run.until is None
    assert len(network.records()) == 12


@pytest.mark.parametrize(
    "name", sorted(set(BROKEN) - {"a server that goes away", "nobody there", "a server in trouble"})
)
def test_after_any_trouble_the_harvests_to_come_make_it_good(
    name: str, network: Network, repository: FakeRepository
) -> None:
    BROKEN[name][0](network, repository)
    network.harvest()
    network.stop.clear()
    repository.on_request = lambda _request: None
    repository.prefixes, repository.state_size, repository.last_token = ("oai_dc",), True, False
    repository._faults.clear()
    repository.put(*numbered(13))
    repository.now = "2024-06-01T12:00:00Z"
    runs = [network.harvest(), network.harvest()]
    assert runs[-1].outcome in {"complete", "nothing-new"}
    assert network.live() == set(repository.records)


@pytest.mark.parametrize(
    ("granularity", "watermark"), [("YYYY-MM-DDThh:mm:ssZ", "2024-05-01T11:45:00Z"), (DAY, "2024-04-30")]
)
def test_the_watermark_is_the_first_response_date_minus_an_overlap(
    granularity: str, watermark: str, network: Network, repository: FakeRepository
) -> None:
    repository.granularity = granularity
    hours = iter(range(12, 24))
    repository.now = lambda: f"2024-05-01T{next(hours)}:00:00Z"
    repository.fail("Identify", Fault(edit=lambda body: body.replace(b"T12:", b"T09:")))
    network.harvest()
    assert network.watermark() == (watermark.replace("11:45", "12:45") if "T" in watermark else watermark)
    repository.put(FakeRecord("oai:a:new", "2024-05-01T18:00:00Z"))
    run = network.harvest()
    sent = repository.lists()[-1].arguments
    assert sent["from"] == network_from(granularity)
    assert (run.added, run.from_) == (1, sent["from"])
    assert set(sent) == {"verb", "metadataPrefix", "from"}


def network_from(granularity: str) -> str:
    return "2024-04-30" if granularity == DAY else "2024-05-01T12:45:00Z"


def test_a_watermark_is_asked_for_in_the_granularity_of_today(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    repository.granularity = DAY
    network.harvest()
    assert repository.lists()[-1].arguments["from"] == "2024-05-01"
    repository.granularity = "YYYY-MM-DDThh:mm:ssZ"
    network.harvest()
    assert repository.lists()[-1].arguments["from"] == "2024-04-30T00:00:00Z"


@pytest.mark.parametrize("stated", ["", "soon", "0001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_a_response_date_that_cannot_be_true_makes_no_watermark_that_skips(
    stated: str, network: Network, repository: FakeRepository
) -> None:
    repository.now = stated
    network.catalogue._now = lambda: 4e9
    run = network.harvest()
    assert run.outcome == "complete"
    watermark = network.watermark()
    assert watermark is not None
    assert watermark < format_datestamp(datetime.now(UTC))
    assert network.harvest().outcome == "nothing-new"
    assert ["from" in request.arguments for request in repository.lists()[:4]] == [False, False, False, True]
    assert repository.lists()[3].arguments["from"] == watermark


def test_a_list_whose_dates_cannot_be_read_is_dated_by_its_first_page_even_when_resumed(
    network: Network, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.now = ""
    repository.fail(3, REFUSED)
    monkeypatch.setattr("harvester.oai.transport.time.time", lambda: 1_710_000_000)  # 2024-03-09T16:00:00Z
    network.harvest()
    monkeypatch.setattr("harvester.oai.transport.time.time", lambda: 1_800_000_000)
    assert network.harvest().outcome == "complete"
    assert network.watermark() == "2024-03-08T15:45:00Z"


def test_a_harvest_goes_on_where_the_last_one_stopped(network: Network, repository: FakeRepository) -> None:
    repository.fail(3, REFUSED)
    hours = iter(range(10, 24))
    repository.now = lambda: f"2024-05-01T{next(hours)}:00:00Z"
    first = network.harvest()
    assert counts(first) == ("incomplete", 5, 0, 0, 0, 0)
    token = repository.requests[2].arguments["resumptionToken"]
    second = network.harvest()
    assert counts(second) == ("complete", 7, 0, 0, 0, 0)
    assert repository.lists()[2].arguments["resumptionToken"] == token
    assert network.watermark() == "2024-05-01T10:45:00Z"  # of the first page, in the first run
    assert (second.from_, second.until) == (None, "2024-05-01T11:00:00Z")


@pytest.mark.parametrize("prefixes", [("oai_dc",), ("oai_dc", "marc")])
def test_a_deletion_dated_as_the_live_record_was_is_taken_in_a_resumed_list_too(
    prefixes: tuple[str, ...], network: Network
) -> None:
    repository = FakeRepository(numbered(12, datestamp="2024-05-01"))
    minutes = iter(range(10, 60))
    repository.granularity, repository.now = DAY, lambda: f"2024-05-01T12:{next(minutes)}:00Z"
    repository.prefixes = ("oai_dc", "marc")
    network.add("a", repository, prefixes=prefixes)
    network.harvest()
    deleted = [replace(record, deleted_in=repository.prefixes) for record in repository.records.values()]
    repository.put(*deleted)
    asked = len(repository.requests)
    for prefix in range(len(prefixes)):
        repository.fail(asked + 3 + 4 * prefix, REFUSED)
        assert network.harvest().outcome == "incomplete"
    assert network.harvest().outcome == "complete"
    assert network.live() == set()


def test_the_deleted_copy_of_a_live_record_is_passed_over_in_a_resumed_list_too(
    network: Network, repository: FakeRepository
) -> None:
    repository.put(replace(repository.records["oai:a:007"], deleted_in=("oai_dc",)))
    repository.state_size = False
    repository.fail(3, REFUSED)
    network.harvest()
    repository.fail(5, Fault(edit=lambda body: body.replace(b"oai:a:007", b"oai:a:000")))
    assert network.harvest().outcome == "complete"
    assert b"oai:a:000" in repository.sent[4]
    assert "oai:a:000" in network.live()


def test_a_resumed_harvest_reports_the_window_of_its_pass(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    repository.put(*numbered(12, datestamp="2024-05-20T00:00:00Z", title="New"))
    repository.fail(7, REFUSED)
    network.harvest()
    assert network.harvest().from_ == "2024-05-01T11:45:00Z"


def test_a_kept_token_that_has_expired_starts_the_list_again(network: Network, repository: FakeRepository) -> None:
    repository.fail(3, REFUSED)
    network.harvest()
    repository.now = "2024-06-01T12:00:00Z"
    repository.expire_tokens()
    repository.records = dict(list(repository.records.items())[:7])
    repository.state_size = False
    run = network.harvest()
    # Five of the twelve that were promised are gone, so that going on behind the newest proves nothing.
    assert counts(run) == ("complete", 2, 0, 5 + 7, 0, 0)
    assert "resumptionToken" not in repository.lists()[3].arguments
    assert network.watermark() == "2024-05-01T11:45:00Z"


@pytest.mark.parametrize(
    "fault", [HTML, Fault(status=500, body=b"x"), Fault(status=404, body=b"x"), error("badArgument")]
)
def test_a_kept_token_that_the_server_has_no_word_for_is_given_up(
    fault: Fault, network: Network, repository: FakeRepository
) -> None:
    repository.fail(3, REFUSED)
    network.harvest()
    old = repository.lists()[-1].arguments["resumptionToken"]
    repository.fail(lambda request: request.arguments.get("resumptionToken") == old, *[fault] * 50)
    repository.token_tail = "2"
    assert network.harvest().outcome == "complete"
    assert network.live() == set(repository.records)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, body=b"x"),
        Fault(status=403, body=b"x"),
        Fault(cut=0),
        Fault(status=429, headers={"Retry-After": "99"}),
    ],
)
def test_a_kept_token_outlives_a_server_that_does_not_answer_now(
    fault: Fault, network: Network, repository: FakeRepository
) -> None:
    repository.fail(3, REFUSED)
    network.harvest()
    asked = len(repository.requests)
    repository.fail(lambda request: request.number > asked + 1, *[fault] * 20)
    assert network.harvest().outcome == "failed"
    repository._faults.clear()
    assert counts(network.harvest()) == ("complete", 7, 0, 0, 0, 0)


def test_records_that_failed_before_a_stop_are_no_missing_ones(network: Network, repository: FakeRepository) -> None:
    repository.put(replace(repository.records["oai:a:003"], payload=""))
    repository.fail(3, REFUSED)
    assert counts(network.harvest()) == ("incomplete", 4, 0, 0, 0, 1)
    assert counts(network.harvest()) == ("complete", 7, 0, 0, 0, 0)


def test_a_list_that_was_too_short_is_asked_for_again_from_its_beginning(
    network: Network, repository: FakeRepository
) -> None:
    repository.last_token, repository.state_size = True, 13
    assert network.harvest().outcome == "incomplete"
    repository.state_size = True
    run = network.harvest()
    assert (run.outcome, run.records) == ("nothing-new", 12)
    assert network.watermark() is not None


def test_a_token_that_leads_to_nothing_is_the_end_of_the_list(network: Network, repository: FakeRepository) -> None:
    repository.last_token = True
    run = network.harvest()
    assert counts(run) == ("complete", 12, 0, 0, 0, 0)
    assert network.watermark() is not None
    assert len(repository.lists()) == 5  # the end is asked for again


def test_empty_pages_in_between_are_walked_through(network: Network, repository: FakeRepository) -> None:
    def empty(body: bytes) -> bytes:
        token = f"empty{len(repository.requests)}"
        repository._tokens[token] = ({"metadataPrefix": "oai_dc"}, ("", ""), 0)
        return f"<OAI-PMH><ListRecords><resumptionToken>{token}</resumptionToken></ListRecords></OAI-PMH>".encode()

    repository.fail("ListRecords", *[Fault(edit=empty)] * 40)
    assert counts(network.harvest()) == ("complete", 12, 0, 0, 0, 0)


@pytest.mark.parametrize("empty", [False, True])
def test_a_list_that_shows_nothing_new_for_ever_ends(
    empty: bool, network: Network, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_FRUITLESS", 10)
    record = "" if empty else repository._record(repository.records["oai:a:001"], "oai_dc")

    def for_ever(_body: bytes) -> bytes:
        number = len(repository.requests)
        token = f"<resumptionToken>{number}</resumptionToken>"
        return f"<OAI-PMH><ListRecords>{record}{token}</ListRecords></OAI-PMH>".encode()

    repository.fail("ListRecords", *[Fault(edit=for_ever)] * 999)
    run = network.harvest()
    assert (run.outcome, run.pages) == ("incomplete", 130 if empty else 22)  # it was tried in parts, too
    assert run.error is not None
    assert "10 pages held nothing new" in run.error
    assert network.watermark() is None
    assert network.states()[0].token is None


def test_sets_times_prefixes_are_lists_of_their_own(network: Network) -> None:
    repository = FakeRepository([*numbered(7, sets=("x",)), FakeRecord("oai:a:z", sets=("y",)), FakeRecord("no")])
    repository.prefixes = ("oai_dc", "marc")
    network.add("a", repository, prefixes=("oai_dc", "marc"), sets=("x", "y"))
    run = network.harvest()
    assert (run.outcome, run.added, run.changed) == ("complete", 8, 8)
    asked = [(r.arguments["metadataPrefix"], r.arguments["set"]) for r in repository.lists() if not r.resumes]
    assert asked == [("oai_dc", "x"), ("oai_dc", "y"), ("marc", "x"), ("marc", "y")]
    record = network.records()["oai:a:001"]
    assert [form.prefix for form in record.forms] == ["oai_dc", "marc"]
    assert record.forms[0].set_specs == ("x",)
    assert [state.watermark for state in network.states()] == ["2024-05-01T11:45:00Z"] * 4


def test_one_broken_list_does_not_stop_the_others(network: Network) -> None:
    repository = FakeRepository(numbered(7))
    repository.prefixes = ("oai_dc", "marc")
    network.add("a", repository, prefixes=("mods", "oai_dc", "marc"))
    run = network.harvest()
    assert (run.outcome, run.added, run.changed) == ("incomplete", 7, 7)
    assert run.error is not None
    assert run.error.startswith("mods: cannotDisseminateFormat")
    assert [state.watermark is not None for state in network.states()] == [False, True, True]


def test_the_operator_stops_before_the_next_list(network: Network) -> None:
    repository = FakeRepository(numbered(3))
    repository.prefixes = ("oai_dc", "marc")
    network.add("a", repository, prefixes=("oai_dc", "marc"))
    stop_at(2)(network, repository)
    run = network.harvest()
    assert (run.outcome, run.added) == ("incomplete", 3)
    assert run.error is not None
    assert "stopped by the operator" in run.error
    assert [state.watermark is not None for state in network.states()] == [True, False]
    assert len(repository.requests) == 2


def test_deleted_in_one_prefix_is_not_deleted(network: Network) -> None:
    repository = FakeRepository([FakeRecord("x"), FakeRecord("y", deleted_in=("marc",))])
    repository.prefixes = ("oai_dc", "marc")
    network.add("a", repository, prefixes=("oai_dc", "marc"))
    network.harvest()
    repository.put(FakeRecord("x", "2024-06-01T00:00:00Z", deleted_in=("oai_dc",)))
    assert counts(network.harvest()) == ("complete", 0, 1, 1, 0, 0)
    assert network.live() == {"x", "y"}
    repository.put(FakeRecord("x", "2024-06-02T00:00:00Z", deleted_in=("oai_dc", "marc")))
    run = network.harvest()
    assert run.deleted == 1
    assert network.live() == {"y"}


def test_an_identify_that_cannot_be_read_is_no_reason_to_stop(network: Network, repository: FakeRepository) -> None:
    repository.fail("Identify", *[HTML] * 9)
    assert network.harvest().outcome == "complete"
    assert network.watermark() == "2024-04-30"


def test_a_member_without_a_name_takes_the_repository_s(network: Network, repository: FakeRepository) -> None:
    repository.name = " Perpustakaan \n <é>\u202e"
    network.harvest()
    named = FakeRepository()
    network.register(Member("b", "Our name", network.provider.serve(named, "/b")))
    network.harvest("b")
    with network.catalogue.read() as connection:
        assert [member.name for member in list_members(connection)] == ["Our name", "Perpustakaan <é>"]


def test_full_asks_for_everything_again(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    repository.fail("ListRecords", HTML)
    network.harvest()
    assert "from" in repository.lists()[-1].arguments
    assert counts(network.harvest(full=True)) == ("nothing-new", 0, 0, 12, 0, 0)
    assert "from" not in repository.lists()[-3].arguments


def test_a_full_harvest_that_was_interrupted_stays_full(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    repository.fail(7, REFUSED)
    assert network.harvest(full=True).outcome == "incomplete"
    repository.put(FakeRecord("oai:a:999", "2024-01-01T00:00:00Z"))
    run = network.harvest()
    assert (run.from_, run.added, run.unchanged) == (None, 1, 12 - 5)


def test_every_answer_is_in_the_archive_verbatim_and_every_page_points_to_its_bytes(
    network: Network, repository: FakeRepository
) -> None:
    repository.fail(4, REFUSED)
    run = network.harvest()
    keys = list(network.archive.iter_keys())
    assert keys == [f"pages/a/{run.id:08}/{n:06}.xml.zst" for n in (1, 2, 3, 4)]
    assert [get_page(network.archive, key) for key in keys] == repository.sent
    with network.catalogue.read() as connection:
        rows = connection.execute(select(pages).order_by(pages.c.id)).all()
    assert [row.archive_key for row in rows] == keys[1:]
    assert [row.size for row in rows] == [len(body) for body in repository.sent[1:]]
    assert [row.records for row in rows] == [5, 5, 0]
    assert [row.error is not None for row in rows] == [False, False, True]
    assert all(row.url.endswith(request.raw_query) for row, request in zip(rows, repository.lists(), strict=True))
    network.harvest()
    assert len(list(network.archive.iter_keys())) == 4 + 2


def test_an_archive_that_cannot_keep_stops_before_the_catalogue_knows(
    network: Network, repository: FakeRepository, tmp_path: Path
) -> None:
    def break_archive(request: Request) -> None:
        if request.number == 3:
            (tmp_path / "archive").rename(tmp_path / "gone")

    repository.on_request = break_archive
    with pytest.raises(ArchiveError):
        network.harvest()
    assert len(network.live()) == 5
    (tmp_path / "gone").rename(tmp_path / "archive")
    assert counts(network.harvest()) == ("complete", 7, 0, 0, 0, 0)
    with network.catalogue.read() as connection:
        assert [r.outcome for r in list_runs(connection, get_member(connection, "a"))] == ["complete", "incomplete"]


def test_a_run_that_another_has_taken_over_writes_nothing_more(network: Network, repository: FakeRepository) -> None:
    inner: list[Run] = []

    def take_over(request: Request) -> None:
        if request.number == 3:
            repository.on_request = lambda _request: None
            inner.append(network.harvest())

    repository.on_request = take_over
    run = network.harvest()
    assert (inner[0].outcome, inner[0].added) == ("complete", 7)
    assert (run.outcome, run.added) == ("incomplete", 5)
    assert run.error is not None
    assert "another process" in run.error
    with network.catalogue.read() as connection:
        runs = list_runs(connection, get_member(connection, "a"))
        rows = connection.execute(select(pages.c.harvest_id)).scalars().all()
    assert [(r.outcome, r.added) for r in runs] == [("complete", 7), ("incomplete", 5)]
    assert rows == [run.id, inner[0].id, inner[0].id]
    assert network.live() == set(repository.records)


def test_one_member_s_failure_never_stops_the_others(network: Network) -> None:
    troubles = [
        HTML,
        Fault(cut=0),
        Fault(body=b"\x00"),
        Fault(body=b"<OAI-PMH><Identify/><Identify/></OAI-PMH>"),
        Fault(status=403, body=b"x"),
        Fault(status=302, headers={"Location": "http://["}),
        Fault(status=503, body=b"", headers={"Retry-After": "\u00b2"}),
    ]
    for number, fault in enumerate(troubles):
        broken = FakeRepository(numbered(3))
        broken.fail(lambda _request: True, *[fault] * 99)
        network.add(f"bad{number}", broken)
        network.add(f"good{number}", FakeRepository(numbered(3)))
    network.register(Member("nobody", "Nobody", "http://127.0.0.3:9/oai"))
    outcomes = {slug: run.outcome for slug, run in network.harvest_all().items()}
    assert {slug for slug, outcome in outcomes.items() if outcome == "complete"} == {
        f"good{number}" for number in range(len(troubles))
    }
    assert set(outcomes.values()) == {"complete", "failed"}
    assert len(outcomes) == 2 * len(troubles) + 1


@pytest.fixture
def second_host() -> Iterator[FakeProvider]:
    with FakeProvider("127.0.0.2") as running:
        yield running


def test_a_host_is_asked_one_thing_at_a_time_and_hosts_side_by_side(
    network: Network, second_host: FakeProvider
) -> None:
    together = threading.Barrier(2, timeout=20)

    def meet(request: Request) -> None:
        if request.number == 2:
            together.wait()  # only two hosts at once ever get here

    by_host: dict[str, list[FakeRepository]] = {"127.0.0.1": [], "127.0.0.2": []}
    for slug, provider in (("a", network.provider), ("b", second_host), ("c", network.provider), ("d", second_host)):
        repository = FakeRepository(numbered(12))
        repository.on_request = meet
        repository.fail("ListRecords", *[Fault(delay=0.005)] * 3)
        network.register(Member(slug, slug, provider.serve(repository, f"/{slug}")))
        by_host[provider.base.split("/")[2].split(":")[0]].append(repository)
    assert {run.outcome for run in network.harvest_all().values()} == {"complete"}
    for repositories in by_host.values():
        intervals = sorted(interval for repository in repositories for interval in repository.intervals)
        assert len(intervals) == 8
        assert all(ended <= began for (_, ended), (began, _) in pairwise(intervals))
    both = [sorted(i for r in repositories for i in r.intervals) for repositories in by_host.values()]
    assert both[0][0][0] < both[1][-1][1]
    assert both[1][0][0] < both[0][-1][1]


def test_no_more_hosts_at_once_than_allowed(network: Network, second_host: FakeProvider) -> None:
    repositories = [FakeRepository(numbered(3)), FakeRepository(numbered(3))]
    members = [
        network.register(Member(slug, slug, provider.serve(repository, f"/{slug}")))
        for slug, provider, repository in zip("ab", (network.provider, second_host), repositories, strict=True)
    ]
    runs = list(harvest_members(network.context, members, at_once=1))
    assert [member.slug for member, _ in runs] == ["a", "b"]
    assert max(ended for _, ended in repositories[0].intervals) <= min(began for began, _ in repositories[1].intervals)


def assert_true(value: bool) -> None:
    assert value


def test_members_are_told_as_they_end(network: Network, second_host: FakeProvider) -> None:
    released = threading.Event()
    slow, quick = FakeRepository(numbered(3)), FakeRepository(numbered(3))
    slow.on_request = lambda _request: assert_true(released.wait(20))
    members = [
        network.register(Member("slow", "s", network.provider.serve(slow, "/s"))),
        network.register(Member("quick", "q", second_host.serve(quick, "/q"))),
    ]
    told = harvest_members(network.context, members)
    assert next(told)[0].slug == "quick"
    released.set()
    assert [member.slug for member, _ in told] == ["slow"]


def test_after_a_stop_no_further_member_is_begun(network: Network) -> None:
    first, second = FakeRepository(numbered(12)), FakeRepository(numbered(12))
    stop_at(2)(network, first)
    network.add("a", first)
    network.add("b", second)
    assert {slug: run.outcome for slug, run in network.harvest_all().items()} == {"a": "incomplete"}
    assert not second.requests


def test_a_changed_base_url_is_harvested_from_the_beginning(network: Network, repository: FakeRepository) -> None:
    network.harvest()
    moved = FakeRepository(numbered(13))
    with network.catalogue.write() as connection:
        import_members(connection, [Member("a", "a", network.provider.serve(moved, "/moved"))], 1)
    run = network.harvest()
    assert (run.from_, run.added, run.unchanged) == (None, 1, 12)


def test_tokens_of_any_letters_lead_on(network: Network, repository: FakeRepository) -> None:
    repository.token_tail = "+/=&% %2B é\N{GRINNING FACE}<"
    repository.fail(3, REFUSED)
    network.harvest()
    assert counts(network.harvest()) == ("complete", 7, 0, 0, 0, 0)
