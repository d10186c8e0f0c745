"""Crosswalks: from a record's XML, in whichever format it came, to its `Description`.

A reader per format says which statements the XML makes (`statements.Statement`); `assemble` cleans and
normalises them alike for all formats. Readers are chosen by what the XML is, never by the prefix it was
asked for with: members serve MARC as `oai_dc` and Dublin Core under names of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from lxml import etree

from harvester.catalogue.records import CataloguedRecord
from harvester.oai.page import make_parser
from indexer.crosswalks import dublin_core, marc, mods, other
from indexer.crosswalks.description import assemble
from indexer.crosswalks.statements import Statement, local_name
from indexer.document import Description, Unread

if TYPE_CHECKING:
    from lxml.etree import _Element

_Reader = Callable[["_Element"], Iterator[Statement]]

# By the root's local name; members leave namespaces out.
_ROOTS: dict[str, _Reader] = {
    "dc": dublin_core.read,
    "qualifieddc": dublin_core.read,
    "nsdl_dc": dublin_core.read,
    "dim": dublin_core.read,
    "thesis": dublin_core.read,  # ETD-MS
    "mods": mods.read,
}
# By a part of a namespace, where the root's name says nothing.
_NAMESPACES: tuple[tuple[str, _Reader], ...] = (
    ("MARC21/slim", marc.read),
    ("loc.gov/mods", mods.read),
    ("purl.org/dc/", dublin_core.read),
)


def describe(record: CataloguedRecord, *, this_year: int) -> Description:
    """The record in the network's own terms, from the first of its formats that yields a title.

    A record that cannot be described at all has a `Description` without a title. A deleted record is
    described by its last good payloads.
    """
    first: Description | None = None
    parts = record.identifier.split(":")
    host = parts[1] if parts[0] == "oai" and len(parts) > 2 else ""
    for form in record.forms:
        if not form.xml or (form.deleted and not record.deleted):
            continue
        description = describe_xml(form.xml, host=host, this_year=this_year)
        if description.title:
            return description
        first = first or description
    return first or Description()


def describe_xml(xml: bytes, *, host: str = "", this_year: int) -> Description:
    """What one payload says. `host` is the repository's own, where its identifiers name it."""
    try:
        root = etree.fromstring(xml, _parser())
    except etree.XMLSyntaxError as error:
        return Description(unread=(Unread("metadata", str(error)),))
    reader, payload = _choose(root)
    return assemble(reader(payload), host=host, this_year=this_year)


@lru_cache(maxsize=1)
def _parser() -> etree.XMLParser:
    """As for pages, whose size the transport has bounded. Threads may share it."""
    return make_parser(huge=True, bare=True)


def _choose(root: _Element) -> tuple[_Reader, _Element]:
    """The reader for this XML and the element that it should read; wrappers such as METS are opened."""
    name = local_name(root.tag)
    if name in {"modscollection", "collection"} and len(root):
        return _choose(root[0])
    wrapped = root.find(".//{*}xmlData") if name == "mets" else None
    if wrapped is not None and len(wrapped):
        # seen: DSpace's METS holds the elements of MODS with no mods element around them
        return _choose(wrapped[0]) if len(wrapped) == 1 else (_by_namespace(wrapped[0]), wrapped)
    return _ROOTS.get(name) or _by_namespace(root), root


def _by_namespace(element: _Element) -> _Reader:
    tags = [element.tag, *(child.tag for child in islice(element, 3))]
    for part, reader in _NAMESPACES:
        if any(part in tag for tag in tags):
            return reader
    return marc.read if any(local_name(tag) == "datafield" for tag in tags) else other.read
