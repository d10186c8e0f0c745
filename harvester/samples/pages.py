"""The web pages of the sample members: a list of them, and a landing page for each live record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, urlsplit

from harvester.samples.attachments import file_name
from harvester.samples.repository import SampleFile, SampleRecord, SampleRepository

_TAG = re.compile(r"</?(?:p|em|i|b|strong|br)\b[^>]*>")
_NOTICE = (
    '<p lang="id"><small>Rekaman ini karangan: anggota contoh, orang, dan karyanya tidak ada.</small></p>\n'
    "<p><small>This is an invented record of a sample member; its people and works do not exist.</small></p>"
)


def front_page(repositories: Iterable[SampleRepository], base: str) -> bytes:
    """The list of the members, with their endpoints."""
    members = "\n".join(
        f"<li><strong>{escape(member.name)}</strong>: {escape(member.description)}<br>"
        f'<a href="{escape(member.path)}?verb=Identify">{escape(base + member.path)}</a></li>'
        for member in repositories
    )
    return _page("Sample members", f"<ul>\n{members}\n</ul>\n{_NOTICE}")


def landing_page(repository: SampleRepository, record: SampleRecord, base: str) -> bytes:
    """What the repository's own site shows of a live record, its files linked in the manner of the platform."""
    abstract = "\n".join(f"<p>{_text(text)}</p>" for text in record.values("description"))
    facts = "\n".join(
        f"<dt>{label}</dt>" + "".join(f"<dd>{_text(text)}</dd>" for text in record.values(element))
        for element, label in (("creator", "Creators"), ("date", "Date"), ("type", "Type"), ("rights", "Rights"))
        if record.values(element)
    )
    title = " / ".join(record.values("title")) or record.identifier
    place = f'<p><a href="/">{escape(repository.name)}</a></p>'
    metas, links = _file_links(repository, record, base)
    return _page(title, f"{place}\n<dl>\n{facts}\n</dl>\n{abstract}\n{links}\n{_NOTICE}", metas)


def signposts(repository: SampleRepository, record: SampleRecord, base: str) -> tuple[tuple[str, str], ...]:
    """The Link header of a DSpace 7: to each file, or to the list of them. Spec: signposting.org/FAIR, 2."""
    if repository.platform != "dspace" or not record.files:
        return ()
    links = [f'<{base}{file.path}>; rel="item"; type="application/pdf"' for file in record.files]
    if len(links) > 1:
        links = [f'<{base}{linkset_path(record)}>; rel="linkset"; type="application/linkset+json"']
    return (("Link", ", ".join(links)),)


def linkset_path(record: SampleRecord) -> str:
    """Where the list of a record's files is."""
    return f"/arunika/signposting/linksets/{record.identifier.rpartition('/')[2]}/json"


def linkset(record: SampleRecord, base: str) -> bytes:
    """A record's files as a set of links. Spec: RFC 9264, 4.2."""
    items = [{"href": base + file.path, "type": "application/pdf"} for file in record.files]
    return json.dumps({"linkset": [{"anchor": f"{base}{record.page}", "item": items}]}).encode()


def galley_page(file: SampleFile, base: str) -> bytes:
    """The frame in which OJS shows a file."""
    viewer = f"/kembang-nusa/plugins/generic/pdfJsViewer/pdf.js/web/viewer.html?file={quote(base + file.path, safe='')}"
    link = f'<a class="download" href="{escape(base + file.path)}">Download</a>'
    return _page(file.title, f'{link}\n<iframe src="{escape(viewer)}"></iframe>')


def _file_links(repository: SampleRepository, record: SampleRecord, base: str) -> tuple[str, str]:
    """What stands about the files in the page's head and in its body."""
    links = [(escape(base + file.path), escape(file_name(file)), file.path) for file in record.files]
    if not links:
        return "", ""
    citation = f'<meta name="citation_pdf_url" content="{links[0][0]}">'
    if repository.platform == "eprints":
        metas = "".join(f'<meta name="eprints.document_url" content="{href}">' for href, _, _ in links)
        anchors = (
            f'<li><img class="ep_doc_icon" alt="" src="{_thumbnail(path)}">'
            f'<a class="ep_document_link" href="{href}">{name}</a></li>'
            for href, name, path in links
        )
        return metas, f"<ul>{''.join(anchors)}</ul>"
    if repository.platform == "ojs":
        views = (
            f'<a class="obj_galley_link pdf" href="{href.replace("/download/", "/view/")}">PDF</a>'
            for href, *_ in links
        )
        return citation, "\n".join(views)
    anchors = (f'<li><a href="{href}">{name}</a></li>' for href, name, _ in links)
    if repository.platform == "slims":
        return "", f'<h2>Lampiran Berkas</h2><ul class="attachList">{"".join(anchors)}</ul>'
    licence = '<li><a href="/arunika/bitstream/handle/123456789/1/license.txt?sequence=9">license.txt</a></li>'
    return citation, f"<ul>{''.join(anchors)}{licence}</ul>"


def _thumbnail(path: str) -> str:
    """EPrints names the small picture of a file as the file, in a folder of its own."""
    folder, name = urlsplit(path).path.rsplit("/", 1)
    return escape(f"{folder}.hassmallThumbnailVersion/{name}")


def _text(text: str) -> str:
    return escape(_TAG.sub(" ", text).strip())


def _page(title: str, body: str, metas: str = "") -> bytes:
    heading = escape(title)
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>{metas}</head>'
    return f"{head}\n<body><h1>{heading}</h1>\n{body}\n</body></html>\n".encode("utf-8", "replace")
