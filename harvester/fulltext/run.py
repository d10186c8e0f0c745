"""The search for full texts: records that are due, hosts side by side, each host slowly and by one process at a time.

It may be killed at any moment: a file is in the archive before it is on record, what broke off is taken up again by
its bytes, and a record stays due until its attempt is on record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from hashlib import blake2b
from urllib.parse import urlsplit

import structlog
from lxml import etree

from harvester.catalogue.due import list_due, list_waiting
from harvester.catalogue.files import (
    FullText,
    arrange_files,
    count_rungs,
    find_fulltexts,
    follow_records,
    get_rungs,
    list_files,
    postpone,
    put_fulltext,
)
from harvester.catalogue.leases import claim_host, release
from harvester.catalogue.members import Member
from harvester.catalogue.records import CataloguedRecord, get_records
from harvester.catalogue.tables import fulltexts, members
from harvester.catalogue.takedowns import find_records_down
from harvester.errors import HarvestSupersededError, ThrottledError
from harvester.fulltext.climb import Climb, Tools, request_url
from harvester.fulltext.fetch import Fetcher, drop_old_parts
from harvester.fulltext.keep import incoming
from harvester.fulltext.ladder import FORMATS, Clues
from harvester.fulltext.rights import find_bar
from harvester.fulltext.states import FetchError, Outcome, after_attempt
from harvester.oai.page import make_parser
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.schedule import DAY, HOUR
from harvester.visit import Hosts, Pace, Visit

_AT_ONCE = 64  # hosts
_AT_A_LOOK = 20  # records
_DOWN_AFTER = 3  # records in a row whose host did not answer: it is left alone for an hour
_DOWN = frozenset({"unreachable", "server-error", "busy", "certificate"})
_PART_DAYS = 7
# A harvest of the host waits for the turn's end; a page and its file must fit into one.
USUAL = Pace(pause=2.0, turn=120.0, connect=15.0, read=60.0, longest=50.0)

CluesOf = Callable[[CataloguedRecord], Clues]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One record's attempt, as it is on record now."""

    member: str
    identifier: str
    before: FullText
    after: FullText


Told = Callable[[Attempt], None]


@dataclass(slots=True)
class _Remembered:
    """What is remembered of a host or member between two runs. Monotonic times."""

    rests_until: float = 0.0
    formats: tuple[str, ...] = ()
    formats_until: float = 0.0


@dataclass(slots=True)
class _Turn:
    """This run's time with one host."""

    host: str
    owner: str
    ends: float
    failures: int = 0
    done: int = 0


