"""A real HTTP server whose repositories answer OAI-PMH as told, and misbehave on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape, quoteattr

SECONDS = "YYYY-MM-DDThh:mm:ssZ"
DAY = "YYYY-MM-DD"
_DC = "http://purl.org/dc/elements/1.1/"


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """One item. `deleted_in` names the prefixes in which it is deleted; `payload` replaces the whole metadata."""

    identifier: str
    datestamp: str = "2024-01-01T00:00:00Z"
    title: str = "A title"
    sets: tuple[str, ...] = ()
    deleted_in: tuple[str, ...] = ()
    payload: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its place in a list."""
        return self.datestamp, self.identifier


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `number` counts the repository's requests from 1; times are monotonic seconds."""

    number: int
    arguments: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    began: float

    @property
    def verb(self) -> str:
        """The verb, empty where there is none."""
        return self.arguments.get("verb", "")

    @property
    def resumes(self) -> bool:
        """Whether it asks for a further part of a list."""
        return "resumptionToken" in self.arguments


@dataclass(frozen=True, slots=True)
class Fault:
    """How a request is answered wrongly. `body` None: the right body, changed by `edit`.

    Args:
        cut: the connection ends after so many bytes of the body.
        delay: seconds before the answer, ended early when the provider closes.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[bytes], bytes] | None = None
    cut: int | None = None
    delay: float = 0.0


class FakeRepository:
    """Records served page by page, in the order of (datestamp, identifier), with keyset tokens.

    Attributes:
        requests: every request, as it came in.
        intervals: (began, ended) of every request, in monotonic seconds.
        sent: every body, as it was sent.
        on_request: called before each answer is made.
        now: the responseDate of every answer; a callable gives a new one for each.
        token_tail: stands at the end of every token.
        state_size: whether tokens carry completeListSize; a number is stated instead of the truth.
        last_token: whether the last part, too, carries a token, which leads to noRecordsMatch.
    """

    def __init__(self, records: Iterable[FakeRecord] = (), *, page_size: int = 5, granularity: str = SECONDS) -> None:
        self.records: dict[str, FakeRecord] = {record.identifier: record for record in records}
        self.page_size = page_size
        self.granularity = granularity
        self.prefixes: tuple[str, ...] = ("oai_dc",)
        self.name = "A fake repository"
        self.now: str | Callable[[], str] = "2024-05-01T12:00:00Z"
        self.token_tail = ""
        self.state_size: bool | int = True
        self.last_token = False
        self.on_request: Callable[[Request], None] = lambda _request: None
        self.requests: list[Request] = []
        self.intervals: list[tuple[float, float]] = []
        self.sent: list[bytes] = []
        self._faults: list[tuple[Callable[[Request], bool], list[Fault]]] = []
        self._tokens: dict[str, tuple[dict[str, str], tuple[str, str], int]] = {}
        self._lock = threading.RLock()

    def put(self, *records: FakeRecord) -> None:
        """These records stand in the place of those with their identifiers."""
        with self._lock:
            self.records = {**self.records, **{record.identifier: record for record in records}}

    def fail(self, on: Callable[[Request], bool] | str | int, *faults: Fault) -> None:
        """The next requests that `on` chooses (a verb, a request's number, or a function) meet these faults in turn."""
        choose = on if callable(on) else (lambda r: on in (r.verb, r.number))
        self._faults.append((choose, list(faults)))

    def expire_tokens(self) -> None:
        """No token that was given so far is known any more."""
        with self._lock:
            self._tokens.clear()

    def lists(self, verb: str = "ListRecords") -> list[Request]:
        """The requests of this verb so far."""
        return [request for request in self.requests if request.verb == verb]

    def take(self, query: str, headers: Mapping[str, str]) -> tuple[Request, bytes, Fault]:
        """The request, the body that answers it, and what is wrong with the answer."""
        arguments = dict(parse_qsl(query, keep_blank_values=True))
        with self._lock:
            request = Request(len(self.requests) + 1, arguments, query, headers, time.monotonic())
            self.requests.append(request)
        self.on_request(request)
        with self._lock:
            fault = self._find_fault(request)
            body = self.answer(arguments) if fault.body is None else fault.body
            return request, fault.edit(body) if fault.edit else body, fault

    def done(self, request: Request, body: bytes) -> None:
        """The answer has been sent."""
        with self._lock:
            self.intervals.append((request.began, time.monotonic()))
            self.sent.append(body)

    def answer(self, arguments: Mapping[str, str]) -> bytes:
        """The right answer."""
        verb = arguments.get("verb", "")
        if verb == "Identify":
            return self._wrap(
                f"<Identify><repositoryName>{escape(self.name)}</repositoryName>"
                f"<granularity>{self.granularity}</granularity></Identify>"
            )
        if verb == "GetRecord":
            return self._single(arguments)
        if verb not in {"ListRecords", "ListIdentifiers"}:
            return self._error("badVerb")
        asked, after, cursor = dict(arguments), ("", ""), 0
        if token := arguments.get("resumptionToken"):
            if token not in self._tokens:
                return self._error("badResumptionToken")
            asked, after, cursor = self._tokens[token]
        if asked.get("metadataPrefix") not in self.prefixes:
            return self._error("cannotDisseminateFormat")
        return self._part({**asked, "verb": verb}, after, cursor)  # a token is good for either verb

    def _single(self, asked: Mapping[str, str]) -> bytes:
        record = self.records.get(asked.get("identifier", ""))
        if record is None:
            return self._error("idDoesNotExist")
        if asked.get("metadataPrefix") not in self.prefixes:
            return self._error("cannotDisseminateFormat")
        return self._wrap(f"<GetRecord>{self._record(record, asked['metadataPrefix'])}</GetRecord>")

    def _part(self, asked: dict[str, str], after: tuple[str, str], cursor: int) -> bytes:
        until = asked.get("until", "~")
        verb, prefix, from_, wanted = asked["verb"], asked["metadataPrefix"], asked.get("from", ""), asked.get("set")
        found = sorted(
            (
                record
                for record in self.records.values()
                if from_ <= record.datestamp
                and record.datestamp[: len(until)] <= until
                and (wanted is None or wanted in record.sets)
            ),
            key=lambda record: record.key,
        )
        rest = [record for record in found if record.key > after]
        if not rest:
            return self._error("noRecordsMatch")
        part = rest[: self.page_size]
        more = len(rest) > len(part)
        write = self._header if verb == "ListIdentifiers" else self._record
        text = "".join(write(record, prefix) for record in part)
        if more or cursor or self.last_token:
            token = f"{prefix}|{wanted or ''}|{from_}|{'|'.join(part[-1].key)}{self.token_tail}"
            self._tokens[token] = (asked, part[-1].key, cursor + len(part))
            size = len(found) if self.state_size is True else self.state_size
            stated = f" completeListSize={quoteattr(str(size))}" if self.state_size is not False else ""
            shown = escape(token) if more or self.last_token else ""
            text += f'<resumptionToken cursor="{cursor}"{stated}>{shown}</resumptionToken>'
        return self._wrap(f"<{verb}>{text}</{verb}>")

    def _header(self, record: FakeRecord, prefix: str) -> str:
        datestamp = record.datestamp[:10] if self.granularity == DAY else record.datestamp
        return (
            f"<header{' status=' + quoteattr('deleted') if prefix in record.deleted_in else ''}>"
            f"<identifier>{escape(record.identifier)}</identifier><datestamp>{datestamp}</datestamp>"
            + "".join(f"<setSpec>{escape(name)}</setSpec>" for name in record.sets)
            + "</header>"
        )

    def _record(self, record: FakeRecord, prefix: str) -> str:
        deleted = prefix in record.deleted_in
        header = self._header(record, prefix)
        payload = record.payload
        if payload is None:
            title = f"<dc:title>{escape(record.title)}</dc:title>"
            payload = f'<{prefix}:dc xmlns:{prefix}="urn:{prefix}" xmlns:dc="{_DC}">{title}</{prefix}:dc>'
        return f"<record>{header}{'' if deleted else f'<metadata>{payload}</metadata>'}</record>"

    def _error(self, code: str) -> bytes:
        return self._wrap(f'<error code="{code}">told so</error>')

    def _wrap(self, inner: str) -> bytes:
        now = self.now if isinstance(self.now, str) else self.now()
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
            f"<responseDate>{now}</responseDate><request>http://fake.example/oai</request>{inner}</OAI-PMH>"
        ).encode()

    def _find_fault(self, request: Request) -> Fault:
        for choose, faults in self._faults:
            if faults and choose(request):
                return faults.pop(0)
        return Fault()


class FakeProvider:
    """Serves repositories at paths of one host; `with` ends it. `host` may be any loopback address."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.closed = threading.Event()
        self.repositories: dict[str, FakeRepository] = {}
        self._http = _Server((host, 0), self)
        self.base = f"http://{host}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeProvider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing listens any more."""
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def serve(self, repository: FakeRepository, path: str = "/oai") -> str:
        """The repository's base URL; it answers from now on."""
        self.repositories[path] = repository
        return self.base + path


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], provider: FakeProvider) -> None:
        self.provider = provider
        super().__init__(address, _Answerer)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Answerer(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.close_connection = True  # no connection outlives its answer: a closed provider is gone at once
        url = urlsplit(self.path)
        repository = self.server.provider.repositories.get(url.path)
        if repository is None:
            self.send_error(404)
            return
        request, body, fault = repository.take(url.query, dict(self.headers))
        self.server.provider.closed.wait(fault.delay)
        self.send_response(fault.status)
        headers = {"Content-Type": "text/xml; charset=UTF-8", "Content-Length": str(len(body)), **fault.headers}
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        repository.done(request, body)
        self.wfile.write(body if fault.cut is None else body[: fault.cut])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Nothing is written to stderr for each request."""
