"""Our normalised Dublin Core: from a description to its statements, to XML, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape, unescape

from harvester.xml_chars import NOT_XML
from indexer.document import Description
from indexer.normalise.names import Name
from indexer.normalise.rights import licence_url

_DCMI = {"dataset": "Dataset", "image": "StillImage", "audio": "Sound", "video": "MovingImage"}
GENRES = {"bachelor": "Bachelor's thesis", "master": "Master's thesis", "doctoral": "Doctoral thesis"}
_ACCESS = {"open": "openAccess", "embargoed": "embargoedAccess", "restricted": "restrictedAccess"}
_RESOLVERS = {
    "url": "",
    "doi": "https://doi.org/",
    "handle": "https://hdl.handle.net/",
    "isbn": "urn:isbn:",
    "arxiv": "https://arxiv.org/abs/",
    "urn": "",
}

_LINE = re.compile(r'<dc:([a-z]+)(?: xml:lang="([a-z-]+)")?>([^<]*)</dc:')


class Statement(NamedTuple):
    """One element of Dublin Core, its text and the text's language, empty if unknown."""

    element: str
    text: str
    language: str = ""


def make_statements(description: Description) -> tuple[Statement, ...]:
    """What the description says, in the usual order of the elements, each thing once."""
    return tuple(dict.fromkeys([line for line in _iter_statements(description) if line.text]))


def xml_text(text: str) -> str:
    """The text on one line, of characters that XML can hold."""
    return " ".join(NOT_XML.sub(" ", text).split())


def render(statements: Iterable[Statement]) -> str:
    """The elements, without the one around them."""
    return "".join([_render(*statement) for statement in statements])


def parse(rendered: str) -> list[Statement]:
    """The statements that were rendered so."""
    return [Statement(name, unescape(text), language) for name, language, text in _LINE.findall(rendered)]


def _render(element: str, text: str, language: str) -> str:
    tongue = f' xml:lang="{language}"' if language else ""
    return f"<dc:{element}{tongue}>{escape(text)}</dc:{element}>"


def _iter_statements(description: Description) -> Iterator[Statement]:
    kind, rights = description.type, description.rights
    for element, texts in (("title", description.titles), ("description", description.abstracts)):
        yield from (Statement(element, xml_text(text.value), text.language or "") for text in texts)
    for element, names in (("creator", description.creators), ("contributor", description.contributors)):
        yield from (Statement(element, xml_text(_inverted(name))) for name in names)
    for element, values in (
        ("subject", description.subjects),
        ("publisher", description.publishers),
        ("date", (description.issued.isoformat() if description.issued else "",)),
        ("type", (kind.type, GENRES.get(kind.level or "", ""), _DCMI.get(kind.type, "Text"))),
        ("format", description.formats),
        ("identifier", _identifiers(description)),
        ("source", description.sources),
        ("language", description.languages),
        ("relation", description.relations),
        ("coverage", description.coverages),
        ("rights", (licence_url(rights.licence) or "" if rights.licence else "",)),
        ("rights", (f"info:eu-repo/semantics/{_ACCESS.get(rights.access, 'closedAccess')}" if rights.access else "",)),
        # what the member says of its rights, in its own words
        ("rights", [text for name, text in description.raw if name.lower().endswith("rights")]),
    ):
        yield from (Statement(element, xml_text(value)) for value in values)


def _identifiers(description: Description) -> Iterator[str]:
    for kind, resolver in _RESOLVERS.items():
        yield from (resolver + value for value in description.identifiers_of(kind))


def _inverted(name: Name) -> str:
    return f"{name.family}, {name.given}" if name.given else name.family
