"""Full texts in the index: of which works, of which files, from when and until when; and the page a hit is on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from filling import Values, fill

from harvester.archive import Archive, open_archive
from harvester.catalogue import Catalogue
from harvester.catalogue.files import (
    File,
    FullText,
    arrange_files,
    find_fulltexts,
    follow_records,
    mark_damaged,
    put_file,
    put_fulltext,
    put_text,
)
from harvester.catalogue.members import get_member, import_members
from harvester.catalogue.records import CataloguedRecord, iter_records
from harvester.errors import ArchiveError
from harvester.fulltext.keep import text_key
from harvester.fulltext.takedown import lift_takedown, take_down
from harvester.settings import Settings
from indexer import passages
from indexer.build import BuildCounts, advance, rebuild
from indexer.document import Document
from indexer.engine.opening import open_engine
from indexer.parser import parse_query
from indexer.passages import Passage, find_passages
from indexer.query import SearchRequest
from indexer.tiers import TierCheck

pytestmark = pytest.mark.parametrize("database", ["sqlite"])
SUBAK: Values = {"title": ["Pembagian air di Bali"], "creator": ["Sari, Dewi"], "language": ["id"], "date": ["2019"]}
PDF = "application/pdf"


def zstd(text: str) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(text.encode())


class Shelf:
    """A catalogue, an archive and an index; texts are put where fetching and reading would put them."""

    def __init__(self, catalogue: Catalogue, home: Path) -> None:
        self.catalogue = catalogue
        self.settings = Settings(home=home)
        self.archive: Archive = open_archive((home / "archive").as_uri())
        self.engine = open_engine(self.settings)

    def put(self, identifier: str, values: Values | None = None, slug: str = "a") -> CataloguedRecord:
        fill(self.catalogue, slug, [(identifier, SUBAK if values is None else values)])
        with self.catalogue.write() as connection:
            follow_records(connection, self.catalogue.now())
        return next(each for each in iter_records(self.catalogue, [slug]) if each.identifier == identifier)

    def hold(
        self, record: CataloguedRecord, *contents: Sequence[str], media_type: str = PDF, read: bool = True
    ) -> None:
        """The record's files are held, each with these pages."""
        now = self.catalogue.now()
        for at, pages in enumerate(contents):
            key = name_of(pages)
            file = File(
                record.number, at, f"http://a.example/{key}", "text", "page", "kept", now,
                sha256=key, media_type=media_type, size=1, fetched_at=now,
            )  # fmt: skip
            with self.catalogue.write() as connection:
                put_file(connection, file)
        with self.catalogue.write() as connection:
            known = find_fulltexts(connection, [record.number])[record.number]
            held = FullText(record.number, "held", rung="page", checked_at=now, next_check=now + 9**9)
            assert put_fulltext(connection, known, held)
            arrange_files(connection, record.number, [f"http://a.example/{name_of(pages)}" for pages in contents])
        if read:
            for pages in contents:
                self.read(pages)

    def read(self, pages: Sequence[str]) -> None:
        text, starts = "".join(pages), [len("".join(pages[:at])) for at in range(len(pages))]
        self.archive.put(text_key(name_of(pages)), zstd(text))
        with self.catalogue.write() as connection:
            put_text(
                connection, name_of(pages), "text", self.catalogue.now(),
                language="id", page_starts=starts, characters=len(text),
            )  # fmt: skip

    def find(self, query: str, *, fulltext: bool | None = None) -> list[Document]:
        """What is found in an index that was brought up to date."""
        advance(self.catalogue, self.engine, self.archive)
        request = SearchRequest(query=parse_query(query), fulltext=fulltext)
        return [hit.document for hit in self.engine.search(request).hits]

    def differences(self) -> list[str]:
        check = TierCheck(self.catalogue, self.archive, self.engine)
        return [each.kind for each in check.iter_differences() if not each.kind.startswith("page")]

    def passages(self, query: str) -> list[Passage | None]:
        documents = self.find(query)
        found = find_passages(self.catalogue, self.archive, parse_query(query), documents)
        return [found.get(document.id) for document in documents]

    def passage(self, query: str) -> Passage:
        (only,) = self.passages(query)
        assert only is not None
        return only


def name_of(pages: Sequence[str]) -> str:
    return sha256("".join(pages).encode()).hexdigest()


