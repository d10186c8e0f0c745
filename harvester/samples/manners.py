"""One work, as four platforms put it into Dublin Core: which elements, in which order, in which words."""

from __future__ import annotations

import re
from urllib.parse import quote

from harvester.samples.entries import Entry
from harvester.samples.repository import DcValue, SampleRecord

_CREATIVE_COMMONS = {
    "cc-by": "licenses/by/4.0/",
    "cc-by-sa": "licenses/by-sa/4.0/",
    "cc-by-nc": "licenses/by-nc/4.0/",
    "cc0": "publicdomain/zero/1.0/",
}
_ACCESS = {"open": "openAccess", "restricted": "restrictedAccess", "embargo": "embargoedAccess"}

_EPRINTS_TYPES = {
    "article": ("Article", "PeerReviewed"),
    "book": ("Book", "NonPeerReviewed"),
    "chapter": ("Book Section", "NonPeerReviewed"),
    "conference": ("Conference or Workshop Item", "PeerReviewed"),
    "report": ("Monograph", "NonPeerReviewed"),
    "dataset": ("Dataset", "NonPeerReviewed"),
    "image": ("Image", "NonPeerReviewed"),
    "audio": ("Audio", "NonPeerReviewed"),
    "video": ("Video", "NonPeerReviewed"),
}
_THESIS = ("Thesis", "NonPeerReviewed")
_THESIS_FILES = ("COVER", "BAB_1", "BAB_2", "BAB_3", "BAB_4", "DAFTAR_PUSTAKA", "LAMPIRAN")

_DSPACE_TYPES = {
    "skripsi": "Skripsi",
    "tesis": "Thesis",
    "disertasi": "Dissertation",
    "chapter": "Book chapter",
    "conference": "Conference Paper",
    "report": "Technical Report",
}
_DSPACE_COLLECTIONS = {"skripsi": 11, "tesis": 12, "disertasi": 12, "article": 21, "conference": 22, "dataset": 31}
# depositors choose from a list, type freely, or leave the form's default
_DSPACE_LANGUAGES = {"id": ("id", "id", "Bahasa Indonesia", "in"), "en": ("en_US", "en_US", "en", "English")}

JOURNALS = {
    "jak": "Jurnal Agroekologi Kembang Nusa",
    "jk3": "Jurnal Kesehatan Komunitas Kepulauan",
    "lpk": "Lentera Pendidikan Kepulauan",
    "nusif": "Nusa Informatika",
}
# a section's code, its names in Indonesian and in English
SECTIONS = {
    "ART": ("Artikel", "Articles"),
    "EDI": ("Editorial", "Editorial"),
    "REV": ("Tinjauan Pustaka", "Review Articles"),
    "DAT": ("Data Tambahan", "Supplementary Data"),
}
_OJS_LOCALES = {"id": "id-ID", "en": "en-US"}
_OJS_LANGUAGES = {"id": "ind", "en": "eng"}

_SLIMS_TYPES = {
    "skripsi": "Skripsi",
    "tesis": "Tesis",
    "disertasi": "Disertasi",
    "article": "Artikel",
    "book": "Buku",
    "report": "Laporan Penelitian",
    "image": "Gambar",
    "audio": "Rekaman Suara",
    "video": "Rekaman Video",
}
_SLIMS_LANGUAGES = {"id": "Indonesia", "en": "English"}


