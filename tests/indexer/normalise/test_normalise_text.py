"""Texts come out as their writers meant them."""

from __future__ import annotations

import re
import unicodedata

import pytest

from indexer.normalise.text import clean, is_blank, unescape


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("R&amp;amp;D &amp;lt;b&amp;gt;x&amp;lt;/b&amp;gt;", "R&D x"),
        ("CEMARAN AFLATOKSIN B<SUB>1</SUB>", "CEMARAN AFLATOKSIN B1"),
        ("Ce<sub>1-x</sub>O<sub>2</sub>", "Ce1-xO2"),
        ("Notes on <em>Menidia beryllina</em>", "Notes on Menidia beryllina"),
        ("Frame Rules for<br> Algol-like Languages", "Frame Rules for Algol-like Languages"),
        ("<p>Satu.</p><p>Dua.</p>", "Satu. Dua."),
        ("&lt;p style=&quot;text-align: justify;&quot;&gt;Tulisan&lt;/p&gt;", "Tulisan"),
        ("<jats:p>Body</jats:p><!-- a comment -->", "Body"),
        ("a<script type='x'>alert(1)</script>b", "a b"),
        ("Children 36 to &lt;72 Months", "Children 36 to <72 Months"),
        (r"$i_1<i_2<\dots <i_L$ with $i>2$", r"$i_1<i_2<\dots <i_L$ with $i>2$"),
        ("the cyclic subgroup <x> of G and <a> too", "the cyclic subgroup <x> of G and <a> too"),
        ("a <b and c> d", "a <b and c> d"),
        ("bi-&multi-Gravity&copy=2", "bi-&multi-Gravity&copy=2"),
        ("pada suhu 37 Ã‚Â°C", "pada suhu 37 °C"),
        ("itâ€™s", "it’s"),
        ("À l'ancienneté, Ångström, Türkçe", "À l'ancienneté, Ångström, Türkçe"),
        ("soft\u00adware\u200b \ufeffdan\x0bperangkat\x00", "software dan perangkat"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("MALAM,  CANTING\r\n\tDAN KAIN", "MALAM, CANTING DAN KAIN"),
        ("re\u0301sume\u0301", "résumé"),
        ("批判理论", "批判理论"),
        ("", ""),
    ],
)
def test_a_text_is_cleaned_and_nothing_is_lost(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_entities_are_undone_three_times_at_most() -> None:
    assert unescape("&amp;amp;amp;amp;") == "&amp;"


@pytest.mark.parametrize(
    "text",
    ["", "-", "~", "`", "--", ".", "P", "̅", "N/a", "None", "#CONTRIBUTOR#", "#", "Abstrak tidak tersedia.",
     "(Abstrak tidak tersedia)", "[no abstract]", "Tidak ada abstrak"],
)  # fmt: skip
def test_what_stands_for_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["Art", "道", "C++", "C#", "3D", "Nil Darpan", "Abstrak Ekspresionisme", "Nana"])
def test_short_texts_are_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.timeout(10)
def test_hostile_markup_takes_no_long_time() -> None:
    for part in ("<!--", "<script>", "<a b=", "<p ", "&amp;"):
        clean(part * 20_000)


def test_real_texts_come_out_clean(real_values: dict[str, list[str]]) -> None:
    for name in ("title", "description", "publisher", "source", "coverage"):
        for raw in real_values[name]:
            text = clean(raw)
            assert text == " ".join(text.split()), raw
            assert unicodedata.is_normalized("NFC", text), raw
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]|&(?:amp|lt|quot);|</(?:em|sub|sup|p|i)>", text), raw
