"""One file from a stranger's server to the disk: bounded, resumed where it broke off, and what it is by its bytes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from harvester.catalogue.files import File
from harvester.errors import ArchiveError, ThrottledError
from harvester.fulltext.states import FetchError
from harvester.guard import PrivateAddressError, hung_up_after, read_within
from harvester.reading import asks_for_login, sniff
from harvester.visit import NotAskedError, RedirectLoopError, Visit, is_web_address

_TRIES = 3
_PIECE = 2**17
_PAGE_BYTES = 4 * 2**20
_SECONDS = 3600.0  # for one answer
# A body slower than that, bytes a second, over so many seconds, is left; what came of it is kept for another day.
_SLOWEST, _PATIENCE = 2000, 60.0
_LONGEST_MARK = 1000  # characters of an ETag
_STATUS = {401: "login", 407: "login", 403: "refused", 404: "not-found", 410: "not-found", 429: "busy", 503: "busy"}
_LOGIN_PATH = re.compile(r"log[_-]?in|sign[_-]?in|masuk|password|shibboleth|/cas/|/saml|ldap|auth", re.IGNORECASE)
_READABLE = frozenset(
    {
        "application/pdf",
        "application/epub+zip",
        "application/x-ole-storage",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "text/html",
        "text/plain",
    }
)


class _TooSlowError(FetchError):
    """Not to be tried again at once."""


Allowed = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file on the disk that is complete, where nobody else writes to it; `url`: where redirects led."""

    path: Path
    sha256: str
    size: int
    media_type: str
    etag: str | None
    last_modified: str | None
    url: str


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A landing page: where it came from after redirects, its Link headers, its body, cut at some megabytes."""

    url: str
    links: tuple[str, ...]
    body: bytes


class Fetcher:
    """Fetches what one visit may. Parts of files that broke off wait in `folder` for the next try.

    Args:
        may: whether files may be fetched from a host.
        most: bytes; larger files are not fetched.
    """

    def __init__(self, visit: Visit, folder: Path, may: Allowed, most: int) -> None:
        self._visit = visit
        self._folder = folder
        self._may = may
        self._most = most

    def fetch_page(self, url: str, may: Allowed, *, robots: bool = True) -> PageAnswer:
        """The page at the address. `may`: which hosts may be asked on the way.

        Raises:
            FetchError: there is none, or it is none.
            ThrottledError: nothing may be asked now.
        """
        try:
            with self._visit.open(url, {}, may, robots=robots) as response:
                _check_status(response, url)
                body = read_within(response, _PAGE_BYTES, _PATIENCE)
                links = response.raw.headers.getlist("Link")
                return PageAnswer(response.url, tuple(links), body)
        except Exception as error:
            raise _named(error, url) from error

    def fetch_file(self, url: str, known: File | None = None, *, html: bool = False) -> Fetched | None:
        """The file at the address, complete; None where it is the one that is known already.

        `html`: a web page is what is looked for.

        Raises:
            FetchError: it cannot be had, is too large, or is no file.
            ThrottledError: nothing may be asked now, or we are told to stop; what came waits for the next time.
            ArchiveError: our own disk does not take it.
        """
        part = _Part(self._folder, url)
        try:
            final = self._download(url, part, known)
            return None if final is None else self._look(part, url, final, html=html)
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            raise ArchiveError(f"the folder {self._folder} does not take what is fetched: {error}") from error

    def _download(self, url: str, part: _Part, known: File | None) -> str | None:
        """Where it came from at last, once all of it is there; None where it is as known."""
        for tried in range(1, _TRIES + 1):
            headers = part.ask_for_rest()
            if not headers and known and known.etag:
                headers = {"If-None-Match": known.etag}
            elif not headers and known and known.last_modified:
                headers = {"If-Modified-Since": known.last_modified}
            try:
                with self._visit.open(url, {"Accept-Encoding": "identity", **headers}, self._may) as response:
                    if response.status_code == 304 and known:
                        return None
                    if response.status_code == 416:
                        part.drop()
                        continue
                    _check_status(response, url)
                    if part.take_up(response):
                        self._read(response, part, url)
                        return response.url
            except Exception as error:
                named = _named(error, url)
                again = isinstance(named, FetchError) and named.reason == "broken"
                if tried == _TRIES or not again or isinstance(named, _TooSlowError):
                    raise named from error
        raise FetchError("broken", url)

    def _read(self, response: requests.Response, part: _Part, url: str) -> None:
        """All of the body is in the part."""
        ends = time.monotonic() + _SECONDS
        length = re.fullmatch("[0-9]{1,18}", response.headers.get("Content-Length", "").strip())
        whole = part.size + (int(length[0]) if length else 0)
        if max(whole, part.total or 0) > self._most:
            part.drop()
            raise FetchError("too-large", url)
        with part.path.open("ab") as file:
            while self._read_on(response, part, file, url):
                if time.monotonic() > ends:
                    raise _TooSlowError("broken", url)
        if part.total is not None and part.size != part.total:
            if part.size > part.total:
                part.drop()
            raise FetchError("broken", url)

    def _read_on(self, response: requests.Response, part: _Part, file: IO[bytes], url: str) -> bool:
        """Whether there may be more of the body, what came in a while being in the file."""
        since, come = time.monotonic(), 0
        with hung_up_after(2 * _PATIENCE, response):  # packed, it may come for ever, and nothing of it be unpacked
            while piece := response.raw.read1(_PIECE, decode_content=True):
                come += len(piece)
                if file.tell() + len(piece) > self._most:
                    part.drop()
                    raise FetchError("too-large", url)
                file.write(piece)
                file.flush()
                self._visit.renew()
                if self._visit.stopping:
                    raise ThrottledError("stopped by the operator", url=url, retry_after=0.0)
                if (passed := time.monotonic() - since) > _PATIENCE:
                    if come < _SLOWEST * passed:
                        raise _TooSlowError("broken", url)
                    return True
        if time.monotonic() - since >= 2 * _PATIENCE:  # it was we who hung up
            raise _TooSlowError("broken", url)
        return False

    def _look(self, part: _Part, url: str, final: str, *, html: bool) -> Fetched:
        """What came, if it is a file; else it is gone."""
        with part.path.open("rb") as file:
            head = file.read(2**16)
            file.seek(0)
            media_type = sniff(head)
            if not head:
                reason = "empty"
            elif media_type == "text/html" and not html:
                reason = "login" if asks_for_login(head) or _LOGIN_PATH.search(_path_of(final)) else "not-a-file"
            else:
                reason = "" if media_type in _READABLE else "wrong-type"
            if reason:
                part.drop()
                raise FetchError(reason, url)
            checksum = file_digest(file, "sha256").hexdigest()
        size = part.size
        etag, last_modified = part.validators()
        return Fetched(part.path, checksum, size, media_type, etag, last_modified, final)


class _Part:
    """What came of a file so far, and by what the server knows it again. `total`: how long an answer that is a part
    says the whole is."""

    def __init__(self, folder: Path, url: str) -> None:
        name = sha256(url.encode()).hexdigest()[:40]
        self.path = folder / f"{name}.part"
        self._about = folder / f"{name}.json"
        self.total: int | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validators(self) -> tuple[str | None, str | None]:
        """ETag and Last-Modified of what came."""
        try:
            etag, last_modified = json.loads(self._about.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a kill may have cut it short
            return None, None
        return etag, last_modified

    def ask_for_rest(self) -> dict[str, str]:
        """The headers that ask for what is missing, where something came and it can be told apart from another file."""
        _, known = self._known_by()
        if not known or not self.size:
            self.drop()
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": known}

    def _known_by(self) -> tuple[str, str | None]:
        """The header that tells this file from another one, and what it said."""
        etag, last_modified = self.validators()
        return ("ETag", etag) if etag and not etag.startswith("W/") else ("Last-Modified", last_modified)

    def take_up(self, response: requests.Response) -> bool:
        """Whether the body of this answer belongs behind what came, which is nothing where it is a whole file."""
        headers: Mapping[str, str] = response.headers
        # What is packed on the way has other lengths than the file.
        plain = headers.get("Content-Encoding", "identity").lower() == "identity"
        self.total = None
        if response.status_code == 206:
            # What nobody asked for a part of may come as one, too: all of it, or its beginning.
            fits = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", headers.get("Content-Range", "").strip())
            name, known = self._known_by()
            if not fits or int(fits[1]) != self.size or not plain or (self.size and headers.get(name, known) != known):
                self.drop()
                return False
            self.total = int(fits[2])
            if self.size:
                return True
        self.drop()
        told = [headers.get("ETag", ""), headers.get("Last-Modified", "")] if plain else []
        # What would not pass as a header of ours is of no use.
        kept = [each if each.isprintable() and 0 < len(each) < _LONGEST_MARK else None for each in told] or [None, None]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._about.write_text(json.dumps(kept), encoding="utf-8")
        self.path.touch()
        return True

    def drop(self) -> None:
        """Nothing of it is left."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)


