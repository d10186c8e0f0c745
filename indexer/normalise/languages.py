"""Languages: codes of ISO 639 from whatever members write, and a guess where they write nothing."""

from __future__ import annotations

import copy
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from py3langid.langid import LanguageIdentifier

# Read by a person in Indonesia as these, and not (only) so in the tables of names.
_ALIASES = {
    "arabic": "ar",
    "bahasa melayu": "ms",
    "castilian": "es",
    "china": "zh",
    "cina": "zh",
    "farsi": "fa",
    "flemish": "nl",
    "greek": "el",
    "ancient greek": "grc",
    "javanese": "jv",
    "mandarin": "zh",
    "chinese": "zh",
    "melayu": "ms",
    "norwegian": "no",
    "occitan": "oc",
    "perancis": "fr",
    "sundanese": "su",
    "tionghoa": "zh",
}
# The languages whose own names are read as well.
_NATIVE = re.compile(r"ar|bg|cs|da|de|el|es|fa|fi|fr|he|hi|hu|it|ja|ko|nl|no|pl|pt|ro|ru|sv|th|tr|uk|vi|zh")
_NO_LANGUAGE = frozenset({"und", "mul", "zxx", "mis"})
_TAG = re.compile(r"([a-z]{2,3})(?:[_-](?:[a-z]{4}|[a-z]{2}|\d{3})){0,2}")
_BRACKETS = re.compile(r"\s*[(\[].*?[)\]]")
_SEPARATORS = re.compile(r"\s*[;,/|&+]\s*|\s+(?:and|dan)\s+")
_LETTERS = re.compile(r"[^\W\d_]+")

# Words that no text of some length does without, and that the other languages of the network do not have: so many of
# them tell.
_COMMON = {
    "id": (
        2,
        frozenset(
            (
                *("yang", "dan", "untuk", "dengan", "dari", "pada", "dalam", "ini", "adalah", "oleh", "tidak"),
                *("terhadap", "menggunakan", "sebagai", "berdasarkan", "serta", "dapat", "secara", "antara", "sebuah"),
                *("pengaruh", "akibat", "kajian", "pengembangan", "perancangan", "penerapan", "pembuatan", "pemodelan"),
                *("penentuan", "pengukuran", "penggunaan", "pemanfaatan", "hubungan", "perbandingan"),
            )
        ),
    ),
    "en": (3, frozenset({"the", "of", "and", "to", "for", "with", "that", "this", "are", "by", "from", "which"})),
}

GUESSED_FROM = 400  # characters: enough to be sure, and the time grows with the length
SHORTEST_GUESS = 40  # bytes of letters
SUREST_GUESS = 0.9
EXPECTED = ("id", "en", "ms", "jv", "ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pt", "ru", "tr", "zh")


@lru_cache(maxsize=4096)
def parse_languages(raw: str) -> tuple[str, ...]:
    """The languages of a value as ISO 639-1 codes (639-3 where there is none); empty where it says none.

    Codes of any age and kind, locales and names in English, Indonesian and the language itself are read;
    scripts, countries and misspelt names are not.
    """
    text = " ".join(raw.strip(" \t\r\n.;,[]\"'").lower().split())
    if len(text) > 100:
        return ()
    if whole := _find_code(text):
        return (whole,)
    parts = [part for part in _SEPARATORS.split(text) if part]
    if len(parts) == 1:
        # "en fr", but not "in English", which happens to hold a code
        parts = text.split() if all(map(_valid_tag, text.split())) else []
    return tuple(dict.fromkeys(code for code in map(_find_code, parts) if code))


@lru_cache(maxsize=1024)
def display_name(code: str, locale: str) -> str:
    """The name of a language in the locale "id" or "en"; the code itself where there is no name."""
    return _names_in(locale).get(code, code)


def guess(text: str, expected: tuple[str, ...] = EXPECTED) -> str | None:
    """The language of a text among the expected ones, None where the text is short or the guess unsure.

    Malay and Indonesian cannot be told apart reliably: either counts as Indonesian where both are
    expected, so a Malay text has to be declared.
    """
    words = text[: 2 * GUESSED_FROM].lower().split()
    found = [(sum(map(common.__contains__, words)), code, least) for code, (least, common) in _COMMON.items()]
    (few, _, _), (many, likely, least) = sorted(found)
    if many >= least and few * 5 <= many and likely in expected:
        return likely  # most texts need no model to tell, in a hundredth of its time
    start = text[:GUESSED_FROM]
    if len("".join(_LETTERS.findall(start)).encode()) < SHORTEST_GUESS:
        return None
    ranked = dict(_identifier(expected).rank(start))
    if "id" in ranked and "ms" in ranked:
        ranked["id"] += ranked.pop("ms")
    code = max(ranked, key=ranked.__getitem__)
    return code if ranked[code] >= SUREST_GUESS else None


def _find_code(text: str) -> str | None:
    """The code of one language, written in lower case as a code, a locale or a name."""
    if code := _valid_tag(text):
        return code
    for name in (text, _BRACKETS.sub("", text)):
        bare = name.removeprefix("bahasa ").removesuffix(" language").strip()
        found = _ALIASES.get(bare) or _names().get(bare) or _native_names().get(name)
        if found:
            return found
    return None


@lru_cache(maxsize=2048)
def _valid_tag(text: str) -> str | None:
    """The code in a tag or locale of a language that ISO 639 knows, in its present form."""
    import langcodes  # noqa: PLC0415  # slow to import, and needed for new codes only

    match = _TAG.fullmatch(text)
    if not match or match[1] in _NO_LANGUAGE or not langcodes.tag_is_valid(match[1]):
        return None
    return str(langcodes.Language.get(match[1]).language)


@lru_cache(maxsize=128)
def _names_in(locale: str) -> Mapping[str, str]:
    """The languages' names in one language, by code."""
    from babel import Locale  # noqa: PLC0415  # slow to import, and its tables slow to read

    return Locale(locale).languages


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Codes by name in Indonesian and English."""
    return {
        name.lower(): code
        for locale in ("id", "en")
        for code, name in _names_in(locale).items()
        if "_" not in code and code not in _NO_LANGUAGE
    }


@lru_cache(maxsize=1)
def _native_names() -> dict[str, str]:
    """Codes by the language's own name."""
    return {_names_in(code).get(code, code).lower(): code for code in filter(_NATIVE.fullmatch, _names_in("en"))}


@lru_cache(maxsize=1)
def _model() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  # half a second to load

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=16)
def _identifier(expected: tuple[str, ...]) -> LanguageIdentifier:
    """The model narrowed to the expected languages, as far as it knows them (it has no Sundanese)."""
    identifier = copy.copy(_model())
    identifier.set_languages(set(expected) & set(_model().labels))
    return identifier
