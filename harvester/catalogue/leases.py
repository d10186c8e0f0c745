"""Who asks which host: one turn at a time over all members, threads, processes and machines.

A turn is a row with its owner and the moment until which that is believed to live. Whoever wants a host sees to the
turns whose owner is gone, and to the runs that were left open under them.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select, update

from harvester.catalogue.database import insert_new
from harvester.catalogue.harvests import KILLED, Outcome
from harvester.catalogue.members import Member, find_due, get_present, member_of, set_next_run
from harvester.catalogue.tables import harvests, leases, lists, members
from harvester.errors import HarvestSupersededError
from harvester.owners import is_gone
from harvester.schedule import spread_of

LEASE_SECONDS = 120
_AT_A_LOOK = 8


def claim_due(connection: Connection, owner: str, now: int, lease_seconds: int = LEASE_SECONDS) -> Member | None:
    """The member that has been due for longest, of those whose host nobody asks; its host is the owner's turn.

    One whose window is closed meanwhile is due when it opens. None where nobody is due.
    """
    free_dead(connection, now)
    # Rows that another claim holds are passed over; one of them has perhaps a host that is not leased for others yet.
    at_a_look = 1 if connection.dialect.name == "postgresql" else _AT_A_LOOK
    for due in (members.c.next_run.is_(None), members.c.next_run <= now):
        while rows := connection.execute(_DUE.where(due).limit(at_a_look)).all():
            for member in map(member_of, rows):
                opens = member.care.schedule.open_from(now, spread_of(member.slug))
                if opens > now:
                    set_next_run(connection, member, opens)
                elif _lease(connection, owner, member.host, now + lease_seconds):
                    return member
    return None


_DUE = (
    select(members)
    .where(members.c.paused.is_(False), members.c.removed_at.is_(None), members.c.host.not_in(select(leases.c.host)))
    .order_by(members.c.next_run, members.c.host, members.c.id)  # as the index has them
    .with_for_update(skip_locked=True, key_share=True)
)


def claim_host(
    connection: Connection, owner: str, host: str, now: int, lease_seconds: int = LEASE_SECONDS
) -> str | None:
    """The host is the owner's turn, and None is returned; or else the name of the one whose turn it is."""
    free_dead(connection, now)
    holder: str | None = None
    while holder is None and not _lease(connection, owner, host, now + lease_seconds):
        holder = connection.execute(select(leases.c.owner).where(leases.c.host == host)).scalar()
    return holder


def renew(connection: Connection, owner: str, host: str, now: int, lease_seconds: int = LEASE_SECONDS) -> None:
    """The turn goes on.

    Raises:
        HarvestSupersededError: it is no longer the owner's.
    """
    statement = update(leases).where(leases.c.host == host, leases.c.owner == owner)
    if not connection.execute(statement.values(until=now + lease_seconds)).rowcount:
        raise HarvestSupersededError(f"the turn at {host} was given to another process")


def release(connection: Connection, owner: str, host: str) -> None:
    """The turn is over; one that is no longer the owner's stays as it is."""
    connection.execute(delete(leases).where(leases.c.host == host, leases.c.owner == owner))


def free_dead(connection: Connection, now: int) -> None:
    """No turn is left whose time is up or whose process is gone, and no run is open under it."""
    rows = connection.execute(select(leases)).all()
    dead = [row.host for row in rows if row.until <= now or is_gone(row.owner)]
    if not dead:
        return
    # Whoever else frees them just now does not wait for us, nor we for them.
    held = select(leases).where(leases.c.host.in_(dead)).with_for_update(skip_locked=True)
    for row in connection.execute(held).all():
        if row in rows:  # not claimed again, nor renewed
            for member, run_id, _ in _open_runs(connection, row.host, since=now):
                end_run(connection, member, run_id, "incomplete", KILLED, now)
            release(connection, row.owner, row.host)


def end_stalled(connection: Connection, now: int, stall_seconds: float) -> tuple[Member, ...]:
    """The members whose runs showed no progress for so long: these have failed, and their hosts are free.

    What the stuck thread writes later is refused; its member is tried again after a pause.
    """
    since = int(now - stall_seconds)
    stalled = []
    for host, owner in connection.execute(select(leases.c.host, leases.c.owner)).all():
        for member, run_id, started_at in _open_runs(connection, host, since=since):
            error = f"no progress for {stall_seconds / 60:g} minutes; the next harvest goes on from the last page"
            end_run(connection, member, run_id, "failed", error, now)
            # Who began it knows when it was due; what it became due at since then is what somebody asked for.
            asked = started_at < find_due(connection, member) <= now
            settle_failure(connection, member, now, was_due=started_at if asked else None)
            release(connection, owner, host)
            stalled.append(member)
    return tuple(stalled)


def settle_failure(
    connection: Connection, member: Member, now: int, was_due: int | None = None, *, rest: int = 0
) -> int:
    """The member has failed once more in a row and is tried again after a longer pause, and after its server's `rest`,
    or as somebody has asked since it `was_due`; when."""
    failures: int = connection.execute(select(members.c.failures).where(members.c.id == member.id)).scalar_one() + 1
    member = get_present(connection, member)
    moment = member.care.schedule.next_run(now, failures=failures, spread=spread_of(member.slug), rest=rest)
    return set_next_run(connection, member, moment, failures, was_due=was_due)


def end_run(connection: Connection, member: Member, run_id: int, outcome: Outcome, error: str, now: int) -> None:
    """The open run has ended so; the process that made it writes nothing more."""
    owned = (lists.c.member_id == member.id, lists.c.harvest_id == run_id)
    connection.execute(update(lists).where(*owned).values(harvest_id=None))
    values = {"outcome": outcome, "error": error, "finished_at": now}
    connection.execute(update(harvests).where(harvests.c.id == run_id, harvests.c.outcome.is_(None)).values(**values))


def find_open_run(connection: Connection, member: Member) -> int | None:
    """The member's newest run, if that has not ended."""
    newest = select(harvests.c.id, harvests.c.outcome).where(harvests.c.member_id == member.id)
    row = connection.execute(newest.order_by(harvests.c.id.desc()).limit(1)).one_or_none()
    return int(row.id) if row and row.outcome is None else None


def _open_runs(connection: Connection, host: str, *, since: int) -> list[tuple[Member, int, int]]:
    """The open runs of the host's members that showed no progress after this moment, and when they began."""
    newest = select(func.max(harvests.c.id)).where(harvests.c.member_id == members.c.id).correlate(members)
    query = (
        select(members, harvests.c.id.label("run_id"), harvests.c.started_at)
        .join(harvests, harvests.c.id == newest.scalar_subquery())
        .where(
            members.c.host == host,
            harvests.c.outcome.is_(None),
            func.coalesce(harvests.c.heartbeat, harvests.c.started_at) <= since,
        )
    )
    return [(member_of(row), row.run_id, row.started_at) for row in connection.execute(query)]


def _lease(connection: Connection, owner: str, host: str, until: int) -> bool:
    """Whether the host is the owner's now; a claim of another process that is going on is waited for."""
    statement = insert_new(leases).values(host=host, owner=owner, until=until).execution_options(preserve_rowcount=True)
    return connection.execute(statement).rowcount == 1
