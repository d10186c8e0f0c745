"""Where in a full text a query is met: the best page, its number, and the piece of it to show."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.files import Copy, list_copies
from harvester.catalogue.inventory import get_records
from harvester.catalogue.public_ids import decode_public_id
from harvester.errors import ArchiveError
from harvester.fulltext.keep import get_text
from indexer.analysis import fold
from indexer.document import Document
from indexer.engine import Fragment
from indexer.highlight import Finding, Matcher, snippet
from indexer.query import And, Node, Or, Phrase, Prefix, Term, Typed, query_phrases, query_words
from indexer.texts import choose_text

_MOST_BYTES = 2_000_000  # of one work's texts that are looked through: a thousand pages
_MOST_IN_ALL = 6_000_000  # for one page of results
_SECONDS = 0.5  # after which the hits that are left have none


@dataclass(frozen=True, slots=True)
class Passage:
    """The best place in a work's full text, matches marked. `page` counts from 1; None in a kind of file without pages.

    `file` is which of the work's `files` it is, from 1.
    """

    text: Fragment
    page: int | None
    file: int
    files: int
    record: str


def find_passages(
    catalogue: Catalogue, archive: Archive, query: Node, documents: Sequence[Document]
) -> dict[str, Passage]:
    """Passages by the documents' ids: of those whose description does not meet the query by itself, and whose text is
    found to have any of it within half a second, all together.

    Raises:
        CatalogueError, ArchiveError: one of the two does not answer.
    """
    matcher, until = Matcher(query), time.monotonic() + _SECONDS
    wanted = [each for each in documents if each.fulltext and not _is_met(query, _described(each, matcher))]
    if not wanted or not query_words(query):
        return {}
    holders = {each.id: [holder.record for holder in each.holders if holder.fulltext] for each in wanted}
    numbers = [number for ids in holders.values() for each in ids if (number := decode_public_id(each)) is not None]
    with catalogue.read() as connection:
        records = {each.public_id: each.number for each in get_records(connection, ids=numbers)}
        copies = list_copies(connection, records.values())
    found: dict[str, Passage] = {}
    left = _MOST_IN_ALL
    for document in wanted:
        of_holders = {id_: copies.get(records.get(id_, 0), ()) for id_ in holders[document.id]}
        chosen = choose_text(of_holders.values())
        if not chosen or left <= 0 or time.monotonic() > until:
            continue
        record = next(id_ for id_, some in of_holders.items() if some and some[0].record_id == chosen[0].record_id)
        best: tuple[Finding, int, int, str] | None = None
        bytes_left = min(left, _MOST_BYTES)
        for at, copy in enumerate(chosen):
            text = _read(archive, copy, bytes_left)
            bytes_left -= len(text)
            left -= len(text)
            language = copy.language or document.text_language
            for page, piece in _iter_pages(text, copy.page_starts):
                finding = matcher.find(piece, language)
                if finding.count and (best is None or finding.worth > best[0].worth):
                    best = finding, at, page, piece
            if bytes_left <= 0 or time.monotonic() > until:
                break
        if best:
            _, at, page, piece = best
            text = " ".join(piece.split())
            fragment = snippet(text, matcher, chosen[at].language or document.text_language)
            numbered = page if len(chosen[at].page_starts) > 1 else None
            found[document.id] = Passage(fragment, numbered, at + 1, len(chosen), record)
    return found


def _read(archive: Archive, copy: Copy, most: int) -> str:
    try:
        return get_text(archive, copy.sha256, most)
    except ArchiveError:
        archive.check()
        return ""  # this one is damaged or gone; `lumbung archive verify` and the index's log tell


def _iter_pages(text: str, starts: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The pages that are not empty, with their numbers."""
    shown = starts[: bisect_right(starts, len(text))] or (0,)
    for number, (start, end) in enumerate(zip(shown, (*shown[1:], len(text)), strict=True), start=1):
        if start < end:
            yield number, text[start:end]


def _described(document: Document, matcher: Matcher) -> Finding:
    """What of the query the document has without its full text."""
    language = document.text_language
    texts = [(text.value, text.language or language) for text in (*document.titles, *document.abstracts)]
    names = (*document.creators, *document.contributors, *document.publishers, *document.sources)
    texts += [(value, language) for value in (*document.subjects, *names)]
    parts = [matcher.find(value, each) for value, each in texts]
    return reduce(lambda one, other: Finding(one.words | other.words, one.phrases | other.phrases), parts, Finding())


def _is_met(node: Node, found: Finding) -> bool:
    """Whether what was found is all that the query wants of words."""
    match node:
        case Term() | Phrase() if node.field == "text":
            return False
        case Term() | Prefix():
            return _words_of(node) <= found.words
        case Phrase():
            return _words_of(node) <= found.words and set(query_phrases(node)) <= found.phrases
        case And() | Typed():
            return all(_is_met(part, found) for part in (node.nodes if isinstance(node, And) else (node.node,)))
        case Or():
            return any(_is_met(part, found) for part in node.nodes)
        case _:
            return True


def _words_of(node: Node) -> set[str]:
    """The node's words as findings name them."""
    return {word[:-1] if word.endswith("*") else fold(word) for word in query_words(node)}
