"""Languages become codes of ISO 639, and nothing becomes a language that is none."""

from __future__ import annotations

import pytest

from indexer.normalise.languages import display_name, guess, parse_languages


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        *((raw, ("en",)) for raw in ("en", "EN", "eng", "Eng", "en_US", "en-GB", "English", "english.")),
        *((raw, ("id",)) for raw in ("id", "ind", "in", "id_ID", "id-ID", "Indonesia", "Bahasa Indonesia")),
        *((raw, ("en",)) for raw in ("Inggris", "Bahasa Inggris", "English language")),
        ("Indonesian (Bahasa Indonesia)", ("id",)),
        *((raw, ("de",)) for raw in ("ger", "deu", "German", "Jerman", "Deutsch")),
        *((raw, ("tr",)) for raw in ("tr", "tur", "Turkish", "Türkçe")),
        *((raw, ("ms",)) for raw in ("ms", "may", "msa", "Melayu", "Malay", "Bahasa Melayu")),
        *((raw, ("jv",)) for raw in ("jv", "jav", "Jawa", "Bahasa Jawa", "Javanese")),
        *((raw, ("ar",)) for raw in ("Arab", "Arabic", "ara")),
        ("dut", ("nl",)),
        ("arm", ("hy",)),
        ("iw", ("he",)),
        ("Sunda", ("su",)),
        ("Bali", ("ban",)),
        ("min", ("min",)),
        ("zh_Hans_CN", ("zh",)),
        ("日本語", ("ja",)),
        ("Greek, Modern (1453-)", ("el",)),
        ("Occitan (post 1500)", ("oc",)),
        ("English; Czech", ("en", "cs")),
        ("Indonesia, Inggris", ("id", "en")),
        ("en fr", ("en", "fr")),
        ("eng;eng", ("en",)),
    ],
)  # fmt: skip
def test_a_language_is_read(raw: str, expected: tuple[str, ...]) -> None:
    assert parse_languages(raw) == expected


@pytest.mark.parametrize(
    "raw",
    ["", "other", "Latn", "GE", "Finish", "und", "mul", "zxx", "in English", "Not in use", "Bahasa", "en " * 9999],
)
def test_what_is_no_language_is_not_guessed(raw: str) -> None:
    assert parse_languages(raw) == ()


def test_names_are_shown_in_the_readers_language() -> None:
    assert (display_name("id", "id"), display_name("id", "en")) == ("Indonesia", "Indonesian")
    assert (display_name("jv", "id"), display_name("jv", "en")) == ("Jawa", "Javanese")
    assert display_name("qqq", "id") == "qqq"


def test_a_text_tells_its_language_or_nothing() -> None:
    indonesian = "Penelitian ini bertujuan untuk mengetahui pengaruh kualitas pelayanan terhadap kepuasan pelanggan"
    english = "This study explores the relation between service quality and customer satisfaction in hotels"
    assert guess(indonesian) == "id"
    assert guess(indonesian.upper()) == "id"
    assert guess(english) == "en"
    assert guess("多传感器彩色纹理图像存在色彩差异导致重建的三维彩色模型表面出现色彩分块现象的问题") == "zh"
    assert guess("Analisis data") is None
    assert guess("Sistem Informasi Geografis Desa Sumber Rejeki Kabupaten Banyuwangi") is None, "half Javanese"
    assert guess("1998 2001 -- 12345 " * 20) is None
    assert guess(english, expected=("id", "ms", "su")) in {"id", None}, "only what is expected can be guessed"


def test_real_languages_are_valid_codes(real_values: dict[str, list[str]]) -> None:
    unread = {raw for raw in real_values["language"] if not parse_languages(raw)}
    assert unread <= {"", "other", "Latn", "GE", "Finish"}
    for raw in real_values["language"]:
        for code in parse_languages(raw):
            assert display_name(code, "en") != code, raw


def test_guesses_agree_with_what_members_declare(real_records: list[dict[str, list[str]]]) -> None:
    right = wrong = 0
    for record in real_records:
        declared = {code for raw in record.get("language", ()) for code in parse_languages(raw)}
        guessed = guess(record["title"][0]) if len(declared) == 1 and record.get("title") else None
        if guessed:
            right += guessed in declared
            wrong += guessed not in declared
    assert right > 1_000
    assert wrong / right < 0.01