def drop_part(folder: Path, url: str) -> None:
    """What came from this address is no longer needed here."""
    _Part(folder, url).drop()


def drop_old_parts(folder: Path, before: float) -> None:
    """Parts that nobody has gone on with since that moment are gone."""
    for path in folder.glob("*.*") if folder.is_dir() else ():
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in {200, 203, 206}:
        return
    reason = _STATUS.get(status) or ("server-error" if status >= 500 else "refused" if status >= 400 else "empty")
    raise FetchError(reason, url)


def _named(error: Exception, url: str) -> Exception:
    """The error by its reason; others as they are."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (PrivateAddressError, "private-address"),
        (RedirectLoopError, "not-a-web-link"),  # it leads nowhere, and its host answers
        (requests.exceptions.SSLError, "certificate"),
        (requests.exceptions.InvalidURL, "not-a-web-link"),
        (requests.RequestException, "unreachable"),
        (HTTPError, "broken"),
        (ValueError, "not-a-web-link"),  # of requests and idna, for an address that only looks like one
    )
    if isinstance(error, NotAskedError):
        # Where a redirect leads that is no address may hold what no catalogue takes.
        return FetchError(error.why, error.url if is_web_address(error.url) else url)
    return next((FetchError(reason, url) for kind, reason in kinds if isinstance(error, kind)), error)
