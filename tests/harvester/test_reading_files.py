"""Files are read within limits, and each ends in the state that it deserves."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from harvester.reading import Limits, Reader, Reading, read_file
from harvester.reading.language import guess_language
from harvester.reading.printed import drop_running_lines, join_words
from harvester.samples.pdf_writer import Line, write_pdf, write_scan

WORDS = (
    "Harga ikan layang di pasar ini tidak turun pada musim hujan, dan nelayan yang menjual dengan lelang tetap untung."
)
WORD_XML = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
# (state, language, problems): the files that end so, with their pages
DESERVED: dict[tuple[str, str | None, tuple[str, ...]], dict[str, int]] = {
    ("damaged", None, ()): {
        "www.openarchives.org__OAI__1.0__openarchivesprotocol.": 0,
    },
    ("empty", None, ()): {
        "pdf.js__PDFBOX-3148-2-fuzzed": 1,
        "pdf.js__empty_protected": 1,
        "pdf.js__issue15150": 1,
        "pdf.js__poppler-85140-0": 1,
        "verapdf__veraPDF_test_suite_6-1-13-t09-pass-a": 1,
        "verapdf__veraPDF_test_suite_6-2-2-t03-fail-a": 1,
        "verapdf__veraPDF_test_suite_6-2-3-3-t01-fail-n": 1,
        "verapdf__veraPDF_test_suite_6-3-3-t01-fail-l": 1,
        "verapdf__veraPDF_test_suite_6-7-2-t18-pass-b": 1,
    },
    ("encrypted", None, ()): {
        "pdf.js__PDFBOX-4352-0": 0,
        "pdf.js__issue15893_reduced": 0,
        "pdf.js__issue19484_1": 0,
        "pdf.js__issue6010_1": 0,
        "pdf.js__issue6010_2": 0,
        "pdf.js__pr6531_1": 0,
        "pdf.js__print_protection": 0,
        "pdfminer.six__samples__encryption__aes-256-m": 0,
        "sample-files__005-libreoffice-writer-password__libreoffice-writer-password": 0,
    },
    ("scanned", None, ()): {
        "pdf.js__issue12007_reduced": 1,
        "pdf.js__issue13561_reduced": 1,
        "pdf.js__issue14200": 1,
        "pdf.js__issue19326": 1,
        "pdf.js__issue6621": 1,
        "pdf.js__issue7200": 1,
        "pdf.js__scan-bad": 1,
        "sample-files__019-grayscale-image__grayscale-image": 1,
        "www.openarchives.org__oreChem__projectDocuments__orechem-milestones": 4,
    },
    ("text", "en", ("other-reader",)): {
        "pdf.js__Brotli-Prototype-FileA": 25,
    },
    ("text", "en", ()): {
        "eprints3.4__testdata__data__paper2": 6,
        "grobid__grobid-service__src__test__resources__sample5__gadr": 3,
        "grobid__grobid-trainer__doc__GuidelinesTrainingData": 11,
        "grobid__test__ZFN-A-054-0304-0272": 2,
        "pdf.js__issue13201": 1,
        "pdf.js__issue6132": 1,
        "pdf.js__issue9972-1": 1,
        "pdf.js__prefilled_f1040": 2,
        "pdfminer.six__samples__contrib__issue-00352-asw-oct96-p41": 1,
        "pdfminer.six__samples__contrib__issue-00352-hash-twos-complement": 2,
        "sample-files__011-google-doc-document__google-doc-document": 1,
        "sample-files__021-pdfa__crazyones-pdfa": 1,
        "verapdf__7.1-t06-fail-a": 1,
        "www.openarchives.org__documents__OR07": 31,
        "www.openarchives.org__documents__ecdl2002-oai": 15,
        "www.openarchives.org__meetings__tech-Cornell__cornell_report": 6,
    },
    ("text", "id", ()): {
        "unud-proposal-id-p1-6": 6,
    },
    ("text", None, ("other-reader",)): {
        "pdf.js__poppler-395-0-fuzzed": 1,
    },
    ("text", None, ()): {
        "andrikurniawan-include": 1,
        "pdf.js__IdentityToUnicodeMap_charCodeOf": 1,
        "pdf.js__ThuluthFeatures": 1,
        "pdf.js__bomb_giant": 1,
        "pdf.js__bug1937438_mml_from_latex": 1,
        "pdf.js__french_diacritics": 1,
        "pdf.js__helloworld-bad": 1,
        "pdf.js__issue14814": 2,
        "pdf.js__issue17215": 1,
        "pdf.js__issue19800": 1,
        "pdf.js__issue4800": 1,
        "pdf.js__issue5599": 1,
        "pdf.js__mixedfonts": 1,
        "pdf.js__noembed-eucjp": 1,
        "pdf.js__noembed-identity-2": 1,
        "pdf.js__page_with_number": 17,
        "pdf.js__pdfjsbad1586": 1,
        "pdf.js__poppler-90-0-fuzzed": 16,
        "pdf.js__poppler-91414-0-54": 1,
        "pdf.js__structure_simple": 1,
        "pdf.js__vertical": 3,
        "pdf.js__xref_command_missing": 1,
        "pdfminer.six__samples__contrib__issue-625-identity-cmap": 2,
        "pdfminer.six__samples__contrib__issue-791-non-unicode-cmap": 1,
        "pdfminer.six__samples__encryption__base": 1,
        "sample-files__015-arabic__habibi-oneline-cmap": 1,
        "verapdf__TWG_test_suite_A007-pdfa2-fail-a": 1,
    },
    ("unsupported", None, ()): {
        "www.openarchives.org__meetings__steering__jules_anderson": 0,
    },
}


# entities that unfold to a thousand million letters
LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)) + "]>"
)
Save = Callable[..., Path]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as one:
        yield one


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(content: bytes | str, name: str = "file") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def column(texts: Iterable[str], left: float = 70, top: float = 760) -> list[Line]:
    return [Line(left, top - 15 * row, text) for row, text in enumerate(texts)]


def zipped(parts: dict[str, bytes | str]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return written.getvalue()


def word(body: str, before: str = "") -> bytes:
    return zipped(
        {"word/document.xml": f'{before}<w:document xmlns:w="{WORD_XML}"><w:body>{body}</w:body></w:document>'}
    )


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def book(parts: dict[str, str], extra: dict[str, bytes | str] | None = None) -> bytes:
    """An EPUB of these parts, read in the order given and stored in another one."""
    items = "".join(f'<item id="{name}" href="{name}.xhtml"/>' for name in sorted(parts))
    order = "".join(f'<itemref idref="{name}"/>' for name in parts)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
            f"<spine>{order}</spine></package>",
        }
        | {f"OPS/{name}.xhtml": f"<html><body><p>{text}</p></body></html>" for name, text in parts.items()}
        | (extra or {})
    )


def pdf_of_stream(stream: bytes, filters: str) -> bytes:
    """A PDF of one page with this compressed content, by hand: no library writes what is meant to do harm."""
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter %s >>\nstream\n%s\nendstream" % (len(stream), filters.encode(), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, part) for number, part in enumerate(parts, 1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R /Size 6 >>\n%%EOF\n"


def squeezed(block: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(block) for _ in range(times)), packer.flush()])


def busy_pdf(thousands: int) -> bytes:
    """A PDF that keeps PDFium at work: so many thousand times the same words in the same place."""
    return pdf_of_stream(
        squeezed(b"BT /F1 9 Tf 50 700 Td (kata kata kata kata) Tj ET\n" * 1000, thousands), "/FlateDecode"
    )


def test_every_real_pdf_ends_in_the_state_that_it_deserves(reader: Reader, shared_data: Path) -> None:
    found: dict[tuple[str, str | None, tuple[str, ...]], dict[str, int]] = {}
    pids = set()
    for path in sorted((shared_data / "pdf").glob("*.pdf")):
        reading = reader.read(path)
        pids.add(reader.pid)
        key = (reading.state, reading.language, reading.problems)
        found.setdefault(key, {})[path.name.removesuffix(".pdf")] = reading.pages
        assert len(reading.page_starts) == (reading.pages if reading.state in {"text", "scanned", "empty"} else 0)
        assert list(reading.page_starts) == sorted(reading.page_starts)
    assert found == DESERVED
    assert len(pids) == 1  # none of them ended the child


def test_a_state_does_not_depend_on_the_file_before(reader: Reader, shared_data: Path) -> None:
    """PDFium's last error outlives its file."""
    reader.read(shared_data / "pdf" / "pdf.js__issue6010_1.pdf")
    reading = reader.read(shared_data / "pdf" / "pdf.js__poppler-395-0-fuzzed.pdf")
    assert (reading.state, reading.problems) == ("text", ("other-reader",))


