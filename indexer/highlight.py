"""Where a text matches a query: the same tokens and stems as in the engine, so what was found is what is marked."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from indexer.analysis import aligned, fold, folds, iter_places, query_stems, seen_words, tag_of
from indexer.document import Document, Text
from indexer.engine import Fragment, Hit
from indexer.query import Node, query_words

_ELLIPSIS = "…"


class _Match(NamedTuple):
    """A place in a text, and which word of the query it matches."""

    start: int
    end: int
    word: str


class Matcher:
    """The words of one query, ready to be looked for in many texts.

    A token matches by its exact form, by its stem in the text's language, or by the beginning that a
    prefix query names.
    """

    def __init__(self, query: Node) -> None:
        words = query_words(query)
        self._prefixes = tuple(word[:-1] for word in words if word.endswith("*"))
        whole = {word: fold(word) for word in words if not word.endswith("*")}
        self._exact = {exact: exact for exact in whole.values()}
        self._stems = {tagged: exact for word, exact in whole.items() for tagged in query_stems(word)}
        self._forms: dict[str | None, dict[str, str]] = {}

    def matches(self, text: str, language: str | None) -> list[_Match]:
        """Every matching place of the text, in order."""
        if not (self._exact or self._prefixes):
            return []
        tag, subject = tag_of(language), aligned(text)
        if subject is None:
            spans = [place.span() for place in iter_places(text)]
            words = self._find_words({text[start:end] for start, end in spans}, tag)
            return [_Match(*span, words[source]) for span in spans if (source := text[slice(*span)]) in words]
        words = self._find_words(set(subject.split()), tag)
        padded = f" {subject} "
        found = []
        for source, word in words.items():
            between, length = f" {source} ", len(source)
            at = padded.find(between)
            while at >= 0:
                found.append(_Match(at, at + length, word))
                at = padded.find(between, at + length + 1)
        found.sort()
        return found

    def _find_words(self, found: set[str], tag: str | None) -> dict[str, str]:
        """Which word of the query each of a text's words matches, of those that match one."""
        by_form, folded = seen_words(tag).by_form(found), folds()
        matched: dict[str, str] = {}
        for prefix in reversed(self._prefixes):
            matched |= dict.fromkeys((source for source in found if folded[source].startswith(prefix)), prefix)
        if tag not in self._forms:  # what matches by its token is told so, whatever its stem
            stems = {tagged: exact for tagged, exact in self._stems.items() if tagged.startswith(f"{tag}:")}
            self._forms[tag] = stems | self._exact
        for form, word in self._forms[tag].items():
            if form in found:
                matched[form] = word
            if form in by_form:
                matched |= dict.fromkeys(found & by_form[form], word)
        return matched


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
    first, last = _best_window(found, length)
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
    pieces = (snippet(text.value, matcher, text.language or language) for text in document.abstracts)
    first = next(pieces, Fragment())
    best = next((piece for piece in chain((first,), pieces) if any(mark for _, mark in piece.parts)), first)
    return highlight(title.value, matcher, title.language or language), best


def _best_window(found: list[_Match], length: int) -> tuple[int, int]:
    """From and to of the run of matches within `length` that has most different words, then most matches."""
    best, place = (0, 0), (0, 0)
    inside: dict[str, int] = {}
    left = different = 0
    for at, match in enumerate(found):
        before = inside.get(match.word, 0)
        inside[match.word] = before + 1
        different += not before
        while match.end - found[left].start > length and left < at:
            out = found[left].word
            inside[out] -= 1
            different -= not inside[out]
            left += 1
        worth = (different, at - left + 1)
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
