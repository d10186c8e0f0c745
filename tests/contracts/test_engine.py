"""The contract of `indexer.engine.Engine`, run against every engine."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harvester.errors import EngineBusyError, EngineUnavailableError, QueryRejectedError, SchemaChangedError
from harvester.settings import Settings
from indexer.document import Document, Holder, Text
from indexer.engine import Engine, Results
from indexer.engine.cursors import Cursor
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.opening import open_engine as open_engine_of
from indexer.engine.schema import make_entry
from indexer.parser import parse_query
from indexer.query import All, And, Facet, In, Not, Or, Phrase, Prefix, Range, SearchRequest, Sort, Term

Open = Callable[[], Engine]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.service)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An installation with either engine, its index not built yet."""
    if request.param == "embedded":
        return Settings(home=tmp_path)
    return Settings(home=tmp_path, engine=request.getfixturevalue("elasticsearch_index"), engine_replicas=0)


@pytest.fixture
def open_engine(settings: Settings) -> Iterator[Open]:
    """Opens the same, at first unbuilt, index as often as it is called."""
    opened: list[Engine] = []

    def open_one() -> Engine:
        opened.append(open_engine_of(settings))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(open_engine: Open) -> Engine:
    """An engine over an index that is not built yet."""
    return open_engine()


def work(number: int, title: str = "Sebuah karya", **values: object) -> Document:
    """A small document; what matters to a test is given by the test."""
    made = Document(
        id=f"w{number:03}",
        holders=(Holder(f"itb-{number}", "itb", f"https://itb.example/{number}"),),
        titles=(Text(title, "id"),),
        languages=("id",),
        type="thesis",
        year=2020,
        added=1_700_000_000 + number,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # names of Document's fields


def ids(results: Results) -> list[str]:
    return [hit.document.id for hit in results.hits]


def found(engine: Engine, query: str, **request: object) -> set[str]:
    return set(ids(engine.search(SearchRequest(query=parse_query(query), size=200, **request))))  # type: ignore[arg-type]  # as above


LIBRARY = (
    work(1, "Penelitian batik di Jawa", creators=("Santoso, Budi",), subjects=("Batik", "Seni rupa"), year=2018),
    work(
        2,
        "Meneliti tenun ikat",
        creators=("Sari, Dewi",),
        subjects=("Tenun",),
        year=2019,
        abstracts=(Text("Kain tenun dan batik dari Sumba, dengan motif yang dibandingkan.", "id"),),
        holders=(Holder("ugm-2", "ugm", fulltext=True), Holder("itb-2", "itb")),
    ),
    work(
        3,
        "A study of batik motifs",
        titles=(Text("A study of batik motifs", "en"),),
        languages=("en",),
        type="article",
        year=2021,
        publishers=("Penerbit Nusantara",),
        sources=("Journal of Textiles, vol. 3",),
        dois=("10.1234/abc.5",),
        issns=("0378-5955",),
        holders=(Holder("ui-3", "ui", fulltext=True),),
    ),
    work(4, "机器学习在纺织中的应用", titles=(Text("机器学习在纺织中的应用", "zh"),), languages=("zh",), year=None),
    work(5, "Naïve Bayes untuk Qur'an", isbns=("9786028519939",), level="master", access="open", type="book"),
)


@pytest.fixture
def library(engine: Engine) -> Engine:
    """An engine that holds five works."""
    engine.write(LIBRARY, (), 1)
    return engine


# Writing


def test_a_written_document_comes_back_whole(library: Engine) -> None:
    assert library.get("w002") == LIBRARY[1]
    assert library.get("w004") == LIBRARY[3]


def test_an_unknown_id_is_none_and_not_an_error(library: Engine) -> None:
    assert library.get("w999") is None
    assert library.get("") is None


def test_writing_an_id_again_replaces_the_document(library: Engine) -> None:
    library.write([work(1, "Keramik kuno")], (), 2)
    assert library.count() == 5
    assert found(library, "keramik") == {"w001"}
    assert found(library, "title:batik") == {"w003"}


def test_the_last_of_two_documents_with_one_id_stands(engine: Engine) -> None:
    engine.write([work(1, "pertama sekali"), work(1, "kedua kali")], (), 1)
    assert engine.count() == 1
    assert engine.get("w001") == work(1, "kedua kali")


def test_writing_twice_changes_nothing(library: Engine) -> None:
    library.write(LIBRARY, ("w777",), 1)
    assert library.count() == 5
    assert library.watermark() == 1
    assert found(library, "batik") == {"w001", "w002", "w003"}


def test_deleted_works_are_gone_everywhere(library: Engine) -> None:
    library.write((), ("w001", "w003"), 2)
    assert library.count() == 3
    assert found(library, "batik") == {"w002"}
    assert library.get("w001") is None
    assert library.suggest("santoso") == ()
    assert library.search(SearchRequest(facets=("author",))).facets["author"][0].value == "Sari, Dewi"


def test_an_id_that_is_written_and_deleted_stands(engine: Engine) -> None:
    engine.write([work(1)], ["w001"], 1)
    assert engine.count() == 1


def test_the_watermark_is_zero_at_first_then_what_was_written_last(open_engine: Open) -> None:
    engine = open_engine()
    assert engine.watermark() == 0
    engine.write([work(1)], (), 41)
    engine.write((), (), 42)
    assert engine.watermark() == 42
    engine.close()
    assert open_engine().watermark() == 42


def test_a_source_that_breaks_leaves_the_former_state_and_the_next_write_works(library: Engine) -> None:
    def broken() -> Iterator[Document]:
        yield work(6, "Tidak pernah ada")
        raise RuntimeError("the catalogue went away")

    with pytest.raises(RuntimeError, match="went away"):
        library.write(broken(), ["w001"], 2)
    assert (library.count(), library.watermark()) == (5, 1)
    library.write([work(7, "Sesudahnya")], (), 3)
    assert found(library, "sesudahnya") == {"w007"}
    assert library.get("w006") is None
    assert library.get("w001") is not None


def test_what_was_written_stays_after_close(open_engine: Open) -> None:
    first = open_engine()
    first.write(LIBRARY, (), 1)
    first.close()
    assert open_engine().count() == 5


def test_values_that_no_one_expects_are_stored_and_found(engine: Engine) -> None:
    odd = work(
        1,
        "Bad \ud800 surrogate \x00 and \U0001f600",
        id='oai:a/b c*?"{}[]:\\é',
        subjects=("", "x" * 70_000, "a\x1fb", "\udfff"),
        creators=("O'Neil, \x1e Siân",),
        year=-3,
    )
    engine.write([odd], (), 1)
    assert engine.get(odd.id) == odd
    assert list(engine.iter_ids()) == [odd.id]
    assert found(engine, "surrogate") == {odd.id}
    subjects = {b.value for b in engine.search(SearchRequest(facets=("subject",))).facets["subject"]}
    assert all(engine.search(SearchRequest(filters=(("subject", (s,)),))).total == 1 for s in subjects)
    engine.write((), [odd.id], 2)
    assert engine.count() == 0


# Not there, not ours


def test_reading_what_was_never_built_says_how_to_build_it(engine: Engine) -> None:
    reads: tuple[Callable[[], object], ...] = (
        engine.count,
        lambda: engine.get("w001"),
        lambda: engine.search(SearchRequest()),
        lambda: list(engine.iter_ids()),
        lambda: engine.suggest("batik"),
        lambda: engine.correct("batik"),
        lambda: engine.similar("w001"),
    )
    for read in reads:
        with pytest.raises(EngineUnavailableError, match="lumbung index"):
            read()


def test_an_empty_index_answers(engine: Engine) -> None:
    engine.write((), (), 5)
    assert engine.count() == 0
    assert engine.search(SearchRequest(facets=("member", "year"))) == Results(0, (), {"member": (), "year": ()})
    assert (engine.suggest("batik"), engine.correct("batik"), list(engine.iter_ids())) == ((), None, [])


# Finding


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (All(), {1, 2, 3, 4, 5}),
        (Term("BATIK"), {1, 2, 3}),
        (Term("batik", "title"), {1, 3}),
        (Term("santoso", "author"), {1}),
        (Term("nusantara", "publisher"), {3}),
        (Term("textiles", "source"), {3}),
        (Term("sumba", "abstract"), {2}),
        (Term("rupa", "subject"), {1}),
        (Phrase("tenun ikat"), {2}),
        (Phrase("ikat tenun"), set()),
        (Phrase("batik tenun", "subject"), set()),
        (Prefix("pene"), {1, 3}),
        (Prefix("pene", "title"), {1}),
        (Range(2019, None), {2, 3, 5}),
        (Range(None, 2019), {1, 2}),
        (Range(2019, 2020), {2, 5}),
        (Range(2021, 2019), set()),
        (In("doi", ("10.1234/abc.5",)), {3}),
        (In("issn", ("0378-5955",)), {3}),
        (In("isbn", ("9786028519939", "x")), {5}),
        (In("member", ("ugm",)), {2}),
        (In("type", ("article", "book")), {3, 5}),
        (In("language", ("zh",)), {4}),
        (In("subject", ("Seni rupa",)), {1}),
        (In("author", ("Sari, Dewi",)), {2}),
        (In("access", ("open",)), {5}),
        (In("level", ("master",)), {5}),
        (In("type", ()), set()),
        (And((Term("batik"), Term("jawa"))), {1}),
        (And((Term("batik"), Not(Term("jawa")))), {2, 3}),
        (Or((Term("jawa"), Term("sumba"))), {1, 2}),
        (Or(()), set()),
        (Not(Term("batik")), {4, 5}),
        (And((All(), Not(Term("batik")))), {4, 5}),
        (Term("..."), set()),
    ],
)  # fmt: skip
def test_each_kind_of_node_finds_what_it_says(library: Engine, query: object, expected: set[int]) -> None:
    results = library.search(SearchRequest(query=query, size=50))  # type: ignore[arg-type]  # every Node
    assert {int(i[1:]) for i in ids(results)} == expected
    assert results.total == len(expected)


