"""One list of a member, harvested until it is proved complete, in one piece where it can be had so.

A list whose token is refused goes on behind the newest datestamp, starts again, or is halved by dates until its
parts can be had. Around a page that stays broken, identifiers are listed and records asked for one by one. A list
is complete only if each page was OAI-PMH, its end was marked, and no fewer records came than the server ever
promised. Spec: 3.5, [harv 3], [harv 6.2].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from harvester.alone import fetch_alone, find_life
from harvester.catalogue.commit import Fetched
from harvester.catalogue.lists import (
    ListState,
    Parts,
    Window,
    count_stamped,
    get_list,
    holds_records,
    start_pass,
    start_window,
)
from harvester.datestamps import (
    DAY,
    SECONDS,
    Granularity,
    format_datestamp,
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
from harvester.oai.page import Page
from harvester.observations import leave_out_others, look_at_clock, look_at_dates
from harvester.problems import code_of
from harvester.run import MOST_CAUSES, MemberRun
from harvester.shown import Shown

# So many records of which none can be used say that something is wrong with the whole; a few are just bad ones.
TELLING = 20
# A refused token is met by starting again so often, then by smaller lists.
_RESTARTS = 2
# Windows in a row that came to nothing: the trouble is not one record's, least of all where nothing ever came.
_MAX_IDLE = 10
_MAX_IDLE_AT_ALL = 2
# Windows in a row whose token was refused: half a century is down to seconds sooner.
_MAX_REFUSED = 40
_MAX_LOOPS = 12  # the same of windows whose list went round, which takes more requests to see
# A server that always promises more than it has would be halved for ever.
_MAX_SHORT = 8
# Records that are asked for one by one: in a window that can be made smaller, and in the smallest.
_FEW = 20
_MANY = 1000
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST_DAY = datetime(2, 1, 1, tzinfo=UTC)
# Ends after which the next run goes on where this one was.
_GOES_ON = frozenset({"stopped", "token-refused"})
# Answers that say nothing about what was asked for.
_NOT_NOW = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Proof:
    """A complete list: the responseDate that it is proved to reach, and the `from` of its next pass."""

    list_id: int
    reached: str
    watermark: str | None


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
        self._resumed = state.parts
        self._is_resumed = bool(state.token or state.parts)
        self._usable = state.pass_received > 0
        self._done = False
        self._shown = Shown()
        # In the present window: the oldest and the newest datestamp; all that came, and the most that was stated.
        self._stamps: tuple[str, str] | None = None
        self._rows, self._most = state.pass_received, 0
        self._promised: int | None = None  # records of the whole list, as this run was told at the most
        self._leaps: bool | None = False  # whether it went on behind a datestamp; None: that lost records
        self._stale = False  # whether the token is an earlier run's, and nothing came of it yet
        self._new_form = ""  # why dates are asked for in another form, until that was of use
        self._idle = self._short = self._refused = 0
        self._is_marked = True  # whether the present window came to an end that proves itself
        self._whole: int | None = None  # records of the whole, where they were too few
        self._is_sought = False  # whether more was looked for behind an end that nothing proves
        self._cut = False  # whether its halves held more of them
        self._looped = False
        self._first: MemberError | None = None  # of the trouble that is being met
        self._given_up: set[Window] = set()

    def harvest(self) -> Proof:
        """The list is proved complete, and it is for the caller to say so in the catalogue.

        Raises:
            MemberError: it is not; its position is on record, and its watermark where it was.
        """
        if self.state.token is None and self.state.parts is None:
            self._begin(afresh=self.state.pass_started is not None)
            if self.run.quirk("loops"):
                self._split()
        try:
            while not self._done:
                self._check_stop()
                if self._first and self._window in self._given_up:
                    self._fail(self._first)
                self._go_on()
        except (TokenLoopError, IncompleteListError) as error:
            if error.problem not in _GOES_ON:
                self.run.fail(error)
                self._begin()
            raise
        return self._conclude()

    def _go_on(self) -> None:
        """The present window is further, or its trouble was met."""
        try:
            self._walk()
            self._prove()
        except ProtocolError as error:
            self._meet_error(error)
        except TokenLoopError as error:
            self._meet_loop(error)
        except IncompleteListError as error:
            # Who ignores dates gives the whole again, and nothing new in it.
            if error.problem != "filters-ignored" or not self._is_sought or self._shown.further:
                raise
            self._done = True
        except (MalformedResponseError, UnreachableError) as error:
            self._meet_damage(error)
        except RefusedError as error:
            self.run.record(error, self.state.id)
            raise

    def _check_stop(self) -> None:
        if self.run.stopped:
            raise IncompleteListError(self.run.stop_reason, problem="stopped")

    # What is asked for.

    @property
    def _window(self) -> Window:
        parts = self.state.parts
        return parts.left[0] if parts else (self.state.pass_from, None)

    @property
    def _is_whole(self) -> bool:
        return self._window == (self.state.pass_from, None)

    @property
    def _parts(self) -> Parts:
        parts = self.state.parts or Parts((self._window,))
        sizes = [parts.size, self.state.pass_size if self._is_whole else None]
        return replace(parts, size=max((size for size in sizes if size is not None), default=None))

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
        self._is_resumed = False
        self._reload()

    def _start_window(self, parts: Parts | None, restarts: int | None = None) -> None:
        restarts = self.state.restarts if restarts is None else restarts
        with self.run.catalogue.write() as connection:
            start_window(connection, self.run.id, self.state.id, parts, self.state.pass_started, restarts)
        self._reload()

    def _reload(self) -> None:
        with self.run.catalogue.read() as connection:
            self.state = get_list(connection, self.state.id)
        self._shown.begin_window()
        self._stamps = None
        self._rows, self._most = self.state.pass_received, 0

    def _conclude(self) -> Proof:
        started = parse_datestamp(self.state.pass_started or "")
        assert started is not None  # noqa: S101 - a list has a first page or an error, which both have a moment
        if self._shown.moved and self._promised is None:
            self.run.is_doubtful = True
        if self.state.pass_from is None and not self._received:
            # Of a server in trouble more often than of an empty one: everything is asked for the next time, too.
            return Proof(self.state.id, format_datestamp(started), None)
        watermark = next_from(started, self._granularity)
        if self.run.quirk("clock"):
            watermark = max(watermark, _FIRST_DAY) - timedelta(days=1)
        return Proof(self.state.id, format_datestamp(started), format_datestamp(watermark, self._granularity))

    # One window.

    def _walk(self) -> None:
        """What came of the present window is stored, and it has come to its end."""
        token = self.state.token
        self._stale = token is not None
        self._is_marked = True
        self.run.client.prefix = self.state.prefix
        arguments = {"resumptionToken": token} if token else self._arguments()
        try:
            for response in self.run.client.iter_list(**arguments):
                self._take(response)
                if response.page.next_token:
                    self._check_stop()
        except ProtocolError as error:
            if error.code != "noRecordsMatch":  # also the end of some lists: MLA Commons, Zenodo
                raise
            self._is_marked = not token and not self._rows
            self._take_nothing(error)
        if self.run.client.token_prefix:
            self.run.find("token-prefix", "yes", "a resumptionToken was refused until metadataPrefix stood beside it")

    def _take(self, response: PageResponse[Fetched]) -> None:
        reading, kept, run = response.reading, response.kept, self.run
        fresh = "resumptionToken" not in response.params
        page = leave_out_others(run, reading.page, self.state.set_spec, fresh=fresh)
        if reading.repairs:
            what = ", ".join(reading.repairs)
            run.find("repaired", what, response.url)
            run.note("repaired-xml", f"pages are not clean XML and were mended: {what}", most=MOST_CAUSES)
        reached = self._reach(page)
        started = parse_datestamp(self.state.pass_started or "")
        began = format_datestamp(max(started, _FIRST_DAY) - timedelta(days=1), DAY) if started else "~"
        winners, new = self._shown.take(page, self._window[1], began)
        self._is_marked = bool(page.next_token) or page.token is not None or (fresh and page.size > 0)
        if not reading.whole:
            run.store(self.state, replace(winners, failed=()), kept, moves=False, resumed=self._is_resumed)
            self._idle = 0
            raise MalformedResponseError(
                "the page is broken, and only some of its records are whole",
                url=response.url,
                problem="broken-page",
            )
        run.store(self.state, winners, kept, moves=True, new=new, reached=reached, resumed=self._is_resumed)
        self._move(page, kept, new, reached)
        if fresh:
            look_at_clock(run, page, kept)
        look_at_dates(run, page, kept, self._window, in_parts=self.state.parts is not None)

    def _move(self, page: Page, kept: Fetched, new: int, reached: str) -> None:
        """The list stands behind the page, as it does in the catalogue."""
        size = page.token.complete_list_size if page.token else None
        started = format_datestamp(response_moment(page.response_date, kept.fetched_at))
        self.state = replace(
            self.state,
            token=page.next_token or None,
            pass_started=self.state.pass_started or started,
            pass_received=self.state.pass_received + new,
            pass_size=size if self.state.pass_size is None else self.state.pass_size,
            reached=reached,
        )
        self._rows += page.size
        self._most = max(self._most, size or 0)
        if self._is_whole:
            self._promised = self._parts.size
        self._usable = self._usable or bool(page.records)
        self._stale = False
        self._idle = 0
        self._confirm_form()

    def _take_nothing(self, error: ProtocolError) -> None:
        """The window is empty from here on; where the list began so, it began with this answer."""
        self.run.record(error, self.state.id)
        kept = self.run.kept
        assert kept is not None  # noqa: S101 - the error is an answer
        started = format_datestamp(response_moment(error.response_date, kept.fetched_at))
        self.state = replace(self.state, token=None, pass_started=self.state.pass_started or started)
        self._confirm_form()

    def _reach(self, page: Page) -> str:
        """The newest datestamp so far, where no page has gone back behind the one before it; else empty."""
        stamps = [record.header.datestamp for record in page.records]
        if stamps:
            known = self._stamps or (max(stamps), min(stamps))
            self._stamps = min(known[0], *stamps), max(known[1], *stamps)
        if self.state.reached == "" or not all(stamps) or (stamps and min(stamps) < (self.state.reached or "")):
            return ""
        return max([*stamps, self.state.reached or ""])[:40]

    def _prove(self) -> None:
        """The window was had whole, or is halved, or goes on.

        Raises:
            IncompleteListError: fewer records came than were promised.
        """
        state = self.state
        # Further pages may state the size of a list that grew, or of one whose filters their token has forgotten:
        # for them, records that came twice count, too.
        short = state.pass_received < (state.pass_size or 0) or self._rows < self._most
        if short and not self.run.quirk("size"):
            self._meet_shortness()
        elif self._is_marked or (state.pass_size and not self.run.quirk("size")) or not self._seek_end():
            self._end_window()

    def _meet_shortness(self) -> None:
        """The list is halved; what its halves hold tells whether it was cut, and then they are halved, too."""
        if self._whole is not None and not self._cut:
            self._end_window()
            return
        trying = self._is_whole and not self._cut
        if trying:
            self._whole = self.state.pass_received
        self._short += 1
        if self._is_one_moment or self._short > _MAX_SHORT or not self._split(seen=trying):
            self._end_short(self.state.pass_received, max(self.state.pass_size or 0, self._most))

    def _end_short(self, received: int, size: int | None) -> NoReturn:
        raise IncompleteListError(f"the list ended after {received} of {size} records", url=self._url)

    @property
    def _url(self) -> str:
        return self.run.kept.url if self.run.kept else ""

    def _seek_end(self) -> bool:
        """More is asked for behind an end that nothing proves; False where the last time brought nothing new."""
        self.run.note("short-list", f"nothing marks the end of a list, nor is its size told [{self._url}]")
        if self._shown.further and not self._shown.is_full and (self._leap(sized=False) or self._split()):
            self._is_sought = True
            return True
        return False

    @property
    def _received(self) -> int:
        """The records of this pass so far."""
        return self.state.pass_received + (self.state.parts.received if self.state.parts else 0)

    def _end_window(self) -> None:
        parts, state = self.state.parts, self.state
        self._short = self._idle = self._refused = 0
        if not self._given_up:
            self._first = None
        received = self._received
        if parts and len(parts.left) > 1:
            self._start_window(Parts(parts.left[1:], parts.size, received))
        elif parts and not self.run.quirk("size") and received < (parts.size or 0):
            if self._leaps:
                # It was not in the order of its datestamps after all: what lay before cannot be known.
                self._leaps = None
                self._start_whole(state.restarts)
            elif self._whole is not None and not self._cut and received > self._whole:
                self._cut = True
                self._start_whole(state.restarts)
            else:
                self._end_short(received, parts.size)
        elif not self._usable and received >= (1 if state.pass_from is None else TELLING):
            raise IncompleteListError(f"none could be used of {received} records", url=self._url)
        elif not received and state.pass_from is None and not state.set_spec and self._is_had():
            raise IncompleteListError("the list is empty, though its records were had before", url=self._url)
        else:
            self._done = True

    def _is_had(self) -> bool:
        with self.run.catalogue.read() as connection:
            return holds_records(connection, self.run.member, self.state.prefix)

    def _start_whole(self, restarts: int) -> None:
        """The list begins again; what this run was promised is not forgotten."""
        whole: Window = (self.state.pass_from, None)
        self._start_window(None if self._promised is None else Parts((whole,), self._promised), restarts)

    # Lists that break off.

    def _meet_error(self, error: ProtocolError) -> None:
        """The pass can go on; raises where it cannot."""
        if error.code == "badArgument" and not self.state.token and self._change_form():
            return
        self.run.record(error, self.state.id)
        if self._stale or (self.state.token and self._rows):  # whatever word it has for a token that it forgot
            self._meet_refusal(error)
        else:
            self._give_up(error)

    def _meet_refusal(self, error: MemberError) -> None:
        """The window goes on behind what came already, or from its beginning, or in halves."""
        if self._leap():
            return
        if self._stale or self.state.restarts < _RESTARTS:
            restarts = self.state.restarts + (not self._stale)
            if self._is_whole:
                self._start_whole(restarts)
            else:
                self._start_window(self.state.parts, restarts)
            return
        self._refused += 1
        if self._refused > _MAX_REFUSED or not (self._split() or self._fetch_alone(_MANY)):
            what = f"the list cannot be had in one piece nor in parts: {error}"
            refused = IncompleteListError(what, problem="token-refused")
            if self._refused > _MAX_REFUSED:  # as where from and until are ignored
                raise refused
            self._give_up(refused)

    def _meet_loop(self, error: TokenLoopError) -> None:
        """The window is halved, since a list of one page has no token; raises where that is of no use."""
        self.run.find("loops", "yes", str(error))
        if not self._looped:
            self._looped = True
            self.run.note(code_of(error), str(error))
        self._refused += 1
        if self._refused > _MAX_LOOPS or not self._split():
            raise error

    def _meet_damage(self, error: MalformedResponseError | UnreachableError) -> None:
        """The broken page is got around; raises where the server is in more trouble than one page can make."""
        run = self.run
        answered = isinstance(error, MalformedResponseError) or error.problem == "server-error"
        if answered and error.problem != "broken-page":  # whose records are on record
            run.record(error, self.state.id)
        if self._first is None:
            run.fail(error, answered=answered)
        busy = answered and run.kept is not None and run.kept.status in _NOT_NOW
        alive_at = None if busy or run.stopped or error.problem == "protocol-error" else find_life(run)
        if alive_at is None:
            raise error
        started = self.state.pass_started or format_datestamp(alive_at)  # where not even a first page was had
        self.state = replace(self.state, pass_started=started)
        if self._stale:  # not every server has a proper word for a token that it has forgotten
            self._meet_refusal(error)
            return
        self._first = self._first or error
        self._idle += 1
        if self._idle > (_MAX_IDLE if run.pages else _MAX_IDLE_AT_ALL):
            self._fail(self._first)
        if self._leap():
            return
        if not self._fetch_alone(_FEW if self._find_halves() else _MANY) and not self._split(last=True):
            self._give_up(error)

    def _fetch_alone(self, most: int) -> bool:
        """What is missing of the window was asked for one by one, and it has ended; False where that is no way."""
        listed = fetch_alone(self.run, self.state, self._arguments(), self._shown, most=most)
        if listed is None:
            return False
        self._usable = self._usable or self.run.totals.records > self.run.totals.failed
        self.state = replace(self.state, token=None, pass_received=listed)
        self._end_window()
        return True

    def _leap(self, *, sized: bool = True) -> bool:
        """The window begins anew behind what came already; False where no order, or no size if one is wanted, makes
        that safe."""
        parts, (from_, until) = self._parts, self._window
        reached = parse_datestamp(self.state.reached or "")
        start = format_datestamp(reached, self._granularity) if reached else ""
        if self._leaps is None or (sized and parts.size is None) or start <= (from_ or "") or start >= (until or "~"):
            return False
        newest = (self.state.reached or "")[: len(start)]
        with self.run.catalogue.read() as connection:
            again = count_stamped(connection, self.run.member, newest)
        received = parts.received + max(0, self.state.pass_received - again)
        self._leaps = True
        self._start_window(Parts(((start, until), *parts.left[1:]), parts.size, received))
        return True

    @property
    def _is_one_moment(self) -> bool:
        return self._stamps is not None and self._stamps[0] == self._stamps[1]

    def _find_halves(self, *, seen: bool = False) -> tuple[Window, Window] | None:
        """The present window in two, or what was `seen` of it; None where that is as small as can be."""
        from_, until = self._window
        oldest, newest = (parse_datestamp(stamp) for stamp in self._stamps or ("", ""))
        earliest = self._earliest or _LONG_AGO
        low = parse_datestamp(from_ or "") or min(earliest, oldest or earliest)
        high = parse_datestamp(until or "") or parse_datestamp(self.state.pass_started or "") or datetime.now(UTC)
        unit = timedelta(days=1) if self._granularity == DAY else timedelta(seconds=1)
        # Where all that came is of one moment, that may be all of the trouble: it is put apart.
        halfway = newest + unit if newest and self._is_one_moment else low + (high - low) / 2
        if seen and oldest and newest:
            halfway = oldest + (newest - oldest) / 2
        middle = format_datestamp(halfway, self._granularity)
        moment = parse_datestamp(middle)
        # From and until are never the same: some servers take until as the end that is left out.
        if moment is None or not low + unit <= moment <= high - unit:
            return None
        return (from_, middle), (middle, until)  # the moment between them is in both, for the same reason

    def _split(self, *, last: bool = False, seen: bool = False) -> bool:
        """The window is halved, its halves `last` of all; False where it is as small as can be."""
        halves, parts = self._find_halves(seen=seen), self._parts
        if halves is None:
            return False
        rest = parts.left[1:]
        self._start_window(replace(parts, left=(*rest, *halves) if last else (*halves, *rest)))
        return True

    def _give_up(self, error: MemberError) -> None:
        """The window waits for another run, and the others are had; raises where there are none."""
        if self._first is None:
            self._first = error
            self.run.fail(error)
        self._given_up.add(self._window)
        parts = self.state.parts
        if parts is None or len(parts.left) == 1:
            self._fail(self._first)
        else:
            self._start_window(replace(parts, left=(*parts.left[1:], parts.left[0])))

    def _fail(self, error: MemberError) -> NoReturn:
        """The run of the list ends; if all of it was in vain, the next one begins anew, with the news."""
        if self._resumed and self.state.parts and set(self._resumed.left) == set(self.state.parts.left):
            self._begin()
        raise error

    # How dates are asked for.

    def _change_form(self) -> bool:
        """Dates are asked for in the other form from now on; False where both are refused."""
        if self.run.quirk("granularity") or not any(self._window):
            return False
        asked = self._arguments()
        self._granularity = SECONDS if self._granularity == DAY else DAY
        refused = bool(self._new_form)
        self._new_form = "" if refused else f"from={asked.get('from')} until={asked.get('until')} is a badArgument"
        return not refused

    def _confirm_form(self) -> None:
        """A form of dates that was of use is remembered."""
        if self._new_form:
            value = "seconds" if self._granularity == SECONDS else "days"
            self.run.find("granularity", value, self._new_form)
            self.run.note("granularity", f"Identify states one granularity, and the server takes the other: {value}")
            self._new_form = ""
