"""What came of reading a file, and within which limits it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["text", "scanned", "encrypted", "empty", "damaged", "too-big", "too-long", "unsupported"]
"""text: it can be searched. scanned: pictures of pages, with scraps of text at most. encrypted: opens with a password
only. empty: whole, and no text in it. damaged: no reader understands it. too-big: in bytes, or in the memory it wants.
too-long: not read within the time. unsupported: of a kind that is not read, such as a picture or an old Word file."""

Problem = Literal["crashed", "cut", "other-reader", "pages-unreadable"]
"""crashed: reading it killed the child. cut: a limit of pages or characters ends the text early. other-reader: the
usual library could not open it, a second one could. pages-unreadable: a page or more could not be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one file may cost.

    Attributes:
        seconds: of time from the question to the answer.
        memory: bytes that the child may have resident; a tenth of them is the interpreter with its libraries.
        size: bytes of the file; of a package (DOCX, EPUB) also of what is unpacked.
        page_size: bytes of a file that is held as a tree while it is read: a web page, or a part of an EPUB.
        pages: those behind are left off.
        characters: those behind are left off.
    """

    seconds: float = 60.0
    memory: int = 220_000_000
    size: int = 100_000_000
    page_size: int = 5_000_000
    pages: int = 5_000
    characters: int = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file as it was read.

    Attributes:
        media_type: by its content, as `sniff` names it.
        language: ISO 639-1, where the text is sure of it.
        text: of all pages, one after the other, lines and pages ended by line feeds.
        page_starts: where in `text` each page begins, in characters (code points); a page without text begins where
            the next one does. A kind of file without pages has one; an EPUB has one for each part of it.
        pages: of the file; more than `page_starts` where the text is cut.
    """

    state: State
    media_type: str
    language: str | None = None
    text: str = ""
    page_starts: tuple[int, ...] = ()
    pages: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """What one kind of reader takes out of a file, before it is judged and put together.

    Attributes:
        pages: the text of each page that was read.
        total: pages of the file.
        pictures: pages that are little else than a picture.
        printed: whether the pages are set for paper, so that lines end in broken words and pages in their numbers.
    """

    pages: list[str]
    total: int
    pictures: int = 0
    printed: bool = False
    problems: tuple[Problem, ...] = ()


class Unreadable(Exception):  # noqa: N818  # a state of the file, not an error of ours
    """The file ends in this state, without text."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.state = state
