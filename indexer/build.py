"""Bringing an index up to date with the catalogue: first the works, then their documents.

Both stages remember how far they came together with what they did, so a build that is killed at any
moment goes on where it was, and one that is run twice changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic, sleep

import structlog
from sqlalchemy import Connection

from harvester.archive import Archive
from harvester.catalogue import works as sql
from harvester.catalogue.database import Catalogue
from harvester.catalogue.files import Copy, list_copies
from harvester.catalogue.records import CataloguedRecord, get_works, public_ids
from harvester.errors import ArchiveError, EngineBusyError, EngineError
from indexer.document import Document
from indexer.engine import Engine
from indexer.engine.schema import MOST_CHARACTERS, Entry, make_entry, order_key, unpack
from indexer.reading import Reader, Reading, open_reader
from indexer.texts import Copies, choose_text, is_cut, iter_texts
from indexer.unite import unite
from indexer.works import assign

CURSOR = "works"

_RECORDS_AT_ONCE = 1000  # of one transaction that assigns works
_READ_AHEAD = 4  # times as many are being read while others are assigned and written
_WORKS_AT_ONCE = 6000  # of one commit of the index: the last one is written while nothing more is read
_TOLERATED = 0.02  # of the works may be missing in a new index, or too many
_EVER = 2**62  # behind the datestamp of any record
_BUSY_SECONDS = 120  # in which another process has to end its write
_KEPT = 5000  # records read whose works' documents are not written yet; they change older works, too

Progress = Callable[[int, int | None], None]
_Position = tuple[int, int]  # datestamp, record number


@dataclass(slots=True)
class BuildCounts:
    """What a build did: records assigned to works, documents written, and documents that must not be there: of works
    that are no more, whether or not the index knew them. Of the documents `texts` have a full text, `cut` not all of
    theirs."""

    records: int = 0
    documents: int = 0
    deletions: int = 0
    texts: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class _Readable:
    """A document and the files of its full text, which is only in memory while it is written."""

    document: Document
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Changed records that are being read, from behind one position of the cursor up to another."""

    after: _Position
    last: _Position
    readings: Iterator[Reading]


def advance(
    catalogue: Catalogue, engine: Engine, archive: Archive | None = None, *, progress: Progress | None = None
) -> BuildCounts:
    """The index shows every change that was committed to the catalogue before this call.

    `progress` hears of works written and of those that are known to be left, those written included. Without an archive
    no full text can be found: it is for catalogues that have none.

    Raises:
        EngineError: the index cannot be written; what the works stage did stays.
        CatalogueError: the catalogue does not answer.
        ArchiveError: the archive does not answer, and there are full texts; what was done before stays.
    """
    this_year = datetime.fromtimestamp(catalogue.now(), UTC).year
    with catalogue.write() as connection:
        until = sql.close_changes(connection, catalogue.now())
    with catalogue.read() as connection:
        waiting = sql.count_changes(connection, sql.get_cursor(connection, CURSOR), until)
        expected = waiting + sql.count_work_changes(connection, engine.watermark())
    with open_reader(catalogue, this_year, expected) as reader:
        return _Build(catalogue, engine, archive, reader, until, waiting, progress).run()


def forget_works(catalogue: Catalogue) -> None:
    """The next build assigns every record to its work again, as after a change of the rules."""
    with catalogue.write() as connection:
        sql.move_cursor(connection, CURSOR, sql.get_cursor(connection, CURSOR), (0, 0))


