"""Dublin Core in all its dialects: oai_dc, qualified DC, DSpace's dim, ETD-MS, and elements of home-made names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from indexer.crosswalks.statements import Statement, language_of, local_name, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element

# What an element says, by its name; empty: nothing that a reader looks for.
_FIELDS = {
    name: field
    for field, names in (
        ("title", "title alternative"),
        ("creator", "creator author"),
        ("contributor", "contributor advisor supervisor editor"),
        ("date", "date issued created available"),
        ("language", "language"),
        ("type", "type genre level"),
        ("subject", "subject keyword keywords"),
        ("abstract", "abstract"),
        ("description", "description tableofcontents"),
        ("publisher", "publisher grantor"),
        ("source", "source ispartof bibliographiccitation"),
        ("coverage", "coverage spatial temporal"),
        ("relation", "relation isversionof hasversion references isformatof hasformat isreferencedby requires"),
        ("format", "format extent medium"),
        ("identifier", "identifier"),
        ("rights", "rights accessrights license licence rightsholder"),
        ("", "degree thumbnail modified dateaccepted datesubmitted datecopyrighted provenance"),
    )
    for name in names.split()
}
# Names of two parts whose second part changes what the first one says.
_QUALIFIED = {
    "contributor.author": "creator",
    "contributor.creator": "creator",
    "description.abstract": "abstract",
    "description.provenance": "",
    "description.sponsorship": "",
    "date.accessioned": "",
    "date.available": "",
    "date.modified": "",
    "date.updated": "",
    "date.submitted": "",
    "identifier.citation": "source",
    "relation.ispartof": "source",
    "relation.ispartofseries": "source",
    "title.alternative": "title",
}


def read(root: _Element) -> Iterator[Statement]:
    """The statements of a record, in its order; wrappers around its elements are looked through."""
    for element in root:
        name = local_name(element.tag)
        if name == "field" and element.get("element"):  # dim
            name = ".".join(filter(None, (element.get("element"), element.get("qualifier"))))
        field = _field(name)
        if field is None and len(element):
            yield from read(element)
        else:
            value = element.text if not len(element) else text_of(element)
            if value:
                yield Statement(field or "", name, value, language_of(element))


@lru_cache(maxsize=4096)
def _field(name: str) -> str | None:
    """What an element of this name says; None for a name that nobody knows."""
    # seen: Swinburne dc:rights.uri, SLV dcterms:created.originalResource, SLiMS dc:identifier_isbn
    first, *rest = name.replace("_", ".").lower().split(".")
    if rest and f"{first}.{rest[0]}" in _QUALIFIED:
        return _QUALIFIED[f"{first}.{rest[0]}"]
    return _FIELDS.get(first)
