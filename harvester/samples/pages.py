"""The web pages of the sample members: a list of them, and a landing page for each live record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from harvester.samples.repository import SampleRecord, SampleRepository

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


def landing_page(repository: SampleRepository, record: SampleRecord) -> bytes:
    """What the repository's own site shows of a live record."""
    abstract = "\n".join(f"<p>{_text(text)}</p>" for text in record.values("description"))
    facts = "\n".join(
        f"<dt>{label}</dt>" + "".join(f"<dd>{_text(text)}</dd>" for text in record.values(element))
        for element, label in (("creator", "Creators"), ("date", "Date"), ("type", "Type"), ("rights", "Rights"))
        if record.values(element)
    )
    title = " / ".join(record.values("title")) or record.identifier
    place = f'<p><a href="/">{escape(repository.name)}</a></p>'
    return _page(title, f"{place}\n<dl>\n{facts}\n</dl>\n{abstract}\n{_NOTICE}")


def _text(text: str) -> str:
    return escape(_TAG.sub(" ", text).strip())


def _page(title: str, body: str) -> bytes:
    heading = escape(title)
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title></head>'
    return f"{head}\n<body><h1>{heading}</h1>\n{body}\n</body></html>\n".encode("utf-8", "replace")
