"""What the words of the index are good for: completing, mending, and telling what a work is about."""

from __future__ import annotations

import re
from collections.abc import Iterator

import tantivy
from rapidfuzz.distance import OSA

from indexer.analysis import tokenize, words
from indexer.document import Document
from indexer.engine import Suggestion
from indexer.engine.compile import Compiler
from indexer.engine.facets import value_of
from indexer.engine.schema import EXACT_WEIGHTS, SHARED_KEYS, TITLE_ORDER, WORD_PLACES, order_key
from indexer.engine.store import load
from indexer.parser import parse_query
from indexer.query import In, KeyField, Term, query_words

_TELLING_WORDS = 12
_SHORTEST_MENDED = 4
_VALUED: tuple[KeyField, ...] = ("subject", "author")


def complete(searcher: tantivy.Searcher, compiler: Compiler, prefix: str, limit: int) -> tuple[Suggestion, ...]:
    """Subjects, authors and titles that begin so come first, then those with a later word that does.

    Subjects and authors have a quarter each at first, the most frequent first; what room is left goes in order.
    """
    typed = words(prefix)
    if len("".join(typed)) < 2 or limit < 1:
        return ()
    joined = " ".join(typed)
    titles = [Suggestion(title, "title") for title in _titles(searcher, compiler, typed, limit)]
    begun = [title for title in titles if " ".join(words(title.text)).startswith(joined)]
    quarter = max(1, limit // 4)
    groups: list[tuple[list[Suggestion], int]] = []
    for place, among, share in zip(WORD_PLACES, (begun, titles), (limit - 2 * quarter, limit), strict=True):
        if place == WORD_PLACES[0] or len(joined) > 2:  # two letters begin too many words
            groups += [(_values(searcher, compiler, kind, place + joined, limit), quarter) for kind in _VALUED]
        groups.append((among, share))
    first = [suggestion for found, share in groups for suggestion in found[:share]]
    return tuple(dict.fromkeys([*first, *(suggestion for found, _ in groups for suggestion in found)]))[:limit]


def _titles(searcher: tantivy.Searcher, compiler: Compiler, typed: list[str], limit: int) -> Iterator[str]:
    """Titles that begin with these words, the last one begun, in their order; then those that have them later."""
    seen: set[str] = set()
    joined = " ".join(typed)
    terms = searcher.terms_with_prefix(TITLE_ORDER, order_key(joined), limit=limit)
    keys = [bytes.fromhex(term).decode(errors="ignore") for term, _ in terms]
    for query in (*(compiler.completing(begun.split()) for begun in keys), compiler.completing(typed)):
        for _, address in searcher.search(query, limit * 2, count=False).hits:
            title = load(searcher, address).title
            folded = " ".join(words(title))
            if folded not in seen:
                seen.add(folded)
                yield title


def _values(
    searcher: tantivy.Searcher, compiler: Compiler, kind: KeyField, beginning: str, limit: int
) -> list[Suggestion]:
    """Values with such a beginning at that place; those that only deleted documents had are left out."""
    terms = searcher.terms_with_prefix(SHARED_KEYS, f"{kind}{beginning}", limit=limit * 3)
    numbers = dict.fromkeys(int(term.rpartition("\x1f")[2], 16) for term, _ in terms)
    values = (value_of(searcher, kind, number) for number in numbers)
    return [Suggestion(v, kind) for v in values if compiler.count(In(kind, (v,)))][:limit]


def mend(searcher: tantivy.Searcher, compiler: Compiler, text: str) -> str | None:
    """The text with its unknown words replaced by near ones, or None where there are none to replace."""
    wanted = set(query_words(parse_query(text)))
    replaced: list[tuple[int, int, str]] = []
    for token in tokenize(text):
        if token.source not in wanted or len(token.text) < _SHORTEST_MENDED or not token.text.isalpha():
            continue
        if not compiler.count(Term(token.source)):
            near = _nearest(searcher, compiler, token.text)
            if near is not None:
                replaced.append((token.start, token.end, near))
    if not replaced:
        return None
    for start, end, near in reversed(replaced):
        text = text[:start] + near + text[end:]
    return text


def _nearest(searcher: tantivy.Searcher, compiler: Compiler, word: str) -> str | None:
    """The word of the index with the fewest edits to this one (one in short words, two in long), then most frequent.

    Of the first two letters one is right and begins the word.
    """
    most = 1 if len(word) < 6 else 2
    frequencies: dict[str, int] = {}
    for name in EXACT_WEIGHTS:
        for beginning in {word[0], word[1]}:
            for term, frequency in searcher.terms_with_prefix(name, beginning):
                if abs(len(term) - len(word)) <= most:
                    frequencies[term] = frequencies.get(term, 0) + frequency
    near = [
        (edits, -frequency, term)
        for term, frequency in frequencies.items()
        if (edits := OSA.distance(word, term, score_cutoff=most)) <= most
    ]
    for _, _, term in sorted(near):
        if compiler.count(Term(term)):
            return term
    return None


def telling_words(searcher: tantivy.Searcher, document: Document) -> list[str]:
    """The rarer words of a document's title and subjects that other documents have too."""
    texts = [text.value for text in document.titles] + list(document.subjects)
    most = max(searcher.num_docs // 5, 10)
    rarity = {
        token.source: sum(searcher.doc_freq(name, token.text) for name in ("title", "subject", "abstract"))
        for text in texts
        for token in tokenize(text[:2000])
        if len(token.text) > 2 and not re.fullmatch(r"\d+", token.text)
    }
    shared = sorted((frequency, word) for word, frequency in rarity.items() if 1 < frequency <= most)
    return [word for _, word in shared[:_TELLING_WORDS]]
