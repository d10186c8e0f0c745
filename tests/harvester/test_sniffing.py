"""What a file is, by its content and not by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harvester.reading import asks_for_login, sniff
from harvester.reading.sniffing import DOCX, EPUB, HEAD

PDF, HTML, OLE = "application/pdf", "text/html", "application/x-ole-storage"
ZIP = b"PK\x03\x04" + bytes(26)


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", PDF),
        (b"\xef\xbb\xbf\r\n%PDF-1.4", PDF),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.4", PDF),
        (b"x" * 2000 + b"%PDF-1.4", "text/plain"),
        (b"<!DOCTYPE html>\n<html>", HTML),
        (b"\n\n  <HTML lang=id>", HTML),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">', HTML),
        (b"<script>window.location='/login'</script>", HTML),
        (b"<html><body>Get the file %PDF-1.4 here", HTML),
        (b'<?xml version="1.0"?><article>', "application/xml"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", OLE),
        (ZIP + b"[Content_Types].xml ... word/document.xml", DOCX),
        (ZIP + b"[Content_Types].xml ... ppt/slides", "application/zip"),
        (ZIP + b"mimetypeapplication/epub+zipPK", EPUB),
        (ZIP + b"BAB I.pdf", "application/zip"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"{\\rtf1\\ansi", "application/rtf"),
        (b"%!PS-Adobe-3.0", "application/postscript"),
        (b"Abstrak. Penelitian ini", "text/plain"),
        (b"\xff\xfeA\0b\0", "text/plain"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x0e\x0f", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_the_first_bytes_tell(head: bytes, media_type: str) -> None:
    assert sniff(head) == media_type


def test_a_page_that_asks_for_a_password_is_told_from_another() -> None:
    assert asks_for_login(b'<form><INPUT name=p\n class="x" TYPE = "password"></form>')
    assert asks_for_login(b"<input type=password>")
    assert not asks_for_login(b"<p>Lupa password?</p><input type=text name=password>")


def test_every_real_file_named_pdf_is_told(shared_data: Path) -> None:
    found = {path.name: sniff(path.read_bytes()[:HEAD]) for path in (shared_data / "pdf").glob("*.pdf")}
    assert {name for name, media_type in found.items() if media_type != PDF} == {
        "www.openarchives.org__meetings__steering__jules_anderson.pdf"  # a PowerPoint file
    }


@pytest.mark.timeout(10)
def test_a_page_that_begins_with_many_comments_is_told_at_once() -> None:
    comments = b"<!-- a -->" * 300
    assert sniff(comments + b"<html><body>") == "text/html"
    assert sniff(comments + b"<style>x") == "text/plain"
    assert not asks_for_login(b"<input" * 200_000)
