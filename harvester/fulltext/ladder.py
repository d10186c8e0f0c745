"""The ladder: where the files of a record may be, rung by rung; pure, all that is fetched is handed in.

Rungs, cheapest first: `metadata`, what the record says; `ore`, `xoai`, `mets`, `didl`, `rem`, richer formats of the
same record; then what its page says: `signposting`, `citation`, `alternate`, `schema`, `platform`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lxml import etree, html

from harvester.fulltext.candidates import Candidate, file_name, find_candidate, gather, join, name_of, role_of
from harvester.oai.page import make_parser

if TYPE_CHECKING:
    from lxml.etree import _Element

FORMATS = ("ore", "xoai", "mets", "didl", "rem")
PAGE_RUNGS = ("signposting", "citation", "alternate", "schema", "platform")
RUNGS = ("metadata", *FORMATS, *PAGE_RUNGS)
_HTML = "text/html"
_MOST = 2_000  # links of a kind on a page, or in a format, that are looked at


@dataclass(frozen=True, slots=True)
class Clues:
    """What a record says of its files. `files` are links in its metadata, `pages` landing pages, the best first.

    `access` is open, embargoed, restricted, closed or None for unknown; `embargo_until` an ISO date. `formats` holds
    payloads in richer formats, by prefix, that are in the catalogue already.
    """

    files: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    access: str | None = None
    embargo_until: str | None = None
    formats: Mapping[str, bytes] | None = None


def in_metadata(clues: Clues) -> tuple[Candidate, ...]:
    """What the record itself links to."""
    return gather(find_candidate(url, "metadata") for url in clues.files)


def in_format(prefix: str, xml: bytes) -> tuple[Candidate, ...]:
    """What a payload in a richer format links to; nothing where it cannot be read."""
    try:
        root = etree.fromstring(xml, make_parser(huge=True))
    except etree.XMLSyntaxError:
        return ()
    return gather(
        find_candidate(url, prefix, label=label, media_type=media_type, group=group)
        for url, label, media_type, group in islice(_linked(root), _MOST)
    )


def _linked(root: _Element) -> Iterator[tuple[str, str, str, str]]:
    """(address, name, type, group) of each file."""
    for element in root.iter(etree.Element):
        name = etree.QName(element).localname
        attributes = {etree.QName(key).localname: str(value) for key, value in element.attrib.items()}
        if name == "link" and attributes.get("rel", "").endswith("/ore/terms/aggregates"):  # DSpace's ore
            yield attributes.get("href", ""), attributes.get("title", ""), attributes.get("type", ""), ""
        elif name == "aggregates" and "resource" in attributes:  # ORE in RDF; EPrints' rem
            yield attributes["resource"], "", "", ""
        elif name == "Resource" and "ref" in attributes:  # DIDL
            yield attributes["ref"], "", attributes.get("mimeType", ""), ""
        elif name == "FLocat" and "href" in attributes:  # METS
            holder = element.getparent()
            group = next((each for each in element.iterancestors() if etree.QName(each).localname == "fileGrp"), None)
            yield (
                attributes["href"],
                attributes.get("title", ""),
                "" if holder is None else holder.get("MIMETYPE", ""),
                "" if group is None else group.get("USE", ""),
            )
        elif name == "element" and attributes.get("name") == "bundle":  # xoai
            group_name = _field(element, "name")
            for bitstream in element.iterfind("{*}element/{*}element"):
                if bitstream.get("name") == "bitstream":
                    values = [_field(bitstream, key) for key in ("url", "name", "format")]
                    yield values[0], values[1], values[2], group_name


def _field(element: _Element, name: str) -> str:
    return next((each.text or "" for each in element.findall("{*}field") if each.get("name") == name), "")


@dataclass(frozen=True, slots=True)
class Page:
    """What a landing page leads to, by rung. `linkset`: where the rest of its signposts is; empty: nowhere."""

    found: Mapping[str, tuple[Candidate, ...]]
    linkset: str = ""


_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*!-]+\s*(?:=\s*(?:\"[^\"]*\"|[^\s;,\"]*))?)*)")
_PARAMETER = re.compile(r";\s*([\w*!-]+)\s*(?:=\s*(?:\"([^\"]*)\"|([^\s;,\"]*)))?")
_CITATION = {"citation_pdf_url", "bepress_citation_pdf_url", "eprints.document_url", "citation_fulltext_html_url"}
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE)
    for shape in (
        r"/bitstream/(?:handle/)?(?P<id>[\w.]+/\d+)/.",  # DSpace up to 6
        r"/(?P<id>\d+)/\d+/[^/]+\.(?:pdf|docx?|epub)$",  # EPrints: /ID/n/name.pdf
        r"/bitstreams/[\w-]+/(?:download|content)$",  # DSpace from 7 on
        r"/(?:article|preprint)/(?:view|download|viewFile)/(?P<id>[\w.-]+)/[\w.-]+/?$",  # OJS
        r"/viewcontent\.cgi$|/download/\d+/?$",
        r"\.(?:pdf|docx|epub)$",
    )
)
_OF_THE_SITE = re.compile(
    r"panduan|pedoman|petunjuk|template|guide|manual|\bsop\b|brosur|brochure|policy", re.IGNORECASE
)
_AROUND = frozenset({"nav", "header", "footer", "aside"})


def in_page(url: str, link_headers: Sequence[str], body: bytes) -> Page:
    """What a landing page leads to, in its head and in the HTTP header before it."""
    root = _parse(body)
    head, base = _signposts(url, link_headers)
    found: dict[str, list[Candidate | None]] = {rung: [] for rung in PAGE_RUNGS}
    found["signposting"] += head
    linkset = base
    if root is not None:
        anchor = next((each.get("href", "") for each in root.iter("base")), "")
        here = join(url, anchor) or url
        for link in islice(root.iter("link"), _MOST):
            relations, kind = link.get("rel", "").lower().split(), link.get("type", "")
            target = link.get("href", "")
            if "item" in relations:
                found["signposting"].append(find_candidate(target, "signposting", here, link.get("title", ""), kind))
            elif "linkset" in relations and not linkset:
                linkset = join(here, target) or ""
            elif "alternate" in relations and _is_text_type(kind):
                found["alternate"].append(find_candidate(target, "alternate", here, link.get("title", ""), kind))
        for meta in islice(root.iter("meta"), _MOST):
            name, content = meta.get("name", "").lower(), meta.get("content", "")
            if name in _CITATION and content:
                kind = _HTML if name.endswith("html_url") else ""
                found["citation"].append(find_candidate(content, "citation", here, "", kind))
        for script in root.iter("script"):
            if script.get("type", "").lower() == "application/ld+json":
                found["schema"] += _in_json(script.text or "", here)
        found["platform"] += _in_anchors(root, here, url)
        labels = {each.url: each.label for each in _anchors(root, here)}
        found = {rung: [each and _labelled(each, labels) for each in some] for rung, some in found.items()}
    # An HTML version beside a PDF is the same text once more.
    listed = {rung: _without_html(gather(some)) for rung, some in found.items()}
    return Page({rung: some for rung, some in listed.items() if some}, linkset)


def in_linkset(text: bytes, url: str) -> tuple[Candidate, ...]:
    """The items of a linkset in JSON. Spec: RFC 9264, 4.2."""
    try:
        told = json.loads(text)
        items = [item for context in told["linkset"] for item in context.get("item", ())]
        return gather(
            find_candidate(str(item["href"]), "signposting", url, str(item.get("title", "")), str(item.get("type", "")))
            for item in items
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def _without_html(found: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    files = tuple(each for each in found if each.media_type != _HTML)
    return files if any(each.is_wanted for each in files) else found


def _parse(body: bytes) -> Any:
    try:
        return html.document_fromstring(body, parser=html.HTMLParser(no_network=True, huge_tree=False))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


def _signposts(url: str, headers: Sequence[str]) -> tuple[list[Candidate | None], str]:
    """Spec: RFC 8288; signposting.org, FAIR profile: links of type `item` lead to the content."""
    found: list[Candidate | None] = []
    linkset = ""
    for target, rest in (match for header in headers for match in _LINK.findall(header[:20_000])):
        values = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
        relations = values.get("rel", "").lower().split()
        if "item" in relations:
            found.append(find_candidate(target, "signposting", url, values.get("title", ""), values.get("type", "")))
        elif "linkset" in relations and (not linkset or "json" in values.get("type", "")):
            linkset = join(url, target) or linkset
    return found, linkset


def _is_text_type(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() in {
        "application/pdf",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }


def _in_json(text: str, base: str) -> Iterator[Candidate | None]:
    """schema.org: `encoding`, `associatedMedia` and `distribution` with a `contentUrl`, wherever they stand."""
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    seen = 0
    while waiting and seen < 5000:
        seen += 1
        value = waiting.pop()
        if isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            target, kind, other, name = map(_text_of(value), ("contentUrl", "encodingFormat", "fileFormat", "name"))
            if target:
                yield find_candidate(target, "schema", base, name, kind or other)
            waiting += reversed(list(value.values()))


def _text_of(value: dict[str, Any]) -> Callable[[str], str]:
    """What the object says under a name; empty where that is no text."""
    return lambda name: told if isinstance(told := value.get(name), str) else ""


def _anchors(root: Any, base: str) -> Iterator[Candidate]:
    """What the page's links lead to, with their words."""
    for anchor in islice(root.iter("a"), _MOST):
        found = find_candidate(_target(anchor), "platform", base, " ".join(anchor.text_content().split())[:100])
        if found:
            yield found


