"""One harvest of each member asked for: every list from its watermark, or from where a killed run stopped.

A list is one metadata prefix and one set of a member. It is complete only if that was proved: each page
is an OAI-PMH answer, the end is marked, and no fewer records came than the server promised. Only then does
its watermark move. Spec: 3.5, [harv 3].
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from harvester.archive import Archive, page_key, put_page
from harvester.catalogue import Catalogue
from harvester.catalogue.commit import Counts, Fetched, commit_failed_page, commit_page
from harvester.catalogue.harvests import (
    SUCCESSES,
    ListState,
    Outcome,
    Run,
    begin_harvest,
    finish_harvest,
    finish_pass,
    get_lists,
    get_run,
    set_window,
    start_pass,
)
from harvester.catalogue.members import Member, rename_member
from harvester.datestamps import (
    DAY,
    Granularity,
    format_datestamp,
    next_from,
    parse_datestamp,
    parse_granularity,
    response_moment,
)
from harvester.errors import (
    CatalogueError,
    HarvestSupersededError,
    IncompleteListError,
    LumbungError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    TokenLoopError,
)
from harvester.oai.client import Client, PageResponse
from harvester.oai.transport import Answer, Transport
from harvester.settings import Settings

_STOPPED = "stopped by the operator; the next harvest goes on from here"
# Answers that say nothing about the token they were asked with.
_NOT_NOW = frozenset({401, 403, 429, 502, 503, 504})
# So many records of which none can be used say that something is wrong with the whole; a few are just bad ones.
_TELLING = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a member's harvest is: pages and records of this run so far, `expected` records of the present list."""

    member: str
    pages: int
    records: int
    expected: int | None = None
    run: Run | None = None  # set at the end


@dataclass(frozen=True, slots=True)
class HarvestContext:
    """What every member's harvest shares. `verbose` says that each step is logged."""

    settings: Settings
    catalogue: Catalogue
    archive: Archive
    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[[Progress], None] = lambda _progress: None
    verbose: bool = False


def harvest_member(context: HarvestContext, member: Member, *, full: bool = False) -> Run:
    """The member's run, ended and on record; errors of the member are its outcome.

    Raises:
        CatalogueError, ArchiveError: ours; the run stays open and the next one goes on from its last page.
    """
    with context.catalogue.write() as connection:
        harvest_id = begin_harvest(connection, member, context.catalogue.now(), full=full)
    settings = context.settings
    transport = Transport(
        user_agent=settings.user_agent,
        from_email=settings.admin_email,
        max_wait=settings.max_wait,
        stop=context.stop,
    )
    try:
        return _MemberHarvest(context, member, harvest_id, transport).run()
    finally:
        transport.close()


