"""Records that vanish without a word: a member's full lists of identifiers, held against what the catalogue has.

Whatever a repository says about its deletions, it is asked from time to time for everything that it lists. What is
listed and was never harvested is fetched; what is listed as deleted is deleted. What is not listed any more, by lists
that are all proved complete, is pending; missed again when its time has come, it goes. Spec: 2.5.1. A list whose end
nothing marks is of use for what it shows, and proves nothing by what it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from harvester.catalogue import vanished
from harvester.catalogue.commit import Fetched
from harvester.catalogue.harvests import Outcome, Run, finish_harvest, get_run, note_problem
from harvester.catalogue.lists import ListState, get_list, get_lists
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
from harvester.errors import (
    HarvestSupersededError,
    IncompleteListError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    TokenLoopError,
    UnreachableError,
)
from harvester.oai.client import PageResponse
from harvester.oai.page import Page
from harvester.run import HarvestContext, MemberRun, Progress

# Records that are fetched one by one; where there are more, a full harvest is the shorter way.
MAX_SINGLE = 300
_MAX_UNREADABLE = 5  # of them, before the rest is left to a full harvest, too


def reconcile_member(context: HarvestContext, member: Member) -> Run:
    """The member's run, ended and on record; errors of the member are its outcome.

    `records` are the identifiers that were listed, `added` those that had to be fetched, `deleted` the records that
    became tombstones. Nothing is deleted unless all lists of a prefix were proved complete.

    Raises:
        CatalogueError, ArchiveError: ours; the run stays open and the next one goes on from its last page.
    """
    with context.catalogue.write() as connection:
        run_id = begin_reconciliation(connection, member, context.catalogue.now())
    with MemberRun(context, member, run_id) as run:
        return _Reconciliation(run).run_lists()


class _Reconciliation:
    """The lists of one run."""

    def __init__(self, run: MemberRun) -> None:
        self.run = run
        self.catalogue = run.catalogue
        self._errors: list[str] = []
        self._pages = self._listed = 0  # of lists: a record that is fetched counts as added
        self._missing = self._unproved = self._unreadable = 0

    def run_lists(self) -> Run:
        """The run, ended."""
        halted: str | None = None
        try:
            try:
                with self.catalogue.read() as connection:
                    lists = get_lists(connection, self.run.id)
                halted = self._judge(lists, self._end_lists(lists))
            except MemberError as error:
                self._fail(error)
            return self._finish(halted)
        except HarvestSupersededError as error:
            with self.catalogue.read() as connection:
                return replace(get_run(connection, self.run.id), error=str(error), outcome="incomplete")

    def _finish(self, halted: str | None) -> Run:
        run, now = self.run, self.catalogue.now()
        with self.catalogue.write() as connection:
            counted = get_run(connection, run.id)
            news = counted.added + counted.changed + counted.deleted + self._missing
            outcome: Outcome = "complete" if news else "nothing-new"
            if halted or self._unreadable:
                outcome = "complete-with-failures"
            if self._errors:
                outcome = "incomplete" if self._pages or self._unproved else "failed"
            update_run(connection, run.id, records=self._listed)
            run.write_notes(connection)
            set_next_reconciliation(connection, run.member, now, soon=bool(self._errors))
            ended = finish_harvest(
                connection,
                run.id,
                outcome=outcome,
                error="; ".join([*self._errors, *filter(None, [halted])]) or None,
                requests=run.transport.requests,
                size=run.transport.bytes,
                now=now,
                trace=replace(run.trace, retries=run.transport.retries),
            )
        level = run.log.warning if ended.error else run.log.info
        level("reconciliation ends", outcome=outcome, records=ended.records, deleted=ended.deleted, error=ended.error)
        run.context.report(Progress(run.member.slug, ended.pages, ended.records, run=ended, rest=run.transport.rest))
        return ended

    def _fail(self, error: MemberError, of_list: str = "") -> None:
        self._errors.append(of_list + str(error))
        kept = self.run.kept
        # Where a list ended, others may have been asked since.
        newest = kept is not None and error.url in {"", kept.url}
        self.run.fail(error, answered=newest and not isinstance(error, UnreachableError))

    def _check_stop(self) -> None:
        if self.run.stopped:
            raise IncompleteListError(
                f"{self.run.context.why()}; the next reconciliation goes on from here", problem="stopped"
            )

    def _end_lists(self, lists: tuple[ListState, ...]) -> dict[int, Position]:
        """How those lists ended that came to their end."""
        ended: dict[int, Position] = {}
        for state in lists:
            self._check_stop()
            try:
                ended[state.id] = self._end_list(state)
            except (ProtocolError, IncompleteListError, MalformedResponseError, TokenLoopError) as error:
                if error.problem == "stopped":
                    raise
                self._fail(error, _name(state))  # the others may be well
        return ended

    def _end_list(self, state: ListState) -> Position:
        """The list, at its end. An empty one and a refused token are given a second try.

        Raises:
            MemberError: it is not complete; where going on is of use, its position is on record.
        """
        with self.catalogue.read() as connection:
            position = find_position(connection, self.run.member, state.id, self.catalogue.now())
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
            return start_position(connection, self.run.id, self.run.member, state.id, self.catalogue.now())

    def _walk(self, state: ListState, position: Position) -> Position:
        """Where the list ends."""
        arguments = {"metadataPrefix": state.prefix}
        if state.set_spec:
            arguments["set"] = state.set_spec
        if position.token:
            arguments = {"resumptionToken": position.token}
        self.run.client.prefix = state.prefix
        try:
            for response in self.run.client.iter_list("ListIdentifiers", **arguments):
                position = self._list(state, position, _whole(response))
                if position.token:
                    self._check_stop()
        except (ProtocolError, MalformedResponseError) as error:
            if getattr(error, "code", "") != "noRecordsMatch":
                self.run.record(error, state.id)
                raise
            # The end of an empty list, or of one whose last token has promised more than there is.
            position = self._list(state, position, Page("ListIdentifiers", ""))
        if not position.ended:
            what = f"the list ended after {position.received} of {position.size} identifiers"
            raise IncompleteListError(what, url=self._kept.url)
        return position

    def _list(self, state: ListState, position: Position, page: Page) -> Position:
        run = self.run
        if page.token and run.quirk("size"):
            page = replace(page, token=replace(page.token, complete_list_size=None))
        position = commit_listing(self.catalogue, run.id, state.id, position, page, self._kept)
        self._pages += 1
        self._listed += page.size
        run.trace = replace(run.trace, response_date=run.trace.response_date or page.response_date[:40])
        run.context.report(Progress(run.member.slug, self._pages, self._listed, position.size))
        return position

    @property
    def _kept(self) -> Fetched:
        assert self.run.kept is not None  # noqa: S101 - each answer is kept before it is parsed
        return self.run.kept

    def _judge(self, lists: tuple[ListState, ...], ended: dict[int, Position]) -> str | None:
        """What the lists say has been done, as far as they prove it; why deletions are halted, where they are."""
        scopes = []
        for prefix in dict.fromkeys(state.prefix for state in lists):
            list_ids = tuple(state.id for state in lists if state.prefix == prefix)
            if not ended.keys() >= set(list_ids):
                continue
            horizon = min(ended[list_id].horizon for list_id in list_ids)
            scope = vanished.Scope(self.run.id, self.run.member, prefix, list_ids, horizon)
            self._fetch_overlooked(scope)
            while self._write(vanished.delete_listed, scope):
                pass
            if unmarked := [state for state in lists if state.id in list_ids and ended[state.id].unmarked]:
                self._leave_unproved(scope, unmarked[0], ended[unmarked[0].id])
                continue
            self._missing += self._write(vanished.settle, scope)
            scopes.append(scope)
        if not scopes:
            return None
        empty = any(not ended[list_id].received for scope in scopes for list_id in scope.list_ids)
        with self.catalogue.write() as connection:
            halted, may_go = vanished.judge_drop(connection, scopes, empty=empty)
        for scope in scopes if may_go else ():
            while self._write(vanished.delete_due, scope):
                pass
        return halted

    def _leave_unproved(self, scope: vanished.Scope, state: ListState, position: Position) -> None:
        """The lists begin anew, and what they do not show is not missing: nothing marks the end of this one."""
        if count := self._write(vanished.settle_unproved, scope):
            self._unproved += count
            what = f"nothing marks the end of the list; records that it does not show, not taken as missing: {count}"
            self._fail(IncompleteListError(what, url=position.unmarked or ""), _name(state))

    def _write(self, step: Callable[[Connection, vanished.Scope, int], int], scope: vanished.Scope) -> int:
        with self.catalogue.write() as connection:
            return step(connection, scope, self.catalogue.now())

    def _fetch_overlooked(self, scope: vanished.Scope) -> None:
        """What is listed and no harvest has brought, or not as it is, is fetched; or the next harvest is full."""
        if self.run.quirk("leaves-set"):  # and lists what is not the member's
            return
        with self.catalogue.read() as connection:
            overlooked = vanished.find_overlooked(connection, scope, MAX_SINGLE + 1)
        if len(overlooked) <= MAX_SINGLE and all(self._fetch_single(scope, *each) for each in overlooked):
            return
        with self.catalogue.write() as connection:
            vanished.forget_watermarks(connection, self.run.id, scope.list_ids)
        some = f"{MAX_SINGLE} and more" if len(overlooked) > MAX_SINGLE else str(len(overlooked))
        self.run.note(
            "datestamps", f"{some} records are listed that no harvest has brought as they are; the next is full"
        )

    def _fetch_single(self, scope: vanished.Scope, list_id: int, identifier: str) -> bool:
        """Whether to go on: False as soon as too many cannot be had."""
        self._check_stop()
        with self.catalogue.read() as connection:
            state = get_list(connection, list_id)
        try:
            asked = {"identifier": identifier, "metadataPrefix": scope.prefix}
            page = _whole(self.run.client.harvest(verb="GetRecord", **asked))
        except (ProtocolError, MalformedResponseError, UnreachableError) as error:
            if not isinstance(error, UnreachableError):
                self.run.record(error, list_id)
            if getattr(error, "code", "") != "idDoesNotExist":  # it has gone meanwhile
                with self.catalogue.write() as connection:
                    note_problem(connection, self.run.id, "unreadable-record", str(error), identifier)
                self._unreadable += 1
        else:
            self._unreadable += self.run.store(state, page, self._kept, moves=False).failed
        return self._unreadable <= _MAX_UNREADABLE


def _name(state: ListState) -> str:
    """What a sentence about the list begins with."""
    return f"{state.prefix} {state.set_spec}".strip() + ": "


def _whole(response: PageResponse[Fetched]) -> Page:
    """Its page. Raises `MalformedResponseError` where parts of it could not be read: they might be what is missed."""
    if not response.reading.whole:
        raise MalformedResponseError("the response is damaged", url=response.url)
    return response.page
