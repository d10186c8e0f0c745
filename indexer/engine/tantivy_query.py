"""The operations of queries in tantivy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tantivy
from tantivy import Occur, Query

from indexer.engine.compile import TIE_BREAKER


class TantivyDialect:
    """Queries of one schema, for one state of its index."""

    def __init__(self, schema: tantivy.Schema, searcher: tantivy.Searcher) -> None:
        self._schema = schema
        self._searcher = searcher

    def everything(self) -> Query:
        return Query.all_query()

    def nothing(self) -> Query:
        return Query.empty_query()

    def word(self, field: str, token: str) -> Query:
        return Query.term_query(self._schema, field, token, "freq")

    def phrase(self, field: str, tokens: Sequence[str]) -> Query:
        return Query.phrase_query(self._schema, field, list(tokens))

    def starting(self, field: str, beginning: str) -> Query:
        # A token has only letters, digits and marks: nothing in it means anything to a regular expression.
        return Query.regex_query(self._schema, field, f"{beginning}.*")

    def keyed(self, field: str, terms: Sequence[str] | Sequence[int]) -> Query:
        if len(terms) == 1 and isinstance(terms[0], str):  # far faster than a set of one
            return Query.const_score_query(Query.term_query(self._schema, field, terms[0], "basic"), 1.0)
        return Query.term_set_query(self._schema, field, terms)

    def years(self, least: int, most: int) -> Query:
        return Query.range_query(self._schema, "year", tantivy.FieldType.Integer, least, most)

    def weighted(self, query: Query, weight: float) -> Query:
        return Query.boost_query(query, weight)

    def same_score(self, query: Query, score: float) -> Query:
        return Query.const_score_query(query, score)

    def best(self, queries: Sequence[Query]) -> Query:
        return Query.disjunction_max_query(queries, TIE_BREAKER)

    def combined(
        self, must: Sequence[Query] = (), should: Sequence[Query] = (), must_not: Sequence[Query] = ()
    ) -> Query:
        parts = ((Occur.Must, must), (Occur.Should, should), (Occur.MustNot, must_not))
        return Query.boolean_query([(occur, query) for occur, queries in parts for query in queries])

    def within(self, query: Query, limits: Sequence[Query]) -> Query:
        return self.combined(must=[query, *(Query.const_score_query(limit, 0.0) for limit in limits)])

    def had(self, fields: Sequence[str], terms: Sequence[str]) -> list[tuple[str, str]]:
        return [(field, term) for term in terms for field in fields if self._searcher.doc_freq(field, term)]

    def completing(self, typed: Sequence[str]) -> Query:
        """Titles that have these tokens side by side, the last one begun."""
        if len(typed) == 1:
            return self.starting("title", typed[0])
        return Query.phrase_prefix_query(self._schema, "title", list(typed))


def top(
    searcher: tantivy.Searcher, query: Query, size: int, *, offset: int = 0, order: str | None = None
) -> tuple[int, list[tuple[Any, tantivy.DocAddress]]]:
    """The number of documents that a query finds, and the first of them: by score, or by a field of order keys."""
    found = searcher.search(query, size, offset=offset, order_by_field=order, order=tantivy.Order.Asc)
    return found.count, found.hits  # type: ignore[attr-defined]  # tantivy's stub forgets the count
