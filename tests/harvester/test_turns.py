"""The worker harvests who is due, in its window, and nothing that one member or job does stops the others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault, Request
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from harvester.archive import Archive, page_key
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.care import Care
from harvester.catalogue.harvests import SUCCESSES, Run, get_status, list_runs
from harvester.catalogue.leases import claim_host, release
from harvester.catalogue.members import Member, add_member, ask_for_run, get_member, import_members, list_members
from harvester.catalogue.records import iter_records
from harvester.catalogue.tables import jobs, leases, members
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.schedule import Schedule, spread_of
from harvester.settings import load_settings
from harvester.side_by_side import harvest_members
from harvester.worker import Job, work

DAY = 86400
HOSTS = ("127.0.2.1", "127.0.2.2", "127.0.2.3")


def jakarta(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Jakarta")).timestamp())


class Network:
    """Members on three hosts, a clock that is set by hand, and workers in this process."""

    def __init__(self, url: str, folder: Path, archive: Archive, stack: ExitStack) -> None:
        self.clock = jakarta("2026-03-01 12:00")
        self.catalogue: Catalogue = open_catalogue(url, lambda: self.clock)
        stack.callback(self.catalogue.close)
        self.providers = [stack.enter_context(FakeProvider(host)) for host in HOSTS]
        self.settings = load_settings(home=folder, catalogue=url, max_wait=0.001, stall_minutes=60)
        self.context = HarvestContext(self.settings, self.catalogue, archive)

    def add(self, slug: str, host: int = 0, care: Care | None = None, records: int = 12) -> FakeRepository:
        repository = FakeRepository([FakeRecord(f"oai:{slug}:{n:03}") for n in range(records)])
        url = self.providers[host].serve(repository, f"/{slug}")
        seldom = replace(care or Care(), reconcile_days=3650)
        with self.catalogue.write() as connection:
            add_member(connection, Member(slug, slug, url, care=seldom), self.clock)
        return repository

    def work(self, **options: object) -> None:
        work(self.context, once=True, **options)  # type: ignore[arg-type]  # the options of `work`

    def runs(self, slug: str) -> list[Run]:
        with self.catalogue.read() as connection:
            return list(list_runs(connection, get_member(connection, slug)))[::-1]

    def due(self, slug: str) -> tuple[int | None, int]:
        with self.catalogue.read() as connection:
            query = select(members.c.next_run, members.c.failures).where(members.c.slug == slug)
            return tuple(connection.execute(query).one())  # type: ignore[return-value]  # two columns

    def count_turns(self) -> int:
        with self.catalogue.read() as connection:
            return connection.execute(select(func.count()).select_from(leases)).scalar_one()

    def free(self) -> bool:
        return self.count_turns() == 0


@pytest.fixture
def network(tmp_path: Path, catalogue_url: str, archive: Archive) -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(catalogue_url, tmp_path, archive, stack)


def test_two_workers_share_hosts_that_one_could_ask_alone(
    network: Network, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvester.worker._LOOK_SECONDS", 600)
    gate = threading.Event()
    with ExitStack() as stack:
        network.providers += [stack.enter_context(FakeProvider(f"127.0.2.{host}")) for host in range(4, 9)]
        slugs = [f"m{host}" for host in range(8)]
        for host, slug in enumerate(slugs):
            network.add(slug, host).on_request = lambda request: gate.wait(60) if request.number == 3 else None
        contexts = [HarvestContext(network.settings, network.catalogue, archive) for _ in range(2)]
        workers = [threading.Thread(target=work, args=(context,), kwargs={"once": True}) for context in contexts]
        for turns, worker in enumerate(workers, 1):
            worker.start()
            wait_until(lambda turns=turns: network.count_turns() >= 4 * turns)
        contexts[0].stop.set()
        gate.set()
        for worker in workers:
            worker.join(60)
    outcomes = [run.outcome for slug in slugs for run in network.runs(slug)[:1]]
    assert Counter(outcomes) == {"complete": 4, "incomplete": 4}


def test_who_is_due_is_harvested_and_is_due_again_as_its_rule_says(network: Network) -> None:
    asked = [network.add("a", 0), network.add("b", 0), network.add("c", 1, Care(rule="6h"))]
    asked.append(network.add("d", 2, Care(paused=True)))
    network.work()
    assert [len(repository.requests) for repository in asked] == [4, 4, 4, 0]
    for slug, seconds in (("a", DAY), ("c", DAY // 4)):
        moment, failures = network.due(slug)
        assert failures == 0
        assert moment == network.clock + seconds + int(min(seconds / 10, 3600) * spread_of(slug))
    network.work()
    assert [len(repository.requests) for repository in asked] == [4, 4, 4, 0]
    network.clock += 2 * DAY
    network.work()
    assert [len(network.runs(slug)) for slug in "abcd"] == [2, 2, 2, 0]
    assert network.free()


def test_one_that_fails_stops_nobody_and_is_tried_again_soon_and_then_later(network: Network) -> None:
    broken, well = network.add("broken", 0), network.add("well", 0)
    broken.fail("Identify", *[Fault(status=403, body=b"no")] * 3)
    pauses = []
    for _ in range(3):
        network.work()
        moment, failures = network.due("broken")
        pauses.append((failures, (moment or 0) - network.clock))
        network.clock = moment or 0
    assert [failures for failures, _ in pauses] == [1, 2, 3]
    for (_, pause), least in zip(pauses, (900, 1800, 3600), strict=True):
        assert least <= pause <= least * 1.25
    network.work()
    assert [run.outcome for run in network.runs("broken")] == ["failed"] * 3 + ["complete"]
    assert network.due("broken")[1] == 0
    assert [run.outcome for run in network.runs("well")] == ["complete"]
    assert len(well.requests) == 4


@pytest.mark.parametrize(("asked", "rest"), [("7200", 7200), ("999999", DAY)])
@pytest.mark.parametrize("verb", ["Identify", "ListIdentifiers"])
def test_a_server_that_asks_for_a_long_pause_is_left_alone_for_so_long_and_a_day_at_most(
    verb: str, asked: str, rest: int, network: Network
) -> None:
    """ListIdentifiers is asked for by the reconciliation after a harvest that went well."""
    repository = network.add("a", 0, Care(rule="30m"))
    network.work()
    with network.catalogue.write() as connection:
        connection.execute(update(members).values(next_reconcile=network.clock))
    network.clock += DAY
    repository.fail(verb, Fault(status=503, body=b"", headers={"Retry-After": asked}))
    network.work()
    asked_for = len(repository.requests)
    assert network.due("a") == (network.clock + rest, int(verb == "Identify"))
    network.clock += rest - 1
    network.work()
    assert len(repository.requests) == asked_for
    network.clock += 1
    network.work()
    assert network.runs("a")[-1].outcome in SUCCESSES


def test_a_complete_harvest_is_followed_by_the_reconciliation_that_is_due(network: Network) -> None:
    repository, broken = network.add("a"), network.add("broken", 1)
    network.work()
    assert repository.lists("ListIdentifiers") == []
    with network.catalogue.write() as connection:
        connection.execute(update(members).values(next_reconcile=network.clock))
    network.clock += 2 * DAY
    broken.fail("Identify", Fault(status=403, body=b"no"))
    network.work()
    assert len(repository.lists("ListIdentifiers")) == 3
    assert broken.lists("ListIdentifiers") == []
    assert network.due("a")[1] == 0
    assert network.free()


def test_a_harvest_is_begun_in_its_window_ends_with_it_and_goes_on_in_the_next(network: Network) -> None:
    night = Care(window="23:00-04:00")
    repository = network.add("a", 0, night)
    with capture_logs() as logs:
        network.work()
        assert (repository.requests, network.runs("a")) == ([], [])
        opens = network.due("a")[0] or 0
        assert jakarta("2026-03-01 23:00") <= opens < jakarta("2026-03-02 00:00")
        # Shortly before the end: a jump across the night would outlive the turn's lease, and look like a standstill.
        network.clock = jakarta("2026-03-02 03:59:30")

        def close(request: Request) -> None:
            if request.number == 3:
                network.clock = jakarta("2026-03-02 04:00")

        repository.on_request = close
        network.work()
    (claimed,) = [log for log in logs if log["event"] == "claimed"]
    assert (claimed["window"], claimed["open_until"]) == ("23:00-04:00 Asia/Jakarta", "2026-03-01T21:00:00Z")
    assert len(repository.requests) == 3
    (run,) = network.runs("a")
    assert (run.outcome, run.records) in {("incomplete", 5), ("incomplete", 10)}  # it is asked ahead of what is stored
    assert run.error is not None
    assert run.error.startswith("its window 23:00-04:00 has closed; goes on at 2026-03-02T1")
    (ended,) = [log for log in logs if log["event"] == "harvest ends"]
    assert ended["error"] == "its window 23:00-04:00 has closed; the next harvest goes on from here"
    again, failures = network.due("a")
    assert again == night.schedule.open_from(network.clock, spread_of("a"))
    assert failures == 0
    network.clock = again or 0
    network.work()
    assert repository.requests[4].resumes
    assert network.runs("a")[-1].outcome == "complete"
    assert sum(run.added for run in network.runs("a")) == 12


def test_a_run_without_progress_has_failed_and_its_thread_is_neither_waited_for_nor_heard(network: Network) -> None:
    network.context = replace(network.context, settings=network.settings.model_copy(update={"stall_minutes": 0.05}))
    stuck, behind = network.add("stuck"), network.add("behind")
    held, released, woken = (threading.Event() for _ in range(3))

    def hold(request: Request) -> None:
        if request.number == 3:
            held.set()
            released.wait(60)
            woken.set()

    def go_on(_request: Request) -> None:
        """The host is asked again: the first one's turn was given away."""
        assert held.is_set()

    stuck.on_request, behind.on_request = hold, go_on

    def let_time_pass() -> None:
        held.wait(60)
        while network.runs("stuck")[0].outcome is None:  # no longer: the next member's run is to have time
            network.clock += 1
            time.sleep(0.05)

    timer = threading.Thread(target=let_time_pass)
    with network.catalogue.write() as connection:
        connection.execute(update(members).where(members.c.slug == "behind").values(next_run=network.clock))
        connection.execute(update(members).where(members.c.slug == "stuck").values(next_run=0))
    timer.start()
    network.work()
    assert [run.outcome for run in network.runs("behind")] == ["complete"]
    (run,) = network.runs("stuck")
    assert (run.outcome, run.records) == ("failed", 5)
    assert run.error is not None
    assert run.error.startswith("no progress for 0.05 minutes")
    assert network.due("stuck")[1] == 1
    released.set()
    timer.join()
    assert woken.wait(60)
    for thread in threading.enumerate():
        if "_harvest" in thread.name:
            thread.join(60)
    assert network.runs("stuck") == [run]
    assert sum(record.member == "stuck" for record in iter_records(network.catalogue)) == 5
    network.clock += DAY
    network.work()
    assert network.runs("stuck")[-1].outcome == "complete"


