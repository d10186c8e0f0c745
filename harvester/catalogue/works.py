"""The SQL of works: match keys, the work of each record, what an index must look at again, and cursors.

Every function runs in its caller's transaction. None of them changes a record's datestamp: which work a
record belongs to is no part of what re-harvesters receive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, bindparam, delete, func, insert, select, tuple_, update

from harvester.catalogue.clock import close_all
from harvester.catalogue.database import Row, execute, is_among, pack_values
from harvester.catalogue.tables import cursors, match_keys, records, work_changes


class Place(NamedTuple):
    """Where a record stands: its number, its member's number and its present work."""

    number: int
    member: int
    work: int


def get_cursor(connection: Connection, name: str) -> tuple[int, int]:
    """How far the reader of this name came: (datestamp, record number), both inclusive; (0, 0) at first."""
    row = connection.execute(
        select(cursors.c.datestamp, cursors.c.record_id).where(cursors.c.name == name)
    ).one_or_none()
    return (row.datestamp, row.record_id) if row else (0, 0)


def move_cursor(connection: Connection, name: str, present: tuple[int, int], to: tuple[int, int]) -> bool:
    """True where the cursor stood at `present` and stands at `to` now; False where it stood elsewhere."""
    row = {"name": name, "datestamp": to[0], "record_id": to[1]}
    if present == (0, 0) and get_cursor(connection, name) == present:
        connection.execute(delete(cursors).where(cursors.c.name == name))
        connection.execute(insert(cursors).values(row))
        return True
    here = (cursors.c.name == name, cursors.c.datestamp == present[0], cursors.c.record_id == present[1])
    return connection.execute(update(cursors).where(*here).values(row)).rowcount == 1


def count_changes(connection: Connection, after: tuple[int, int], until: int) -> int:
    """How many records `list_changes` would list with no limit."""
    query = select(func.count()).where(tuple_(records.c.datestamp, records.c.id) > after, records.c.datestamp <= until)
    return connection.execute(query).scalar_one()


def list_changes(connection: Connection, after: tuple[int, int], until: int, limit: int) -> list[tuple[int, int]]:
    """(datestamp, number) of the next records after `after`, up to and with the second `until`, in that order."""
    place = (records.c.datestamp, records.c.id)
    query = select(*place).where(tuple_(*place) > after, records.c.datestamp <= until).order_by(*place).limit(limit)
    return [(row.datestamp, row.id) for row in connection.execute(query)]


def find_oldest_change(connection: Connection, after: tuple[int, int]) -> int | None:
    """The datestamp of the first record that `list_changes` would list however late; None where there is none."""
    place = (records.c.datestamp, records.c.id)
    query = select(records.c.datestamp).where(tuple_(*place) > after).order_by(*place).limit(1)
    return connection.scalar(query)


def close_changes(connection: Connection, now: int) -> int:
    """The second up to which `list_changes` lists all that was committed so far, and all there will ever be.

    The newest datestamp may lie ahead of the clock, where its second was closed before.
    """
    return close_all(connection, now)


