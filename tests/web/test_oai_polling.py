"""Who polls with `from` = the last responseDate misses nothing, whatever is written and whoever is killed."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fakes.lumbung_process import Harvests, Plant
from fakes.provider import FakeProvider, FakeRecord, FakeRepository
from flask import Flask
from sickle import Sickle
from sickle.oaiexceptions import CannotDisseminateFormat, NoRecordsMatch
from werkzeug.serving import make_server

from harvester.catalogue import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.records import iter_records
from harvester.datestamps import format_datestamp, from_epoch
from harvester.settings import Settings
from web.app import create_app

_MEMBERS = 3
_RECORDS = 60
_ROUNDS = 3


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address at which the app answers, in threads of this process."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/oai"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["lumbung"].close()


class Poller:
    """A re-harvester: what it knows after each poll."""

    def __init__(self, url: str, prefix: str, **chosen: str) -> None:
        self.sickle = Sickle(url)
        self.arguments = {"metadataPrefix": prefix, **chosen}
        self.state: dict[str, tuple[str, bool]] = {}
        self.polls = 0

    def poll(self) -> None:
        """Everything that changed since the poll before is known."""
        try:
            found = self.sickle.ListRecords(**self.arguments)
        except (NoRecordsMatch, CannotDisseminateFormat):  # the latter as long as no member gave anything in it
            return
        for record in found:
            self.state[record.header.identifier] = (record.header.datestamp, record.header.deleted)
        # of the last part: harvesters take either
        self.arguments["from"] = found.oai_response.xml.findtext("{*}responseDate")
        self.polls += 1


def _now() -> str:
    return format_datestamp(datetime.now(UTC))


def _change(repository: FakeRepository, source: random.Random, number: int) -> None:
    """Some records change, go, come back, and come."""
    for at in source.sample(range(_RECORDS), 15):
        gone = ("oai_dc",) if source.random() < 0.3 else ()
        repository.put(FakeRecord(f"oai:r:{at}", _now(), f"Title {number}", deleted_in=gone))
    repository.put(FakeRecord(f"oai:r:new-{number}", _now(), "New"))


def _write(home: Path, url: str, repository: FakeRepository, slug: str, seed: int, *, kill: bool) -> None:
    source = random.Random(seed)
    with Harvests() as harvests:
        for number in range(_ROUNDS):
            step = source.choice(("COMMIT", "commit_page", "finish_pass"))
            plant = Plant(step, source.randint(1, 6), before=source.random() < 0.5) if kill else None
            harvests.start(home, url, plant, slug)
            assert harvests.wait() in {0, 1, -signal.SIGKILL}
            _change(repository, source, number)
        harvests.start(home, url, None, slug)
        assert harvests.wait() == 0, (home / "output").read_text()[-2000:]


def test_pollers_end_with_exactly_what_the_catalogue_holds(catalogue_url: str, tmp_path: Path) -> None:
    """Of the writers one is left in peace, the others are killed now and then."""
    settings = Settings(home=tmp_path, catalogue=catalogue_url, base_url="http://library.test", oai_part=13)
    catalogue = open_catalogue(catalogue_url)
    with ExitStack() as stack:
        writers = []
        for at in range(_MEMBERS):
            repository = FakeRepository(
                (FakeRecord(f"oai:r:{number}", "2024-01-01T00:00:00Z") for number in range(_RECORDS)), page_size=12
            )
            provider = stack.enter_context(FakeProvider(f"127.0.0.{at + 2}"))
            with catalogue.write() as connection:
                add_member(connection, Member(f"m{at}", f"M{at}", provider.serve(repository)), 1)
            arguments = (tmp_path, catalogue_url, repository, f"m{at}", at)
            writers.append(threading.Thread(target=_write, args=arguments, kwargs={"kill": at > 0}))
        url = stack.enter_context(served(create_app(settings)))
        pollers = [Poller(url, "oai_dc"), Poller(url, "source_oai_dc"), Poller(url, "oai_dc", set="member:m1")]
        over = threading.Event()

        def poll(poller: Poller) -> None:
            while not over.wait(0.05):
                poller.poll()

        threads = [threading.Thread(target=poll, args=(poller,)) for poller in pollers]
        for thread in (*threads, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        over.set()
        for thread in threads:
            thread.join()
        # A commit just after a second was closed bears the next one, and is given once that has come.
        newest = max(record.datestamp for record in iter_records(catalogue))
        while catalogue.now() < newest:
            time.sleep(0.05)
        for poller in pollers:
            poller.poll()
        held = {
            f"oai:library.test:{record.member}/{record.id}": (
                format_datestamp(from_epoch(record.datestamp)),
                record.deleted,
            )
            for record in iter_records(catalogue)
        }
        catalogue.close()
        # What went before anybody saw it, since the harvest was killed, leaves no row.
        assert len(held) > _MEMBERS * _RECORDS * 0.8
        assert any(deleted for _, deleted in held.values())
        of_m1 = {name: state for name, state in held.items() if ":m1/" in name}
        for poller, wanted in zip(pollers, (held, held, of_m1), strict=True):
            assert poller.polls > 3
            assert poller.state == wanted
