"""Any other XML, read by the names of its elements: arXiv, DataCite, JATS, DIF, EAD, RFC 1807 and the unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.crosswalks.statements import Statement, language_of, local_name, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element

_FIELDS = {
    name: field
    for field, names in (
        ("title", "title article-title entry_title unittitle titl subtitle trans-title alt-title"),
        ("date", "date publicationyear created published unitdate dataset_release_date pubdate year issued"),
        ("language", "language lang langcode"),
        ("type", "resourcetype type genre article-type"),
        ("subject", "subject keyword keywords kwd categories topic subj"),
        ("abstract", "abstract summary scopecontent description"),
        ("description", "comments note"),
        ("publisher", "publisher publisher-name organization repository long_name"),
        ("source", "journal-title journal-ref journal"),
        ("coverage", "geolocationplace geogname"),
        ("relation", "relatedidentifier"),
        ("format", "format size extent"),
        ("identifier", "identifier article-id doi isbn issn eissn url link self-uri"),
        ("rights", "rights license accessrestrict userestrict copyright-statement"),
    )
    for name in names.split()
}
_PEOPLE = {
    "author": "creator",
    "creator": "creator",
    "contrib": "creator",
    "dataset_creator": "creator",
    "origination": "creator",
    "contributor": "contributor",
    "editor": "contributor",
}
_FAMILY = frozenset({"keyname", "surname", "familyname", "lastname", "last_name"})
_GIVEN = frozenset({"forenames", "given-names", "givenname", "givennames", "firstname", "first_name"})
# Subtrees that speak of other works, of the record itself, or hold the whole text.
_SKIPPED = {
    *("ref-list", "references", "bibliography", "body", "back", "dsc", "relateditem", "related-object"),
    *("related-article", "eadheader", "version", "revisionhistory", "metadata_name", "metadata_version"),
    *("processinfo", "descgrp", "personnel", "aff", "author-notes", "url_content_type", "alternateidentifier"),
}
_SCHEMES = frozenset({"doi", "isbn", "issn", "pmid", "arxiv", "handle"})


def read(root: _Element) -> Iterator[Statement]:
    """The statements that the names of the elements give away; the rest is kept, not understood."""
    for element in root:
        name = local_name(element.tag)
        if name in _SKIPPED:
            continue
        if name in _PEOPLE:
            field = _PEOPLE[name] if (element.get("contrib-type") or "author") == "author" else "contributor"
            yield Statement(field, name, _person(element))
        elif name == "authors" and not len(element):  # seen: arXivRaw, one line for all
            names = (element.text or "").replace(" and ", ", ").split(", ")
            yield from (Statement("creator", name, each) for each in names)
        elif name == "pub-date":
            parts = {local_name(part.tag): (part.text or "").strip() for part in element}
            yield Statement("date", name, "-".join(filter(None, (parts.get(p) for p in ("year", "month", "day")))))
        elif name not in _FIELDS and len(element):
            yield from read(element)
        else:
            yield from _plain(element, name)


def _plain(element: _Element, name: str) -> Iterator[Statement]:
    value = text_of(element).strip()
    field = _FIELDS.get(name, "")
    parent = element.getparent()
    if name == "id" and parent is not None and local_name(parent.tag).startswith("arxiv"):
        field, value = "identifier", f"https://arxiv.org/abs/{value}"
    scheme = next((element.get(a) for a in ("pub-id-type", "identifierType") if element.get(a)), name) or ""
    if field == "identifier" and scheme.lower() in _SCHEMES and scheme.lower() not in value.lower():
        value = f"{scheme}:{value}"
    if name == "categories":  # seen: arXiv, one line for all
        value = value.replace(" ", ";")
    if field == "date" and (element.get("dateType") or "Issued") not in {"Issued", "Created", "Published"}:
        field = ""
    yield Statement(field, name, value, language_of(element))
    if name == "resourcetype" and element.get("resourceTypeGeneral"):
        yield Statement("type", name, element.get("resourceTypeGeneral") or "")
    if name == "rights" and element.get("rightsURI"):
        yield Statement("rights", name, element.get("rightsURI") or "")


def _person(element: _Element) -> str:
    family = given = named = ""
    for part in element.iter("*"):
        name = local_name(part.tag)
        if name in _FAMILY:
            family = family or text_of(part).strip()
        elif name in _GIVEN:
            given = given or text_of(part).strip()
        elif name in {"creatorname", "contributorname", "collab", "persname", "corpname"}:
            named = named or text_of(part).strip()
    return named or (f"{family}, {given}" if family and given else family or given) or text_of(element).strip()
