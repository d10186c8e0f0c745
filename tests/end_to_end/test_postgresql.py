"""One network on one PostgreSQL: workers of several machines share it, and every command finds all that it needs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository
from installation import Installation
from ports import end_group, fetch, fetch_json, free_port, is_open, wait_until
from services.postgresql import Server
from sqlalchemy import func, select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.harvests import list_runs
from harvester.catalogue.leases import LEASE_SECONDS
from harvester.catalogue.members import get_member
from harvester.catalogue.records import iter_records
from harvester.catalogue.tables import harvests, leases, pages

pytestmark = pytest.mark.service
HOSTS, PAGES = 12, 6
MACHINES = ("north", "south", "east")
# Each process believes to be on a machine of its own, so that none sees whether another one's lives.
_ON_MACHINE = """
import socket, sys
from harvester import owners
name = sys.argv.pop(1)
socket.gethostname = lambda: name
owners._place = lambda: name
from web.cli import main
main()
"""


@pytest.fixture
def url(postgresql: Server) -> Iterator[str]:
    """An empty catalogue."""
    made = postgresql.new_catalogue()
    yield made
    postgresql.give_back(made)


def start_on(machine: str, installation: Installation, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ON_MACHINE, machine, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        env=installation.environment,
        text=True,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def owners(catalogue: Catalogue) -> dict[str, str]:
    """Which machine asks each host that is asked now."""
    with catalogue.read() as connection:
        return {row.host: row.owner.partition(":")[0] for row in connection.execute(select(leases))}


def test_workers_of_several_machines_share_a_network_and_one_that_is_killed_loses_nothing(
    installation: Callable[..., Installation], url: str
) -> None:
    home = installation(LUMBUNG_CATALOGUE=url)
    repositories: dict[str, FakeRepository] = {}
    gate = threading.Event()
    with ExitStack() as stack:
        entries = []
        for number in range(HOSTS):
            slug = f"m{number}"
            found = FakeRepository([FakeRecord(f"oai:{slug}:{n:03}") for n in range(5 * PAGES)])
            found.on_request = lambda request: gate.wait(60) if request.number == 3 else time.sleep(0.02)
            provider = stack.enter_context(FakeProvider(f"127.0.5.{number + 1}"))
            repositories[slug] = found
            entries.append(f'[[members]]\nslug = "{slug}"\nbase_url = "{provider.serve(found, "/" + slug)}"\n')
        file = home.home.parent / "members.toml"
        file.write_text("".join(entries))
        home.run("members", "import", str(file))
        catalogue = stack.enter_context(closing(open_catalogue(url)))
        workers = {name: start_on(name, home, "work", "--quiet", "--at-once", "2") for name in MACHINES}
        try:
            wait_until(lambda: Counter(owners(catalogue).values()) == dict.fromkeys(MACHINES, 2), None)
            wait_until(lambda: sum(len(found.requests) == 3 for found in repositories.values()) == 6, None)
            held = owners(catalogue)
            of_dead = {host for host, machine in held.items() if machine == "south"}
            workers["south"].send_signal(signal.SIGKILL)
            workers["south"].wait()
            gate.set()
            slugs = {slug for slug in repositories if slug_host(catalogue, slug) not in of_dead}
            wait_until(lambda: set(done(catalogue)) == slugs, None)
            # Nobody here can know that it is dead: its hosts are left alone for as long as its leases say.
            assert {host for host, machine in owners(catalogue).items() if machine == "south"} == of_dead
            with catalogue.write() as connection:
                until = connection.execute(select(func.max(leases.c.until))).scalar_one()
                assert until > catalogue.now() + LEASE_SECONDS / 2
                connection.execute(update(leases).values(until=catalogue.now()))  # time goes by
            wait_until(lambda: set(done(catalogue)) == repositories.keys(), None)
            for name in ("north", "east"):
                workers[name].send_signal(signal.SIGTERM)
            assert {workers[name].wait(60) for name in ("north", "east")} == {0}
        finally:
            for worker in workers.values():
                worker.kill()
                worker.wait()
        found_ids = [record.identifier for record in iter_records(catalogue)]
        assert sorted(found_ids) == sorted(f"oai:{slug}:{n:03}" for slug in repositories for n in range(5 * PAGES))
        with catalogue.read() as connection:
            keys = connection.execute(select(pages.c.archive_key)).scalars().all()
            assert len(keys) == len(set(keys))
            runs = connection.execute(select(harvests.c.outcome, func.count()).group_by(harvests.c.outcome)).all()
        assert dict(map(tuple, runs)) == {"complete": HOSTS, "incomplete": 2}
        assert owners(catalogue) == {}
        for repository in repositories.values():  # each page once, but for what the dead one was at
            assert len(repository.requests) <= PAGES + 1 + 2
            spans = sorted(repository.intervals)
            assert all(one[1] <= other[0] for one, other in pairwise(spans))


def slug_host(catalogue: Catalogue, slug: str) -> str:
    with catalogue.read() as connection:
        return get_member(connection, slug).host


def done(catalogue: Catalogue) -> list[str]:
    """The members whose newest run is complete."""
    with catalogue.read() as connection:
        slugs = [f"m{number}" for number in range(HOSTS)]
        newest = {slug: list_runs(connection, get_member(connection, slug))[:1] for slug in slugs}
    return [slug for slug, runs in newest.items() if runs and runs[0].outcome in {"complete", "nothing-new"}]


def test_the_sample_members_are_harvested_indexed_compared_and_served(
    installation: Callable[..., Installation], url: str
) -> None:
    home = installation(LUMBUNG_CATALOGUE=url)
    samples_port, port = free_port(), free_port()
    samples = home.start("sample-members", "--port", str(samples_port), "--register", stdout=subprocess.PIPE)
    try:
        wait_until(lambda: is_open(samples_port), samples)
        runs = home.harvest()
        assert {run["outcome"] for run in runs.values()} == {"complete"}
        slug = next(iter(runs))
        home.run("index")
        home.run("check")  # nothing differs
        home.run("reconcile", slug)
        home.run("work", "--once", "--quiet")
        told = {each["member"]: each for each in map(json.loads, home.run("status", "--json").splitlines()[:4])}
        assert {name: each["live"] for name, each in told.items()} == {
            name: each["added"] for name, each in runs.items()
        }
        known = [json.loads(line) for line in home.run("records", "--json").splitlines()]
        assert len(known) == sum(each["added"] for each in runs.values())
        assert not list(home.home.glob("*.sqlite*"))
        home.run("reindex")
    finally:
        end_group(samples, signal.SIGTERM)
    site = home.start("serve", "--port", str(port))
    try:
        wait_until(lambda: is_open(port), site)
        address = f"http://127.0.0.1:{port}"
        assert fetch_json(f"{address}/healthz")["status"] == "ok"
        assert fetch_json(f"{address}/api/search?q=")["total"] > 400
        paths = ["/", "/search?q=air", "/members/", "/about", f"/record/{known[0]['id']}"]
        of_member = ["", "/problems", "/problems.csv", ".json", ".atom"]
        paths += [f"/members/{slug}{path}" for path in of_member]
        assert {path: fetch(address + path)[0] for path in paths} == dict.fromkeys(paths, 200)
    finally:
        end_group(site, signal.SIGTERM)
