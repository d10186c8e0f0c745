"""What a file is, told by its first bytes: names and headers of files are not to be trusted."""

from __future__ import annotations

import re

HEAD = 4096
"""Bytes that are enough to tell."""

PDF = "application/pdf"
HTML = "text/html"
XML = "application/xml"
TEXT = "text/plain"
ZIP = "application/zip"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EPUB = "application/epub+zip"
OLE = "application/x-ole-storage"
"""Word, Excel and PowerPoint before 2007, and present ones with a password."""
UNKNOWN = "application/octet-stream"

_MAGIC = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"Rar!", "application/vnd.rar"),
    (b"7z\xbc\xaf", "application/x-7z-compressed"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"ID3", "audio/mpeg"),
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_HTML = re.compile(
    # Atomic: of many comments each ends at its own end, or the ways to part them double with each.
    rb"(?><\?xml[^>]*+>|<!--.*?-->|\s++)*+<(?:!doctype\s+html|html|head|body|title|meta|script|div|table|center|h1|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_PASSWORD = re.compile(rb"<input\b[^<>]*\btype\s*=\s*[\"']?password", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes) -> str:
    """The media type of a file by its beginning, of which `HEAD` bytes are enough.

    Spec: ISO 32000-1, H.3 (readers accept `%PDF-` anywhere in the first 1,024 bytes).
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\f\0")
    if start.startswith(b"%PDF-"):
        return PDF
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return _package(head) if media_type == ZIP else media_type
    if _HTML.match(start):
        return HTML
    if b"%PDF-" in head[:1024]:
        return PDF
    if start.startswith(b"<?xml"):
        return XML
    return TEXT if _is_text(head) else UNKNOWN


def asks_for_login(page: bytes) -> bool:
    """Whether a web page has a field for a password: most often the page that stands before a closed file."""
    return _PASSWORD.search(page) is not None


def _package(head: bytes) -> str:
    """Which package: an EPUB names itself in its first entry, a Word file has its parts in a folder `word`."""
    if head[30:58] == b"mimetypeapplication/epub+zip":
        return EPUB
    if head[30:].startswith((b"word/", b"[Content_Types].xml", b"_rels/.rels", b"docProps/")):
        others = (b"ppt/", b"xl/", b"visio/")
        return ZIP if any(folder in head for folder in others) else DOCX
    return ZIP


def _is_text(head: bytes) -> bool:
    if not head:
        return False
    if head.startswith(_MARKS):
        return True
    return len(_CONTROL.findall(head)) * 1000 <= len(head)