def test_words_of_one_query_may_stand_in_different_fields(library: Engine) -> None:
    assert found(library, "santoso penelitian rupa") == {"w001"}


def test_one_form_of_a_word_finds_the_others_of_its_family(library: Engine) -> None:
    assert found(library, "penelitian") >= {"w001", "w002"}
    assert found(library, "perbandingan") == {"w002"}
    assert found(library, "studies motif") == {"w003"}


def test_a_text_is_only_matched_by_the_stemmer_of_its_own_language(engine: Engine) -> None:
    english = work(1, titles=(Text("Beruang studies", "en"),), languages=("en",))
    engine.write(
        [english, work(2, "Studies beruang"), work(3, titles=(Text("Study room", None),), languages=())], (), 1
    )
    assert found(engine, "uang") == {"w002"}  # ber- and uang, in Indonesian alone
    assert found(engine, "study") == {"w001", "w003"}  # no language, no stems: exact forms


def test_accents_and_case_and_inner_apostrophes_do_not_matter(library: Engine) -> None:
    assert found(library, "naive") == found(library, "NAÏVE") == {"w005"}
    assert found(library, "quran") == found(library, "Qur’an") == {"w005"}


def test_words_in_scripts_without_spaces_are_found_inside_the_text(library: Engine) -> None:
    assert found(library, "学习") == {"w004"}
    assert found(library, "习学") == set()