class _MemberHarvest:
    """One run. `_kept` is the archive's place of the newest answer."""

    def __init__(self, context: HarvestContext, member: Member, harvest_id: int, transport: Transport) -> None:
        self.context = context
        self.catalogue = context.catalogue
        self.member = member
        self.harvest_id = harvest_id
        self.transport = transport
        self.client = Client(member.base_url, transport, self._keep)
        self.granularity: Granularity = DAY
        self.log = structlog.get_logger("harvest").bind(member=member.slug, harvest=harvest_id)
        self._sequence = 0
        self._kept: Fetched | None = None
        self._totals = Counts()
        self._pages = 0

    def run(self) -> Run:
        """The run, ended."""
        self.log.info("harvest begins", base_url=self.member.base_url)
        errors: list[str] = []
        reached: list[str] = []
        asked: list[str | None] = []
        try:
            self._identify()
            with self.catalogue.read() as connection:
                lists = get_lists(connection, self.harvest_id)
            for state in lists:
                if self.context.stop.is_set():
                    errors = errors or [_STOPPED]
                    break
                asked.append(state.pass_from if state.token else state.watermark)
                try:
                    reached.append(self._harvest_list(state))
                except (ProtocolError, IncompleteListError, MalformedResponseError, TokenLoopError) as error:
                    # The other lists may be well.
                    errors.append(self._list_name(state) + str(error))
        except HarvestSupersededError as error:
            self.log.warning("harvest superseded")
            with self.catalogue.read() as connection:
                return replace(get_run(connection, self.harvest_id), error=str(error), outcome="incomplete")
        except MemberError as error:
            errors.append(str(error))
        return self._finish(errors, asked, reached)

    def _finish(self, errors: list[str], asked: list[str | None], reached: list[str]) -> Run:
        outcome = self._outcome(asked, broken=bool(errors))
        error = "; ".join(errors) or None
        with self.catalogue.write() as connection:
            from_ = None if None in asked or not asked else min(filter(None, asked))
            set_window(connection, self.harvest_id, from_, min(reached) if reached and not errors else None)
            run = finish_harvest(
                connection,
                self.harvest_id,
                outcome=outcome,
                error=error,
                requests=self.transport.requests,
                size=self.transport.bytes,
                now=self.catalogue.now(),
            )
        level = self.log.info if outcome in SUCCESSES else self.log.warning
        level("harvest ends", outcome=outcome, records=run.records, error=error)
        self.context.report(Progress(self.member.slug, run.pages, run.records, run=run))
        return run

    def _outcome(self, asked: list[str | None], *, broken: bool) -> Outcome:
        counts = self._totals
        if broken:
            useless = counts.failed == counts.records and _is_telling(counts.records, full=None in asked)
            return "failed" if useless or not self._pages else "incomplete"
        if counts.failed:
            return "complete-with-failures"
        if counts.added + counts.changed + counts.deleted == 0:
            return "nothing-new"
        return "complete"

    def _list_name(self, state: ListState) -> str:
        several = len(self.member.prefixes) * max(1, len(self.member.sets)) > 1
        if not several:
            return ""
        return f"{state.prefix}{' ' + state.set_spec if state.set_spec else ''}: "

    def _identify(self) -> None:
        """The granularity is known; a repository whose Identify is broken is asked in days, which all serve."""
        try:
            root = self.client.harvest(verb="Identify").xml
        except (ProtocolError, MalformedResponseError) as error:
            self.log.warning("Identify cannot be read", error=str(error))
            self._record_answer(None, error)
            return
        self.granularity = parse_granularity(root.findtext(".//{*}granularity"))
        name = " ".join((root.findtext(".//{*}repositoryName") or "").split())
        name = "".join(filter(str.isprintable, name))
        if name and self.member.name == self.member.slug:  # the operator gave it no name
            with self.catalogue.write() as connection:
                rename_member(connection, self.member, name)

    def _harvest_list(self, state: ListState) -> str:
        """The list is complete and its watermark moved; the responseDate that the pass is proved to reach.

        Raises:
            MemberError: it is not; its position is on record, and its watermark where it was.
        """
        if state.token:
            try:
                return self._resume(state, {"resumptionToken": state.token})
            except ProtocolError as error:
                if error.code != "badResumptionToken":
                    raise
                self.log.warning("the kept token has expired; the list starts again")
        self._start_pass(state)
        arguments = {"metadataPrefix": state.prefix}
        if state.set_spec:
            arguments["set"] = state.set_spec
        if state.watermark:
            arguments["from"] = _as_granular(state.watermark, self.granularity)
        fresh = replace(
            state, token=None, pass_from=state.watermark, pass_started=None, pass_received=0, pass_size=None
        )
        return self._walk(fresh, arguments)

    def _resume(self, state: ListState, arguments: Mapping[str, str]) -> str:
        pages, answers = self._pages, self._sequence
        try:
            return self._walk(state, arguments)
        except MemberError:
            # Not every server has a proper word for a token that it has forgotten.
            refused = self._sequence > answers and self._kept is not None and self._kept.status not in _NOT_NOW
            if refused and self._pages == pages:
                self._start_pass(state)
            raise

    def _walk(self, state: ListState, arguments: Mapping[str, str]) -> str:
        started = parse_datestamp(state.pass_started or "")
        received = state.pass_received
        usable = received > 0
        size = state.pass_size
        try:
            for response in self.client.iter_list(**arguments):
                started = started or self._moment(response.page.response_date)
                received += response.page.size
                usable = usable or bool(response.page.records)
                size = self._commit(state, response) or size
                if response.page.next_token and self.context.stop.is_set():
                    raise IncompleteListError(_STOPPED)
        except ProtocolError as error:
            # Also the end of some lists: the last token leads to noRecordsMatch (MLA Commons, Zenodo).
            self._record_answer(state.id, error)
            if error.code == "badResumptionToken":
                self._start_pass(state)
            if error.code != "noRecordsMatch":
                raise
            started = started or self._moment(error.response_date)
        except MalformedResponseError as error:
            self._record_answer(state.id, error)
            raise
        except TokenLoopError:
            self._start_pass(state)
            raise
        short = size is not None and received < size
        if short or (not usable and _is_telling(received, full=state.pass_from is None)):
            self._start_pass(state)
            what = f"the list ended after {received} of {size}" if short else f"none could be used of {received}"
            raise IncompleteListError(f"{what} records", url=self._kept.url if self._kept else "")
        assert started is not None  # noqa: S101 - a list has a first page or an error
        watermark = format_datestamp(next_from(started, self.granularity), self.granularity)
        with self.catalogue.write() as connection:
            finish_pass(connection, self.harvest_id, state.id, watermark)
        return format_datestamp(started)

    def _moment(self, response_date: str) -> datetime:
        assert self._kept is not None  # noqa: S101 - the client keeps each answer before it is parsed
        return response_moment(response_date, self._kept.fetched_at)

    def _start_pass(self, state: ListState) -> None:
        with self.catalogue.write() as connection:
            start_pass(connection, self.harvest_id, state.id, state.watermark)

    def _commit(self, state: ListState, response: PageResponse) -> int | None:
        """The page is catalogued; the size of the list as the page states it."""
        assert self._kept is not None  # noqa: S101 - the client keeps each answer before it is parsed
        page = replace(response.page, root=None)
        counts = commit_page(
            self.catalogue,
            harvest_id=self.harvest_id,
            member=self.member,
            list_id=state.id,
            prefix=state.prefix,
            page=page,
            fetched=self._kept,
        )
        self._pages += 1
        self._totals = self._totals + counts
        size = page.token.complete_list_size if page.token else None
        self.context.report(Progress(self.member.slug, self._pages, self._totals.records, size))
        return size

    def _keep(self, answer: Answer) -> None:
        """The answer's bytes are in the archive, before anybody looks at them."""
        self._sequence += 1
        key = page_key(self.member.slug, self.harvest_id, self._sequence)
        put_page(self.context.archive, key, answer.body)
        self._kept = Fetched(key, answer.url, answer.status, len(answer.body), answer.fetched_at)

    def _record_answer(self, list_id: int | None, error: LumbungError) -> None:
        """An answer with no records is on record too, with the place of its bytes."""
        if self._kept is not None:
            commit_failed_page(
                self.catalogue,
                harvest_id=self.harvest_id,
                list_id=list_id,
                fetched=self._kept,
                error=f"{type(error).__name__}: {error}",
            )


def _is_telling(received: int, *, full: bool) -> bool:
    """Whether it is a failure that none of these could be used: a list asked for in full never leaves it at that."""
    return received >= (1 if full else _TELLING)


def _as_granular(watermark: str, granularity: Granularity) -> str:
    moment = parse_datestamp(watermark)
    if moment is None:
        raise CatalogueError(f"the catalogue holds a watermark that is no datestamp: {watermark!r}")
    return format_datestamp(moment, granularity)
