"""Whether the archive holds what it was given: files by their checksums, pages by their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from harvester.archive import file_key, get_page
from harvester.catalogue.files import list_to_verify, mark_damaged, mark_unread, mark_verified
from harvester.catalogue.inventory import iter_runs
from harvester.errors import ArchiveError
from harvester.fulltext.keep import is_text_whole, is_whole, text_key
from harvester.run import HarvestContext
from harvester.schedule import DAY

_AT_A_LOOK = 100


@dataclass(frozen=True, slots=True)
class Checked:
    """A file or its text that was verified; where it is not whole, `records` ask for the file again, and a text is read
    again."""

    key: str
    whole: bool
    records: tuple[int, ...] = ()


def verify_files(context: HarvestContext, days: int) -> Iterator[Checked]:
    """Each archived file that was not verified for so many days, by checksum, until `context.stop`.

    One that is damaged or gone is removed, and its records are due; one whose text is so is read again.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    catalogue, log = context.catalogue, structlog.get_logger("archive")
    now, last = catalogue.now(), ""
    while not context.stop.is_set():
        with catalogue.read() as connection:
            some = list_to_verify(connection, now - days * DAY, _AT_A_LOOK, last)
        if not some:
            return
        for kept in some:
            if context.stop.is_set():
                return
            key, records = file_key(kept.sha256), tuple[int, ...]()
            whole = is_whole(context.archive, key, kept.sha256)
            if whole:
                with catalogue.write(beside=True) as connection:
                    mark_verified(connection, kept.sha256, now)
            else:
                context.archive.remove(key)
                with catalogue.write() as connection:
                    records = mark_damaged(connection, kept.sha256, now)
                log.error("an archived file is damaged; it is fetched again", key=key, records=len(records))
            yield Checked(key, whole, records)
            if whole and not is_text_whole(context.archive, kept.sha256, kept.characters):
                with catalogue.write(beside=True) as connection:
                    mark_unread(connection, kept.sha256)
                log.error("an archived text is damaged; the file is read again", key=text_key(kept.sha256))
                yield Checked(text_key(kept.sha256), whole=False)
            last = kept.sha256


def iter_damaged_pages(context: HarvestContext) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each archived page that is not what came, until `context.stop`.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    for run in iter_runs(context.catalogue):
        for key, size in run.pages:
            if context.stop.is_set():
                return
            try:
                found = len(get_page(context.archive, key))
            except ArchiveError as error:
                context.archive.check()
                yield key, str(error)
            else:
                if found != size:
                    yield key, f"it has {found} bytes and not {size}"