def test_a_stop_ends_harvests_at_the_page_and_they_stay_due(network: Network) -> None:
    repository = network.add("a")

    def stop(request: Request) -> None:
        if request.number == 3:
            network.context.stop.set()

    repository.on_request = stop
    before = network.due("a")
    work(network.context)
    (run,) = network.runs("a")
    assert (run.outcome, len(repository.requests)) == ("incomplete", 3)
    assert run.records in {5, 10}
    assert network.due("a") == before
    assert network.free()
    network.context.stop.clear()
    network.work()
    assert repository.requests[4].resumes
    assert sum(run.records for run in network.runs("a")) == 12


def test_a_member_that_is_paused_meanwhile_ends_at_the_page(network: Network) -> None:
    repository = network.add("a")
    logs: list[dict[str, object]] = []

    def pause(request: Request) -> None:
        if request.number == 3:
            with network.catalogue.write() as connection:
                connection.execute(update(members).values(paused=True))
            network.clock += 30
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not any("paused" in str(log["event"]) for log in logs):
                time.sleep(0.01)  # the keeper looks once a second

    repository.on_request = pause
    with capture_logs() as captured:
        logs = captured  # type: ignore[assignment]  # what structlog gives
        network.work()
    (run,) = network.runs("a")
    assert (run.outcome, run.records, len(repository.requests)) == ("incomplete", 10, 3)
    assert run.error == "the member was paused; the next harvest goes on from here"
    assert network.free()


