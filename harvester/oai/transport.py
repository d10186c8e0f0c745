"""One request at a time to one member's server: patient, polite, bounded in time and size."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from harvester.errors import ThrottledError, UnreachableError

CONNECT_TIMEOUT = 15.0
# Seconds without a byte. Old servers sort their whole catalogue before the first one.
READ_TIMEOUT = 180.0
MAX_PAGE_BYTES = 64 * 2**20
MAX_SECONDS = 1800.0
TRIES = 5
_RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
# DSpace 7 sends its web page to whoever names text/html first.
_ACCEPT = "text/xml, application/xml;q=0.9, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent: the body as it was before any decoding of text. `fetched_at` is our clock's."""

    url: str
    status: int
    body: bytes
    fetched_at: int
    retry_after: float | None = None


class Transport:
    """Asks one server. Not for use by several threads; `stop` ends a pause early.

    Args:
        user_agent: who we are, with an address for complaints.
        from_email: sent as From where it is not empty.
        max_wait: seconds; the longest pause between two tries.
        stop: set by whoever wants the work to end at the next opportunity.
    """

    def __init__(
        self, *, user_agent: str, from_email: str, max_wait: float, stop: threading.Event | None = None
    ) -> None:
        self._max_wait = max_wait
        self._stop = stop or threading.Event()
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent, "Accept": _ACCEPT})
        if from_email:
            self._session.headers["From"] = from_email
        self._surroundings: dict[str, Any] = {}
        self.requests = 0
        self.bytes = 0

    def fetch(self, url: str, parameters: Mapping[str, str]) -> Answer:
        """The server's answer, whatever its status, after tries on those failures that pass by themselves.

        Raises:
            UnreachableError: no connection, a time-out, or an answer that is too big or too slow.
            ThrottledError: the server asks for a longer pause than `max_wait`.
        """
        for tried in range(1, TRIES + 1):
            try:
                answer = self._fetch_once(url, parameters)
            except ValueError as error:  # of requests, urllib3 and idna, for whatever a Location header may hold
                raise UnreachableError("the address, or one it redirects to, is no web address", url=url) from error
            except requests.RequestException as error:
                if self._is_last(tried):
                    raise UnreachableError(_sentence(error), url=url) from error
                self._pause(tried, None)
                continue
            if answer.status not in _RETRY_STATUS:
                return answer
            if answer.retry_after is not None and answer.retry_after > self._max_wait:
                raise ThrottledError(
                    f"the server asks us to wait {answer.retry_after:.0f} seconds",
                    url=answer.url,
                    retry_after=answer.retry_after,
                )
            if self._is_last(tried):
                return answer
            self._pause(tried, answer.retry_after)
        raise AssertionError("unreachable: the last try returns or raises")

    def close(self) -> None:
        """The connections are closed."""
        self._session.close()

    def _is_last(self, tried: int) -> bool:
        return tried == TRIES or self._stop.is_set()

    def _fetch_once(self, url: str, parameters: Mapping[str, str]) -> Answer:
        self.requests += 1
        fetched_at = int(time.time())
        deadline = time.monotonic() + MAX_SECONDS
        if not self._surroundings:
            # Proxies and certificates of the environment: requests would read them again for each request,
            # which costs as much as the request itself.
            self._surroundings = dict(self._session.merge_environment_settings(url, {}, True, None, None))
            self._session.trust_env = False
        with self._session.get(
            url, params=parameters, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), **self._surroundings
        ) as response:
            chunks = []
            size = 0
            # Each byte starts READ_TIMEOUT anew: against a server that drips, somebody else must look at the clock.
            clock = threading.Timer(max(0.0, deadline - time.monotonic()), _hang_up, (response,))
            clock.daemon = True
            clock.start()
            try:
                for chunk in response.iter_content(2**17):
                    size += len(chunk)
                    if size > MAX_PAGE_BYTES:
                        limit = f"{MAX_PAGE_BYTES // 2**20} MB"
                        raise UnreachableError(f"the answer is larger than {limit}", url=response.url)
                    chunks.append(chunk)
            except requests.RequestException:
                if time.monotonic() < deadline:
                    raise
            finally:
                clock.cancel()
            if time.monotonic() >= deadline:
                raise UnreachableError(f"the answer was not complete after {MAX_SECONDS:.0f} seconds", url=response.url)
            self.bytes += size
            retry_after = _retry_after(response.headers.get("Retry-After"))
            return Answer(response.url, response.status_code, b"".join(chunks), fetched_at, retry_after)

    def _pause(self, tried: int, retry_after: float | None) -> None:
        seconds = 2.0**tried if retry_after is None else retry_after
        # Jitter upwards only: never sooner than the server asked.
        self._stop.wait(min(seconds * random.uniform(1.0, 1.25), self._max_wait))  # noqa: S311 - not a secret


def _hang_up(response: requests.Response) -> None:
    with suppress(OSError, ValueError):  # it has ended by itself meanwhile
        response.raw.shutdown()


def _retry_after(value: str | None) -> float | None:
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


def _sentence(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be trusted"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection within the time allowed"
    if isinstance(error, requests.exceptions.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the server cannot be reached"
    return f"the answer broke off: {type(error).__name__}"
