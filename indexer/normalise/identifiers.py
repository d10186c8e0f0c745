"""Identifiers: each value sorted into its kind, in the form in which equals compare equal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from stdnum import isbn, issn

from indexer.normalise.text import unescape

LONGEST_URL = 2_000

_DOI = r"10\.\d{4,9}(?:\.\d+)*/[^\s\"<>⟨⟩]+"
_BARE_DOI = re.compile(
    rf"(?:(?:https?:/+)?(?:dx\.|www\.)?doi\.org[/:]\s*(?:doi:\s*)?|(?:info:doi/|doi\b)[:/\s]*)?({_DOI})",
    re.IGNORECASE,
)
_DOI_IN_TEXT = re.compile(rf"(?<![\w/.]){_DOI}|(?<=doi\.org/){_DOI}", re.IGNORECASE)
_HANDLE = re.compile(r"(?:(?:https?:/+)?hdl\.handle\.net/|(?:info:)?hdl[:/]\s*)(\d[\w.]*/[^\s?#]+)", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d[\d -]{5,}[\dX]|10\.\d{4}", re.IGNORECASE)
_ISBN = re.compile(r"\b97[89][\d -]{10,14}\b|\b\d[\d -]{8,11}[\dX]\b", re.IGNORECASE)
_ISSN = re.compile(r"(?<![\w-])(\d{4})-?(\d{3}[\dX])(?![\w-])", re.IGNORECASE)
_YEARS = re.compile(r"(?:1[5-9]|20)\d\d-?(?:1[5-9]|20)\d\d")
_ARXIV = re.compile(
    r"(?:arxiv:\s*|https?://(?:www\.)?arxiv\.org/(?:abs|pdf)/)((?:\d{4}\.\d{4,5}|[a-z.-]+/\d{7})(?:v\d+)?)(?:\.pdf)?",
    re.IGNORECASE,
)
_PMID = re.compile(
    r"(?:info:pmid/|pmid\b[:\s]*|https?://(?:www\.ncbi\.nlm\.nih\.gov/pubmed|pubmed\.ncbi\.nlm\.nih\.gov)/)(\d{1,8})/?",
    re.IGNORECASE,
)
_SCHEMES = (
    ("ark", re.compile(r"ark:/?\d{5}/\S+", re.IGNORECASE)),
    ("urn", re.compile(r"urn:[a-z0-9][a-z0-9-]{0,31}:\S+", re.IGNORECASE)),
    ("oai", re.compile(r"oai:\S+", re.IGNORECASE)),
)

_LINK = re.compile(r"https?:|www\.[\w-]+\.", re.IGNORECASE)
_RESOLVER = re.compile(r"doi\.org|hdl\.handle\.net|arxiv\.org/|/pubmed|pubmed\.", re.IGNORECASE)
_NEVER_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u206f\ufeff\\\"<>^`{|}]")
_URL = re.compile(
    r"(https?):/{1,2}((?P<host>[^\W_][\w-]*(?:\.[\w-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?(?P<path>/[^?#]*)?(?:[?#].*)?)",
    re.IGNORECASE,
)
_IMAGES = frozenset(("jpg", "jpeg", "png", "gif", "webp", "svg", "tif", "tiff", "bmp"))
_FILES = frozenset(
    (
        *("pdf", "doc", "docx", "ppt", "pptx", "xls", "xlsx", "odt", "ods", "odp", "rtf", "epub", "djvu", "ps", "eps"),
        *("txt", "csv", "zip", "rar", "7z", "gz", "tgz", "tar", "mp3", "mp4", "wav", "avi", "mov", "mkv", "sav"),
    )
)
_GALLEY = re.compile(r"/article/view/[\w.-]+/[\w.-]+/?$")
# Where platforms deliver files whose address has no ending: Digital Commons, DSpace, OJS, ITB Bandung
_DELIVERY = re.compile(
    r"/(?:viewcontent\.cgi$|bitstreams?/.*[^/]|article/(?:download|viewFile|downloadSuppFile)/.|download/\d+/?$)",
    re.IGNORECASE,
)

# A DOI or ISBN outside dc:identifier is mostly that of a series, a journal, a book or a cited work.
_KIND_ELSEWHERE = {
    "relation": {"doi": "related-doi", "url": "url"},
    "source": {"doi": "related-doi", "url": "url", "issn": "issn", "citation": "citation"},
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier: its kind, its normalised value and what the member sent.

    Kinds: doi, isbn, issn, handle, arxiv, pmid, ark, urn, oai (bare codes); url, file, image, galley (links
    that may be followed); related-doi (another work's); citation; other.
    """

    kind: str
    value: str
    raw: str


