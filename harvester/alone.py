"""Around a page that stays broken: what its window lists, and did not give, is asked for record by record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from harvester.catalogue.commit import Fetched
from harvester.catalogue.lists import ListState
from harvester.datestamps import response_moment
from harvester.errors import (
    IncompleteListError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    TokenLoopError,
    UnreachableError,
)
from harvester.oai.client import PageResponse
from harvester.oai.page import FailedRecord, Header, Page, Record
from harvester.observations import leave_out_others
from harvester.run import MemberRun
from harvester.shown import Shown, is_within

# Where so many records in a row could not be had, and none could, GetRecord is no way.
_MAX_IN_VAIN = 5


@dataclass(slots=True)
class _Listing:
    """What ListIdentifiers says of a window. `promised`: the most records that it, too, was said to hold."""

    promised: int
    kept: Fetched | None = None
    identifiers: set[str] = field(default_factory=set)
    size: int = 0
    missing: dict[str, Record] = field(default_factory=dict)

    def add(self, header: Header, until: str | None) -> None:
        """The identifier is listed; one at the window's end is of the window that begins there."""
        if header.identifier not in self.identifiers:
            self.identifiers.add(header.identifier)
            self.size += until is None or is_within(header, until)


def fetch_alone(run: MemberRun, state: ListState, arguments: dict[str, str], shown: Shown, *, most: int) -> int | None:
    """What the window lists and has not shown is catalogued, or a problem; how many records the window lists.

    None where more than `most` are missing, where the identifiers cannot be listed to a proved end, or where no
    record can be had by itself: the window is no further than before.

    Raises:
        MemberError: the server has gone away, or the operator stops the run.
    """
    try:
        listing = _list(run, state, arguments, shown, most)
    except (ProtocolError, MalformedResponseError, UnreachableError, TokenLoopError) as error:
        run.log.warning("identifiers cannot be listed", error=str(error))
        return None
    if listing is None or not listing.identifiers or listing.size < listing.promised:
        return None
    failed: list[FailedRecord] = []
    had = False
    gone = [record for record in listing.missing.values() if record.header.deleted]
    for record in listing.missing.values():
        if run.stopped:
            raise IncompleteListError(run.stop_reason, problem="stopped")
        if record.header.deleted:
            continue
        failure = _fetch_one(run, state, record.header.identifier)
        failed += [failure] if failure else []
        had = had or failure is None
        if len(failed) >= _MAX_IN_VAIN and not had:
            return None
    if gone or failed:
        assert listing.kept is not None  # noqa: S101 - what is missing was on a page
        page = Page("GetRecord", "", records=tuple(gone), failed=tuple(failed))
        run.store(state, page, listing.kept, moves=False)
    return listing.size


def _list(run: MemberRun, state: ListState, arguments: dict[str, str], shown: Shown, most: int) -> _Listing | None:
    listing = _Listing(0 if run.quirk("size") else state.pass_size or 0)
    try:
        response: PageResponse[Fetched]
        for response in run.client.iter_list("ListIdentifiers", **arguments):
            if not response.reading.whole:
                return None
            fresh = "resumptionToken" not in response.params
            page = leave_out_others(run, response.page, state.set_spec, fresh=fresh)
            if page.token and not run.quirk("size"):
                listing.promised = max(listing.promised, page.token.complete_list_size or 0)
            listing.kept = response.kept
            for record in page.records:
                listing.add(record.header, arguments.get("until"))
                if record.header not in shown:
                    listing.missing[record.header.identifier] = record
            if len(listing.missing) > most or page.failed:
                return None
    except ProtocolError as error:
        if error.code != "noRecordsMatch":  # the end of some lists
            raise
    return listing


def _fetch_one(run: MemberRun, state: ListState, identifier: str) -> FailedRecord | None:
    """The record is catalogued; or what is wrong with it."""
    asked = {"identifier": identifier, "metadataPrefix": state.prefix}
    try:
        response: PageResponse[Fetched] = run.client.harvest(verb="GetRecord", **asked)
    except ProtocolError as error:
        return FailedRecord(identifier, str(error), "unreadable-record")
    except (MalformedResponseError, UnreachableError) as error:
        if find_life(run) is None:
            raise
        return FailedRecord(identifier, str(error), "unreadable-record")
    page = response.page
    if any(record.header.identifier == identifier for record in page.records):
        run.store(state, replace(page, failed=()), response.kept, moves=False)
        return None
    cause = page.failed[0].cause if page.failed else "GetRecord gave another record"
    return FailedRecord(identifier, cause, "unreadable-record")


def find_life(run: MemberRun) -> datetime | None:
    """The server's clock, where it answers at all: what it did not answer well is to blame, then."""
    try:
        response: PageResponse[Fetched] = run.client.harvest(verb="Identify")
    except MemberError:
        return None
    return response_moment(response.page.response_date, response.kept.fetched_at)