def test_a_hit_in_the_title_comes_before_one_in_the_abstract_and_exact_before_stem(engine: Engine) -> None:
    filler = [work(n, f"lain hal {n}") for n in range(10, 40)]
    abstract = work(1, "hal lain", abstracts=(Text("penelitian tentang air", "id"),))
    engine.write([*filler, abstract, work(2, "meneliti air"), work(3, "penelitian air")], (), 1)
    assert ids(engine.search(SearchRequest(query=Term("penelitian")))) == ["w003", "w002", "w001"]


HOSTILE = (
    '"', '""', "(((", ")))", "AND", "NOT", "OR OR", "a AND", "-", "--a", "*", "a*", "**", "title:", "title:*",
    "year:99999", "year:2019-1999", 'doi:"', "10.1234/" + "(" * 50, "978-602-8519-93-9", "https://x.example/?a=b&c=[d]",
    "😀", "\x00", "\ud800", "a:b:c", "{!lucene}", "id:*", "/.*/", "~2", "^5", "[a TO z]", "\\", "-a -b", "+a +b",
    "(a OR (b AND NOT c)) -d", "ﷺ", "x" * 100_000, "kata " * 20_000, "(" * 100_000, '"kata ' * 10_000, "类" * 10_000,
    "a && b || !c", "title:(a OR",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_that_a_reader_can_type_breaks_a_search(library: Engine, text: str) -> None:
    results = library.search(SearchRequest(query=parse_query(text), facets=("member",), size=3))
    assert 0 <= results.total <= 5
    assert len(results.hits) == min(results.total, 3)
    library.suggest(text)
    library.correct(text)


# Facets and filters

FACETS: tuple[Facet, ...] = ("member", "year", "type", "language", "subject", "author")


def test_a_work_whose_title_was_typed_comes_first_whatever_is_an_operator_in_it(engine: Engine) -> None:
    titles = (
        "Tes glycol dari etilen",
        "Tes dari etilen",
        "Tes dari etilen, etilen dari tes",
        "Ini NOT Tes",
        "Ini saja",
    )
    engine.write([work(number, title) for number, title in enumerate(titles)], (), 1)
    assert ids(engine.search(SearchRequest(parse_query("tes dari ETILEN"))))[0] == "w001"
    assert ids(engine.search(SearchRequest(parse_query("Ini NOT tes")))) == ["w003", "w004"]


def test_words_are_looked_for_where_operators_find_nothing_whatever_the_filters(library: Engine) -> None:
    assert found(library, "tenun -ikat") == {"w002"}
    assert found(library, "batik -studi -study") == {"w001", "w002"}
    assert found(library, "batik -jawa", filters=(("year", ("2018",)),)) == set()
    assert found(library, "tenun -nihil-sama-sekali") == {"w002"}
    request = SearchRequest(parse_query("tahun:1900 OR type:batik"), size=1)
    library.write([work(number, f"Tahun 1900, OR type batik {number}") for number in (6, 7)], (), 2)
    first = library.search(request)
    assert sorted(ids(first) + ids(library.search(replace(request, cursor=first.next_cursor)))) == ["w006", "w007"]


def counts(results: Results, facet: Facet) -> dict[str, int]:
    return {bucket.value: bucket.count for bucket in results.facets[facet]}


def test_facets_count_works_by_each_value_most_first_then_by_value(library: Engine) -> None:
    results = library.search(SearchRequest(facets=FACETS))
    assert tuple(results.facets) == FACETS
    assert list(counts(results, "member").items()) == [("itb", 4), ("ugm", 1), ("ui", 1)]
    assert list(counts(results, "type").items()) == [("thesis", 3), ("article", 1), ("book", 1)]
    assert list(counts(results, "year").items()) == [("2018", 1), ("2019", 1), ("2020", 1), ("2021", 1)]
    assert list(counts(results, "subject").items()) == [("Batik", 1), ("Seni rupa", 1), ("Tenun", 1)]


def test_only_facets_that_are_asked_for_are_counted(library: Engine) -> None:
    assert library.search(SearchRequest()).facets == {}
    assert list(library.search(SearchRequest(facets=("year",))).facets) == ["year"]


def test_values_of_one_facet_are_alternatives_and_facets_add_up(library: Engine) -> None:
    assert found(library, "", filters=(("member", ("ugm", "ui")),)) == {"w002", "w003"}
    assert found(library, "", filters=(("member", ("itb",)), ("type", ("thesis",)))) == {"w001", "w002", "w004"}
    assert found(library, "", filters=(("year", ("2018", "2021", "x")),)) == {"w001", "w003"}
    assert found(library, "", filters=(("member", ()),)) == {"w001", "w002", "w003", "w004", "w005"}


def test_a_facet_ignores_its_own_filter_and_obeys_the_others(library: Engine) -> None:
    results = library.search(
        SearchRequest(filters=(("member", ("ui",)), ("language", ("en", "zh"))), facets=FACETS, years=(2019, 2021))
    )
    assert ids(results) == ["w003"]
    assert counts(results, "member") == {"ui": 1}
    assert counts(results, "language") == {"en": 1}
    results = library.search(SearchRequest(filters=(("member", ("ui",)),), facets=FACETS))
    assert counts(results, "member") == {"itb": 4, "ugm": 1, "ui": 1}
    assert counts(results, "type") == {"article": 1}


def test_the_year_facet_ignores_the_range_of_years_and_has_every_year_ascending(engine: Engine) -> None:
    engine.write([work(n, year=1900 + n) for n in range(120)], (), 1)
    results = engine.search(SearchRequest(facets=("year", "type"), facet_size=3, years=(1990, 1999)))
    assert [b.value for b in results.facets["year"]] == [str(year) for year in range(1900, 2020)]
    assert results.total == counts(results, "type")["thesis"] == 10
    assert engine.search(SearchRequest(facets=("type",), facet_size=0)).facets == {"type": ()}


def test_facet_size_limits_the_list_and_counts_stay_exact_over_many_commits(engine: Engine) -> None:
    rng, expected = random.Random(7), {}
    for batch in range(6):
        documents = []
        for n in range(batch * 300, batch * 300 + 300):
            subjects = tuple(f"s{int(rng.paretovariate(0.6)) % 4000}" for _ in range(3))
            for subject in set(subjects):
                expected[subject] = expected.get(subject, 0) + 1
            documents.append(work(n, subjects=subjects))
        engine.write(documents, (), batch + 1)
    results = engine.search(SearchRequest(facets=("subject",), facet_size=25))
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:25]
    assert [(b.value, b.count) for b in results.facets["subject"]] == best


