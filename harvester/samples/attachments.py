"""Which files the sample members' records have, at which addresses, and what is odd about some of them."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from harvester.samples.entries import Entry
from harvester.samples.repository import Platform, SampleFile, SampleRecord, Shape

_CHAPTERS = ("COVER", "BAB 1", "BAB 2", "BAB 3", "BAB 4", "DAFTAR PUSTAKA", "LAMPIRAN")
_ODD: tuple[tuple[int, int, Shape], ...] = ((31, 7, "locked"), (29, 5, "viewer"), (13, 4, "scan"))
_FILE_NAME = re.compile(r"\W+")


def attach(record: SampleRecord, entry: Entry, platform: Platform) -> SampleRecord:
    """The record with its files, at the addresses that it names; DSpace names none, its pages do."""
    if not entry.files or record.deleted:
        return record
    paths = {"dspace": _dspace_paths, "ojs": _ojs_paths}.get(platform, _named_paths)(record, entry)
    shape = _shape(entry)
    chapters = entry.files > 2
    return replace(
        record,
        files=tuple(
            SampleFile(
                path=path,
                title=entry.title,
                language=entry.language,
                topics=entry.subjects,
                label=_CHAPTERS[position] if chapters else "",
                # of a thesis in several files the cover alone was scanned or locked
                shape="text" if chapters and position and shape in {"scan", "locked"} else shape,
                updated=entry.updated,
            )
            for position, path in enumerate(paths)
        ),
    )


def _shape(entry: Entry) -> Shape:
    if entry.access in {"restricted", "embargo"}:
        return "login"
    for divisor, rest, shape in _ODD:
        if entry.n % divisor == rest:
            return shape
    return "columns" if entry.kind in {"article", "conference"} else "text"


def _named_paths(record: SampleRecord, entry: Entry) -> list[str]:
    """EPrints and SLiMS put the address of each file into the record."""
    links = [*record.values("identifier"), *record.values("relation")]
    return [urlsplit(link).path for link in links if link.endswith(".pdf")][: entry.files]


def _ojs_paths(record: SampleRecord, entry: Entry) -> list[str]:
    """OJS shows a galley in a frame at `view`, and gives the file itself at `download`."""
    galleys = [urlsplit(link).path for link in record.values("relation")]
    return [path.replace("/article/view/", "/article/download/") for path in galleys][: entry.files]


def _dspace_paths(record: SampleRecord, entry: Entry) -> list[str]:
    """Half of the items lie at addresses of DSpace 6, half of DSpace 7."""
    paths = []
    for position in range(entry.files):
        name = _CHAPTERS[position] if entry.files > 2 else " ".join(entry.title.split()[:4])
        file_name = f"{_FILE_NAME.sub('_', name).strip('_')}{'' if entry.files > 2 or not position else '_2'}.pdf"
        if entry.n % 2:
            paths.append(f"/arunika/bitstreams/{uuid5(NAMESPACE_URL, f'{record.page}/{position}')}/download")
        else:
            paths.append(
                f"/arunika/bitstream/handle/123456789/{entry.n}/{file_name}?sequence={position + 1}&isAllowed=y"
            )
    return paths


def file_name(file: SampleFile) -> str:
    """The name under which the file was put into its repository."""
    name = unquote(urlsplit(file.path).path).rpartition("/")[2]
    return name if name.endswith(".pdf") else f"{_FILE_NAME.sub('_', file.label or file.title[:40]).strip('_')}.pdf"
