"""Bringing an index up to date with the catalogue: first the works, then their documents.

Both stages remember how far they came together with what they did, so a build that is killed at any
moment goes on where it was, and one that is run twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from harvester.catalogue import works as sql
from harvester.catalogue.database import Catalogue
from harvester.catalogue.records import CataloguedRecord, get_records, get_works, iter_changes, public_ids
from indexer.crosswalks import describe
from indexer.document import Description, Document
from indexer.engine import Engine
from indexer.unite import document_of
from indexer.works import assign

if TYPE_CHECKING:
    from indexer.engine.embedded import EmbeddedEngine

CURSOR = "works"

_RECORDS_AT_ONCE = 1000  # of one transaction that assigns works
_WORKS_AT_ONCE = 5000  # of one commit of the index
_KEPT = 4000  # descriptions that wait for their documents to be made

Progress = Callable[[int, int | None], None]


@dataclass(slots=True)
class BuildCounts:
    """What a build did: records assigned to works, documents written, and documents that must not be there: of works
    that are no more, whether or not the index knew them."""

    records: int = 0
    documents: int = 0
    deletions: int = 0


def advance(catalogue: Catalogue, engine: Engine, *, progress: Progress | None = None) -> BuildCounts:
    """The index shows every change that was committed to the catalogue before this call.

    `progress` hears of works written and of those that are known to be left, those written included.

    Raises:
        EngineError: the index cannot be written; what the works stage did stays.
        CatalogueError: the catalogue does not answer.
    """
    return _Build(catalogue, engine, progress).run()


def forget_works(catalogue: Catalogue) -> None:
    """The next build assigns every record to its work again, as after a change of the rules."""
    with catalogue.write() as connection:
        sql.move_cursor(connection, CURSOR, sql.get_cursor(connection, CURSOR), (0, 0))


class _Build:
    """One run of `advance`: stage by stage in turn, so that each description is made once."""

    def __init__(self, catalogue: Catalogue, engine: Engine, progress: Progress | None) -> None:
        self.catalogue = catalogue
        self.engine = engine
        self.progress = progress or (lambda _done, _total: None)
        self.this_year = datetime.fromtimestamp(catalogue.now(), UTC).year
        self.counts = BuildCounts()
        self.waiting = 0  # records that are still to be assigned
        self.described: dict[tuple[int, int], Description] = {}  # by number and datestamp

    def run(self) -> BuildCounts:
        """Everything up to now is in the index."""
        with self.catalogue.write() as connection:
            until = sql.close_changes(connection, self.catalogue.now())
        with self.catalogue.read() as connection:
            self.waiting = sql.count_changes(connection, sql.get_cursor(connection, CURSOR), until)
        more = True
        while more:
            while more and len(self.described) < _KEPT:
                more = self._assign(until)
            self._write()
            self.described.clear()
        return self.counts

    def _assign(self, until: int) -> bool:
        """The next records stand in their works; False where there were none."""
        with self.catalogue.read() as connection:
            after = sql.get_cursor(connection, CURSOR)
            changed = list(iter_changes(connection, after, until, _RECORDS_AT_ONCE))
        if not changed:
            self.waiting = 0
            return False
        described = [(record, None if record.deleted else self._describe(record)) for record in changed]
        with self.catalogue.write() as connection:
            last = changed[-1]
            # Somebody else may have been faster: then the cursor has moved, and there is nothing left to do here.
            if sql.move_cursor(connection, CURSOR, after, (last.datestamp, last.number)):
                assign(connection, described)
                self.counts.records += len(changed)
        self.waiting = max(0, self.waiting - len(changed))
        return True

    def _write(self) -> None:
        """Every work that changed since the index's watermark stands in it as it is now."""
        left = None
        while True:
            with self.catalogue.read() as connection:
                after = self.engine.watermark()
                if left is None:
                    left = sql.count_work_changes(connection, after)
                changes = sql.list_work_changes(connection, after, _WORKS_AT_ONCE)
                if not changes:
                    return
                numbers = [work for _, work in changes]
                records = self._with_payloads(connection, list(get_works(connection, numbers, payloads=False)))
                ids = public_ids(connection, numbers)
            documents = [
                self._document(list(live), ids[work]) for work, live in groupby(records, key=lambda record: record.work)
            ]
            gone = set(numbers).difference(record.work for record in records)
            self.engine.write(documents, [ids[work] for work in sorted(gone)], changes[-1][0])
            self.counts.documents += len(documents)
            self.counts.deletions += len(gone)
            left = max(0, left - len(changes))
            done = self.counts.documents + self.counts.deletions
            self.progress(done, done + left + self.waiting)

    def _with_payloads(self, connection: Connection, records: list[CataloguedRecord]) -> list[CataloguedRecord]:
        """The records, with their payloads where they must be described anew."""
        missing = [record.number for record in records if (record.number, record.datestamp) not in self.described]
        full = {record.number: record for record in get_records(connection, missing)}
        return [full.get(record.number, record) for record in records]

    def _document(self, live: Sequence[CataloguedRecord], public_id: str) -> Document:
        pairs = [(record, self.described.get((record.number, record.datestamp))) for record in live]
        return document_of(
            [(record, known or describe(record, this_year=self.this_year)) for record, known in pairs],
            public_id=public_id,
        )

    def _describe(self, record: CataloguedRecord) -> Description:
        description = describe(record, this_year=self.this_year)
        self.described[record.number, record.datestamp] = description
        return description


def rebuild(
    catalogue: Catalogue, engine: EmbeddedEngine, beside: EmbeddedEngine, *, progress: Progress | None = None
) -> BuildCounts:
    """The engine holds an index built from nothing, and searches were answered all the while.

    It is built in `beside`, which must be empty, and swapped in at the end; what was committed meanwhile
    follows. What is raised before the swap leaves the present index as it was.
    """
    counts = advance(catalogue, beside, progress=progress)
    engine.replace_with(beside)
    beside.close()
    advance(catalogue, engine)
    return counts
