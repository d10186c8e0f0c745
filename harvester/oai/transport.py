"""One request at a time to one member's server: patient, polite, bounded in time and size."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError, InsecureRequestWarning, ReadTimeoutError

from harvester.errors import ThrottledError, UnreachableError
from harvester.guard import BoundedAdapter, BoundedSession, GuardedAdapter, PrivateAddressError

CONNECT_TIMEOUT = 15.0
# Seconds without a byte. Old servers sort their whole catalogue before the first one.
READ_TIMEOUT = 180.0
MAX_PAGE_BYTES = 64 * 2**20
MAX_SECONDS = 1800.0
TRIES = 5
_MAX_REDIRECTS = 10
_BUSY_STATUS = frozenset({429, 503})
_RETRY_STATUS = _BUSY_STATUS | {500, 502, 504}
# DSpace 7 sends its web page to whoever names text/html first.
_ACCEPT = "text/xml, application/xml;q=0.9, */*;q=0.1"
_GZIP = b"\x1f\x8b"
_PIECE = 2**14  # bytes unpacked at once: those behind the end of a gzip member are copied for the next


_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.ConnectTimeout, "no connection within the time allowed"),
    (requests.exceptions.Timeout, "the server did not answer in time"),
    (requests.exceptions.TooManyRedirects, "the server redirects without end"),
    (requests.exceptions.ConnectionError, "the server cannot be reached"),
    (Exception, "the server's answer cannot be read"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent: the body, unpacked but never decoded as text. `fetched_at` is our clock's.

    `url` is where it came from, after redirects. `broken` says why this is not the whole answer, in words; the body
    is what came of it then, as it came.
    """

    url: str
    status: int
    body: bytes
    fetched_at: int
    retry_after: float | None = None
    redirected: bool = False
    broken: str = ""


class BrokenAnswerError(UnreachableError):
    """An answer began and broke off, or cannot be unpacked; `answer` is what came."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.broken, url=answer.url)
        self.answer = answer


class _Session(BoundedSession):
    """Asks any address that it is given, and only public ones that a server redirects to, but for its own host.

    Attributes:
        onward: where the newest redirect of the present request leads; empty where there was none.
    """

    def __init__(self, *, allow_private: bool) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, BoundedAdapter())
        self._elsewhere = BoundedAdapter() if allow_private else GuardedAdapter()
        self.max_redirects = _MAX_REDIRECTS
        self._given = self._origin = ""
        self._host: str | None = None
        self.onward = ""

    def begin(self, url: str) -> None:
        """The next request is to this address, and where it is redirected is judged by that."""
        self.onward = ""
        if url != self._given:
            parts = urlsplit(requests.Request("GET", url).prepare().url or "")
            self._given, self._host = url, parts.hostname
            self._origin = f"{parts.scheme}://{parts.netloc}/"

    def close(self) -> None:
        """The connections are closed."""
        super().close()
        self._elsewhere.close()

    def get_adapter(self, url: str) -> BaseAdapter:
        """The one that may connect to the address."""
        adapter = super().get_adapter(url)
        return adapter if url.startswith(self._origin) or urlsplit(url).hostname == self._host else self._elsewhere

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where the answer leads to, if it does; nothing of its body is left to be read."""
        target = super().get_redirect_target(resp)
        if target is not None:
            self.onward = target
            self.onward = urljoin(resp.url, target)
        return target