def test_a_value_that_leads_only_in_some_commits_is_counted_in_all_of_them(engine: Engine) -> None:
    crowd = tuple(f"ramai {n}" for n in range(10_500))
    for batch in range(3):
        documents = [work(batch * 10 + n, subjects=crowd) for n in range(3)]
        engine.write([*documents, work(batch * 10 + 9, subjects=("langka",))], (), batch + 1)
    engine.write([work(100 + n, subjects=("langka",)) for n in range(30)], (), 9)
    results = engine.search(SearchRequest(facets=("subject",), facet_size=1))
    assert [(b.value, b.count) for b in results.facets["subject"]] == [("langka", 33)]


def test_fulltext_can_be_required_or_refused(library: Engine) -> None:
    assert found(library, "", fulltext=True) == {"w002", "w003"}
    assert found(library, "", fulltext=False) == {"w001", "w004", "w005"}


def test_filters_do_not_change_scores(library: Engine) -> None:
    plain = library.search(SearchRequest(query=Term("batik")))
    narrowed = library.search(SearchRequest(query=Term("batik"), filters=(("language", ("id",)),), years=(2000, None)))
    scores = {hit.document.id: hit.score for hit in plain.hits}
    assert [hit.score for hit in narrowed.hits] == [scores[hit.document.id] for hit in narrowed.hits]
    assert len(narrowed.hits) == 2


# Order and pages


def pages(engine: Engine, request: SearchRequest) -> list[str]:
    """The ids over all pages; each page says the same total."""
    seen: list[str] = []
    totals = set()
    while True:
        results = engine.search(request)
        seen += ids(results)
        totals.add(results.total)
        if results.next_cursor is None:
            assert totals == {results.total}
            return seen
        request = replace(request, cursor=results.next_cursor)


def shelf(count: int) -> list[Document]:
    rng = random.Random(3)
    titles, years = ["", "Ärger", "batik", "zaman", "Batik: asal"], [None, 1999, 2001, 2020]
    return [work(n, rng.choice(titles), year=rng.choice(years), added=n // 3) for n in range(count)]


@pytest.mark.parametrize("sort", ["relevance", "newest", "oldest", "title", "added"])
@pytest.mark.parametrize("query", [All(), Or((Term("batik"), Term("zaman"), Not(Term("batik"))))])
def test_pages_show_every_work_once_whatever_the_order(engine: Engine, sort: Sort, query: object) -> None:
    engine.write(shelf(157), (), 1)
    request = SearchRequest(query=query, sort=sort, size=10)  # type: ignore[arg-type]  # every Node
    assert sorted(pages(engine, request)) == [f"w{n:03}" for n in range(157)]


def test_orders_by_year_put_works_without_one_last(engine: Engine) -> None:
    documents = {document.id: document for document in shelf(60)}
    engine.write(documents.values(), (), 1)
    for sort, sign in (("newest", -1), ("oldest", 1)):
        years = [documents[i].year for i in pages(engine, SearchRequest(sort=sort, size=7))]  # type: ignore[arg-type]  # both are a Sort
        dated = [year for year in years if year is not None]
        assert dated == sorted(dated, key=lambda year: sign * year)
        assert years[len(dated) :] == [None] * (60 - len(dated))


def test_titles_sort_folded_and_untitled_works_last(engine: Engine) -> None:
    engine.write([work(1, ""), work(2, "Zaman"), work(3, "ärger"), work(4, "Batik")], (), 1)
    assert ids(engine.search(SearchRequest(sort="title"))) == ["w003", "w004", "w002", "w001"]


def test_added_shows_the_latest_first(engine: Engine) -> None:
    engine.write([work(1, added=5), work(2, added=900), work(3, added=70)], (), 1)
    assert ids(engine.search(SearchRequest(sort="added"))) == ["w002", "w003", "w001"]


def test_relevance_without_words_is_the_newest_first(engine: Engine) -> None:
    engine.write(shelf(40), (), 1)
    assert pages(engine, SearchRequest(size=9)) == pages(engine, SearchRequest(sort="newest", size=9))


def test_a_page_goes_on_where_the_last_one_ended_though_works_were_added_before_it(engine: Engine) -> None:
    engine.write([work(n, f"judul {n:02}") for n in range(0, 40, 2)], (), 1)
    first = engine.search(SearchRequest(sort="title", size=5))
    engine.write([work(n, f"judul {n:02}") for n in (1, 3, 11)], (), 2)
    second = engine.search(SearchRequest(sort="title", size=3, cursor=first.next_cursor))
    assert ids(second) == ["w010", "w011", "w012"]
    assert second.total == 23


def test_there_is_no_cursor_behind_the_last_page(engine: Engine) -> None:
    engine.write([work(n) for n in range(4)], (), 1)
    for sort in ("title", "relevance"):
        request = SearchRequest(query=Term("karya"), sort=sort, size=2)  # type: ignore[arg-type]  # both are a Sort
        first = engine.search(request)
        assert first.next_cursor is not None
        assert engine.search(replace(request, cursor=first.next_cursor)).next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "😀", "AAAA", "bmV3ZXN0IDAgeHg", "../../etc", "a" * 10_000])
