"""One record's files: every rung of the ladder until one bears, each file fetched, kept and put in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import Connection

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue.files import File, Rung, put_file, touch_records
from harvester.catalogue.members import Member
from harvester.catalogue.takedowns import find_barred, is_file_down
from harvester.fulltext.candidates import Candidate
from harvester.fulltext.fetch import Fetcher, drop_part
from harvester.fulltext.keep import keep_file
from harvester.fulltext.ladder import PAGE_RUNGS, Clues, in_format, in_linkset, in_metadata, in_page
from harvester.fulltext.states import REASONS, STRIKES, FetchError, Outcome
from harvester.schedule import DAY

# What leads to members' pages from everywhere; files never come from there.
_RESOLVERS = frozenset({"hdl.handle.net", "doi.org", "dx.doi.org", "www.doi.org", "n2t.net", "nbn-resolving.org"})
_LATELY = 6 * 3600  # a file that was looked at so long ago is not asked for again: the attempt was cut short
_MOST_PAGES = 2
_NEVER = Rung()


@dataclass(frozen=True, slots=True)
class Tools:
    """What every climb at a member shares. `may` says which hosts are its own; `formats` which richer ones it gives."""

    catalogue: Catalogue
    archive: Archive
    fetcher: Fetcher
    folder: Path
    member: Member
    may: Callable[[str], bool]
    formats: Sequence[str]
    rungs: Mapping[str, Rung]


class Climb:
    """One attempt at the files of one record; `known` are those of attempts before, by address.

    Attributes:
        tried: the rungs whose addresses were asked, and whether a file came.
        order: the addresses of the record's files in reading order, once some are held.
    """

    def __init__(self, tools: Tools, record: int, identifier: str, known: Mapping[str, File]) -> None:
        self._tools = tools
        self._record = record
        self._identifier = identifier
        self._known = known
        self.tried: list[tuple[str, bool]] = []
        self.order: tuple[str, ...] = ()
        self._failures: list[tuple[str, str]] = []
        self._asked: dict[str, File] = {}

    def run(self, clues: Clues) -> Outcome:
        """What it came to. Each file is kept and on record as soon as it is here.

        Raises:
            ThrottledError: a host must not be asked on now; the record is as it was, but for files that came.
            HarvestSupersededError, ArchiveError, CatalogueError: ours.
        """
        sources = ["metadata", *self._tools.formats, "page"]
        sources.sort(key=lambda source: -self._worth(source))
        for source in sources:
            for rung, candidates in self._look(source, clues):
                wanted = [each for each in candidates if each.is_wanted]
                if not wanted:
                    continue
                files = [self._have(candidate, at) for at, candidate in enumerate(wanted)]
                bears = any(file.state == "kept" and not file.reason for file in files)
                self.tried.append((rung, bears))
                if bears:
                    return self._held(rung, files, candidates)
                if any(file.reason == "taken-down" for file in files):
                    return self._missing()  # other ways lead to the same file
        return self._missing()

    def _worth(self, source: str) -> float:
        named = PAGE_RUNGS if source == "page" else (source,)
        return max(self._tools.rungs.get(name, _NEVER).worth for name in named)

    def _look(self, source: str, clues: Clues) -> Iterator[tuple[str, tuple[Candidate, ...]]]:
        """The candidates of a source, by rung, those first that were worth most."""
        if source == "metadata":
            yield source, in_metadata(clues)
        elif source == "page":
            for url in clues.pages[:_MOST_PAGES]:
                yield from self._look_at_page(url)
        else:
            payload = (clues.formats or {}).get(source) or self._ask_for(source)
            yield source, in_format(source, payload) if payload else ()

    def _look_at_page(self, url: str) -> Iterator[tuple[str, tuple[Candidate, ...]]]:
        try:
            answer = self._tools.fetcher.fetch_page(url, self._may_page)
        except FetchError as error:
            self._failures.append((error.reason, error.url))
            return
        page = in_page(answer.url, answer.links, answer.body)
        for rung in sorted(PAGE_RUNGS, key=lambda name: -self._tools.rungs.get(name, _NEVER).worth):
            found = page.found.get(rung, ())
            if rung == "signposting" and not found and page.linkset:
                found = self._look_at_linkset(page.linkset)
            yield rung, found

    def _look_at_linkset(self, url: str) -> tuple[Candidate, ...]:
        try:
            answer = self._tools.fetcher.fetch_page(url, self._tools.may)
        except FetchError:
            return ()
        return in_linkset(answer.body, answer.url)

    def _may_page(self, host: str) -> bool:
        return host in _RESOLVERS or self._tools.may(host)

    def _ask_for(self, prefix: str) -> bytes:
        """The record in a richer format; nothing where the member does not give it."""
        arguments = {"verb": "GetRecord", "metadataPrefix": prefix, "identifier": self._identifier}
        try:
            url = request_url(self._tools.member, arguments)
            return self._tools.fetcher.fetch_page(url, self._tools.may, robots=False).body
        except FetchError:
            return b""

    def _have(self, candidate: Candidate, position: int) -> File:
        """The file as it is on record now."""
        if candidate.url in self._asked:
            return self._asked[candidate.url]
        now = self._tools.catalogue.now()
        before = self._known.get(candidate.url)
        fresh = File(
            self._record, position, candidate.url, candidate.role, candidate.rung, "failed", now,
            attempts=before.attempts if before else 0,
        )  # fmt: skip
        if before and before.state == "kept" and not before.reason and before.last_checked > now - _LATELY:
            file = replace(before, position=position)
        else:
            file = self._fetch(candidate, before, fresh)
        changed = _held_as(file) != _held_as(before)
        shown = changed and bool(self._known)  # at the first attempt, what it comes to shows the work anew
        with self._tools.catalogue.write(beside=not shown) as connection:
            if file.state == "kept" and self._is_barred(connection, file.url, file.led_to):
                file = self._withhold(before, fresh)  # it was taken down meanwhile
            put_file(connection, file)
            if shown:
                touch_records(connection, [self._record])
        for url in (candidate.url, candidate.instead):
            if file.state == "kept" or file.reason == "taken-down":
                drop_part(self._tools.folder, url)
        self._asked[candidate.url] = file
        return file

    def _fetch(self, candidate: Candidate, before: File | None, fresh: File) -> File:
        known = before if before and before.state == "kept" and before.sha256 else None
        is_page = candidate.media_type == "text/html"
        failure: FetchError | None = None
        with self._tools.catalogue.read() as connection:
            if self._is_barred(connection, candidate.url, candidate.instead):
                return self._withhold(before, fresh)
        for url in filter(None, (candidate.url, candidate.instead)):
            try:
                fetched = self._tools.fetcher.fetch_file(url, known, html=is_page)
            except FetchError as error:
                failure = failure or error
                if error.reason not in {"not-found", "not-a-file", "server-error"}:
                    break
                continue
            if fetched is None and known:
                seen = {"last_checked": fresh.last_checked, "reason": None, "attempts": 0}
                return replace(known, position=fresh.position, **seen)  # type: ignore[arg-type]  # fields of a file
            if fetched is not None:
                with self._tools.catalogue.read() as connection:
                    if self._is_barred(connection, fetched.url):
                        return self._withhold(before, fresh)
                    if is_file_down(connection, fetched.sha256):  # known from now on by its checksum, it bars these
                        return self._withhold(None, replace(fresh, sha256=fetched.sha256, led_to=fetched.url))
                keep_file(self._tools.archive, fetched)
                return replace(
                    fresh,
                    state="kept",
                    sha256=fetched.sha256,
                    media_type=fetched.media_type,
                    size=fetched.size,
                    fetched_at=self._tools.catalogue.now(),
                    etag=fetched.etag,
                    last_modified=fetched.last_modified,
                    attempts=0,
                    led_to=fetched.url,
                )
        reason, url = (failure.reason, failure.url) if failure else ("broken", candidate.url)
        self._failures.append((reason, url or candidate.url))
        # What is kept stays, with the reason beside it.
        attempts = fresh.attempts + 1
        return replace(known or fresh, reason=reason, last_checked=fresh.last_checked, attempts=attempts)

    def _is_barred(self, connection: Connection, *urls: str | None) -> bool:
        """Whether a file of the record that is down came from one of these addresses."""
        return not find_barred(connection, [self._record]).isdisjoint((self._record, url or "") for url in urls)

    def _withhold(self, before: File | None, fresh: File) -> File:
        """Nothing may come from the address now; what is known of it stays, hidden."""
        self._failures.append(("taken-down", fresh.url))
        known = before if before and before.sha256 else fresh
        return replace(known, position=fresh.position, reason="taken-down", last_checked=fresh.last_checked)

    def _held(self, rung: str, files: Sequence[File], candidates: Sequence[Candidate]) -> Outcome:
        """Those that came; the others are tried again before long, three times."""
        self.order = tuple(candidate.url for candidate in candidates)
        now = self._tools.catalogue.now()
        left = [(at, each) for at, each in enumerate(candidates) if not each.is_wanted]
        if left:
            with self._tools.catalogue.write(beside=True) as connection:
                for at, each in left:
                    put_file(connection, File(self._record, at, each.url, each.role, each.rung, "left", now))
        vain = [file for file in files if file.reason != "taken-down" and 0 < file.attempts < STRIKES]
        again = [REASONS[file.reason].days for file in vain if file.reason]
        until = now + min(again) * DAY if again else None
        return Outcome("held", rung=rung, until=until)

    def _missing(self) -> Outcome:
        """The reason that is soonest worth another try; of several the first."""
        if not self._failures:
            return Outcome("missing", "no-link")
        reason, url = min(self._failures, key=lambda failure: REASONS[failure[0]].days)
        return Outcome("missing", reason, url)


def _held_as(file: File | None) -> str | None:
    return file.sha256 if file and file.state == "kept" else None


def request_url(member: Member, arguments: Mapping[str, str]) -> str:
    """The address of an OAI-PMH request to the member."""
    return f"{member.base_url}{'&' if '?' in member.base_url else '?'}{urlencode(arguments)}"
