"""Where a text matches a query: the same tokens and stems as in the engine, so what was found is what is marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from indexer.analysis import fold, forms, iter_places, list_words, query_stems
from indexer.document import Document, Text
from indexer.engine import Fragment, Hit
from indexer.query import Node, query_phrases, query_words

_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class _Match:
    """A place in a text, and which word of the query it matches."""

    start: int
    end: int
    word: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What of a query a text has: which of its words and phrases, and how many words of the text match."""

    words: frozenset[str] = frozenset()
    phrases: frozenset[tuple[str, ...]] = frozenset()
    count: int = 0

    @property
    def worth(self) -> tuple[int, int, int]:
        """The more, the better: phrases count most."""
        return len(self.phrases), len(self.words), self.count


class Matcher:
    """The words of one query, ready to be looked for in many texts.

    A token matches by its exact form, by its stem in the text's language, or by the beginning that a
    prefix query names. `phrases` are the tokens that are to stand side by side.
    """

    def __init__(self, query: Node) -> None:
        words = query_words(query)
        self._prefixes = tuple(word[:-1] for word in words if word.endswith("*"))
        whole = {word: fold(word) for word in words if not word.endswith("*")}
        self._exact = frozenset(whole.values())
        self._stems = {tagged: exact for word, exact in whole.items() for tagged in query_stems(word)}
        self.phrases = query_phrases(query)
        self._known: dict[str | None, dict[str, str | None]] = {}
        self._seen: dict[str | None, tuple[set[str], dict[str, str]]] = {}  # words of texts, and those that match

    def find(self, text: str, language: str | None) -> Finding:
        """What of the query stands in the text, wherever."""
        if not (self._exact or self._prefixes):
            return Finding()
        seen, hits = self._seen.setdefault(language, (set(), {}))
        exact, stems = forms(language)
        parts = list_words(text, language)
        for source in set(parts).difference(seen):
            seen.add(source)
            word = self._find_word(exact[source], stems[source] if stems is not None else "")
            if word is not None:
                hits[source] = word
        wanted = set(hits).intersection(parts)
        if not wanted:
            return Finding()
        words = frozenset(map(hits.__getitem__, wanted))
        phrases = frozenset(phrase for phrase in self.phrases if words.issuperset(phrase))
        if phrases:
            stream = f" {' '.join(map(exact.__getitem__, parts))} "
            phrases = frozenset(phrase for phrase in phrases if f" {' '.join(phrase)} " in stream)
        return Finding(words, phrases, sum(map(wanted.__contains__, parts)))

    def cores(self, language: str | None) -> tuple[str, ...]:
        """For each word of the query, what the words of a text that match it have in them, in lower case, unless they
        are written with accents."""
        _, stems = forms(language)
        words = (_core(word, stems[word] if stems is not None else "") for word in sorted(self._exact))
        return (*self._prefixes, *words)

    def find_phrase(self, text: str, found: Sequence[_Match]) -> tuple[int, int] | None:
        """From and to of the first place where words that were found make a phrase of the query."""
        for phrase in self.phrases:
            for at in range(len(found) - len(phrase) + 1):
                run = found[at : at + len(phrase)]
                if all(fold(text[m.start : m.end]) == word for m, word in zip(run, phrase, strict=True)) and not any(
                    any(map(str.isalnum, text[one.end : other.start])) for one, other in pairwise(run)
                ):
                    return run[0].start, run[-1].end
        return None

    def matches(self, text: str, language: str | None) -> list[_Match]:
        """Every matching place of the text, in order."""
        if not (self._exact or self._prefixes):
            return []
        known = self._known.setdefault(language, {})
        exact, stems = forms(language)
        found = []
        for place in iter_places(text):
            start, end = place.span()
            source = text[start:end]
            try:
                word = known[source]
            except KeyError:
                word = known[source] = self._find_word(exact[source], stems[source] if stems is not None else "")
            if word is not None:
                found.append(_Match(start, end, word))
        return found

    def _find_word(self, token: str, tagged: str) -> str | None:
        """The word of the query that a word of a text matches by its token or its stem, or None."""
        if token in self._exact:
            return token
        if tagged in self._stems:
            return self._stems[tagged]
        if self._prefixes:
            return next((prefix for prefix in self._prefixes if token.startswith(prefix)), None)
        return None


