"""Tokens, streams and stems."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import indonesian
from indexer.analysis import (
    common_letters,
    exact_stream,
    fold,
    is_unspaced,
    query_stems,
    seen_words,
    stem_of,
    streams,
    tag_of,
    tokenize,
    words,
)


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("Pengaruh Motivasi, terhadap KINERJA (2019)!", "pengaruh motivasi terhadap kinerja 2019"),
        ("e-learning COVID-19 anak-anak", "e learning covid 19 anak anak"),
        ("Ünïcødé Straße naïve ﬁne İstanbul ǆ", "unicode strasse naive fine istanbul dz"),
        ("Cafe\u0301 pene\u00adlitian", "cafe penelitian"),
        ("Qur'an Jum’at ma‘ruf AL-QURʼAN", "quran jumat maruf al quran"),
        ("l'eau L’État dell'arte farmer's don't", "l eau l etat dell arte farmer s don t"),
        ("'kata' \"kata\" 'n", "kata kata n"),
        ("机器学习 machine2学", "机 器 学 习 machine2 学"),
        ("研究の方法 데이터 베이스", "研 究 の 方 法 데이터 베이스"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("Ελλάς ПРИВЕТ العَرَبِيَّة", "ελλασ привет العربية"),
        ("x² H₂O ½", "x2 h2o 12"),
        ("ﷺ", "صلىاللهعليهوسلم"),
        ("C++ _a_b_ a.b@c.id", "c a b a b c id"),
        ("\ud800 😀 — …", ""),
        ("", ""),
    ],
)
def test_text_becomes_folded_words(text: str, stream: str) -> None:
    assert exact_stream(text) == stream


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_tokens_say_where_they_stand_and_streams_have_the_same_tokens(text: str) -> None:
    tokens = tokenize(text)
    assert [token.text for token in tokens] == words(text) == exact_stream(text).split(" ") or not tokens
    for token in tokens:
        assert fold(text[token.start : token.end]) == token.text
        assert not any(char.isspace() for char in token.text)
    assert all(left.end <= right.start for left, right in pairwise(tokens))


@settings(deadline=None)  # the machine may be busy
@given(st.text(), st.sampled_from(["id", "en", "ru", "zh", None]))
def test_streams_have_the_forms_by_which_words_are_found(text: str, language: str | None) -> None:
    exact, stems = streams(text, language)
    assert exact == exact_stream(text) == " ".join(token.text for token in tokenize(text))
    sources = {token.source for token in tokenize(text)}
    by_form = seen_words(tag_of(language)).by_form(sources)
    for form in {*exact.split(), *stems.split()}:
        assert form in sources or by_form[form] & sources
    assert not stems or tag_of(language)


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_an_overlong_word_is_cut() -> None:
    assert exact_stream("a" * 100_000) == "a" * 64


def test_stems_carry_the_tag_of_the_language_of_the_text() -> None:
    assert streams("Studies of farmers", "en")[1] == "en:studi en:of en:farmer"
    assert streams("études naïves", "fr")[1] == "fr:etud fr:naiv"
    assert streams("penelitian", "ms")[1] == streams("penelitian", "id")[1] == "id:telit"


@pytest.mark.parametrize("language", [None, "zh", "ja", "xx", ""])
def test_a_language_without_a_stemmer_gives_no_stems(language: str | None) -> None:
    assert streams("penelitian", language)[1] == ""
    assert tag_of(language) is None


def test_a_query_word_is_stemmed_by_every_language_each_under_its_tag() -> None:
    stems = query_stems("studies")
    assert "en:studi" in stems
    assert len(stems) == len({tagged.partition(":")[0] for tagged in stems})


def test_characters_of_scripts_without_spaces_are_known() -> None:
    assert [char for char in "aé学のไ데" if is_unspaced(char)] == ["学", "の", "ไ"]


FAMILIES = """
penelitian meneliti peneliti diteliti teliti
pengembangan mengembangkan dikembangkan berkembang perkembangan kembang
pengelolaan mengelola dikelola kelola pengelola
penulisan menulis penulis tulisan ditulis
pemilihan memilih dipilih pilihan terpilih
penyusunan menyusun disusun susunan tersusun
pembelajaran belajar mengajar pelajaran pelajar mempelajari pengajaran diajarkan
penggunaan menggunakan digunakan pengguna kegunaan penggunaannya
pengaruh mempengaruhi dipengaruhi berpengaruh memengaruhi terpengaruh
peningkatan meningkatkan meningkat tingkat
pendidikan mendidik didik dididik
pengukuran mengukur ukuran diukur terukur
perancangan merancang rancangan dirancang
pemodelan memodelkan model
penangkapan menangkap tangkapan ditangkap
perencanaan merencanakan rencana berencana
pelayanan melayani layanan dilayani pelayan
penilaian menilai nilai dinilai
pengetahuan mengetahui diketahui
pertanian petani tani bertani
pengolahan mengolah diolah olahan
pekerjaan bekerja pekerja kerja mengerjakan
perubahan mengubah diubah berubah ubah
keberhasilan berhasil hasil menghasilkan
kepemilikan memiliki dimiliki pemilik
kepemimpinan memimpin pemimpin dipimpin pimpinan
penerimaan menerima diterima penerima
penerapan menerapkan diterapkan terapan
penguasaan menguasai dikuasai kuasa
""".strip().splitlines()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_indonesian_family_has_one_stem(family: str) -> None:
    assert len({indonesian.stem(word) for word in family.split()}) == 1


STRANGERS = """
pasar/kasar kelas/elas makan/akan malam/alam tani/ani pantai/panti pengalaman/alam bulan/bulu hutan/hutang jalan/jala
kota/kata masalah/masa pelanggan/langgar teman/tema model/mode tanah/tanam digital/gital terapi/api berani/ani
menara/tara perempuan/empu memori/pori dengan/deng ilmu/il
"""


@pytest.mark.parametrize("pair", STRANGERS.split())
def test_different_indonesian_words_stay_apart(pair: str) -> None:
    left, right = pair.split("/")
    assert indonesian.stem(left) != indonesian.stem(right)


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="aeioubcdgkmnprst", max_size=14))
def test_an_indonesian_stem_is_never_empty_nor_longer_than_its_word_by_more_than_the_lost_consonant(word: str) -> None:
    assert len(indonesian.stem(word)) <= len(word) + 1
    assert bool(indonesian.stem(word)) == bool(word)


def test_no_stem_swallows_a_crowd_of_real_words(shared_data: Path) -> None:
    """The largest class of 20,000 theses is one family, not a heap."""
    counted: dict[str, int] = defaultdict(int)
    with gzip.open(shared_data / "records" / "itb-digilib-a.jsonl.gz", "rt") as lines:
        for line, _ in zip(lines, range(3000), strict=False):
            for text in json.loads(line)["dc"].get("description", []):
                for word in words(text):
                    counted[word] += 1
    classes: dict[str, set[str]] = defaultdict(set)
    for word, count in counted.items():
        if count >= 5:
            classes[indonesian.stem(word)].add(word)
    assert max(map(len, classes.values())) <= 14
    assert len(classes) < 0.85 * sum(map(len, classes.values()))


# Beginnings, roots and ends, of which words are made.
_PARTS = {
    "id": """