def test_a_cursor_that_is_not_ours_is_rejected(library: Engine, cursor: str) -> None:
    with pytest.raises(QueryRejectedError):
        library.search(SearchRequest(sort="newest", cursor=cursor))


@pytest.mark.parametrize("place", ["a] OR [b", "a b", '"', "\\", "a\x00", "A", "[", "a:b"])
def test_a_forged_place_among_titles_means_nothing_in_a_query(library: Engine, place: str) -> None:
    with pytest.raises(QueryRejectedError):
        library.search(SearchRequest(sort="title", cursor=str(Cursor("title", after=place.encode().hex()))))


def test_pages_by_title_go_on_behind_titles_of_any_script(engine: Engine) -> None:
    titles = [
        "",
        "…",
        "2020-01-02: TO *",
        "a b",
        "ab",
        "Ílmu",
        "ʻulu",
        "Ქართული",
        "हिन्दी क",
        "中文",
        "کتاب خانه",
        "\U0001d7d8 x",
    ]
    engine.write([work(at, title) for at, title in enumerate(titles)], (), 1)
    shown, request = [], SearchRequest(sort="title", size=1)
    for _ in titles:
        page = engine.search(request)
        shown += [hit.document.title for hit in page.hits]
        request = replace(request, cursor=page.next_cursor)
    assert page.next_cursor is None
    assert sorted(shown) == sorted(titles)
    assert shown.index("a b") < shown.index("ab") < shown.index("Ílmu")


def test_a_cursor_belongs_to_its_order_and_fits_a_url(engine: Engine) -> None:
    engine.write([work(n) for n in range(9)], (), 1)
    cursor = engine.search(SearchRequest(sort="newest", size=2)).next_cursor
    assert cursor is not None
    assert cursor.replace("-", "").replace("_", "").isalnum()
    with pytest.raises(QueryRejectedError):
        engine.search(SearchRequest(sort="title", cursor=cursor))


def test_a_forged_place_far_behind_the_end_is_an_empty_page(library: Engine) -> None:
    forged = urlsafe_b64encode(b"relevance 999999999 ").decode()
    results = library.search(SearchRequest(query=Term("batik"), cursor=forged, size=10**9))
    assert (results.total, results.hits, results.next_cursor) == (3, (), None)
    assert len(library.search(SearchRequest(query=Term("batik"), size=10**9)).hits) == 3


def test_scores_are_only_given_by_relevance(library: Engine) -> None:
    assert all(hit.score and hit.score > 0 for hit in library.search(SearchRequest(query=Term("batik"))).hits)
    assert {hit.score for hit in library.search(SearchRequest(query=Term("batik"), sort="title")).hits} == {None}


# What a hit shows


def test_a_hit_marks_matches_in_title_and_abstract(library: Engine) -> None:
    (hit,) = library.search(SearchRequest(query=parse_query("penelitian sumba"))).hits
    assert hit.title.parts == (("Meneliti", True), (" tenun ikat", False))
    assert ("Sumba", True) in hit.snippet.parts
    assert str(hit.snippet) == LIBRARY[1].abstracts[0].value


def test_without_highlight_nothing_is_marked_and_the_texts_are_there(library: Engine) -> None:
    (hit,) = library.search(SearchRequest(query=parse_query("penelitian sumba"), highlight=False)).hits
    assert hit.title.parts == (("Meneliti tenun ikat", False),)
    assert not any(marked for _, marked in hit.snippet.parts)


# Words


def test_suggestions_complete_titles_authors_and_subjects(library: Engine) -> None:
    kinds = {(s.kind, s.text) for s in library.suggest("bat")}
    assert kinds == {("title", "Penelitian batik di Jawa"), ("title", "A study of batik motifs"), ("subject", "Batik")}
    assert [(s.kind, s.text) for s in library.suggest("BUDI")] == [("author", "Santoso, Budi")]
    assert [s.text for s in library.suggest("santoso, b")] == ["Santoso, Budi"]
    assert [s.text for s in library.suggest("seni ru")] == ["Seni rupa"]
    assert "Meneliti tenun ikat" in [s.text for s in library.suggest("tenun ik")]


