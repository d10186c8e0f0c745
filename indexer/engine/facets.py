"""Exact counts of facet values by tantivy's aggregations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tantivy

from indexer.engine import Bucket
from indexer.engine.compile import Compiler, facet_groups
from indexer.engine.schema import FACET_FIELDS
from indexer.query import Facet, SearchRequest

# Each segment of the index names so many leading values, of which so many are compared. More cost a broad
# search of 200,000 works 80 ms and more.
_LEADERS = 10_000
_COMPARED = 1000


def count_facets(
    searcher: tantivy.Searcher, compiler: Compiler, request: SearchRequest
) -> dict[Facet, tuple[Bucket, ...]]:
    """The buckets of each facet asked for; facets that leave out the same filter share one pass.

    Every count is exact. Which values are listed is exact up to 10,000 different values in a result; beyond,
    one that leads in no segment of the index can be missing, as can one of those that tie at the list's end.
    """
    found: dict[Facet, tuple[Bucket, ...]] = {}
    for without, facets in facet_groups(request).items():
        query = compiler.narrowed(request, without)
        asked = {facet: {"size": max(_COMPARED, request.facet_size), "segment_size": _LEADERS} for facet in facets}
        answers = _terms(searcher, query, asked)
        for facet in facets:
            buckets = _buckets(answers[facet], facet, request.facet_size)
            if buckets and answers[facet].get("doc_count_error_upper_bound"):
                shown = {"size": len(buckets), "include": [bucket.value for bucket in buckets]}
                buckets = _buckets(_terms(searcher, query, {facet: shown})[facet], facet, len(buckets))
            found[facet] = buckets
    return {facet: found[facet] for facet in request.facets}


def _terms(
    searcher: tantivy.Searcher, query: tantivy.Query, asked: Mapping[Facet, Mapping[str, Any]]
) -> dict[Facet, dict[str, Any]]:
    """The values of each facet, asked for and answered as Elasticsearch does."""
    answers: dict[Facet, dict[str, Any]] = searcher.aggregate(
        query, {facet: {"terms": {"field": FACET_FIELDS[facet], **options}} for facet, options in asked.items()}
    )
    return answers


def _buckets(answer: Mapping[str, Any], facet: Facet, size: int) -> tuple[Bucket, ...]:
    found = [(int(bucket["doc_count"]), bucket["key"]) for bucket in answer["buckets"]]
    if facet == "year":
        return tuple(Bucket(str(int(year)), count) for count, year in sorted(found, key=lambda pair: pair[1]))
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    return tuple(Bucket(value, count) for count, value in found[:size])