@dataclass(slots=True)
class FullTexts:
    """Finds and fetches files. One for a process: between two runs it remembers what hosts want.

    Args:
        clues_of: what a record says of its files.
    """

    clues_of: CluesOf
    pace: Pace
    hosts: Hosts = field(default_factory=Hosts)
    _remembered: dict[str, _Remembered] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch_due(self, context: HarvestContext, slugs: Sequence[str] = (), told: Told = lambda _attempt: None) -> int:
        """Attempts were made at records that were due, fairly of all hosts, some minutes at each; how many.

        Members that are paused or whose window is closed are left out. A host that must not be asked now keeps its
        records due. `told` is called by several threads.

        Raises:
            ArchiveError: it is away; nothing is lost.
        """
        self.follow(context)
        now = context.catalogue.now()
        with context.catalogue.read() as connection:
            found = list_waiting(connection, fulltexts, now, slugs, members.c.fulltext.is_(True))
        waiting = [each for each in found if each.care.schedule.is_open(now)]
        by_host: dict[str, list[Member]] = {}
        for member in waiting:
            by_host.setdefault(member.host, []).append(member)
        folder = incoming(context)
        drop_old_parts(folder, time.time() - _PART_DAYS * DAY)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = [pool.submit(self._ask_host, context, host, some, told) for host, some in by_host.items()]
            return sum(each.result() for each in running)

    def follow(self, context: HarvestContext) -> None:
        """Records that are new or have changed are due."""
        more = True
        while more and not context.stop.is_set():
            with context.catalogue.write() as connection:
                more = follow_records(connection, context.catalogue.now())

    def _ask_host(self, context: HarvestContext, host: str, some: Sequence[Member], told: Told) -> int:
        if self._remember(host).rests_until > time.monotonic():
            return 0
        turn = _Turn(host, new_owner(), time.monotonic() + self.pace.turn)
        with context.catalogue.write(beside=True) as connection:
            if claim_host(connection, turn.owner, host, context.catalogue.now()) is not None:
                return 0
        log = structlog.get_logger("fulltext").bind(host=host)
        try:
            for member in some:
                self._ask_member(context, turn, member, told)
        except ThrottledError as error:
            log.debug("left for later", why=str(error))
        except HarvestSupersededError:
            log.warning("the turn at this host's files was given to another process")
        finally:
            with context.catalogue.write(beside=True) as connection:
                release(connection, turn.owner, host)
        return turn.done

    def _ask_member(self, context: HarvestContext, turn: _Turn, member: Member, told: Told) -> None:
        left = turn.ends - time.monotonic()
        if left <= 0:
            return
        catalogue, settings, insecure = context.catalogue, context.settings, member.care.insecure_until

        verify = insecure is None or catalogue.now() >= insecure
        pace = replace(self.pace, turn=left)
        with Visit(
            context, self.hosts, pace, member.care.delay, verify=verify, held=turn.host, owner=turn.owner
        ) as visit:
            may = may_ask(member, settings.file_hosts)
            fetcher = Fetcher(visit, incoming(context), may, settings.file_megabytes * 10**6)
            formats = self._formats(fetcher, member, may)
            with catalogue.read() as connection:
                rungs = get_rungs(connection, member)
            tools = Tools(catalogue, context.archive, fetcher, incoming(context), member, may, formats, rungs)
            while turn.ends and not visit.stopped:
                with catalogue.read() as connection:
                    some = list_due(connection, fulltexts, FullText, member, catalogue.now(), _AT_A_LOOK)
                    due = {each.record_id: each for each in some}
                    found = list(get_records(connection, due))
                if not due:
                    return
                for record in found:
                    if visit.stopped or not turn.ends or not member.care.schedule.is_open(catalogue.now()):
                        return
                    try:
                        told(self._attempt(context, tools, record, due[record.number], turn))
                    except ThrottledError as error:
                        if visit.stopped or urlsplit(error.url).hostname == turn.host:
                            raise
                        with catalogue.write(beside=True) as connection:  # only this one's files lie there
                            postpone(connection, due[record.number], catalogue.now() + HOUR)

    def _attempt(
        self, context: HarvestContext, tools: Tools, record: CataloguedRecord, known: FullText, turn: _Turn
    ) -> Attempt:
        catalogue, now = context.catalogue, context.catalogue.now()
        clues = self.clues_of(record)
        clue = _hash(clues)
        with catalogue.read() as connection:
            is_down = bool(find_records_down(connection, [record.number]))
            before = {file.url: file for file in list_files(connection, [record.number]).get(record.number, ())}
        climb = Climb(tools, record.number, record.identifier, before)
        withheld = _withheld(record, clues, now, is_down=is_down)
        if withheld is None and known.clue == clue and known.regular > now:
            after = replace(known, next_check=known.regular)  # what changed says nothing of its files
        else:
            outcome = withheld or climb.run(clues)
            after = replace(after_attempt(known, outcome, now, context.settings.fulltext_days), clue=clue)
            self._look_out(turn, outcome)
        with catalogue.write() as connection:
            if put_fulltext(connection, known, after):
                count_rungs(connection, tools.member, climb.tried)
                if climb.order:
                    arrange_files(connection, record.number, climb.order)
            after = find_fulltexts(connection, [record.number])[record.number]
        turn.done += 1
        structlog.get_logger("fulltext").debug(
            "looked", member=tools.member.slug, record=record.identifier, state=after.state, reason=after.reason
        )
        return Attempt(tools.member.slug, record.identifier, known, after)

    def _look_out(self, turn: _Turn, outcome: Outcome) -> None:
        """A host that answers nobody is left alone for a while."""
        turn.failures = turn.failures + 1 if outcome.reason in _DOWN else 0
        if turn.failures >= _DOWN_AFTER:
            self._remember(turn.host).rests_until = time.monotonic() + HOUR
            turn.ends = 0.0  # of this run's time there, nothing is left

    def _formats(self, fetcher: Fetcher, member: Member, may: Callable[[str], bool]) -> tuple[str, ...]:
        """The richer formats that the member says it has; asked once a day."""
        remembered = self._remember(f"formats of {member.slug}")
        if remembered.formats_until < time.monotonic():
            remembered.formats_until = time.monotonic() + DAY
            try:
                url = request_url(member, {"verb": "ListMetadataFormats"})
                root = etree.fromstring(fetcher.fetch_page(url, may, robots=False).body, make_parser())
                told = {each.text for each in root.iter("{*}metadataPrefix")}
                remembered.formats = tuple(prefix for prefix in FORMATS if prefix in told)
            except (FetchError, etree.XMLSyntaxError):
                remembered.formats = ()
        return remembered.formats

    def _remember(self, name: str) -> _Remembered:
        with self._lock:
            return self._remembered.setdefault(name, _Remembered())


def may_ask(member: Member, allowed: str) -> Callable[[str], bool]:
    """Which hosts are the member's own, or allowed for all members: themselves, and what lies below them.

    Below `www.` and `oai.` lies the whole institution.
    """
    own = member.host.lower().removesuffix(".")
    for prefix, least in (("www.", 1), ("oai.", 2)):
        if own.startswith(prefix) and own.count(".") > least:
            own = own.removeprefix(prefix)
    hosts = {own, *allowed.lower().replace(",", " ").split()}

    def may(host: str) -> bool:
        host = host.lower().removesuffix(".")
        return any(host == each or (host.endswith(f".{each}") and "." in each) for each in hosts)

    return may


def _withheld(record: CataloguedRecord, clues: Clues, now: int, *, is_down: bool) -> Outcome | None:
    """Why nothing may be asked for; None where nothing speaks against it."""
    if is_down:
        return Outcome("withheld", "taken-down")
    if record.deleted:
        return Outcome("withheld", "deleted")
    return find_bar(clues.access, clues.embargo_until, now)


def _hash(clues: Clues) -> str:
    formats = sorted((clues.formats or {}).items())
    return blake2b(repr((*astuple(replace(clues, formats=None)), formats)).encode(), digest_size=16).hexdigest()
