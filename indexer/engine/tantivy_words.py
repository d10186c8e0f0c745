"""What one state of a tantivy index knows of its words, its values and its counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import tantivy
from tantivy import Query

from indexer.engine.compile import Compiler
from indexer.engine.facets import MORE_LEADERS, Answers
from indexer.engine.schema import (
    SEARCHED,
    SHARED_KEYS,
    TITLE_GAP,
    TITLE_ORDER,
    completed,
    numbered,
    words_order,
)
from indexer.engine.store import load
from indexer.engine.tantivy_query import TantivyDialect, top
from indexer.engine.words import TOLD_FIELDS
from indexer.query import Facet, In, KeyField, Node, SearchRequest, Term

# So many leading values of each segment of the index are compared, and where that leaves out any, so many.
_LEADERS = 10_000


class TantivyWords:
    """The `Vocabulary` of one state."""

    def __init__(self, dialect: TantivyDialect, searcher: tantivy.Searcher) -> None:
        self._dialect = dialect
        self._compiler = Compiler(dialect)
        self._searcher = searcher

    def count(self) -> int:
        return self._searcher.num_docs

    def titles(self, typed: Sequence[str], limit: int) -> Iterator[str]:
        terms = self._searcher.terms_with_prefix(TITLE_ORDER, words_order(" ".join(typed)), limit=limit)
        for begun in (*(term.split(TITLE_GAP) for term, _ in terms), typed):
            for _, address in self._searcher.search(self._dialect.completing(begun), limit * 2, count=False).hits:
                yield load(self._searcher, address).title

    def values(self, beginnings: Sequence[tuple[KeyField, str]], limit: int) -> list[list[str]]:
        return [self._values(kind, beginning, limit) for kind, beginning in beginnings]

    def _values(self, kind: KeyField, beginning: str, limit: int) -> list[str]:
        """Values that only deleted documents had are left out."""
        terms = self._searcher.terms_with_prefix(SHARED_KEYS, f"{kind}{beginning}", limit=limit * 3)
        values = values_of(self._searcher, kind, [completed(term) for term, _ in terms])
        return [value for value in values.values() if self._count(In(kind, (value,)))][:limit]

    def found(self, words: Collection[str]) -> set[str]:
        return {word for word in words if self._count(Term(word))}

    def near(self, word: str, edits: int) -> dict[str, int]:
        frequencies: dict[str, int] = {}
        for name in SEARCHED["described"][0]:  # full texts are full of misread words
            for beginning in set(word[:2]):
                for term, frequency in self._searcher.terms_with_prefix(name, beginning):
                    if abs(len(term) - len(word)) <= edits:
                        frequencies[term] = frequencies.get(term, 0) + frequency
        return frequencies

    def frequencies(self, tokens: Collection[str]) -> dict[str, int]:
        return {token: sum(self._searcher.doc_freq(name, token) for name in TOLD_FIELDS) for token in tokens}

    def _count(self, node: Node) -> int:
        return top(self._searcher, self._compiler.compile(node), 1)[0]


class TantivyCounted:
    """What a request found in one state, as facets count it."""

    def __init__(self, compiler: Compiler[Query], searcher: tantivy.Searcher, request: SearchRequest) -> None:
        self._compiler = compiler
        self._searcher = searcher
        self._request = request

    def leading(self, without: Facet | None, terms: Mapping[Facet, dict[str, Any]], *, more: bool) -> Answers:
        leaders = MORE_LEADERS if more else _LEADERS
        answers: Answers = self._searcher.aggregate(
            self._compiler.narrowed(self._request, without),
            {facet: {"terms": {**asked, "segment_size": leaders}} for facet, asked in terms.items()},
        )
        return answers

    def count(self, without: Facet | None, node: Node) -> int:
        query = self._compiler.narrowed(self._request, without)
        both = self._compiler.compile(node)
        return top(self._searcher, Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, both)]), 1)[0]

    def values_of(self, kind: KeyField, numbers: Collection[int]) -> dict[int, str]:
        return values_of(self._searcher, kind, numbers)


def values_of(searcher: tantivy.Searcher, kind: KeyField, numbers: Collection[int]) -> dict[int, str]:
    """The values that are counted by these numbers, in their order."""
    beginnings = {number: numbered(kind, number) for number in numbers}
    return {
        number: searcher.terms_with_prefix(SHARED_KEYS, beginning, limit=1)[0][0].removeprefix(beginning)
        for number, beginning in beginnings.items()
    }
