"""What every engine stores of a document: its fields, how much each weighs, and what a document puts into them."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

import orjson

from indexer.analysis import VERSION, exact_stream, streams, words
from indexer.document import Document, Holder, Text
from indexer.query import Facet, Field, KeyField, Sort

Value: TypeAlias = str | int

# Fields of exact tokens and of stems, with their weight: a title wins over an abstract, exact over stem.
# The full text comes last: a word may stand in it by chance.
EXACT_WEIGHTS = {
    "title": 8.0, "author": 5.0, "subject": 4.0, "abstract": 1.5, "publisher": 1.0, "source": 1.0, "text": 0.3,
}  # fmt: skip
STEM_WEIGHTS = {"title_stem": 5.0, "subject_stem": 2.5, "abstract_stem": 1.0, "text_stem": 0.2}
_STREAMS = (*EXACT_WEIGHTS, *STEM_WEIGHTS)
SEARCHED: dict[Field, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "any": (tuple(EXACT_WEIGHTS), tuple(STEM_WEIGHTS)),
    "described": (tuple(EXACT_WEIGHTS)[:-1], tuple(STEM_WEIGHTS)[:-1]),
    "title": (("title",), ("title_stem",)),
    "author": (("author",), ()),
    "subject": (("subject",), ("subject_stem",)),
    "abstract": (("abstract",), ("abstract_stem",)),
    "publisher": (("publisher",), ()),
    "source": (("source",), ()),
    "text": (("text",), ("text_stem",)),
}

# Exact values, for filters. Those that facets count by their text have a field each; all others share one, where each
# has its kind before it: a field costs, whatever is in it. READABLE is there for works whose full text opens.
OWN_KEYS: dict[KeyField, str] = {key: f"{key}_key" for key in ("member", "type", "language")}
SHARED_KEYS = "key"
READABLE = "fulltext=yes"

# What facets count. Values that are many are counted by a number, several times as fast as by their text, which
# their key has behind the number.
NUMBER_FIELDS: dict[KeyField, str] = {"subject": "subject_number", "author": "author_number"}
FACET_FIELDS: dict[Facet, str] = {
    "member": "member_key",
    "type": "type_key",
    "language": "language_key",
    "subject": NUMBER_FIELDS["subject"],
    "author": NUMBER_FIELDS["author"],
    "year": "year",
}

# One key per order: by title a text, in the others a whole number, which costs a third of a text to store and to sort.
SORT_FIELDS: dict[Sort, str] = {
    "newest": "newest_order",
    "oldest": "oldest_order",
    "title": "title_order",
    "added": "added_order",
}
TITLE_ORDER = SORT_FIELDS["title"]
TITLE_GAP = "."

# In suggestions: the first word of a name or subject, a later one.
WORD_PLACES = ("\x1e", "\x1f")
_LONGEST_KEY = 500
_NUMBER_BYTES = 6  # in one of 500 libraries with a million values two share a number, and count as one
_LAST = "\U0010ffff"  # sorts behind every text
_NO_YEAR = 10_000
_STORED = tuple(field.name for field in fields(Document))
_values = attrgetter(*_STORED)
_MADE = tuple(
    (made, _STORED.index(name)) for made, name in ((Holder, "holders"), (Text, "titles"), (Text, "abstracts"))
)
_short = lru_cache(maxsize=65_536)(streams)  # of subjects, which come again and again
_LAYOUT = 4  # raise it when `project` puts other values into the same fields


# Of a work's full text so much is indexed: two thousand pages of a usual book. The rest is not found.
MOST_CHARACTERS = 4_000_000
_PIECE = 2000  # characters analysed at once: most pieces are plain ASCII, which is twice as quick, and none is large


class Entry(NamedTuple):
    """A document made ready for an engine, so that the work can be done in another process.

    `id` is the document's as engines have it; `body` a JSON object of the values of every field that has any, but for
    the document itself, which `document` has, packed. `lacking` are the fields of streams that have none, `tags` those
    of the languages by which it is stemmed.
    """

    id: str
    body: str
    document: str
    lacking: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()

    def with_document(self, document: str, more: str = "") -> str:
        """The whole body: with the document as this JSON says it, and `more` behind it."""
        return f'{self.body[:-1]},"document":{document}{more}}}'

    @property
    def size(self) -> int:
        """So many characters it holds; as a text in JSON, the document may take twice as many."""
        return len(self.body) + len(self.document)


def schema_checksum() -> str:
    """A name for this schema and analysis: an index under another name must be built again."""
    scored = (VERSION, EXACT_WEIGHTS, STEM_WEIGHTS)
    exact = (OWN_KEYS, SHARED_KEYS, READABLE, NUMBER_FIELDS, _NUMBER_BYTES, FACET_FIELDS, SORT_FIELDS)
    parts = (_LAYOUT, scored, exact, WORD_PLACES, _STORED, _LONGEST_KEY, MOST_CHARACTERS)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def key(value: str) -> str:
    """The value as a field of keys holds it: without what UTF-8 cannot say, and cut where it is overlong."""
    short = value[:_LONGEST_KEY]
    return short if short.isascii() else short.encode("utf-8", "replace").decode()


def number(value: str) -> int:
    """The number by which facets count a key."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=_NUMBER_BYTES).digest())


