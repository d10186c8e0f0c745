"""Types of work come out of many vocabularies as one."""

from __future__ import annotations

import pytest

from indexer.normalise.types import TYPES, TypeOfWork, parse_types


@pytest.mark.parametrize(
    ("raw", "kind", "level"),
    [
        *((raw, "thesis", "bachelor") for raw in ("Skripsi", "Tugas Akhir", "Thesis (Skripsi)", "Skripsi (S1)")),
        *((raw, "thesis", "bachelor") for raw in ("Thesis (B.A.)", "info:eu-repo/semantics/bachelorThesis")),
        *((raw, "thesis", "master") for raw in ("Tesis", "TESIS", "Yüksek lisans", "Thesis (Masters)", "Thesis (S2)")),
        *((raw, "thesis", "doctoral") for raw in ("Disertasi", "Doktora", "PhD", "Tesis doctoral", "doctoral")),
        ("info:eu-repo/semantics/doctoralThesis", "thesis", "doctoral"),
        ("http://purl.org/coar/resource_type/c_db06", "thesis", "doctoral"),
        *((raw, "thesis", None) for raw in ("Thesis", "Theses", "dissertation", "Thesis/Dissertation")),
        ("Thèse ou Mémoire numérique / Electronic Thesis or Dissertation", "thesis", None),
        *((raw, "article", None) for raw in ("Article", "Journal articles", "journalArticle", "Jurnal elektronik")),
        *((raw, "article", None) for raw in ("Artikel", "Karya Ilmiah", "Preprint", "bookreview", "Revue / Journal")),
        ("\ninfo:eu-repo/semantics/article\n", "article", None),
        ("http://purl.org/eprint/type/JournalArticle", "article", None),
        ("http://purl.org/coar/resource_type/c_6501", "article", None),
        *((raw, "conference", None) for raw in ("Prosiding", "conference", "Conference papers", "Presentation")),
        ("info:eu-repo/semantics/conferenceObject", "conference", None),
        *((raw, "report", None) for raw in ("Laporan Penelitian", "Technical Report", "Working Paper")),
        *((raw, "book", None) for raw in ("Buku", "Book", "Books", "Monograph")),
        *((raw, "chapter", None) for raw in ("bookChapter", "Book sections", "info:eu-repo/semantics/bookPart")),
        *((raw, "dataset", None) for raw in ("Dataset", "doc-type:ResearchData", "Survey data")),
        *((raw, "image", None) for raw in ("StillImage", "Image", "Photograph", "Peta")),
        *((raw, "audio", None) for raw in ("Sound", "Audio", "Rekaman Suara")),
        *((raw, "video", None) for raw in ("Video", "MovingImage", "Video recording")),
        *((raw, "other", None) for raw in ("Text", "Other", "Notated Music", "image/jpeg", "[Autre / Other]")),
    ],
)  # fmt: skip
def test_a_type_is_read(raw: str, kind: str, level: str | None) -> None:
    assert parse_types([raw]) == TypeOfWork(type=kind, level=level, raw=(raw,))


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        (["Thesis", "NonPeerReviewed"], ("thesis", None, False, None)),
        (["Article", "PeerReviewed"], ("article", None, True, None)),
        (["info:eu-repo/semantics/article", "info:eu-repo/semantics/publishedVersion", "Peer-reviewed Article"],
         ("article", None, True, "published")),
        (["info:eu-repo/semantics/article", "Conference Report"], ("article", None, None, None)),
        (["Image", "Skripsi", "Text"], ("thesis", "bachelor", None, None)),
        (["Thesis", "Doktora"], ("thesis", "doctoral", None, None)),
        (["Artículo revisado por pares"], ("article", None, True, None)),
        (["Version révisée par les pairs / Postprint"], ("other", None, True, "accepted")),
        (["accepted version", "info:eu-repo/semantics/other"], ("other", None, None, "accepted")),
        (["info:eu-repo/semantics/draft"], ("other", None, None, "draft")),
        ([], ("other", None, None, None)),
    ],
)  # fmt: skip
def test_values_of_one_record_complete_each_other(
    raws: list[str], expected: tuple[str, str | None, bool | None, str | None]
) -> None:
    found = parse_types(raws)
    assert (found.type, found.level, found.peer_reviewed, found.version) == expected
    assert found.unread == ()


def test_what_is_outside_the_vocabulary_is_handed_back() -> None:
    found = parse_types(["Inaugural Address", "Text"])
    assert (found.type, found.unread) == ("other", ("Inaugural Address",))


def test_nearly_all_real_types_are_known(real_values: dict[str, list[str]]) -> None:
    unread = [raw for raw in real_values["type"] if parse_types([raw]).unread]
    assert len(unread) <= 5, unread
    assert {parse_types([raw]).type for raw in real_values["type"]} <= set(TYPES)
