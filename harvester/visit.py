"""Requests to strangers' links: hosts are asked one thing at a time, slowly, and as their robots.txt allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from protego import Protego
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from harvester.catalogue.leases import claim_host, release, renew
from harvester.catalogue.links import Outcome
from harvester.errors import ThrottledError, UnreachableError
from harvester.guard import PrivateAddressError, guarded_session, is_this_machine, read_within
from harvester.oai.transport import parse_retry_after
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.schedule import DAY, HOUR

_HOPS = 6
_ROBOTS_BYTES = 500 * 1024  # Spec: RFC 9309, 2.5
_BUSY = frozenset({429, 503})
_PLAIN = frozenset({404, 410}) | _BUSY  # said of the page and not of HEAD; other errors are asked again by GET
_RENEW_SECONDS = 20.0


class NotAskedError(UnreachableError):
    """Nothing was sent to the address. `why`: its robots.txt forbids it, it is on a host that nobody allowed, or it is
    no address of a web page."""

    def __init__(self, why: Literal["robots", "foreign-host", "not-a-web-link"], url: str) -> None:
        super().__init__(f"not asked: {why}", url=url)
        self.why = why


class RedirectLoopError(UnreachableError):
    """The server redirects without end."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two requests to a host at least, and to this machine itself; for one host in one go, to connect,
    and to answer; and the longest pause that a robots.txt may ask for."""

    pause: float = 2.0
    at_home: float = 0.0
    turn: float = 120.0
    connect: float = 10.0
    read: float = 20.0
    longest: float = DAY


@dataclass(slots=True)
class _Host:
    lock: threading.Lock = field(default_factory=threading.Lock)
    free_at: float = 0.0  # monotonic: no request before
    delay: float = 0.0  # what its robots.txt asks for
    robots: dict[str, tuple[int, Protego]] = field(default_factory=dict)  # by scheme and port: read when


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
        verify: whether servers' certificates are verified.
        held: a host that is the turn of `owner` already, who gives it back. It is renewed here.
    """

    def __init__(
        self,
        context: HarvestContext,
        hosts: Hosts,
        pace: Pace,
        delay: float = 0.0,
        *,
        verify: bool = True,
        held: str = "",
        owner: str = "",
    ) -> None:
        self._catalogue = context.catalogue
        self._stop = context.stop
        self._hosts = hosts
        self._pace = pace
        self._delay = delay
        self._agent = context.settings.user_agent
        self._held = held
        self._owner = owner or new_owner()
        self._ends = time.monotonic() + pace.turn
        self._session = guarded_session(context.settings)
        self._session.headers["User-Agent"] = self._agent
        if context.settings.admin_email:
            self._session.headers["From"] = context.settings.admin_email
        self._session.verify = verify
        if not verify:  # else urllib3 says so at each request
            urllib3.disable_warnings(InsecureRequestWarning)
        self._renewed = time.monotonic()
        self._asked = ""  # the host whose answer is being read

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

    @property
    def stopped(self) -> bool:
        """Whether somebody wants the work to end, or this visit's time is over."""
        return self._stop.is_set() or time.monotonic() >= self._ends

    @property
    def stopping(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._stop.is_set()

    @contextmanager
    def open(
        self,
        url: str,
        headers: Mapping[str, str],
        may: Callable[[str], bool] = lambda _host: True,
        *,
        robots: bool = True,
    ) -> Iterator[requests.Response]:
        """The answer to GET, redirects followed, its body not read; nobody else asks its host until the `with` ends.

        Whoever reads it calls `renew` after each piece. `may` says of each host on the way whether it may be asked.

        Raises:
            NotAskedError, RedirectLoopError: as they say.
            ThrottledError: a host on the way must not be asked now; nothing is known of the address.
            PrivateAddressError, ValueError, requests.RequestException, HTTPError: as of requests.
        """
        for _ in range(_HOPS):
            if not is_web_address(url):
                raise NotAskedError("not-a-web-link", url)
            if not may((urlsplit(url).hostname or "").lower()):
                raise NotAskedError("foreign-host", url)
            if robots and not self._may(url):
                raise NotAskedError("robots", url)
            with self._asking("GET", url, headers) as response:
                onward = self._session.get_redirect_target(response)
                if not onward:
                    yield response
                    return
            url = _join(url, onward)
        raise RedirectLoopError("the server redirects without end", url=url)

    def renew(self) -> None:
        """The host whose answer is being read stays ours, and the one that is held.

        Raises:
            HarvestSupersededError: others have it by now.
        """
        ours = {self._asked, self._held} - {""}
        if ours and time.monotonic() - self._renewed >= _RENEW_SECONDS:
            with self._catalogue.write(beside=True) as connection:
                for name in ours:
                    renew(connection, self._owner, name, self._catalogue.now())
            self._renewed = time.monotonic()

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
        read_at, rules = host.robots.get(origin, (now - DAY, None))
        if rules is None or now - read_at >= DAY:
            rules = self._fetch_rules(origin)
            host.robots[origin] = (now, rules)
            host.delay = float(rules.crawl_delay(self._agent) or 0)
        return bool(rules.can_fetch(url, self._agent))

    def _fetch_rules(self, origin: str) -> Protego:
        """What the host allows: everything where it has no robots.txt. Spec: RFC 9309, 2.3.1."""
        url = origin + "/robots.txt"
        for _ in range(_HOPS):
            answer = self._ask("GET", url, most=_ROBOTS_BYTES)
            if not is_web_address(answer.onward):
                break
            url = answer.onward
        return Protego.parse(answer.body.decode("utf-8", "replace") if answer.status < 300 else "")

    def _ask(self, method: str, url: str, most: int = 0) -> _Answer:
        """The head of the answer, and so many bytes of its body; these are those of a robots.txt."""
        with self._asking(method, url, {}, needed=most > 0) as response:
            onward = self._session.get_redirect_target(response)
            body = b"" if onward or not most else read_within(response, most, self._pace.read)
            return _Answer(response.status_code, _join(url, onward) if onward else "", body)

    @contextmanager
    def _asking(
        self, method: str, url: str, headers: Mapping[str, str], *, needed: bool = False
    ) -> Iterator[requests.Response]:
        """The answer; with `needed`, the host is not asked on where it fails."""
        name = urlsplit(url).hostname or ""
        host = self._hosts.find_or_make(name)
        if not host.lock.acquire(timeout=max(self._ends - time.monotonic(), 0.0)):
            raise ThrottledError("the host is not to be asked now", url=url, retry_after=0.0)
        try:
            wait = max(host.free_at - time.monotonic(), 0.0)
            if time.monotonic() + wait >= self._ends or not self._wait(wait) or not self._claim(name):
                raise ThrottledError("the host is not to be asked now", url=url, retry_after=wait)
            pause = self._pace.at_home if is_this_machine(name) else self._pace.pause
            self._asked, rest = name, max(pause, self._delay, min(host.delay, self._pace.longest))
            try:
                with self._session.request(
                    method,
                    url,
                    headers=dict(headers),
                    allow_redirects=False,
                    stream=True,
                    timeout=(self._pace.connect, self._pace.read),
                ) as response:
                    status = response.status_code
                    # Without its rules, or against its wish, a host is not asked on.
                    ends = status == 429 or (needed and status >= 500)
                    if ends or status in _BUSY:
                        wish = parse_retry_after(response.headers.get("Retry-After"))
                        rest = max(rest, min((HOUR if ends else 0) if wish is None else wish, DAY))
                    if ends:
                        raise ThrottledError("the host wants a rest", url=url, retry_after=rest)
                    yield response
            except PrivateAddressError:  # nothing was sent
                rest = 0.0
                raise
            finally:
                host.free_at = time.monotonic() + rest
                self._asked = ""
                if name != self._held:
                    with self._catalogue.write(beside=True) as connection:
                        release(connection, self._owner, name)
        finally:
            host.lock.release()

    def _wait(self, seconds: float) -> bool:
        """Whether so much time has passed and nobody wants the work to end; what is held stays so."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._stop.wait(min(left, _RENEW_SECONDS)):
                return False
            self.renew()
        return not self._stop.is_set()

    def _claim(self, name: str) -> bool:
        self.renew()
        if name == self._held:
            return True
        with self._catalogue.write(beside=True) as connection:
            return claim_host(connection, self._owner, name, self._catalogue.now()) is None


def _join(url: str, onward: str) -> str:
    """Where a redirect leads; as it was told where that is no address."""
    try:
        return urljoin(url, onward)
    except ValueError:
        return onward


def is_web_address(url: str) -> bool:
    """Whether the text is the address of a web page."""
    if not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    # Whoever connects takes a backslash for the end of the host, and what is looked at here stands behind it.
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "\\" not in parts.netloc


def _outcome(status: int) -> Outcome:
    if status < 400:
        return "alive"
    if status in {404, 410}:
        return "not-found"
    return "server-error" if status >= 500 else "refused"
