"""References in the formats of other programs. Pure: a reference in, bytes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lxml import etree

from harvester.xml_chars import NOT_XML
from indexer.normalise.names import Name
from web.reference import Reference

# Our type: as RIS, BibTeX, CSL and DCMI say it.
_TYPES = {
    "article": ("JOUR", "article", "article-journal", "Text"),
    "thesis": ("THES", "mastersthesis", "thesis", "Text"),
    "book": ("BOOK", "book", "book", "Text"),
    "chapter": ("CHAP", "incollection", "chapter", "Text"),
    "conference": ("CPAPER", "inproceedings", "paper-conference", "Text"),
    "report": ("RPRT", "techreport", "report", "Text"),
    "dataset": ("DATA", "misc", "dataset", "Dataset"),
    "image": ("FIGURE", "misc", "graphic", "StillImage"),
    "audio": ("SOUND", "misc", "song", "Sound"),
    "video": ("VIDEO", "misc", "motion_picture", "MovingImage"),
    "other": ("GEN", "misc", "document", "Text"),
}
_OTHER = _TYPES["other"]
_GENRES = {"bachelor": "Bachelor's thesis", "master": "Master's thesis", "doctoral": "Doctoral thesis"}

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "_": r"\_",
        "%": r"\%",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)
# Addresses stand as they are, since LaTeX reads them verbatim, but their braces must balance.
_VERBATIM = str.maketrans({"\\": "%5C", "{": "%7B", "}": "%7D", " ": "%20"})

_OAI_DC = "http://www.openarchives.org/OAI/2.0/oai_dc/"
_DC = "http://purl.org/dc/elements/1.1/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True, slots=True)
class Export:
    """A format that a record is offered in: the address's ending, its name, its media type and its maker."""

    suffix: str
    name: str
    media_type: str
    render: Callable[[Reference], bytes]


def render_ris(reference: Reference) -> bytes:
    """RIS, for Zotero, Mendeley, EndNote. Each value is on one line, as the format has no way to continue one."""
    start, _, end = reference.pages.partition("-")
    issued = reference.issued
    day = f"{issued.year:04}/{issued.month or 0:02}/{issued.day or 0:02}/".replace("/00", "/") if issued else ""
    tags = [
        ("TY", _TYPES.get(reference.type, _OTHER)[0]),
        ("ID", reference.id),
        *(("AU", _sortable(name)) for name in reference.authors),
        *(("A3", _sortable(name)) for name in reference.contributors),
        ("TI", reference.title),
        ("PY", reference.year),
        ("DA", day),
        ("T2", reference.container),
        ("VL", reference.volume),
        ("IS", reference.issue),
        ("SP", start),
        ("EP", end),
        ("PB", reference.publisher),
        ("M3", _GENRES.get(reference.level or "", "")),
        ("SN", reference.isbn or reference.issn),
        ("DO", reference.doi),
        *(("AB", text.value) for text in reference.abstracts[:1]),
        *(("KW", subject) for subject in reference.subjects),
        ("LA", ", ".join(reference.languages)),
        ("DB", reference.member),
        ("UR", reference.url),
    ]
    lines = [f"{tag}  - {' '.join(value.split())}" for tag, value in tags if value.strip()]
    return ("\r\n".join([*lines, "ER  - "]) + "\r\n").encode()


def render_bibtex(reference: Reference) -> bytes:
    """BibTeX in UTF-8; titles keep their capitals, and what LaTeX would read as a command is escaped."""
    kind = _TYPES.get(reference.type, _OTHER)[1]
    if kind == "mastersthesis" and reference.level == "doctoral":
        kind = "phdthesis"
    container = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle"}.get(kind)
    publisher = {"mastersthesis": "school", "phdthesis": "school", "techreport": "institution"}
    fields = [
        ("title", f"{{{_latex(reference.title)}}}" if reference.title else ""),
        ("author", " and ".join(_bibtex_name(name) for name in reference.authors)),
        ("year", reference.year),
        ("month", str(reference.issued.month) if reference.issued and reference.issued.month else ""),
        (container or "howpublished", _latex(reference.container)),
        ("volume", reference.volume),
        ("number", reference.issue),
        ("pages", reference.pages.replace("-", "--")),
        (publisher.get(kind, "publisher"), _latex(reference.publisher)),
        ("type", _GENRES.get(reference.level or "", "")),
        ("isbn", reference.isbn),
        ("issn", reference.issn),
        ("doi", reference.doi.translate(_VERBATIM)),
        ("keywords", _latex(", ".join(reference.subjects))),
        ("language", ", ".join(reference.languages)),
        ("abstract", _latex(reference.abstracts[0].value) if reference.abstracts else ""),
        ("url", reference.url.translate(_VERBATIM)),
    ]
    lines = [f"  {name} = {{{value}}}" for name, value in fields if value]
    return (f"@{kind}{{{reference.key},\n" + ",\n".join(lines) + "\n}\n").encode()


