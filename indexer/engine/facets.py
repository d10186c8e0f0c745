"""Exact counts of facet values, from aggregations that are asked for and answered as Elasticsearch does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from indexer.engine import Bucket
from indexer.engine.compile import facet_groups
from indexer.engine.schema import FACET_FIELDS, NUMBER_FIELDS
from indexer.query import Facet, In, KeyField, Node, SearchRequest

_YEARS = 1000
MORE_LEADERS = 65_000  # values of each part of an index that are compared, at the most
_TIED = 10  # fetched beyond those that are shown

Answers = dict[Facet, dict[str, Any]]


class Counted(Protocol):
    """What one request found. `without` is the facet whose own filter is left out."""

    def leading(self, without: Facet | None, terms: Mapping[Facet, dict[str, Any]], *, more: bool) -> Answers:
        """The answers to these terms aggregations; with `more`, of as many leading values as can be compared."""

    def count(self, without: Facet | None, node: Node) -> int:
        """How many of the works the node finds."""

    def values_of(self, kind: KeyField, numbers: Collection[int]) -> Mapping[int, str]:
        """The values that are counted by these numbers."""


def count_facets(request: SearchRequest, counted: Counted) -> dict[Facet, tuple[Bucket, ...]]:
    """The buckets of each facet asked for; facets that leave out the same filter share one pass.

    Every count is exact. Which values are listed is exact up to 65,000 different values in a result; beyond,
    one that leads in no part of the index can be missing. Of many that tie at the list's end, which ones are
    listed is left open.
    """
    found: dict[Facet, tuple[Bucket, ...]] = {}
    for without, facets in facet_groups(request).items():
        answers = counted.leading(without, terms_of(facets, request.facet_size), more=False)
        if inexact := _inexact(answers):
            answers |= counted.leading(without, terms_of(inexact, request.facet_size), more=True)
            inexact = _inexact(answers)
        for facet in facets:
            buckets = _buckets(counted, answers[facet], facet, request.facet_size)
            if facet != "year" and facet in inexact:
                buckets = _ordered(
                    Bucket(each.value, counted.count(without, In(facet, (each.value,)))) for each in buckets
                )
            found[facet] = buckets
    return {facet: found[facet] for facet in request.facets}


def terms_of(facets: Iterable[Facet], size: int) -> dict[Facet, dict[str, Any]]:
    """What a terms aggregation asks for each of the facets."""
    return {
        facet: {"field": FACET_FIELDS[facet], "size": _YEARS if facet == "year" else size + _TIED} for facet in facets
    }


def _inexact(answers: Mapping[Facet, Mapping[str, Any]]) -> Sequence[Facet]:
    return [facet for facet, answer in answers.items() if answer.get("doc_count_error_upper_bound")]


def _buckets(counted: Counted, answer: Mapping[str, Any], facet: Facet, size: int) -> tuple[Bucket, ...]:
    """The years in their order; of another facet the most frequent values, most first, then by value."""
    found = [(bucket["key"], int(bucket["doc_count"])) for bucket in answer["buckets"]]
    if facet == "year":
        return tuple(Bucket(str(int(year)), count) for year, count in sorted(found))
    least = found[:size][-1][1] if found[:size] else 0
    shown = [(key, count) for key, count in found if count >= least]
    if facet in NUMBER_FIELDS:
        values = counted.values_of(facet, [int(key) for key, _ in shown])
        shown = [(values[int(key)], count) for key, count in shown if int(key) in values]
    return _ordered(Bucket(value, count) for value, count in shown)[:size]


def _ordered(buckets: Iterable[Bucket]) -> tuple[Bucket, ...]:
    return tuple(sorted(buckets, key=lambda bucket: (-bucket.count, bucket.value)))
