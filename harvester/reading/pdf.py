"""PDF, by PDFium; what PDFium cannot open, by pdf_oxide."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from harvester.reading.outcome import Limits, Problem, Raw, Unreadable

_LOCKED = {raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY}
_SCRAPS = 20  # letters of a page that is a picture all the same, stamped by a scanner or with a number
_PICTURE = 0.05  # share of the page; a logo is less
_TRAILER = 2048  # bytes
_DEPTH = 3  # forms in forms in which a picture is looked for


def read_pdf(path: Path, limits: Limits) -> Raw:
    """The text of each page, in the order in which the file sets it: column by column where it is set so.

    Raises:
        Unreadable: encrypted, or damaged beyond both libraries.
    """
    try:
        document = _open(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _LOCKED:
            raise Unreadable("encrypted") from error
        return _read_otherwise(path, limits)
    total = len(document)
    pages: list[str] = []
    pictures = unreadable = length = 0
    for index in range(min(total, limits.pages)):
        try:
            page = document[index]
            text_page = page.get_textpage()
        except pypdfium2.PdfiumError:
            unreadable += 1
            pages.append("")
            continue
        text = text_page.get_text_range().replace("\r\n", "\n")
        pictures += _letters(text) < _SCRAPS and _is_picture(page)
        text_page.close()
        page.close()
        pages.append(text)
        length += len(text)
        if length > limits.characters:
            break
    revision = raw.FPDF_GetSecurityHandlerRevision(document.raw)
    document.close()
    if not pictures and revision < 0 and not any(map(str.strip, pages)) and _names_lock(path):
        raise Unreadable("encrypted")
    problems: tuple[Problem, ...] = ("pages-unreadable",) if unreadable else ()
    return Raw(pages, total, pictures, printed=True, problems=problems)


def _open(path: Path) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        # Some failures leave the reason of an earlier file in its place (seen: "password" for a broken page tree):
        # this one is certain to leave its own, and then the file is asked again.
        raw.FPDF_LoadMemDocument(b"", 0, None)
        return pypdfium2.PdfDocument(path)


def _names_lock(path: Path) -> bool:
    """Whether the file says at its end that it is encrypted; PDFium takes one with a broken lock for an empty one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TRAILER))
        return b"/Encrypt" in file.read()


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text)) if len(text) < 200 else _SCRAPS


def _is_picture(page: pypdfium2.PdfPage) -> bool:
    """Whether a picture takes a good part of the page."""
    width, height = page.get_size()
    for part in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=_DEPTH):
        left, bottom, right, top = part.get_bounds()
        if (right - left) * (top - bottom) >= _PICTURE * width * height:
            return True
    return False


def _read_otherwise(path: Path, limits: Limits) -> Raw:
    """Seen: Brotli streams of PDF 2.0, and page trees of other generations, which PDFium refuses."""
    import pdf_oxide  # noqa: PLC0415  # 10 MB, for few files

    try:
        with pdf_oxide.PdfDocument(str(path)) as document:
            total = document.page_count()
            pages = []
            length = 0
            for index in range(min(total, limits.pages)):
                pages.append(document.extract_text(index))
                length += len(pages[-1])
                if length > limits.characters:
                    break
    except (OSError, RuntimeError, ValueError) as error:
        # the one word by which it tells this case from others
        raise Unreadable("encrypted" if "encrypted" in str(error) else "damaged") from error
    if not any(map(str.strip, pages)):
        raise Unreadable("damaged")
    return Raw(pages, total, printed=True, problems=("other-reader",))
