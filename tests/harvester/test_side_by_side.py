"""Many hosts are harvested by two processes; either may be killed, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault, Request

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.harvests import list_runs
from harvester.catalogue.members import Member, add_member, list_members
from harvester.catalogue.records import iter_records
from harvester.errors import LumbungError
from harvester.run import HarvestContext, Progress
from harvester.settings import load_settings
from harvester.side_by_side import harvest_members

HOSTS = 9
HTML = Fault(body=b"<!DOCTYPE html><p>Database error<br>")
pytestmark = pytest.mark.skipif(os.cpu_count() == 1, reason="one processor: one process harvests all")
SLUGS = [f"m{number}" for number in range(HOSTS)]


@pytest.fixture
def repositories(catalogue: Catalogue) -> Iterator[dict[str, FakeRepository]]:
    """Nine members on as many hosts, each of twelve records in three pages."""
    with ExitStack() as stack:
        found = {}
        for number, slug in enumerate(SLUGS):
            provider = stack.enter_context(FakeProvider(f"127.0.1.{number + 1}"))
            found[slug] = FakeRepository([FakeRecord(f"oai:{slug}:{n}") for n in range(12)])
            with catalogue.write() as connection:
                add_member(connection, Member(slug, slug, provider.serve(found[slug])), 1)
        yield found


@pytest.fixture
def seen() -> list[Progress]:
    return []


@pytest.fixture
def context(
    catalogue: Catalogue, catalogue_url: str, archive: Archive, tmp_path: Path, seen: list[Progress]
) -> HarvestContext:
    kept = {"catalogue": catalogue_url, "archive": (tmp_path / "archive").as_uri()}
    settings = load_settings(home=tmp_path, **kept, max_wait=0.001)
    return HarvestContext(settings, catalogue, archive, report=seen.append)


def helpers() -> list[int]:
    """The processes that this one has started and that run."""
    tasks = Path("/proc/self/task").glob("*/children")
    found: list[int] = []
    for children in tasks:
        with suppress(OSError):  # a thread that has just ended
            found += map(int, children.read_text().split())
    return found


def harvest_all(context: HarvestContext) -> dict[str, str | None]:
    with context.catalogue.read() as connection:
        members = list_members(connection)
    return {member.slug: run.outcome for member, run in harvest_members(context, members)}


def test_every_member_is_harvested_once_by_one_of_two_processes(
    context: HarvestContext, repositories: dict[str, FakeRepository], seen: list[Progress]
) -> None:
    before = helpers()
    seen_helpers: set[int] = set()
    for repository in repositories.values():
        repository.on_request = lambda _request: seen_helpers.update(helpers())
    repositories["m3"].fail(lambda request: request.number > 2, *[HTML] * 500)
    repositories["m4"].fail("Identify", Fault(status=403, body=b"x"))
    outcomes = harvest_all(context)
    assert outcomes == dict.fromkeys(SLUGS, "complete") | {"m3": "incomplete", "m4": "failed"}
    asked = {slug: len(repository.requests) for slug, repository in repositories.items() if slug != "m3"}
    assert asked == dict.fromkeys(asked, 4) | {"m4": 1}
    assert len(seen_helpers.difference(before)) == 1
    assert {progress.member for progress in seen if progress.run is not None} == set(SLUGS)
    assert sum(1 for _ in iter_records(context.catalogue)) == 7 * 12 + 5
    assert helpers() == before


def test_a_stop_reaches_both_processes(context: HarvestContext, repositories: dict[str, FakeRepository]) -> None:
    everybody = threading.Barrier(HOSTS, action=context.stop.set)

    def meet(request: Request) -> None:
        if request.number == 2:
            everybody.wait(60)

    for repository in repositories.values():
        repository.on_request = meet
    outcomes = harvest_all(context)
    assert set(outcomes.values()) <= {"incomplete"}
    assert len(outcomes) == HOSTS
    context.stop.clear()
    assert set(harvest_all(context).values()) == {"complete"}
    assert sum(1 for _ in iter_records(context.catalogue)) == HOSTS * 12


def test_the_death_of_one_process_is_told_and_the_next_harvest_makes_it_good(
    context: HarvestContext, repositories: dict[str, FakeRepository]
) -> None:
    before = helpers()

    def kill_one() -> None:
        for helper in set(helpers()).difference(before):
            os.kill(helper, signal.SIGKILL)

    everybody = threading.Barrier(HOSTS, action=kill_one)

    def meet(request: Request) -> None:
        if request.number == 3:
            everybody.wait(60)

    for repository in repositories.values():
        repository.on_request = meet
    with pytest.raises(LumbungError, match="a harvesting process died"):
        harvest_all(context)
    with context.catalogue.read() as connection:
        newest = [list_runs(connection, member)[0].outcome for member in list_members(connection)]
    assert sorted(newest, key=str) == [None] * newest.count(None) + ["complete"] * newest.count("complete")
    assert newest.count(None) > 0
    assert newest.count("complete") > 0
    assert set(harvest_all(context).values()) <= {"complete", "nothing-new"}
    assert sum(1 for _ in iter_records(context.catalogue)) == HOSTS * 12


def test_a_killed_command_leaves_no_process_that_writes_on(
    context: HarvestContext, repositories: dict[str, FakeRepository], tmp_path: Path
) -> None:
    environment = os.environ | {
        "LUMBUNG_HOME": str(tmp_path),
        "LUMBUNG_CATALOGUE": context.settings.catalogue_url,
        "LUMBUNG_MAX_WAIT": "0.001",
    }
    command = [str(Path(sys.executable).with_name("lumbung")), "harvest", "--json"]
    reached, released = threading.Barrier(HOSTS + 1), threading.Event()

    def hold(request: Request) -> None:
        if request.number == 4:  # asked ahead: the first page is stored, the second is being
            reached.wait(60)
            released.wait(60)

    for repository in repositories.values():
        repository.on_request = hold
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=silent) as program:
        reached.wait(60)
        program.send_signal(signal.SIGKILL)
        assert program.stdout is not None
        assert program.stdout.read() == b""  # comes to its end when nobody holds the pipe any more
    released.set()
    stored = Counter(record.member for record in iter_records(context.catalogue))
    assert set(stored) == set(SLUGS)
    assert set(stored.values()) <= {5, 10}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert {run["member"]: run["added"] for run in runs} == {slug: 12 - stored[slug] for slug in SLUGS}
    assert {run["outcome"] for run in runs} == {"complete"}
