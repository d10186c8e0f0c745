"""The requests of a check: few, slow, bounded in number, size and time; and the base URL found from any address."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import requests
from lxml import etree

from harvester.catalogue.members import trim_base_url
from harvester.errors import ConfigError, MalformedResponseError, MemberError, RefusedError
from harvester.guard import guarded_session, hung_up_after
from harvester.oai.page import Page
from harvester.oai.repair import read_page
from harvester.settings import Settings

MAX_REQUESTS = 16
MAX_SECONDS = 60.0
PAUSE = 0.5  # seconds between two requests
READ_TIMEOUT = 30.0
_CONNECT_TIMEOUT = 10.0
_MAX_BYTES = 20 * 2**20
_MAX_REDIRECTS = 5
_TRIES = 10  # addresses under which a base URL is looked for
_ACCEPT = "text/xml, application/xml;q=0.9, */*;q=0.1"

# Name, what its base URL looks like, what its pages say, its usual base URLs below the site's address.
PLATFORMS = tuple(
    (name, re.compile(url), re.compile(words), tuple(paths.split()))
    for name, url, words, paths in (
        ("EPrints", r"/cgi/oai2$", r"eprints server software|eprints ?3|\beprints\.org/software", "/cgi/oai2"),
        ("DSpace", r"/oai/(?:request|openaire|driver)$", r"dspace", "/server/oai/request /oai/request"),
        ("OJS", r"/index\.php/[^/]+/oai$", r"open journal systems|pkp\.sfu\.ca", "/index.php/index/oai /oai"),
        ("SLiMS", r"/oai2?\.php$", r"\bslims\b|senayan", "/oai2.php /oai.php"),
        ("Inlislite", r"/oai2\.aspx$", r"inlislite", "/oai/oai2.aspx"),
        ("Omeka", r"/oai-pmh-repository/request$", r"\bomeka\b", "/oai-pmh-repository/request"),
    )
)
# Where the pages of a site begin: what stands before is the address of the site.
_INSIDE = re.compile(r"/(?:index\.php|handle|items|xmlui|jspui|cgi|oai|home|view|id|server|\d+|[^/]*\.\w+)(?:/|$)")
_JOURNAL = re.compile(r"(.*/index\.php/(?!index(?:/|$))[\w.-]+)")

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.SSLError, "the server's certificate cannot be trusted"),
    (requests.exceptions.Timeout, "the server did not answer in time"),
    (requests.exceptions.ConnectionError, "the server cannot be reached"),
    (ValueError, "the address, or one it redirects to, is no web address"),
    (requests.exceptions.RequestException, "the answer broke off"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. `page` is None where it is no OAI-PMH, and `problem` says why.

    `url` is the last one after redirects; `status` is 0 where no answer came. `fetched_at` in seconds since 1970.
    `mended` names what had to be repaired before the page could be read; `sent` is False where the check ended before.
    """

    asked: str
    url: str
    fetched_at: float
    seconds: float = 0.0
    status: int = 0
    content_type: str = ""
    body: bytes = b""
    page: Page | None = None
    problem: str = ""
    mended: tuple[str, ...] = ()
    refused: bool = False
    sent: bool = True


class Asker:
    """Asks one server, within the limits of one check. To be closed by `with`."""

    def __init__(self, settings: Settings, stop: threading.Event, progress: Callable[[str], None]) -> None:
        self._stop = stop
        self._progress = progress
        self._session = guarded_session(settings)
        self._session.headers.update({"User-Agent": settings.user_agent, "Accept": _ACCEPT})
        if settings.admin_email:
            self._session.headers["From"] = settings.admin_email
        self._began = time.monotonic()
        self.requests = 0
        self.finished = True

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def seconds(self) -> float:
        """How long the check has taken so far."""
        return time.monotonic() - self._began

    def ask(self, url: str, **arguments: str) -> Answer:
        """The answer to one request. No failure of the server raises; where the limits are reached, nothing is sent."""
        if self.requests:
            self._stop.wait(PAUSE)
        began = time.time()
        if self._stop.is_set() or self.requests >= MAX_REQUESTS or self.seconds >= MAX_SECONDS:
            self.finished = False
            return Answer(url, url, began, problem="the check ended before this request", sent=False)
        self.requests += 1
        self._progress(f"{arguments.get('verb', '')} {url}")
        try:
            with self._open(url, arguments) as response:
                body = self._read(response)
        except MemberError as error:
            return Answer(url, url, began, time.time() - began, problem=str(error))
        except (requests.RequestException, ValueError) as error:
            sentence = next(words for kind, words in _SENTENCES if isinstance(error, kind))
            return Answer(url, url, began, time.time() - began, problem=sentence)
        content_type, refused = response.headers.get("Content-Type", ""), response.status_code in {401, 403, 429}
        answer = Answer(
            url, response.url, began, time.time() - began, response.status_code, content_type, body, refused=refused
        )
        try:
            reading = read_page(body, recover=True)
        except RefusedError as error:
            return replace(answer, problem=str(error), refused=True)
        except MalformedResponseError as error:
            status = f"HTTP {answer.status}: " if answer.status >= 400 else ""
            return replace(answer, problem=status + str(error))
        mended = reading.repairs if reading.whole else (*reading.repairs, "broken")
        return replace(answer, page=reading.page, mended=mended, refused=False)

    def _open(self, url: str, arguments: dict[str, str]) -> requests.Response:
        """The answer after its redirects, asked for one by one, so that all of them end with the check."""
        parameters: dict[str, str] | None = arguments
        for _ in range(_MAX_REDIRECTS):
            left = max(MAX_SECONDS - self.seconds, 0.1)
            timeout = (min(_CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left))
            response = self._session.get(url, params=parameters, timeout=timeout, stream=True, allow_redirects=False)
            target = self._session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            url, parameters = urljoin(response.url, target), None
        raise MemberError("the server redirects without end")

    def _read(self, response: requests.Response) -> bytes:
        chunks, size = [], 0
        with hung_up_after(MAX_SECONDS - self.seconds, response):
            for chunk in response.iter_content(2**16):
                chunks.append(chunk)
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise MemberError(f"the answer is larger than {_MAX_BYTES // 2**20} MB")
        return b"".join(chunks)