def test_a_real_thesis_has_its_words_and_its_pages(reader: Reader, shared_data: Path) -> None:
    reading = reader.read(shared_data / "pdf" / "unud-proposal-id-p1-6.pdf")
    assert reading.language == "id"
    assert reading.text[reading.page_starts[4] :].startswith("DAFTAR ISI")
    assert "\niii\n" not in reading.text  # the page numbers of its front matter


def test_a_real_article_has_its_broken_words_whole(reader: Reader, shared_data: Path) -> None:
    text = reader.read(shared_data / "pdf" / "eprints3.4__testdata__data__paper2.pdf").text
    assert "appropriate" in text
    assert "read-write" in text  # a hyphen of its own, at the end of a line
    assert not {"\ufffe", "\x02", "\ufb01"} & set(text)


def test_columns_are_read_one_after_the_other(reader: Reader, save: Save) -> None:
    left, right = ([f"{side} baris {row} tentang rumput laut" for row in range(30)] for side in ("kiri", "kanan"))
    text = reader.read(save(write_pdf([[*column(left), *column(right, left=330)]]))).text
    assert text.split("\n")[:-1] == [*left, *right]


def test_a_word_broken_at_the_end_of_a_line_is_whole_again(reader: Reader, save: Save) -> None:
    lines = ["Penelitian ini menguraikan pembangun-", "an desa, dan rata-", "rata hasilnya untuk OAI-", "PMH di sana"]
    text = reader.read(save(write_pdf([column(lines)]))).text
    assert "menguraikan pembangunan desa" in text
    assert "rata-rata hasilnya" in text
    assert "OAI-PMH di" in text


