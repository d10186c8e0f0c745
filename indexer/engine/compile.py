"""The query tree as tantivy's query."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import tantivy
from tantivy import Occur, Query

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

# A word counts by its best field; what it has in others decides between equals.
_TIE_BREAKER = 0.1
_TITLE = 100_000.0  # more than any words score
_YEARS = (-9999, 99999)


class Compiler:
    """Compiles for one state of the index: stems that no document has are left out."""

    def __init__(self, schema: tantivy.Schema, searcher: tantivy.Searcher) -> None:
        self._schema = schema
        self._searcher = searcher

    def compile(self, node: Node) -> Query:  # noqa: PLR0911 - one line per kind of node
        """The query that finds what the node says."""
        match node:
            case All():
                return Query.all_query()
            case Term():
                return _boosted(self._words(node.text, node.field), node.boost)
            case Phrase():
                return _boosted(self._phrase(tokenize(node.text), node.field), node.boost)
            case Prefix():
                return self._prefix(node.text, node.field)
            case Range():
                return self._range(node.lower, node.upper)
            case In():
                return self._in(node.field, node.values)
            case And():
                return self._all_of(node.nodes)
            case Or():
                return _bool(Occur.Should, [self.compile(part) for part in node.nodes])
            case Typed():
                return self._typed(node.text, self.compile(node.node))
            case Not():
                return self._all_of((node,))

    def narrowed(self, request: SearchRequest, without: Facet | None = None) -> Query:
        """The request's query within its filters, without those of one facet; filters never change a score."""
        limits: list[Query] = []
        for facet, values in request.filters:
            if not values or facet == without:
                continue
            if facet == "year":
                years = [int(value) for value in values if value.isdecimal() and len(value) < 6]
                limits.append(Query.term_set_query(self._schema, "year", years) if years else Query.empty_query())
            else:
                limits.append(self._in(facet, values))
        if without != "year" and request.years != (None, None):
            limits.append(self._range(*request.years))
        if request.fulltext is not None:
            readable = self._exactly(SHARED_KEYS, READABLE)
            unread = Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, readable)])
            limits.append(readable if request.fulltext else unread)
        query = self.compile(request.query)
        if not limits:
            return query
        return _bool(Occur.Must, [query, *(Query.const_score_query(limit, 0.0) for limit in limits)])

    def _typed(self, text: str, query: Query) -> Query:
        """What the query finds, and works whose title is the text, these first, whatever is an operator in it."""
        title = title_order(text)
        if not self._searcher.doc_freq(TITLE_ORDER, title):
            return query
        same = Query.const_score_query(self._exactly(TITLE_ORDER, title), _TITLE)
        return _bool(Occur.Should, [query, _bool(Occur.Must, [self.compile(parse_words(text)), same])])

    def _all_of(self, nodes: Sequence[Node]) -> Query:
        wanted = [(Occur.Must, self.compile(n)) for n in nodes if not isinstance(n, Not | All)]
        unwanted = [(Occur.MustNot, self.compile(n.node)) for n in nodes if isinstance(n, Not)]
        return Query.boolean_query([*(wanted or [(Occur.Must, Query.all_query())]), *unwanted])

    def _in(self, field: KeyField, values: Sequence[str]) -> Query:
        terms = [key_term(field, value) for value in values]
        if len(terms) == 1:  # far faster than a set of one
            return Query.const_score_query(self._exactly(*terms[0]), 1.0)
        names = {name for name, _ in terms}
        return (
            Query.term_set_query(self._schema, names.pop(), [term for _, term in terms])
            if terms
            else Query.empty_query()
        )

    def _range(self, lower: int | None, upper: int | None) -> Query:
        if lower is None and upper is None:
            return Query.all_query()
        least = _YEARS[0] if lower is None else min(max(lower, _YEARS[0]), _YEARS[1])
        most = _YEARS[1] if upper is None else min(max(upper, _YEARS[0]), _YEARS[1])
        if least > most:
            return Query.empty_query()
        return Query.range_query(self._schema, "year", tantivy.FieldType.Integer, least, most)

    def _words(self, text: str, field: Field) -> Query:
        """Every word of the text, each in any of the fields; higher where they stand side by side.

        Characters of scripts without spaces are only words together, as a phrase.
        """
        tokens = tokenize(text)
        parts = []
        for unspaced, run in groupby(tokens, lambda token: is_unspaced(token.text)):
            together = list(run)
            parts += [self._phrase(together, field)] if unspaced else [self._word(t, field) for t in together]
        if not parts:
            return Query.empty_query()
        if len(parts) == 1:
            return parts[0]
        wanted = [(Occur.Must, part) for part in parts]
        return Query.boolean_query([*wanted, (Occur.Should, self._phrase(tokens, field))])

    def _word(self, token: Token, field: Field) -> Query:
        exact, stemmed = SEARCHED[field]
        found = [_boosted(self._term(name, token.text), EXACT_WEIGHTS[name]) for name in exact]
        found += [
            _boosted(self._term(name, stem), STEM_WEIGHTS[name])
            for stem in (query_stems(token.source) if stemmed else ())
            for name in stemmed
            if self._searcher.doc_freq(name, stem)
        ]
        return _best(found)

    def _phrase(self, tokens: Sequence[Token], field: Field) -> Query:
        exact, _ = SEARCHED[field]
        parts = [token.text for token in tokens]
        if not parts:
            return Query.empty_query()
        if len(parts) == 1:
            return _best([_boosted(self._term(name, parts[0]), EXACT_WEIGHTS[name]) for name in exact])
        return _best([_boosted(Query.phrase_query(self._schema, n, list(parts)), EXACT_WEIGHTS[n]) for n in exact])

    def _prefix(self, text: str, field: Field) -> Query:
        tokens = tokenize(text)
        if not tokens:
            return Query.empty_query()
        *whole, last = tokens
        exact, _ = SEARCHED[field]
        query = _best([_boosted(self._starting(name, last.text), EXACT_WEIGHTS[name]) for name in exact])
        return _bool(Occur.Must, [*(self._word(token, field) for token in whole), query]) if whole else query

    def completing(self, typed: Sequence[str]) -> Query:
        """Titles that have these tokens side by side, the last one begun."""
        if len(typed) == 1:
            return self._starting("title", typed[0])
        return Query.phrase_prefix_query(self._schema, "title", list(typed))

    def _starting(self, name: str, token: str) -> Query:
        # A token has only letters, digits and marks: nothing in it means anything to a regular expression.
        return Query.regex_query(self._schema, name, f"{token}.*")

    def count(self, node: Node) -> int:
        """The number of documents that the node finds."""
        return top(self._searcher, self.compile(node), 1)[0]

    def _exactly(self, name: str, term: str) -> Query:
        return Query.term_query(self._schema, name, term, "basic")

    def _term(self, name: str, token: str) -> Query:
        return Query.term_query(self._schema, name, token, "freq")


def top(
    searcher: tantivy.Searcher, query: Query, size: int, *, offset: int = 0, order: str | None = None
) -> tuple[int, list[tuple[Any, tantivy.DocAddress]]]:
    """The number of documents that a query finds, and the first of them: by score, or by a field of order keys."""
    found = searcher.search(query, size, offset=offset, order_by_field=order, order=tantivy.Order.Asc)
    return found.count, found.hits  # type: ignore[attr-defined]  # tantivy's stub forgets the count


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


def _boosted(query: Query, weight: float) -> Query:
    return query if weight == 1.0 else Query.boost_query(query, weight)


def _best(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.disjunction_max_query(queries, _TIE_BREAKER)


def _bool(occur: Occur, queries: Sequence[Query]) -> Query:
    return Query.boolean_query([(occur, query) for query in queries])
