"""What a run has been shown of one list: which copy of a record counts, and how many records are distinct."""

from __future__ import annotations

from dataclasses import replace

from harvester.oai.page import Header, Page

# Records that are remembered, which takes some 10 MB. Beyond, a copy is a record of its own.
MAX_SHOWN = 50_000


class Shown:
    """The best copy of each record that was shown: the one of the later datestamp, the live one on a tie.

    Some servers list a deleted and a live copy of one identifier (pkp-lib#7901, #10296), on whatever pages.
    """

    def __init__(self) -> None:
        self._best: dict[int, tuple[str, bool, int]] = {}
        self._window = 0

    def begin_window(self) -> None:
        """Whatever is shown from now on counts anew."""
        self._window += 1

    def __contains__(self, header: Header) -> bool:
        """Whether this copy or a better one was shown."""
        best = self._best.get(hash(header.identifier))
        return best is not None and best >= (header.datestamp, not header.deleted, 0)

    def take(self, page: Page, until: str | None) -> tuple[Page, int]:
        """The page without copies that lose, and how many records it adds to its window.

        A record counts once; one stamped `until` or later is counted by the window that begins there.
        """
        best, window, full = self._best, self._window, len(self._best) >= MAX_SHOWN
        winners = []
        new = len(page.failed)
        for record in page.records:
            header = record.header
            key = hash(header.identifier)
            copy = (header.datestamp, not header.deleted, window)
            known = best.get(key)
            if known != copy and (until is None or is_within(header, until)):
                new += 1
            if known is not None and known > copy:
                continue
            winners.append(record)
            if not full or known is not None:
                best[key] = copy
        if len(winners) < len(page.records):
            page = replace(page, records=tuple(winners))
        return page, new


def is_within(header: Header, until: str) -> bool:
    """Whether the record is stamped before `until`: so windows that share a moment never count it twice."""
    return header.datestamp[: len(until)] < until
