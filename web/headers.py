"""The headers that every answer carries."""

from __future__ import annotations

import gzip

from flask import Flask, Response, request

_SMALLEST_PACKED = 1000  # bytes: less is one packet either way
_LARGE = 50_000  # bytes; from there on level 1 packs, five times as fast as level 6 for a seventh more bytes

_ALWAYS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def use_headers(app: Flask) -> None:
    """Every answer forbids what the site does not need, and none is kept without asking again unless it says so.

    Texts travel compressed to readers whose program takes that.
    """
    app.after_request(_pack)  # what is registered first runs last
    app.after_request(_add_headers)


def _add_headers(answer: Response) -> Response:
    for name, value in _ALWAYS.items():
        answer.headers.setdefault(name, value)
    if answer.mimetype == "text/html":
        answer.vary.update(("Accept-Language", "Cookie"))
    answer.headers.setdefault("Cache-Control", "no-cache")
    return answer


def _pack(answer: Response) -> Response:
    textual = answer.is_json or "charset=" in answer.content_type
    if answer.is_streamed or not textual or len(answer.get_data()) < _SMALLEST_PACKED:
        return answer
    answer.vary.add("Accept-Encoding")
    if request.accept_encodings.quality("gzip") > 0:
        body = answer.get_data()
        answer.set_data(gzip.compress(body, 1 if len(body) > _LARGE else 6, mtime=0))
        answer.headers["Content-Encoding"] = "gzip"
    return answer