def _core(word: str, tagged: str) -> str:
    """What a word has in common with all others of its stem: Indonesian changes the first letter, others the last."""
    tag, _, stem = tagged.partition(":")
    core = stem[1:] if tag == "id" else stem[:-1]
    return (core if core in word else "") if stem else word


def highlight(text: str, matcher: Matcher, language: str | None) -> Fragment:
    """The whole text with its matches marked."""
    return _marked(text, matcher.matches(text, language), 0, len(text))


def snippet(text: str, matcher: Matcher, language: str | None, length: int = 240) -> Fragment:
    """The piece of about `length` characters with the most different matches; the beginning where there is none.

    It starts and ends between words; "…" stands where text was left out.
    """
    if len(text) <= length:
        return highlight(text, matcher, language)
    found = matcher.matches(text, language)
    first, last = matcher.find_phrase(text, found) or _best_window(found, length)
    spare = max(0, length - (last - first))
    start = 0 if first <= spare // 2 else _word_start(text, first - spare // 2, first)
    end = _word_end(text, min(len(text), start + length), last)
    inside = [match for match in found if match.start >= start and match.end <= end]
    middle = _marked(text, inside, start, end).parts
    before = ((_ELLIPSIS, False),) if start else ()
    after = ((_ELLIPSIS, False),) if end < len(text) else ()
    return Fragment(before + middle + after)


def make_hit(document: Document, score: float | None, matcher: Matcher) -> Hit:
    """The document as a hit, its matches marked."""
    title, snippet = highlight_hit(document, matcher)
    return Hit(document, score, title, snippet)


def highlight_hit(document: Document, matcher: Matcher) -> tuple[Fragment, Fragment]:
    """The title, and the snippet of the first abstract that has a match, else the beginning of the first."""
    language = document.text_language
    title = document.titles[0] if document.titles else Text("")
    pieces = [snippet(text.value, matcher, text.language or language) for text in document.abstracts]
    marked = (piece for piece in pieces if any(mark for _, mark in piece.parts))
    best = next(marked, pieces[0] if pieces else Fragment())
    return highlight(title.value, matcher, title.language or language), best


def _best_window(found: list[_Match], length: int) -> tuple[int, int]:
    """From and to of the run of matches within `length` that has most different words, then most matches."""
    best, place = (0, 0), (0, 0)
    inside: Counter[str] = Counter()
    left = 0
    for match in found:
        inside[match.word] += 1
        while match.end - found[left].start > length and found[left] is not match:
            inside[found[left].word] -= 1
            inside += Counter()  # drops what has fallen to nothing
            left += 1
        worth = (len(inside), inside.total())
        if worth > best:
            best, place = worth, (found[left].start, match.end)
    return place


def _word_start(text: str, wanted: int, latest: int) -> int:
    """The first beginning of a word from `wanted` on, or `wanted` in text without spaces."""
    space = text.find(" ", wanted - 1, latest)
    return space + 1 if space >= 0 else wanted


def _word_end(text: str, wanted: int, earliest: int) -> int:
    """The last end of a word before `wanted`, or `wanted` in text without spaces."""
    if wanted >= len(text):
        return len(text)
    space = text.rfind(" ", earliest, wanted + 1)
    return space if space > 0 else max(wanted, earliest)


def _marked(text: str, found: list[_Match], start: int, end: int) -> Fragment:
    """The text from `start` to `end` in parts; marks that touch, as in scripts without spaces, are one."""
    parts: list[tuple[str, bool]] = []
    at = start
    for match in found:
        if match.start == at and parts and parts[-1][1]:
            parts[-1] = (parts[-1][0] + text[match.start : match.end], True)
        else:
            if match.start > at:
                parts.append((text[at : match.start], False))
            parts.append((text[match.start : match.end], True))
        at = match.end
    if at < end:
        parts.append((text[at:end], False))
    return Fragment(tuple(parts))