def test_what_the_operator_changed_meanwhile_counts_for_the_next_run(network: Network) -> None:
    repository = network.add("a")

    def change(request: Request) -> None:
        if request.number == 2:
            with network.catalogue.write() as connection:
                connection.execute(update(members).values(rule="7d"))

    repository.on_request = change
    network.work()
    assert (network.due("a")[0] or 0) - network.clock >= 7 * DAY


@pytest.mark.parametrize("fails", [False, True], ids=["complete", "failed"])
def test_a_run_that_is_asked_for_during_a_harvest_follows_it(fails: bool, network: Network) -> None:
    """And once only; a change of its rule meanwhile is no such wish."""
    repository = network.add("a")

    def ask(request: Request) -> None:
        if request.number == 2:
            network.clock += 60
            with network.catalogue.write() as connection:
                member = get_member(connection, "a")
                import_members(connection, [replace(member, care=replace(member.care, rule="7d"))], network.clock)
                if len(network.runs("a")) == 1:
                    ask_for_run(connection, member, network.clock)

    repository.on_request = ask
    if fails:
        repository.fail("ListRecords", Fault(status=403, body=b"no"))
    network.work()
    assert outcomes_of(network, "a") == ["failed" if fails else "complete", "complete" if fails else "nothing-new"]
    assert network.due("a")[0] == Schedule("7d").next_run(network.runs("a")[-1].started_at, spread=spread_of("a"))


