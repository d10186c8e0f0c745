"""The three tiers compared: counts, then keys, then contents, in bounded memory and while all else goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue import works as sql
from harvester.catalogue.inventory import count_all, iter_member_counts
from harvester.errors import EngineAwayError, EngineError
from indexer.build import CURSOR
from indexer.engine import Engine
from indexer.tiers.differences import HARMLESS, KINDS, Difference, Found, Summary
from indexer.tiers.documents import compare_ids
from indexer.tiers.pages import compare_pages
from indexer.tiers.records import compare_records
from indexer.tiers.repair import Repair

__all__ = ["HARMLESS", "KINDS", "Counts", "Difference", "Summary", "TierCheck"]

_AHEAD = 86_400  # what is stamped later than now, as after a clock that went back, is counted, too
_FIRST_BUILD_SECONDS = 5  # between the first works that are assigned and the first that an index has


@dataclass(slots=True)
class Counts:
    """How much there is in each tier; `indexed` None: there is no index to speak of.

    Objects of the archive that no page names are answers without records, for the most. `waiting`: works and records
    that the next build of the index will look at.
    """

    members: int = 0
    pages: int = 0
    records: int = 0
    works: int = 0
    objects: int = 0
    indexed: int | None = None
    waiting: int = 0

    def __str__(self) -> str:
        """All of it in a line."""
        index = "no index yet" if self.indexed is None else f"{self.indexed} works, {self.waiting} changes wait for it"
        return (
            f"archive: {self.objects} objects; catalogue: {self.members} members, {self.pages} pages, "
            f"{self.records} records, {self.works} works; index: {index}"
        )


class TierCheck:
    """One comparison of archive, catalogue and index, which may mend what it finds.

    Args:
        rebuild: makes an index anew that cannot be used; None: nothing is mended.
        progress: hears of what was looked at, and of how much there is in all.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        archive: Archive,
        engine: Engine,
        *,
        rebuild: Callable[[], None] | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self.counts = Counts()
        self._catalogue = catalogue
        self._archive = archive
        self._engine = engine
        self._rebuild = rebuild
        self._repair = Repair(catalogue, archive, engine) if rebuild else None
        self._progress = progress
        self._done = self._total = 0

    def iter_differences(self) -> Iterator[Difference]:
        """Every difference, as it is found, and mended where that was asked for.

        What is changed meanwhile is no difference; what seems to be one is looked at again. It may be killed.

        Raises:
            ArchiveError, CatalogueError, EngineError: one of them cannot be reached any more.
        """
        self._count()
        yield from compare_pages(self._catalogue, self._archive, self._count_page)
        engine: Engine | None = self._engine
        if trouble := self._find_trouble():
            yield from self._settle([Found(Difference("index-unusable", "", "index", trouble))])
            engine = None
        if engine and self.counts.indexed is not None:
            for found in compare_ids(self._catalogue, engine, lambda: self._step(1)):
                yield from self._settle(found)
        else:
            engine = None
        this_year = datetime.fromtimestamp(self._catalogue.now(), UTC).year
        expected = self.counts.records
        for found in compare_records(self._catalogue, engine, this_year, expected, self._step):
            yield from self._settle(found)
        for member in iter_member_counts(self._catalogue):
            if member.told != member.counted:
                detail = "{} live and {} deleted are told, {} and {} are there".format(*member.told, *member.counted)
                yield from self._settle([Found(Difference("count-wrong", member.slug, "", detail), member.id)])
        if self._repair:
            self._repair.write_index()

    def _settle(self, found: Sequence[Found]) -> Iterator[Difference]:
        if self._repair is None or self._rebuild is None:
            yield from (each.difference for each in found)
        elif found and found[0].difference.kind == "index-unusable":
            self._rebuild()
            yield replace(found[0].difference, mended=True)
        else:
            yield from self._repair.mend(found)

    def _count(self) -> None:
        with self._catalogue.read() as connection:
            inventory = count_all(connection)
        for name in ("members", "pages", "records", "works"):
            setattr(self.counts, name, getattr(inventory, name))
        self._total = inventory.pages + inventory.works + inventory.records

    def _count_page(self, pages: int, objects: int) -> None:
        self.counts.objects += objects
        self._step(pages)

    def _step(self, done: int) -> None:
        self._done += done
        self._progress(self._done, max(self._done, self._total))

    def _find_trouble(self) -> str | None:
        """Why the index cannot be used, where it should be there by now."""
        seen = self._find_cursor()
        trouble = self._try_index()
        if trouble is None or seen == (0, 0):  # nothing was ever indexed: nothing is wrong
            return None
        time.sleep(_FIRST_BUILD_SECONDS)
        trouble = self._try_index()
        return trouble if self._find_cursor() == seen else None

    def _find_cursor(self) -> tuple[int, int]:
        with self._catalogue.read() as connection:
            return sql.get_cursor(connection, CURSOR)

    def _try_index(self) -> str | None:
        """None where the index answers."""
        try:
            watermark = self._engine.watermark()
            self.counts.indexed = self._engine.count()
        except EngineAwayError:
            raise
        except EngineError as error:
            return str(error)
        with self._catalogue.read() as connection:
            works = sql.count_work_changes(connection, watermark)
            cursor = sql.get_cursor(connection, CURSOR)
            self.counts.waiting = works + sql.count_changes(connection, cursor, self._catalogue.now() + _AHEAD)
        return None
