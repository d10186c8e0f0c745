"""Records read and made ready for the index, in this process or, where there are many, in others beside it."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeAlias
from weakref import ref

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.members import get_base_urls
from harvester.catalogue.records import CataloguedRecord, get_records
from harvester.errors import EngineError
from harvester.processes import end_with_parent
from indexer.crosswalks import describe
from indexer.engine.schema import Entry, make_entry
from indexer.feed.provenance import find_first
from indexer.unite import document_of_record
from indexer.works import match_keys

_MANY = 5000  # records; below that, starting processes takes longer than they save
_MOST_PROCESSES = 4  # beside this one
_CHUNK = 250
_AHEAD = 4  # of them are given to each other process: two thirds of a second, in which this one may do something else
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

    Raises:
        EngineError: in the block, one of these processes was ended from outside.
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
            yield _Spread(pool, processes, catalogue, this_year).read
        except BrokenProcessPool as error:
            raise EngineError(
                "a process that reads records was ended from outside, for want of memory perhaps; the next run goes on "
                "from here"
            ) from error
        finally:
            gc.set_threshold(*_USUALLY)
            pool.shutdown(cancel_futures=True)


@dataclass(eq=False)
class _Task:
    """Records to be read: by a process of the pool, or here."""

    numbers: Sequence[int]
    beside: Future[list[Reading]] | None = None
    here: list[Reading] | None = None


class _Spread:
    """Reads in the processes of a pool, and in this one whenever it would wait for them. Not for several threads.

    The pool is only given what it begins soon, as nothing can be taken back from it: where one of its processes dies,
    Python up to 3.11 stumbles over what was cancelled, and leaves the others running.
    """

    def __init__(self, pool: Executor, processes: int, catalogue: Catalogue, this_year: int) -> None:
        self._pool = pool
        self._most = processes * _AHEAD
        self._catalogue = catalogue
        self._url = catalogue.engine.url.render_as_string(hide_password=False)
        self._this_year = this_year
        self._given: list[Future[list[Reading]]] = []
        self._waiting: deque[ref[_Task]] = deque()  # alive as long as somebody wants their readings

    def read(self, numbers: Sequence[int]) -> Iterator[Reading]:
        """A `Reader`."""
        tasks = deque(map(_Task, _chunks(numbers)))
        self._waiting.extend(map(ref, tasks))
        self._give()
        return self._iter_readings(tasks)

    def _iter_readings(self, tasks: deque[_Task]) -> Iterator[Reading]:
        while tasks:
            yield from self._await(tasks.popleft())

    def _await(self, task: _Task) -> list[Reading]:
        while task.here is None and not (task.beside and task.beside.done()):
            self._give()
            last = self._waiting.pop()() if self._waiting else None  # the pool begins with the first
            if last:
                last.here = _read(self._catalogue, last.numbers, self._this_year)
            elif not self._waiting:
                break
        self._give()
        return task.here if task.beside is None else task.beside.result()  # type: ignore[return-value]  # it is one of both

    def _give(self) -> None:
        self._given = [each for each in self._given if not each.done()]
        while self._waiting and len(self._given) < self._most:
            task = self._waiting.popleft()()
            if task:
                task.beside = self._pool.submit(_read_beside, self._url, task.numbers, self._this_year)
                self._given.append(task.beside)


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
