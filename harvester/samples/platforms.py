"""The four sample members, one for each of the platforms that most members run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from harvester.datestamps import DAY
from harvester.samples.attachments import attach
from harvester.samples.entries import Entry, get_entries
from harvester.samples.manners import (
    JOURNALS,
    SECTIONS,
    write_dspace,
    write_eprints,
    write_ojs,
    write_slims,
)
from harvester.samples.repository import SampleRecord, SampleRepository

_TIRTA_SAMUDRA = SampleRepository(
    slug="tirta-samudra",
    name="Repositori Universitas Tirta Samudra",
    path="/tirta-samudra/cgi/oai2",
    admin_email="eprints@tirtasamudra.example",
    page_size=50,
    platform="eprints",
    description="Theses and papers of an invented maritime university, as EPrints sends them.",
)
_ARUNIKA = SampleRepository(
    slug="arunika",
    name="Repositori Institut Sains dan Teknologi Arunika",
    path="/arunika/oai/request",
    sets=(
        ("com_123456789_1", "Karya Mahasiswa"),
        ("com_123456789_2", "Karya Dosen"),
        ("com_123456789_3", "Data dan Koleksi Khusus"),
        ("col_123456789_11", "Skripsi"),
        ("col_123456789_12", "Tesis dan Disertasi"),
        ("col_123456789_21", "Artikel Jurnal"),
        ("col_123456789_22", "Makalah Pertemuan Ilmiah"),
        ("col_123456789_31", "Data Penelitian"),
        ("col_123456789_32", "Buku, Laporan, Rekaman"),
    ),
    admin_email="repository@arunika.example",
    platform="dspace",
    description="Theses, papers and data of an invented institute of technology, as DSpace sends them.",
)
_KEMBANG_NUSA = SampleRepository(
    slug="kembang-nusa",
    name="Jurnal Universitas Kembang Nusa",
    path="/kembang-nusa/index.php/index/oai",
    sets=(
        ("driver", "Open Access DRIVERset"),
        *JOURNALS.items(),
        *((f"{journal}:{code}", names[1]) for journal in JOURNALS for code, names in SECTIONS.items()),
    ),
    admin_email="jurnal@kembangnusa.example",
    platform="ojs",
    description="Four invented journals, as OJS sends them.",
)
_WANASARI = SampleRepository(
    slug="wanasari",
    name="Perpustakaan STSB Wanasari",
    path="/wanasari/oai2.php",
    admin_email="pustaka@wanasari.example",
    granularity=DAY,
    deleted_record="no",
    page_size=40,
    platform="slims",
    description="The library of an invented school of arts, as SLiMS sends it.",
)


def sample_repositories(base: str) -> tuple[SampleRepository, ...]:
    """The four sample members, their links leading to the server at `base` (no slash at its end)."""
    theses = _records(_TIRTA_SAMUDRA, write_eprints, base)
    return (
        replace(_TIRTA_SAMUDRA, records=theses, sets=_hex_sets(theses)),
        replace(_ARUNIKA, records=_records(_ARUNIKA, write_dspace, base)),
        replace(_KEMBANG_NUSA, records=_records(_KEMBANG_NUSA, write_ojs, base)),
        replace(_WANASARI, records=_records(_WANASARI, write_slims, base)),
    )


def _records(
    repository: SampleRepository, write: Callable[[Entry, str], SampleRecord], base: str
) -> tuple[SampleRecord, ...]:
    site = f"{base}/{repository.slug}"
    records = (attach(write(entry, site), entry, repository.platform) for entry in get_entries(repository.slug))
    return tuple(record for record in records if repository.deleted_record != "no" or not record.deleted)


def _hex_sets(records: Iterable[SampleRecord]) -> tuple[tuple[str, str], ...]:
    """The sets of EPrints: a field and a value, written as one, in hexadecimal digits."""
    values = sorted({bytes.fromhex(spec).decode() for record in records for spec in record.sets})
    return tuple((value.encode().hex().upper(), value.replace("=", " = ").capitalize()) for value in values)
