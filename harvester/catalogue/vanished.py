"""Records that a complete list does not show any more: they wait, a person may keep them, and then they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)

from harvester.catalogue.clock import take_datestamp
from harvester.catalogue.database import is_among, pack_values
from harvester.catalogue.lists import start_pass
from harvester.catalogue.members import Member
from harvester.catalogue.public_ids import encode_public_id
from harvester.catalogue.reconciliations import DAY, forget_listed, update_run
from harvester.catalogue.tables import forms, harvests, listed, lists, members, problems, records, vanished
from harvester.errors import ConfigError

_BATCH = 1000
_FEW = 5  # so many may always go: of a small member's records each is several percent


@dataclass(frozen=True, slots=True)
class Scope:
    """The complete lists of one metadata prefix of a member, and the run that owns them.

    `horizon`: what was stored later than this datestamp of ours cannot be missed.
    """

    run_id: int
    member: Member
    prefix: str
    list_ids: tuple[int, ...]
    horizon: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A live record that is not listed any more. Times in seconds since 1970.

    It goes when it is missed again after `due_at`, which a person who approves that sets back to before
    `missed_at`. With `kept_at` it stays until it has been listed again.
    """

    id: str
    identifier: str
    prefix: str
    missed_at: int
    times: int
    due_at: int
    kept_at: int | None


def find_overlooked(connection: Connection, scope: Scope, limit: int) -> tuple[tuple[int, str], ...]:
    """At most so many (list, identifier) that are listed as live, and that no harvest has brought, or not as they are.

    Lists that are to be harvested in full anyway are left out.
    """
    held = exists().where(*_held(scope), records.c.identifier == listed.c.identifier)
    query = (
        select(func.min(listed.c.list_id), listed.c.identifier)
        .join(lists, lists.c.id == listed.c.list_id)
        .where(listed.c.list_id.in_(scope.list_ids), lists.c.watermark.is_not(None))
        .where(_counts_as_live(scope), or_(listed.c.changed, not_(held)))
        .group_by(listed.c.identifier)
        .limit(limit)
    )
    return tuple((list_id, identifier) for list_id, identifier in connection.execute(query))


def forget_watermarks(connection: Connection, run_id: int, list_ids: Sequence[int]) -> None:
    """The next harvest of these lists is full."""
    for list_id in list_ids:
        start_pass(connection, run_id, list_id, None)
    connection.execute(update(lists).where(lists.c.id.in_(list_ids)).values(watermark=None))


def delete_listed(connection: Connection, scope: Scope, now: int) -> int:
    """A batch of the records that are listed as deleted, and not as live by a copy as late, are so; how many forms.

    They have the deleted copy's datestamp, as if a harvest had brought it.
    """
    shown = (listed.c.list_id.in_(scope.list_ids), listed.c.deleted, listed.c.identifier == records.c.identifier)
    gone = (exists().where(*shown), not_(_is_listed(scope)), records.c.datestamp <= scope.horizon)
    numbers = connection.execute(select(records.c.id).where(*_held(scope), *gone).limit(_BATCH)).scalars().all()
    latest = select(func.max(listed.c.datestamp)).where(*shown).scalar_subquery()
    dated = update(records).where(is_among(records.c.id)).values(source_datestamp=latest)
    connection.execute(dated, pack_values(connection, numbers))
    return _delete_forms(connection, scope, numbers, now)


def settle(connection: Connection, scope: Scope, now: int) -> int:
    """Who is missing has been missed once more, who is back is not, and the lists begin anew; how many are missing now
    that were not before."""
    these = _forget_seen(connection, scope, now)
    connection.execute(update(vanished).where(*these).values(times=vanished.c.times + 1))
    known = exists().where(*these, vanished.c.record_id == records.c.id)
    days = select(members.c.pending_days).where(members.c.id == scope.member.id).scalar_subquery()
    columns = {
        "record_id": records.c.id,
        "prefix": literal(scope.prefix),
        "member_id": records.c.member_id,
        "missed_at": literal(scope.horizon),
        "times": literal(1),
        "due_at": scope.horizon + days * DAY,
    }
    query = select(*columns.values()).where(*_missing(scope), not_(known))
    missed_now = insert(vanished).from_select(list(columns), query).execution_options(preserve_rowcount=True)
    new = connection.execute(missed_now).rowcount
    forget_listed(connection, scope.run_id, list(scope.list_ids))
    return new


