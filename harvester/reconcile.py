"""Records that vanish without a word: a member's full lists of identifiers, held against what the catalogue has.

Whatever a repository says about its deletions, it is asked from time to time for everything that it lists. What is
listed and was never harvested is fetched; what is listed as deleted is deleted. What is not listed any more, by lists
that are all proved complete, is pending; missed again when its time has come, it goes. Spec: 2.5.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog
from sqlalchemy import Connection, insert

from harvester.archive import page_key, put_page
from harvester.catalogue import vanished
from harvester.catalogue.commit import Fetched, commit_failed_page, commit_page
from harvester.catalogue.harvests import Outcome, Run, finish_harvest, get_run
from harvester.catalogue.lists import ListState, get_lists
from harvester.catalogue.members import Member
from harvester.catalogue.reconciliations import (
    Position,
    begin_reconciliation,
    commit_listing,
    find_position,
    set_next_reconciliation,
    start_position,
    update_run,
)
from harvester.catalogue.tables import problems
from harvester.errors import (
    HarvestSupersededError,
    IncompleteListError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    TokenLoopError,
    UnreachableError,
)
from harvester.harvest import HarvestContext, Progress
from harvester.oai.client import Client, PageResponse
from harvester.oai.page import Page
from harvester.oai.transport import Answer, Transport
from harvester.problems import code_of

# Records that are fetched one by one; where there are more, a full harvest is the shorter way.
MAX_SINGLE = 300
_MAX_UNREADABLE = 5  # of them, before the rest is left to a full harvest, too
_STOPPED = "stopped by the operator; the next reconciliation goes on from here"


def reconcile_member(context: HarvestContext, member: Member) -> Run:
    """The member's run, ended and on record; errors of the member are its outcome.

    `records` are the identifiers that were listed, `added` those that had to be fetched, `deleted` the records that
    became tombstones. Nothing is deleted unless all lists of a prefix were proved complete.

    Raises:
        CatalogueError, ArchiveError: ours; the run stays open and the next one goes on from its last page.
    """
    with context.catalogue.write() as connection:
        run_id = begin_reconciliation(connection, member, context.catalogue.now())
    settings = context.settings
    transport = Transport(
        user_agent=settings.user_agent,
        from_email=settings.admin_email,
        max_wait=settings.max_wait,
        stop=context.stop,
    )
    try:
        return _Reconciliation(context, member, run_id, transport).run()
    finally:
        transport.close()


class _Reconciliation:
    """One run. `_kept` is the archive's place of the newest answer."""

    def __init__(self, context: HarvestContext, member: Member, run_id: int, transport: Transport) -> None:
        self.context = context
        self.catalogue = context.catalogue
        self.member = member
        self.run_id = run_id
        self.transport = transport
        self.client = Client(member.base_url, transport, self._keep)
        self._kept: Fetched | None = None
        self._errors: list[str] = []
        self._sequence = self._pages = self._records = 0
        self._missing = self._unreadable = 0

    def run(self) -> Run:
        """The run, ended."""
        halted: str | None = None
        try:
            try:
                halted = self._judge(*self._prove_lists())
            except MemberError as error:
                self._fail(error)
            return self._finish(halted)
        except HarvestSupersededError as error:
            with self.catalogue.read() as connection:
                return replace(get_run(connection, self.run_id), error=str(error), outcome="incomplete")

    def _finish(self, halted: str | None) -> Run:
        now = self.catalogue.now()
        with self.catalogue.write() as connection:
            run = get_run(connection, self.run_id)
            news = run.added + run.changed + run.deleted + self._missing
            outcome: Outcome = "complete" if news else "nothing-new"
            if halted or self._unreadable:
                outcome = "complete-with-failures"
            if self._errors:
                outcome = "incomplete" if self._pages else "failed"
            update_run(connection, self.run_id, records=self._records, retries=self.transport.retries)
            set_next_reconciliation(connection, self.member, now, soon=bool(self._errors))
            run = finish_harvest(
                connection,
                self.run_id,
                outcome=outcome,
                error="; ".join([*self._errors, *filter(None, [halted])]) or None,
                requests=self.transport.requests,
                size=self.transport.bytes,
                now=now,
            )
        log = structlog.get_logger("reconcile").bind(member=self.member.slug, run=self.run_id)
        level = log.warning if run.error else log.info
        level("reconciliation ends", outcome=outcome, records=run.records, deleted=run.deleted, error=run.error)
        self.context.report(Progress(self.member.slug, run.pages, run.records, run=run))
        return run

    def _fail(self, error: MemberError, of_list: str = "") -> None:
        """The run is not complete, and this is why."""
        self._errors.append(of_list + str(error))
        self._put_problem(code_of(error), "", str(error))
        where = {"error_url": error.url or None, "error_key": self._kept and self._kept.archive_key}
        with self.catalogue.write() as connection:
            update_run(connection, self.run_id, **where)

    def _prove_lists(self) -> tuple[tuple[ListState, ...], dict[int, Position]]:
        """The member's lists, and how those ended that were proved complete."""
        proved: dict[int, Position] = {}
        with self.catalogue.read() as connection:
            lists = get_lists(connection, self.run_id)
        for state in lists:
            self._check_stop()
            try:
                proved[state.id] = self._prove_list(state)
            except (ProtocolError, IncompleteListError, MalformedResponseError, TokenLoopError) as error:
                if error.problem == "stopped":
                    raise
                self._fail(error, f"{state.prefix} {state.set_spec}".strip() + ": ")  # the others may be well
        return lists, proved

    def _prove_list(self, state: ListState) -> Position:
        """The whole list, proved complete. An empty one and a refused token are given a second try.

        Raises:
            MemberError: it is not complete; where going on is of use, its position is on record.
        """
        with self.catalogue.read() as connection:
            position = find_position(connection, self.member, state.id, self.catalogue.now())
        if position and position.ended:
            return position
        for last in (False, True):
            pages = self._pages
            try:
                position = self._walk(state, position or self._start(state))
                if position.received or last:
                    return position
            except (ProtocolError, TokenLoopError, MalformedResponseError) as error:
                # Not every server has a proper word for a token that it has forgotten.
                if self._pages == pages or not isinstance(error, MalformedResponseError):
                    self._start(state)
                if last or getattr(error, "code", "") != "badResumptionToken":
                    raise
            position = None
        raise AssertionError("unreachable: the last try returns or raises")

    def _start(self, state: ListState) -> Position:
        with self.catalogue.write() as connection:
            return start_position(connection, self.run_id, self.member, state.id, self.catalogue.now())

    def _walk(self, state: ListState, position: Position) -> Position:
        """Where the list ends, proved."""
        arguments = {"metadataPrefix": state.prefix}
        if state.set_spec:
            arguments["set"] = state.set_spec
        if position.token:
            arguments = {"resumptionToken": position.token}
        self.client.prefix = state.prefix
        try:
            for response in self.client.iter_list("ListIdentifiers", **arguments):
                position = self._list(state, position, _whole(response))
                if position.token:
                    self._check_stop()
        except (ProtocolError, MalformedResponseError) as error:
            if getattr(error, "code", "") != "noRecordsMatch":
                self._record_answer(state.id, error)
                raise
            # The end of an empty list, or of one whose last token has promised more than there is.
            position = self._list(state, position, Page("ListIdentifiers", ""))
        if not position.ended:
            what = f"the list ended after {position.received} of {position.size} identifiers"
            raise IncompleteListError(what, url=self._fetched.url)
        return position

    def _list(self, state: ListState, position: Position, page: Page) -> Position:
        position = commit_listing(self.catalogue, self.run_id, state.id, position, page, self._fetched)
        self._pages += 1
        self._records += page.size
        self.context.report(Progress(self.member.slug, self._pages, self._records, position.size))
        return position

    def _judge(self, lists: tuple[ListState, ...], proved: dict[int, Position]) -> str | None:
        """What the complete lists say has been done; why deletions are halted, where they are."""
        scopes = []
        for prefix in dict.fromkeys(state.prefix for state in lists):
            list_ids = tuple(state.id for state in lists if state.prefix == prefix)
            if not proved.keys() >= set(list_ids):
                continue
            horizon = min(proved[list_id].horizon for list_id in list_ids)
            scope = vanished.Scope(self.run_id, self.member, prefix, list_ids, horizon)
            self._fetch_unknown(scope)
            while self._write(vanished.delete_listed, scope):
                pass
            self._missing += self._write(vanished.settle, scope)
            scopes.append(scope)
        if not scopes:
            return None
        empty = any(not proved[list_id].received for scope in scopes for list_id in scope.list_ids)
        with self.catalogue.write() as connection:
            halted, may_go = vanished.judge_drop(connection, scopes, empty=empty)
        for scope in scopes if may_go else ():
            while self._write(vanished.delete_due, scope):
                pass
        return halted

    def _write(self, step: Callable[[Connection, vanished.Scope, int], int], scope: vanished.Scope) -> int:
        with self.catalogue.write() as connection:
            return step(connection, scope, self.catalogue.now())

    def _fetch_unknown(self, scope: vanished.Scope) -> None:
        """What is listed and was never harvested is fetched, or the next harvest is full."""
        with self.catalogue.read() as connection:
            unknown = vanished.find_unknown(connection, scope, MAX_SINGLE + 1)
        if len(unknown) <= MAX_SINGLE and all(self._fetch_single(scope, *each) for each in unknown):
            return
        with self.catalogue.write() as connection:
            vanished.forget_watermarks(connection, self.run_id, scope.list_ids)
        some = f"{MAX_SINGLE} and more" if len(unknown) > MAX_SINGLE else str(len(unknown))
        self._put_problem("datestamps", "", f"{some} records are listed that no harvest has brought; the next is full")

    def _fetch_single(self, scope: vanished.Scope, list_id: int, identifier: str) -> bool:
        """Whether to go on: False as soon as too many cannot be had."""
        self._check_stop()
        try:
            page = _whole(self.client.harvest(verb="GetRecord", identifier=identifier, metadataPrefix=scope.prefix))
        except (ProtocolError, MalformedResponseError, UnreachableError) as error:
            if not isinstance(error, UnreachableError):
                self._record_answer(list_id, error)
            if getattr(error, "code", "") != "idDoesNotExist":  # it has gone meanwhile
                self._put_problem("unreadable-record", identifier, str(error))
                self._unreadable += 1
            return self._unreadable <= _MAX_UNREADABLE
        counts = commit_page(
            self.catalogue,
            harvest_id=self.run_id,
            member=self.member,
            list_id=list_id,
            prefix=scope.prefix,
            page=page,
            fetched=self._fetched,
        )
        self._unreadable += counts.failed
        return self._unreadable <= _MAX_UNREADABLE

    def _check_stop(self) -> None:
        if self.context.stop.is_set():
            raise IncompleteListError(_STOPPED, problem="stopped")

    def _put_problem(self, code: str, identifier: str, cause: str) -> None:
        row = {"harvest_id": self.run_id, "code": code, "identifier": identifier, "cause": cause}
        with self.catalogue.write() as connection:
            connection.execute(insert(problems).values(row))

    def _record_answer(self, list_id: int, error: MemberError) -> None:
        """An answer that is of no use is on record too, with the place of its bytes."""
        cause = f"{type(error).__name__}: {error}"
        commit_failed_page(self.catalogue, harvest_id=self.run_id, list_id=list_id, fetched=self._fetched, error=cause)

    def _keep(self, answer: Answer) -> Fetched:
        """The answer's bytes are in the archive, before anybody looks at them."""
        self._sequence += 1
        key = page_key(self.member.slug, self.run_id, self._sequence)
        put_page(self.context.archive, key, answer.body)
        self._kept = Fetched(key, answer.url, answer.status, len(answer.body), answer.fetched_at)
        return self._kept

    @property
    def _fetched(self) -> Fetched:
        assert self._kept is not None  # noqa: S101 - the client keeps each answer before it is parsed
        return self._kept


def _whole(response: PageResponse[Fetched]) -> Page:
    """Its page. Raises `MalformedResponseError` where parts of it could not be read: they might be what is missed."""
    if not response.reading.whole:
        raise MalformedResponseError("the response is damaged", url=response.answer.url)
    return replace(response.page, root=None)