def test_a_hyphen_stays_that_the_same_word_has_elsewhere() -> None:
    assert join_words(["an open-access file", "of open\ufffeaccess, closed\ufffeaccess"]) == [
        "an open-access file",
        "of open-access, closedaccess",
    ]
    assert join_words(["hanya-\nlah", "3-\n4", "akhir \ufffe"]) == ["hanyalah", "3-\n4", "akhir -"]


def test_running_heads_and_page_numbers_are_gone_and_the_first_head_stays(reader: Reader, save: Save) -> None:
    pages = [
        [
            Line(70, 800, "Jurnal Rumput Laut Vol. 3"),
            *column([f"Halaman isi ke{'abcdefgh'[number]} tentang panen", "Tabel 4 berikut"]),
            Line(300, 40, str(number + 17)),
        ]
        for number in range(6)
    ]
    text = reader.read(save(write_pdf(pages))).text
    assert text.count("Jurnal Rumput Laut") == 1
    assert text.startswith("Jurnal Rumput Laut Vol. 3\nHalaman isi kea")
    assert not any(line.isdecimal() for line in text.split("\n"))
    assert text.count("Tabel 4 berikut") == 1  # it runs as a head does, as far as can be seen


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["Hasil 12", "Hasil 31", "Hasil 7", "Hasil 90"], True),  # numbers that are not the pages'
        (["Bab I", "Metode", "Bab I", "Hasil"], True),  # too few
        (["ii", "iii", "iv", "v"], False),
        (["- 8 -", "- 9 -", "- 10 -", "- 11 -"], False),
        (["Halaman 1 dari 4", "Halaman 2 dari 4", "Halaman 3 dari 4", "Halaman 4 dari 4"], False),
    ],
)
def test_a_line_is_dropped_only_where_it_surely_runs(lines: list[str], kept: bool) -> None:
    letters = ("satu", "dua", "tiga", "empat")
    pages = [
        f"{line}\nbaris {word} a\nbaris {word} b\nbaris {word} c" for line, word in zip(lines, letters, strict=True)
    ]
    left = [page.count("\n") == 3 for page in drop_running_lines(pages)]
    assert left[1:] == [kept] * 3