def test_suggestions_are_limited_and_a_single_letter_gives_none(engine: Engine) -> None:
    engine.write(
        [work(n, f"Batik nomor {n}", subjects=(f"Batik {n}",), creators=(f"Batik, {n}",)) for n in range(30)], (), 1
    )
    assert len(engine.suggest("batik", 8)) == 8
    assert {s.kind for s in engine.suggest("batik", 8)} == {"title", "author", "subject"}
    assert (engine.suggest("b"), engine.suggest(""), engine.suggest("batik", 0)) == ((), (), ())


def test_a_word_that_finds_nothing_is_mended_and_the_others_stay(library: Engine) -> None:
    assert library.correct("Penelitain BATIK") == "penelitian BATIK"
    assert library.correct('"mottifs" judul:batikk') == '"motifs" judul:batik'
    assert library.correct("atnosos") is None
    assert library.correct("santsoo") == "santoso"


def test_a_text_that_finds_things_or_has_no_near_words_is_not_mended(library: Engine) -> None:
    assert library.correct("perbandingan tenun") is None
    assert library.correct("xylofonistik") is None
    assert library.correct("") is None


def test_of_two_near_words_the_nearer_then_the_more_frequent_is_chosen(engine: Engine) -> None:
    engine.write([work(1, "sistem"), work(2, "sister"), work(3, "sistem"), work(4, "sisteme")], (), 1)
    assert engine.correct("sistex") == "sistem"


def test_similar_works_share_rare_words_and_leave_out_the_work_itself(engine: Engine) -> None:
    engine.write([work(n, f"analisis hal {n}") for n in range(10, 60)], (), 1)
    engine.write(
        [work(1, "analisis batik pekalongan"), work(2, "pewarnaan batik pekalongan"), work(3, "batik solo")], (), 2
    )
    assert [document.id for document in engine.similar("w001", 2)] == ["w002", "w003"]
    assert "w001" not in [document.id for document in engine.similar("w001", 50)]
    assert engine.similar("w999") == ()


def test_ids_come_in_ascending_order_each_once(engine: Engine) -> None:
    names = ["b", "a", "a:1", "é", "a-1", "Z", "a" * 300, "10", "9"]
    engine.write([work(1, id=name) for name in names], (), 1)
    assert list(engine.iter_ids()) == sorted(names)


# Many threads, many processes


_PRELUDE = """
import sys
from harvester.settings import Settings
from indexer.document import Document, Holder, Text
from indexer.engine.opening import open_engine

def work(n, title):
    return Document(id=f"w{n:03}", holders=(Holder(f"h{n}", "itb"),), titles=(Text(title, "id"),))

engine = open_engine(Settings(home=sys.argv[1], engine=sys.argv[2]))
"""


def run(script: str, settings: Settings) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PRELUDE + script, str(settings.home), settings.engine]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_reader_in_another_process_sees_each_commit(engine: Engine, settings: Settings) -> None:
    engine.write([work(1)], (), 1)
    reader = run("for line in sys.stdin: print(engine.count(), engine.watermark(), flush=True)", settings)
    assert reader.stdin is not None
    assert reader.stdout is not None
    with reader:
        for expected in (1, 2, 3):
            engine.write([work(expected)], (), expected)
            print("count", file=reader.stdin, flush=True)
            assert reader.stdout.readline().split() == [str(expected), str(expected)]
        reader.stdin.close()


def test_a_second_writer_is_refused_by_name_of_the_lock_until_the_first_is_done(tmp_path: Path) -> None:
    first, second = EmbeddedEngine(tmp_path), EmbeddedEngine(tmp_path)
    first.write([work(1)], (), 1)
    with pytest.raises(EngineBusyError, match=r"write\.lock"):
        second.write([work(2)], (), 2)
    assert second.count() == 1
    first.close()
    second.write([work(2)], (), 2)
    assert second.count() == 2
    second.close()


def test_who_has_read_the_watermark_before_another_wrote_reads_it_again_before_writing(open_engine: Open) -> None:
    first, second = open_engine(), open_engine()
    assert (first.watermark(), second.watermark()) == (0, 0)
    first.write([work(1, "dari yang pertama")], (), 1)
    first.close()
    with pytest.raises(EngineBusyError, match="meanwhile"):
        second.write([work(1, "dari yang kedua")], (), 1)
    assert str(second.search(SearchRequest()).hits[0].title) == "dari yang pertama"
    assert second.watermark() == 1
    second.write([work(2)], (), 2)
    assert second.count() == 2


