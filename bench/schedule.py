"""What a network of 30,000 members costs its worker and its operator: claims, pages of the status, an import."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from sqlalchemy import insert, update

from bench.figures import Figure, Report, percentile
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.care import Care
from harvester.catalogue.harvests import list_statuses
from harvester.catalogue.leases import claim_due, claim_host, release
from harvester.catalogue.members import Member, import_members
from harvester.catalogue.tables import harvests, members
from harvester.owners import new_owner

_HOSTS = 9000
_AT_ONCE = 16
_NOW = 1_790_000_000
_PAGE = 100


def measure(*, quick: bool) -> Report:
    """Processor time of each, as others share the machine."""
    size, rounds = (3000, 50) if quick else (30_000, 500)
    with (
        tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder,
        closing(open_catalogue(f"sqlite:///{Path(folder) / 'catalogue.sqlite'}")) as catalogue,
    ):
        imported = _import(catalogue, size)
        claims = _claims(catalogue, rounds)
        idle = _milliseconds(20, lambda: _claim(catalogue, _NOW - 10**6))
        pages = _milliseconds(20, lambda: _page(catalogue, size // 2))
        crowded = _crowded(catalogue)
    return Report(
        f"{size:,} members on {_HOSTS:,} hosts, half of them paused, each with two harvests; SQLite, synchronous=FULL. "
        f"A claim is made while {_AT_ONCE} other hosts are being asked, in a transaction of its own. Processor time.",
        (
            Figure("claim of the member that is due, median", median(claims), "ms", at_most=5),
            Figure("claim of the member that is due, 95 %", percentile(claims, 0.95), "ms"),
            Figure("claim where nobody is due", median(idle), "ms", at_most=5),
            Figure("claim where all are due on one host that is being asked", median(crowded), "ms"),
            Figure(f"statuses of {_PAGE} members in the middle of the list", median(pages), "ms", at_most=100),
            Figure("import of all", imported, "s", at_most=60),
        ),
    )


def _import(catalogue: Catalogue, size: int) -> float:
    begin = time.process_time()
    found = [
        Member(f"m{n}", f"Name {n * 7919 % size}", f"http://h{n % _HOSTS}.example/oai", care=Care(paused=n % 2 == 0))
        for n in range(size)
    ]
    with catalogue.write() as connection:
        import_members(connection, found, _NOW - size)
        took = time.process_time() - begin
        runs = [{"member_id": n % size + 1, "started_at": 1, "outcome": "complete"} for n in range(2 * size)]
        connection.execute(insert(harvests), runs)
        connection.execute(update(members).values(next_run=_NOW - members.c.id))
    return took


def _claims(catalogue: Catalogue, rounds: int) -> list[float]:
    held: list[tuple[str, str]] = []

    def claim() -> None:
        held.append(_claim(catalogue, _NOW))

    taken = []
    for _ in range(rounds):
        taken += _milliseconds(1, claim)
        if len(held) > _AT_ONCE:
            owner, host = held.pop(0)
            with catalogue.write() as connection:
                release(connection, owner, host)
    with catalogue.write() as connection:
        for owner, host in held:
            release(connection, owner, host)
    return taken[_AT_ONCE:]


def _claim(catalogue: Catalogue, now: int) -> tuple[str, str]:
    owner = new_owner()
    with catalogue.write() as connection:
        member = claim_due(connection, owner, now)
        if member is not None:  # as its harvest would, at its end
            connection.execute(update(members).where(members.c.id == member.id).values(next_run=now + 86400))
    return owner, member.host if member else ""


def _crowded(catalogue: Catalogue) -> list[float]:
    with catalogue.write() as connection:
        connection.execute(update(members).values(next_run=_NOW - members.c.id, host="one", paused=False))
        claim_host(connection, new_owner(), "one", _NOW)
    return _milliseconds(20, lambda: _claim(catalogue, _NOW))


def _page(catalogue: Catalogue, offset: int) -> None:
    with catalogue.read() as connection:
        assert len(list_statuses(connection, _PAGE, offset)) == _PAGE


def _milliseconds(times: int, work: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(times):
        begin = time.process_time()
        work()
        taken.append((time.process_time() - begin) * 1000)
    return taken