def test_the_only_line_of_a_page_stays() -> None:
    pages = ["1", "2", "3", "4"]
    assert drop_running_lines(pages) == pages


def test_a_scan_is_a_state_with_its_pages(reader: Reader, save: Save) -> None:
    reading = reader.read(save(write_scan([column([WORDS])] * 3)))
    assert (reading.state, reading.pages, reading.text, reading.problems) == ("scanned", 3, "", ())


def test_a_scan_with_one_page_of_text_keeps_that_text(reader: Reader, save: Save, tmp_path: Path) -> None:
    import pypdfium2

    scan = pypdfium2.PdfDocument(write_scan([column([WORDS])] * 12))
    scan.import_pages(pypdfium2.PdfDocument(write_pdf([column([WORDS])])), index=0)
    scan.save(tmp_path / "mixed.pdf")
    reading = reader.read(tmp_path / "mixed.pdf")
    assert (reading.state, reading.pages) == ("scanned", 13)
    assert reading.text.startswith("Harga ikan layang")


@pytest.mark.parametrize(
    ("content", "state", "media_type"),
    [
        (b"", "empty", "application/octet-stream"),
        (b"%PDF-1.4\n%\xe2\xe3\n" + b"nothing else" * 9, "damaged", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "unsupported", "image/png"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "unsupported", "application/x-ole-storage"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"),
            "encrypted",
            "application/x-ole-storage",
        ),
        (b"PK\x03\x04 broken", "damaged", "application/zip"),
        (zipped({"data.csv": "a,b"}), "unsupported", "application/zip"),
        (b"<html><head><title>Kosong</title></head><body></body></html>", "empty", "text/html"),
    ],
)
def test_what_cannot_be_read_is_a_state(
    reader: Reader, save: Save, content: bytes, state: str, media_type: str
) -> None:
    reading = reader.read(save(content))
    assert (reading.state, reading.media_type, reading.text) == (state, media_type, "")


