"""One list of a member, harvested until it is proved complete, in one piece where it can be had so.

A list that breaks off goes on where it was, starts again, or is halved by dates until its parts can be had;
around a part that stays broken, its identifiers are listed and its records asked for one by one. A list is
complete only if each page was OAI-PMH, its end was marked, and no fewer records came than the server
promised. Spec: 3.5, [harv 3], [harv 6.2].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from harvester.catalogue.commit import Fetched
from harvester.catalogue.lists import (
    ListState,
    Parts,
    Window,
    count_stamped,
    get_list,
    start_pass,
    start_window,
)
from harvester.datestamps import (
    DAY,
    SECONDS,
    Granularity,
    format_datestamp,
    from_epoch,
    next_from,
    parse_datestamp,
    response_moment,
)
from harvester.errors import (
    CatalogueError,
    IncompleteListError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    RefusedError,
    TokenLoopError,
    UnreachableError,
)
from harvester.oai.client import PageResponse
from harvester.oai.page import FailedRecord, Page, Record
from harvester.run import MemberRun

STOPPED = "stopped by the operator; the next harvest goes on from here"
# So many records of which none can be used say that something is wrong with the whole; a few are just bad ones.
TELLING = 20
# A refused token is met by starting again so often, then by smaller lists.
_RESTARTS = 2
# Windows in a row that gave nothing: the trouble is not one record's.
_MAX_IDLE = 14
_MAX_IDLE_AT_FIRST = 3
# A server that always promises more than it has would be halved for ever.
_MAX_SHORT = 8
_MAX_ALONE = 1000  # records of one window that are asked for one by one
_MAX_SEEN = 20_000
_SMALL = timedelta(days=1)
_SKEW = timedelta(minutes=5)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_DAY = datetime(2, 1, 1, tzinfo=UTC)
# Answers that say nothing about what was asked for.
_NOT_NOW = frozenset({401, 403, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Proof:
    """A complete list: the responseDate that it is proved to reach, and the `from` of its next pass."""

    list_id: int
    reached: str
    watermark: str


class ListHarvest:
    """One list in one run of its member. `state` is where it stands, as the catalogue has it.

    Args:
        granularity: how the member is asked for dates.
        earliest: the earliest datestamp that it states, where that can be believed.
    """

    def __init__(
        self, run: MemberRun, state: ListState, granularity: Granularity, earliest: datetime | None = None
    ) -> None:
        self.run = run
        self.state = state
        self._granularity = granularity
        self._earliest = earliest
        self._in_order = True  # so that a list may go on behind the newest datestamp
        self._promised: int | None = None  # records of the whole list, as this run was told
        self._usable = state.pass_received > 0
        self._idle = 0
        self._short = 0
        self._seen: set[str] = set()  # in the present window
        self._given_up: list[Window] = []

    def harvest(self) -> Proof:
        """The list is proved complete, and it is for the caller to say so in the catalogue.

        Raises:
            MemberError: it is not; its position is on record, and its watermark where it was.
        """
        if self.state.token is None and self.state.parts is None:
            self._begin(afresh=self.state.pass_started is not None)
        first: MemberError | None = None
        while True:
            try:
                if self._walk():
                    break
            except (TokenLoopError, IncompleteListError) as error:
                if error.problem != "stopped":
                    self.run.fail(error)
                    self._begin()
                raise
            except (MalformedResponseError, UnreachableError, ProtocolError) as error:
                first = first or error
                silent = isinstance(error, UnreachableError) and error.problem != "server-error"
                if silent or not self._put_off():
                    raise first from None
        return self._conclude()

    # What is asked for.

    @property
    def _window(self) -> Window:
        parts = self.state.parts
        return parts.left[0] if parts else (self.state.pass_from, None)

    def _arguments(self) -> dict[str, str]:
        arguments = {"metadataPrefix": self.state.prefix}
        if self.state.set_spec:
            arguments["set"] = self.state.set_spec
        for name, moment in zip(("from", "until"), self._window, strict=True):
            if moment:
                arguments[name] = self._as_asked(moment)
        return arguments

    def _as_asked(self, datestamp: str) -> str:
        moment = parse_datestamp(datestamp)
        if moment is None:
            raise CatalogueError(f"the catalogue holds a watermark that is no datestamp: {datestamp!r}")
        return format_datestamp(moment, self._granularity)

    # Where the pass stands, in the catalogue and here.

    def _begin(self, *, afresh: bool = True) -> None:
        """The pass begins; nothing needs to be written where none was under way."""
        from_ = None if self.run.quirk("full") else self.state.watermark
        if not afresh and from_ == self.state.pass_from:
            return
        with self.run.catalogue.write() as connection:
            start_pass(connection, self.run.id, self.state.id, from_)
        self._reload()

    def _start_window(self, parts: Parts | None, restarts: int = 0) -> None:
        with self.run.catalogue.write() as connection:
            start_window(connection, self.run.id, self.state.id, parts, self.state.pass_started, restarts)
        self._reload()

    def _reload(self) -> None:
        with self.run.catalogue.read() as connection:
            self.state = get_list(connection, self.state.id)
        self._seen.clear()

    def _conclude(self) -> Proof:
        started = parse_datestamp(self.state.pass_started or "")
        assert started is not None  # noqa: S101 - a list has a first page or an error, which both have a moment
        watermark = next_from(started, self._granularity)
        if self.run.quirk("clock"):
            watermark = max(watermark, _FIRST_DAY) - timedelta(days=1)
        return Proof(self.state.id, format_datestamp(started), format_datestamp(watermark, self._granularity))

    # One window.

    def _walk(self) -> bool:
        """What came of the present window is stored; True where the list has ended with it, complete."""
        token, pages = self.state.token, self.run.pages
        arguments = {"resumptionToken": token} if token else self._arguments()
        try:
            self._take_all(arguments)
        except ProtocolError as error:
            if error.code == "noRecordsMatch":  # also the end of some lists: MLA Commons, Zenodo
                self._take_nothing(error)
            elif error.code == "badArgument" and not token and self._other_granularity(arguments):
                return False
            elif error.code == "badResumptionToken" or (token and self.run.pages == pages):
                self.run.record(error, self.state.id)
                self._go_on(error, stale=bool(token) and self.run.pages == pages)
                return False
            else:
                self.run.record(error, self.state.id)
                self.run.fail(error)
                raise
        except RefusedError as error:
            self.run.record(error, self.state.id)
            raise
        except (MalformedResponseError, UnreachableError) as error:
            if isinstance(error, UnreachableError) and error.problem != "server-error":
                raise
            self.run.record(error, self.state.id)
            if self.run.kept and self.run.kept.status in _NOT_NOW:
                raise
            if token and self.run.pages == pages:
                # Not every server has a proper word for a token that it has forgotten.
                self._go_on(error, stale=False)
                return False
            self.run.fail(error)
            return self._get_around(error)
        return self._prove()

    def _take_all(self, arguments: dict[str, str]) -> None:
        self.run.client.prefix = self.state.prefix
        for response in self.run.client.iter_list(**arguments):
            self._take(response, fresh="resumptionToken" not in response.params)
            if not response.reading.whole:
                raise MalformedResponseError(
                    "the page is broken, and only some of its records are whole",
                    url=response.answer.url,
                    problem="broken-page",
                )
            if response.page.next_token and self.run.stopped:
                raise IncompleteListError(STOPPED, problem="stopped")
        if self.run.client.token_prefix:
            self.run.find("token-prefix", "yes", "a resumptionToken was refused until metadataPrefix stood beside it")

    def _take(self, response: PageResponse[Fetched], *, fresh: bool) -> None:
        reading = response.reading
        page = self._of_the_set(reading.page, fresh=fresh)
        if reading.repairs:
            what = ", ".join(reading.repairs)
            self.run.find("repaired", what, response.answer.url)
            self.run.note("repaired-xml", f"pages are not clean XML and were mended: {what}")
        reached = self._reach(page)
        self.run.store(self.state, page, response.kept, moves=reading.whole, reached=reached)
        self._usable = self._usable or bool(page.records)
        if len(self._seen) < _MAX_SEEN:
            self._seen.update(record.header.identifier for record in page.records)
        if reading.whole:
            size = page.token.complete_list_size if page.token else None
            started = format_datestamp(response_moment(page.response_date, response.kept.fetched_at))
            self.state = replace(
                self.state,
                token=page.next_token or None,
                pass_started=self.state.pass_started or started,
                pass_received=self.state.pass_received + page.size,
                pass_size=self.state.pass_size if size is None else size,
                reached=reached,
            )
            if self.state.parts is None:
                self._promised = self.state.pass_size
            self._idle = 0
            self._given_up.clear()
        self._look(page, response.kept, fresh=fresh)

    def _take_nothing(self, error: ProtocolError) -> None:
        """The window is empty from here on; where the list began so, it began with this answer."""
        self.run.record(error, self.state.id)
        kept = self.run.kept
        assert kept is not None  # noqa: S101 - the error is an answer
        started = format_datestamp(response_moment(error.response_date, kept.fetched_at))
        self.state = replace(self.state, token=None, pass_started=self.state.pass_started or started)

    def _reach(self, page: Page) -> str:
        """The newest datestamp so far, where no page has gone back behind the one before it; else empty."""
        stamps = [record.header.datestamp for record in page.records]
        if self.state.reached == "" or not all(stamps) or (stamps and min(stamps) < (self.state.reached or "")):
            return ""
        return max([*stamps, self.state.reached or ""])[:40]

    def _prove(self) -> bool:
        """The window was had whole; True where it was the last.

        Raises:
            IncompleteListError: fewer records came than were promised, or none that can be used.
        """
        state, url = self.state, self.run.kept.url if self.run.kept else ""
        believed = not self.run.quirk("size")
        if believed and state.pass_size is not None and state.pass_received < state.pass_size:
            error = IncompleteListError(
                f"the list ended after {state.pass_received} of {state.pass_size} records", url=url
            )
            self._short += 1
            if self._short > _MAX_SHORT or not self._split():
                raise error
            return False
        if not self._usable and state.pass_received >= (1 if state.pass_from is None else TELLING):
            raise IncompleteListError(f"none could be used of {state.pass_received} records", url=url)
        return self._end_window()

    def _end_window(self) -> bool:
        parts = self.state.parts
        self._short = self._idle = 0
        if parts is None:
            return True
        received = parts.received + self.state.pass_received
        if len(parts.left) > 1:
            self._start_window(Parts(parts.left[1:], parts.size, received))
            return False
        if parts.size is not None and received < parts.size and not self.run.quirk("size"):
            if self._in_order:
                # It was not in the order of its datestamps after all: what lay before cannot be known.
                self._in_order = False
                whole = Parts(((self.state.pass_from, None),), self._promised)
                self._start_window(None if self._promised is None else whole)
                return False
            raise IncompleteListError(
                f"the parts of the list held {received} of {parts.size} records",
                url=self.run.kept.url if self.run.kept else "",
            )
        return True

    # Lists that break off.

    def _go_on(self, error: MemberError, *, stale: bool) -> None:
        """The window goes on behind what came already, or from its beginning, or in halves.

        `stale`: the token was kept from an earlier run, so that its refusal is no news.
        """
        state = self.state
        parts = state.parts or Parts((self._window,), state.pass_size)
        (from_, until), rest = self._window, parts.left[1:]
        reached = parse_datestamp(state.reached or "")
        start = format_datestamp(reached, self._granularity) if reached else ""
        if self._in_order and parts.size is not None and start > (from_ or ""):
            with self.run.catalogue.read() as connection:
                again = count_stamped(connection, self.run.member, state.reached or "")
            came = parts.received + max(0, state.pass_received - again)
            self._start_window(Parts(((start, until), *rest), parts.size, came))
        elif stale or state.restarts < _RESTARTS:
            again_whole = state.parts if self._promised is None else parts
            self._start_window(again_whole, state.restarts + (not stale))
        elif not self._split():
            raise IncompleteListError(f"the list cannot be had in one piece nor in parts: {error}") from error

    def _split(self) -> bool:
        """The present window is halved by dates; False where it is as small as can be."""
        state = self.state
        from_, until = self._window
        started = parse_datestamp(state.pass_started or "") or datetime.now(UTC)
        low = parse_datestamp(from_ or "") or self._earliest or _LONG_AGO
        high = parse_datestamp(until or "") or started
        middle = self._as_asked(format_datestamp(low + (high - low) / 2))
        unit = timedelta(days=1) if self._granularity == DAY else timedelta(seconds=1)
        moment = parse_datestamp(middle)
        # From and until are never the same: some servers take until as the end that is left out.
        if moment is None or not low + unit <= moment <= high - unit:
            return False
        parts = state.parts or Parts(((from_, until),), state.pass_size)
        halves = ((from_, middle), (middle, until))  # the moment between them is in both, for the same reason
        self._start_window(replace(parts, left=(*halves, *parts.left[1:])))
        return True

    def _get_around(self, error: MalformedResponseError | UnreachableError) -> bool:
        """The window is halved, or its records asked for one by one; True where the list has ended with it.

        Raises:
            The error itself, where neither helps.
        """
        self._idle += 1
        from_, until = (parse_datestamp(moment or "") for moment in self._window)
        small = from_ is not None and until is not None and until - from_ <= _SMALL
        if self._is_hopeless or self.run.stopped:
            raise error
        if not small and self._split():
            return False
        if self._ask_alone():
            return self._end_window()
        if not self._split():
            raise error
        return False

    def _ask_alone(self) -> bool:
        """What the window lists and did not give is asked for record by record; False where that is too much."""
        missing: dict[str, Record] = {}
        try:
            for response in self.run.client.iter_list("ListIdentifiers", **self._arguments()):
                for record in response.page.records:
                    if record.header.identifier not in self._seen:
                        missing[record.header.identifier] = record
                if len(missing) > _MAX_ALONE or not response.reading.whole:
                    return False
        except (ProtocolError, MalformedResponseError, UnreachableError, TokenLoopError) as error:
            self.run.log.warning("identifiers cannot be listed", error=str(error))
            return False
        for record in missing.values():
            if self.run.stopped:
                raise IncompleteListError(STOPPED, problem="stopped")
            self._ask_one(record)
        return True

    def _ask_one(self, listed: Record) -> None:
        identifier = listed.header.identifier
        if not listed.header.deleted:
            try:
                response = self.run.client.harvest(
                    verb="GetRecord", identifier=identifier, metadataPrefix=self.state.prefix
                )
            except (ProtocolError, MalformedResponseError, UnreachableError) as error:
                self._store_alone(FailedRecord(identifier, str(error), "unreadable-record"))
            else:
                self.run.store(self.state, response.page, response.kept, moves=False)
            return
        self._store_alone(listed)

    def _store_alone(self, one: Record | FailedRecord) -> None:
        kept = self.run.kept
        assert kept is not None  # noqa: S101 - its identifier was in an answer
        page = Page("GetRecord", "")
        page = replace(page, failed=(one,)) if isinstance(one, FailedRecord) else replace(page, records=(one,))
        self.run.store(self.state, page, kept, moves=False)

    @property
    def _is_hopeless(self) -> bool:
        """Whether the server is in more trouble than one record can make."""
        return self._idle > (_MAX_IDLE if self.run.pages else _MAX_IDLE_AT_FIRST)

    def _put_off(self) -> bool:
        """The window that cannot be had waits behind the others of its list; False where that is of no use."""
        parts = self.state.parts
        busy = self.run.kept and self.run.kept.status in _NOT_NOW
        if parts is None or busy or self.run.stopped or self._is_hopeless:
            return False
        self._given_up.append(parts.left[0])
        left = (*parts.left[1:], parts.left[0])
        if left[0] in self._given_up:
            return False
        self._start_window(replace(parts, left=left))
        return True

    # What a list shows of its server.

    def _other_granularity(self, arguments: dict[str, str]) -> bool:
        """Whether dates are asked for in the other form from now on, since the server refuses this one."""
        if self.run.quirk("granularity") or not {"from", "until"} & arguments.keys():
            return False
        self._granularity = SECONDS if self._granularity == DAY else DAY
        value = "seconds" if self._granularity == SECONDS else "days"
        evidence = f"from={arguments.get('from', '')} until={arguments.get('until', '')} is a badArgument"
        self.run.find("granularity", value, evidence)
        self.run.note("granularity", f"Identify states one granularity, and the server takes the other: {value}")
        return True

    def _of_the_set(self, page: Page, *, fresh: bool) -> Page:
        """The page without the records of other sets, where a token has forgotten which was asked for."""
        wanted = self.state.set_spec
        if not wanted or fresh:
            return page
        outside = [record for record in page.records if _is_outside(record, wanted)]
        if not outside:
            return page
        evidence = f"{outside[0].header.identifier} is of {', '.join(outside[0].header.set_specs)}, not of {wanted}"
        self.run.find("leaves-set", "yes", evidence)
        self.run.note("filters-ignored", f"further pages of a list leave the set that was asked for: {evidence}")
        return replace(page, records=tuple(record for record in page.records if record not in outside))

    def _look(self, page: Page, kept: Fetched, *, fresh: bool) -> None:
        """Whether dates and clock are what they should be."""
        ours = from_epoch(kept.fetched_at)
        theirs = parse_datestamp(page.response_date)
        if theirs and abs(theirs - ours) > _SKEW and fresh:
            seconds = round((theirs - ours).total_seconds())
            evidence = f"responseDate is {seconds:+} seconds from our clock"
            if seconds > 0:  # one that is behind leads to a `from` that is earlier than need be, which is safe
                self._find_clock(evidence, f"{seconds:+}")
            else:
                self.run.note("clock", evidence)
        stamps = [(parse_datestamp(record.header.datestamp), record.header) for record in page.records]
        ahead = next((header for moment, header in stamps if moment and moment > ours + _SKEW), None)
        if ahead and _is_exact(ahead.datestamp):
            self._find_clock(f"{ahead.identifier} is stamped {ahead.datestamp}, which is to come", "ahead")
        from_, until = (parse_datestamp(moment or "") for moment in self._window)
        early = [h for moment, h in stamps if moment and from_ and from_ - moment > _SMALL]
        late = [h for moment, h in stamps if moment and until and moment - until >= 2 * _SMALL]
        if not early and not late:
            return
        asked, shown = self._window, (early or late)[0]
        evidence = f"asked from {asked[0]} until {asked[1]}, {shown.identifier} is stamped {shown.datestamp}"
        if self.state.parts and len(early) + len(late) > len(stamps) / 2:
            raise IncompleteListError(
                f"from and until are ignored, so that the list cannot be had in parts: {evidence}",
                url=kept.url,
                problem="filters-ignored",
            )
        if early:
            self.run.find("full", "yes", evidence)
            self.run.note("filters-ignored", f"`from` goes by another date than the headers show: {evidence}")

    def _find_clock(self, evidence: str, value: str) -> None:
        if not self.run.quirk("clock"):
            self.run.find("clock", value, evidence)
            self.run.note("clock", f"the server's clock or datestamps are not UTC: {evidence}")


def _is_outside(record: Record, wanted: str) -> bool:
    specs = record.header.set_specs  # a header without any says nothing: EPrints' deleted ones
    return bool(specs) and not any(spec == wanted or spec.startswith(f"{wanted}:") for spec in specs)


def _is_exact(datestamp: str) -> bool:
    """Whether it is more than a day: a day that has begun in the east is not to come."""
    return len(datestamp) > len(DAY)
