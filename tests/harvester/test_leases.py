"""A host is one owner's turn at a time; a dead owner's turn is free at once, and no run stays open under it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import insert, select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.care import Care
from harvester.catalogue.commit import Fetched, commit_failed_page
from harvester.catalogue.harvests import KILLED, begin_harvest, get_run
from harvester.catalogue.jobs import claim_jobs, finish_job, renew_job
from harvester.catalogue.leases import (
    LEASE_SECONDS,
    claim_due,
    claim_host,
    end_stalled,
    find_open_run,
    release,
    renew,
    settle_failure,
)
from harvester.catalogue.members import Member, add_member, ask_for_run, get_member, import_members, mark_removed
from harvester.catalogue.tables import harvests, jobs, leases, members
from harvester.errors import ConfigError, HarvestSupersededError
from harvester.owners import is_gone, new_owner
from harvester.schedule import spread_of

NOW = 1_790_000_000  # 2026-09-21 21:13 in Jakarta


def add(catalogue: Catalogue, slug: str, host: str = "", due: int | None = 0, care: Care | None = None) -> Member:
    with catalogue.write() as connection:
        url = f"http://{host or slug}.example/oai"
        member = add_member(connection, Member(slug, slug, url, care=care or Care()), 1)
        connection.execute(update(members).where(members.c.slug == slug).values(next_run=due))
    return member


def claim(catalogue: Catalogue, now: int = NOW, owner: str | None = None) -> str | None:
    with catalogue.write() as connection:
        member = claim_due(connection, owner or new_owner(), now)
    return member.slug if member else None


def owners(catalogue: Catalogue) -> dict[str, str]:
    with catalogue.read() as connection:
        return {row.host: row.owner for row in connection.execute(select(leases))}


def next_run(catalogue: Catalogue, slug: str) -> int | None:
    with catalogue.read() as connection:
        return connection.execute(select(members.c.next_run).where(members.c.slug == slug)).scalar_one()


@pytest.fixture
def dead() -> str:
    """The name of an owner whose process has ended."""
    code = "from harvester.owners import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def alive() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The name of an owner whose process lives, and the process."""
    code = "from harvester.owners import new_owner; print(new_owner(), flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        process.kill()


def test_who_waits_longest_is_claimed_first_and_once(catalogue: Catalogue) -> None:
    for slug, due in (("late", NOW - 1), ("early", NOW - 9), ("never", None), ("later", NOW + 1), ("now", NOW)):
        add(catalogue, slug, due=due)
    assert [claim(catalogue) for _ in range(5)] == ["never", "early", "late", "now", None]
    assert claim(catalogue, NOW + 1) == "later"


def test_a_paused_or_removed_member_is_not_claimed(catalogue: Catalogue) -> None:
    add(catalogue, "paused", care=Care(paused=True))
    gone = add(catalogue, "gone")
    with catalogue.write() as connection:
        mark_removed(connection, gone, 2)
    assert claim(catalogue) is None


def test_members_of_one_host_are_claimed_in_turn(catalogue: Catalogue) -> None:
    for number, slug in enumerate(("a1", "a2", "b1")):
        add(catalogue, slug, host=slug[0], due=number)
    owner = new_owner()
    assert (claim(catalogue, owner=owner), claim(catalogue), claim(catalogue)) == ("a1", "b1", None)
    with catalogue.write() as connection:
        release(connection, owner, "a.example")
        connection.execute(update(members).where(members.c.slug == "a1").values(next_run=NOW + 9))
    assert claim(catalogue) == "a2"


def test_one_whose_window_is_closed_is_due_when_it_opens(catalogue: Catalogue) -> None:
    night = Care(window="23:00-04:00")
    for number in range(20):
        add(catalogue, f"night-{number}", due=None if number % 2 else 5, care=night)
    add(catalogue, "day", due=NOW, care=Care(window="09:00-22:00"))
    assert claim(catalogue) == "day"
    assert claim(catalogue) is None
    opens = Care(window="23:00-04:00").schedule.find_window(NOW)
    assert opens is not None
    dues = [next_run(catalogue, f"night-{number}") or 0 for number in range(20)]
    assert all(opens[0] <= due < opens[0] + 3600 for due in dues)
    assert len(set(dues)) == 20
    assert claim(catalogue, max(dues)) is not None


