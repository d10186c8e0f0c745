"""Index against catalogue: which works an index has to have, and whether it has had the time to.

What is committed goes to the works first and to the index then, each remembering how far it came. So what was changed
behind either place is no difference: the next build sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection

from harvester.catalogue import Catalogue
from harvester.catalogue import works as sql
from harvester.catalogue.inventory import StoredRecord, get_changes, get_records, iter_work_ids
from harvester.catalogue.public_ids import decode_public_id
from indexer.build import CURSOR
from indexer.engine import Engine
from indexer.tiers.differences import Difference, Found

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Some works as one state of the catalogue has them: their records, deleted ones too, and what is settled.

    `cursor` is how far the works were assigned, `changes` the last change of each work that is listed for the index.
    """

    cursor: tuple[int, int]
    changes: dict[int, int]
    holders: dict[int, list[StoredRecord]]

    def is_assigned(self, record: StoredRecord) -> bool:
        """Whether the record's work was decided after its last change."""
        return (record.datestamp, record.number) <= self.cursor

    def is_settled(self, work: int, watermark: int) -> bool:
        """Whether an index that has come to this watermark must show the work as it is here."""
        assigned = all(map(self.is_assigned, self.holders.get(work, ())))
        return assigned and self.changes.get(work, 0) <= watermark


def get_standing(connection: Connection, works: Collection[int]) -> Standing:
    """How these works stand."""
    holders: dict[int, list[StoredRecord]] = {}
    for record in get_records(connection, works=works):
        holders.setdefault(record.work, []).append(record)
    return Standing(sql.get_cursor(connection, CURSOR), get_changes(connection, works), holders)


def compare_ids(catalogue: Catalogue, engine: Engine, count: Callable[[], None]) -> Iterator[list[Found]]:
    """Works that only one of the two has, some at a time; `count` hears of each work of the catalogue.

    Both sides are read in the order of their public ids. What seems to differ is looked at twice more.
    """
    alone = _iter_alone(iter_work_ids(catalogue), engine.iter_ids(), count)
    while some := list(islice(alone, _AT_ONCE)):
        found = _look(catalogue, engine, some)
        yield found and [each for each in _look(catalogue, engine, some) if each in found]


def _iter_alone(works: Iterator[str], indexed: Iterator[str], count: Callable[[], None]) -> Iterator[str]:
    """What only one of these ascending streams has."""
    other = next(indexed, None)
    for work in works:
        count()
        while other is not None and other < work:
            yield other
            other = next(indexed, None)
        if other == work:
            other = next(indexed, None)
        else:
            yield work
    if other is not None:
        yield other
        yield from indexed


def _look(catalogue: Catalogue, engine: Engine, ids: Sequence[str]) -> list[Found]:
    watermark = engine.watermark()
    here = {each for each in ids if engine.get(each) is not None}  # before the catalogue: it is not ahead of that
    numbers = [number for number in map(decode_public_id, ids) if number is not None]
    with catalogue.read() as connection:
        records = {record.public_id: record for record in get_records(connection, ids=numbers)}
        standing = get_standing(connection, [record.number for record in records.values()])
    found = []
    for each in ids:
        record = records.get(each)
        if record is None:
            if each in here:
                found.append(Found(Difference("work-gone", "", each, "there is no record of this id")))
        elif standing.is_assigned(record) and standing.is_settled(record.number, watermark):
            is_work = record.work == record.number and not record.deleted
            if is_work != (each in here):
                kind = "work-unindexed" if is_work else "work-gone"
                found.append(Found(Difference(kind, record.member, each, record.identifier), record.number, record))
    return found
