"""What is marked in titles and snippets."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indexer.analysis import query_stems, streams, tokenize
from indexer.document import Document, Text
from indexer.engine import Fragment
from indexer.highlight import Matcher, highlight, highlight_hit, snippet
from indexer.parser import parse_query
from indexer.query import Term


def marked(fragment: Fragment) -> list[str]:
    return [text for text, mark in fragment.parts if mark]


def matcher(query: str) -> Matcher:
    return Matcher(parse_query(query))


@pytest.mark.parametrize(
    ("query", "text", "language", "marks"),
    [
        ("penelitian", "Meneliti dan PENELITIAN para peneliti", "id", ["Meneliti", "PENELITIAN", "peneliti"]),
        ("penelitian", "Meneliti dan penelitian", "en", ["penelitian"]),
        ("penelitian", "Meneliti dan penelitian", None, ["penelitian"]),
        ("studies", "A study of studying", "en", ["study", "studying"]),
        ('"motif batik"', "Batik dengan motif baru", "id", ["Batik", "motif"]),
        ("bat*", "Batik, batu, dan debat", "id", ["Batik", "batu"]),
        ("quran naive", "Al-Qur’an dan Naïve Bayes", "id", ["Qur’an", "Naïve"]),
        ("学习", "机器学习方法", "zh", ["学习"]),
        ("batik -jawa", "batik jawa", "id", ["batik"]),
        ("year:2019", "tahun 2019", "id", []),
        (
            "kaji ada di",
            "Mengkaji kajian: yang ada di sana, diadakan",
            "id",
            ["Mengkaji", "kajian", "ada", "di", "diadakan"],
        ),
        ("technology", "Technological TECHNOLOGIES, technique", "en", ["Technological", "TECHNOLOGIES"]),
        ("quran jum'at", "Qur'an, Jum`at dan Al-Qur'annya", "id", ["Qur'an", "Jum`at", "Qur'annya"]),
        ("batiks bat*", "Batik, batu, baru", "en", ["Batik", "batu"]),
        ("10.1234/abc", "see 10.1234/abc", "en", ["10", "1234", "abc"]),
        ("1", "1习L`1", "id", ["1"]),
        ("études", "Une etude des ÉTUDES", "fr", ["etude", "ÉTUDES"]),
    ],
)
def test_marks_are_what_the_engine_would_find(query: str, text: str, language: str | None, marks: list[str]) -> None:
    fragment = highlight(text, matcher(query), language)
    assert marked(fragment) == marks
    assert str(fragment) == text


@settings(deadline=None)  # the machine may be busy
@given(st.text(), st.text(max_size=20))
def test_a_highlighted_text_is_the_same_text(text: str, query: str) -> None:
    fragment = highlight(text, matcher(query), "id")
    assert str(fragment) == text
    assert all(part for part, _ in fragment.parts)


_ODD = "aeLl sd.Q1-–'’`ʼé\u0301\u00ad學习สø\n"


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(_ODD, max_size=30), st.text(max_size=30)), st.sampled_from(["id", "en", "fr", "ru", None]))
def test_every_token_that_a_query_finds_is_marked_and_no_other(text: str, language: str | None) -> None:
    tokens = tokenize(text)
    # Beside a Chinese sign, "L`1" is one word; alone, it is an article and another, and tells nothing of the text.
    assume(all(len(tokenize(token.source)) == 1 for token in tokens))
    for one in tokens[:3]:
        if len(tokenize(one.text)) > 1:
            continue  # a sign that stands for two: a reader who types these looks for each
        wanted = {one.text, *query_stems(one.text)}
        expected = [
            (token.start, token.end)
            for token in tokens
            if token.text in wanted or wanted.intersection(streams(token.source, language)[1].split())
        ]
        found = Matcher(Term(one.text)).matches(text, language)
        assert [place[:2] for place in found] == expected


LONG = "awal " * 100 + "tentang batik halus " + "tengah " * 100 + "motif batik kawung di sini " + "akhir " * 100


def test_a_snippet_is_the_piece_with_the_most_different_matches() -> None:
    fragment = snippet(LONG, matcher("motif batik kawung"), "id")
    assert marked(fragment) == ["motif", "batik", "kawung"]
    assert (fragment.parts[0], fragment.parts[-1]) == (("…", False), ("…", False))


def test_a_snippet_begins_and_ends_between_words() -> None:
    text = str(snippet(LONG, matcher("kawung"), "id")).strip("…")
    assert len(text) <= 240
    assert set(text.split()) <= set(LONG.split())


def test_a_snippet_without_matches_is_the_beginning() -> None:
    fragment = snippet(LONG, matcher("tidakada"), "id")
    assert str(fragment).startswith("awal awal")
    assert fragment.parts[-1] == ("…", False)
    assert marked(fragment) == []


def test_a_short_text_is_its_own_snippet() -> None:
    assert snippet("Batik halus", matcher("batik"), "id").parts == (("Batik", True), (" halus", False))


def test_markup_in_a_text_stays_text() -> None:
    assert highlight("<b>batik</b>", matcher("batik"), "id").parts == (("<b>", False), ("batik", True), ("</b>", False))


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="ab 学\n", max_size=600), st.integers(10, 100))
def test_a_snippet_is_a_piece_of_the_text_and_not_much_longer_than_asked(text: str, length: int) -> None:
    piece = "".join(part for part in str(snippet(text, matcher("a 学"), "id", length)).split("…"))
    assert piece in text
    assert len(piece) <= max(length, 64) + 600 * (len(max(text.split(), key=len, default="")) > length)


def test_a_hit_shows_the_abstract_that_matches_in_its_own_language() -> None:
    document = Document(
        id="w1",
        holders=(),
        titles=(Text("Sebuah judul", "id"),),
        abstracts=(Text("Ringkasan tanpa kata itu.", "id"), Text("A text about studying.", "en")),
    )
    title, piece = highlight_hit(document, matcher("studies"))
    assert (str(title), marked(title)) == ("Sebuah judul", [])
    assert marked(piece) == ["studying"]
