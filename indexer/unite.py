"""One document out of the records of a work: shown by its fullest record, completed by the others."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

from harvester.catalogue.records import CataloguedRecord
from indexer.document import Description, Document, Holder, Text
from indexer.normalise.names import Name

_T = TypeVar("_T")
_ACCESS = ("open", "embargoed", "restricted", "closed", None)  # what a reader can get at one holder counts
_TOLD = ("creators", "issued", "languages", "subjects", "publishers", "identifiers", "sources", "contributors")


def document_of(records: Sequence[tuple[CataloguedRecord, Description]], *, public_id: str) -> Document:
    """The document of a work, from its live records (one at least) in the order of their numbers.

    The fullest record comes first in everything; what others add stands behind, without near-doubles.
    """
    ranked = sorted(records, key=lambda pair: _fullness(pair[1]), reverse=True)  # stable: the lowest number on a tie
    described = [description for _, description in ranked]
    first = described[0]
    typed = next((d.type for d in described if d.type.type != "other"), first.type)
    creators = _people(d.creators for d in described)
    contributors = _people((creators, *(d.contributors for d in described)))[len(creators) :]
    return Document(
        id=public_id,
        holders=tuple(Holder(record.id, record.member, description.landing_page) for record, description in records),
        titles=_once((d.titles for d in described), _alike),
        creators=tuple(name.display for name in creators),
        contributors=tuple(name.display for name in contributors),
        year=next((d.year for d in described if d.year), None),
        type=typed.type,
        level=next((d.type.level for d in described if d.type.level), None),
        languages=_once((d.languages for d in described), str),
        subjects=_once((d.subjects for d in described), _folded),
        abstracts=_once((d.abstracts for d in described), _alike),
        publishers=_once((d.publishers for d in described), _folded),
        sources=_once((d.sources for d in described), _folded),
        dois=_once((d.identifiers_of("doi") for d in described), str),
        isbns=_once((d.identifiers_of("isbn") for d in described), str),
        issns=_once((d.identifiers_of("issn") for d in described), str),
        access=min((d.rights.access for d in described), key=_ACCESS.index),
        licence=next((d.rights.licence for d in described if d.rights.licence), None),
        added=min(record.added for record, _ in records),
    )


def _fullness(description: Description) -> tuple[bool, bool, int]:
    told = sum(1 for name in _TOLD if getattr(description, name))
    return bool(description.titles), bool(description.abstracts), told


def _once(groups: Iterable[Sequence[_T]], key: Callable[[_T], object]) -> tuple[_T, ...]:
    """The values of all groups, in order, without those that look like an earlier one of another group."""
    sequences = [group for group in groups if group]
    if len(sequences) < 2:
        return tuple(sequences[0]) if sequences else ()
    found: dict[object, _T] = {}
    for value in chain.from_iterable(sequences):
        found.setdefault(key(value), value)
    return tuple(found.values())


def _people(groups: Iterable[Sequence[Name]]) -> tuple[Name, ...]:
    """The names of all groups, without those that may be an earlier person with initials or in another order."""
    found: list[Name] = []
    for group in groups:
        earlier = [_parts(name) for name in found]
        found += (name for name in group if not any(_same_person(_parts(name), known) for known in earlier))
    return tuple(found)


def _parts(name: Name) -> tuple[str, tuple[str, ...]]:
    given = _folded(name.given or "").replace(".", " ").split()
    return _folded(name.family), tuple(given)


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