def classify(raw: str, element: str = "identifier") -> tuple[Identifier, ...]:
    """The identifiers that a value of `element` ("identifier", "relation" or "source") holds.

    A value of several numbers gives several. Codes in a relation or source belong to another work: a DOI
    there is `related-doi`, others are `other`; an ISSN in a source stays. A link that no browser should
    follow is `other`.
    """
    value = unescape(raw).strip()
    if not value:
        return ()
    is_link = bool(_LINK.match(value))
    found = [] if is_link and not _RESOLVER.search(value) else _codes(value, element, is_link)
    if found and element != "identifier":
        kinds = _KIND_ELSEWHERE[element]
        found = [(kinds.get(kind, "other"), code) for kind, code in found]
    if not found:
        found = [_link(value, element) if is_link else _words(value)]
    return tuple([Identifier(kind, normalised, raw) for kind, normalised in found])


def _find_url(value: str) -> re.Match[str] | None:
    """The parts of an http(s) address that is safe to show and to follow: with a host, without credentials, white space
    or control characters."""
    if len(value) > LONGEST_URL or _NEVER_IN_URL.search(value):
        return None
    # seen: `https:/www.ncbi.nlm.nih.gov/...`, one slash; and no scheme at all
    return _URL.fullmatch(f"http://{value}" if value[:4].lower() == "www." else value)


def _codes(value: str, element: str, is_link: bool) -> list[tuple[str, str]]:
    """What a value is by its form, apart from links and words."""
    found = _resolvable(value) or _coded(value)
    return found if found or is_link or element == "relation" else _numbers(value, element)


def _resolvable(value: str) -> list[tuple[str, str]]:
    if match := _BARE_DOI.fullmatch(value):
        return [("doi", _doi(match[1]))]
    if match := _HANDLE.fullmatch(value):
        handle = unquote(match[1])
        if handle.startswith("10."):
            return [("doi", _doi(handle))]
        # DSpace's default prefix: the same on many sites, and it resolves nowhere
        return [("other" if handle.startswith("123456789/") else "handle", handle)]
    return []


def _coded(value: str) -> list[tuple[str, str]]:
    if match := _ARXIV.fullmatch(value):
        code = ("arxiv", re.sub(r"v\d+$", "", match[1]))
        return [("url", value), code] if _LINK.match(value) else [code]
    if match := _PMID.fullmatch(value):
        return [("pmid", match[1])]
    if value.lower().startswith("urn:urn:"):  # seen: `urn:urn:nbn:...`
        value = value[4:]
    if value.lower().startswith(("urn:isbn:", "urn:issn:")):
        return []
    return [(kind, value) for kind, pattern in _SCHEMES if pattern.fullmatch(value)]


def _numbers(value: str, element: str) -> list[tuple[str, str]]:
    """ISBNs and ISSNs with right check digits; a text around them stays beside them, with the DOIs in it."""
    if not _LONG_NUMBER.search(value):
        return []
    lowered = value.lower()
    found: list[tuple[str, str]] = []
    rest = value
    for match in _ISBN.finditer(value):
        # ten digits without a label or the hyphens of an ISBN are more often a telephone or call number
        is_marked = "isbn" in lowered or len(re.findall(r"[ -]", match[0])) == 3
        if isbn.is_valid(match[0]) and (is_marked or len(isbn.compact(match[0])) == 13):
            found.append(("isbn", isbn.to_isbn13(isbn.compact(match[0]))))
            rest = rest.replace(match[0], " ")
    for match in _ISSN.finditer(rest):
        if ("issn" in lowered or not _YEARS.fullmatch(match[0])) and issn.is_valid(match[0]):
            if "-" in match[0] or "issn" in lowered:
                found.append(("issn", issn.format(issn.compact(match[0]))))
            rest = rest.replace(match[0], " ")
    if element == "identifier":
        found += [("doi", _doi(match[0])) for match in _DOI_IN_TEXT.finditer(rest)]
    if found and len(re.findall(r"[^\W\d_]{2,}", rest)) > 3:
        found.append(_words(value))
    return list(dict.fromkeys(found))


def _link(value: str, element: str) -> tuple[str, str]:
    match = _find_url(value)
    if not match:
        return "other", value
    path = match["path"] or "/"
    if match["host"].lower() == "localhost" and "/handle/" in path:
        return "other", value  # DSpace that was never told its own address
    ending = path[-6:].rpartition(".")[2].lower()
    if ending in _IMAGES:
        kind = "image"
    elif element == "relation" and _GALLEY.search(path):
        kind = "galley"
    else:
        kind = "file" if ending in _FILES or _DELIVERY.search(path) else "url"
    return kind, f"{match[1].lower()}://{match[2]}"


def _words(value: str) -> tuple[str, str]:
    words = value.split()
    looks_quoted = len(words) > 2 and any(map(str.isdigit, value)) and not value.startswith(("info:", "javascript:"))
    return "citation" if looks_quoted else "other", value


def _doi(found: str) -> str:
    decoded = unquote(found)
    doi = found if re.search(r"\s", decoded) else decoded
    while doi[-1] in ".,;:'\"" or any(
        doi[-1] == close and doi.count(close) > doi.count(open_) for open_, close in ("()", "[]", "{}")
    ):
        doi = doi[:-1]
    return doi.lower()
