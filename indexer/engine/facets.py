"""Exact counts of facet values by tantivy's aggregations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tantivy
from tantivy import Occur, Query

from indexer.engine import Bucket
from indexer.engine.compile import Compiler, facet_groups, top
from indexer.engine.schema import FACET_FIELDS, NUMBER_FIELDS, SHARED_KEYS, numbered
from indexer.query import Facet, In, KeyField, SearchRequest

# So many leading values of each segment of the index are compared, and where that leaves out any, so many.
_LEADERS, _MORE_LEADERS = 10_000, 65_000
_YEARS = 1000
_TIED = 10  # fetched beyond those that are shown


def count_facets(
    searcher: tantivy.Searcher, compiler: Compiler, request: SearchRequest
) -> dict[Facet, tuple[Bucket, ...]]:
    """The buckets of each facet asked for; facets that leave out the same filter share one pass.

    Every count is exact. Which values are listed is exact up to 65,000 different values in a result; beyond,
    one that leads in no segment of the index can be missing. Of many that tie at the list's end, which ones are
    listed is left open.
    """
    found: dict[Facet, tuple[Bucket, ...]] = {}
    for without, facets in facet_groups(request).items():
        query = compiler.narrowed(request, without)
        answers = _terms(searcher, query, facets, request.facet_size, _LEADERS)
        if inexact := _inexact(answers):
            answers |= _terms(searcher, query, inexact, request.facet_size, _MORE_LEADERS)
            inexact = _inexact(answers)
        for facet in facets:
            buckets = _buckets(searcher, answers[facet], facet, request.facet_size)
            if facet != "year" and facet in inexact:
                buckets = _recounted(searcher, compiler, query, facet, buckets)
            found[facet] = buckets
    return {facet: found[facet] for facet in request.facets}


def _terms(
    searcher: tantivy.Searcher, query: Query, facets: Iterable[Facet], size: int, leaders: int
) -> dict[Facet, dict[str, Any]]:
    """The leading values of each facet, asked for and answered as Elasticsearch does."""
    asked = {
        facet: {"field": FACET_FIELDS[facet], "size": _YEARS if facet == "year" else size + _TIED} for facet in facets
    }
    answers: dict[Facet, dict[str, Any]] = searcher.aggregate(
        query, {facet: {"terms": {**terms, "segment_size": leaders}} for facet, terms in asked.items()}
    )
    return answers


def _inexact(answers: Mapping[Facet, Mapping[str, Any]]) -> list[Facet]:
    return [facet for facet, answer in answers.items() if answer.get("doc_count_error_upper_bound")]


def _buckets(searcher: tantivy.Searcher, answer: Mapping[str, Any], facet: Facet, size: int) -> tuple[Bucket, ...]:
    """The years in their order; of another facet the most frequent values, most first, then by value."""
    found = [(bucket["key"], int(bucket["doc_count"])) for bucket in answer["buckets"]]
    if facet == "year":
        return tuple(Bucket(str(int(year)), count) for year, count in sorted(found))
    least = found[:size][-1][1] if found[:size] else 0
    shown = [(key, count) for key, count in found if count >= least]
    if facet in NUMBER_FIELDS:
        shown = [(value_of(searcher, facet, int(key)), count) for key, count in shown]
    return _ordered(Bucket(value, count) for value, count in shown)[:size]


def value_of(searcher: tantivy.Searcher, kind: KeyField, number: int) -> str:
    """The value that is counted by a number."""
    beginning = numbered(kind, number)
    ((found, _),) = searcher.terms_with_prefix(SHARED_KEYS, beginning, limit=1)
    return found.removeprefix(beginning)


def _recounted(
    searcher: tantivy.Searcher, compiler: Compiler, query: Query, facet: KeyField, buckets: Iterable[Bucket]
) -> tuple[Bucket, ...]:
    """The buckets with their exact counts, each by a search of its own."""
    alone = {bucket.value: compiler.compile(In(facet, (bucket.value,))) for bucket in buckets}
    both = {value: Query.boolean_query([(Occur.Must, query), (Occur.Must, one)]) for value, one in alone.items()}
    return _ordered(Bucket(value, top(searcher, found, 1)[0]) for value, found in both.items())


def _ordered(buckets: Iterable[Bucket]) -> tuple[Bucket, ...]:
    return tuple(sorted(buckets, key=lambda bucket: (-bucket.count, bucket.value)))