def write_eprints(entry: Entry, site: str) -> SampleRecord:
    """The record as EPrints sends it: files and citation in identifier, the landing page in relation."""
    types = _EPRINTS_TYPES.get(entry.kind, _THESIS)
    page = f"{site}/{entry.n}/"
    nim = f", NIM. {entry.nim}" if entry.nim else ""
    licensed = entry.access in _CREATIVE_COMMONS
    dc = [
        *_each("relation", page, entry.doi and f"https://doi.org/{entry.doi}"),
        *_each("title", entry.title),
        *_each("creator", entry.creators[0] + nim, *entry.creators[1:]),
        *_each("subject", *entry.subjects),
        *_each("description", entry.abstract),
        *_each("publisher", entry.publisher),
        *_each("contributor", *entry.advisers),
        *_each("date", entry.issued, _embargo_end(entry)),
        *_each("type", *types),
        *_each("format", *["application/pdf"] * entry.files),
        *_each("language", *[entry.language] * max(entry.files, 1)),
        *_each("rights", entry.access.replace("-", "_") if licensed else _access_right(entry)),
        *_each("identifier", *(f"{page}{i}/{name}" for i, name in enumerate(_eprints_files(entry), 1))),
        *_each("identifier", _eprints_citation(entry, types[0]), entry.isbn),
    ]
    codes = ["status=pub", *(f"subjects={subject}" for subject in entry.subjects), f"types={types[0].lower()}"]
    # EPrints leaves the sets out of the headers of what was deleted
    sets = () if entry.deleted else tuple(code.encode().hex().upper() for code in codes)
    identifier = f"oai:eprints.tirtasamudra.example:{entry.n}"
    return SampleRecord(identifier, entry.updated, sets, tuple(dc), entry.deleted, f"/tirta-samudra/{entry.n}/")


def _eprints_files(entry: Entry) -> list[str]:
    if entry.files > 2:
        return [f"{name}.pdf" for name in _THESIS_FILES[: entry.files]]
    words = quote("_".join(re.findall(r"\w+", entry.title)[:5]))
    return [f"{words}.pdf", f"{words}_2.pdf"][: entry.files]


def _eprints_citation(entry: Entry, kind: str) -> str:
    *others, last = entry.creators
    authors = f"{', '.join(others)} and {last}" if others else last
    place = f"{entry.kind.capitalize() if kind == 'Thesis' else kind}, Universitas Tirta Samudra"
    issn = f" ISSN {entry.issn}" if entry.issn else ""
    return f"{authors} ({entry.year}) {entry.title}. {entry.source or place}.{issn}"


def write_dspace(entry: Entry, site: str) -> SampleRecord:
    """The record as DSpace sends it: three kinds of date, every kind of identifier, no link to a file."""
    handle = f"123456789/{entry.n}"
    doi = entry.doi and f"{'https://doi.org/' if entry.n % 2 else 'doi:'}{entry.doi}"
    licence = _CREATIVE_COMMONS.get(entry.access)
    dc = [
        *_each("title", entry.title, entry.title_other),
        *_each("creator", *entry.creators),
        *_each("contributor", *entry.advisers),
        *_each("subject", *entry.subjects),
        *_each("description", entry.abstract, f"{entry.pages} hlm." if entry.kind == "book" else ""),
        *_each("date", entry.updated, entry.updated, entry.issued, _embargo_end(entry)),
        *_each("type", _DSPACE_TYPES.get(entry.kind, entry.kind.capitalize())),
        *_each("identifier", entry.source, entry.isbn, entry.issn, doi),
        # the prefix that an installation has until it asks for its own
        *_each("identifier", "" if entry.n % 3 else f"http://hdl.handle.net/{handle}", f"{site}/handle/{handle}"),
        *_each("language", _DSPACE_LANGUAGES[entry.language][entry.n % 4]),
        *_each("relation", entry.source.partition(",")[0]),
        *_each("rights", f"http://creativecommons.org/{licence}" if licence else _access_right(entry)),
        *_each("rights", "Hak cipta pada penulis" if entry.access == "copyright" else ""),
        *_each("format", "application/pdf" if entry.files else ""),
        *_each("publisher", entry.publisher),
    ]
    collection = _DSPACE_COLLECTIONS.get(entry.kind, 32)
    sets = (f"com_123456789_{collection // 10}", f"col_123456789_{collection}")
    identifier = f"oai:repository.arunika.example:{handle}"
    return SampleRecord(identifier, entry.updated, sets, tuple(dc), entry.deleted, f"/arunika/handle/{handle}")


