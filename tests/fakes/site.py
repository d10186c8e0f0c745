"""A web site of one real server, reachable under several loopback names, that says of each path what it is told to."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One request as the site saw it."""

    host: str
    method: str
    path: str
    began: float
    ended: float


@dataclass
class Says:
    """An answer: its status for GET, that for HEAD where it differs, whether it waits until the site closes, and
    whether its body goes on until then, byte by byte."""

    status: int = 200
    head: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"a page"
    hangs: bool = False
    drips: bool = False


class Site:
    """Runs until its `with` ends. `pages` are answers by path, 404 for all others; `asked` are the requests so far."""

    def __init__(self, latency: float = 0.0) -> None:
        self.pages: dict[str, Says] = {}
        self.asked: list[Asked] = []
        self._closing = threading.Event()
        site = self

        class Answerer(BaseHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None: ...

            def do_GET(self) -> None:
                began = time.monotonic()
                says = site.pages.get(self.path, Says(404))
                site._closing.wait(60 if says.hangs else latency)
                host = self.headers["Host"].partition(":")[0]
                site.asked.append(Asked(host, self.command, self.path, began, time.monotonic()))
                head = self.command == "HEAD"
                self.send_response(says.head if head and says.head else says.status)
                for name, value in {
                    "Content-Length": str(2**30 if says.drips else len(says.body)),
                    **says.headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                if not head:
                    self.wfile.write(says.body)
                    while says.drips and not site._closing.wait(0.02):
                        self.wfile.write(b"x")

            do_HEAD = do_GET  # noqa: N815 - the name is the library's

        self.server = _Server(("", 0), Answerer)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a path."""
        return f"http://{host}:{self.server.server_address[1]}{path}"

    def paths(self, method: str = "") -> list[str]:
        """The paths asked for, in order; robots.txt left out."""
        asked = [one for one in self.asked if one.path != "/robots.txt"]
        return [one.path for one in asked if one.method == (method or one.method)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no error."""