class Transport:
    """Asks one server. Not for use by several threads at once; `stop` ends a pause early.

    Args:
        user_agent: who we are, with an address for complaints.
        from_email: sent as From where it is not empty.
        max_wait: seconds; the longest pause between two tries.
        stop: set by whoever wants the work to end at the next opportunity.
        delay: seconds from the end of one request to the next.
        verify: whether the server's certificate is verified.
        packed: whether gzip is welcome.
        allow_private: whether it may be redirected to private addresses of other hosts, or through a proxy to others.

    Attributes:
        requests, retries, bytes: what it has done so far; bytes as they came over the line.
        rest: seconds; the longest pause that the server asked for in vain.
        only_plain: what shows that the server's gzip is damaged and its plain answers are well; empty: nothing yet.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        from_email: str,
        max_wait: float,
        stop: threading.Event | None = None,
        delay: float = 0.0,
        verify: bool = True,
        packed: bool = True,
        allow_private: bool = False,
    ) -> None:
        self._max_wait = max_wait
        self._stop = stop or threading.Event()
        self._delay = delay
        self._verify = verify
        self._rested_at = 0.0  # monotonic: no request before
        self._session = _Session(allow_private=allow_private)
        if not verify:  # else urllib3 says so at each request
            urllib3.disable_warnings(InsecureRequestWarning)
        encoding = "gzip" if packed else "identity"
        self._session.headers.update({"User-Agent": user_agent, "Accept": _ACCEPT, "Accept-Encoding": encoding})
        if from_email:
            self._session.headers["From"] = from_email
        self._surroundings: dict[str, Any] = {}
        self.requests = 0
        self.retries = 0
        self.bytes = 0
        self.rest = 0.0
        self.only_plain = ""
        self._damage = ""  # of the newest packed answer, where that is the server's own

    def fetch(self, url: str, parameters: Mapping[str, str]) -> Answer:
        """The server's answer, whatever its status, after tries on those failures that pass by themselves.

        Raises:
            UnreachableError: no connection, a time-out, or an answer that is too big.
            BrokenAnswerError: an answer that broke off, is too slow, or cannot be unpacked.
            ThrottledError: the server asks for a longer pause than `max_wait`.
        """
        for tried in range(1, TRIES + 1):
            self.retries += tried > 1
            try:
                answer = self._fetch_once(url, parameters)
            except (ValueError, PrivateAddressError, requests.RequestException, HTTPError) as error:
                failure, passes = self._failure(error, _whole(url, parameters))
                if not passes or self._is_last(tried):
                    raise failure from error
                self.pause(tried)
                continue
            if answer.status not in _RETRY_STATUS and not answer.broken:
                return answer
            busy = answer.status in _BUSY_STATUS
            asked = answer.retry_after if answer.status in _RETRY_STATUS else None
            if asked is not None and asked > self._max_wait:
                self.rest = max(self.rest, asked)
                raise ThrottledError(
                    f"the server asks us to wait {asked:.0f} seconds", url=answer.url, retry_after=asked
                )
            if self._is_last(tried):
                if answer.broken:
                    raise BrokenAnswerError(answer)
                return answer
            self.pause(tried, asked, busy=busy)
        raise AssertionError("unreachable: the last try returns or raises")

    def pause(self, tried: int, retry_after: float | None = None, *, busy: bool = False) -> None:
        """Time has passed before the next try: as the server asks, else growing; minutes where it is busy."""
        seconds = (30.0 if busy else 1.0) * 2.0**tried if retry_after is None else retry_after
        # Jitter upwards only: never sooner than the server asked.
        self._stop.wait(min(seconds * random.uniform(1.0, 1.25), self._max_wait))  # noqa: S311 - not a secret

    @property
    def stopped(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._stop.is_set()

    def close(self) -> None:
        """The connections are closed."""
        self._session.close()

    def _is_last(self, tried: int) -> bool:
        return tried == TRIES or self._stop.is_set()

    def _failure(self, error: Exception, url: str) -> tuple[UnreachableError, bool]:
        """The error in words, and whether it may pass by itself."""
        onward = _plain(self._session.onward)
        problem = "redirected" if onward else ""
        if isinstance(error, PrivateAddressError):
            what = f"the server redirects to {onward}, and private networks are not asked"
            return UnreachableError(what, url=url, problem="redirected"), False
        if isinstance(error, ValueError):  # of requests, urllib3 and idna, for whatever a Location header may hold
            what = f"the server redirects to {onward}, which" if onward else "the address"
            return UnreachableError(f"{what} is no web address", url=url, problem=problem), False
        if isinstance(error, requests.exceptions.SSLError):
            return UnreachableError("the server's certificate cannot be trusted", url=url, problem="certificate"), False
        sentence = next(words for kind, words in _SENTENCES if isinstance(error, kind))
        return UnreachableError(sentence, url=url), True

    def _fetch_once(self, url: str, parameters: Mapping[str, str]) -> Answer:
        if self._delay and (left := self._rested_at - time.monotonic()) > 0:
            self._stop.wait(left)
        self.requests += 1
        fetched_at = int(time.time())
        deadline = time.monotonic() + MAX_SECONDS
        self._session.begin(url)
        if not self._surroundings:
            # Proxies and certificates of the environment: requests would read them again for each request,
            # which costs as much as the request itself.
            verify = None if self._verify else False
            self._surroundings = dict(self._session.merge_environment_settings(url, {}, True, verify, None))
            self._session.trust_env = False
        try:
            with self._session.get(
                url, params=parameters, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), **self._surroundings
            ) as response:
                body, broken = _read(response, deadline)
        finally:
            self._rested_at = time.monotonic() + self._delay
        self.bytes += len(body)
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        answer = Answer(
            response.url, response.status_code, body, fetched_at, retry_after, bool(response.history), broken
        )
        if broken and time.monotonic() >= deadline:
            raise BrokenAnswerError(answer)
        return answer if broken else self._unpacked(answer, response)

    def _unpacked(self, answer: Answer, response: requests.Response) -> Answer:
        """The answer, unpacked if need be; from one that cannot be on, plain answers are asked for."""
        if _is_packed(answer.body, response):
            try:
                answer = replace(answer, body=_unpack(answer.body, answer.url))
            except EOFError:
                answer = replace(answer, broken="the packed answer ends early")
            except zlib.error:
                answer = replace(answer, broken="the packed answer is damaged")
            # Without a length, it may have been the connection that ended early.
            sized = {"Content-Length", "Transfer-Encoding"} & response.headers.keys()
            self._damage = answer.broken if sized else ""
            if answer.broken:
                self._session.headers["Accept-Encoding"] = "identity"
        elif self._damage and answer.status < 400:
            self.only_plain = self.only_plain or f"{self._damage}, and a plain one is well: {answer.url}"
        return answer


def _whole(url: str, parameters: Mapping[str, str]) -> str:
    """The address as it is asked for, where it is one."""
    with suppress(ValueError):
        return requests.Request("GET", url, params=dict(parameters)).prepare().url or url
    return url


def _read(response: requests.Response, deadline: float) -> tuple[bytes, str]:
    """The body as it came, and why there is no more of it; empty where it is whole.

    Each read ends with what has arrived, so a server that drips cannot hide the clock.
    """
    chunks = []
    size = 0
    broken = ""
    try:
        while chunk := response.raw.read1(2**20, decode_content=False):
            size += len(chunk)
            if size > MAX_PAGE_BYTES:
                raise _too_big(response.url)
            chunks.append(chunk)
            if time.monotonic() >= deadline:
                broken = f"the answer was not complete after {MAX_SECONDS:.0f} seconds"
                break
    except ReadTimeoutError:
        broken = f"the server did not go on in time; it has sent {size:,} bytes"
    except HTTPError:
        broken = f"the connection was cut after {size:,} bytes"
    return chunks[0] if len(chunks) == 1 else b"".join(chunks), broken


def _is_packed(body: bytes, response: requests.Response) -> bool:
    """Whether it is gzip, labelled or not; some label what is none."""
    return body.startswith(_GZIP) or response.headers.get("Content-Encoding", "").strip().lower() == "deflate"


def _unpack(body: bytes, url: str) -> bytes:
    """The unpacked body, of all its members where it is gzip. What lies behind them is left out.

    Raises:
        EOFError: it ends early.
        zlib.error: it is damaged.
    """
    parts: list[bytes] = []
    size = at = 0
    while at < len(body) and (at == 0 or body.startswith(_GZIP, at)):
        unpacker = zlib.decompressobj(wbits=47 if body.startswith(_GZIP) else 15)
        while not unpacker.eof:
            if at == len(body):
                raise EOFError
            piece = body[at : at + _PIECE]
            part = unpacker.decompress(piece, MAX_PAGE_BYTES - size + 1)
            size += len(part)
            if size > MAX_PAGE_BYTES:
                raise _too_big(url)
            parts.append(part)
            at += len(piece) - len(unpacker.unused_data)
    return b"".join(parts)


def _too_big(url: str) -> UnreachableError:
    return UnreachableError(f"the answer is larger than {MAX_PAGE_BYTES // 2**20} MB", url=url)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from either form of the header; None where it is absent or unreadable."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _plain(address: str) -> str:
    """An address of a server's own choice, fit to be read."""
    return "".join(filter(str.isprintable, address))[:200]