def test_jobs_are_done_after_harvests_and_one_that_fails_is_kept_and_stops_nobody(network: Network) -> None:
    network.add("a")
    done: list[str] = []

    def index(context: HarvestContext) -> None:
        with context.catalogue.read() as connection:
            status = get_status(connection, get_member(connection, "a"))
        done.append(f"index of {status.records}")

    def fail(_context: HarvestContext) -> None:
        done.append("mail")
        raise OSError("no such server")

    network.work(jobs=[Job("mail", 600, fail), Job("index", 60, index)])
    assert sorted(done) == ["index of 12", "mail"]
    with network.catalogue.read() as connection:
        rows = {row.name: row for row in connection.execute(select(jobs))}
    assert (rows["mail"].error, rows["mail"].next_run) == ("no such server", network.clock + 600)
    assert (rows["index"].error, rows["index"].next_run, rows["index"].owner) == (None, network.clock + 60, None)
    network.clock += 60
    network.work(jobs=[Job("mail", 600, fail), Job("index", 60, index)])
    assert done[2:] == ["index of 12"]


def test_while_the_archive_is_away_nobody_is_asked_and_then_all_goes_on(network: Network, tmp_path: Path) -> None:
    slugs = "abcde"
    asked = [network.add(slug, number % 2) for number, slug in enumerate(slugs)]
    root, gone = tmp_path / "archive", tmp_path / "gone"
    asked[0].on_request = lambda request: root.rename(gone) if request.number == 3 else None
    with capture_logs() as logs:
        working = threading.Thread(target=work, args=(network.context,))
        working.start()
        wait_for(lambda: len([line for line in logs if line["event"] == "waiting for the archive"]) > 1)
        wait_for(network.free)
        wait_for(lambda: len([line for line in logs if line["event"] == "waiting for the archive"]) > 3)
        before = sum(len(repository.requests) for repository in asked)
        assert before <= 3 + 4 * 3, "at most two hosts with a member or two"
        assert network.free()
        wait_for(lambda: len([line for line in logs if line["event"] == "waiting for the archive"]) > 5)
        assert sum(len(repository.requests) for repository in asked) == before
        assert [network.due(slug)[1] for slug in slugs] == [0] * 5, "no failure of theirs"
        gone.rename(root)
        wait_for(lambda: all([run.outcome for run in network.runs(slug)][-1:] == ["complete"] for slug in slugs))
        network.context.stop.set()
        working.join(10)
    assert not working.is_alive()
    assert len(list(iter_records(network.catalogue))) == 5 * 12
    *before_that, last = [run.outcome for run in network.runs("a")]
    assert (set(before_that), last) == ({"incomplete"}, "complete")


def test_what_the_archive_refuses_while_it_is_there_is_tried_again_after_a_pause(
    network: Network, tmp_path: Path
) -> None:
    repository = network.add("a")
    other = network.context.archive
    there = page_key("a", 1, 2)
    repository.on_request = lambda request: other.put(there, b"other bytes") if request.number == 2 else None
    network.work()
    moment, failures = network.due("a")
    assert (failures, len(repository.requests)) == (1, 2)
    assert (moment or 0) - network.clock >= 900


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_a_host_that_another_process_asks_is_waited_for(network: Network) -> None:
    repository, other = network.add("a", 0), new_owner()
    free_one = network.add("b", 1)
    with network.catalogue.write() as connection:
        assert claim_host(connection, other, HOSTS[0], network.clock) is None
        chosen = list_members(connection)
    outcomes: dict[str, str | None] = {}

    def harvest() -> None:
        outcomes.update({member.slug: run.outcome for member, run in harvest_members(network.context, chosen)})

    with capture_logs() as logs:
        harvesting = threading.Thread(target=harvest)
        harvesting.start()
        wait_until(lambda: outcomes_of(network, "b") == ["complete"])
        wait_until(lambda: any("waiting for it" in str(log["event"]) for log in logs))
        assert repository.requests == []
        assert len(free_one.requests) == 4
        with network.catalogue.write() as connection:
            release(connection, other, HOSTS[0])
        harvesting.join(60)
    assert outcomes == {"a": "complete", "b": "complete"}
    assert sum("waiting for it" in str(log["event"]) for log in logs) == 1
    assert network.free()


def outcomes_of(network: Network, slug: str) -> list[str | None]:
    return [run.outcome for run in network.runs(slug)]


def wait_until(holds: Callable[[], bool]) -> None:
    """Looks again and again: what is waited for happens in other threads that tell nobody."""
    pause = threading.Event()
    for _ in range(600):
        if holds():
            return
        pause.wait(0.1)
    pytest.fail("it did not come to that within a minute")
