"""Archive against catalogue: every page is there and whole; what no page names is told and left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import zstandard

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.inventory import is_spoken_for, iter_runs
from harvester.errors import ArchiveError, ObjectNotFoundError
from indexer.tiers.differences import Difference

_READERS = 8
_AT_ONCE = 64
_RUN = re.compile(r"pages/[^/]+/(\d+)/")
_LIST = re.compile(rb"<(?:[\w.-]+:)?ListRecords[\s/>]")


@dataclass(frozen=True, slots=True)
class Body:
    """An object of the archive as it was found; `body` where it is whole."""

    state: Literal["whole", "missing", "damaged"]
    body: bytes = b""
    cause: str = ""


def find_body(archive: Archive, key: str, size: int | None = None) -> Body:
    """The page under this key, judged by its checksum, and by its size where that is known.

    Raises:
        ArchiveError: the archive cannot be reached, which says nothing about the page.
    """
    packed = _get(archive, key)
    if isinstance(packed, ArchiveError):
        return Body("missing" if isinstance(packed, ObjectNotFoundError) else "damaged", cause=str(packed))
    try:
        told = zstandard.get_frame_parameters(packed).content_size  # before so much memory is taken
        if size is not None and told != size:
            return Body("damaged", cause=f"{told} bytes, where {size} came")
        return Body("whole", zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False))
    except (zstandard.ZstdError, MemoryError) as error:
        return Body("damaged", cause=str(error) or "it claims an impossible size")


def _get(archive: Archive, key: str) -> bytes | ArchiveError:
    """The object's bytes; or the error that asking twice brought, though the archive itself is well."""
    told = ArchiveError()
    for _ in range(2):
        try:
            return archive.get(key)
        except ObjectNotFoundError as error:
            return error
        except ArchiveError as error:
            told = error
        archive.check()
    return told


class _Keys:
    """The archive's keys, ascending, taken as far as is wanted."""

    def __init__(self, keys: Iterator[str]) -> None:
        self._keys = keys
        self._next = next(keys, None)

    def take(self, wanted: Callable[[str], bool]) -> Iterator[str]:
        """The next keys, while they are wanted."""
        while self._next is not None and wanted(self._next):
            yield self._next
            self._next = next(self._keys, None)


def compare_pages(catalogue: Catalogue, archive: Archive, count: Callable[[int, int], None]) -> Iterator[Difference]:
    """Every difference between the catalogue's pages and the archive's objects.

    The keys of both come in ascending order; in memory are those of one run. `count` hears of pages looked at, and
    of objects.
    """
    keys = _Keys(archive.iter_keys("pages/"))

    def leave(unnamed: Iterable[str]) -> Iterator[Difference]:
        for key in unnamed:
            count(0, 1)
            if said := _judge_unnamed(catalogue, archive, key):
                yield said

    with ThreadPoolExecutor(_READERS) as readers:
        for run in iter_runs(catalogue):
            yield from leave(keys.take(lambda key, run=run: key < run.folder))  # type: ignore[misc]  # mypy#15459
            for start in range(0, len(run.pages), _AT_ONCE):
                some = run.pages[start : start + _AT_ONCE]
                for (key, _), found in zip(
                    some, readers.map(lambda page: find_body(archive, *page), some), strict=True
                ):
                    count(1, 0)
                    if found.state != "whole":
                        yield Difference(f"page-{found.state}", run.member, key, found.cause)
            named = {key for key, _ in run.pages}
            here = list(keys.take(lambda key, run=run: key.startswith(run.folder)))  # type: ignore[misc]  # as above
            count(0, len(named.intersection(here)))
            yield from leave(key for key in here if key not in named)
        yield from leave(keys.take(lambda _key: True))


def _judge_unnamed(catalogue: Catalogue, archive: Archive, key: str) -> Difference | None:
    """What is to be said of an object that no page names: nothing of an answer without records, such as Identify."""
    found = find_body(archive, key)
    if found.state == "missing" or (found.state == "whole" and not _LIST.search(found.body)):
        return None
    run = _RUN.match(key)
    with catalogue.read() as connection:
        if run and is_spoken_for(connection, int(run[1]), key):  # its page was committed since, or soon will be
            return None
    return Difference("object-unnamed", "", key, found.cause)