def rebuild(
    catalogue: Catalogue,
    engine: Engine,
    archive: Archive | None = None,
    *,
    anew: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> BuildCounts:
    """The engine holds an index built from nothing, and searches were answered all the while.

    It grows beside the present one, on from where a killed rebuild came unless `anew`, and is swapped in at the end;
    what was committed meanwhile follows. What is raised before the swap leaves the present index as it was.

    Raises:
        EngineError: the new index holds two percent more or fewer works than it should, which `force` lets pass; it
            stays beside the present one. Or what `advance` raises.
    """
    with closing(engine.beside(anew=anew)) as beside:
        counts = advance(catalogue, beside, archive, progress=progress)
        advance(catalogue, beside, archive)
        if reason := _find_difference(catalogue, engine, beside):
            if not force:
                raise EngineError(
                    f"the new index was not swapped in: {reason}; `lumbung reindex --force` swaps it in all the same, "
                    "`--anew` builds it again"
                )
            _log().warning("the new index is swapped in all the same", reason=reason)
        when_free(lambda: engine.replace_with(beside))
    advance(catalogue, engine, archive)
    return counts


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("index")
    return log


def _find_difference(catalogue: Catalogue, engine: Engine, beside: Engine) -> str | None:
    """In what the new index differs from the catalogue or the present index by more than is tolerated, or None.

    What changed since either was written is no difference. A present index that cannot be read is not compared.
    """
    built = beside.count()
    with catalogue.read() as connection:
        works = sql.count_works(connection)
        late = _count_late(connection, beside.watermark())
    if abs(built - works) - late > _TOLERATED * max(built, works):
        return f"it holds {built} works, and the catalogue {works}"
    try:
        watermark, present = engine.watermark(), engine.count()
    except EngineError:
        return None
    with catalogue.read() as connection:
        late = _count_late(connection, watermark)
    if abs(built - present) - late > _TOLERATED * max(built, present):
        return f"it holds {built} works, and the present one {present}"
    return None


def _count_late(connection: Connection, watermark: int) -> int:
    """How many works at most an index that has come to this watermark does not show as they are."""
    unassigned = sql.count_changes(connection, sql.get_cursor(connection, CURSOR), _EVER)
    return unassigned + sql.count_work_changes(connection, watermark)


def when_free(write: Callable[[], object]) -> None:
    """It was written, as soon as no other process wrote to the index.

    Raises:
        EngineBusyError: another one has been writing for two minutes.
    """
    deadline = monotonic() + _BUSY_SECONDS
    while True:
        try:
            write()
        except EngineBusyError:
            if monotonic() > deadline:
                raise
            sleep(1)
        else:
            return


class _Build:
    """One run of `advance`: stage by stage in turn, so that each record is read once."""

    def __init__(
        self,
        catalogue: Catalogue,
        engine: Engine,
        archive: Archive | None,
        reader: Reader,
        until: int,
        waiting: int,
        progress: Progress | None,
    ) -> None:
        self.catalogue = catalogue
        self.engine = engine
        self.archive = archive
        self.reader = reader
        self.until = until
        self.waiting = waiting  # records that are still to be assigned
        self.progress = progress or (lambda _done, _total: None)
        self.counts = BuildCounts()
        self.ahead: deque[_Batch] = deque()
        self.last = engine.watermark()
        self.written: Future[None] | None = None  # the writing of the documents up to `last`
        self.readings: dict[int, Reading] = {}  # that wait for the documents of their works, by number

    def run(self) -> BuildCounts:
        """Everything up to `until` is in the index."""
        more = True
        with ThreadPoolExecutor(1) as beside:
            while more:
                while more and len(self.readings) < _KEPT:
                    more = self._assign()
                self._write(beside)
                self.readings.clear()
            self._await_written()
        return self.counts

    def _assign(self) -> bool:
        """The next records stand in their works; False where there were none."""
        self._read_ahead()
        if not self.ahead:
            self.waiting = 0
            return False
        batch = self.ahead.popleft()
        readings = list(batch.readings)
        with self.catalogue.write() as connection:
            moved = sql.move_cursor(connection, CURSOR, batch.after, batch.last)
            if moved:
                assign(connection, {reading.record: reading.keys for reading in readings})
        if not moved:  # somebody else was faster: go on where they are
            self.ahead.clear()
            return True
        self.counts.records += len(readings)
        self.waiting = max(0, self.waiting - len(readings))
        self._keep(readings)
        return True

    def _keep(self, readings: Iterable[Reading]) -> None:
        self.readings.update((reading.record, reading) for reading in readings)

    def _is_read(self, record: CataloguedRecord) -> bool:
        known = self.readings.get(record.number)
        return known is not None and known.datestamp >= record.datestamp

    def _document_of(
        self, records: Iterable[CataloguedRecord], public_id: str, copies: Copies
    ) -> Document | Entry | _Readable | None:
        """What the records of a work make; None where all have been deleted since, as the next build will find."""
        read = (self.readings.get(record.number) for record in records)
        made = [(reading, reading.entry) for reading in read if reading and reading.entry]
        files = [found for reading, _ in made if (found := copies.open_for(reading))]
        if len(made) == 1 and not files and made[0][1].id == order_key(public_id):
            return made[0][1]
        documents = [copies.mark(unpack(entry.document), reading) for reading, entry in made]
        if not documents:
            return None
        document = unite(documents, public_id=public_id)
        return _Readable(document, choose_text(files)) if files else document

    def _with_texts(self, found: Iterable[Document | Entry | _Readable]) -> Iterator[Document | Entry]:
        """Those that are readable with their texts, one after the other."""
        for each in found:
            if not isinstance(each, _Readable):
                yield each
                continue
            if self.archive is None:
                raise ArchiveError("there are full texts, and no archive was given to read them from")
            if is_cut(each.copies):
                self.counts.cut += 1
                _log().info("not all of a full text is indexed", work=each.document.id, characters=MOST_CHARACTERS)
            self.counts.texts += bool(each.copies)
            yield make_entry(each.document, iter_texts(self.archive, each.copies))

    def _read_ahead(self) -> None:
        with self.catalogue.read() as connection:
            after = self.ahead[-1].last if self.ahead else sql.get_cursor(connection, CURSOR)
            while len(self.ahead) < _READ_AHEAD:
                changed = sql.list_changes(connection, after, self.until, _RECORDS_AT_ONCE)
                if not changed:
                    return
                self.ahead.append(_Batch(after, changed[-1], self.reader([number for _, number in changed])))
                after = changed[-1]

    def _write(self, beside: Executor) -> None:
        """Every work that changed since the last one written stands in the index as it is now, or soon will.

        The last documents are written while the next records are being read.
        """
        while True:
            with self.catalogue.read() as connection:
                changes = sql.list_work_changes(connection, self.last, _WORKS_AT_ONCE)
                if not changes:
                    return
                numbers = [work for _, work in changes]
                live = list(get_works(connection, numbers, payloads=False))
                ids = {each.work: each.id for each in live if each.work == each.number}
                ids |= public_ids(connection, [number for number in numbers if number not in ids])
                held = list_copies(connection, [each.number for each in live], page_starts=False)
            copies = Copies(held, self.catalogue.now())
            self._keep(self.reader([each.number for each in live if not self._is_read(each)]))
            grouped = groupby(live, key=lambda record: record.work)
            found = [self._document_of(records, ids[work], copies) for work, records in grouped]
            documents = [document for document in found if document]
            left = sorted(set(numbers).difference(record.work for record in live))
            gone = [ids[work] for work in left if work in ids]  # one of no record, as damage leaves, has no id
            self._await_written()
            self.last = changes[-1][0]
            self.written = beside.submit(self.engine.write, self._with_texts(documents), gone, self.last)
            self.counts.documents += len(documents)
            self.counts.deletions += len(gone)

    def _await_written(self) -> None:
        if self.written:
            self.written.result()
            self.written = None
            with self.catalogue.read() as connection:
                left = sql.count_work_changes(connection, self.last)
            done = self.counts.documents + self.counts.deletions
            self.progress(done, done + left + self.waiting)
