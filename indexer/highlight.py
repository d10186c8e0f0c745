"""Where a text matches a query: the same tokens and stems as in the engine, so what was found is what is marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from indexer.analysis import (
    aligned,
    common_letters,
    fold,
    folds,
    iter_places,
    query_stems,
    seen_words,
    stem_of,
    tag_of,
    whole_word,
)
from indexer.document import Document, Text
from indexer.engine import Fragment, Hit
from indexer.query import Node, query_phrases, query_words

_ELLIPSIS = "…"


# A place in a text, from and to, and which word of the query it matches. A page of hits has hundreds: a bare tuple.
_Match: TypeAlias = tuple[int, int, str]


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


class _Verdicts(dict[str, str]):
    """Which word of the query each word of texts with one tag matches, asked once; empty where it matches none."""

    def __init__(self, exact: Collection[str], stems: Mapping[str, str], prefixes: Sequence[str], tag: str | None):
        super().__init__()
        self._exact, self._stems, self._prefixes, self._tag = exact, stems, prefixes, tag

    def __missing__(self, source: str) -> str:
        word = folds()[source]
        if word not in self._exact:  # what matches by its token is told so, whatever its stem
            begun = next(filter(word.startswith, self._prefixes), "")
            word = self._stems.get(stem_of(source, self._tag), begun)
        self[source] = word
        return word


class _Sought:
    """What a query looks for in texts with one tag."""

    def __init__(self, exact: Collection[str], stems: Mapping[str, str], prefixes: Sequence[str], tag: str | None):
        self._seen = seen_words(tag)
        self._forms = (*stems, *exact)
        self._prefixes = tuple(prefixes)
        self._letters = _letters(exact, stems, prefixes)
        self._verdicts = _Verdicts(exact, stems, prefixes, tag)

    def matches(self, text: str) -> list[_Match]:
        """Every matching place of the text, in order."""
        subject = aligned(text)
        if subject is None:
            spans = [place.span() for place in iter_places(text)]
            words = self._words_of({text[start:end] for start, end in spans})
            return [(*span, words[source]) for span in spans if (source := text[slice(*span)]) in words]
        letters = self._letters
        if letters is None:
            letters = [f" {word} " for word in self._words_of(set(subject.split()))]
        # A look at the words with these letters takes a tenth of the time of one at every word.
        verdicts, padded = self._verdicts, f" {subject} "
        found: dict[int, _Match] = {}
        for some in letters:
            at, more = padded.find(some), len(some) - 1
            while at >= 0:
                start = padded.rfind(" ", 0, at + 1)
                end = padded.find(" ", at + more)
                if word := verdicts[padded[start + 1 : end]]:
                    found[start] = start, end - 1, word
                at = padded.find(some, end)
        return sorted(found.values())

    def _words_of(self, found: set[str]) -> dict[str, str]:
        """Which word of the query each of a text's words matches, of those that match one."""
        by_form, folded = self._seen.by_form(found), folds()
        matched = found.intersection(self._forms)
        matched.update(*(found & by_form[form] for form in self._forms if form in by_form))
        if self._prefixes:
            matched.update(source for source in found if folded[source].startswith(self._prefixes))
        return {source: word for source in matched if (word := self._verdicts[source])}


def _letters(exact: Iterable[str], stems: Iterable[str], prefixes: Iterable[str]) -> Sequence[str] | None:
    """One of these is in every word of a text in ASCII that matches, a space being where one begins or ends."""
    kept: list[str] = []
    wanted = [*map(common_letters, stems), *map(whole_word, exact), *(f" {prefix}" for prefix in prefixes)]
    if None in wanted:
        return None
    for letters in sorted(filter(None, (*wanted, "'")), key=len):  # what an apostrophe joins may have other letters
        if not any(each in letters for each in kept):
            kept.append(letters)
    return kept


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
        self._sought: dict[str | None, _Sought] = {}
        self.phrases = query_phrases(query)

    def find(self, text: str, language: str | None) -> Finding:
        """What of the query stands in the text, wherever."""
        found = self.matches(text, language)
        if not found:
            return Finding()
        words = frozenset(word for _, _, word in found)
        phrases = frozenset(phrase for phrase in self.phrases if words.issuperset(phrase))
        if phrases:
            subject = aligned(text)
            parts = [text[slice(*place.span())] for place in iter_places(text)] if subject is None else subject.split()
            stream = f" {' '.join(map(folds().__getitem__, parts))} "
            phrases = frozenset(phrase for phrase in phrases if f" {' '.join(phrase)} " in stream)
        return Finding(words, phrases, len(found))

    def cores(self, language: str | None) -> tuple[str, ...]:
        """For each word of the query, what the words of a text that match it have in them, in lower case, unless they
        are written with accents."""
        stems = {exact: tagged for tagged, exact in self._stems.items() if tagged.startswith(f"{tag_of(language)}:")}
        return (*self._prefixes, *(_core(word, stems.get(word, "")) for word in sorted(self._exact)))

    def find_phrase(self, text: str, found: Sequence[_Match]) -> tuple[int, int] | None:
        """From and to of the first place where words that were found make a phrase of the query."""
        for phrase in self.phrases:
            for at in range(len(found) - len(phrase) + 1):
                run = found[at : at + len(phrase)]
                if all(
                    fold(text[start:end]) == word for (start, end, _), word in zip(run, phrase, strict=True)
                ) and not any(any(map(str.isalnum, text[end:start])) for (_, end, _), (start, _, _) in pairwise(run)):
                    return run[0][0], run[-1][1]
        return None

    def matches(self, text: str, language: str | None) -> list[_Match]:
        """Every matching place of the text, in order."""
        if not (self._exact or self._prefixes):
            return []
        tag = tag_of(language)
        sought = self._sought.get(tag)
        if sought is None:
            stems = {tagged: exact for tagged, exact in self._stems.items() if tagged.startswith(f"{tag}:")}
            sought = self._sought[tag] = _Sought(self._exact, stems, self._prefixes, tag)
        return sought.matches(text)


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
    inside = [match for match in found if match[0] >= start and match[1] <= end]
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
    best = None
    for text in document.abstracts:
        piece = snippet(text.value, matcher, text.language or language)
        if any(mark for _, mark in piece.parts):
            best = piece
            break
        best = best or piece
    title = document.titles[0] if document.titles else Text("")
    return highlight(title.value, matcher, title.language or language), best or Fragment()


def _best_window(found: list[_Match], length: int) -> tuple[int, int]:
    """From and to of the run of matches within `length` that has most different words, then most matches."""
    if found and found[-1][1] - found[0][0] <= length:
        return found[0][0], found[-1][1]
    best, place = (0, 0), (0, 0)
    inside: dict[str, int] = {}
    left = different = 0
    for at, (_, end, word) in enumerate(found):
        before = inside.get(word, 0)
        inside[word] = before + 1
        different += not before
        while end - found[left][0] > length and left < at:
            out = found[left][2]
            inside[out] -= 1
            different -= not inside[out]
            left += 1
        worth = (different, at - left + 1)
        if worth > best:
            best, place = worth, (found[left][0], end)
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
    for begin, behind, _ in found:
        if begin > at:
            parts.append((text[at:begin], False))
            parts.append((text[begin:behind], True))
        elif parts:
            parts[-1] = (parts[-1][0] + text[begin:behind], True)
        else:
            parts.append((text[begin:behind], True))
        at = behind
    if at < end:
        parts.append((text[at:end], False))
    return Fragment(tuple(parts))
