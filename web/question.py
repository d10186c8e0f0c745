"""What a reader asks, read from the address and written back into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict

from indexer.parser import parse_query
from indexer.query import All, Facet, SearchRequest, Sort

KEYS: Final[tuple[Facet, ...]] = ("member", "type", "language", "subject", "author")
_CHOSEN: Final[tuple[Facet, ...]] = (*KEYS, "year")
SORTS: Final[tuple[Sort, ...]] = ("relevance", "newest", "oldest", "title", "added")
Years = tuple[int | None, int | None]

_LONGEST_TEXT = 300  # characters: every link on the page repeats the text
_LONGEST_VALUE = 300
_MOST_VALUES = 40  # of one facet


@dataclass(frozen=True, slots=True)
class Question:
    """The state of a search, all of it in the address. `chosen` are the values of each facet in `KEYS`,
    and years chosen one by one; a span of them is `years`, and there is never both.

    `opened` asks for the authors as well, whose facet costs more than the others together.
    """

    text: str = ""
    chosen: tuple[tuple[Facet, tuple[str, ...]], ...] = ()
    years: Years = (None, None)
    fulltext: bool = False
    sort: Sort = "relevance"
    opened: bool = False
    cursor: str | None = None

    @property
    def narrowed(self) -> bool:
        """True where a filter is chosen."""
        return bool(self.chosen) or self.years != (None, None) or self.fulltext

    @property
    def wordless(self) -> bool:
        """True where there is a text, but nothing in it that can be searched, so that everything is found."""
        return bool(self.text) and isinstance(parse_query(self.text).node, All)

    @property
    def usual_sort(self) -> Sort:
        """The order in which results come where the reader names none: nothing to match, the newest first."""
        return "relevance" if self.text else "newest"

    def values(self, facet: Facet) -> tuple[str, ...]:
        """The chosen values of a facet."""
        return dict(self.chosen).get(facet, ())

    def toggled(self, facet: Facet, value: str) -> Question:
        """The same question with one value more, or less."""
        former = self.values(facet)
        rest = tuple(v for v in former if v != value)
        chosen = dict(self.chosen) | {facet: rest if value in former else (*former, value)}
        return replace(self, chosen=tuple((f, chosen[f]) for f in _CHOSEN if chosen.get(f)), cursor=None)

    def with_years(self, lower: int | None, upper: int | None) -> Question:
        """The same question for these years, both included, and no others."""
        chosen = tuple(pair for pair in self.chosen if pair[0] != "year")
        return replace(self, chosen=chosen, years=(lower, upper), cursor=None)

    def widened(self) -> Question:
        """The same words without any filter."""
        return replace(self, chosen=(), years=(None, None), fulltext=False, cursor=None)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The parameters of the address, shortest form, without the text and the cursor."""
        for facet, values in self.chosen:
            yield from ((facet, value) for value in values)
        if self.years != (None, None):
            yield "year", format_years(self.years)
        if self.fulltext:
            yield "fulltext", "1"
        if self.sort != self.usual_sort:
            yield "sort", self.sort
        if self.opened:
            yield "facet", "author"

    def path(self, root: str = "/search") -> str:
        """The address of this question."""
        pairs = [*([("q", self.text)] if self.text else []), *self.pairs()]
        if self.cursor:
            pairs.append(("cursor", self.cursor))
        return root + ("?" + urlencode(pairs) if pairs else "")

    def request(self, facets: tuple[Facet, ...], *, size: int = 20) -> SearchRequest:
        """The question as an engine takes it."""
        return SearchRequest(
            query=parse_query(self.text),
            filters=self.chosen,
            years=self.years,
            fulltext=True if self.fulltext else None,
            facets=facets,
            sort=self.sort,
            cursor=self.cursor,
            size=size,
        )


def parse_question(args: MultiDict[str, str]) -> Question:
    """The question in an address. What cannot be read is left out: no address is an error."""
    text = " ".join(args.get("q", "")[: 4 * _LONGEST_TEXT].split())[:_LONGEST_TEXT]
    chosen = {facet: _clean(args.getlist(facet)) for facet in KEYS}
    years = _parse_years(args)
    if years == (None, None):
        chosen["year"] = _single_years(args)
    question = Question(
        text=text,
        chosen=tuple((facet, values) for facet, values in chosen.items() if values),
        years=years,
        fulltext=args.get("fulltext") == "1",
        opened=args.get("facet") == "author" or bool(chosen["author"]),
        cursor=args.get("cursor", "")[:2000] or None,
    )
    sort = next((s for s in SORTS if s == args.get("sort")), question.usual_sort)
    return replace(question, sort=sort)


def format_years(years: Years) -> str:
    """The range as an address has it: 2019, 2019-2021, 2019- or -2021."""
    lower, upper = ("" if year is None else str(year) for year in years)
    return lower if lower == upper else f"{lower}-{upper}"


def _clean(values: list[str]) -> tuple[str, ...]:
    kept = (value.strip() for value in values if value.isprintable() and len(value) <= _LONGEST_VALUE)
    return tuple(dict.fromkeys(value for value in kept if value))[:_MOST_VALUES]


def _parse_years(args: MultiDict[str, str]) -> Years:
    """The span from the earliest to the latest year named, open where single years are chosen.

    `year_from` and `year_to` are the form's own fields.
    """
    lower, upper = _year(args.get("year_from", "")), _year(args.get("year_to", ""))
    if lower is None and upper is None and not _single_years(args):
        spans = [value.partition("-") for value in args.getlist("year")]
        ends = [(_year(first), _year(last if dash else first)) for first, dash, last in spans]
        ends = [span for span in ends if span != (None, None)]
        lowers, uppers = [span[0] for span in ends], [span[1] for span in ends]
        lower = min((y for y in lowers if y is not None), default=None) if None not in lowers else None
        upper = max((y for y in uppers if y is not None), default=None) if None not in uppers else None
    if lower is not None and upper is not None and lower > upper:
        return upper, lower
    return lower, upper


def _single_years(args: MultiDict[str, str]) -> tuple[str, ...]:
    """Several years, each named by itself; none where there is a span, or one year, which is a span of its own."""
    named = [value for value in args.getlist("year") if value.strip()]
    years = sorted({year for value in named[:_MOST_VALUES] if (year := _year(value)) is not None})
    return tuple(map(str, years)) if len(years) > 1 and not any(map(_is_span, named)) else ()


def _is_span(text: str) -> bool:
    first, dash, last = text.partition("-")
    return bool(dash) and (_year(first), _year(last)) != (None, None)


def _year(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else None