def test_a_file_that_is_not_there_is_an_error_and_no_state(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reader.read(tmp_path / "gone.pdf")


def test_a_word_file_has_its_paragraphs_and_the_pages_that_word_saw(reader: Reader, save: Save) -> None:
    body = (
        paragraph(WORDS) * 3
        + "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Bab dua</w:t><w:tab/><w:t>mulai</w:t></w:r></w:p>"
    )
    reading = reader.read(save(word(body), "skripsi.pdf"))  # whatever it is called
    assert (reading.state, reading.language, reading.pages) == ("text", "id", 2)
    assert reading.text == f"{WORDS}\n{WORDS}\n{WORDS}\nBab dua\tmulai\n"
    assert reading.page_starts == (0, reading.text.index("Bab dua"))


def test_an_epub_is_read_in_its_order_with_a_start_for_each_part(reader: Reader, save: Save) -> None:
    reading = reader.read(save(book({"zebra": "Bagian pertama", "alam": "Bagian kedua"})))
    assert (reading.media_type, reading.text) == ("application/epub+zip", "Bagian pertama\nBagian kedua\n")
    assert reading.page_starts == (0, reading.text.index("Bagian kedua"))


def test_a_book_that_is_locked_by_its_shop_is_encrypted_and_one_with_locked_typefaces_is_not(
    reader: Reader, save: Save
) -> None:
    for locked, state in (("OPS/a.xhtml", "encrypted"), ("OPS/font.otf", "text")):
        lock = f'<encryption><CipherData><CipherReference URI="{locked}"/></CipherData></encryption>'
        assert reader.read(save(book({"a": "isi"}, {"META-INF/encryption.xml": lock}))).state == state


def test_a_web_page_gives_its_main_text_without_menus_and_scripts(reader: Reader, save: Save) -> None:
    page = f"""<!DOCTYPE html><html><head><title>Jurnal</title><style>p {{}}</style></head><body>
    <nav>Beranda Tentang</nav><main><h1>Panen <em>raya</em></h1><p>{WORDS}<br>{WORDS}</p><script>var a = 1</script>
    <p>Se<b>kian</b>.</p></main>
    <footer>Hak cipta</footer></body></html>"""
    reading = reader.read(save(page, "artikel.pdf"))
    assert (reading.state, reading.media_type, reading.language) == ("text", "text/html", "id")
    assert reading.text == f"Panen raya\n{WORDS}\n{WORDS}\nSekian.\n"


@pytest.mark.parametrize(
    "content",
    [f"satu é\f{WORDS}".encode(), f"satu é\f{WORDS}".encode("cp1252"), f"\ufeffsatu é\f{WORDS}".encode("utf-16-le")],
    ids=("utf-8", "cp1252", "utf-16"),
)
def test_plain_text_is_read_in_its_encoding_and_begins_pages_at_form_feeds(
    reader: Reader, save: Save, content: bytes
) -> None:
    reading = reader.read(save(content))
    assert (reading.media_type, reading.text, reading.page_starts) == ("text/plain", f"satu é\n{WORDS}\n", (0, 7))


BOMBS: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "spaces": (lambda: pdf_of_stream(squeezed(b" " * 1_000_000, 400), "/FlateDecode"), {"too-big"}),
    "spaces, squeezed twice": (
        lambda: pdf_of_stream(zlib.compress(squeezed(b" " * 1_000_000, 400)), "[/FlateDecode /FlateDecode]"),
        {"too-big"},
    ),
    "words": (lambda: busy_pdf(300), {"too-big"}),
    "entities": (lambda: word(paragraph("&a9;"), LAUGHS), {"empty", "damaged"}),
    "paragraphs in paragraphs": (lambda: word("<w:p>" * 400_000), {"damaged"}),
    "entries": (lambda: zipped({f"{n}": "" for n in range(20_001)} | {"word/document.xml": ""}), {"too-big"}),
    "chapter": (lambda: book({"a": "kata " * 1_200_000}), {"too-big"}),
    "tags in tags": (lambda: b"<html>" + b"<div>" * 900_000 + b"dalam", {"text", "empty"}),
    "tags": (lambda: b"<html>" + b"<p>" * 2_000_000, {"too-big"}),
    "one word": (lambda: b"a" * 9_000_000, {"text"}),
    "hyphens": (lambda: write_pdf([column(["a-" * 40] * 40)] * 20), {"text"}),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_no_more_than_the_limits(tmp_path: Path, bomb: str) -> None:
    write, states = BOMBS[bomb]
    path = tmp_path / "bomb"
    path.write_bytes(write())
    begin = time.monotonic()
    with Reader(Limits(seconds=20)) as reader:
        reading = reader.read(path)
        assert reading.state in states
        assert peak_memory(reader) < 260_000_000
        assert len(reading.text) <= 10_000_000
        path.write_text(WORDS)
        assert reader.read(path).text == f"{WORDS}\n"  # the next file is read
    assert time.monotonic() - begin < 60


def test_a_package_unpacks_to_no_more_than_a_file_may_have(save: Save) -> None:
    many = {f"part-{number}": WORDS * 500 for number in range(9)}
    for content in (word(paragraph(WORDS) * 5_000), book(many)):
        path = save(content)
        assert path.stat().st_size < 100_000
        assert read_file(path, limits=Limits(size=400_000)).state == "too-big"
        assert read_file(path, limits=Limits(size=1_000_000)).state == "text"


def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_read(save: Save) -> None:
    with Reader(Limits(seconds=0.2)) as reader:
        assert reader.read(save(busy_pdf(60))).state == "too-long"
        assert reader.pid is None
    with Reader() as reader:
        assert reader.read(save(busy_pdf(60))).state == "text"


def test_a_file_that_wants_more_memory_than_allowed_is_given_up(save: Save) -> None:
    path = save(busy_pdf(60))
    assert read_file(path, limits=Limits(memory=40_000_000)).state == "too-big"
    assert read_file(path).state == "text"


def test_memory_that_a_file_before_has_taken_is_not_held_against_the_next_one(save: Save) -> None:
    names = " ".join(f'a{number}=""' for number in range(200_000))  # which are not forgotten
    fat = save(zipped({"word/document.xml": f'<w:document xmlns:w="{WORD_XML}" {names}/>'}), "fat.docx")
    large = save(pdf_of_stream(b"z" * 25_000_000, "/ASCII85Decode"), "large.pdf")
    with Reader() as reader:
        reader.read(fat)
        assert reader.read(large).state == read_file(large).state == "empty"


@pytest.mark.parametrize(
    ("deadly", "comes_to"),
    [
        (signal.SIGSEGV, ("damaged", ("crashed",))),
        (signal.SIGKILL, ("text", ())),
        (signal.SIGTERM, ("text", ())),
    ],
)
def test_a_child_that_dies_in_mid_file_costs_that_file_at_most_and_one_that_was_ended_none(
    save: Save, deadly: signal.Signals, comes_to: tuple[str, tuple[str, ...]]
) -> None:
    busy, words = save(busy_pdf(60), "busy.pdf"), save(WORDS)
    found: list[Reading] = []
    with Reader() as reader:
        reader.read(words)
        child = reader.pid
        assert child is not None
        thread = threading.Thread(target=lambda: found.append(reader.read(busy)))
        thread.start()
        while not is_open(child, busy):
            assert thread.is_alive()
        os.kill(child, deadly)
        thread.join()
        assert [(one.state, one.problems) for one in found] == [comes_to]
        assert reader.read(words).state == "text"
        assert reader.pid != child


def test_a_child_that_died_between_two_files_costs_none(save: Save) -> None:
    path = save(WORDS)
    with Reader() as reader:
        reader.read(path)
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGKILL)
        os.waitid(os.P_PID, reader.pid, os.WEXITED | os.WNOWAIT)
        assert reader.read(path).state == "text"


