"""Small PDFs, set line by line with PDFium: the same bytes for the same lines, whenever they are written."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import pypdfium2
from pypdfium2 import raw

WIDTH, HEIGHT = 595, 842
"""Of a page, in points: A4."""

_ONE_AT_A_TIME = threading.Lock()  # PDFium is not made for threads
_DATE = re.compile(rb"(?<=/CreationDate\(D:)\d{14}")
_ID = re.compile(rb"(?<=/ID\[<)[0-9A-F]{32}><[0-9A-F]{32}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, the left end of its baseline so many points from the left and from the bottom of the page."""

    left: float
    bottom: float
    text: str
    size: float = 11
    bold: bool = False


def write_pdf(pages: Iterable[Sequence[Line]]) -> bytes:
    """A PDF of these pages, whose text is in the order of the lines; what Latin-1 has not is a question mark."""
    with _ONE_AT_A_TIME:
        return _save(_set(pages))


def write_scan(pages: Iterable[Sequence[Line]]) -> bytes:
    """A PDF of pictures of these pages, as a scanner makes it: with no text."""
    with _ONE_AT_A_TIME:
        printed = pypdfium2.PdfDocument(_save(_set(pages)))
        scan = pypdfium2.PdfDocument.new()
        for page in printed:
            picture = pypdfium2.PdfImage.new(scan)
            picture.set_bitmap(page.render(scale=1, grayscale=True))
            picture.set_matrix(pypdfium2.PdfMatrix().scale(WIDTH, HEIGHT))
            sheet = scan.new_page(WIDTH, HEIGHT)
            sheet.insert_obj(picture)
            sheet.gen_content()
        printed.close()
        return _save(scan)


def _set(pages: Iterable[Sequence[Line]]) -> pypdfium2.PdfDocument:
    document = pypdfium2.PdfDocument.new()
    fonts = [raw.FPDFText_LoadStandardFont(document.raw, name) for name in (b"Times-Roman", b"Times-Bold")]
    for lines in pages:
        page = document.new_page(WIDTH, HEIGHT)
        for line in lines:
            text = line.text.encode("latin-1", "replace").decode("latin-1").encode("utf-16-le") + b"\0\0"
            part = raw.FPDFPageObj_CreateTextObj(document.raw, fonts[line.bold], line.size)
            raw.FPDFText_SetText(part, ctypes.cast(ctypes.c_char_p(text), ctypes.POINTER(ctypes.c_ushort)))
            raw.FPDFPageObj_Transform(part, 1, 0, 0, 1, line.left, line.bottom)
            raw.FPDFPage_InsertObject(page.raw, part)
        page.gen_content()
    return document


def _save(document: pypdfium2.PdfDocument) -> bytes:
    written = BytesIO()
    document.save(written)
    document.close()
    # PDFium writes the hour and a random number; both are replaced by what the content gives, at the same length
    content = _ID.sub(b"0" * 32 + b"><" + b"0" * 32, _DATE.sub(b"20200101000000", written.getvalue()))
    number = sha256(content).hexdigest()[:32].upper().encode()
    return content.replace(b"0" * 32 + b"><" + b"0" * 32, number + b"><" + number)
