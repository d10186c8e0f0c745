"""Records read and made ready for the index, in this process or, where there are many, in others beside it."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeAlias

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.members import get_base_urls
from harvester.catalogue.records import CataloguedRecord, get_records
from harvester.processes import end_with_parent
from indexer.crosswalks import describe
from indexer.engine.schema import Entry, make_entry
from indexer.feed.provenance import find_first
from indexer.unite import document_of_record
from indexer.works import match_keys

_MANY = 5000  # records; below that, starting processes takes longer than they save
_MOST_PROCESSES = 4  # beside this one
_CHUNK = 250
# When Python looks for cycles: records make none, and looking for some took a tenth of the time.
_SELDOM, _USUALLY = (100_000, 50, 50), gc.get_threshold()


class Reading(NamedTuple):
    """What the index needs of a record as it stood at `datestamp`: its match keys, its entry, were it alone in its work
    and without a text, and what it says of who may read it. A deleted record has none of it.
    """

    record: int
    datestamp: int
    keys: tuple[str, ...]
    entry: Entry | None
    access: str | None = None
    embargo_until: str | None = None


# Reads records by their numbers. The readings come in the order of the numbers within each 250 that are asked for;
# other processes begin at once, this one when it is asked for the first.
Reader: TypeAlias = Callable[[Sequence[int]], Iterator[Reading]]


@contextmanager
def open_reader(catalogue: Catalogue, this_year: int, expected: int) -> Iterator[Reader]:
    """A reader for about so many records: other processes beside this one where they are worth their start. Each takes
    a second and a half for that, and meets every name and word for the first time.
    """
    processes = min(_MOST_PROCESSES, (os.cpu_count() or 1) - 1)
    if expected < _MANY or not processes:

        def read_here(numbers: Sequence[int]) -> Iterator[Reading]:
            return chain.from_iterable(_read(catalogue, some, this_year) for some in _chunks(numbers))

        yield read_here
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit open databases and the index's lock
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin) as pool:
        gc.set_threshold(*_SELDOM)
        try:
            yield _Spread(pool, catalogue, this_year).read
        finally:
            gc.set_threshold(*_USUALLY)
            pool.shutdown(cancel_futures=True)


class _Spread:
    """Reads in the processes of a pool, and in this one whenever it would wait for them. Not for several threads."""

    def __init__(self, pool: Executor, catalogue: Catalogue, this_year: int) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._url = catalogue.engine.url.render_as_string(hide_password=False)
        self._this_year = this_year
        self._begun: dict[Future[list[Reading]], Sequence[int]] = {}  # that this process could still take over
        self._read_here: dict[Future[list[Reading]], list[Reading]] = {}

    def read(self, numbers: Sequence[int]) -> Iterator[Reading]:
        """A `Reader`."""
        begun = {self._pool.submit(_read_beside, self._url, some, self._this_year): some for some in _chunks(numbers)}
        self._begun |= begun
        return chain.from_iterable(map(self._await, begun))

    def _await(self, one: Future[list[Reading]]) -> list[Reading]:
        while self._begun and not one.done():
            last, numbers = self._begun.popitem()  # the others begin with the first
            if last.cancel():
                self._read_here[last] = _read(self._catalogue, numbers, self._this_year)
        self._begun.pop(one, None)
        return self._read_here.pop(one) if one in self._read_here else one.result()


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK))


def _begin() -> None:
    end_with_parent()
    atexit.register(os._exit, 0)  # a quarter of a second goes into taking its memory apart, and is waited for
    gc.freeze()
    gc.set_threshold(*_SELDOM)


def _read_beside(url: str, numbers: Sequence[int], this_year: int) -> list[Reading]:
    return _read(_catalogue(url), numbers, this_year)


@lru_cache(maxsize=1)
def _catalogue(url: str) -> Catalogue:
    """Opened once in each process."""
    return open_catalogue(url)


def _read(catalogue: Catalogue, numbers: Sequence[int], this_year: int) -> list[Reading]:
    with catalogue.read() as connection:
        found = list(get_records(connection, numbers))
        addresses = get_base_urls(connection, {record.member for record in found})
    return [_reading(record, addresses[record.member], this_year) for record in found]


def _reading(record: CataloguedRecord, base_url: str, this_year: int) -> Reading:
    if record.deleted:
        return Reading(record.number, record.datestamp, (), None)
    description = describe(record, this_year=this_year)
    entry = make_entry(document_of_record(record, description))
    keys = match_keys(description, origin=find_first(record, base_url).key)
    rights = description.rights
    return Reading(record.number, record.datestamp, keys, entry, rights.access, rights.embargo_until)
