"""A proxy before an S3 server that does, now and then, what networks and overloaded servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

FAULTS = {
    "503": "refuses before the server has seen anything",
    "503 after": "refuses what the server has done",
    "cut": "closes the connection before the server has seen anything",
    "cut after": "closes it with what the server has done",
    "half up": "gives the server half of the body",
    "half down": "gives half of the answer",
    "silence": "says nothing for as long as anybody may wait",
    "404": "says that there is nothing, in words that are not the server's",
    "200": "says that all is well, in words that are not the server's",
}

NOT_S3 = b"<!doctype html><p>nothing here"


class FaultyProxy:
    """Passes on, but for what is planned: a fault for each of the next requests, or `always` one; `with` ends it.

    `change` makes other answers of the server's; `seen` has the method of each request,
    `expected` counts those that asked for leave to send a body.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.always = ""
        self.planned: list[str] = []
        self.seen: list[str] = []
        self.expected = 0
        self.change: Callable[[bytes], bytes] = lambda body: body
        self.over = threading.Event()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def do_any(self) -> None:
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy.seen.append(self.command)
        proxy.expected += "Expect" in self.headers
        fault = proxy.always or (proxy.planned.pop(0) if proxy.planned else "")
        if fault == "silence":
            proxy.over.wait()
        if fault in {"503", "404", "200"}:
            self.answer(int(fault), NOT_S3)
        elif fault in {"cut", "silence"}:
            self.close_connection = True
        else:
            try:
                self.pass_on(body, fault)
            except (OSError, HTTPException):  # the server is gone, and so are we
                self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any  # noqa: N815 - the names are http.server's

    def pass_on(self, body: bytes, fault: str) -> None:
        connection = HTTPConnection(self.proxy.upstream)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    connection.putheader(name, value)
            connection.endheaders(body[: len(body) // 2] if fault == "half up" else body)
            if fault == "half up":
                self.close_connection = True
                return
            response = connection.getresponse()
            content = self.proxy.change(response.read())
        finally:
            connection.close()
        if fault == "503 after":
            self.answer(503, NOT_S3)
        elif fault == "cut after":
            self.close_connection = True
        else:
            self.answer(response.status, content, dict(response.getheaders()), half=fault == "half down")

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None, *, half: bool = False) -> None:
        with suppress(OSError):  # who asked may be gone
            self.send_response(status)
            for name, value in (headers or {}).items():
                if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                    self.send_header(name, value)
            length = int((headers or {}).get("Content-Length", 0)) if self.command == "HEAD" else len(content)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if half:
                self.close_connection = True
                content = content[: len(content) // 2]
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is http.server's
        """Nothing is logged."""
