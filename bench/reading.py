"""Files read in the child with all limits, against bare pypdfium2 reading the same files; and the memory it takes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pypdfium2

from bench.figures import Figure, Report
from bench.material import SHARED
from harvester.reading import Limits, Reader
from harvester.samples.pdf_writer import Line, write_pdf


def measure(*, quick: bool) -> Report:
    """Processor time of both over real files, and the resident memory over a long book and over bombs."""
    with TemporaryDirectory() as folder:
        return _measure(Path(folder), 3 if quick else 31)


def _measure(folder: Path, rounds: int) -> Report:
    files = _files(folder)
    characters = {path: _bare(path) for path in files}
    readable = [path for path, count in characters.items() if count is not None]
    book = _write_book(folder, readable)
    with Reader(files=1_000_000) as reader:
        for path in readable:  # both have their libraries and caches
            reader.read(path)
        small = _ratios(reader, readable, rounds)
        large = _ratios(reader, [book], 1 + rounds // 10)
        begin = time.process_time() + _worked(reader)
        reading = reader.read(book)
        spent = time.process_time() + _worked(reader) - begin
        memory = _peak(reader)
    size = sum(count or 0 for count in characters.values())
    return Report(
        f"`harvester.reading.Reader` over {len(readable)} PDFs that PDFium opens ({size:,} characters, most of one "
        "page), and over a book made of those with text, against bare pypdfium2 in this process: every page, its text, "
        "nothing else. Processor time of parent and child together; median of the ratios of "
        f"{rounds} rounds, by turns.",
        (
            Figure(f"{len(readable)} small files against bare pypdfium2, per core", median(small), "x", at_least=0.8),
            Figure("the book against bare pypdfium2, per core", median(large), "x", at_least=0.8),
            Figure(f"the book of {reading.pages} pages, {len(reading.text):,} characters", spent, "s"),
            Figure("memory of the child at the book", memory, "MB", at_most=300),
            Figure("memory of the child at bombs", _bombed(folder), "MB", at_most=300),
        ),
    )


def _ratios(reader: Reader, paths: list[Path], rounds: int) -> list[float]:
    """Bare time by our time, round by round."""
    ratios = []
    for number in range(rounds):
        if number % 2:
            bare = _processor(lambda: _all_bare(paths))
            ratios.append(bare / _ours(reader, paths))
        else:
            ours = _ours(reader, paths)
            ratios.append(_processor(lambda: _all_bare(paths)) / ours)
    return ratios


def _files(folder: Path) -> list[Path]:
    """The real files; made ones where they are not here."""
    real = sorted((SHARED / "pdf").glob("*.pdf"))
    if real:
        return real
    made = folder / "made.pdf"
    made.write_bytes(write_pdf([[Line(70, 760 - 14 * row, "Harga ikan layang di pasar") for row in range(45)]] * 60))
    return [made]


def _bare(path: Path) -> int | None:
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        return None
    count = 0
    for index in range(len(document)):
        page = document[index]
        text_page = page.get_textpage()
        count += len(text_page.get_text_range())
        text_page.close()
        page.close()
    document.close()
    return count


def _all_bare(paths: list[Path]) -> None:
    for path in paths:
        _bare(path)


def _ours(reader: Reader, paths: list[Path]) -> float:
    child = _worked(reader)
    parent = _processor(lambda: [reader.read(path) for path in paths])
    return parent + _worked(reader) - child


def _processor(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _worked(reader: Reader) -> float:
    """Seconds that the child has worked."""
    return int(Path(f"/proc/{reader.pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _peak(reader: Reader) -> float:
    text = Path(f"/proc/{reader.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) / 1000


def _write_book(folder: Path, paths: list[Path]) -> Path:
    book = pypdfium2.PdfDocument.new()
    sources = [pypdfium2.PdfDocument(path) for path in paths if (_bare(path) or 0) > 10_000]
    while len(book) < 2_000 and (sources or len(paths) == 1):
        for source in sources or [pypdfium2.PdfDocument(paths[0])]:
            book.import_pages(source)
    path = folder / "book.pdf"
    book.save(path)
    return path


def _bombed(folder: Path) -> float:
    """The most memory of any child over files that want as much as they can get; counted in a process of its own."""
    spaces = zlib.compress(b" " * 500_000_000, 1)
    words = zlib.compress(b"BT /F1 9 Tf 50 700 Td (kata kata kata kata) Tj ET\n" * 400_000, 1)
    for name, stream in (("spaces", spaces), ("words", words)):
        (folder / f"bomb-{name}.pdf").write_bytes(_around(stream))
    (folder / "bomb.txt").write_bytes(b"kata " * 15_000_000)
    (folder / "bomb.html").write_bytes(b"<html>" + b"<p>a" * 1_200_000)
    program = "import sys; from bench.reading import read_all; read_all(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def read_all(folder: str) -> None:
    """Prints the most memory, in MB, that a child had which read one of the bombs in the folder."""
    with Reader(Limits()) as reader:
        for path in sorted(Path(folder).glob("bomb*")):
            reader.read(path)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)


def _around(stream: bytes) -> bytes:
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, part) for number, part in enumerate(parts, 1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R /Size 6 >>\n%%EOF\n"