def write_ojs(entry: Entry, site: str) -> SampleRecord:
    """The record as OJS sends it: in both languages where there are two, galleys in relation."""
    journal = next(code for code, name in JOURNALS.items() if name == entry.journal)
    section = next(code for code, names in SECTIONS.items() if entry.section in names)
    own, other = _OJS_LOCALES[entry.language], _OJS_LOCALES["en" if entry.language == "id" else "id"]
    path = f"index.php/{journal}/article/view/{entry.n}"
    # a third of the abstracts were pasted from a word processor, with its tags
    abstract, abstract_other = (
        f"<p>{text}</p>" if text and entry.n % 3 == 0 else text for text in (entry.abstract, entry.abstract_other)
    )
    licence = _CREATIVE_COMMONS.get(entry.access)
    semantics = "info:eu-repo/semantics/"
    dc = [
        *_each("title", entry.title, language=own),
        *_each("title", entry.title_other, language=other),
        *_each("creator", *entry.creators, language=own),
        *_each("subject", *entry.subjects, language=own),
        *_each("description", abstract, language=own),
        *_each("description", abstract_other, language=other),
        *_each("publisher", entry.publisher, language=own),
        *_each("date", entry.issued, _embargo_end(entry)),
        *_each("type", semantics + ("dataset" if entry.kind == "dataset" else "article")),
        *_each("type", f"{semantics}publishedVersion"),
        *_each("type", SECTIONS[section][0], language="id-ID"),
        *_each("type", SECTIONS[section][1], language="en-US"),
        *_each("format", *["application/pdf"] * entry.files),
        *_each("identifier", f"{site}/{path}", entry.doi),
        *_each("source", entry.source, language=own),
        *_each("source", entry.issn),
        *_each("language", _OJS_LANGUAGES[entry.language]),
        *_each("relation", *(f"{site}/{path}/{entry.n + 1000 * i}" for i in range(1, entry.files + 1))),
        *_each("rights", f"Hak Cipta (c) {entry.year} {', '.join(entry.creators)}", language="id-ID"),
        *_each("rights", f"https://creativecommons.org/{licence}" if licence else ""),
    ]
    sets = (f"{journal}:{section}", *(["driver"] if entry.files and not _embargo_end(entry) else []))
    identifier = f"oai:ojs.jurnal.kembangnusa.example:article/{entry.n}"
    return SampleRecord(identifier, entry.updated, sets, tuple(dc), entry.deleted, f"/kembang-nusa/{path}")


def write_slims(entry: Entry, site: str) -> SampleRecord:
    """The record as SLiMS sends it: a catalogue card, with call number, cover and attachments."""
    path = f"index.php?p=show_detail&id={entry.n}"
    nim = f" ({entry.nim})" if entry.nim else ""
    # "Text" is the default of the cataloguing form, and stays where nobody changes it
    kind = "Text" if entry.kind == "book" and entry.n % 2 else _SLIMS_TYPES.get(entry.kind, "Text")
    dc = [
        *_each("title", entry.title),
        *_each("creator", entry.creators[0] + nim, *entry.creators[1:]),
        *_each("contributor", *entry.advisers),
        *_each("publisher", " : ".join(entry.publisher.rsplit(", ", 1))),
        *_each("date", entry.year),
        *_each("language", _SLIMS_LANGUAGES[entry.language]),
        *_each("type", kind),
        *_each("identifier", f"{site}/{path}", entry.isbn.replace("-", ""), entry.call_number),
        *_each("description", entry.abstract),
        *_each("subject", *entry.subjects),
        *_each("relation", f"{site}/images/docs/sampul_{entry.n}.jpg" if entry.kind == "book" else ""),
        *_each("relation", *(f"{site}/repository/{entry.n}_{i}.pdf" for i in range(1, entry.files + 1))),
    ]
    return SampleRecord(f"oai:slims/{entry.n}", entry.updated[:10], (), tuple(dc), entry.deleted, f"/wanasari/{path}")


def _each(element: str, *texts: str, language: str | None = None) -> list[DcValue]:
    return [(element, text, language) for text in texts if text]


def _access_right(entry: Entry) -> str:
    right = _ACCESS.get(entry.access)
    return f"info:eu-repo/semantics/{right}" if right else ""


def _embargo_end(entry: Entry) -> str:
    until = entry.rights.partition(":")[2]
    return until and f"info:eu-repo/date/embargoEnd/{until}"