@pytest.fixture
def shelf(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(passages, "_SECONDS", 60.0)  # however busy the machine is
    made = Shelf(catalogue, tmp_path)
    yield made
    made.engine.close()


PAGES = ("Halaman judul\n", "Para pekaseh bermusyawarah\n", "di pura setiap musim tanam\n")


def test_a_text_that_arrives_later_is_found_and_its_work_opens_before(shelf: Shelf) -> None:
    record = shelf.put("1")
    assert shelf.find("air") == shelf.find("air", fulltext=False) != []
    shelf.hold(record, PAGES, read=False)
    (work,) = shelf.find("air", fulltext=True)  # the file is here, and opens
    assert [holder.fulltext for holder in work.holders] == [True]
    assert shelf.find("pekaseh") == []
    shelf.read(PAGES)
    assert shelf.find("pekaseh") == [work]
    assert shelf.differences() == []
    assert advance(shelf.catalogue, shelf.engine, shelf.archive) == BuildCounts()


def test_the_files_of_a_thesis_are_one_text_in_their_order(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), ("Bab satu tentang subak",), ("dan Bab dua tentang pura",))
    assert len(shelf.find('"subak dan bab dua"')) == 1
    found = shelf.passage("pura")
    assert (found.file, found.files, found.page, found.language) == (2, 2, 1, "id")
    assert str(found.text) == "dan Bab dua tentang pura"


def test_what_is_taken_down_is_not_found_from_the_next_index_on_until_it_is_lifted(shelf: Shelf) -> None:
    record = shelf.put("1")
    shelf.hold(record, PAGES)
    assert len(shelf.find("pekaseh")) == 1
    for number, file in ((None, name_of(PAGES)), (record.number, None)):
        with shelf.catalogue.write() as connection:
            assert take_down(connection, number, file, "asked for", shelf.catalogue.now())
        assert shelf.find("pekaseh") == shelf.find("", fulltext=True) == []
        assert len(shelf.find("air")) == (file is not None)
        assert shelf.differences() == []
        with shelf.catalogue.write() as connection:
            assert lift_takedown(connection, number, file, "settled", shelf.catalogue.now())
        if file:
            assert len(shelf.find("pekaseh")) == 1
    shelf.hold(record, PAGES)
    assert len(shelf.find("pekaseh")) == 1


@pytest.mark.parametrize(
    ("rights", "shown"),
    [
        ("info:eu-repo/semantics/restrictedAccess", False), ("info:eu-repo/semantics/embargoedAccess", False),
        ("info:eu-repo/date/embargoEnd/2090-01-01", False), ("info:eu-repo/semantics/openAccess", True),
    ],
)  # fmt: skip
def test_rights_that_change_count_before_anybody_has_looked_at_the_files_again(
    shelf: Shelf, rights: str, shown: bool
) -> None:
    shelf.hold(shelf.put("1"), PAGES)
    assert len(shelf.find("pekaseh")) == 1
    shelf.put("1", {**SUBAK, "rights": [rights]})
    assert len(shelf.find("pekaseh")) == len(shelf.find("air", fulltext=True)) == shown
    assert len(shelf.find("air")) == 1
    assert shelf.differences() == []


def test_a_member_that_wants_no_full_text_any_more_has_none_in_the_index(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), PAGES)
    assert len(shelf.find("pekaseh")) == 1
    for wanted in (False, True):
        with shelf.catalogue.write() as connection:
            member = get_member(connection, "a")
            changed = type(member)("a", "A", member.base_url, fulltext=wanted)
            import_members(connection, [changed], shelf.catalogue.now())
        assert len(shelf.find("pekaseh")) == wanted


def test_a_file_that_is_damaged_or_gone_from_its_record_is_found_no_more(shelf: Shelf) -> None:
    record = shelf.put("1")
    other = ("Lampiran peta irigasi",)
    shelf.hold(record, PAGES, other)
    assert len(shelf.find("pekaseh irigasi")) == 1
    with shelf.catalogue.write() as connection:
        arrange_files(connection, record.number, [f"http://a.example/{name_of(PAGES)}"])
    assert shelf.find("irigasi") == []
    with shelf.catalogue.write() as connection:
        mark_damaged(connection, name_of(PAGES), shelf.catalogue.now())
    assert shelf.find("pekaseh") == []
    assert len(shelf.find("air")) == 1


def test_of_two_holders_the_fuller_text_counts_and_each_tells_whether_it_opens(shelf: Shelf) -> None:
    title = {"title": ["Sistem subak dan pembagian air irigasi di pulau Bali"], "creator": ["Sari, Dewi"]}
    one, two = shelf.put("1", title, "a"), shelf.put("2", title, "b")
    shelf.hold(one, ("Hanya ringkasan pendek",))
    (work,) = shelf.find("ringkasan")
    assert [holder.fulltext for holder in work.holders] == [True, False]
    shelf.hold(two, PAGES)
    (work,) = shelf.find("pekaseh")
    assert [holder.fulltext for holder in work.holders] == [True, True]
    assert shelf.find("ringkasan") == []
    with shelf.catalogue.write() as connection:
        take_down(connection, two.number, None, "asked for", shelf.catalogue.now())
    assert len(shelf.find("ringkasan")) == 1