def find_base_url(asker: Asker, pasted: str) -> tuple[Answer | None, list[Answer]]:
    """The answer to Identify of the base URL behind an address that somebody pasted, and all answers on the way.

    Tried are the address itself, then those that are usual for the platforms, the one that the site looks like first.

    Raises:
        ConfigError: what was pasted is no web address.
    """
    first, *others = parse_pasted(pasted)
    tried = [asker.ask(first, verb="Identify")]
    while others and not tried[-1].status:
        tried.append(asker.ask(others.pop(0), verb="Identify"))
    start = tried[-1]
    if start.status and not _identifies(start):
        for url in _usual_urls(start)[: _TRIES - len(tried)]:
            tried.append(asker.ask(url, verb="Identify"))
            if _identifies(tried[-1]):
                break
    found = next((answer for answer in tried if _identifies(answer)), None)
    return found, tried


def parse_pasted(pasted: str) -> list[str]:
    """The addresses that a pasted one may mean, without OAI-PMH arguments: https first, then http as a way out.

    Raises:
        ConfigError: it is no web address.
    """
    text = "".join(pasted.split())
    scheme, mark, rest = text.rpartition("://")
    schemes = ["https", "http"] if not mark or scheme.lower() == "https" else [scheme.lower()]
    urls = [f"{each}://{rest}" for each in schemes]
    try:
        parts = urlsplit(urls[0])
        host = parts.hostname or ""
        right = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0 and "@" not in parts.netloc
        # `javascript:1` is no host with a port: who means one without a dot says how it is asked.
        right = right and (bool(mark) or host == "localhost" or "." in host or ":" in host)
    except ValueError:
        right = False
    if not right or len(text) > 2000:
        raise ConfigError("this is no web address; give one such as https://library.example/oai")
    return [base_url_of(url) for url in urls]


def base_url_of(url: str) -> str:
    """The address without a fragment, and without the arguments of OAI-PMH requests, which people paste along."""
    return trim_base_url(url.partition("#")[0])


def platform_of(base_url: str, text: str) -> str:
    """The platform that an address or its texts name; empty if none."""
    lowered = text.lower()
    by_url = (name for name, url, _, _ in PLATFORMS if url.search(urlsplit(base_url).path))
    by_words = (name for name, _, words, _ in PLATFORMS if words.search(lowered))
    return next(by_url, None) or next(by_words, "")


def _identifies(answer: Answer) -> bool:
    return answer.page is not None and answer.page.verb == "Identify"


def _usual_urls(start: Answer) -> list[str]:
    """Where this site's base URL may be, the likeliest first."""
    parts = urlsplit(start.url)
    site = f"{parts.scheme}://{parts.netloc}"
    inside = _INSIDE.search(parts.path)
    folder = parts.path[: inside.start()] if inside else parts.path.rstrip("/")
    journal = _JOURNAL.match(parts.path)
    likely = platform_of(start.url, start.url + start.body[:200_000].decode("utf-8", "replace"))
    urls = [f"{site}{journal[1]}/oai"] if journal else []
    paths = [path for row in sorted(PLATFORMS, key=lambda row: row[0] != likely) for path in row[3]]
    urls += [f"{site}{root}{path}" for root in (folder, "") for path in paths]
    return [url for url in dict.fromkeys(urls) if url not in {start.url, start.asked}]


def iter_elements(page: Page, *names: str) -> Iterator[etree._Element]:
    """The elements of the page with one of these local names, in order."""
    elements = page.root.iter("{*}*") if page.root is not None else iter(())
    return (element for element in elements if etree.QName(element).localname in names)
