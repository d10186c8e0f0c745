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
_LENGTH = 160  # of a piece, which has room for its page number in two lines
_ENOUGH = 20  # pages of a file are looked at closely, if its phrases are among them
_WITH_PAGES = "application/pdf"  # others have none, or parts
_SECONDS = 0.5  # after which the hits that are left have none


@dataclass(frozen=True, slots=True)
class Passage:
    """The best place in a work's full text, matches marked. `page` counts from 1; None where it is no PDF.

    `file` is which of the work's `files` it is, from 1; `language` that of the text.
    """

    text: Fragment
    page: int | None
    file: int
    files: int
    language: str | None


def find_passages(
    catalogue: Catalogue, archive: Archive, query: Node, documents: Sequence[Document]
) -> dict[str, Passage]:
    """Passages by the documents' ids: of those whose description does not meet the query by itself, and whose text is
    found to have any of it within half a second, all together.

    Raises:
        CatalogueError, ArchiveError: one of the two does not answer.
    """
    matcher = Matcher(query)
    wanted = [each for each in documents if each.fulltext and not _is_met(query, _described(each, matcher))]
    if not wanted or not query_words(query):
        return {}
    holders = {each.id: [holder.record for holder in each.holders if holder.fulltext] for each in wanted}
    numbers = [number for ids in holders.values() for each in ids if (number := decode_public_id(each)) is not None]
    with catalogue.read() as connection:
        records = {each.public_id: each.number for each in get_records(connection, ids=numbers)}
        copies = list_copies(connection, records.values())
    found: dict[str, Passage] = {}
    left, until = _MOST_IN_ALL, time.monotonic() + _SECONDS
    for document in wanted:
        chosen = choose_text(copies.get(records.get(record, 0), ()) for record in holders[document.id])
        if not chosen or left <= 0 or time.monotonic() > until:
            continue
        passage, read = find_best(archive, chosen, matcher, document.text_language, min(left, _MOST_BYTES), until)
        left -= read
        if passage:
            found[document.id] = passage
    return found


def find_best(
    archive: Archive, copies: Sequence[Copy], matcher: Matcher, language: str | None, most: int, until: float
) -> tuple[Passage | None, int]:
    """The best passage of these files, as far as they were looked through, and how much that was."""
    best: tuple[Finding, int, int, str] | None = None
    read = 0
    for at, copy in enumerate(copies):
        text = _read(archive, copy, most - read)
        read += len(text)
        for looked, (likely, page, piece) in enumerate(_by_likelihood(text, copy, matcher, language)):
            if best and (
                len(best[0].words) > likely or (looked >= _ENOUGH and len(best[0].phrases) == len(matcher.phrases))
            ):
                break
            finding = matcher.find(piece, copy.language or language)
            if finding.count and (best is None or finding.worth > best[0].worth):
                best = finding, at, page, piece
        if read >= most or time.monotonic() > until:
            break
    if best is None:
        return None, read
    _, at, page, piece = best
    of_text = copies[at].language or language
    numbered = page if copies[at].media_type == _WITH_PAGES else None
    fragment = snippet(" ".join(piece.split()), matcher, of_text, _LENGTH)
    return Passage(fragment, numbered, at + 1, len(copies), of_text), read


def _by_likelihood(text: str, copy: Copy, matcher: Matcher, language: str | None) -> list[tuple[int, int, str]]:
    """How many words of the query each page may have, its number and its text, most first: a look at letters is many
    times as quick as one at words."""
    cores = matcher.cores(copy.language or language)
    found = []
    for page, piece in _iter_pages(text, copy.page_starts):
        low = piece.lower()
        counts = [low.count(core) if core else 1 for core in cores]
        found.append((len(counts) - counts.count(0), sum(counts), page, piece))
    found.sort(key=lambda each: (-each[0], -each[1]))
    return [(likely, page, piece) for likely, _, page, piece in found]


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
