"""What a reader types, as a tree."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.parser import parse_query
from indexer.query import All, And, In, Node, Not, Or, Phrase, Prefix, Range, Term, query_words

A, B, C, D = map(Term, "abcd")


def read(text: str) -> Node:
    return parse_query(text).node


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", All()),
        ("  😀 — !", All()),
        ("batik", Term("batik")),
        ("a b", And((A, B))),
        ("a AND b DAN c", And((A, B, C))),
        ("a OR b", Or((A, B))),
        ("a ATAU b c", Or((A, And((B, C))))),
        ("a (b OR c)", And((A, Or((B, C))))),
        ("a -b", And((A, Not(B)))),
        ("a NOT b", And((A, Not(B)))),
        ("a BUKAN (b c)", And((A, Not(And((B, C)))))),
        ("a NOT NOT b", And((A, B))),
        ("-a", And((All(), Not(A)))),
        ("-a NOT b", And((All(), Not(A), Not(B)))),
        ("a OR -b", Or((A, And((All(), Not(B)))))),
        ("and or not dan", And((Term("and"), Term("or"), Term("not"), Term("dan")))),
        ('"motif batik"', Phrase("motif batik")),
        ("“motif batik” «x y»", And((Phrase("motif batik"), Phrase("x y")))),
        ('a -"b c"', And((A, Not(Phrase("b c"))))),
        ("anak-anak C++", And((Term("anak-anak"), Term("C++")))),
        ("kata*", Prefix("kata")),
        ("judul:kata*", Prefix("kata", "title")),
        ("e-lear*", And((Term("e"), Prefix("lear")))),
        ("a*", Term("a*")),
        ("- a", A),
        ("(a)-b", And((A, Term("-b")))),
        ("“a”-b", And((Phrase("a"), Term("-b")))),
        ("(-b) a", And((Not(B), A))),
    ],
)
def test_words_phrases_and_operators(text: str, tree: Node) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("title:a", Term("a", "title")),
        ("JUDUL:a b", And((Term("a", "title"), B))),
        ('penulis:"Budi Santoso"', Phrase("Budi Santoso", "author")),
        ("pengarang:a", Term("a", "author")),
        ("subjek:a", Term("a", "subject")),
        ("penerbit:a", Term("a", "publisher")),
        ("jurnal:a", Term("a", "source")),
        ("abstract:a", Term("a", "abstract")),
        ("title:(a OR b) c", And((Or((Term("a", "title"), Term("b", "title"))), C))),
        ("-title:a", And((All(), Not(Term("a", "title"))))),
        ("type:Thesis", In("type", ("thesis",))),
        ("bahasa:id", In("language", ("id",))),
        ('member:"itb"', In("member", ("itb",))),
        ("Title: something pasted", And((Term("something", "title"), Term("pasted")))),
        ("Batik: sejarah", And((Term("Batik:"), Term("sejarah")))),
        ("a title: b", And((A, Term("title:"), B))),
        ("Type: a", And((Term("Type:"), A))),
        ("title:", Term("title:")),
        ("type:", Term("type:")),
    ],
)
def test_labels_of_fields(text: str, tree: Node) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("year:2019", Range(2019, 2019)),
        ("tahun:2019-2021", Range(2019, 2021)),
        ("year: 2019–2021", Range(2019, 2021)),
        ("year:2019..2021", Range(2019, 2021)),
        ("year:2021-2019", Range(2019, 2021)),
        ("year:2019-", Range(2019, None)),
        ("year:-2000", Range(None, 2000)),
        ("year:-2000 a", And((Range(None, 2000), A))),
        ("year:x", Term("year:x")),
        ("year:20195", Term("year:20195")),
        ("2019-2021", Term("2019-2021")),
    ],
)
def test_years(text: str, tree: Node) -> None:
    assert read(text) == tree


@pytest.mark.parametrize(
    ("text", "kind", "value", "phrase"),
    [
        ("10.1234/AbC.5", "doi", "10.1234/abc.5", "10 1234 abc 5"),
        ("doi: 10.1234/abc.", "doi", "10.1234/abc", "10 1234 abc"),
        ("https://doi.org/10.1234/abc", "doi", "10.1234/abc", "10 1234 abc"),
        ("http://dx.doi.org/10.1016/S01(05)678-5", "doi", "10.1016/s01(05)678-5", "10 1016 s01 05 678 5"),
        ("(10.1234/abc)", "doi", "10.1234/abc", "10 1234 abc"),
        ("978-602-8519-93-9", "isbn", "9786028519939", "978 602 8519 93 9"),
        ("ISBN: 978 602 8519 93 9", "isbn", "9786028519939", "978 602 8519 93 9"),
        ("isbn:0-306-40615-2", "isbn", "9780306406157", "0 306 40615 2"),
        ("issn:0378-5955", "issn", "0378-5955", "0378 5955"),
        ("2434-561x", "issn", "2434-561X", "2434 561x"),
    ],
)  # fmt: skip
def test_an_identifier_is_looked_for_as_a_key_or_as_words(text: str, kind: str, value: str, phrase: str) -> None:
    assert read(text) == Or((In(kind, (value,)), Phrase(phrase)))  # type: ignore[arg-type]  # a KeyField


@pytest.mark.parametrize("text", ["978-602-8519-93-8", "isbn:123", "0378-5956", "10.12/x", "doi:"])
def test_what_only_looks_like_an_identifier_is_words(text: str) -> None:
    assert isinstance(read(text), Term)


def test_a_pasted_title_in_capitals_has_no_operators() -> None:
    title = "PENGARUH MOTIVASI ATAU DISIPLIN DAN KERJA"
    tree = read(title)
    assert tree == And(tuple(Term(word) for word in title.split()))
    assert read("DNA OR RNA") == Or((Term("DNA"), Term("RNA")))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('"a b', Phrase("a b")),
        ('a "', A),
        ("(a", A),
        ("a)) b", And((A, B))),
        ("((a) b", And((A, B))),
        ("()", All()),
        ("a AND", A),
        ("OR a", A),
        ("NOT", All()),
        ("a NOT", A),
        ("a OR OR b", Or((A, B))),
        ("(a OR) b", And((A, B))),
        ("title:(", All()),
    ],
)
def test_broken_syntax_is_read_as_far_as_it_goes(text: str, tree: Node) -> None:
    assert read(text) == tree


def depth(node: Node) -> int:
    match node:
        case And(parts) | Or(parts):
            return 1 + max(map(depth, parts), default=0)
        case Not(part):
            return 1 + depth(part)
    return 1


def leaves(node: Node) -> list[Node]:
    match node:
        case And(parts) | Or(parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case Not(part):
            return leaves(part)
    return [node]


_PIECES = st.sampled_from(
    ['"', "(", ")", "-", "OR", "AND", "NOT", "title:", "year:", "2019", "10.1234/", "*", " ", "a", "kata", "é", "学"]
)


@settings(deadline=None)  # the machine may be busy
@given(st.one_of(st.text(), st.lists(_PIECES, max_size=80).map("".join), st.lists(_PIECES, max_size=80).map(" ".join)))
def test_every_text_is_a_query_of_bounded_depth(text: str) -> None:
    tree = read(text)
    assert depth(tree) <= 3 * 17
    assert len(query_words(tree)) <= 64
    assert not isinstance(tree, Not)


HUGE = (
    "(", "a ", "NOT ", '"', "(a OR ", "9 ", "title:", "a.", "-", " ", "10.1234/", "10.1234/a ", "year:2019 ", "type:a ",
    "a\t\n", "a(", "-(", "1234-5679 ",
)  # fmt: skip


@pytest.mark.parametrize("text", [piece * (100_000 // len(piece)) for piece in HUGE], ids=HUGE)
def test_a_huge_text_is_cut_and_read_at_once(text: str) -> None:
    began = time.perf_counter()
    tree = read(text)
    assert time.perf_counter() - began < 1
    assert depth(tree) <= 51
    assert len(leaves(tree)) <= 64 + 1


def test_the_words_of_a_query_are_what_a_match_has() -> None:
    tree = read('batik "motif kawung" tenun* -jawa title:Sari year:2019 NOT (solo OR yogya)')
    assert query_words(tree) == ("batik", "motif", "kawung", "tenun*", "sari")
