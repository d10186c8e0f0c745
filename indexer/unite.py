"""Documents: one for each record, and one for a work, out of the documents of its records."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from harvester.catalogue.records import CataloguedRecord
from indexer.document import Description, Document, Holder, Text
from indexer.normalise.names import parse_name

_T = TypeVar("_T")
_ACCESS = ("open", "embargoed", "restricted", "closed", None)  # what a reader can get at one holder counts
_TOLD = ("creators", "year", "languages", "subjects", "publishers", "dois", "sources", "contributors")


def document_of_record(record: CataloguedRecord, description: Description) -> Document:
    """The document of a work that this record alone makes."""
    return Document(
        id=record.id,
        holders=(Holder(record.id, record.member, description.landing_page),),
        titles=description.titles,
        creators=tuple(name.display for name in description.creators),
        contributors=tuple(name.display for name in description.contributors),
        year=description.year,
        type=description.type.type,
        level=description.type.level,
        languages=description.languages,
        subjects=description.subjects,
        abstracts=description.abstracts,
        publishers=description.publishers,
        sources=description.sources,
        dois=description.identifiers_of("doi"),
        isbns=description.identifiers_of("isbn"),
        issns=description.identifiers_of("issn"),
        access=description.rights.access,
        licence=description.rights.licence,
        added=record.added,
    )


def document_of(records: Sequence[tuple[CataloguedRecord, Description]], *, public_id: str) -> Document:
    """The document of a work, from its live records (one at least) in the order of their numbers."""
    return unite([document_of_record(*pair) for pair in records], public_id=public_id)


def unite(documents: Sequence[Document], *, public_id: str) -> Document:
    """The document of a work, from those of its records (one at least) in the order of their numbers.

    The fullest record comes first in everything; what others add stands behind, without near-doubles.
    """
    if len(documents) == 1:
        return documents[0] if documents[0].id == public_id else replace(documents[0], id=public_id)
    ranked = sorted(documents, key=_fullness, reverse=True)  # stable: the lowest number on a tie
    creators = _people(d.creators for d in ranked)
    return Document(
        id=public_id,
        holders=tuple(holder for document in documents for holder in document.holders),
        titles=_once((d.titles for d in ranked), _alike),
        creators=creators,
        contributors=_people((creators, *(d.contributors for d in ranked)))[len(creators) :],
        year=next((d.year for d in ranked if d.year), None),
        type=next((d.type for d in ranked if d.type != "other"), "other"),
        level=next((d.level for d in ranked if d.level), None),
        languages=_once((d.languages for d in ranked), str),
        subjects=_once((d.subjects for d in ranked), _folded),
        abstracts=_once((d.abstracts for d in ranked), _alike),
        publishers=_once((d.publishers for d in ranked), _folded),
        sources=_once((d.sources for d in ranked), _folded),
        dois=_once((d.dois for d in ranked), str),
        isbns=_once((d.isbns for d in ranked), str),
        issns=_once((d.issns for d in ranked), str),
        access=min((d.access for d in ranked), key=_ACCESS.index),
        licence=next((d.licence for d in ranked if d.licence), None),
        added=min(d.added for d in documents),
    )


def _fullness(document: Document) -> tuple[bool, bool, int]:
    told = sum(1 for name in _TOLD if getattr(document, name))
    return bool(document.titles), bool(document.abstracts), told


def _once(groups: Iterable[Sequence[_T]], key: Callable[[_T], object]) -> tuple[_T, ...]:
    """The values of all groups, in order, without those that look like an earlier one."""
    found: dict[object, _T] = {}
    for value in chain.from_iterable(groups):
        found.setdefault(key(value), value)
    return tuple(found.values())


def _people(groups: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The names of all groups, without those that may be an earlier person with initials or in another order."""
    found: list[str] = []
    for group in groups:
        earlier = [_parts(name) for name in found]
        found += (name for name in group if not any(_same_person(_parts(name), known) for known in earlier))
    return tuple(found)


def _parts(displayed: str) -> tuple[str, tuple[str, ...]]:
    name = parse_name(displayed)
    if name is None:
        return _folded(displayed), ()
    return _folded(name.family), tuple(_folded(name.given or "").replace(".", " ").split())


def _same_person(one: tuple[str, tuple[str, ...]], other: tuple[str, tuple[str, ...]]) -> bool:
    if one[0] == other[0]:
        pairs = zip(one[1], other[1], strict=False)
        return all(a.startswith(b) or b.startswith(a) for a, b in pairs)
    return sorted((*one[0].split(), *one[1])) == sorted((*other[0].split(), *other[1]))


def _alike(text: Text) -> object:
    """Two texts look alike where they begin with the same sixty letters and digits."""
    return "".join(filter(str.isalnum, _folded(text.value[:200])))[:60]


def _folded(text: str) -> str:
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.casefold().strip(" .")
