"""The operations of queries in Elasticsearch's language."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from indexer.engine.compile import TIE_BREAKER
from indexer.engine.schema import STEM_WEIGHTS

Query: TypeAlias = dict[str, Any]

_TAG = 2  # letters of a language's tag, before the colon
_EXPANSIONS = 500  # words that the last one of a phrase may become


class ElasticDialect:
    """Queries for an index whose stems are of the languages `tags`."""

    def __init__(self, tags: Collection[str]) -> None:
        self._tags = tags

    def everything(self) -> Query:
        return {"match_all": {}}

    def nothing(self) -> Query:
        return {"match_none": {}}

    def word(self, field: str, token: str) -> Query:
        return {"term": {field: {"value": token}}}

    def phrase(self, field: str, tokens: Sequence[str]) -> Query:
        return {"match_phrase": {field: {"query": " ".join(tokens)}}}

    def starting(self, field: str, beginning: str) -> Query:
        return {"prefix": {field: {"value": beginning}}}

    def keyed(self, field: str, terms: Sequence[str] | Sequence[int]) -> Query:
        return self.same_score({"terms": {field: list(terms)}}, 1.0)

    def years(self, least: int, most: int) -> Query:
        return {"range": {"year": {"gte": least, "lte": most}}}

    def weighted(self, query: Query, weight: float) -> Query:
        ((kind, about),) = query.items()
        if kind in {"term", "prefix", "match_phrase"}:  # shorter, and as quick
            (asked,) = about.values()
            asked["boost"] = asked.get("boost", 1.0) * weight  # it has just been made, and nobody else has it
            return query
        return {"bool": {"must": [query], "boost": weight}}

    def same_score(self, query: Query, score: float) -> Query:
        return {"constant_score": {"filter": query, "boost": score}}

    def best(self, queries: Sequence[Query]) -> Query:
        return {"dis_max": {"queries": list(queries), "tie_breaker": TIE_BREAKER}}

    def combined(
        self, must: Sequence[Query] = (), should: Sequence[Query] = (), must_not: Sequence[Query] = ()
    ) -> Query:
        if not (must or should):
            return self.nothing()
        parts = {"must": list(must), "should": list(should), "must_not": list(must_not)}
        return {"bool": {name: queries for name, queries in parts.items() if queries}}

    def within(self, query: Query, limits: Sequence[Query]) -> Query:
        return {"bool": {"must": [query], "filter": list(limits)}}

    def had(self, fields: Sequence[str], terms: Sequence[str]) -> list[tuple[str, str]]:
        """A stem of a language that no text of the index is in is had by none; of others nothing is known."""
        stems = STEM_WEIGHTS.keys() >= set(fields)
        return [(field, term) for term in terms if not stems or term[:_TAG] in self._tags for field in fields]

    def completing(self, typed: Sequence[str]) -> Query:
        """Titles that have these tokens side by side, the last one begun."""
        if len(typed) == 1:
            return self.starting("title", typed[0])
        return {"match_phrase_prefix": {"title": {"query": " ".join(typed), "max_expansions": _EXPANSIONS}}}