def test_a_turn_that_is_renewed_lasts_and_one_that_is_not_runs_out(catalogue: Catalogue) -> None:
    add(catalogue, "a")
    first, second = "elsewhere:1:-5-aa", new_owner()  # of another machine: nobody can see whether it lives
    assert claim(catalogue, NOW, first) == "a"
    with catalogue.write() as connection:
        renew(connection, first, "a.example", NOW + LEASE_SECONDS - 1)
    assert claim(catalogue, NOW + LEASE_SECONDS) is None
    assert claim(catalogue, NOW + 2 * LEASE_SECONDS - 1, second) == "a"
    with catalogue.write() as connection:
        with pytest.raises(HarvestSupersededError):
            renew(connection, first, "a.example", NOW)
        release(connection, first, "a.example")
    assert owners(catalogue) == {"a.example": second}


def test_a_dead_processs_turn_is_free_at_once_and_its_run_is_ended(
    catalogue: Catalogue, alive: tuple[str, subprocess.Popen[str]]
) -> None:
    owner, process = alive
    member = add(catalogue, "a")
    assert claim(catalogue, owner=owner) == "a"
    with catalogue.write() as connection:
        run_id = begin_harvest(connection, member, NOW)
        assert claim_host(connection, new_owner(), "a.example", NOW) == owner
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not buried by its parent
    assert is_gone(owner)
    assert claim(catalogue) == "a"
    with catalogue.read() as connection:
        run = get_run(connection, run_id)
    assert (run.outcome, run.error, run.finished_at) == ("incomplete", KILLED, NOW)


def test_a_pid_that_was_given_again_is_not_the_owner_and_another_machine_s_is_not_judged(dead: str) -> None:
    host, pid, rest = dead.rsplit(":", 2)
    place, started, nonce = rest.split("-")
    assert is_gone(dead)
    assert not is_gone(f"{host}:{pid}:otherplace-{started}-{nonce}")
    mine = new_owner()
    host, pid, rest = mine.rsplit(":", 2)
    place, started, nonce = rest.split("-")
    assert not is_gone(mine)
    assert is_gone(f"{host}:{pid}:{place}-{int(started) - 1}-{nonce}")
    assert new_owner() != mine


def test_a_run_with_no_progress_has_failed_and_what_it_writes_later_is_refused(catalogue: Catalogue) -> None:
    stuck, busy = add(catalogue, "stuck"), add(catalogue, "busy")
    with catalogue.write() as connection:
        for member in (stuck, busy):
            assert claim_host(connection, new_owner(), member.host, NOW) is None
        runs = {member.slug: begin_harvest(connection, member, NOW) for member in (stuck, busy)}
        connection.execute(update(harvests).where(harvests.c.id == runs["busy"]).values(heartbeat=NOW + 1))
        assert end_stalled(connection, NOW + 599, 600) == ()
        assert [member.slug for member in end_stalled(connection, NOW + 600, 600)] == ["stuck"]
        run = get_run(connection, runs["stuck"])
        assert (run.outcome, run.error) == (
            "failed",
            "no progress for 10 minutes; the next harvest goes on from the last page",
        )
        assert find_open_run(connection, stuck) is None
        assert find_open_run(connection, busy) == runs["busy"]
    assert list(owners(catalogue)) == ["busy.example"]
    assert next_run(catalogue, "stuck") == Care().schedule.next_run(NOW + 600, failures=1, spread=spread_of("stuck"))
    with pytest.raises(HarvestSupersededError):
        commit_failed_page(
            catalogue, harvest_id=runs["stuck"], list_id=None, fetched=Fetched("k", "u", 200, 1, NOW), error="late"
        )


def test_a_run_that_was_asked_for_follows_one_that_stalled(catalogue: Catalogue) -> None:
    member = add(catalogue, "a")
    with catalogue.write() as connection:
        assert claim_host(connection, new_owner(), member.host, NOW) is None
        begin_harvest(connection, member, NOW)
        assert ask_for_run(connection, member, NOW + 5) == NOW + 5
        assert end_stalled(connection, NOW + 600, 600) == (member,)
    assert next_run(catalogue, "a") == NOW + 5


