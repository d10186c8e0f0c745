"""Sample repositories behind a real HTTP server, in a thread of this process."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.message import Message
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from harvester.errors import ConfigError
from harvester.samples.pages import front_page, galley_page, landing_page, linkset, linkset_path, signposts
from harvester.samples.repository import SampleFile, SampleRecord, SampleRepository
from harvester.samples.serving import NOTHING, TEXT, Answer, answer_file
from harvester.samples.verbs import answer

__all__ = ["SampleServer", "answer", "serve"]


def serve(
    repositories: Iterable[SampleRepository], host: str = "127.0.0.1", port: int = 0, latency: float = 0.0
) -> SampleServer:
    """A running server of the repositories; it ends with its `with` block or with `close`.

    Args:
        port: 0 takes a free one.
        latency: seconds to wait before each answer.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
    """
    return SampleServer(repositories, host, port, latency)


class SampleServer:
    """Serves repositories on one port; they may be replaced while it runs.

    Attributes:
        requests: HTTP requests answered so far, of whatever kind.
    """

    def __init__(self, repositories: Iterable[SampleRepository], host: str, port: int, latency: float) -> None:
        self.requests = 0
        self.latency = latency
        self._lock = threading.Lock()
        self._endpoints: dict[str, SampleRepository] = {}
        self._pages: dict[str, dict[str, _Answers]] = {}
        self._closed = threading.Event()
        for repository in repositories:
            self.replace(repository)
        try:
            self._http = _HttpServer((host, port), self)
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
            raise ConfigError(f"port {port} on {host} {why}; choose another port") from error
        self.port: int = self._http.server_address[1]
        self.base = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> SampleServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing listens on the port any more, and open connections are cut; a second call does nothing."""
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def url_of(self, slug: str) -> str:
        """The base URL of a member's endpoint."""
        return self.base + next(path for path, member in self._endpoints.items() if member.slug == slug)

    def replace(self, repository: SampleRepository) -> None:
        """From the next request on, this repository is served in the place of the one with its slug, if any."""
        pages = dict(_iter_pages(repository))
        with self._lock:
            kept = {path: member for path, member in self._endpoints.items() if member.slug != repository.slug}
            self._endpoints = kept | {repository.path: repository}
            self._pages[repository.slug] = pages

    def respond(self, target: str, form: bytes | None, asked: Message, now: datetime) -> Answer:
        """The answer to one request.

        Args:
            target: the request's path and query.
            form: the body of a POST, None for GET and HEAD.
            asked: the request's headers.
        """
        with self._lock:
            self.requests += 1
        self._closed.wait(self.latency)
        url = urlsplit(target)
        repository = self._endpoints.get(url.path)
        if repository is not None:
            query = url.query if form is None else form.decode("utf-8", "replace")
            arguments = parse_qsl(query, keep_blank_values=True)
            return Answer(answer(repository, self.base + url.path, arguments, now), "text/xml; charset=UTF-8")
        members = tuple(self._endpoints.values())
        if target == "/":
            return Answer(front_page(members, self.base))
        for member in members:
            page = self._pages[member.slug].get(target)
            if page is not None:
                return page(self.base, asked)
        return NOTHING


_Answers = Callable[[str, Message], Answer]
"""What answers at one address, given the server's own and the request's headers."""


def _iter_pages(repository: SampleRepository) -> Iterator[tuple[str, _Answers]]:
    """The landing pages and the files of a repository's live records, and what leads from the ones to the others."""
    for record in repository.records:
        if record.page and not record.deleted:
            yield record.page, partial(_answer_landing, repository, record)
        if record.files and repository.platform == "dspace":
            yield linkset_path(record), partial(_answer_linkset, record)
        for file in record.files:
            yield file.path, partial(_answer_file, file)
            if repository.platform == "ojs":
                yield file.path.replace("/download/", "/view/"), partial(_answer_galley, file)


def _answer_landing(repository: SampleRepository, record: SampleRecord, base: str, _: Message) -> Answer:
    return Answer(landing_page(repository, record, base), headers=signposts(repository, record, base))


def _answer_linkset(record: SampleRecord, base: str, _: Message) -> Answer:
    return Answer(linkset(record, base), "application/linkset+json")


def _answer_galley(file: SampleFile, base: str, _: Message) -> Answer:
    return Answer(galley_page(file, base))


def _answer_file(file: SampleFile, _: str, asked: Message) -> Answer:
    return answer_file(file, asked)


class _HttpServer(ThreadingHTTPServer):
    """Knows its open connections, so that closing it cuts those that clients keep alive."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], sample: SampleServer) -> None:
        self.sample = sample
        self._connections: set[Any] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in tuple(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes; without this the second waits for the client's delayed ACK (40 ms).
    disable_nagle_algorithm = True
    server: _HttpServer

    def do_GET(self) -> None:
        self._send(self.server.sample.respond(self.path, None, self.headers, datetime.now(UTC)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            self._send(Answer(b"A Content-Length is needed.\n", TEXT, HTTPStatus.LENGTH_REQUIRED))
            return
        form = self.rfile.read(int(length))
        self._send(self.server.sample.respond(self.path, form, self.headers, datetime.now(UTC)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that http.server gives it
        """Nothing is written to stderr for each request."""
