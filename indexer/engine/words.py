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
from indexer.engine.schema import EXACT_WEIGHTS, WORD_PLACES
from indexer.engine.store import load
from indexer.parser import parse_query
from indexer.query import In, KeyField, Term, query_words

_TELLING_WORDS = 12
_SHORTEST_MENDED = 4


def complete(searcher: tantivy.Searcher, compiler: Compiler, prefix: str, limit: int) -> tuple[Suggestion, ...]:
    """Titles first; authors and subjects, the most frequent first, have a quarter each where there are enough."""
    typed = words(prefix)
    if len("".join(typed)) < 2 or limit < 1:
        return ()
    values = {kind: _values(searcher, compiler, kind, " ".join(typed), limit) for kind in ("author", "subject")}
    quarter = max(1, limit // 4)
    kept = sum(min(quarter, len(found)) for found in values.values())
    titles = list(_titles(searcher, compiler, typed, limit))[: max(limit - kept, 1)]
    found = [Suggestion(title, "title") for title in titles]
    for kind, others in (("author", "subject"), ("subject", "")):
        room = limit - len(found) - min(quarter, len(values.get(others, ())))
        found += [Suggestion(value, kind) for value in values[kind][: max(room, 0)]]
    return tuple(found[:limit])


def _titles(searcher: tantivy.Searcher, compiler: Compiler, typed: list[str], limit: int) -> Iterator[str]:
    query = compiler.completing(typed)
    seen: set[str] = set()
    for _, address in searcher.search(query, limit * 2, count=False).hits:
        title = load(searcher, address).title
        folded = " ".join(words(title))
        if folded not in seen:
            seen.add(folded)
            yield title


def _values(searcher: tantivy.Searcher, compiler: Compiler, kind: KeyField, typed: str, limit: int) -> list[str]:
    """Values with a word that begins so; those that only deleted documents had are left out."""
    values: dict[str, None] = {}
    for place in WORD_PLACES[: 1 if len(typed) < 3 else 2]:  # two letters begin too many words
        terms = searcher.terms_with_prefix("suggest", f"{kind}{place}{typed}", limit=limit * 3)
        values |= dict.fromkeys(term.rpartition("\x1f")[2] for term, _ in terms)
    return [v for v in values if compiler.count(In(kind, (v,)))][:limit]


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