def test_a_rebuilt_index_has_the_texts_and_none_is_built_without_the_archive(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), PAGES)
    shelf.put("2", {"title": ["Tanpa berkas"]})
    with pytest.raises(ArchiveError, match="no archive"):
        advance(shelf.catalogue, shelf.engine)
    counts = rebuild(shelf.catalogue, shelf.engine, shelf.archive)
    assert (counts.documents, counts.texts, counts.cut) == (2, 1, 0)
    assert len(shelf.find("pekaseh")) == 1
    assert shelf.differences() == []


def test_a_text_that_is_cut_is_counted_and_one_that_is_damaged_keeps_nothing_from_the_index(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("indexer.texts", "indexer.engine.schema"):
        monkeypatch.setattr(f"{name}.MOST_CHARACTERS", 40)
    shelf.hold(shelf.put("1"), PAGES)
    shelf.hold(shelf.put("2", {"title": ["Kedua"]}), ("Tulisan yang rusak",))
    path = shelf.settings.home / "archive" / text_key(name_of(("Tulisan yang rusak",)))
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    counts = advance(shelf.catalogue, shelf.engine, shelf.archive)
    assert (counts.documents, counts.texts, counts.cut) == (2, 2, 1)
    assert len(shelf.find("pekaseh")) == 1
    assert shelf.find("tanam") == shelf.find("tulisan") == []
    assert len(shelf.find("kedua", fulltext=True)) == 1
    assert shelf.passages("kedua text:tulisan OR kedua") == [None]


# The page a hit is on


def test_the_best_page_has_the_phrase_and_the_piece_marks_it(shelf: Shelf) -> None:
    chaff = "musim tanam dan musim panen, air dan tanam, " * 12
    shelf.hold(shelf.put("1"), (f"{chaff}\n", f"{chaff} setiap\nmusim tanam\n{chaff}", chaff))
    found = shelf.passage('"setiap musim tanam"')
    assert (found.page, found.file, found.files) == (2, 1, 1)
    assert "setiap musim tanam" in str(found.text)
    assert len(str(found.text)) < 200
    assert "setiap" in [text for text, marked in found.text.parts if marked]


def test_a_page_with_more_of_the_words_is_better_and_words_match_by_their_stems(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), ("Penelitian, penelitian, penelitian.", "", "Ia meneliti sungai.", "Sungai lagi."))
    found = shelf.passage("penelitian sungai")
    assert (found.page, str(found.text)) == (3, "Ia meneliti sungai.")
    assert [text for text, marked in found.text.parts if marked] == ["meneliti", "sungai"]


def test_a_page_that_writes_the_word_with_an_accent_is_found_as_well(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), ("Metode bayes. ", "Metode naïve Bayes dan Qur'an. "))
    assert (shelf.passage("naive").page, shelf.passage("quran").page) == (2, 2)


def test_only_works_whose_description_does_not_explain_the_hit_have_a_passage(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), ("Pembagian air di Bali oleh Dewi Sari, dan pekaseh",))
    for met in ("air bali", '"pembagian air"', "dewi air", "air OR pekaseh", "pembag*", "-gunung air", "tahun:2019"):
        assert shelf.passages(met) == [None], met
    for unmet in ("air pekaseh", '"bali oleh dewi"', "text:air", "pekas*", "gunung OR pekaseh"):
        assert shelf.passage(unmet).page == 1, unmet


def test_kinds_of_files_without_pages_have_no_page_number(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), ("Bagian satu. ", "Bagian pekaseh."), media_type="application/epub+zip")
    found = shelf.passage("pekaseh")
    assert (found.page, str(found.text)) == (None, "Bagian pekaseh.")


def test_looking_for_pages_has_bounds_of_bytes_and_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.hold(shelf.put("1"), ("Awal tulisan. " * 20, "Di sinilah pekaseh."))
    monkeypatch.setattr(passages, "_MOST_BYTES", 100)
    assert shelf.passages("pekaseh") == [None]
    assert shelf.passage("text:awal").page == 1
    monkeypatch.setattr(passages, "_SECONDS", -1.0)
    assert shelf.passages("text:awal") == [None]


def test_a_text_taken_down_since_the_index_was_written_shows_nothing(shelf: Shelf) -> None:
    shelf.hold(shelf.put("1"), PAGES)
    documents = shelf.find("pekaseh")
    with shelf.catalogue.write() as connection:
        take_down(connection, None, name_of(PAGES), "asked for", shelf.catalogue.now())
    assert find_passages(shelf.catalogue, shelf.archive, parse_query("pekaseh"), documents) == {}
