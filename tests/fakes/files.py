"""A web site of files and pages of a real server, reachable under several loopback names: ETags, ranges, breaks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

PDF = "application/pdf"


class Asked(NamedTuple):
    """One request as the site saw it."""

    host: str
    path: str
    range: str | None
    condition: str | None
    began: float
    ended: float


@dataclass
class Thing:
    """What lies at a path. `cuts`: how many bytes of the next answers come before the connection breaks; `sized`:
    whether a length is told; `most`: bytes of an answer that is a part; `tag`: its ETag, if it lies; `at_half` is
    called once, when half of an answer was sent; `drops` come behind the body for ever."""

    body: bytes = b""
    media_type: str = PDF
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    tagged: bool = True
    sized: bool = True
    most: int | None = None
    tag: str = ""
    drops: bytes = b""
    at_half: Callable[[], object] | None = None

    @property
    def etag(self) -> str:
        """By the bytes."""
        return f'"{sha256(self.body).hexdigest()[:12]}"'


def pdf(words: str, size: int = 0) -> Thing:
    """A file that begins as a PDF does, of that size at least."""
    return Thing(f"%PDF-1.4\n{words}\n".encode() + b"x" * size + b"\n%%EOF\n")


def page(text: str, **headers: str) -> Thing:
    """A web page."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Thing(f"<!DOCTYPE html><html>{text}</html>".encode(), "text/html; charset=utf-8", headers=named)


class FileSite:
    """Runs until its `with` ends. `things` by path with its query, 404 for all others; `asked` are the requests."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.asked: list[Asked] = []
        site = self

        class Answerer(BaseHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None: ...

            def do_GET(self) -> None:
                began = time.monotonic()
                thing = site.things.get(self.path, Thing(b"no such page", "text/plain", 404))
                condition = self.headers["If-None-Match"] or self.headers["If-Range"]
                try:
                    self.answer(thing)
                finally:
                    host = self.headers["Host"].partition(":")[0]
                    ended = time.monotonic()
                    site.asked.append(Asked(host, self.path, self.headers["Range"], condition, began, ended))

            def answer(self, thing: Thing) -> None:
                status, first = thing.status, 0
                if thing.tagged and self.headers["If-None-Match"] == thing.etag:
                    status, body = 304, b""
                else:
                    body = thing.body
                    wish = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
                    if wish and self.headers["If-Range"] == thing.etag and status == 200:
                        status, first = 206, int(wish[1])
                last = len(body)
                if status == 206 and thing.most is not None:
                    last = min(first + thing.most, last)
                self.send_response(416 if first and first >= len(body) else status)
                if status == 206:
                    self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(body)}")
                if thing.tagged:
                    self.send_header("ETag", thing.tag if status == 206 and thing.tag else thing.etag)
                if thing.sized:
                    self.send_header("Content-Length", str(last - first))
                for name, value in {"Content-Type": thing.media_type, **thing.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                cut = thing.cuts.pop(0) if thing.cuts else len(body)
                some = body[first : min(first + cut, last)]
                if thing.at_half:
                    call, thing.at_half = thing.at_half, None
                    self.wfile.write(some[: len(some) // 2])
                    call()
                    some = some[len(some) // 2 :]
                self.wfile.write(some)
                _drip(self.wfile, thing.drops)

        self._server = _Server(("", 0), Answerer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> FileSite:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a path."""
        return f"http://{host}:{self._server.server_address[1]}{path}"

    def paths(self) -> list[str]:
        """The paths asked for, in order; robots.txt and lists of formats left out."""
        return [one.path for one in self.asked if one.path != "/robots.txt" and "ListMetadataFormats" not in one.path]


def _drip(caller: Any, drops: bytes) -> None:
    while drops:
        time.sleep(0.02)
        caller.write(drops)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no error."""
