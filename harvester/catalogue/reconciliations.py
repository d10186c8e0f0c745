"""Runs that hold a member's full lists of identifiers against the catalogue: when they are due, how far they came."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from harvester.catalogue.commit import Fetched
from harvester.catalogue.database import Catalogue, execute, insert_new, is_among, pack_values
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import SUPERSEDED
from harvester.catalogue.members import Member
from harvester.catalogue.tables import harvests, listed, lists, members, pages, records
from harvester.catalogue.works import close_changes
from harvester.datestamps import began_at, parse_datestamp
from harvester.errors import HarvestSupersededError
from harvester.oai.page import Header, Page

DAY = 86_400
# A list that was begun longer ago says too little about the present.
_LASTS = 7 * DAY


@dataclass(frozen=True, slots=True)
class Position:
    """How far a list of identifiers has come.

    `horizon` is our datestamp of its beginning: what was stored later is not missed by it. `received` counts
    an identifier that comes twice once, unless it comes live and deleted. `ended` says that the list came to its
    end, `unmarked` by which request where nothing marks it as the end: what such a list leaves out is not missing.
    """

    base_url: str
    horizon: int
    received: int = 0
    size: int | None = None
    token: str | None = None
    ended: bool = False
    unmarked: str | None = None


def begin_reconciliation(connection: Connection, member: Member, now: int) -> int:
    """A run is begun and owns the member's lists, as a harvest does; its id."""
    run_id = begin_harvest(connection, member, now)
    connection.execute(update(harvests).where(harvests.c.id == run_id).values(kind="reconcile", heartbeat=now))
    return run_id


def find_position(connection: Connection, member: Member, list_id: int, now: int) -> Position | None:
    """Where an unfinished run left the list; None where it is to begin at the beginning."""
    text = connection.execute(select(lists.c.reconcile_token).where(lists.c.id == list_id)).scalar_one_or_none()
    position = Position(**json.loads(text)) if text else None
    if position is None or position.base_url != member.base_url or position.horizon <= now - _LASTS:
        return None
    return position if position.token or position.ended else None


def start_position(connection: Connection, run_id: int, member: Member, list_id: int, now: int) -> Position:
    """The list begins at its beginning, and nothing is listed yet.

    Raises:
        HarvestSupersededError: another run owns the list by now.
    """
    position = Position(member.base_url, close_changes(connection, now))
    _set_position(connection, run_id, list_id, position)
    connection.execute(delete(listed).where(listed.c.list_id == list_id))
    return position


def commit_listing(
    catalogue: Catalogue, run_id: int, list_id: int, position: Position, page: Page, fetched: Fetched
) -> Position:
    """The page's identifiers, its row and the list's position after it stand, or none of it does.

    A page without a token ends the list, unless fewer identifiers came than it states. An end is marked by an
    empty token, by being the only page, or by as many identifiers as are stated. Spec: 3.5.

    Raises:
        HarvestSupersededError: another run owns the list by now.
    """
    with catalogue.write(beside=True) as connection:
        _set_position(connection, run_id, list_id, position)  # it is ours: no row without its list
        rows = _listed_rows(connection, list_id, [record.header for record in page.records])
        new = execute(connection, _LIST, rows).rowcount if rows else 0
        if new < len(rows):
            execute(connection, _LIST_LATER, rows)
        received = position.received + new + len(page.failed)
        size = (page.token.complete_list_size if page.token else None) or position.size
        ended = not page.next_token and received >= (size or 0)
        marked = bool(page.token or not position.token or size)  # an end is not before the size that is stated
        after = replace(
            position,
            received=received,
            size=size,
            token=page.next_token or None,
            ended=ended,
            unmarked=fetched.url if ended and not marked else None,
        )
        _set_position(connection, run_id, list_id, after)
        values = {name: getattr(fetched, name) for name in Fetched.__dataclass_fields__}
        counted = {"response_date": page.response_date[:40], "records": page.size}
        connection.execute(insert(pages).values(harvest_id=run_id, list_id=list_id, **values, **counted))
        counts = {"pages": harvests.c.pages + 1, "records": harvests.c.records + page.size}
        update_run(connection, run_id, **counts, heartbeat=catalogue.now())
    return after


_VALUES: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in listed.c}
_LIST = insert_new(listed).values(_VALUES)
_LIST_LATER = (
    update(listed)
    .where(*(column == _VALUES[column.name] for column in listed.primary_key))
    .where(listed.c.datestamp < _VALUES["datestamp"])
    .values({name: _VALUES[name] for name in ("datestamp", "changed")})
)
_STAMPS = (
    select(records.c.identifier, records.c.source_datestamp, lists.c.watermark)
    .join(lists, lists.c.member_id == records.c.member_id)
    .where(lists.c.id == bindparam("this_list"), lists.c.watermark.is_not(None))
    .where(is_among(records.c.identifier), records.c.deleted.is_(False))
)


