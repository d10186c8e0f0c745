"""Whether strangers' links answer: hosts are asked one thing at a time, slowly, and as their robots.txt allows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import requests
from urllib3.exceptions import HTTPError

from harvester.catalogue.leases import claim_host, release
from harvester.catalogue.links import Outcome
from harvester.errors import ThrottledError
from harvester.guard import PrivateAddressError, guarded_session
from harvester.oai.transport import parse_retry_after
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.schedule import DAY, HOUR

_HOPS = 6
_ROBOTS_BYTES = 500 * 1024  # Spec: RFC 9309, 2.5
_BUSY = frozenset({429, 503})
_PLAIN = frozenset({404, 410}) | _BUSY  # said of the page and not of HEAD; other errors are asked again by GET


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two requests to a host at least, for one host in one go, to connect, and to answer."""

    pause: float = 2.0
    turn: float = 120.0
    connect: float = 10.0
    read: float = 20.0


@dataclass(slots=True)
class _Host:
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0  # monotonic: no request before
    delay: float = 0.0  # what its robots.txt asks for
    robots: dict[str, tuple[int, RobotFileParser]] = field(default_factory=dict)  # by scheme and port: read when


class Hosts:
    """What is remembered of hosts from one visit to the next, some kB of each. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, _Host] = {}

    def find_or_make(self, name: str) -> _Host:
        """What is known of the host of this name."""
        with self._lock:
            return self._known.setdefault(name, _Host())


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    onward: str  # where it redirects to
    body: bytes


class Visit:
    """One thread's requests, from now until its turn is over; `with` closes the connections.

    Args:
        delay: seconds between two requests to a host, where the pace's pause is shorter.
    """

    def __init__(self, context: HarvestContext, hosts: Hosts, pace: Pace, delay: float = 0.0) -> None:
        self._catalogue = context.catalogue
        self._stop = context.stop
        self._hosts = hosts
        self._pace = pace
        self._pause = max(pace.pause, delay)
        self._agent = context.settings.user_agent
        self._owner = new_owner()
        self._ends = time.monotonic() + pace.turn
        self._session = guarded_session(context.settings)
        self._session.headers["User-Agent"] = self._agent
        if context.settings.admin_email:
            self._session.headers["From"] = context.settings.admin_email

    def __enter__(self) -> Visit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def look(self, url: str) -> Outcome:
        """How the address answers, redirects followed; `unknown` where a robots.txt forbids to ask.

        Raises:
            ThrottledError: a host on the way must not be asked now; nothing is known of the address.
        """
        try:
            return self._follow(url)
        except PrivateAddressError:
            return "private-address"
        except requests.exceptions.SSLError:
            return "certificate"
        except ValueError:  # of requests, urllib3 and idna, for an address that only looks like one
            return "not-a-web-link"
        except (requests.RequestException, HTTPError):
            return "unreachable"

    def _follow(self, url: str) -> Outcome:
        for _ in range(_HOPS):
            if not is_web_address(url):
                return "not-a-web-link"
            if not self._may(url):
                return "unknown"
            answer = self._ask("HEAD", url)
            if answer.status >= 400 and answer.status not in _PLAIN:
                answer = self._ask("GET", url)
            if not answer.onward:
                return _outcome(answer.status)
            url = answer.onward
        return "unreachable"

    def _may(self, url: str) -> bool:
        parts = urlsplit(url)
        origin, now = f"{parts.scheme}://{parts.netloc}", self._catalogue.now()
        host = self._hosts.find_or_make(parts.hostname or "")
        read_at, rules = host.robots.get(origin, (now - DAY, RobotFileParser()))
        if now - read_at >= DAY:
            rules = self._fetch_rules(origin)
            host.robots[origin] = (now, rules)
            host.delay = float(rules.crawl_delay(self._agent) or 0)
        return rules.can_fetch(self._agent, url)

    def _fetch_rules(self, origin: str) -> RobotFileParser:
        """What the host allows: everything where it has no robots.txt. Spec: RFC 9309, 2.3.1."""
        url = origin + "/robots.txt"
        for _ in range(_HOPS):
            answer = self._ask("GET", url, most=_ROBOTS_BYTES)
            if not is_web_address(answer.onward):
                break
            url = answer.onward
        rules = RobotFileParser()
        rules.parse(answer.body.decode("utf-8", "replace").splitlines() if answer.status < 300 else [])
        return rules

    def _ask(self, method: str, url: str, most: int = 0) -> _Answer:
        """The head of the answer, and so many bytes of its body; these are those of a robots.txt."""
        name = urlsplit(url).hostname or ""
        host = self._hosts.find_or_make(name)
        with host.lock:
            wait = max(host.free_at - time.monotonic(), 0.0)
            if time.monotonic() + wait >= self._ends or self._stop.wait(wait) or not self._claim(name):
                raise ThrottledError("the host is not to be asked now", url=url, retry_after=wait)
            rest = max(self._pause, host.delay)
            try:
                with self._session.request(
                    method,
                    url,
                    allow_redirects=False,
                    stream=True,
                    timeout=(self._pace.connect, self._pace.read),
                ) as response:
                    status = response.status_code
                    # Without its rules, or against its wish, a host is not asked on.
                    ends = status == 429 or (most > 0 and status >= 500)
                    if ends or status in _BUSY:
                        wish = parse_retry_after(response.headers.get("Retry-After"))
                        rest = max(rest, min((HOUR if ends else 0) if wish is None else wish, DAY))
                    onward = self._session.get_redirect_target(response)
                    body = b"" if onward else self._read(response, most)
                    answer = _Answer(status, urljoin(url, onward) if onward else "", body)
            finally:
                host.free_at = time.monotonic() + rest
                with self._catalogue.write(beside=True) as connection:
                    release(connection, self._owner, name)
        if ends:
            raise ThrottledError("the host wants a rest", url=url, retry_after=rest)
        return answer

    def _claim(self, name: str) -> bool:
        with self._catalogue.write(beside=True) as connection:
            return claim_host(connection, self._owner, name, self._catalogue.now()) is None

    def _read(self, response: requests.Response, most: int) -> bytes:
        body = bytearray()
        ends = time.monotonic() + self._pace.read
        while len(body) < most and time.monotonic() < ends:
            chunk = response.raw.read1(most - len(body), decode_content=True)
            if not chunk:
                break
            body += chunk
        return bytes(body)


def is_web_address(url: str) -> bool:
    """Whether the text is the address of a web page."""
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _outcome(status: int) -> Outcome:
    if status < 400:
        return "alive"
    if status in {404, 410}:
        return "not-found"
    return "server-error" if status >= 500 else "refused"
