"""What each kind of node means, in the few operations that every engine has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Generic, Protocol, TypeVar

from indexer.analysis import Token, is_unspaced, query_stems, tokenize
from indexer.engine.schema import (
    EXACT_WEIGHTS,
    READABLE,
    SEARCHED,
    SHARED_KEYS,
    STEM_WEIGHTS,
    TITLE_ORDER,
    key_term,
    title_order,
)
from indexer.parser import parse_words
from indexer.query import (
    All,
    And,
    Facet,
    Field,
    In,
    KeyField,
    Node,
    Not,
    Or,
    Phrase,
    Prefix,
    Range,
    SearchRequest,
    Term,
    Typed,
)

Q = TypeVar("Q")

TIE_BREAKER = 0.1  # of a word's other fields, beside its best one

_TITLE = 100_000.0  # more than any words score
_YEARS = (-9999, 99999)


class Dialect(Protocol[Q]):
    """An engine's own queries. Those for words score by BM25; every other one scores the same wherever it matches."""

    def everything(self) -> Q:
        """Every document."""

    def nothing(self) -> Q:
        """No document."""

    def word(self, field: str, token: str) -> Q:
        """Documents with a token in a field of streams."""

    def phrase(self, field: str, tokens: Sequence[str]) -> Q:
        """Documents with these tokens side by side."""

    def starting(self, field: str, beginning: str) -> Q:
        """Documents with a token that begins so."""

    def keyed(self, field: str, terms: Sequence[str] | Sequence[int]) -> Q:
        """Documents with one of these terms, one at least, in a field of keys or years."""

    def years(self, least: int, most: int) -> Q:
        """Documents of these years, both included."""

    def weighted(self, query: Q, weight: float) -> Q:
        """The query, its score multiplied."""

    def same_score(self, query: Q, score: float) -> Q:
        """The query, with this score whatever it matches."""

    def best(self, queries: Sequence[Q]) -> Q:
        """Any of these: the best one's score, and a tenth of the others' to decide between equals."""

    def combined(self, must: Sequence[Q] = (), should: Sequence[Q] = (), must_not: Sequence[Q] = ()) -> Q:
        """All of `must`, none of `must_not`, and without any of `must` one of `should`; scores add up."""

    def within(self, query: Q, limits: Sequence[Q]) -> Q:
        """The query where all limits match too; these change no score."""

    def had(self, fields: Sequence[str], terms: Sequence[str]) -> list[tuple[str, str]]:
        """Each term in each of the fields (all of keys, or all of stems), without those known to be in no document."""