def _listed_rows(connection: Connection, list_id: int, headers: list[Header]) -> list[dict[str, Any]]:
    """The headers as they are listed."""
    among = pack_values(connection, [header.identifier for header in headers if not header.deleted])
    held = {row.identifier: row for row in execute(connection, _STAMPS, {"this_list": list_id, **among})}
    rows = []
    for header in headers:
        row = None if header.deleted else held.get(header.identifier)
        rows.append(
            {
                "new_list_id": list_id,
                "new_identifier": header.identifier,
                "new_datestamp": header.datestamp[:40],
                "new_deleted": header.deleted,
                "new_changed": row is not None
                and _was_overlooked(header.datestamp, row.source_datestamp, row.watermark),
            }
        )
    return rows


def _was_overlooked(datestamp: str, known: str, watermark: str) -> bool:
    """Whether it changed before the last complete harvest, which did not show it: `from` goes by another date."""
    if datestamp == known:
        return False
    ours, theirs, asked = parse_datestamp(known), parse_datestamp(datestamp), began_at(watermark)
    return bool(ours and theirs and asked and ours < theirs <= asked)


def _set_position(connection: Connection, run_id: int, list_id: int, position: Position) -> None:
    this = (lists.c.id == list_id, lists.c.harvest_id == run_id)
    moved = update(lists).where(*this).values(reconcile_token=json.dumps(asdict(position)))
    if not connection.execute(moved).rowcount:
        raise HarvestSupersededError(SUPERSEDED)


def forget_listed(connection: Connection, run_id: int, list_ids: list[int]) -> None:
    """The lists are to begin at the beginning again.

    Raises:
        HarvestSupersededError: another run owns them by now.
    """
    these = (lists.c.id.in_(list_ids), lists.c.harvest_id == run_id)
    if connection.execute(update(lists).where(*these).values(reconcile_token=None)).rowcount != len(list_ids):
        raise HarvestSupersededError(SUPERSEDED)
    connection.execute(delete(listed).where(listed.c.list_id.in_(list_ids)))


def update_run(connection: Connection, run_id: int, **values: Any) -> None:
    """The run's row holds these values.

    Raises:
        HarvestSupersededError: it has been ended by another.
    """
    this = (harvests.c.id == run_id, harvests.c.outcome.is_(None))
    if not connection.execute(update(harvests).where(*this).values(values)).rowcount:
        raise HarvestSupersededError(SUPERSEDED)


def next_reconciliation(slug: str, days: int, after: int) -> int:
    """The first moment after this one at which the member's turn comes: members are spread evenly over the period."""
    slot = int.from_bytes(blake2b(slug.encode(), digest_size=8).digest(), "big") % (days * DAY)
    return after + 1 + (slot - after - 1) % (days * DAY)


def set_next_reconciliation(connection: Connection, member: Member, now: int, *, soon: bool) -> None:
    """The member is due at its next turn; where it is to be tried again soon, in a day at the latest."""
    this = members.c.id == member.id
    days = connection.execute(select(members.c.reconcile_days).where(this)).scalar_one()
    turn = next_reconciliation(member.slug, days, now)
    connection.execute(update(members).where(this).values(next_reconcile=min(turn, now + DAY) if soon else turn))


def plan_reconciliations(connection: Connection, now: int) -> int:
    """Every member whose turn was not known has one; how many there were."""
    unplanned = (members.c.next_reconcile.is_(None), members.c.removed_at.is_(None))
    found = connection.execute(select(members.c.id, members.c.slug, members.c.reconcile_days).where(*unplanned)).all()
    rows = [{"this": row.id, "turn": next_reconciliation(row.slug, row.reconcile_days, now)} for row in found]
    if rows:
        execute(connection, _PLAN, rows)
    return len(rows)


_PLAN = update(members).where(members.c.id == bindparam("this")).values(next_reconcile=bindparam("turn"))


def is_reconcile_due(connection: Connection, member: Member, now: int) -> bool:
    """Whether the member's turn has come, and it was harvested completely before."""
    harvested = exists().where(lists.c.member_id == members.c.id, lists.c.watermark.is_not(None))
    active = (members.c.removed_at.is_(None), members.c.paused.is_(False))
    due = select(members.c.id).where(members.c.id == member.id, members.c.next_reconcile <= now, *active, harvested)
    return connection.execute(due).first() is not None