def settle_unproved(connection: Connection, scope: Scope, now: int) -> int:
    """Who is back is not missing, nobody else is missed, and the lists begin anew; how many records they left out.

    Those that a person keeps are not counted: nothing would become of them.
    """
    these = _forget_seen(connection, scope, now)
    kept = exists().where(*these, vanished.c.record_id == records.c.id, vanished.c.kept_at.is_not(None))
    query = select(func.count(records.c.id)).where(*_missing(scope), not_(kept))
    count: int = connection.execute(query).scalar_one()
    forget_listed(connection, scope.run_id, list(scope.list_ids))
    return count


def _forget_seen(connection: Connection, scope: Scope, now: int) -> tuple[ColumnElement[bool], ...]:
    """Who is back is not missing any more; what says of the others that they are."""
    update_run(connection, scope.run_id, heartbeat=now)
    these = (vanished.c.member_id == scope.member.id, vanished.c.prefix == scope.prefix)
    # A harvest has changed it since: it was there.
    seen = or_(_is_listed(scope), records.c.datestamp > vanished.c.missed_at)
    missed = exists().where(*_held(scope), records.c.id == vanished.c.record_id, not_(seen))
    connection.execute(delete(vanished).where(*these, not_(missed)))
    return these


def _missing(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """The records that were there when the lists began, and are not listed."""
    return *_held(scope), not_(_is_listed(scope)), records.c.datestamp <= scope.horizon


def judge_drop(connection: Connection, scopes: Sequence[Scope], *, empty: bool) -> tuple[str | None, bool]:
    """Why deletions wait for a person, or None; and whether records may go now.

    `scopes` are what this run has settled, one at the least. `empty`: one of the lists showed nothing at all, which
    alone proves nothing. Where a drop has mended itself nothing goes at once: what is left must be missed once more.
    """
    run_id, member = scopes[0].run_id, scopes[0].member
    was_halted = find_halt(connection, member)
    reason = _find_drop(connection, member, empty=empty)
    connection.execute(update(members).where(members.c.id == member.id).values(halted=reason))
    if reason:
        row = {"harvest_id": run_id, "code": "big-drop", "identifier": "", "cause": reason}
        connection.execute(insert(problems).values(row))
    else:
        cause = literal("a complete list of the member's identifiers does not show it any more")
        new = (vanished.c.times == 1, vanished.c.prefix.in_([scope.prefix for scope in scopes]))
        query = (
            select(literal(run_id), literal("vanished"), records.c.identifier, cause)
            .join_from(vanished, records, records.c.id == vanished.c.record_id)
            .where(*_waits(member), *new)
            .distinct()
        )
        columns = ["harvest_id", "code", "identifier", "cause"]
        connection.execute(insert(problems).from_select(columns, query))
    return reason, not (reason or was_halted)


def _find_drop(connection: Connection, member: Member, *, empty: bool = False) -> str | None:
    query = select(func.count(vanished.c.record_id.distinct()))
    waiting: int = connection.execute(
        query.where(*_waits(member), vanished.c.due_at >= vanished.c.missed_at)
    ).scalar_one()
    row = connection.execute(select(members.c.live, members.c.max_drop).where(members.c.id == member.id)).one()
    share = f"{waiting} of {row.live} records are not listed any more"
    if empty and waiting:
        return f"a list of the member is empty; with it, {share}"
    if waiting >= _FEW and waiting * 100 > row.max_drop * row.live:
        return f"{share}, which is more than {row.max_drop} %"
    return None


def delete_due(connection: Connection, scope: Scope, now: int) -> int:
    """A batch of the records that were missed twice and have waited long enough are deleted; how many forms."""
    due = (vanished.c.prefix == scope.prefix, vanished.c.times >= 2, vanished.c.due_at <= max(now, scope.horizon))
    query = select(vanished.c.record_id).where(*_waits(scope.member), *due).limit(_BATCH)
    return _delete_forms(connection, scope, connection.execute(query).scalars().all(), now)


def list_pending(connection: Connection, member: Member) -> tuple[Pending, ...]:
    """What is missing of the member, by identifier."""
    columns = [vanished.c[name] for name in ("prefix", "missed_at", "times", "due_at", "kept_at")]
    query = (
        select(records.c.public_id, records.c.identifier, *columns)
        .join(vanished, vanished.c.record_id == records.c.id)
        .where(vanished.c.member_id == member.id, _is_live())
        .order_by(records.c.identifier, vanished.c.prefix)
    )
    return tuple(
        Pending(encode_public_id(number), identifier, prefix, missed_at, times, due_at, kept_at)
        for number, identifier, prefix, missed_at, times, due_at, kept_at in connection.execute(query)
    )


def find_halt(connection: Connection, member: Member) -> str | None:
    """Why the member's deletions wait for a person; None where they do not."""
    reason: str | None = connection.execute(select(members.c.halted).where(members.c.id == member.id)).scalar_one()
    return reason


def approve_pending(connection: Connection, member: Member, now: int) -> int:
    """All that waits now goes as soon as it is missed again, however much it is; how many records.

    The member is due to be reconciled.
    """
    count = connection.execute(update(vanished).where(*_waits(member)).values(due_at=vanished.c.missed_at - 1)).rowcount
    values = {"halted": None, "next_reconcile": now}
    connection.execute(update(members).where(members.c.id == member.id).values(values))
    return count


def keep_pending(connection: Connection, member: Member, identifiers: Sequence[str], now: int) -> int:
    """These that wait, or all where none is named, stay until they have been listed again; how many forms.

    Raises:
        ConfigError: one of these does not wait.
    """
    known = {pending.identifier for pending in list_pending(connection, member)}
    if unknown := [name for name in identifiers if name not in known]:
        raise ConfigError(f"{member.slug}: {unknown[0]!r} is not pending; `lumbung members pending {member.slug}`")
    count = 0
    for some in [identifiers[start : start + _BATCH] for start in range(0, len(identifiers), _BATCH)] or [()]:
        named = select(records.c.id).where(records.c.member_id == member.id, records.c.identifier.in_(some))
        these = vanished.c.record_id.in_(named) if some else true()
        count += connection.execute(update(vanished).where(*_waits(member), these).values(kept_at=now)).rowcount
    if _find_drop(connection, member) is None:
        connection.execute(update(members).where(members.c.id == member.id).values(halted=None))
    return count


def _delete_forms(connection: Connection, scope: Scope, numbers: Sequence[int], now: int) -> int:
    """These forms are deleted, and so are the records that have no other left."""
    if not numbers:
        return 0
    datestamp = take_datestamp(connection, now)
    these = pack_values(connection, numbers)
    in_prefix = update(forms).where(is_among(forms.c.record_id), forms.c.prefix == scope.prefix)
    connection.execute(in_prefix.values(deleted=True), these)
    alive = exists().where(forms.c.record_id == records.c.id, forms.c.deleted.is_(False))
    stamped = update(records).where(is_among(records.c.id)).values(datestamp=datestamp)
    connection.execute(stamped, these)
    to_go = stamped.where(not_(alive), records.c.deleted.is_(False))  # what was taken down is gone already
    gone = connection.execute(to_go.values(deleted=True), these).rowcount
    waited = delete(vanished).where(is_among(vanished.c.record_id), vanished.c.prefix == scope.prefix)
    connection.execute(waited, these)
    counts = {"live": members.c.live - gone, "tombstones": members.c.tombstones + gone}
    connection.execute(update(members).where(members.c.id == scope.member.id).values(counts))
    more = {"deleted": harvests.c.deleted + gone, "changed": harvests.c.changed + len(numbers) - gone}
    update_run(connection, scope.run_id, **more, heartbeat=now)
    return len(numbers)


def _held(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """The records of the member that are live in this prefix."""
    of_member = (records.c.member_id == scope.member.id, forms.c.record_id == records.c.id)
    return *of_member, forms.c.prefix == scope.prefix, forms.c.deleted.is_(False)


def _is_listed(scope: Scope) -> ColumnElement[bool]:
    """Whether the record is listed, and the copy that counts is live."""
    return exists().where(_counts_as_live(scope), listed.c.identifier == records.c.identifier)


def _counts_as_live(scope: Scope) -> ColumnElement[bool]:
    """Whether this is a live copy, and no list of the prefix has a deleted one that is later."""
    later = listed.alias()
    is_later = (later.c.identifier == listed.c.identifier, later.c.datestamp > listed.c.datestamp)
    beaten = exists().where(later.c.list_id.in_(scope.list_ids), later.c.deleted, *is_later).correlate(listed)
    return and_(listed.c.list_id.in_(scope.list_ids), not_(listed.c.deleted), not_(beaten))


def _is_live() -> ColumnElement[bool]:
    this = (forms.c.record_id == vanished.c.record_id, forms.c.prefix == vanished.c.prefix)
    return exists().where(*this, forms.c.deleted.is_(False))


def _waits(member: Member) -> tuple[ColumnElement[bool], ...]:
    """What is missing of the member, and not kept by a person."""
    return vanished.c.member_id == member.id, vanished.c.kept_at.is_(None), _is_live()