def get_match_keys(connection: Connection, numbers: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The stored keys of those of the records that have any, in ascending order."""
    found: dict[int, list[str]] = {}
    for number, key in _select(connection, _KEYS, numbers):
        found.setdefault(number, []).append(key)
    return {number: tuple(keys) for number, keys in found.items()}


def replace_match_keys(
    connection: Connection, present: Mapping[int, Sequence[str]], wanted: Mapping[int, Sequence[str]]
) -> None:
    """The records of `wanted` have these keys; `present` is what they had. Rows that stay are not written."""
    gone: list[Row] = []
    new: list[Row] = []
    for number, keys in wanted.items():
        had = set(present.get(number, ()))
        gone += ({"this_record": number, "this_key": key} for key in sorted(had.difference(keys)))
        new += ({"record_id": number, "key": key} for key in dict.fromkeys(keys) if key not in had)
    for statement, rows in ((_DROP_KEY, gone), (_ADD_KEY, new)):
        if rows:
            execute(connection, statement, rows)


def find_holders(connection: Connection, keys: Collection[str], most: int) -> tuple[set[int], set[str]]:
    """The records that hold one of these keys, and which of the keys are crowded: held by more than `most`.

    Of a crowded key's records only those come that are joined to another one: the key joins no longer,
    and they may have to part.
    """
    counted = _select(connection, _HELD, keys)
    crowded = {key for key, count, _ in counted if count > most}
    shared = [key for key, count, _ in counted if 1 < count <= most]
    found = {first for _, _, first in counted}
    for statement, some in ((_HOLDERS, shared), (_JOINED_HOLDERS, crowded)):
        found.update(record for (record,) in _select(connection, statement, some))
    return found, crowded


def get_places(connection: Connection, numbers: Collection[int]) -> list[Place]:
    """Where these records stand, with all others of the same works."""
    places = [Place(*row) for row in _select(connection, _PLACES, numbers)]
    others = [Place(*row) for row in _select(connection, _PLACES_OF_WORKS, {place.work for place in places})]
    known = {place.number for place in places}
    return [*places, *(place for place in others if place.number not in known)]


def set_works(connection: Connection, works: Mapping[int, int]) -> None:
    """Each of these records belongs to its work."""
    if works:
        execute(connection, _SET_WORK, [{"number": number, "work": work} for number, work in works.items()])


def touch_works(connection: Connection, works: Collection[int]) -> None:
    """Whoever follows `iter_work_changes` comes across these works again; each has a change number of its own.

    The caller's transactions must come one after the other, as those that move one cursor do.
    """
    last = connection.execute(select(func.max(work_changes.c.change))).scalar() or 0
    rows = [{"work_id": work, "change": last + at} for at, work in enumerate(sorted(works), start=1)]
    if rows:
        execute(connection, _FORGET_CHANGES, pack_values(connection, sorted(works)))
        execute(connection, _ADD_CHANGE, rows)


def list_work_changes(connection: Connection, after: int, limit: int) -> list[tuple[int, int]]:
    """(change, work) of the works changed after the change `after`, in order of change."""
    query = select(work_changes.c.change, work_changes.c.work_id).where(work_changes.c.change > after)
    return [(row.change, row.work_id) for row in connection.execute(query.order_by("change").limit(limit))]


def count_work_changes(connection: Connection, after: int) -> int:
    """How many works `list_work_changes` would list with no limit."""
    query = select(func.count()).select_from(work_changes).where(work_changes.c.change > after)
    return connection.execute(query).scalar_one()


def find_oldest_work_change(connection: Connection, after: int) -> int | None:
    """The datestamp of a record in the first work that `list_work_changes` would list; None where there is none."""
    query = select(records.c.datestamp).join(work_changes, work_changes.c.work_id == records.c.work_id)
    first = query.where(work_changes.c.change > after).order_by(work_changes.c.change).limit(1)
    found: int | None = connection.scalar(first)
    return found


def count_works(connection: Connection) -> int:
    """How many works have a live record."""
    query = select(func.count(records.c.work_id.distinct())).where(records.c.deleted.is_(False))
    return connection.execute(query).scalar_one()


# Statements that are compiled once: most of the time went there.
_KEY, _RECORD = match_keys.c.key, match_keys.c.record_id
_KEYS = select(_RECORD, _KEY).where(is_among(_RECORD)).order_by(_RECORD, _KEY)
_DROP_KEY = delete(match_keys).where(
    match_keys.c.record_id == bindparam("this_record"), match_keys.c.key == bindparam("this_key")
)
_ADD_KEY = insert(match_keys)
_HELD = select(_KEY, func.count(), func.min(_RECORD)).where(is_among(_KEY)).group_by(_KEY)
_HOLDERS = select(_RECORD).where(is_among(_KEY))
_JOINED_HOLDERS = _HOLDERS.join(records, records.c.id == _RECORD).where(records.c.work_id != records.c.id)
_PLACES = select(records.c.id, records.c.member_id, records.c.work_id).where(is_among(records.c.id))
_PLACES_OF_WORKS = select(records.c.id, records.c.member_id, records.c.work_id).where(is_among(records.c.work_id))
_SET_WORK = update(records).where(records.c.id == bindparam("number")).values(work_id=bindparam("work"))
_FORGET_CHANGES = delete(work_changes).where(is_among(work_changes.c.work_id))
_ADD_CHANGE = insert(work_changes)


def _select(connection: Connection, statement: Executable, among: Collection[int] | Collection[str]) -> Sequence[Any]:
    """The rows that a statement finds among these values."""
    return execute(connection, statement, pack_values(connection, sorted(among))).rows if among else ()
