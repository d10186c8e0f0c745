"""Both engines find the same in the same thousands of real records, and show it in nearly the same order."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import pytest

from bench.material import dublin_core
from harvester.catalogue.records import CataloguedRecord
from harvester.settings import Settings
from indexer.crosswalks import describe_xml
from indexer.document import Document
from indexer.engine import Engine
from indexer.engine.opening import open_engine
from indexer.engine.schema import SORT_FIELDS, Entry, make_entry, project
from indexer.parser import parse_query
from indexer.query import Facet, SearchRequest, Sort
from indexer.unite import document_of

pytestmark = pytest.mark.service

_OF_EACH = 450  # records of a file
_FACETS: tuple[Facet, ...] = ("member", "year", "type", "language", "subject", "author")
_SORTS: tuple[Sort, ...] = ("newest", "oldest", "title", "added")


@dataclass(frozen=True)
class Pair:
    """The same documents in both engines, and questions about them."""

    documents: Sequence[Document]
    embedded: Engine
    elastic: Engine
    queries: Sequence[str]


def read_documents(folder: Path) -> Iterator[Document]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in zip(range(_OF_EACH), lines):  # noqa: B905 - the shorter one ends it
                elements = json.loads(line).get("dc", {})
                statements = [(name, value) for name, values in elements.items() for value in values]
                described = describe_xml(dublin_core(statements).encode("utf-8", "replace"), this_year=2026)
                id_ = f"{path.name[:5]}{number:07}"
                added = 1_700_000_000 + number // 7  # several at one moment
                record = CataloguedRecord(1, id_, path.name[:5], id_, 1, added, added, "", deleted=False)
                yield document_of([(record, described)], public_id=id_)


def make_queries(documents: Sequence[Document]) -> list[str]:
    """Words and runs of words out of titles and abstracts, whole titles, authors, and what syntax there is."""
    source = random.Random(5)
    queries = []
    for document in source.sample([each for each in documents if len(each.title.split()) > 5], 40):
        words = document.title.split()
        at = source.randrange(len(words) - 3)
        abstract = document.abstracts[0].value.split() if document.abstracts else words
        queries += [
            words[at],
            " ".join(words[at : at + 2]),
            " ".join(source.sample(abstract, min(3, len(abstract)))),
            f'"{" ".join(words[at : at + 2])}"',
            f"{words[at]} OR {words[at + 2]}",
            f"{words[at][:5]}*",
            f"title:{words[at]} -{words[at + 1]}",
        ]
        queries += [document.title, *document.creators[:1], *document.subjects[:1]]
    return queries


def with_texts(documents: Sequence[Document]) -> list[Entry]:
    """Every third document has a full text: the abstracts of the next ten that have one, as so many files."""
    abstracts = [document.abstracts[0] for document in documents if document.abstracts]
    return [
        make_entry(document, [] if at % 3 else [abstracts[n % len(abstracts)] for n in range(at, at + 10)])
        for at, document in enumerate(documents)
    ]


@pytest.fixture(scope="module")
def pair(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, elasticsearch_module_index: str
) -> Iterator[Pair]:
    documents = list(read_documents(shared_data / "records"))
    home = tmp_path_factory.mktemp("agree")
    engines = [
        open_engine(Settings(home=home)),
        open_engine(Settings(home=home, engine=elasticsearch_module_index, engine_replicas=0)),
    ]
    entries = with_texts(documents)
    for engine in engines:
        for start in range(0, len(entries), 2000):  # in several parts, as an index grows
            engine.write(entries[start : start + 2000], (), start + 1)
    yield Pair(documents, *engines, make_queries(documents))
    for engine in engines:
        engine.close()


def ids(engine: Engine, request: SearchRequest) -> list[str]:
    return [hit.document.id for hit in engine.search(request).hits]


def test_every_query_finds_as_many_works_with_the_same_facets(pair: Pair) -> None:
    for query in pair.queries:
        request = SearchRequest(parse_query(query), facets=_FACETS, facet_size=1000, size=1, highlight=False)
        one, other = pair.embedded.search(request), pair.elastic.search(request)
        assert one.total == other.total, query
        for facet in _FACETS:
            assert one.facets[facet] == other.facets[facet], (query, facet)


def test_filters_leave_the_same_works_and_counts(pair: Pair) -> None:
    everything = pair.embedded.search(SearchRequest(facets=_FACETS, size=1)).facets
    source = random.Random(3)
    for query in source.sample(list(pair.queries), 60):
        chosen = [(facet, (source.choice(everything[facet]).value,)) for facet in source.sample(_FACETS, 2)]
        request = SearchRequest(
            parse_query(query), filters=tuple(chosen), facets=_FACETS, facet_size=500, size=200, years=(1900, 2020)
        )
        one, other = pair.embedded.search(request), pair.elastic.search(request)
        assert one.facets == other.facets, request
        assert {hit.document.id for hit in one.hits} == {hit.document.id for hit in other.hits}, request


@pytest.mark.parametrize("sort", _SORTS)
def test_unscored_orders_are_the_same_page_by_page(pair: Pair, sort: Sort) -> None:
    """Works with one and the same key in an order, an equal title say, may change places among themselves."""
    by_id = {document.id: document for document in pair.documents}

    def key(document_id: str) -> object:
        return project(by_id[document_id])[SORT_FIELDS[sort]][0]

    for query in ("", *pair.queries[::40]):
        listed = []
        for engine in (pair.embedded, pair.elastic):
            request, seen = SearchRequest(parse_query(query), sort=sort, size=97, highlight=False), []
            while True:
                results = engine.search(request)
                seen += [hit.document.id for hit in results.hits]
                if results.next_cursor is None:
                    break
                request = replace(request, cursor=results.next_cursor)
            listed.append([(place, sorted(some)) for place, some in groupby(seen, key)])
        assert listed[0] == listed[1], query


def test_the_first_ten_by_relevance_are_nearly_the_same(pair: Pair) -> None:
    shares, firsts = [], []
    for query in pair.queries:
        request = SearchRequest(parse_query(query), size=10, highlight=False)
        one, other = ids(pair.embedded, request), ids(pair.elastic, request)
        if one:
            shares.append(len(set(one) & set(other)) / len(one))
            firsts.append(one[0] == other[0])
    overlap, same_first = sum(shares) / len(shares), sum(firsts) / len(firsts)
    print(f"top-10 overlap of {len(shares)} queries: {overlap:.3f}; the same first hit: {same_first:.3f}")  # noqa: T201 - the figure
    assert overlap >= 0.9
    assert same_first >= 0.9


def test_words_and_ids_are_the_same(pair: Pair) -> None:
    assert list(pair.elastic.iter_ids()) == list(pair.embedded.iter_ids()) == sorted(d.id for d in pair.documents)
    source = random.Random(9)
    for document in source.sample(list(pair.documents), 25):
        assert pair.elastic.get(document.id) == document
    mended = [pair.elastic.correct(wrong) == pair.embedded.correct(wrong) for wrong in misspelt(pair.documents, source)]
    assert sum(mended) / len(mended) >= 0.9
    for prefix in ("sist", "anal", "pemb", "informasi", "santoso", "kimia ", "energ"):
        one, other = pair.embedded.suggest(prefix), pair.elastic.suggest(prefix)
        assert len(one) == len(other)
        assert {each for each in one if each.kind != "title"} == {each for each in other if each.kind != "title"}


def misspelt(documents: Sequence[Document], source: random.Random) -> list[str]:
    words = [
        word for document in documents for word in document.title.lower().split() if len(word) > 6 and word.isalpha()
    ]
    return [word[:3] + word[4] + word[3] + word[5:] for word in source.sample(words, 60)]