def numbered(kind: KeyField, number: int, value: str = "") -> str:
    """The key of a value that facets count by its number; without the value, what it begins with."""
    return f"{kind}={_spelled(number)}{value}"


def completed(term: str) -> int:
    """The number of the value that a completing term leads to."""
    return int.from_bytes(urlsafe_b64decode(term.rpartition("\x1f")[2]))


def _spelled(number: int) -> str:
    """The number in few letters: what an index takes longest to write is the letters of terms that stand alone."""
    return urlsafe_b64encode(number.to_bytes(_NUMBER_BYTES)).decode()


def key_term(kind: KeyField, value: str) -> tuple[str, str]:
    """The field and the term by which works with this value are found."""
    value = key(value)
    if kind in OWN_KEYS:
        return OWN_KEYS[kind], value
    return SHARED_KEYS, numbered(kind, number(value), value) if kind in NUMBER_FIELDS else f"{kind}={value}"


def order_key(text: str) -> str:
    """A text of hexadecimal digits that sorts as the text does."""
    return text.encode("utf-8", "surrogatepass").hex()


def title_order(title: str) -> str:
    """What a title sorts by; untitled works come last."""
    return words_order(exact_stream(title[:200])[:80]) or _LAST


def words_order(stream: str) -> str:
    """What titles sort by that begin with these exact tokens: a sign parts them that tantivy's queries have in words,
    and that comes before all of a token, as a space does."""
    return stream.replace(" ", TITLE_GAP)


def project(document: Document) -> dict[str, list[Value]]:
    """The values of every field that has any, by the field's name; `document` itself is not among them."""
    language = document.text_language
    found: dict[str, list[Value]] = {"id": [order_key(document.id)]}
    if document.year is not None:
        found["year"] = [document.year]
    for name, texts in (("title", document.titles), ("subject", document.subjects), ("abstract", document.abstracts)):
        both = [
            _short(text, language) if isinstance(text, str) else streams(text.value, text.language or language)
            for text in texts
        ]
        found[name] = [exact for exact, _ in both if exact]
        found[f"{name}_stem"] = [stems for _, stems in both if stems]
    for name, values in (
        ("author", (*document.creators, *document.contributors)),
        ("publisher", document.publishers),
        ("source", document.sources),
    ):
        found[name] = [exact for exact in map(exact_stream, values) if exact]
    shared: list[Value] = [READABLE] if document.fulltext else []
    for kind, exact_values in _keys(document):
        for value in dict.fromkeys(exact_values):
            name, term = key_term(kind, value)
            (shared if name == SHARED_KEYS else found.setdefault(name, [])).append(term)
    several: tuple[tuple[KeyField, tuple[str, ...]], ...] = (
        ("subject", document.subjects),
        ("author", document.creators),
    )
    for kind, counted in several:
        numbers = found[NUMBER_FIELDS[kind]] = []
        for value in dict.fromkeys(counted):
            counted_as, terms = _counted(kind, key(value))
            numbers.append(counted_as)
            shared += terms
    found[SHARED_KEYS] = shared
    found[TITLE_ORDER] = [title_order(document.title)]
    found |= {SORT_FIELDS[order]: [place] for order, place in _orders(document)}
    return {name: values for name, values in found.items() if values}


