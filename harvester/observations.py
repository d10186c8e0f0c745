"""What the pages of a list show of their server: sets that are left, clocks that are wrong, dates that mean another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from harvester.catalogue.commit import Fetched
from harvester.catalogue.lists import Window
from harvester.datestamps import DAY, from_epoch, parse_datestamp
from harvester.errors import IncompleteListError
from harvester.oai.page import Page, Record
from harvester.run import MemberRun

_SKEW = timedelta(minutes=5)
_MUCH = timedelta(days=1)


def leave_out_others(run: MemberRun, page: Page, set_spec: str, *, fresh: bool) -> Page:
    """The page without the records of other sets; some tokens forget which set was asked for.

    Beyond the first page of a list (`fresh`) of a set, its stated size may be that of the whole catalogue, and is
    left out, too.
    """
    if fresh or not set_spec:
        return page
    page = replace(page, token=page.token and replace(page.token, complete_list_size=None))
    outside = [record for record in page.records if _is_outside(record, set_spec)]
    if not outside:
        return page
    evidence = f"{outside[0].header.identifier} is of {', '.join(outside[0].header.set_specs)}, not of {set_spec}"
    run.find("leaves-set", "yes", evidence)
    run.note("filters-ignored", f"further pages of a list leave the set that was asked for: {evidence}")
    return replace(page, records=tuple(record for record in page.records if not _is_outside(record, set_spec)))


def look_at_clock(run: MemberRun, page: Page, kept: Fetched) -> None:
    """A clock that is not ours is on record."""
    theirs = parse_datestamp(page.response_date)
    if theirs is None:
        return
    seconds = round((theirs - from_epoch(kept.fetched_at)).total_seconds())
    evidence = f"responseDate is {timedelta(seconds=abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} our clock"
    if seconds > _SKEW.total_seconds():
        _find_clock(run, evidence, f"{seconds:+}")
    elif -seconds > _SKEW.total_seconds():  # it leads to a `from` that is earlier than need be, which is safe
        run.note("clock", evidence)


def look_at_dates(run: MemberRun, page: Page, kept: Fetched, window: Window, *, in_parts: bool) -> None:
    """Datestamps to come, and those that were not asked for, are on record.

    Raises:
        IncompleteListError: the list is asked for `in_parts`, and `from` and `until` are ignored.
    """
    stamps = [record.header.datestamp for record in page.records]
    if not stamps:
        return
    oldest, newest = parse_datestamp(min(stamps)), parse_datestamp(max(stamps))
    # A day that has begun in the east is not to come.
    if newest and newest > from_epoch(kept.fetched_at) + _SKEW and len(max(stamps)) > len(DAY):
        _find_clock(run, f"{_stamped(page, max(stamps))}, which is to come", "ahead")
    from_, until = (parse_datestamp(moment or "") for moment in window)
    early = bool(from_ and oldest and from_ - oldest > _MUCH)
    late = bool(until and newest and newest - until >= 2 * _MUCH)
    if not early and not late:
        return
    moments = [moment for moment in map(parse_datestamp, stamps) if moment]
    outside = [m for m in moments if (from_ and from_ - m > _MUCH) or (until and m - until >= 2 * _MUCH)]
    shown = _stamped(page, min(stamps) if early else max(stamps))
    evidence = f"asked from {window[0]} until {window[1]}, {shown}"
    if in_parts and len(outside) > len(stamps) / 2:
        raise IncompleteListError(
            f"from and until are ignored, so that the list cannot be had in parts: {evidence}",
            url=kept.url,
            problem="filters-ignored",
        )
    if early:
        run.find("full", "yes", evidence)
        run.note("filters-ignored", f"`from` goes by another date than the headers show: {evidence}")


def _stamped(page: Page, datestamp: str) -> str:
    header = next(record.header for record in page.records if record.header.datestamp == datestamp)
    return f"{header.identifier} is stamped {datestamp}"


def _find_clock(run: MemberRun, evidence: str, value: str) -> None:
    if not run.quirk("clock"):
        run.find("clock", value, evidence)
        run.note("clock", f"the server's clock or datestamps are not UTC: {evidence}")


def _is_outside(record: Record, wanted: str) -> bool:
    specs = record.header.set_specs  # a header without any says nothing: EPrints' deleted ones
    return bool(specs) and not any(spec == wanted or spec.startswith(f"{wanted}:") for spec in specs)