def test_a_child_does_not_outlive_the_process_that_asks(save: Save) -> None:
    program = (
        "import sys, time; from pathlib import Path; from harvester.reading import Reader; reader = Reader(); "
        "reader.read(Path(sys.argv[1])); print(reader.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(save(WORDS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        ended = os.pidfd_open(child)
        parent.kill()
        assert select.select([ended], [], [], 10)[0]
    os.close(ended)


def test_a_child_is_used_for_many_files_and_then_replaced(save: Save) -> None:
    path = save(WORDS)
    pids = []
    with Reader(files=3) as reader:
        for _ in range(7):
            reader.read(path)
            pids.append(reader.pid)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_pages_and_characters_beyond_the_limits_are_left_off(save: Save) -> None:
    path = save(write_pdf([column([f"halaman {word}"]) for word in ("satu", "dua", "tiga")]))
    few = read_file(path, limits=Limits(pages=2))
    assert (few.state, few.pages, few.page_starts, few.problems) == ("text", 3, (0, 13), ("cut",))
    short = read_file(path, limits=Limits(characters=20))
    assert (short.text, short.pages, short.problems) == ("halaman satu\nhalama\n", 3, ("cut",))
    assert read_file(path, limits=Limits(size=100)).state == "too-big"
    assert read_file(path).problems == ()


def test_the_child_knows_nothing_of_the_settings(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMBUNG_SECRET_KEY", "rahasia")
    with Reader() as reader:
        reader.read(save(WORDS))
        assert b"rahasia" not in Path(f"/proc/{reader.pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (WORDS, "id"),
        (
            "The price of fish in this market did not fall, and it was the fishers who sold by auction that gained.",
            "en",
        ),
        ("Rega iwak ing pasar iki ora mudhun, lan wong sing adol karo lelang iku padha bathi saka kana.", "jv"),
        ("本研究探讨了该地区渔业市场价格的变化及其对渔民收入的影响与意义。", "zh"),
        ("この研究では、市場における魚の価格の変化について調べた結果を報告する。", "ja"),
        ("هذا البحث يدرس أسعار السمك في السوق المحلية وتأثيرها على دخل الصيادين", "ar"),
        ("Kata", None),
        ("", None),
    ],
)
def test_the_language_is_told_where_the_text_is_sure_of_it(text: str, language: str | None) -> None:
    assert guess_language(text) == language


def is_open(pid: int, path: Path) -> bool:
    """Whether the process has the file open now."""
    return any(link.resolve() == path for link in Path(f"/proc/{pid}/fd").iterdir())


def peak_memory(reader: Reader) -> int:
    """The most memory that the present child has had, 0 where there is none."""
    if reader.pid is None:
        return 0
    text = Path(f"/proc/{reader.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1000