class Compiler(Generic[Q]):
    """Compiles the tree into one engine's queries."""

    def __init__(self, dialect: Dialect[Q]) -> None:
        self._dialect = dialect

    def compile(self, node: Node) -> Q:  # noqa: PLR0911 - one line per kind of node
        """The query that finds what the node says."""
        match node:
            case All():
                return self._dialect.everything()
            case Term():
                return self._weighted(self._words(node.text, node.field), node.boost)
            case Phrase():
                return self._weighted(self._phrase(tokenize(node.text), node.field), node.boost)
            case Prefix():
                return self._prefix(node.text, node.field)
            case Range():
                return self._range(node.lower, node.upper)
            case In():
                return self._in(node.field, node.values)
            case And():
                return self._all_of(node.nodes)
            case Or():
                return self._dialect.combined(should=[self.compile(part) for part in node.nodes])
            case Typed():
                return self._typed(node)
            case Not():
                return self._all_of((node,))

    def narrowed(self, request: SearchRequest, without: Facet | None = None) -> Q:
        """The request's query within its filters, without those of one facet; filters never change a score."""
        limits = self.limits(request, without)
        query = self.compile(request.query)
        return self._dialect.within(query, limits) if limits else query

    def limits(self, request: SearchRequest, without: Facet | None = None) -> list[Q]:
        """What each of the request's filters lets through, without those of one facet."""
        limits: list[Q] = []
        for facet, values in request.filters:
            if not values or facet == without:
                continue
            if facet == "year":
                years = [int(value) for value in values if value.isdecimal() and len(value) < 6]
                limits.append(self._dialect.keyed("year", years) if years else self._dialect.nothing())
            else:
                limits.append(self._in(facet, values))
        if without != "year" and request.years != (None, None):
            limits.append(self._range(*request.years))
        if request.fulltext is not None:
            readable = self._dialect.keyed(SHARED_KEYS, [READABLE])
            unread = self._dialect.combined(must=[self._dialect.everything()], must_not=[readable])
            limits.append(readable if request.fulltext else unread)
        return limits

    def _typed(self, typed: Typed) -> Q:
        """What the query finds, and works whose title is the text, these first, whatever is an operator in it."""
        query, title, words = self.compile(typed.node), title_order(typed.text), parse_words(typed.text)
        if not self._dialect.had((TITLE_ORDER,), (title,)):
            return query
        same = self._dialect.same_score(self._dialect.keyed(TITLE_ORDER, [title]), _TITLE)
        if typed.node == words:
            return self._dialect.combined(must=[query], should=[same])
        return self._dialect.combined(should=[query, self._dialect.combined(must=[self.compile(words), same])])

    def _all_of(self, nodes: Sequence[Node]) -> Q:
        wanted = [self.compile(n) for n in nodes if not isinstance(n, Not | All)]
        unwanted = [self.compile(n.node) for n in nodes if isinstance(n, Not)]
        return self._dialect.combined(must=wanted or [self._dialect.everything()], must_not=unwanted)

    def _in(self, field: KeyField, values: Sequence[str]) -> Q:
        terms = [key_term(field, value) for value in values]
        return self._dialect.keyed(terms[0][0], [term for _, term in terms]) if terms else self._dialect.nothing()

    def _range(self, lower: int | None, upper: int | None) -> Q:
        if lower is None and upper is None:
            return self._dialect.everything()
        least = _YEARS[0] if lower is None else min(max(lower, _YEARS[0]), _YEARS[1])
        most = _YEARS[1] if upper is None else min(max(upper, _YEARS[0]), _YEARS[1])
        return self._dialect.years(least, most) if least <= most else self._dialect.nothing()

    def _words(self, text: str, field: Field) -> Q:
        """Every word of the text, each in any of the fields; higher where they stand side by side.

        Characters of scripts without spaces are only words together, as a phrase.
        """
        tokens = tokenize(text)
        parts = []
        for unspaced, run in groupby(tokens, lambda token: is_unspaced(token.text)):
            together = list(run)
            parts += [self._phrase(together, field)] if unspaced else [self._word(t, field) for t in together]
        if not parts:
            return self._dialect.nothing()
        if len(parts) == 1:
            return parts[0]
        # In a full text, looking for what stands side by side costs more than all else, and says little.
        near: Field = "described" if field == "any" else field
        return self._dialect.combined(must=parts, should=[self._phrase(tokens, near)])

    def _word(self, token: Token, field: Field) -> Q:
        exact, stemmed = SEARCHED[field]
        found = [self._weighted(self._dialect.word(name, token.text), EXACT_WEIGHTS[name]) for name in exact]
        if stemmed:
            had = self._dialect.had(stemmed, query_stems(token.source))
            found += [self._weighted(self._dialect.word(name, stem), STEM_WEIGHTS[name]) for name, stem in had]
        return self._best(found)

    def _phrase(self, tokens: Sequence[Token], field: Field) -> Q:
        exact, _ = SEARCHED[field]
        parts = [token.text for token in tokens]
        if not parts:
            return self._dialect.nothing()
        one = len(parts) == 1
        found = [self._dialect.word(n, parts[0]) if one else self._dialect.phrase(n, parts) for n in exact]
        return self._best([self._weighted(query, EXACT_WEIGHTS[n]) for query, n in zip(found, exact, strict=True)])

    def _prefix(self, text: str, field: Field) -> Q:
        tokens = tokenize(text)
        if not tokens:
            return self._dialect.nothing()
        *whole, last = tokens
        begun = [(self._dialect.starting(name, last.text), EXACT_WEIGHTS[name]) for name in SEARCHED[field][0]]
        query = self._best([self._weighted(each, weight) for each, weight in begun])
        words = [self._word(token, field) for token in whole]
        return self._dialect.combined(must=[*words, query]) if whole else query

    def _weighted(self, query: Q, weight: float) -> Q:
        return query if weight == 1.0 else self._dialect.weighted(query, weight)

    def _best(self, queries: Sequence[Q]) -> Q:
        return queries[0] if len(queries) == 1 else self._dialect.best(queries)


def facet_groups(request: SearchRequest) -> dict[Facet | None, tuple[Facet, ...]]:
    """The facets asked for by the one whose filter they leave out: their own if it has one, else none."""
    filtered = {facet for facet, values in request.filters if values}
    if request.years != (None, None):
        filtered.add("year")
    groups: dict[Facet | None, tuple[Facet, ...]] = {}
    for facet in dict.fromkeys(request.facets):
        own = facet if facet in filtered else None
        groups[own] = (*groups.get(own, ()), facet)
    return groups
