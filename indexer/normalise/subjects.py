"""Subjects: single keywords and headings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from indexer.normalise.text import clean, is_blank

LONGEST_SUBJECT = 200

# "HD28 Management. Industrial Management", "330 Economics", "[SDV.BBM] Life sciences", "QA75 Computers"
_CLASSIFIED = re.compile(r"(?:[A-Z]{1,3}\d[\d.]*|\d{3}(?:\.\d+)?)\s+[A-Z]|\[|.*--")
_DATED = re.compile(r"(?:^|,)\s*\d{3,4}\s*-|,\s*(?:\d{4}|etc)\.?$")  # "Lang, John Dunmore, 1799-1878."
_LABEL = re.compile(r"(?:kata kunci|keywords?|key words|subjects?|index terms?)\s*:\s*", re.IGNORECASE)
_AND = re.compile(r"(?:and|dan|serta|&|et|y|und)\s", re.IGNORECASE)


def split_subjects(raws: Iterable[str]) -> tuple[str, ...]:
    """The subjects of a record, each once however it is capitalised, in order.

    Several in one string are parted by semicolons, or by commas where the string is a list of keywords;
    a classified heading, "World War, 1914-1918" and "Law, Crime, and Deviance" stay whole. Blank ones and
    those over `LONGEST_SUBJECT` characters (texts, put in the wrong element) are dropped.
    """
    found: dict[str, str] = {}
    for raw in raws:
        for subject in _split(raw):
            found.setdefault(subject.casefold(), subject)
    return tuple(found.values())


@lru_cache(maxsize=16_384)
def _split(raw: str) -> tuple[str, ...]:
    text = _LABEL.sub("", clean(raw))
    parts = [part for listed in text.split(";") for part in _keywords(listed)]
    subjects = (part.rstrip(" ,.(" if len(parts) > 1 else " ,").strip() for part in parts)
    return tuple(s for s in subjects if len(s) <= LONGEST_SUBJECT and not is_blank(s))


def _keywords(text: str) -> list[str]:
    """The keywords of a list with commas; the text whole where it is not clearly one."""
    if text.count(",") < 2:
        return [text]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    short = all(len(part.split()) <= 6 and len(part) <= 60 for part in parts)
    if len(parts) < 3 or not short or _CLASSIFIED.match(text) or _DATED.search(text):
        return [text]
    if _AND.match(parts[-1]) and text[0].isupper():
        return [text]  # one heading that enumerates: "Atomic, Molecular, and Optical Physics"
    return parts
