"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import re

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|script|title|meta|div|table)\b", re.IGNORECASE)
_STARTS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"Rar!", "application/vnd.rar"),
    (b"7z\xbc\xaf", "application/x-7z-compressed"),
    (b"\x1f\x8b", "application/gzip"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"ID3", "audio/mpeg"),
)


def sniff(head: bytes) -> str:
    """The media type of a file that begins so; `application/octet-stream` where nothing tells it."""
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    if head.startswith(b"PK\x03\x04"):
        if b"application/epub+zip" in head[:200]:
            return "application/epub+zip"
        return _WORD if b"word/" in head else "application/zip"
    started = next((media_type for start, media_type in _STARTS if head.startswith(start)), None)
    return started or _of_text(head)


def _of_text(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _HTML.search(text[:4096]) and text.startswith(b"<"):
        return "text/html"
    if text.startswith(b"<?xml"):
        return "application/xml"
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head[:4096])
    return "application/octet-stream" if controls or not head else "text/plain"
