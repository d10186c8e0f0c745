"""The catalogue's server stops, crashes or stands still in the middle of the work, and nothing is lost by it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Request
from services.postgresql import OwnServer, running
from sqlalchemy import select
from structlog.testing import capture_logs

from harvester.archive import open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.harvests import list_runs
from harvester.catalogue.members import Member, add_member, get_member, list_members
from harvester.catalogue.records import iter_records
from harvester.catalogue.tables import jobs, leases, pages
from harvester.errors import CatalogueUnavailableError
from harvester.run import HarvestContext
from harvester.settings import load_settings
from harvester.side_by_side import harvest_members
from harvester.worker import Job, work

pytestmark = pytest.mark.service
PAGES = 12


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """One whose disk is waited for."""
    with running() as own:
        yield own


@pytest.fixture
def catalogue(server: OwnServer) -> Iterator[Catalogue]:
    with closing(open_catalogue(server.new_catalogue())) as opened:
        yield opened


class Scene:
    """Two members in twelve pages each, and something that happens to the server as one of them is asked."""

    def __init__(self, catalogue: Catalogue, providers: list[FakeProvider], folder: Path) -> None:
        self.reached, self.over = threading.Event(), threading.Event()
        self.repositories = {}
        settings = load_settings(home=folder, max_wait=0.001)
        self.context = HarvestContext(settings, catalogue, open_archive((folder / "archive").as_uri()))
        for slug, provider in zip("ab", providers, strict=True):
            repository = FakeRepository([FakeRecord(f"oai:{slug}:{n:03}") for n in range(5 * PAGES)], page_size=5)
            self.repositories[slug] = repository
            with catalogue.write() as connection:
                add_member(connection, Member(slug, slug, provider.serve(repository, f"/{slug}")), 1)
        self.repositories["a"].on_request = self._on_request

    def _on_request(self, request: Request) -> None:
        if request.number == 6:
            self.reached.set()
            assert self.over.wait(60)

    def during(self, harvest: Callable[[], object], outage: Callable[[], object]) -> list[dict[str, object]]:
        """What was logged of a harvest that an outage came into, and that ended by itself afterwards."""
        with capture_logs() as logs:
            harvesting = threading.Thread(target=harvest)
            harvesting.start()
            assert self.reached.wait(60)
            outage()
            harvesting.join(100)
        assert not harvesting.is_alive()
        return [dict(log) for log in logs]

    def check(self) -> None:
        """Everything is there, once, and each page of the catalogue is in the archive."""
        catalogue = self.context.catalogue
        found = [record.identifier for record in iter_records(catalogue)]
        assert sorted(found) == [f"oai:{slug}:{n:03}" for slug in "ab" for n in range(5 * PAGES)]
        with catalogue.read() as connection:
            assert connection.execute(select(leases)).all() == []
            for slug in "ab":
                runs = list_runs(connection, get_member(connection, slug))
                assert runs[0].outcome in {"complete", "nothing-new"}
                assert {run.outcome for run in runs[1:]} <= {"incomplete"}
                assert sum(run.added for run in runs) == 5 * PAGES
                assert sum(run.pages for run in runs) >= PAGES
            keys = connection.execute(select(pages.c.archive_key)).scalars().all()
        assert len(keys) == len(set(keys))
        for repository in self.repositories.values():
            # Three requests more than an undisturbed harvest: two runs say Identify, and one page came to nobody.
            assert len(repository.requests) <= PAGES + 1 + 3


@pytest.fixture
def scene(catalogue: Catalogue, tmp_path: Path) -> Iterator[Scene]:
    with FakeProvider("127.0.4.1") as one, FakeProvider("127.0.4.2") as other:
        yield Scene(catalogue, [one, other], tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("command", ["work", "harvest"])
def test_a_server_that_is_stopped_or_crashes_is_waited_for(
    command: str, how: signal.Signals, server: OwnServer, scene: Scene
) -> None:
    done: list[str] = []
    job = Job("count", 60, lambda context: done.append(str(len(list(iter_records(context.catalogue))))))

    def harvest() -> None:
        if command == "work":
            work(scene.context, once=True, jobs=[job])
            return
        with scene.context.catalogue.read() as connection:
            chosen = list_members(connection)
        assert {run.outcome for _, run in harvest_members(scene.context, chosen)} <= {"complete", "nothing-new"}

    def outage() -> None:
        server.stop(how)
        scene.over.set()
        time.sleep(2)
        server.start()

    logs = scene.during(harvest, outage)
    assert "waiting for the catalogue" in {log["event"] for log in logs}
    assert not [log for log in logs if log.get("exc_info")]
    scene.check()
    if command == "work":
        assert done == [str(2 * 5 * PAGES)]
        with scene.context.catalogue.read() as connection:
            assert connection.execute(select(jobs.c.error).where(jobs.c.name == "count")).scalar_one() is None


def test_a_server_that_stands_still_for_a_while_delays_and_breaks_nothing(server: OwnServer, scene: Scene) -> None:
    def outage() -> None:
        with server.paused():
            scene.over.set()
            time.sleep(3)

    scene.during(lambda: work(scene.context, once=True), outage)
    scene.check()
    assert [len(repository.requests) for repository in scene.repositories.values()] == [PAGES + 1] * 2


def test_a_server_that_stands_still_is_given_up_after_a_while_and_taken_up_again(server: OwnServer) -> None:
    with closing(open_catalogue(server.new_catalogue(), patience=2)) as catalogue:
        for use in (catalogue.read, catalogue.write):
            with server.paused():
                begun = time.monotonic()
                with pytest.raises(CatalogueUnavailableError), use():
                    pass
                assert time.monotonic() - begun < 8
            with use() as connection:
                assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_statement_that_takes_too_long_is_ended_and_its_connection_goes_on(server: OwnServer) -> None:
    with closing(open_catalogue(server.new_catalogue(), patience=1)) as catalogue, catalogue.read():
        with pytest.raises(Exception, match="statement timeout"), catalogue.read() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(30)")
        with catalogue.read() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_connection_that_broke_between_two_uses_is_not_noticed(server: OwnServer, catalogue: Catalogue) -> None:
    with catalogue.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    server.stop()
    server.start()
    with catalogue.write() as connection:
        add_member(connection, Member("a", "a", "http://a.example/oai"), 1)


def test_a_writer_that_stands_still_is_ended_and_the_others_go_on(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueUnavailableError), catalogue.write() as connection:  # noqa: PT012 - of the whole block
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "1min"
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 500")
        with catalogue.write() as other:  # which waits for the first
            add_member(other, Member("a", "a", "http://a.example/oai"), 1)
        connection.exec_driver_sql("SELECT 1")
    with catalogue.read() as connection:
        assert get_member(connection, "a").name == "a"