def render_csl(reference: Reference) -> bytes:
    """CSL-JSON: a list of one item, as its schema has it."""
    issued = reference.issued
    parts = [part for part in (issued.year, issued.month, issued.day) if part] if issued else []
    item = {
        "id": reference.id,
        "type": _TYPES.get(reference.type, _OTHER)[2],
        "title": reference.title,
        "author": [_csl_name(name) for name in reference.authors],
        "issued": {"date-parts": [parts]} if parts else None,
        "container-title": reference.container,
        "volume": reference.volume,
        "issue": reference.issue,
        "page": reference.pages,
        "publisher": reference.publisher,
        "genre": _GENRES.get(reference.level or ""),
        "ISBN": reference.isbn,
        "ISSN": reference.issn,
        "DOI": reference.doi,
        "language": reference.languages[0] if reference.languages else None,
        "abstract": reference.abstracts[0].value if reference.abstracts else None,
        "keyword": ", ".join(reference.subjects),
        "source": reference.member,
        "URL": reference.url,
    }
    return json.dumps([{name: value for name, value in item.items() if value}], ensure_ascii=False).encode()


def render_dublin_core(reference: Reference) -> bytes:
    """Dublin Core as OAI-PMH has it, of our normalised values."""
    root = etree.Element(f"{{{_OAI_DC}}}dc", nsmap={"oai_dc": _OAI_DC, "dc": _DC, "xsi": _XSI})
    root.set(f"{{{_XSI}}}schemaLocation", f"{_OAI_DC} http://www.openarchives.org/OAI/2.0/oai_dc.xsd")
    for name, value, language in _dublin_core(reference):
        if value:
            element = etree.SubElement(root, f"{{{_DC}}}{name}")
            element.text = NOT_XML.sub("", value)
            if language:
                element.set(_XML_LANG, language)
    return etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)


EXPORTS = {
    export.suffix: export
    for export in (
        Export("ris", "RIS", "application/x-research-info-systems", render_ris),
        Export("bib", "BibTeX", "application/x-bibtex", render_bibtex),
        Export("json", "CSL-JSON", "application/vnd.citationstyles.csl+json", render_csl),
        Export("xml", "Dublin Core", "application/xml", render_dublin_core),
    )
}


def _dublin_core(reference: Reference) -> Iterator[tuple[str, str, str | None]]:
    yield from (("title", text.value, text.language) for text in reference.titles)
    yield from (("creator", name.display, None) for name in reference.authors)
    yield from (("subject", subject, None) for subject in reference.subjects)
    yield from (("description", text.value, text.language) for text in reference.abstracts)
    yield "publisher", reference.publisher, None
    yield from (("contributor", name.display, None) for name in reference.contributors)
    yield "date", reference.issued.isoformat() if reference.issued else "", None
    yield "type", _TYPES.get(reference.type, _OTHER)[3], None
    yield "type", _GENRES.get(reference.level or "") or reference.type, None
    yield "identifier", reference.url, None
    yield "identifier", reference.doi and f"https://doi.org/{reference.doi}", None
    yield "identifier", reference.isbn and f"urn:isbn:{reference.isbn}", None
    yield "source", reference.container, None
    yield "source", reference.issn and f"urn:issn:{reference.issn}", None
    yield from (("language", language, None) for language in reference.languages)


def _sortable(name: Name) -> str:
    return f"{name.family}, {name.given}" if name.given else name.family


def _latex(text: str) -> str:
    return " ".join(text.split()).translate(_LATEX)


def _bibtex_name(name: Name) -> str:
    # A body's name is braced, or BibTeX would take its last word for a family name and "and" for a border.
    return f"{_latex(name.family)}, {_latex(name.given)}" if name.given else f"{{{_latex(name.family)}}}"


def _csl_name(name: Name) -> dict[str, str]:
    return {"family": name.family, "given": name.given} if name.given else {"literal": name.family}
