"""Where a record came from: the chain of its origins, read from and written as provenance containers. Pure.

Spec: guidelines-provenance, guidelines-aggregator 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from harvester.catalogue.records import CataloguedRecord
from harvester.datestamps import format_datestamp, parse_datestamp
from harvester.oai.page import make_parser
from indexer.crosswalks.statements import local_name

if TYPE_CHECKING:
    from lxml.etree import _Element

_MOST_ORIGINS = 16  # no honest chain is as long
_URI = re.compile(r"[!#$&-;=?-Z_a-z~]+|%(?=[0-9A-Fa-f]{2})")  # what a URI is made of, brackets left out
_RIGHTS = "http://www.openarchives.org/OAI/2.0/rights/"
_STAMP = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """One station of a record: whose, under which identifier and datestamp, in which format, harvested from there when,
    and whether it was changed afterwards."""

    base_url: str
    identifier: str
    datestamp: str
    namespace: str
    harvest_date: str
    altered: bool = True

    @property
    def key(self) -> int:
        """A number for the record at this station: two copies with the same one are of one record.

        Of the same form whether a station names itself or others write of it; one host may have many repositories.
        """
        parts = urlsplit(_quoted(self.base_url))
        host = parts.netloc.lower().removeprefix("www.").removesuffix(":443").removesuffix(":80")
        query = f"?{parts.query}" if parts.query else ""
        text = f"{host}{parts.path.rstrip('/')}{query}\0{_quoted(self.identifier)}".encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 1


def parse_origins(abouts: Iterable[bytes]) -> tuple[Origin, ...]:
    """The stations before the member that sent these about containers, the latest first; none for its own records."""
    for about in abouts:
        root = _parse(about)
        if root is not None and local_name(root.tag) == "provenance":
            nested = root.iter("{*}originDescription")
            found = [_read(element) for element in islice(nested, _MOST_ORIGINS)]
            return tuple(origin for origin in found if origin.base_url and origin.identifier)
    return ()


def find_first(record: CataloguedRecord, base_url: str) -> Origin:
    """The first station of a record that the member at this base URL gives: another's, or the member itself."""
    abouts = next((form.abouts for form in record.forms if form.xml and not form.deleted), ())
    former = parse_origins(abouts)
    return former[-1] if former else Origin(base_url, record.identifier, record.source_datestamp, "", "")


def _read(element: _Element) -> Origin:
    return Origin(
        base_url=_text(element, "baseURL"),
        identifier=_text(element, "identifier"),
        datestamp=_text(element, "datestamp"),
        namespace=_text(element, "metadataNamespace"),
        harvest_date=element.get("harvestDate") or "",
        altered=(element.get("altered") or "").lower() not in {"false", "0"},
    )


def render_origins(origins: Sequence[Origin]) -> str:
    """Nested originDescription elements, the latest station outside. What is no date stands as the nearest that is."""
    inside = ""
    for origin in reversed(origins):
        harvested = _stamp(origin.harvest_date) or "1970-01-01T00:00:00Z"
        inside = (
            f'<originDescription harvestDate="{harvested}" altered="{str(origin.altered).lower()}">'
            f"<baseURL>{_uri(origin.base_url)}</baseURL><identifier>{_uri(origin.identifier)}</identifier>"
            f"<datestamp>{_stamp(origin.datestamp) or harvested}</datestamp>"
            f"<metadataNamespace>{_uri(origin.namespace)}</metadataNamespace>{inside}</originDescription>"
        )
    return inside


def find_rights(abouts: Iterable[bytes]) -> tuple[str, ...]:
    """The terms that the member put beside the record, each as the element of ours that states them: a reference, or a
    definition in words of its own.

    Spec: guidelines-rights.
    """
    found: list[str] = []
    for about in abouts:
        root = _parse(about)
        if root is not None and local_name(root.tag) == "rights":
            references = (each.get("ref") or "" for each in root.iter("{*}rightsReference"))
            found += (f"<rightsReference ref={quoteattr(_quoted(each))}/>" for each in references if each)
            found += map(_define, root.iterfind("{*}rightsDefinition"))
    return tuple(dict.fromkeys(filter(None, found)))


def render_rights(terms: str) -> str:
    """An about container with the terms."""
    return (
        f'<about><rights xmlns="{_RIGHTS}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
        f'"{_RIGHTS} http://www.openarchives.org/OAI/2.0/rights.xsd">{terms}</rights></about>'
    )


def _define(element: _Element) -> str:
    """One element of another vocabulary is what a definition may hold; empty where it holds none."""
    foreign = (each for each in element.iterchildren("{*}*") if etree.QName(each).namespace not in {None, _RIGHTS})
    payload = next(foreign, None)
    if payload is None:
        return ""
    text = etree.tostring(payload, encoding="unicode", with_tail=False)
    return f"<rightsDefinition>{text}</rightsDefinition>"


def namespace_of(xml: bytes) -> tuple[str, str]:
    """The namespace of a payload, and the address of its schema, as it says itself; each may be empty."""
    root = _parse(xml)
    if root is None:
        return "", ""
    namespace = etree.QName(root).namespace or ""
    located = (root.get("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation") or "").split()
    return namespace, dict(zip(located[::2], located[1::2], strict=False)).get(namespace, "")


@lru_cache(maxsize=256)
def namespace_in(start: bytes) -> str:
    """The namespace of the element that this tag starts, as render_origins writes it: most payloads start alike."""
    return _uri(namespace_of(start if start.endswith(b"/>") else start[:-1] + b"/>")[0])


def _parse(xml: bytes) -> _Element | None:
    try:
        return etree.fromstring(xml, make_parser(huge=True, bare=True))
    except etree.XMLSyntaxError:
        return None


def _text(element: _Element, name: str) -> str:
    return (element.findtext(f"{{*}}{name}") or "").strip()


def _stamp(text: str) -> str:
    moment = parse_datestamp(text)
    if moment is None:
        return ""
    return text if _STAMP.match(text) else format_datestamp(moment)


def _uri(text: str) -> str:
    return escape(_quoted(text))


def _quoted(text: str) -> str:
    """The text as it is, if it may stand where a URI must."""
    if "".join(_URI.findall(text)) == text:
        return text
    return quote(text, safe="!#$&'()*+,-./:;=?@_~", errors="replace")
