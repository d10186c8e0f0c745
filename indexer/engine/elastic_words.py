"""What an index on a search server knows of its words, its values and its counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from indexer.engine.compile import Compiler
from indexer.engine.elastic_query import ElasticDialect, Query
from indexer.engine.elastic_reading import WITH_DOCUMENTS, Reader, documents_in
from indexer.engine.facets import MORE_LEADERS, Answers
from indexer.engine.schema import SEARCHED, SHARED_KEYS, TITLE_ORDER, completed, numbered, words_order
from indexer.engine.words import TOLD_FIELDS
from indexer.query import Facet, KeyField, Node, SearchRequest, Term

_NEAR = 50  # words that come into question for one that is unknown, a field
_MOST_KEPT = 200_000
_NO_HITS: Query = {"size": 0, "track_total_hits": False}

Values: TypeAlias = dict[tuple[KeyField, int], str]


class ElasticWords:
    """The `Vocabulary` of an index. `known` keeps the values that numbers stand for, which never change."""

    def __init__(self, reader: Reader, dialect: ElasticDialect, known: Values) -> None:
        self._reader = reader
        self._dialect = dialect
        self._known = known

    def count(self) -> int:
        return self._reader.count(self._dialect.everything())

    def titles(self, typed: Sequence[str], limit: int) -> Iterator[str]:
        begun = self._dialect.starting(TITLE_ORDER, words_order(" ".join(typed)))
        asked = [
            {"query": query, "size": limit * 2, **WITH_DOCUMENTS} for query in (begun, self._dialect.completing(typed))
        ]
        for answer in self._reader.search_each(asked):
            yield from (document.title for document in documents_in(answer))

    def values(self, beginnings: Sequence[tuple[KeyField, str]], limit: int) -> list[list[str]]:
        starts = [f"{kind}{beginning}" for kind, beginning in beginnings]
        # A word has only letters, digits and marks: nothing in it means anything to a regular expression.
        terms = [{"terms": {"field": SHARED_KEYS, "include": f"{start}.*", "size": limit * 3}} for start in starts]
        answer = self._reader.search(
            {
                "query": self._dialect.combined(
                    should=[self._dialect.starting(SHARED_KEYS, start) for start in starts]
                ),
                "aggs": {str(at): each for at, each in enumerate(terms)},
                **_NO_HITS,
            }
        )
        found = [[bucket["key"] for bucket in answer["aggregations"][str(at)]["buckets"]] for at in range(len(starts))]
        numbers = [[completed(key) for key in keys] for keys in found]
        wanted = [(kind, dict.fromkeys(some)) for (kind, _), some in zip(beginnings, numbers, strict=True)]
        values = self._values_of([(kind, number) for kind, some in wanted for number in some])
        return [[value for number in some if (value := values.get((kind, number)))][:limit] for kind, some in wanted]

    def found(self, words: Collection[str]) -> set[str]:
        filters = {word: Compiler(self._dialect).compile(Term(word)) for word in words}
        any_of = self._dialect.combined(should=list(filters.values()))
        answer = self._reader.search(
            {"query": any_of, "aggs": {"words": {"filters": {"filters": filters}}}, **_NO_HITS}
        )
        return {word for word, bucket in answer["aggregations"]["words"]["buckets"].items() if bucket["doc_count"]}

    def near(self, word: str, edits: int) -> dict[str, int]:
        settings = {
            "suggest_mode": "always",
            "max_edits": edits,
            "prefix_length": 0,
            "size": _NEAR,
            "sort": "frequency",
        }
        asked = {
            name: {"text": word, "term": {"field": name, "analyzer": "whitespace", **settings}}
            for name in SEARCHED["described"][0]  # full texts are full of misread words
        }
        frequencies: dict[str, int] = {}
        for suggested in self._reader.search({"suggest": asked, **_NO_HITS})["suggest"].values():
            for option in suggested[0]["options"]:
                frequencies[option["text"]] = frequencies.get(option["text"], 0) + option["freq"]
        return frequencies

    def frequencies(self, tokens: Collection[str]) -> dict[str, int]:
        ordered = sorted(tokens)
        each = [self._reader.frequencies(name, ordered) for name in TOLD_FIELDS] if tokens else []
        return {token: sum(found.get(token, 0) for found in each) for token in tokens}

    def values_of(self, kind: KeyField, numbers: Collection[int]) -> dict[int, str]:
        """The values that are counted by these numbers; one whose works have just gone is left out."""
        return {number: value for (_, number), value in self._values_of([(kind, each) for each in numbers]).items()}

    def _values_of(self, wanted: Collection[tuple[KeyField, int]]) -> dict[tuple[KeyField, int], str]:
        wanted = dict.fromkeys(wanted)
        unknown = [pair for pair in wanted if pair not in self._known]
        if len(self._known) + len(unknown) > _MOST_KEPT:
            self._known.clear()
            unknown = list(wanted)
        beginnings = [numbered(kind, number) for kind, number in unknown]
        searches = [
            {
                "query": self._dialect.starting(SHARED_KEYS, beginning),
                "size": 1,
                "terminate_after": 1,
                "docvalue_fields": [SHARED_KEYS],
                "stored_fields": "_none_",
            }
            for beginning in beginnings
        ]
        answers = self._reader.search_each(searches)
        for pair, beginning, answer in zip(unknown, beginnings, answers, strict=True):
            for hit in answer["hits"]["hits"]:
                key = next(each for each in hit["fields"][SHARED_KEYS] if each.startswith(beginning))
                self._known[pair] = key.removeprefix(beginning)
        return {pair: value for pair in wanted if (value := self._known.get(pair)) is not None}


class ElasticCounted:
    """What a request found, as facets count it; `first` are the answers that came with its hits."""

    def __init__(
        self,
        reader: Reader,
        words: ElasticWords,
        compiler: Compiler[Query],
        request: SearchRequest,
        first: Mapping[str, Answers],
    ) -> None:
        self._reader = reader
        self._words = words
        self._compiler = compiler
        self._request = request
        self._first = first

    def leading(self, without: Facet | None, terms: Mapping[Facet, dict[str, Any]], *, more: bool) -> Answers:
        if not more:
            return {facet: self._first[str(without)][facet] for facet in terms}
        aggregations = {facet: {"terms": {**asked, "shard_size": MORE_LEADERS}} for facet, asked in terms.items()}
        query = self._compiler.narrowed(self._request, without)
        answers: Answers = self._reader.search({"query": query, "aggs": aggregations, **_NO_HITS})["aggregations"]
        return answers

    def count(self, without: Facet | None, node: Node) -> int:
        return self._reader.count(
            {"bool": {"filter": [self._compiler.narrowed(self._request, without), self._compiler.compile(node)]}}
        )

    def values_of(self, kind: KeyField, numbers: Collection[int]) -> dict[int, str]:
        return self._words.values_of(kind, numbers)
