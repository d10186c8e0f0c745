"""What a run has been shown of one list: which copy of a record counts, and how many records are distinct."""

from __future__ import annotations

from dataclasses import replace

from harvester.oai.page import Header, Page

# Records that are remembered, which takes 8 MB. Beyond, a copy is a record of its own.
MAX_SHOWN = 50_000


class Shown:
    """The best copy of each record that was shown: the one of the later datestamp, the live one on a tie.

    Some servers list a deleted and a live copy of one identifier (pkp-lib#7901, #10296), on whatever pages.
    """

    def __init__(self) -> None:
        self._best: dict[int, str] = {}  # by the hash of its identifier, the copy as `_order` has it
        self._window = 0
        self.moved = False  # whether a record was changed while its list was walked
        self.further = 0  # records of this window that no other had shown

    def begin_window(self) -> None:
        """Whatever is shown from now on counts anew."""
        self._window += 1
        self.further = 0

    def __contains__(self, header: Header) -> bool:
        """Whether this copy or a better one was shown."""
        best = self._best.get(hash(header.identifier))
        return best is not None and best >= _order(header, chr(0))

    @property
    def is_full(self) -> bool:
        """Whether further records cannot be told from known ones any more."""
        return len(self._best) >= MAX_SHOWN

    def take(self, page: Page, until: str | None, began: str = "~") -> tuple[Page, int]:
        """The page without copies that lose, and how many records it adds to its window.

        A record counts once, and so does one that comes again since it was changed after the walk `began`: it may have
        pushed another one aside. Its live and its deleted copy are two. One stamped `until` or later is counted by the
        window that begins there.
        """
        best, window, full = self._best, chr(self._window), len(self._best) >= MAX_SHOWN
        winners = []
        new = len(page.failed)
        for record in page.records:
            header = record.header
            key = hash(header.identifier)
            copy = _order(header, window)
            known = best.get(key)
            again = known is not None and known[-1] == window and header.datestamp[: len(began)] >= began
            self.moved = self.moved or (again and known != copy)
            self.further += known is None
            if known != copy and not again and (until is None or is_within(header, until)):
                new += 1
            if known is not None and known > copy:
                continue
            winners.append(record)
            if not full or known is not None:
                best[key] = copy
        if len(winners) < len(page.records):
            page = replace(page, records=tuple(winners))
        return page, new


def _order(header: Header, window: str) -> str:
    """One text that is the greater the better the copy is, the later window on a tie: many at once take memory."""
    return f"{header.datestamp}\0{'-' if header.deleted else '~'}{window}"


def is_within(header: Header, until: str) -> bool:
    """Whether the record is stamped before `until`: so windows that share a moment never count it twice."""
    return header.datestamp[: len(until)] < until
