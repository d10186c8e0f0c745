"""Records read for the index, in this process or, where there are many, in several."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from harvester.catalogue.records import CataloguedRecord
from harvester.processes import end_with_parent
from indexer.crosswalks import describe
from indexer.document import Document
from indexer.unite import document_of_record
from indexer.works import match_keys

_MANY = 50_000  # records; below that, starting processes takes longer than they save
_PROCESSES = 2
_CHUNK = 125


@dataclass(frozen=True, slots=True)
class Reading:
    """What the index needs of a record: its match keys, and its document, were it alone in its work.

    A deleted record has neither.
    """

    record: int
    keys: tuple[str, ...]
    document: Document | None


class Reader(Protocol):
    """Reads records; the readings come in the records' order."""

    def __call__(self, records: Iterable[CataloguedRecord]) -> Iterator[Reading]:
        """The readings, perhaps begun at once and perhaps when they are asked for."""


@contextmanager
def open_reader(this_year: int, expected: int) -> Iterator[Reader]:
    """A reader for about so many records: two processes where they are worth their start."""
    read = partial(_read, this_year=this_year)
    if expected < _MANY or (os.cpu_count() or 1) < 2:
        yield partial(map, read)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit open databases and the index's lock
    with ProcessPoolExecutor(_PROCESSES, mp_context=spawn, initializer=end_with_parent) as pool:
        try:
            yield partial(pool.map, read, chunksize=_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)


def _read(record: CataloguedRecord, *, this_year: int) -> Reading:
    if record.deleted:
        return Reading(record.number, (), None)
    description = describe(record, this_year=this_year)
    return Reading(record.number, match_keys(description), document_of_record(record, description))
