"""The full texts of works: which files a reader may open, and the words of them that a search finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from harvester.archive import Archive
from harvester.catalogue.files import Copy
from harvester.errors import ArchiveError
from harvester.fulltext.keep import get_text
from harvester.fulltext.rights import find_bar
from indexer.document import Document, Text
from indexer.engine.schema import MOST_CHARACTERS
from indexer.reading import Reading


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies that readers may open, of some records by number, in reading order."""

    of: Mapping[int, Sequence[Copy]]
    now: int

    def open_for(self, reading: Reading) -> Sequence[Copy]:
        """Those of one record. What it says of its rights now counts, also before anybody has looked at its files."""
        return self.allowed(reading.record, reading.access, reading.embargo_until)

    def allowed(self, record: int, access: str | None, embargo_until: str | None) -> Sequence[Copy]:
        """Those of the record of this number, with these rights."""
        copies = self.of.get(record, ())
        return () if copies and find_bar(access, embargo_until, self.now) else copies

    def mark(self, document: Document, reading: Reading) -> Document:
        """The document of one record, which tells whether a text of it opens."""
        if not self.open_for(reading):
            return document
        return replace(document, holders=tuple(replace(holder, fulltext=True) for holder in document.holders))


def choose_text(of_holders: Iterable[Sequence[Copy]]) -> tuple[Copy, ...]:
    """The files whose texts are the work's, in order: those of the holder that has most of it, the first on a tie.

    Two holders' texts would be one and the same for the most, and count twice.
    """
    readable = [tuple(copy for copy in copies if copy.text == "text") for copies in of_holders]
    return max(readable, key=lambda copies: sum(copy.characters for copy in copies), default=())


def is_cut(copies: Iterable[Copy]) -> bool:
    """Whether there is more text than is indexed."""
    return sum(copy.characters for copy in copies) > MOST_CHARACTERS


def iter_texts(archive: Archive, copies: Iterable[Copy]) -> Iterator[Text]:
    """The texts of these files, one after the other, as far as they are indexed. One that the archive does not hold
    whole is left out.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    left = MOST_CHARACTERS
    for copy in copies:
        if left <= 0:
            return
        try:
            value = get_text(archive, copy.sha256)
        except ArchiveError as error:
            archive.check()
            structlog.get_logger("index").warning("an archived text cannot be read", sha256=copy.sha256, why=str(error))
            continue
        left -= len(value)
        yield Text(value, copy.language)
