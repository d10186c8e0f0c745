"""The Engine contract: what a search engine does for Lumbung, whichever one it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

from indexer.document import Document
from indexer.engine.schema import Entry
from indexer.query import Facet, SearchRequest


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of text in parts: (text, marked); marked parts matched the query. Plain text, not HTML."""

    parts: tuple[tuple[str, bool], ...] = ()

    def __str__(self) -> str:
        return "".join(text for text, _ in self.parts)


@dataclass(frozen=True, slots=True)
class Hit:
    """One found work. `title` is the whole main title with matches marked, `snippet` the best piece of the abstract."""

    document: Document
    score: float | None
    title: Fragment
    snippet: Fragment


@dataclass(frozen=True, slots=True)
class Bucket:
    """One value of a facet and the number of works that have it; years are decimal text."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Results:
    """The answer to a `SearchRequest`. `total` counts works exactly. `next_cursor` is None on the last page.

    `facets` has an entry for each one asked for: most works first, then by value; `year` has every
    year that occurs, ascending. Every count is exact; among more than 1,000 values with equal counts at the
    end of a list the engine chooses.
    """

    total: int
    hits: tuple[Hit, ...]
    facets: dict[Facet, tuple[Bucket, ...]] = field(default_factory=dict)
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A completion for the search box; `kind` is `title`, `author` or `subject`."""

    text: str
    kind: str


class Engine(Protocol):
    """A projection of the catalogue that answers questions; it can be dropped and built again at any time.

    Any method may raise `EngineUnavailableError`; reading an index that was never built raises it too.
    Opening an index of another schema raises `SchemaChangedError`. Safe for use by many threads;
    only one process writes: `write` raises `EngineBusyError` where another one does, or where the watermark is not the
    one that this engine has read last.
    """

    def write(self, documents: Iterable[Document | Entry], deletions: Iterable[str], watermark: int) -> None:
        """Documents stand in the index under their ids (each replacing its former self), the ids in `deletions` do not;
        `watermark` is remembered after all of it is durable and visible. Doing it twice changes nothing.

        An id in both stands; of two documents with one id the last one does. When it raises, or the process
        dies, the index is as before, or as after with the former watermark.
        """

    def watermark(self) -> int:
        """The last watermark that was written; 0 for a new index."""

    def search(self, request: SearchRequest) -> Results:
        """The page of works that the request asks for. Raises `QueryRejectedError` for a cursor that is not ours."""

    def get(self, document_id: str) -> Document | None:
        """The document, or None."""

    def suggest(self, prefix: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """Titles, authors and subjects that complete what has been typed."""

    def correct(self, text: str) -> str | None:
        """The text with words that find nothing replaced by near ones that do, or None if there is nothing to mend."""

    def similar(self, document_id: str, limit: int = 6) -> tuple[Document, ...]:
        """Other works about the same thing, best first; empty for an unknown id."""

    def count(self) -> int:
        """The number of works in the index."""

    def iter_ids(self) -> Iterator[str]:
        """Every document id, in ascending order of its UTF-8 bytes, in bounded memory."""

    def beside(self, *, anew: bool = False) -> Self:
        """An index that grows from nothing while this one is read: the one that a former call has left unfinished,
        unless `anew`."""

    def replace_with(self, other: Self) -> None:
        """What `other` holds, which `beside` made, is read here from now on, all at once. The former index, of whatever
        schema, is kept until the next time; `other` is not used any more."""

    def close(self) -> None:
        """Nothing is held any more; what was written stays."""
