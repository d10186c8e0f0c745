"""What the words of the index are good for: completing, mending, and telling what a work is about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from rapidfuzz.distance import OSA

from indexer.analysis import tokenize, words
from indexer.document import Document
from indexer.engine import Suggestion
from indexer.engine.schema import WORD_PLACES
from indexer.parser import parse_query
from indexer.query import KeyField, query_words

TOLD_FIELDS = ("title", "subject", "abstract")  # whose words tell how rare a word is
_TELLING_WORDS = 12
_SHORTEST_MENDED = 4
_MOST_TYPED = 40  # words; nobody waits for the end of a longer title
_VALUED: tuple[KeyField, ...] = ("subject", "author")


class Vocabulary(Protocol):
    """The words of one index, and where they stand."""

    def count(self) -> int:
        """The number of documents."""

    def titles(self, typed: Sequence[str], limit: int) -> Iterable[str]:
        """Titles that begin with these words, the last one begun; then those that have them later."""

    def values(self, beginnings: Sequence[tuple[KeyField, str]], limit: int) -> Sequence[Sequence[str]]:
        """For each kind and beginning (a place of `WORD_PLACES` and words) the values that have it, most frequent
        first."""

    def found(self, words: Collection[str]) -> Collection[str]:
        """Those of the words that find anything, in any form."""

    def near(self, word: str, edits: int) -> Mapping[str, int]:
        """At least those tokens that so many edits make of this one, and how many documents have each."""

    def frequencies(self, tokens: Collection[str]) -> Mapping[str, int]:
        """In how many titles, subjects and abstracts each of the tokens stands."""


def complete(vocabulary: Vocabulary, prefix: str, limit: int) -> tuple[Suggestion, ...]:
    """Subjects, authors and titles that begin so come first, then those with a later word that does.

    Subjects and authors have a quarter each at first, the most frequent first; what room is left goes in order.
    """
    typed = words(prefix)
    if len("".join(typed)) < 2 or len(typed) > _MOST_TYPED or limit < 1:
        return ()
    joined = " ".join(typed)
    titles = [Suggestion(title, "title") for title in _distinct(vocabulary.titles(typed, limit))]
    begun = [title for title in titles if " ".join(words(title.text)).startswith(joined)]
    quarter = max(1, limit // 4)
    # Two letters begin too many words.
    places = WORD_PLACES if len(joined) > 2 else WORD_PLACES[:1]
    asked = [(kind, place + joined) for place in places for kind in _VALUED]
    values = [
        [Suggestion(value, kind) for value in found]
        for (kind, _), found in zip(asked, vocabulary.values(asked, limit), strict=True)
    ]
    groups = [*((found, quarter) for found in values[:2]), (begun, limit - 2 * quarter)]
    groups += [*((found, quarter) for found in values[2:]), (titles, limit)]
    first = [suggestion for found, share in groups for suggestion in found[:share]]
    return tuple(dict.fromkeys([*first, *(suggestion for found, _ in groups for suggestion in found)]))[:limit]


def _distinct(titles: Iterable[str]) -> Sequence[str]:
    """Each title once, as it is written first."""
    first: dict[str, str] = {}
    for title in titles:
        first.setdefault(" ".join(words(title)), title)
    return list(first.values())


def mend(vocabulary: Vocabulary, text: str) -> str | None:
    """The text with its unknown words replaced by near ones, or None where there are none to replace."""
    wanted = set(query_words(parse_query(text)))
    tokens = [
        token
        for token in tokenize(text)
        if token.source in wanted and len(token.text) >= _SHORTEST_MENDED and token.text.isalpha()
    ]
    known = vocabulary.found({token.source for token in tokens}) if tokens else ()
    near = {word: _nearest(vocabulary, word) for word in {t.text for t in tokens if t.source not in known}}
    parts, at = [], 0
    for token in tokens:
        if token.source not in known and (better := near[token.text]) is not None:
            parts += [text[at : token.start], better]
            at = token.end
    return "".join([*parts, text[at:]]) if parts else None


def _nearest(vocabulary: Vocabulary, word: str) -> str | None:
    """The word of the index with the fewest edits to this one (one in short words, two in long), then most frequent.

    Of the first two letters one is right and begins the word.
    """
    most = 1 if len(word) < 6 else 2
    near = [
        (edits, -frequency, term)
        for term, frequency in vocabulary.near(word, most).items()
        if term[0] in word[:2] and (edits := OSA.distance(word, term, score_cutoff=most)) <= most
    ]
    return next((term for _, _, term in sorted(near) if vocabulary.found([term])), None)


def telling_words(vocabulary: Vocabulary, document: Document) -> list[str]:
    """The rarer words of a document's title and subjects that other documents have too."""
    texts = [text.value for text in document.titles] + list(document.subjects)
    most = max(vocabulary.count() // 5, 10)
    tokens = {
        token.source: token.text
        for text in texts
        for token in tokenize(text[:2000])
        if len(token.text) > 2 and not re.fullmatch(r"\d+", token.text)
    }
    found = vocabulary.frequencies(set(tokens.values()))
    shared = sorted((found[token], word) for word, token in tokens.items() if 1 < found[token] <= most)
    return [word for _, word in shared[:_TELLING_WORDS]]