def test_failures_in_a_row_make_the_pauses_grow(catalogue: Catalogue) -> None:
    member = add(catalogue, "a")
    with catalogue.write() as connection:
        pauses = [settle_failure(connection, member, NOW) - NOW for _ in range(12)]
    assert pauses == sorted(pauses)
    assert 15 * 60 <= pauses[0] < 20 * 60
    assert pauses[-1] == 86400


def test_run_now_is_due_at_once_or_when_the_window_opens(catalogue: Catalogue) -> None:
    always = add(catalogue, "a", due=NOW + 10**6)
    nightly = add(catalogue, "b", due=NOW + 10**6, care=Care(window="23:00-04:00"))
    paused = add(catalogue, "c", care=Care(paused=True))
    with catalogue.write() as connection:
        assert ask_for_run(connection, always, NOW) == NOW
        assert ask_for_run(connection, nightly, NOW) == nightly.care.schedule.open_from(NOW) > NOW
        with pytest.raises(ConfigError, match="c is paused"):
            ask_for_run(connection, paused, NOW)
    assert claim(catalogue) == "a"


def test_another_schedule_never_makes_a_member_due_later(catalogue: Catalogue) -> None:
    member = add(catalogue, "a", due=NOW + 5 * 86400)
    with catalogue.write() as connection:
        for rule, due in (("6h", 6 * 3600), ("30d", 6 * 3600)):
            import_members(connection, [Member("a", "a", member.base_url, care=Care(rule=rule))], NOW)
            found = connection.execute(select(members.c.next_run)).scalar_one()
            assert NOW + due <= found <= NOW + due * 1.1
        import_members(connection, [Member("a", "a", member.base_url, care=Care(window="23:00-04:00"))], NOW)
        found = connection.execute(select(members.c.next_run)).scalar_one()
        assert get_member(connection, "a").care.schedule.is_open(found)


def claim_many(url: str, start: object, found: object) -> None:
    start.wait()  # type: ignore[attr-defined]  # a barrier
    with closing(open_catalogue(url)) as catalogue:
        while slug := claim(catalogue):
            found.put((os.getpid(), slug))  # type: ignore[attr-defined]  # a queue
        found.put((os.getpid(), None))  # type: ignore[attr-defined]  # as above
        found.close()  # type: ignore[attr-defined]  # as above
        found.join_thread()  # type: ignore[attr-defined]  # as above
        start.wait()  # type: ignore[attr-defined]  # nobody dies before all have claimed


def test_processes_that_claim_at_once_get_different_hosts(catalogue: Catalogue, catalogue_url: str) -> None:
    for number in range(60):
        add(catalogue, f"m{number}", host=f"h{number % 40}")
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(3), context.Queue()
    arguments = (catalogue_url, start, found)
    workers = [context.Process(target=claim_many, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    claimed, left = [], 3
    while left:
        _, slug = found.get(timeout=60)
        left -= slug is None
        claimed += [slug] if slug else []
    for worker in workers:
        worker.join()
    hosts = [int(slug[1:]) % 40 for slug in claimed]
    assert sorted(hosts) == list(range(40))


def test_a_job_is_done_by_one_at_a_time_and_is_due_again_later(catalogue: Catalogue, dead: str) -> None:
    one, two = new_owner(), new_owner()
    with catalogue.write() as connection:
        assert claim_jobs(connection, ["index", "mail"], one, NOW) == ("index", "mail")
        assert claim_jobs(connection, ["index", "mail"], two, NOW) == ()
        finish_job(connection, "index", two, NOW, next_run=0, error="not mine")
        assert claim_jobs(connection, ["index"], two, NOW + 1) == ()
        finish_job(connection, "index", one, NOW, next_run=NOW + 60, error="broken")
        assert claim_jobs(connection, ["index"], two, NOW + 59) == ()
        assert claim_jobs(connection, ["index"], two, NOW + 60) == ("index",)
        row = connection.execute(select(jobs).where(jobs.c.name == "index")).one()
        assert (row.last_run, row.error, row.owner) == (NOW, "broken", two)
        renew_job(connection, "mail", one, NOW + LEASE_SECONDS)
        connection.execute(insert(jobs).values(name="killed", next_run=NOW, owner=dead, until=NOW + 10**6))
        assert claim_jobs(connection, ["killed"], two, NOW) == ("killed",)
