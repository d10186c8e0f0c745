"""MODS, the Library of Congress's metadata for libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.crosswalks.statements import Statement, language_of, local_name, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element

# What an element says; one that is not here is looked into.
_FIELDS = {
    "abstract": "abstract",
    "tableofcontents": "description",
    "note": "description",
    "typeofresource": "type",
    "genre": "type",
    "publisher": "publisher",
    "dateissued": "date",
    "datecreated": "date",
    "copyrightdate": "date",
    "dateother": "",
    "languageterm": "language",
    "accesscondition": "rights",
    "extent": "format",
    "internetmediatype": "format",
    "identifier": "identifier",
    "url": "identifier",
    "recordinfo": "",
    "extension": "",
    "placeterm": "",
    "physicallocation": "",
}
_AUTHORS = frozenset({"", "aut", "author", "cre", "creator", "joint author", "pengarang"})
_MAIN_TITLES_LAST = ("alternative", "translated", "uniform", "abbreviated")


def read(root: _Element) -> Iterator[Statement]:
    """The statements of a record: main titles before other titles, then the elements in their order."""
    titles = [element for element in root if local_name(element.tag) == "titleinfo"]
    for element in sorted(titles, key=lambda e: e.get("type") in _MAIN_TITLES_LAST):
        yield Statement("title", "titleInfo", _title(element), language_of(element))
    yield from _read_within(root)


def _read_within(parent: _Element) -> Iterator[Statement]:
    for element in parent:
        name = local_name(element.tag)
        if name == "titleinfo":
            continue
        if name == "name":
            yield _person(element)
        elif name == "subject":
            parts = (_person(part).value if local_name(part.tag) == "name" else text_of(part) for part in element)
            yield Statement("subject", name, " -- ".join(part.strip() for part in parts if part.strip()))
        elif name == "relateditem":
            yield from _related(element)
        elif name not in _FIELDS and len(element):
            yield from _read_within(element)
        elif name != "languageterm" or element.get("type") != "text" or len(parent) == 1:
            # a language is named by code and again in words
            scheme = (element.get("type") or "").lower() if name == "identifier" else ""
            prefix = f"{scheme}:" if scheme in {"doi", "isbn", "issn", "hdl"} else ""
            value = text_of(element)
            kept = prefix if prefix and prefix[:-1] not in value.lower() else ""
            yield Statement(_FIELDS.get(name, ""), name, kept + value.strip(), language_of(element))


def _title(element: _Element) -> str:
    text = ""
    for part in element:
        name, value = local_name(part.tag), text_of(part).strip()
        if value:
            mark = ": " if name == "subtitle" else ". " if name in {"partnumber", "partname"} else " "
            text += (mark if text else "") + value
    return text or (element.text or "").strip()  # seen: DSpace's METS


def _person(element: _Element) -> Statement:
    roles: list[str] = []
    parts: dict[str, list[str]] = {}
    for part in element.iter("{*}roleTerm", "{*}namePart"):
        value = text_of(part).strip()
        if local_name(part.tag) == "roleterm":
            roles.append(value.lower().strip(" ."))
        elif value and part.get("type") not in {"date", "termsOfAddress"}:
            parts.setdefault(part.get("type") or "", []).append(value)
    family, given = " ".join(parts.pop("family", ())), " ".join(parts.pop("given", ()))
    rest = " ".join(" ".join(values) for values in parts.values())
    name = f"{family}, {given}" if family and given else family or given or rest
    authored = not roles or any(role in _AUTHORS for role in roles)
    return Statement("creator" if authored else "contributor", "name", name)


def _related(element: _Element) -> Iterator[Statement]:
    """Only where the work stands in: a journal, a book, a series."""
    if element.get("type") in {"host", "series"}:
        for title in element.iter("{*}titleInfo"):
            field = "source" if element.get("type") == "host" else "relation"
            yield Statement(field, "relatedItem", _title(title))
