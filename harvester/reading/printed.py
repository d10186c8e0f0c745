"""Printed pages made readable again: broken words joined, running heads and page numbers gone where that is sure."""

from __future__ import annotations

import re
from collections import defaultdict

# How PDFium marks a hyphen that ends a line, together with that end: U+FFFE, in older versions U+0002. Some hyphens it
# leaves as they are.
_BREAK = re.compile(r"[\ufffe\x02-](?:(?<=[\ufffe\x02])\s?|(?<=[a-z]-)\n(?=[a-z]))")
_LEFT = re.compile(r"[^\W\d_]+\Z")
_RIGHT = re.compile(r"[^\W_]{1,40}")
_PUNCTUATION = ".,;:!?()[]'\"“”‘’"
_NUMBER = re.compile(r"\d+")
_ROMAN = re.compile(r"(?=[ivxl])(x{0,3}(?:l?x{0,3}))(ix|iv|v?i{0,3})", re.IGNORECASE)
_EDGE = 2  # lines at the beginning and at the end of a page among which a head or foot is looked for
_FEWEST = 3  # pages that show it


def join_words(pages: list[str]) -> list[str]:
    """Each page with the words whole that its lines had broken.

    A hyphen stays where it belongs to the word: between equal halves (rata-rata), before a capital or a digit, and
    where the same word has one elsewhere in the file.
    """
    if not any("\ufffe" in page or "-\n" in page or "\x02" in page for page in pages):
        return pages
    known = {word.strip(_PUNCTUATION).lower() for page in pages for word in page.split() if "-" in word}

    def join(match: re.Match[str]) -> str:
        left = _LEFT.search(match.string[max(0, match.start() - 40) : match.start()])
        right = _RIGHT.match(match.string, match.end())
        if not left or not right:
            return "-"
        before, after = left[0].lower(), right[0].lower()
        stays = before == after or not right[0][0].islower() or f"{before}-{after}" in known
        return "-" if stays else ""

    return [_BREAK.sub(join, page) for page in pages]


def drop_running_lines(pages: list[str]) -> list[str]:
    """Each page without its number, and without a head or foot after the first page that has it.

    Sure is a line at the edge of three or more pages, each near to the next, that is the same but for a number that
    grows with the pages. A page's only line stays.
    """
    split = [page.split("\n") for page in pages]
    seen: dict[tuple[str, int | None], list[tuple[int, int]]] = defaultdict(list)
    for number, lines in enumerate(split):
        if len(lines) < 2:
            continue
        for place in _edges(lines):
            for key in _keys(lines[place].strip(), number):
                seen[key].append((number, place))
    dropped: dict[int, set[int]] = defaultdict(set)
    for (form, offset), places in seen.items():
        run = _running(places)
        if len({number for number, _ in run}) < _FEWEST:
            continue
        bare = offset is not None and not any(map(str.isalpha, form.replace("#", "")))
        for number, place in run if bare else run[1:]:
            dropped[number].add(place)
    for number, gone in dropped.items():
        kept = [line for place, line in enumerate(split[number]) if place not in gone]
        if any(line.strip() for line in kept):
            split[number] = kept
    return ["\n".join(lines) for lines in split]


def _edges(lines: list[str]) -> set[int]:
    """The places of the first and of the last lines that are not blank."""
    full = [place for place, line in enumerate(lines) if line.strip()]
    return {*full[:_EDGE], *full[-_EDGE:]}


def _keys(line: str, page: int) -> list[tuple[str, int | None]]:
    """As what a line may run: the same words, or the same words around a number that is the page's plus an offset."""
    numbers = list(_NUMBER.finditer(line)) if len(line) < 200 else []
    keys: list[tuple[str, int | None]] = [(line, None)] if any(map(str.isalpha, line)) else []
    for found in {numbers[0].span(), numbers[-1].span()} if numbers else ():
        begin, end = found
        if end - begin < 6:
            keys.append((f"{line[:begin]}#{line[end:]}", int(line[begin:end]) - page))
    if (value := _roman(line)) is not None:
        keys = [("# roman", value - page)]
    return keys


def _roman(line: str) -> int | None:
    """The value of a line that is a Roman number below 90, as the first pages of a book have them."""
    match = _ROMAN.fullmatch(line.strip(" -–"))
    if not match or not match[0]:
        return None
    digits = {"i": 1, "v": 5, "x": 10, "l": 50}
    values = [digits[letter] for letter in match[0].lower()]
    return sum(-value if after > value else value for value, after in zip(values, [*values[1:], 0], strict=True))


def _running(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those with a neighbour at most two pages off: left and right pages may have heads of their own."""
    return [
        place
        for at, place in enumerate(places)
        if (at and place[0] - places[at - 1][0] <= 2) or (at + 1 < len(places) and places[at + 1][0] - place[0] <= 2)
    ]