def test_a_writer_killed_in_the_middle_leaves_a_whole_state_and_never_a_watermark_ahead_of_it(
    open_engine: Open, settings: Settings
) -> None:
    """Each round writes all 40 documents with the round's number; any mixture of rounds would show."""
    script = (
        "start = engine.watermark()\n"
        "for n in range(start + 1, start + 100000):\n"
        "    def documents():\n"
        "        for i in range(40):\n"
        "            if i == 20: print(n, flush=True)\n"
        "            yield work(i, f'putaran r{n}')\n"
        "    engine.write(documents(), (), n)\n"
    )
    rng = random.Random(11)
    last = 0
    for _ in range(8):
        writer = run(script, settings)
        assert writer.stdout is not None
        with writer:
            for _ in range(rng.randrange(2, 6)):
                begun = int(writer.stdout.readline())
            threading.Event().wait(rng.random() * 0.03)  # the kill falls anywhere in a round
            writer.send_signal(signal.SIGKILL)
            begun = max([begun, *map(int, writer.stdout.read().split())])
        while True:
            engine = open_engine()
            watermark = engine.watermark()
            rounds = {str(hit.title) for hit in engine.search(SearchRequest(size=50)).hits}
            assert engine.count() == 40
            assert len(rounds) == 1
            content = int(rounds.pop().removeprefix("putaran r"))
            assert last < watermark + 1
            assert watermark <= content <= begun
            last = watermark
            try:
                engine.write([work(0, f"putaran r{content}")], (), watermark)
            except EngineBusyError:  # a server does what the killed one had asked of it a moment after its end
                assert engine.watermark() > watermark
                continue
            finally:
                engine.close()
            break


def test_many_threads_search_while_one_writes(engine: Engine) -> None:
    engine.write([work(n, "batik") for n in range(20)], (), 1)
    wrong: list[object] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            results = engine.search(SearchRequest(query=Term("batik"), facets=("type",), size=5))
            if not (results.total % 20 == 0 and results.total == results.facets["type"][0].count):
                wrong.append(results.total)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for batch in range(1, 8):
        engine.write([work(n, "batik") for n in range(batch * 20, batch * 20 + 20)], (), batch + 1)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert engine.count() == 160


# Growing beside


def test_an_index_that_grew_beside_is_read_at_once_and_goes_on(open_engine: Open) -> None:
    engine, reader = open_engine(), open_engine()
    engine.write([work(1), work(2)], (), 4)
    beside = engine.beside()
    assert beside.watermark() == 0
    beside.write([work(3)], (), 7)
    assert (reader.count(), reader.watermark(), engine.count()) == (2, 4, 2)
    engine.replace_with(beside)
    beside.close()
    assert list(reader.iter_ids()) == list(engine.iter_ids()) == ["w003"]
    assert (reader.watermark(), engine.watermark()) == (7, 7)
    engine.write([work(4, "sesudahnya")], (), 8)
    assert found(reader, "sesudahnya") == {"w004"}


def test_what_grew_beside_until_a_kill_goes_on_there_unless_all_is_wanted_anew(open_engine: Open) -> None:
    engine = open_engine()
    engine.write([work(1)], (), 1)
    for anew, expected in ((False, 0), (False, 5), (True, 0)):
        beside = engine.beside(anew=anew)
        assert beside.watermark() == expected
        beside.write([work(2), work(3)], (), 5)
        beside.close()
    beside = engine.beside()
    engine.replace_with(beside)
    beside.close()
    assert (engine.count(), engine.watermark()) == (2, 5)
    later = engine.beside()
    assert later.watermark() == 0
    later.close()


def test_the_first_index_may_grow_beside_none(open_engine: Open) -> None:
    engine = open_engine()
    beside = engine.beside()
    beside.write([work(1)], (), 3)
    with pytest.raises(EngineUnavailableError, match="not been built"):
        engine.count()
    engine.replace_with(beside)
    beside.close()
    assert (engine.count(), engine.watermark()) == (1, 3)


def test_who_wrote_when_the_index_was_replaced_reads_the_watermark_again(open_engine: Open) -> None:
    engine, other = open_engine(), open_engine()
    engine.write([work(1)], (), 9)
    engine.close()
    assert other.watermark() == 9
    beside = engine.beside()
    beside.write([work(2)], (), 5)
    engine.replace_with(beside)
    beside.close()
    with pytest.raises(EngineBusyError):
        other.write([work(3)], (), 10)
    assert other.watermark() == 5


# Full texts


BOOK = work(
    10,
    "Irigasi di Bali",
    abstracts=(Text("Pembagian air di sawah.", "id"),),
    holders=(Holder("b-10", "b", fulltext=True),),
)
CHAPTERS = (
    Text("Bab satu. Penelitian ini membandingkan subak di lima desa; wawancara dengan pekaseh", "id"),
    Text("dilakukan pada musim tanam. The farmers were studying water sharing.", "en"),
)


@pytest.fixture
def readers(library: Engine) -> Engine:
    """Six works; one has a full text of two files."""
    library.write([make_entry(BOOK, CHAPTERS)], (), 2)
    return library


def test_what_only_a_full_text_has_finds_the_work_and_the_document_does_not_keep_it(readers: Engine) -> None:
    assert found(readers, "pekaseh") == found(readers, '"lima desa"') == found(readers, "wawanc*") == {"w010"}
    assert found(readers, "sawah pekaseh") == {"w010"}
    for query in (Phrase("desa lima"), Term("pekaseh", "title"), Term("pekaseh", "described")):
        assert ids(readers.search(SearchRequest(query=query))) == []
    assert readers.get("w010") == BOOK


def test_the_files_of_a_full_text_are_one_text_each_stemmed_by_its_own_language(readers: Engine) -> None:
    assert found(readers, '"dengan pekaseh dilakukan pada"') == {"w010"}
    assert found(readers, "text:meneliti") == found(readers, "teks:teliti") == {"w010"}
    assert found(readers, "text:study") == found(readers, "text:farmer") == {"w010"}
    assert not readers.search(SearchRequest(query=Term("irigasi", "text"))).total  # the title has it


