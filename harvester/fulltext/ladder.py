"""The ladder: where the files of a record may be, rung by rung; pure, all that is fetched is handed in.

Rungs, cheapest first: `metadata`, what the record says; `ore`, `xoai`, `mets`, `didl`, `rem`, richer formats of the
same record; then what its page says: `signposting`, `citation`, `alternate`, `schema`, `platform`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urldefrag, urljoin, urlsplit

from lxml import etree, html

from harvester.oai.page import make_parser

if TYPE_CHECKING:
    from lxml.etree import _Element

FORMATS = ("ore", "xoai", "mets", "didl", "rem")
PAGE_RUNGS = ("signposting", "citation", "alternate", "schema", "platform")
RUNGS = ("metadata", *FORMATS, *PAGE_RUNGS)
MOST_FILES = 40
_HTML = "text/html"


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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be: where, what it is called, of which type and role it seems to be.

    Roles: text, front (cover, title page, abstract, contents), back (references, appendices); supplement, licence and
    thumbnail are not fetched. `instead` is another address of the same file.
    """

    url: str
    rung: str
    label: str = ""
    media_type: str = ""
    role: str = "text"
    instead: str = ""

    @property
    def is_wanted(self) -> bool:
        """Whether it can hold text of the work."""
        return self.role in {"text", "front", "back"}


# --- what each file is -----------------------------------------------------------------------------------------------

_THUMBNAIL = re.compile(
    r"thumb(?:nail)?|lightbox|preview\.|small\.jpe?g|\bicon\b|\.(?:jpe?g|png|gif|webp|svg|tiff?|bmp)\b|cover[\w-]*\.(?:jpe?g|png)",
    re.IGNORECASE,
)
_LICENCE = re.compile(
    r"(?:cc[_-]?)?licen[cs]e(?:[_-]\w+)?(?:\.\w+)?|.*(?:pernyataan|persetujuan|form)\W*publikasi.*", re.IGNORECASE
)
# Made from other files by the platform: text layers of DSpace, words for the index of EPrints.
_DERIVED = re.compile(r"indexcodes\.txt|\.(?:pdf|docx?|pptx?)\.(?:txt|jpe?g)$", re.IGNORECASE)
_SUPPLEMENT = re.compile(
    r"\.(?:zip|rar|7z|t?gz|tar|csv|xlsx?|ods|sav|pptx?|odp|mp[34]|wav|avi|mov|mkv|exe|apk|iso)\b|downloadsuppfile|"
    r"\bsupplement(?:ary|al)[\W_](?:files?|data|materials?)",
    re.IGNORECASE,
)
_FRONT = (
    (0, r"cover|sampul|jilid|kulit"),
    (1, r"halaman.?(?:judul|depan|awal)|title.?page|hal.?judul|front.?matter|bagian.?(?:awal|depan)|preliminar|awal"),
    (
        2,
        r"pengesahan|persetujuan|pernyataan|orisinalitas|approval|motto|persembahan|kata.?pengantar|preface|acknowledg",
    ),
    (3, r"abstra[ck]t?|ringkasan|summary|intisari|sari"),
    (4, r"daftar.?(?:isi|tabel|gambar|singkatan)|table.?of.?contents?|toc|contents"),
)
_BACK = (
    (7, r"daftar.?pustaka|dapus|dafpus|pustaka|references?|bibliograph\w*|referensi"),
    (8, r"lampiran|appendi(?:x|ces)|annex"),
    (9, r"riwayat.?hidup|biodata|curriculum.?vitae|cv"),
)
_PARTS = tuple(
    (rank, role, re.compile(rf"(?<![^\W_])(?:{words})(?![^\W\d_])", re.IGNORECASE))
    for role, ranks in (("front", _FRONT), ("back", _BACK))
    for rank, words in ranks
)
_CHAPTER = re.compile(
    r"(?<![^\W_])(?:bab|chapter|chap|ch|part|bagian)[\W_]*(\d{1,2}|[ivx]{1,5})(?![^\W_])", re.IGNORECASE
)
_WHOLE = re.compile(r"full.?text|fulltext|full.?paper|(?<![^\W_])full(?![^\W_])|lengkap|complete", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10}


