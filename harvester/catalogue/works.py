"""The SQL of works: match keys, the work of each record, what an index must look at again, and cursors.

Every function runs in its caller's transaction. None of them changes a record's datestamp: which work a
record belongs to is no part of what re-harvesters receive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, tuple_, update

from harvester.catalogue.clock import close_second
from harvester.catalogue.tables import clock, cursors, match_keys, records, work_changes

_CHUNK = 500


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


def close_changes(connection: Connection, now: int) -> int:
    """The second up to which `list_changes` lists all that was committed so far, and all there will ever be.

    The newest datestamp may lie ahead of the clock, where its second was closed before.
    """
    last: int = connection.execute(select(clock.c.last)).scalar_one()
    return close_second(connection, max(now, last))


def get_match_keys(connection: Connection, numbers: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The stored keys of those of the records that have any, in ascending order."""
    found: dict[int, list[str]] = {}
    query = select(match_keys.c.record_id, match_keys.c.key).order_by(match_keys.c.record_id, match_keys.c.key)
    for some in _chunks(numbers):
        for number, key in connection.execute(query.where(match_keys.c.record_id.in_(some))).all():
            found.setdefault(number, []).append(key)
    return {number: tuple(keys) for number, keys in found.items()}


def replace_match_keys(
    connection: Connection, present: Mapping[int, Sequence[str]], wanted: Mapping[int, Sequence[str]]
) -> None:
    """The records of `wanted` have these keys; `present` is what they had. Rows that stay are not written."""
    gone: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for number, keys in wanted.items():
        had = set(present.get(number, ()))
        gone += ({"old_record": number, "old_key": key} for key in sorted(had.difference(keys)))
        new += ({"record_id": number, "key": key} for key in dict.fromkeys(keys) if key not in had)
    if gone:
        this = (match_keys.c.record_id == bindparam("old_record"), match_keys.c.key == bindparam("old_key"))
        connection.execute(delete(match_keys).where(*this), gone)
    if new:
        connection.execute(insert(match_keys), new)


def find_holders(connection: Connection, keys: Collection[str], most: int) -> tuple[set[int], set[str]]:
    """The records that hold one of these keys, and which of the keys are crowded: held by more than `most`.

    Of a crowded key's records only those come that are joined to another one: the key joins no longer,
    and they may have to part.
    """
    found: set[int] = set()
    crowded: set[str] = set()
    key, record_id = match_keys.c.key, match_keys.c.record_id
    for some in _chunks(keys):
        counts = select(key, func.count(), func.min(record_id)).where(key.in_(some)).group_by(key)
        shared: list[str] = []
        too_many: list[str] = []
        for each, count, first in connection.execute(counts).all():
            found.add(first)
            if count > 1:
                (shared if count <= most else too_many).append(each)
        found.update(connection.execute(select(record_id).where(key.in_(shared))).scalars())
        joined = select(record_id).join(records, records.c.id == record_id)
        joined = joined.where(key.in_(too_many), records.c.work_id != records.c.id)
        found.update(connection.execute(joined).scalars())
        crowded.update(too_many)
    return found, crowded


def get_places(connection: Connection, numbers: Collection[int]) -> list[Place]:
    """Where these records stand, with all others of the same works."""
    columns = (records.c.id, records.c.member_id, records.c.work_id)
    places = [
        Place(*row)
        for some in _chunks(numbers)
        for row in connection.execute(select(*columns).where(records.c.id.in_(some))).all()
    ]
    works = {place.work for place in places}
    known = {place.number for place in places}
    for some in _chunks(works):
        rows = connection.execute(select(*columns).where(records.c.work_id.in_(some)))
        places += (Place(*row) for row in rows if row.id not in known)
    return places


def set_works(connection: Connection, works: Mapping[int, int]) -> None:
    """Each of these records belongs to its work."""
    if works:
        this = update(records).where(records.c.id == bindparam("number")).values(work_id=bindparam("work"))
        connection.execute(this, [{"number": number, "work": work} for number, work in works.items()])


def touch_works(connection: Connection, works: Collection[int]) -> None:
    """Whoever follows `iter_work_changes` comes across these works again; each has a change number of its own.

    The caller's transactions must come one after the other, as those that move one cursor do.
    """
    last = connection.execute(select(func.max(work_changes.c.change))).scalar() or 0
    for some in _chunks(works):
        connection.execute(delete(work_changes).where(work_changes.c.work_id.in_(some)))
    rows = [{"work_id": work, "change": last + at} for at, work in enumerate(sorted(works), start=1)]
    if rows:
        connection.execute(insert(work_changes), rows)


def list_work_changes(connection: Connection, after: int, limit: int) -> list[tuple[int, int]]:
    """(change, work) of the works changed after the change `after`, in order of change."""
    query = select(work_changes.c.change, work_changes.c.work_id).where(work_changes.c.change > after)
    return [(row.change, row.work_id) for row in connection.execute(query.order_by("change").limit(limit))]


def count_work_changes(connection: Connection, after: int) -> int:
    """How many works `list_work_changes` would list with no limit."""
    query = select(func.count()).select_from(work_changes).where(work_changes.c.change > after)
    return connection.execute(query).scalar_one()


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
