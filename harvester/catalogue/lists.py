"""The lists of a member, one of each metadata prefix and set: its watermark, and how far its present pass has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, insert, select, update

from harvester.catalogue.members import Member
from harvester.catalogue.tables import forms, lists, records
from harvester.errors import HarvestSupersededError

SUPERSEDED = "another process has begun to harvest this member, or it was removed; this harvest stops"

# From and until of a request, both inclusive; None leaves it out.
Window: TypeAlias = tuple[str | None, str | None]

_PASS = ("token", "pass_from", "pass_started", "pass_size", "reached", "windows")
_BLANK: dict[str, Any] = dict.fromkeys(_PASS, None) | {"pass_received": 0, "restarts": 0}


@dataclass(frozen=True, slots=True)
class Parts:
    """A pass in date windows: those still to come, the present one first; what the whole list was said to hold.

    `received` counts the records of the windows that are done.
    """

    left: tuple[Window, ...]
    size: int | None = None
    received: int = 0


@dataclass(frozen=True, slots=True)
class ListState:
    """One list of a member (one prefix, one set) and how far its present pass has come.

    `watermark` is the `from` of the next pass, None for everything. A pass is unfinished where `token` or
    `parts` is set; `pass_started` is when its first page was made. `pass_received` and `pass_size` are of the
    present window. `reached` is the newest datestamp so far where the pages came in ascending order, empty
    where they did not.
    """

    id: int
    prefix: str
    set_spec: str
    watermark: str | None
    token: str | None = None
    pass_from: str | None = None
    pass_started: str | None = None
    pass_received: int = 0
    pass_size: int | None = None
    reached: str | None = None
    restarts: int = 0
    parts: Parts | None = None


def own_lists(connection: Connection, member: Member, harvest_id: int, *, full: bool) -> None:
    """The run owns the member's lists, and no other; with `full`, or for a new base URL, they start anew.

    So does one that the member is not asked for any more, should it be wanted again: meanwhile, its records may go.
    """
    wanted = dict.fromkeys((prefix, set_spec) for prefix in member.prefixes for set_spec in member.sets or ("",))
    rows = connection.execute(select(lists).where(lists.c.member_id == member.id))
    present, unwanted = {}, []
    for row in rows:
        present[row.prefix, row.set_spec] = row.base_url
        if (row.prefix, row.set_spec) not in wanted:
            unwanted.append(row.id)
    fresh = _BLANK | {"watermark": None}
    if unwanted:
        connection.execute(update(lists).where(lists.c.id.in_(unwanted)).values(harvest_id=None, **fresh))
    for prefix, set_spec in wanted:
        this = (lists.c.member_id == member.id, lists.c.prefix == prefix, lists.c.set_spec == set_spec)
        if (prefix, set_spec) not in present:
            values = {"member_id": member.id, "prefix": prefix, "set_spec": set_spec}
            connection.execute(insert(lists).values(**values, base_url=member.base_url, **fresh))
        elif full or present[prefix, set_spec] != member.base_url:
            connection.execute(update(lists).where(*this).values(base_url=member.base_url, **fresh))
        connection.execute(update(lists).where(*this).values(harvest_id=harvest_id))


def find_watermark(connection: Connection, member: Member, prefix: str, set_spec: str) -> str | None:
    """The `from` of the next pass of this list; None for everything."""
    this = (lists.c.member_id == member.id, lists.c.prefix == prefix, lists.c.set_spec == set_spec)
    row = connection.execute(select(lists.c.watermark).where(*this, lists.c.base_url == member.base_url)).one_or_none()
    return row.watermark if row else None


def get_lists(connection: Connection, harvest_id: int) -> tuple[ListState, ...]:
    """The lists that this run owns."""
    rows = connection.execute(select(lists).where(lists.c.harvest_id == harvest_id).order_by(lists.c.id))
    return tuple(_state(row) for row in rows)


def get_list(connection: Connection, list_id: int) -> ListState:
    """The list as it stands."""
    return _state(connection.execute(select(lists).where(lists.c.id == list_id)).one())


def _state(row: Any) -> ListState:
    values = {name: getattr(row, name) for name in ListState.__dataclass_fields__ if name != "parts"}
    parts = row.windows and Parts(tuple(map(tuple, row.windows["left"])), row.windows["size"], row.windows["received"])
    return ListState(**values, parts=parts or None)


def start_anew(connection: Connection, member_id: int, prefix: str | None = None) -> None:
    """The next run takes the member's lists (of this prefix) from their beginning, also where one is under way now."""
    these = [lists.c.member_id == member_id] + ([lists.c.prefix == prefix] if prefix is not None else [])
    connection.execute(update(lists).where(*these).values(base_url=""))  # watermarks hold for the server that gave them


def start_pass(connection: Connection, harvest_id: int, list_id: int, from_: str | None) -> None:
    """The list's pass begins anew at `from_`; what an unfinished one had reached is forgotten."""
    _set_pass(connection, harvest_id, list_id, _BLANK | {"pass_from": from_})


def start_window(
    connection: Connection,
    harvest_id: int,
    list_id: int,
    parts: Parts | None,
    started: str | None,
    restarts: int = 0,
) -> None:
    """The pass, which `started` then, goes on with the first window of `parts`, or anew with the whole list."""
    windows = None if parts is None else {"left": parts.left, "size": parts.size, "received": parts.received}
    blank = {"token": None, "pass_size": None, "pass_received": 0, "reached": None, "pass_started": started}
    _set_pass(connection, harvest_id, list_id, {**blank, "windows": windows, "restarts": restarts})


def finish_pass(connection: Connection, harvest_id: int, list_id: int, watermark: str | None) -> None:
    """The list was proved complete: the watermark moves, and nothing is left to resume."""
    _set_pass(connection, harvest_id, list_id, _BLANK | {"watermark": watermark})


def count_stamped(connection: Connection, member: Member, moment: str) -> int:
    """How many records of the member bear a datestamp of its own that begins so."""
    stamped = func.substr(records.c.source_datestamp, 1, len(moment)) == moment
    query = select(func.count()).where(records.c.member_id == member.id, stamped)
    return int(connection.execute(query).scalar_one())


def holds_records(connection: Connection, member: Member, prefix: str) -> bool:
    """Whether there are live records of the member in this metadata prefix."""
    live = (records.c.member_id == member.id, forms.c.prefix == prefix, forms.c.deleted.is_(False))
    query = select(records.c.id).join(forms, forms.c.record_id == records.c.id).where(*live).limit(1)
    return connection.execute(query).first() is not None


def _set_pass(connection: Connection, harvest_id: int, list_id: int, values: dict[str, Any]) -> None:
    owned = (lists.c.id == list_id, lists.c.harvest_id == harvest_id)
    if not connection.execute(update(lists).where(*owned).values(values)).rowcount:
        raise HarvestSupersededError(SUPERSEDED)