def test_a_full_text_weighs_less_than_an_abstract_and_that_less_than_a_title(engine: Engine) -> None:
    text = "seni tari dari desa ke desa di sepanjang pantai utara " * 20
    others = [work(n, f"Karya {n}", abstracts=(Text("Sebuah karya tentang tari.", "id"),)) for n in range(20, 40)]
    engine.write([make_entry(other, [Text(text, "id")]) for other in others], (), 1)
    engine.write([work(1, "Gamelan"), work(2, abstracts=(Text("Tentang gamelan Jawa, dan tari.", "id"),))], (), 2)
    engine.write([make_entry(work(3), [Text("gamelan " * 30 + text, "id")])], (), 3)
    assert ids(engine.search(SearchRequest(query=parse_query("gamelan")))) == ["w001", "w002", "w003"]


def test_writing_a_work_without_its_full_text_takes_the_text_away(readers: Engine) -> None:
    readers.write([replace(BOOK, holders=(Holder("b-10", "b"),))], (), 3)
    assert found(readers, "pekaseh") == set()
    assert found(readers, "irigasi") == {"w010"}


def test_works_whose_text_opens_can_be_told_from_others_in_a_query_and_by_the_filter(readers: Engine) -> None:
    readable = {"w002", "w003", "w010"}
    assert (
        found(readers, "fulltext:yes")
        == found(readers, "teks-lengkap:ya")
        == found(readers, "", fulltext=True)
        == readable
    )
    assert found(readers, "fulltext:no") == found(readers, "-fulltext:yes") == found(readers, "", fulltext=False)
    assert found(readers, "fulltext:no") == {"w001", "w004", "w005"}
    assert found(readers, "batik fulltext:ya") == found(readers, "batik", fulltext=True) == {"w002", "w003"}
    counts = readers.search(SearchRequest(facets=("type",), fulltext=True)).facets["type"]
    assert {bucket.value: bucket.count for bucket in counts} == {"thesis": 2, "article": 1}


def test_of_an_overlong_full_text_the_beginning_is_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.engine.schema.MOST_CHARACTERS", 60)
    engine.write([make_entry(work(1), [Text("permulaan " * 5, "id"), Text("ujungnya jauh sekali", "id")])], (), 1)
    assert found(engine, "permulaan ujungnya") == {"w001"}
    assert found(engine, "sekali") == set()


def test_words_of_full_texts_are_neither_offered_nor_do_they_make_works_similar(readers: Engine) -> None:
    assert readers.correct("pekasehh") is None
    assert readers.correct("pekaseh") is None  # it finds something
    assert readers.correct("irigasy") == "irigasi"
    readers.write(
        [make_entry(work(11, "Tenun"), [Text("irigasi irigasi bali", "id")]), work(12, "Irigasi di Lombok")], (), 3
    )
    assert [document.id for document in readers.similar("w010")] == ["w012"]


# The embedded engine's own folder


def test_an_index_of_another_schema_is_refused_and_can_be_replaced(tmp_path: Path) -> None:
    old = tmp_path / "index"
    (old / "0123456789ab-1").mkdir(parents=True)
    (old / "0123456789ab-1" / "meta.json").write_text("{}")
    (old / "current").write_text("0123456789ab-1")
    engine, fresh = EmbeddedEngine(old), EmbeddedEngine(tmp_path / "fresh")
    for use in (engine.count, engine.watermark, lambda: engine.write([work(1)], (), 1)):
        with pytest.raises(SchemaChangedError, match="reindex"):
            use()
    fresh.write([work(1)], (), 9)
    engine.replace_with(fresh)
    assert (engine.count(), engine.watermark()) == (1, 9)
    assert (old / "0123456789ab-1").exists()
    fresh.write([work(1)], (), 10)
    engine.replace_with(fresh)
    assert not (old / "0123456789ab-1").exists()
    engine.close()
    fresh.close()


def test_the_former_build_stays_until_the_next_swap(tmp_path: Path) -> None:
    engine, fresh = (EmbeddedEngine(tmp_path / name) for name in ("index", "fresh"))
    builds = []
    for number in range(4):
        fresh.write([work(number)], (), number)
        engine.replace_with(fresh)
        with pytest.raises(EngineUnavailableError):
            fresh.count()
        builds.append({path.name.partition("-")[2] for path in (tmp_path / "index").iterdir() if path.is_dir()})
    assert builds == [{"1"}, {"1", "2"}, {"2", "3"}, {"3", "4"}]
    engine.close()
    fresh.close()


def test_an_index_is_not_replaced_while_another_process_writes_to_it(tmp_path: Path) -> None:
    engine, fresh, writer = (EmbeddedEngine(tmp_path / name) for name in ("index", "fresh", "index"))
    writer.write([work(1)], (), 1)
    fresh.write([work(2)], (), 2)
    with pytest.raises(EngineBusyError, match="lock"):
        engine.replace_with(fresh)
    assert list(engine.iter_ids()) == ["w001"]
    writer.close()
    engine.replace_with(fresh)
    assert list(engine.iter_ids()) == ["w002"]


def test_a_damaged_index_is_unavailable_and_not_a_crash(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path / "index")
    engine.write([work(1)], (), 1)
    engine.close()
    (build,) = (path for path in (tmp_path / "index").iterdir() if path.is_dir())
    meta = json.loads((build / "meta.json").read_text())
    (build / "meta.json").write_text(json.dumps(meta)[:50])
    with pytest.raises(EngineUnavailableError, match="cannot be opened"):
        engine.count()
