"""Real workers, killed and stopped at whatever moment: nothing is lost, nothing is double, and nobody is stuck."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Request
from installation import Installation

from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import MemberStatus, list_statuses

HOSTS = 4
PAGES = 14
KILLS = 10
SLUGS = [f"m{number}" for number in range(2 * HOSTS)]


class Network:
    """Eight members on four hosts; each host notes when it was asked."""

    def __init__(self, stack: ExitStack) -> None:
        self.repositories: dict[str, FakeRepository] = {}
        self.urls: dict[str, str] = {}
        providers = [stack.enter_context(FakeProvider(f"127.0.3.{host + 1}")) for host in range(HOSTS)]
        for number, slug in enumerate(SLUGS):
            repository = FakeRepository(
                [FakeRecord(f"oai:{slug}:{n:03}", title=f"{slug} {n}") for n in range(5 * PAGES)]
            )
            self.repositories[slug] = repository
            self.urls[slug] = providers[number % HOSTS].serve(repository, f"/{slug}")

    def register(self, installation: Installation, slugs: list[str]) -> None:
        file = installation.home.parent / "members.toml"
        entries = (
            f'[[members]]\nslug = "{slug}"\nbase_url = "{self.urls[slug]}"\nreconcile_days = 3650\n' for slug in slugs
        )
        file.write_text("".join(entries))
        installation.run("members", "import", str(file))

    def overlaps(self, kills: list[float]) -> list[tuple[float, float]]:
        """Requests that began while the host still answered another, and that no kill explains."""
        found = []
        for host in range(HOSTS):
            asked = sorted(i for slug in SLUGS[host::HOSTS] for i in self.repositories[slug].intervals)
            for (_, ended), (began, _) in pairwise(asked):
                if began < ended and not any(began - 3 < kill < began for kill in kills):
                    found.append((began, ended))
        return found


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack)


def content(installation: Installation) -> list[dict[str, Any]]:
    """What readers and re-harvesters may see: all but our datestamps."""
    rows = map(json.loads, installation.run("records", "--json").splitlines())
    return sorted(({**row, "datestamp": None} for row in rows), key=lambda row: str(row["id"]))


def statuses(installation: Installation) -> dict[str, MemberStatus]:
    with (
        closing(open_catalogue(f"sqlite:///{installation.home / 'catalogue.sqlite'}")) as catalogue,
        catalogue.read() as connection,
    ):
        return {status.member.slug: status for status in list_statuses(connection)}


def outcomes(installation: Installation) -> set[str | None]:
    return {status.last_attempt and status.last_attempt.outcome for status in statuses(installation).values()}


def test_two_workers_killed_and_restarted_at_random_leave_what_an_undisturbed_harvest_does(
    installation: Callable[..., Installation], network: Network
) -> None:
    chance = random.Random(4)
    killed, quiet = installation(), installation()
    for each in (killed, quiet):
        network.register(each, SLUGS)
    quiet.harvest()
    for repository in network.repositories.values():
        repository.requests.clear()
        repository.intervals.clear()
        repository.on_request = lambda _request: time.sleep(0.15)  # a server that takes its time
    kills: list[float] = []
    pause = threading.Event()
    workers = [killed.start("work", "--quiet") for _ in range(2)]
    try:
        for _ in range(KILLS):
            asked = sum(len(repository.requests) for repository in network.repositories.values())
            wait_until(lambda asked=asked: sum(len(r.requests) for r in network.repositories.values()) > asked + 3)
            pause.wait(chance.random() / 3)
            victim = workers.pop(chance.randrange(2))
            kills.append(time.monotonic())
            victim.send_signal(signal.SIGKILL)
            assert victim.wait() == -signal.SIGKILL
            workers.append(killed.start("work", "--quiet"))
        wait_until(lambda: outcomes(killed) <= {"complete", "nothing-new"})
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        assert {worker.wait(60) for worker in workers} <= {0, -signal.SIGTERM}  # the latter where it had hardly begun
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert content(killed) == content(quiet)
    assert network.overlaps(kills) == []
    assert outcomes(killed) <= {"complete", "nothing-new"}
    found = statuses(killed).values()
    assert [status.records for status in found] == [5 * PAGES] * len(SLUGS)
    assert all(
        status.next_run and status.last_attempt and status.next_run > status.last_attempt.started_at for status in found
    )
    # A further worker finds nothing to do: nobody is stuck, and nobody is due.
    before = sum(len(repository.requests) for repository in network.repositories.values())
    killed.run("work", "--once")
    assert sum(len(repository.requests) for repository in network.repositories.values()) == before


def test_a_worker_that_is_told_to_stop_ends_at_a_page_and_the_next_one_goes_on(
    installation: Callable[..., Installation], network: Network
) -> None:
    home, repository = installation(), network.repositories["m0"]
    network.register(home, ["m0"])
    reached = threading.Event()

    def note(request: Request) -> None:
        if request.number == 5:
            reached.set()
        time.sleep(0.1)

    repository.on_request = note
    worker = home.start("work")
    try:
        assert reached.wait(60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.wait()
    run = statuses(home)["m0"].last_attempt
    assert run is not None
    assert (run.outcome, run.error) == ("incomplete", "stopped by the operator; the next harvest goes on from here")
    asked = len(repository.requests)
    assert asked < PAGES
    home.run("work", "--once")
    assert next(request for request in repository.requests[asked:] if request.verb == "ListRecords").resumes
    assert statuses(home)["m0"].records == 5 * PAGES


def test_a_worker_searches_what_it_has_harvested_and_says_in_which_window_it_asked(
    installation: Callable[..., Installation], network: Network
) -> None:
    home = installation()
    network.register(home, ["m0", "m1"])
    home.run("members", "set", "m0", "--window", "00:00-23:59", "--timezone", "UTC", "--rule", "6h")
    hour = time.gmtime().tm_hour
    closed = f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00"
    home.run("members", "set", "m1", "--window", closed, "--timezone", "UTC")
    process = home.start("work", "--once", stderr=-1)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "window=00:00-23:59 UTC" in log or "window='00:00-23:59 UTC'" in log
    assert network.repositories["m1"].requests == []
    assert statuses(home)["m1"].last_attempt is None
    assert home.run("index") == f"0 records read, 0 works written, 0 are no more; the index holds {5 * PAGES} works.\n"
    assert home.run("members", "run", "m1").startswith("m1 is due at ")
    assert home.run("members", "run", "m0") == "m0 is due now\n"
    before = len(network.repositories["m0"].requests)
    home.run("work", "--once")
    assert len(network.repositories["m0"].requests) > before


def wait_until(holds: Callable[[], bool]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + 100
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        pause.wait(0.05)