me mem men meng meny pe pem pen peng peny per ber ter di ke
kelilingi kebumi kata tani desa ajar nilai milik rencana rumah sapu pukul tulis uji air kaji gizi ku
kan i an nya annya inya
""",
    "en": """
re un y
sky die lie hop hope cri abl gener vietnam y by go skies dying gently early inning relat cit bl
s es ed ing ly ies eedly ization ational ator aliti fulness iveness biliti ogi ement ent able ical
""",
}


@settings(max_examples=500, deadline=None)
@given(st.data(), st.sampled_from(sorted(_PARTS)))
def test_every_word_has_the_letters_common_to_its_stem(data: st.DataObject, tag: str) -> None:
    before, roots, behind = map(str.split, _PARTS[tag].strip().splitlines())
    root = st.one_of(st.sampled_from(roots), st.text("aeioukstpnmryd1", max_size=6))
    parts = st.tuples(
        st.lists(st.sampled_from(before), max_size=2), root, st.lists(st.sampled_from(behind), max_size=3)
    )
    first, middle, last = data.draw(parts)
    word = "".join((*first, middle, *last)) or "a"
    letters = common_letters(stem_of(word, tag))
    assert letters is not None
    assert letters in f" {word} "


def test_real_words_have_the_letters_common_to_their_stem(shared_data: Path) -> None:
    with gzip.open(shared_data / "records" / "itb-digilib-a.jsonl.gz", "rt") as lines:
        texts = [
            text
            for line, _ in zip(lines, range(2000), strict=False)
            for text in json.loads(line)["dc"].get("title", [])
        ]
    found = {word for text in texts for word in words(text) if word.isascii()}
    assert len(found) > 2000
    stems = {(word, tag): stem_of(word, tag) for word in found for tag in ("id", "en")}
    assert [pair for pair, stem in stems.items() if (common_letters(stem) or "") not in f" {pair[0]} "] == []


@settings(max_examples=500, deadline=None)
@given(st.text("abcdlqu'’ʼʻ`  .é\u0301ñ日ก่अनि٣Ⅳ_-ßøı½²\u00ad𝔸x9\nÉ", max_size=30))
def test_the_places_of_tokens_are_those_of_the_exact_stream(text: str) -> None:
    tokens = tokenize(text)
    assert [token.text for token in tokens] == words(text)
    assert all(text[token.start : token.end].lower() == token.source.lower() for token in tokens)
