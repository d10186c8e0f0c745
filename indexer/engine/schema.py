"""What every engine stores of a document: its fields, how much each weighs, and what a document puts into them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeAlias

from indexer.analysis import VERSION, exact_stream, streams, words
from indexer.document import Document, Holder, Text
from indexer.query import Facet, Field, KeyField, Sort

Value: TypeAlias = str | int | bool

# Fields of exact tokens and of stems, with their weight: a title wins over an abstract, exact over stem.
EXACT_WEIGHTS = {"title": 8.0, "author": 5.0, "subject": 4.0, "abstract": 1.5, "publisher": 1.0, "source": 1.0}
STEM_WEIGHTS = {"title_stem": 5.0, "subject_stem": 2.5, "abstract_stem": 1.0}
SEARCHED: dict[Field, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "any": (tuple(EXACT_WEIGHTS), tuple(STEM_WEIGHTS)),
    "title": (("title",), ("title_stem",)),
    "author": (("author",), ()),
    "subject": (("subject",), ("subject_stem",)),
    "abstract": (("abstract",), ("abstract_stem",)),
    "publisher": (("publisher",), ()),
    "source": (("source",), ()),
}

# Exact values, for filters.
KEY_FIELDS: dict[KeyField, str] = {
    key: f"{key}_key"
    for key in ("member", "type", "language", "subject", "author", "doi", "isbn", "issn", "access", "level")
}

# What facets count. Values that are many are counted by a number, several times as fast as by their text, which
# NUMBERED_TEXT has behind the number.
NUMBER_FIELDS: dict[KeyField, str] = {"subject": "subject_number", "author": "author_number"}
NUMBERED_TEXT = "facet_text"
FACET_FIELDS: dict[Facet, str] = {
    "member": "member_key",
    "type": "type_key",
    "language": "language_key",
    "subject": NUMBER_FIELDS["subject"],
    "author": NUMBER_FIELDS["author"],
    "year": "year",
}

# One text key per order; its last part is the id, so no two documents share a place.
SORT_FIELDS: dict[Sort, str] = {
    "newest": "newest_order",
    "oldest": "oldest_order",
    "title": "title_order",
    "added": "added_order",
}

# In suggestions: the first word of a name or subject, a later one.
WORD_PLACES = ("\x1e", "\x1f")
_LONGEST_KEY = 500
_NUMBER_BYTES = 6  # in one of 500 libraries with a million values two share a number, and count as one
_LAST = "\U0010ffff"  # sorts behind every text
_STORED = tuple(field.name for field in fields(Document))


def schema_checksum() -> str:
    """A name for this schema and analysis: an index under another name must be built again."""
    scored = (VERSION, EXACT_WEIGHTS, STEM_WEIGHTS)
    exact = (KEY_FIELDS, NUMBER_FIELDS, NUMBERED_TEXT, _NUMBER_BYTES, FACET_FIELDS, SORT_FIELDS)
    parts = (scored, exact, WORD_PLACES, _STORED, _LONGEST_KEY)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def key(value: str) -> str:
    """The value as a field of keys holds it: without what UTF-8 cannot say, and cut where it is overlong."""
    short = value[:_LONGEST_KEY]
    return short if short.isascii() else short.encode("utf-8", "replace").decode()


def number(value: str) -> int:
    """The number by which facets count a key."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=_NUMBER_BYTES).digest())


def number_text(number: int, value: str = "") -> str:
    """The key as NUMBERED_TEXT has it; without a key, what it begins with."""
    return f"{number:0{2 * _NUMBER_BYTES}x}{value}"


def order_key(*parts: str) -> str:
    """A text of hexadecimal digits that sorts as the parts do, one after the other."""
    return "\x00".join(parts).encode("utf-8", "surrogatepass").hex()


def project(document: Document) -> dict[str, list[Value]]:
    """The values of every field that has any, by the field's name; `document` itself is not among them."""
    language = document.text_language
    found: dict[str, list[Value]] = {"id": [order_key(document.id)], "fulltext": [document.fulltext]}
    if document.year is not None:
        found["year"] = [document.year]
    for name, texts in (
        ("title", document.titles),
        ("subject", tuple(Text(subject) for subject in document.subjects)),
        ("abstract", document.abstracts),
    ):
        both = [streams(text.value, text.language or language) for text in texts]
        found[name] = [exact for exact, _ in both if exact]
        found[f"{name}_stem"] = [stems for _, stems in both if stems]
    for name, values in (
        ("author", (*document.creators, *document.contributors)),
        ("publisher", document.publishers),
        ("source", document.sources),
    ):
        found[name] = [exact for exact in map(exact_stream, values) if exact]
    for kind, exact_values in _keys(document):
        keys = list(dict.fromkeys(map(key, exact_values)))
        found[KEY_FIELDS[kind]] = [*keys]
        if kind in NUMBER_FIELDS:
            numbers = [number(each) for each in keys]
            found[NUMBER_FIELDS[kind]] = [*numbers]
            found.setdefault(NUMBERED_TEXT, []).extend(map(number_text, numbers, keys))
    for order, text in _orders(document):
        found[SORT_FIELDS[order]] = [text]
    found["suggest"] = [
        *_suggestions("author", document.creators),
        *_suggestions("subject", document.subjects),
    ]
    return {name: values for name, values in found.items() if values}


def _keys(document: Document) -> tuple[tuple[KeyField, Iterable[str]], ...]:
    return (
        ("member", document.members),
        ("type", (document.type,)),
        ("language", document.languages),
        ("subject", document.subjects),
        ("author", document.creators),
        ("doi", document.dois),
        ("isbn", document.isbns),
        ("issn", document.issns),
        ("access", (document.access,) if document.access else ()),
        ("level", (document.level,) if document.level else ()),
    )


def _orders(document: Document) -> tuple[tuple[Sort, str], ...]:
    title = exact_stream(document.title[:200])[:80] or _LAST
    year = None if document.year is None else min(max(document.year, 0), 9999)
    return (
        ("newest", order_key(_LAST if year is None else f"{9999 - year:04}", title, document.id)),
        ("oldest", order_key(_LAST if year is None else f"{year:04}", title, document.id)),
        ("title", order_key(title, document.id)),
        ("added", order_key(f"{10**12 - document.added:013}", document.id)),
    )


def _suggestions(kind: str, values: Iterable[str]) -> list[Value]:
    """Each value under every word that it has, so that any of them completes it."""
    found: list[Value] = []
    for value in map(key, values):
        parts = words(value)[:6]
        found += [f"{kind}{WORD_PLACES[at > 0]}{' '.join(parts[at:])}\x1f{value}" for at in range(len(parts))]
    return found


def pack(document: Document) -> bytes:
    """The document as compact JSON, which `unpack` reads."""
    values = [getattr(document, name) for name in _STORED]
    return json.dumps(values, default=_parts, separators=(",", ":")).encode()


def _parts(value: Text | Holder) -> list[object]:
    return [getattr(value, name) for name in value.__slots__]


def unpack(stored: bytes) -> Document:
    """The document that `pack` was given."""
    values = dict(zip(_STORED, json.loads(stored), strict=True))
    made: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    made["holders"] = tuple(Holder(*parts) for parts in values["holders"])
    for name in ("titles", "abstracts"):
        made[name] = tuple(Text(*parts) for parts in values[name])
    return Document(**made)
