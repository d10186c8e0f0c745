"""Whoever comes back with `from` = our last answer's second misses nothing, whatever is being written."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.clock import close_second, take_datestamp
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import clock, records
from harvester.oai.page import Header, Page, Record

PAGES, PER_PAGE, WRITERS, READERS = 30, 3, 3, 2


def test_a_commit_never_gets_a_closed_second(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        assert take_datestamp(connection, 100) == 100
        assert close_second(connection, 100) == 100
        assert take_datestamp(connection, 100) == 101
        assert take_datestamp(connection, 100) == 101
        assert close_second(connection, 105) == 105
        assert take_datestamp(connection, 105) == 106
        assert take_datestamp(connection, 110) == 110


def test_a_clock_that_goes_back_a_little_reuses_nothing(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        assert close_second(connection, 1000) == 1000
        assert take_datestamp(connection, 1000) == 1001
        assert close_second(connection, 990) == 1000
        assert take_datestamp(connection, 990) == 1001
        assert close_second(connection, 1001) == 1001


def test_a_clock_that_goes_back_for_long_hides_nothing(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        assert take_datestamp(connection, 1_000_000) == 1_000_000
        assert close_second(connection, 5) == 1_000_000
        assert take_datestamp(connection, 6) == 1_000_001
        assert close_second(connection, 7) == 1_000_001


def test_a_commit_beside_a_close_does_not_run_ahead_of_the_clock(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        for _ in range(50):
            take_datestamp(connection, 100)
            close_second(connection, 100)
        assert take_datestamp(connection, 100) == 101


def test_an_undone_close_is_not_closed(catalogue: Catalogue) -> None:
    def close_and_fail() -> None:
        with catalogue.write() as connection:
            close_second(connection, 500)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        close_and_fail()
    with catalogue.write() as connection:
        assert take_datestamp(connection, 100) == 100


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("cw"), st.integers(0, 3000)), max_size=40))
def test_every_commit_is_in_exactly_one_window(steps: list[tuple[str, int]], catalogue: Catalogue) -> None:
    given_, seen, until = [], [], 0
    with catalogue.write() as connection:
        connection.execute(update(clock).values(closed=0, last=0))
        for step, now in [*steps, ("c", 10_000)]:
            if step == "w":
                given_.append(take_datestamp(connection, now))
                assert given_[-1] > until
            else:
                previous, until = until, close_second(connection, now)
                assert until >= previous
                seen += [stamp for stamp in given_ if previous < stamp <= until]
    assert sorted(seen) == sorted(given_) == given_


def write_pages(url: str, writer: int, now: str) -> None:
    """Records written once each, and record 0 of the writer anew with each page."""
    catalogue = open_catalogue(url, fast_clock(writer, now))
    member = Member(f"m{writer}", "M", "http://x.example/", id=0)
    with catalogue.write() as connection:
        member = add_member(connection, member, 0)
        harvest_id = begin_harvest(connection, member, 0)
        (state,) = get_lists(connection, harvest_id)
    chance = random.Random(writer)
    for number in range(PAGES):
        time.sleep(chance.random() / 50)  # SQLite's waiting processes poll: without a gap the readers hardly get in
        names = ["changing", *(f"{number}-{i}" for i in range(PER_PAGE))]
        arrived = tuple(
            Record(Header(name, ""), b"<a/>", f"{name}{number if name == 'changing' else ''}".ljust(16)[:16].encode())
            for name in names
        )
        commit_page(
            catalogue,
            harvest_id=harvest_id,
            member=member,
            list_id=state.id,
            prefix="oai_dc",
            page=Page("ListRecords", "", arrived),
            fetched=Fetched("k", "u", 200, 1, 1),
        )
    catalogue.close()


def fast_clock(seed: int, now: str) -> Callable[[], float]:
    """A clock whose seconds are milliseconds, the same in all processes, so that a test sees many go by."""
    chance = random.Random(seed)
    jumps = (0, 0, 0, 1, 2, -1, -3, -300) if now == "jumps" else (0,)
    return lambda: (time.time() - 1.7e9) * 1000 + chance.choice(jumps)


def read_windows(url: str, reader: int, now: str, done: Event, found: Queue[list[list[tuple[int, str, int]]]]) -> None:
    """Comes back again and again, each time for what is later than the last answer."""
    catalogue = open_catalogue(url, fast_clock(100 + reader, now))
    windows, until = [], 0
    last = False
    chance = random.Random(reader)
    while not last:
        last = done.wait(chance.random() / 50)
        previous = until
        with catalogue.write() as connection:
            until = close_second(connection, catalogue.now() + (10**9 if last else 0))
        with catalogue.read() as connection:
            window = select(records.c.member_id, records.c.identifier, records.c.datestamp).where(
                records.c.datestamp > previous, records.c.datestamp <= until
            )
            rows = connection.execute(window).all()
            windows.append([(row.member_id, row.identifier, row.datestamp) for row in rows])
    catalogue.close()
    found.put(windows)


@pytest.mark.parametrize("now", ["steady", "jumps"])
def test_readers_see_everything_while_several_processes_write(now: str, catalogue_url: str) -> None:
    url = catalogue_url
    context = multiprocessing.get_context("fork")
    done, found = context.Event(), context.Queue()
    readers = [context.Process(target=read_windows, args=(url, n, now, done, found)) for n in range(READERS)]
    writers = [context.Process(target=write_pages, args=(url, n, now)) for n in range(WRITERS)]
    for process in readers + writers:
        process.start()
    for writer in writers:
        writer.join()
    done.set()
    answers = [found.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert {process.exitcode for process in readers + writers} == {0}
    catalogue = open_catalogue(url)
    with catalogue.read() as connection:
        rows = connection.execute(select(records.c.member_id, records.c.identifier, records.c.datestamp)).all()
    catalogue.close()
    everything = {(row.member_id, row.identifier): row.datestamp for row in rows}
    assert len(everything) == WRITERS * (PAGES * PER_PAGE + 1)
    for windows in answers:
        newest = {(member, identifier): stamp for window in windows for member, identifier, stamp in window}
        assert newest == everything
        times = Counter((member, identifier) for window in windows for member, identifier, _ in window)
        assert {name for (_, name), count in times.items() if count > 1} <= {"changing"}
        assert all(len({key[:2] for key in window}) == len(window) for window in windows)
    assert max(sum(1 for window in windows if window) for windows in answers) > 3