def _labelled(candidate: Candidate, labels: Mapping[str, str]) -> Candidate:
    """The candidate called as the page calls it, where nothing else says what it is: DSpace's files are numbers."""
    label = labels.get(candidate.url, "")
    if candidate.label or not label or candidate.role != "text":
        return candidate
    return replace(candidate, label=label, role=role_of(file_name(candidate.url), label, candidate.media_type))


def _target(anchor: Any) -> str:
    target: str = anchor.get("href", "")
    # seen: SLiMS, whose viewer opens in a frame
    return anchor.get("data-href", "") if target in {"", "#"} else target


def _in_anchors(root: Any, base: str, page: str) -> Iterator[Candidate | None]:
    """Links of the shapes that known platforms have, of this page's own site."""
    host = urlsplit(base).hostname
    for anchor in islice(root.iter("a"), _MOST):
        found = find_candidate(_target(anchor), "platform", base, " ".join(anchor.text_content().split())[:100])
        if found and urlsplit(found.url).hostname == host and _has_shape(found, anchor, page):
            kind = _HTML if found.label.strip().upper() in {"HTML", "XHTML"} else ""
            yield replace(found, media_type=kind)


def _has_shape(candidate: Candidate, anchor: Any, page: str) -> bool:
    """Whether a link of the page `page` looks like a file of what the page is about, and not of another work or the
    site."""
    parts = urlsplit(candidate.url)
    if "obj_galley_link" in anchor.get("class", "") or "p=fstream" in parts.query:
        return True
    match = next(filter(None, (shape.search(parts.path) for shape in _SHAPES)), None)
    if match is None or any(each.tag in _AROUND for each in anchor.iterancestors()):
        return False
    if number := match.groupdict().get("id"):
        path = urlsplit(page).path
        return f"/{number}/" in f"{path}/" or not re.search(r"\d", path)
    return not _OF_THE_SITE.search(name_of(candidate))
