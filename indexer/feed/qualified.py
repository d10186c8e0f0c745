"""Qualified Dublin Core of our normalised Dublin Core: what a value is, where that is sure. Pure.

The container is OCLC's: DCMI's own schemas have none that may stand in a response. Spec: DCMI Metadata Terms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from indexer.feed.dublin_core import Statement

NAMESPACE = "http://worldcat.org/xmlschemas/qdc-1.0/"
SCHEMA = "http://worldcat.org/xmlschemas/qdc/1.0/qdc-1.0.xsd"

_SHORT = 120  # letters; what is below that is rather a note than an abstract
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_URI = re.compile(r"(?:https?://|urn:)(?:[!#$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})+")
_ISSN = re.compile(r"(?:urn:issn:)?(\d{4}-\d{3}[\dXx])", re.IGNORECASE)
_ISSUE = re.compile(r"\b(?:vol|no|edisi|nomor|volume|tahun)\b\.? ?\d", re.IGNORECASE)
_DCMI_TYPES = frozenset({"Text", "Dataset", "StillImage", "Sound", "MovingImage"})
_WITHIN = frozenset({"article", "chapter", "conference"})  # what stands in something else
_LICENCES = "https://creativecommons.org/"
_ACCESS = "info:eu-repo/semantics/"


def render_qualified(statements: Sequence[Statement]) -> str:
    """A record element."""
    main = next((line for line in statements if line.element == "title"), None)
    within = any(line.element == "type" and line.text in _WITHIN for line in statements)
    inside = "".join([_render(*_qualify(line, main=line is main, within=within)) for line in statements])
    return (
        f'<qdc:qualifieddc xmlns:qdc="{NAMESPACE}" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{NAMESPACE} {SCHEMA}">{inside}</qdc:qualifieddc>'
    )


def _qualify(line: Statement, *, main: bool, within: bool) -> tuple[str, Statement, str]:
    """The element's name with its prefix, the statement, and in which scheme its text is, empty where in none."""
    element, text, _ = line
    name, scheme = f"dc:{element}", ""
    if element == "title" and not main:
        name = "dcterms:alternative"
    elif element == "description" and len(text) >= _SHORT:
        name = "dcterms:abstract"
    elif element == "date":
        name, scheme = "dcterms:issued", "W3CDTF" if _DATE.fullmatch(text) else ""
    elif element == "type":
        scheme = "DCMIType" if text in _DCMI_TYPES else ""
    elif element == "format":
        scheme = "IMT" if _MEDIA_TYPE.fullmatch(text) else ""
    elif element == "identifier":
        scheme = "URI" if _URI.fullmatch(text) else ""
    elif element == "language":
        scheme = "RFC4646" if _LANGUAGE.fullmatch(text) else ""
    elif element == "rights":
        name, scheme = _rights(text)
    elif element == "source" and within:
        if issn := _ISSN.fullmatch(text):
            return "dcterms:isPartOf", Statement(element, f"urn:ISSN:{issn[1].upper()}"), "URI"
        name = "dcterms:bibliographicCitation" if _ISSUE.search(text) else "dcterms:isPartOf"
    return name, line, scheme


def _rights(text: str) -> tuple[str, str]:
    if text.startswith(_ACCESS):
        return "dcterms:accessRights", ""
    known = text.replace("http://", "https://", 1).startswith(_LICENCES) and _URI.fullmatch(text)
    return ("dcterms:license", "URI") if known else ("dc:rights", "")


def _render(name: str, line: Statement, scheme: str) -> str:
    # A value in a scheme is in no language: the schema has it so.
    said = f' xsi:type="dcterms:{scheme}"' if scheme else f' xml:lang="{line.language}"' if line.language else ""
    return f"<{name}{said}>{escape(line.text)}</{name}>"
