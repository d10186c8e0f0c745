"""One request at a time to one member's server: patient, polite, bounded in time and size."""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError, InsecureRequestWarning, ReadTimeoutError

from harvester.errors import ThrottledError, UnreachableError
from harvester.guard import BoundedAdapter, GuardedAdapter, PrivateAddressError

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent: the body, unpacked but never decoded as text. `fetched_at` is our clock's.

    `url` is where it came from, after redirects.
    """

    url: str
    status: int
    body: bytes
    fetched_at: int
    retry_after: float | None = None
    redirected: bool = False


class _Session(requests.Session):
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
        self._deadline = 0.0
        self.onward = ""

    def begin(self, url: str, deadline: float) -> None:
        """The next request is to this address, and where it is redirected is judged by that."""
        self._deadline, self.onward = deadline, ""
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
        """Where the answer leads to, if it does; its body was read within bounds, which requests does not do."""
        target = super().get_redirect_target(resp)
        if target is not None:
            self.onward = target
            self.onward = urljoin(resp.url, target)
            if not resp.raw.closed:
                with suppress(HTTPError):  # a body that nobody needs may break off
                    _read(resp, self._deadline)
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

    def fetch(self, url: str, parameters: Mapping[str, str]) -> Answer:
        """The server's answer, whatever its status, after tries on those failures that pass by themselves.

        Raises:
            UnreachableError: no connection, a time-out, or an answer that is too big or too slow.
            ThrottledError: the server asks for a longer pause than `max_wait`.
        """
        for tried in range(1, TRIES + 1):
            self.retries += tried > 1
            try:
                answer = self._fetch_once(url, parameters)
            except ValueError as error:  # of requests, urllib3 and idna, for whatever a Location header may hold
                onward = self._session.onward
                what = f"the server redirects to {_plain(onward)}, which" if onward else "the address"
                problem = "redirected" if onward else ""
                raise UnreachableError(f"{what} is no web address", url=url, problem=problem) from error
            except PrivateAddressError as error:
                what = f"the server redirects to {_plain(self._session.onward)}, and private networks are not asked"
                raise UnreachableError(what, url=url, problem="redirected") from error
            except (requests.RequestException, HTTPError, zlib.error) as error:
                if isinstance(error, zlib.error):
                    self._session.headers["Accept-Encoding"] = "identity"
                if self._is_last(tried) or isinstance(error, requests.exceptions.SSLError):
                    problem = "certificate" if isinstance(error, requests.exceptions.SSLError) else ""
                    raise UnreachableError(_sentence(error), url=url, problem=problem) from error
                self.pause(tried)
                continue
            if answer.status not in _RETRY_STATUS:
                return answer
            if answer.retry_after is not None and answer.retry_after > self._max_wait:
                self.rest = max(self.rest, answer.retry_after)
                raise ThrottledError(
                    f"the server asks us to wait {answer.retry_after:.0f} seconds",
                    url=answer.url,
                    retry_after=answer.retry_after,
                )
            if self._is_last(tried):
                return answer
            self.pause(tried, answer.retry_after, busy=answer.status in _BUSY_STATUS)
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

    def _fetch_once(self, url: str, parameters: Mapping[str, str]) -> Answer:
        if self._delay and (left := self._rested_at - time.monotonic()) > 0:
            self._stop.wait(left)
        self.requests += 1
        fetched_at = int(time.time())
        deadline = time.monotonic() + MAX_SECONDS
        self._session.begin(url, deadline)
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
                packed = _read(response, deadline)
        finally:
            self._rested_at = time.monotonic() + self._delay
        self.bytes += len(packed)
        body = _unpack(packed, response.url) if _is_packed(packed, response) else packed
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        return Answer(response.url, response.status_code, body, fetched_at, retry_after, bool(response.history))


def _read(response: requests.Response, deadline: float) -> bytes:
    """The body as it came. Each read ends with what has arrived, so a server that drips cannot hide the clock."""
    chunks = []
    size = 0
    while chunk := response.raw.read1(2**20, decode_content=False):
        size += len(chunk)
        if size > MAX_PAGE_BYTES:
            raise _too_big(response.url)
        if time.monotonic() >= deadline:
            raise UnreachableError(f"the answer was not complete after {MAX_SECONDS:.0f} seconds", url=response.url)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_packed(body: bytes, response: requests.Response) -> bool:
    """Whether it is gzip, labelled or not; some label what is none."""
    return body[:2] == b"\x1f\x8b" or response.headers.get("Content-Encoding", "").strip().lower() == "deflate"


def _unpack(body: bytes, url: str) -> bytes:
    """The unpacked body. Raises `zlib.error` where it is damaged or ends early."""
    unpacker = zlib.decompressobj(wbits=47 if body[:2] == b"\x1f\x8b" else 15)
    unpacked = unpacker.decompress(body, MAX_PAGE_BYTES)
    if unpacker.unconsumed_tail:
        raise _too_big(url)
    if not unpacker.eof:
        raise zlib.error("the packed answer ends early")
    return unpacked


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


def _sentence(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be trusted"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection within the time allowed"
    if isinstance(error, (requests.exceptions.Timeout, ReadTimeoutError)):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the server cannot be reached"
    return f"the answer broke off: {type(error).__name__}"