def role_of(name: str, label: str = "", media_type: str = "", group: str = "") -> str:
    """The role that a file's name, label, type and group (a bundle of DSpace, a fileGrp of METS) speak of."""
    group, both = group.upper(), f"{name} {label}"
    called = label.partition(" ")[0]  # a size may follow: `license.txt (1.7 kB)`
    is_licence = _LICENCE.fullmatch(name) or (re.search("[._]", called) and _LICENCE.fullmatch(called))
    is_picture = _THUMBNAIL.search(both) and ".pdf" not in name.lower()
    for role, speaks in (
        ("thumbnail", group in {"THUMBNAIL", "BRANDED_PREVIEW", "IIIF"} or media_type.startswith("image/")),
        ("licence", group in {"LICENSE", "CC-LICENSE", "METADATA"} or is_licence),
        ("supplement", group == "TEXT" or _DERIVED.search(name) or _SUPPLEMENT.search(both)),
        ("supplement", media_type.startswith(("audio/", "video/"))),
        ("thumbnail", is_picture),
        ("text", _WHOLE.search(both) or _CHAPTER.search(both)),
    ):
        if speaks:
            return role
    return next((role for _, role, pattern in _PARTS if pattern.search(both)), "text")


def in_order(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The files of one work in reading order, each once: front matter, chapters by their numbers, references,
    appendices; those of unknown place as they were listed."""
    once: dict[str, Candidate] = {}
    for candidate in found:
        once.setdefault(_same(candidate.url), candidate)

    def place(candidate: Candidate) -> tuple[int, int]:
        name = _name(candidate)
        if not candidate.is_wanted:
            return 10, 0
        if match := _CHAPTER.search(name):
            return 5, _number(match[1])
        if _WHOLE.search(name) or candidate.role not in {"front", "back"}:
            return 5, 0
        return next((rank, 0) for rank, _, pattern in (*_PARTS, (6, "", re.compile(""))) if pattern.search(name))

    return tuple(sorted(once.values(), key=place)[:MOST_FILES])


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    values = [_ROMAN[letter] for letter in text.lower()]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _same(url: str) -> str:
    return re.sub(r";jsessionid=[^?]*", "", unquote(urldefrag(url)[0])).removesuffix("/").replace("https://", "http://")


def _name(candidate: Candidate) -> str:
    return f"{file_name(candidate.url)} {candidate.label}"


def file_name(url: str) -> str:
    """What the file at the address is called, as far as that tells."""
    parts = urlsplit(url)
    named = [value for key, value in parse_qsl(parts.query) if key.lower() in {"filename", "file", "name"}]
    segments = [segment for segment in parts.path.split("/") if segment]
    return unquote(named[0] if named else segments[-1] if segments else "")


def _candidate(
    url: str, rung: str, base: str = "", label: str = "", media_type: str = "", group: str = ""
) -> Candidate | None:
    """The candidate at the address; None where that leads nowhere in the web."""
    try:
        whole = urldefrag(urljoin(base, url.strip()))[0]
        parts = urlsplit(whole)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and len(whole) <= 2000
    except ValueError:
        right = False
    if not right or not whole.isprintable():
        return None
    whole = whole.replace(" ", "%20")
    media_type = media_type.partition(";")[0].strip().lower()
    found = Candidate(whole, rung, label[:200], media_type, "text", "")
    if "ThumbnailVersion/" in whole:  # seen: EPrints, whose pictures of a file have its name
        return replace(found, role="thumbnail")
    return _on_platform(replace(found, role=role_of(file_name(found.url), found.label, media_type, group)))


_OJS_VIEW = re.compile(r"(/(?:article|issue|preprint|catalog/book)/)view(/[\w.-]+/[\w.-]+/?)$")


def _on_platform(candidate: Candidate) -> Candidate:
    """The address at which the platform gives the file itself, where the one named is that of a viewer."""
    url = candidate.url
    if match := _OJS_VIEW.search(url):  # seen: OJS 2 and 3, whose `view` shows a PDF in a frame
        return replace(candidate, url=url[: match.start()] + f"{match[1]}download{match[2]}", instead=url)
    if "p=fstream&" in url:  # seen: SLiMS 8 and 9, whose `fstream` is a viewer
        return replace(candidate, url=url.replace("p=fstream&", "p=fstream-pdf&"), instead=url)
    return candidate


def _candidates(found: Iterable[Candidate | None]) -> tuple[Candidate, ...]:
    return in_order(each for each in found if each)


# --- the rungs -------------------------------------------------------------------------------------------------------


def in_metadata(clues: Clues) -> tuple[Candidate, ...]:
    """What the record itself links to."""
    return _candidates(_candidate(url, "metadata") for url in clues.files)


def in_format(prefix: str, xml: bytes) -> tuple[Candidate, ...]:
    """What a payload in a richer format links to; nothing where it cannot be read."""
    try:
        root = etree.fromstring(xml, make_parser(huge=True))
    except etree.XMLSyntaxError:
        return ()
    return _candidates(
        _candidate(url, prefix, label=label, media_type=media_type, group=group)
        for url, label, media_type, group in _linked(root)
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
            for bitstream in element.iter("{*}element"):
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
        here = urljoin(url, anchor) if anchor else url
        for link in root.iter("link"):
            relations, kind = link.get("rel", "").lower().split(), link.get("type", "")
            target = link.get("href", "")
            if "item" in relations:
                found["signposting"].append(_candidate(target, "signposting", here, link.get("title", ""), kind))
            elif "linkset" in relations and not linkset:
                linkset = urljoin(here, target)
            elif "alternate" in relations and _is_text_type(kind):
                found["alternate"].append(_candidate(target, "alternate", here, link.get("title", ""), kind))
        for meta in root.iter("meta"):
            name, content = meta.get("name", "").lower(), meta.get("content", "")
            if name in _CITATION and content:
                kind = _HTML if name.endswith("html_url") else ""
                found["citation"].append(_candidate(content, "citation", here, "", kind))
        for script in root.iter("script"):
            if script.get("type", "").lower() == "application/ld+json":
                found["schema"] += _in_json(script.text or "", here)
        found["platform"] += _in_anchors(root, here, url)
        labels = {each.url: each.label for each in _anchors(root, here)}
        found = {rung: [each and _labelled(each, labels) for each in some] for rung, some in found.items()}
    # An HTML version beside a PDF is the same text once more.
    listed = {rung: _without_html(_candidates(some)) for rung, some in found.items()}
    return Page({rung: some for rung, some in listed.items() if some}, linkset)


def in_linkset(text: bytes, url: str) -> tuple[Candidate, ...]:
    """The items of a linkset in JSON. Spec: RFC 9264, 4.2."""
    try:
        told = json.loads(text)
        items = [item for context in told["linkset"] for item in context.get("item", ())]
        return _candidates(
            _candidate(str(item["href"]), "signposting", url, str(item.get("title", "")), str(item.get("type", "")))
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
            found.append(_candidate(target, "signposting", url, values.get("title", ""), values.get("type", "")))
        elif "linkset" in relations and (not linkset or "json" in values.get("type", "")):
            linkset = urljoin(url, target)
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
            kind = str(value.get("encodingFormat") or value.get("fileFormat") or "")
            target = value.get("contentUrl")
            if isinstance(target, str):
                yield _candidate(target, "schema", base, str(value.get("name", "")), kind)
            waiting += reversed(list(value.values()))


def _anchors(root: Any, base: str) -> Iterator[Candidate]:
    """What the page's links lead to, with their words."""
    for anchor in root.iter("a"):
        found = _candidate(_target(anchor), "platform", base, " ".join(anchor.text_content().split())[:100])
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
    for anchor in root.iter("a"):
        found = _candidate(_target(anchor), "platform", base, " ".join(anchor.text_content().split())[:100])
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
    return not _OF_THE_SITE.search(_name(candidate))