def _keys(document: Document) -> tuple[tuple[KeyField, Iterable[str]], ...]:
    return (
        ("member", document.members),
        ("type", (document.type,)),
        ("language", document.languages),
        ("doi", document.dois),
        ("isbn", document.isbns),
        ("issn", document.issns),
        ("access", (document.access,) if document.access else ()),
        ("level", (document.level,) if document.level else ()),
    )


def _orders(document: Document) -> tuple[tuple[Sort, int], ...]:
    """By year, then the latest added first, then in an order of the ids that no later write changes."""
    year = _NO_YEAR if document.year is None else min(max(document.year, 0), 9999)
    added = max(0, 2**32 - 1 - document.added) << 16 | crc32(document.id.encode("utf-8", "surrogatepass")) & 0xFFFF
    return (
        ("newest", (_NO_YEAR if year == _NO_YEAR else 9999 - year) << 48 | added),
        ("oldest", year << 48 | added),
        ("added", added),
    )


@lru_cache(maxsize=65_536)
def _counted(kind: KeyField, value: str) -> tuple[int, tuple[str, ...]]:
    """The value's number, its key, and its number under every word that it has, so that any of them completes it."""
    counted_as, parts = number(value), words(value)[:6]
    end = f"\x1f{_spelled(counted_as)}"
    completing = (f"{kind}{WORD_PLACES[at > 0]}{' '.join(parts[at:])}{end}" for at in range(len(parts)))
    return counted_as, (numbered(kind, counted_as, value), *completing)


def make_entry(document: Document, texts: Iterable[Text] = ()) -> Entry:
    """The document ready for an engine, with its full text: the texts of its files in order, as one.

    The engine can find its words and does not keep it. What is behind `MOST_CHARACTERS` is left out.
    """
    values: dict[str, list[Any]] = {**project(document), **_text_streams(texts, document.text_language)}
    lacking = tuple([name for name in _STREAMS if name not in values])
    tags = frozenset([stems[: stems.find(":")] for name in STEM_WEIGHTS for stems in values.get(name, ())])
    return Entry(order_key(document.id), _encode(values).decode(), pack(document), lacking, tags)


def _text_streams(texts: Iterable[Text], language: str | None) -> dict[str, list[str]]:
    """The tokens of all texts as one value, so that nothing parts them, and the stems of each."""
    exact: list[str] = []
    stemmed: list[str] = []
    left = MOST_CHARACTERS
    for text in texts:
        both = [streams(piece, text.language or language) for piece in _pieces(text.value[:left])]
        exact += (some for some, _ in both if some)
        stemmed += filter(None, [" ".join(stems for _, stems in both if stems)])
        left = max(0, left - len(text.value))
    found = {"text": [" ".join(exact)] if exact else [], "text_stem": stemmed}
    return {name: values for name, values in found.items() if values}


def _pieces(text: str) -> Iterator[str]:
    """The text in parts that end between words."""
    at = 0
    while at < len(text):
        end = min(at + _PIECE, len(text))
        while end < len(text) and not text[end].isspace() and end < at + 2 * _PIECE:
            end += 1
        yield text[at:end]
        at = end


def pack(document: Document) -> str:
    """The document as compact JSON, which `unpack` reads."""
    return _encode(_values(document)).decode()


def _parts(value: Text | Holder) -> list[object]:
    return [getattr(value, name) for name in value.__slots__]


def _encode(value: object) -> bytes:
    try:
        return orjson.dumps(value, _parts, orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:  # half a surrogate pair, which UTF-8 cannot say
        return json.dumps(value, separators=(",", ":"), default=_parts).encode()


def _decode(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:  # half a surrogate pair
        return json.loads(text)


def unpack(stored: bytes | str) -> Document:
    """The document that `pack` was given."""
    values: list[Any] = [tuple(value) if value.__class__ is list else value for value in _decode(stored)]
    for made, at in _MADE:
        values[at] = tuple([made(*parts) for parts in values[at]])
    return Document(*values)
