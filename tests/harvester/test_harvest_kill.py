"""A harvest that is killed, at whatever moment and however often, ends where an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fakes.lumbung_process import Harvests, Plant
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Request
from sqlalchemy import select

from harvester.archive import get_page, open_archive
from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import Run, get_status, list_runs
from harvester.catalogue.members import Member, add_member, get_member
from harvester.catalogue.tables import forms, lists, pages, records

PREFIXES = ("oai_dc", "marc")
PAGE_SIZE = 30


ONCE = ("begin_harvest", "set_window", "finish_harvest")
OFTEN = ("start_pass", "put_page", "commit_page", "COMMIT", "finish_pass")


class Home:
    """A folder of state, and the processes that harvest into it one after the other."""

    def __init__(self, path: Path, base_url: str, url: str, harvests: Harvests) -> None:
        self.path = path
        self.url = url
        self.harvests = harvests
        path.mkdir()
        catalogue = open_catalogue(url)
        with catalogue.write() as connection:
            add_member(connection, Member("a", "A", base_url, PREFIXES), 1)
        catalogue.close()
        self.kills = 0

    def harvest(self, plant: Plant | None = None) -> bool:
        """True if the harvest came to its end; False if it was killed."""
        self.harvests.start(self.path, self.url, plant)
        return self.end()

    def end(self) -> bool:
        status = self.harvests.wait()
        assert status in {0, -signal.SIGKILL}, (self.path / "output").read_text()
        self.kills += status != 0
        return status == 0

    def state(self) -> dict[str, list[tuple[object, ...]]]:
        """What re-harvesters and readers may see of it: all but our datestamps and numbers."""
        catalogue = open_catalogue(self.url)
        with catalogue.read() as connection:
            found = connection.execute(
                select(records.c.identifier, records.c.public_id, records.c.deleted, records.c.source_datestamp)
            ).all()
            contents = connection.execute(
                select(records.c.identifier, forms.c.prefix, forms.c.hash, forms.c.deleted, forms.c.xml).join_from(
                    records, forms, forms.c.record_id == records.c.id
                )
            ).all()
            positions = connection.execute(
                select(lists.c.prefix, lists.c.watermark, lists.c.token, lists.c.pass_received)
            ).all()
        catalogue.close()
        rows = {"records": found, "forms": contents, "lists": positions}
        return {name: sorted(map(tuple, some)) for name, some in rows.items()}

    def runs(self) -> tuple[Run, ...]:
        catalogue = open_catalogue(self.url)
        with catalogue.read() as connection:
            found = list_runs(connection, get_member(connection, "a"), limit=10_000)
        catalogue.close()
        return found[::-1]

    def check_runs_and_archive(self) -> None:
        """Each run is honest about itself, and each catalogued page is in the archive with its records."""
        runs = self.runs()
        assert {run.outcome for run in runs} <= {"incomplete", "complete", "nothing-new"}
        assert [run.id for run in runs if run.outcome == "incomplete" and "was stopped" not in (run.error or "")] == []
        assert all(run.finished_at is not None for run in runs)
        catalogue = open_catalogue(self.url)
        archive = open_archive((self.path / "archive").as_uri())
        with catalogue.read() as connection:
            rows = connection.execute(select(pages)).all()
            stored = connection.execute(
                select(records.c.identifier, forms.c.page_id).join_from(
                    records, forms, forms.c.record_id == records.c.id
                )
            ).all()
            status = get_status(connection, get_member(connection, "a"))
            deleted = connection.execute(select(records.c.deleted)).scalars().all()
        catalogue.close()
        assert (status.records, status.deleted) == (deleted.count(False), deleted.count(True))
        for run in runs:
            own = [row for row in rows if row.harvest_id == run.id]
            assert (run.pages, run.records) == (len(own), sum(row.records for row in own))
        assert sum(run.added for run in runs) == len({identifier for identifier, _ in stored})
        bodies = {row.id: get_page(archive, row.archive_key) for row in rows}
        assert all(len(bodies[row.id]) == row.size for row in rows)
        assert all(f">{identifier}<".encode() in bodies[page_id] for identifier, page_id in stored)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@dataclass
class Scene:
    """A repository, a home that is disturbed, and one that is not."""

    repository: FakeRepository
    killed: Home
    quiet: Home
    stage: int = 0

    def change(self) -> None:
        """The repository as it is for the next harvest: changed, deleted, revived and new records."""
        self.stage += 1
        stamp = f"2024-0{self.stage}-10T00:00:00Z"
        self.repository.now = f"2024-0{self.stage}-20T00:00:00Z"
        first = (self.stage - 1) * 60
        more = 240 if self.stage == 1 else 60
        new = [FakeRecord(f"oai:a:{first + n:04}", stamp, "New", sets=("s",)) for n in range(more)]
        if self.stage > 1:
            old = list(self.repository.records.values())
            changed = [replace(r, datestamp=stamp, title=f"In {self.stage}") for r in old[:50]]
            deleted = [replace(r, datestamp=stamp, deleted_in=PREFIXES) for r in old[50:75]]
            half = [replace(r, datestamp=stamp, deleted_in=PREFIXES[:1]) for r in old[75:90]]
            revived = [replace(r, datestamp=stamp, deleted_in=()) for r in old[90:] if r.deleted_in]
            self.repository.put(*changed, *deleted, *half, *revived)
            new = [replace(r, identifier=f"oai:a:{self.stage}-{n}") for n, r in enumerate(new)]
        self.repository.put(*new)

    def change_one(self, number: int) -> None:
        """Something changes in the middle of a harvest, too."""
        names = sorted(self.repository.records)
        name = names[number * 37 % len(names)]
        stamp = f"2024-0{self.stage}-20T01:{number:02}:00Z"
        self.repository.put(replace(self.repository.records[name], datestamp=stamp, title=f"Meanwhile {number}"))

    def assert_alike(self) -> None:
        """Once nothing changes any more, and nothing is killed."""
        assert self.killed.harvest()
        assert self.quiet.harvest()
        self.repository.requests.clear()
        ours, theirs = self.killed.state(), self.quiet.state()
        for part, rows in theirs.items():
            assert [row for row in ours[part] if row not in rows] == []
            assert [row for row in rows if row not in ours[part]] == []


@pytest.fixture(scope="module")
def harvests() -> Iterator[Harvests]:
    with Harvests() as running:
        yield running


@pytest.fixture
def scene(
    provider: FakeProvider, tmp_path: Path, new_catalogue: Callable[[], str], harvests: Harvests
) -> Iterator[Scene]:
    repository = FakeRepository(page_size=PAGE_SIZE)
    repository.prefixes = PREFIXES
    url = provider.serve(repository, f"/{tmp_path.name}")
    killed, quiet = (Home(tmp_path / name, url, new_catalogue(), harvests) for name in ("killed", "quiet"))
    made = Scene(repository, killed, quiet)
    yield made
    made.killed.check_runs_and_archive()


def test_killed_before_and_after_every_step(scene: Scene) -> None:
    often = [(step, nth) for step in OFTEN for nth in (1, 2)]
    plants = [
        Plant(step, nth, before) for step, nth in [*often, *((step, 1) for step in ONCE)] for before in (True, False)
    ]
    plants += [Plant("COMMIT", nth, before=True) for nth in (3, 4, 5)] + [Plant("put_page", 4), Plant("commit_page", 3)]
    random.Random(1).shuffle(plants)
    per_stage = len(plants) // 3 + 1
    for start in range(0, len(plants), per_stage):
        scene.change()
        for number, plant in enumerate(plants[start : start + per_stage]):
            scene.killed.harvest(plant)
            scene.change_one(number)
        assert scene.killed.harvest()
        scene.assert_alike()
    assert scene.killed.kills >= 25


def test_killed_at_every_page(scene: Scene) -> None:
    """By every request of the lists in turn: as it comes in, or some milliseconds after it was answered."""
    chance = random.Random(2)
    for _ in range(10):
        scene.change()
        # Of each process's requests the first is Identify. The fourth is after a page of the list that it goes on
        # with, whatever came before: each second process moves on, the others may not.
        for turn in range(60):
            if not kill_at_request(scene, 3 + turn % 2, chance.random() / 40 if turn % 3 else None):
                break
            scene.change_one(turn)
        else:
            pytest.fail("killed again and again, it never came to its end")
        scene.assert_alike()
        if scene.killed.kills >= 15:
            return
    pytest.fail("the processes were too fast to be killed often enough")


def kill_at_request(scene: Scene, number: int, after: float | None) -> bool:
    """Whether the process was killed by that request: False if it came to its end without it."""
    begun = len(scene.repository.requests)
    timers: list[threading.Timer] = []
    pids: list[int] = []
    started = threading.Event()

    def kill() -> None:
        with suppress(ProcessLookupError):  # it was faster
            os.kill(pids[0], signal.SIGKILL)

    def kill_at(request: Request) -> None:
        started.wait()
        if request.number == begun + number:
            timers.append(threading.Timer(after or 0, kill))
            timers[-1].start()
            if after is None:
                timers[-1].join()

    scene.repository.on_request = kill_at
    pids.append(scene.killed.harvests.start(scene.killed.path, scene.killed.url, None))
    started.set()
    ended = scene.killed.end()
    for timer in timers:
        timer.cancel()
        timer.join()
    scene.repository.on_request = lambda _request: None
    return not ended


def test_the_command_itself_killed_at_random_moments(scene: Scene, tmp_path: Path) -> None:
    """The real program, in a session of its own; its last run tells the truth about itself."""
    chance = random.Random(3)
    kept = {"LUMBUNG_HOME": str(scene.killed.path), "LUMBUNG_CATALOGUE": scene.killed.url}
    environment = os.environ | kept | {"LUMBUNG_MAX_WAIT": "0.001"}
    command = [str(Path(sys.executable).with_name("lumbung")), "harvest", "--json"]
    asked = threading.Event()
    scene.repository.on_request = lambda _request: asked.set()
    scene.change()
    for _ in range(3):
        asked.clear()
        with ExitStack() as stack:
            program = stack.enter_context(
                subprocess.Popen(
                    command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
            assert asked.wait(60)
            timer = threading.Timer(chance.random() / 10, program.kill)
            timer.start()
            scene.killed.kills += program.wait() == -signal.SIGKILL
            timer.cancel()
    assert scene.killed.kills > 0
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["outcome"] in {"complete", "nothing-new"}
    scene.assert_alike()
