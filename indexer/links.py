"""Landing links checked again: those that are due, a few of every member at a time, and a daily report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from urllib.parse import urlsplit

import structlog

from harvester.catalogue.due import list_due, list_waiting
from harvester.catalogue.links import (
    Link,
    Outcome,
    after_check,
    hasten_links,
    put_link,
    seed_links,
    write_reports,
)
from harvester.catalogue.members import Member
from harvester.catalogue.records import get_records
from harvester.catalogue.tables import links
from harvester.datestamps import from_epoch
from harvester.errors import ThrottledError
from harvester.run import HarvestContext
from harvester.visit import Hosts, Pace, Visit, is_web_address
from indexer.crosswalks import describe

_BATCH = 200  # links in one go
_AT_ONCE = 16  # hosts
_USUAL = Pace()


@dataclass(frozen=True, slots=True)
class Check:
    """One link that was checked, before and after."""

    member: str
    before: Link
    after: Link
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """What the checks of one member found. `failing` counts the dead ones too, `skipped` what could not be asked."""

    member: str
    checked: int
    alive: int
    failing: int
    skipped: int
    newly_dead: int
    recovered: int


@dataclass(frozen=True, slots=True)
class _Due:
    member: Member
    link: Link
    url: str | None  # as the record has it now


class LinkChecker:
    """Checks links. One for a process: between two batches `hosts` remembers what hosts want."""

    def __init__(self, pace: Pace = _USUAL, hosts: Hosts | None = None) -> None:
        self._pace = pace
        self._hosts = hosts or Hosts()
        self._log = structlog.get_logger("links")

    def check_due(
        self, context: HarvestContext, slugs: Sequence[str] = (), told: Callable[[Check], None] = lambda _check: None
    ) -> tuple[Check, ...]:
        """Links that were due are checked: 200 at most, the oldest, fairly of all members whose window is open.

        A link whose host must not be asked now stays due. `told` is called by several threads.
        """
        now, days = context.catalogue.now(), context.settings.link_days
        with context.catalogue.write() as connection:
            seed_links(connection, now, days)
        by_host = defaultdict(list)
        for due in _choose(context, slugs, now):
            host = (urlsplit(due.url).hostname if due.url and is_web_address(due.url) else None) or ""
            by_host[host, due.member.care.delay].append(due)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return tuple(chain.from_iterable(pool.map(lambda some: self._check(context, some, told), by_host.values())))

    def _check(self, context: HarvestContext, some: Sequence[_Due], told: Callable[[Check], None]) -> list[Check]:
        """These of one host are checked, as far as its turn goes."""
        done = []
        with Visit(context, self._hosts, self._pace, some[0].member.care.delay) as visit:
            for due in some:
                if not due.member.care.schedule.is_open(context.catalogue.now()):
                    continue
                try:
                    outcome = visit.look(due.url) if due.url else "unknown"
                except ThrottledError as error:
                    self._log.debug("left for later", member=due.member.slug, why=str(error))
                    continue
                after = after_check(due.link, due.url, outcome, context.catalogue.now(), context.settings.link_days)
                with context.catalogue.write(beside=True) as connection:
                    put_link(connection, due.link, after)
                check = Check(due.member.slug, due.link, after, outcome)
                if outcome not in {"alive", "unknown"} or due.link.dead:
                    self._log.info("checked", member=check.member, url=due.url, outcome=outcome, strikes=after.strikes)
                told(check)
                done.append(check)
        return done


def report_links(context: HarvestContext) -> None:
    """Every member's links are counted, and the counts are kept and logged; links of mended records are due."""
    now = context.catalogue.now()
    with context.catalogue.write() as connection:
        hasten_links(connection, now, context.settings.link_days)
        reports = write_reports(connection, now)
    for slug, report in reports:
        structlog.get_logger("links").info("report", member=slug, **asdict(report))


def count_checks(checks: Sequence[Check]) -> tuple[LinkCounts, ...]:
    """What the checks found, by member in the order of the slugs."""

    def count(slug: str) -> LinkCounts:
        mine = [check for check in checks if check.member == slug]
        alive = [check for check in mine if check.outcome == "alive"]
        skipped = sum(check.outcome == "unknown" for check in mine)
        return LinkCounts(
            slug,
            checked=len(mine),
            alive=len(alive),
            failing=len(mine) - len(alive) - skipped,
            skipped=skipped,
            newly_dead=sum(check.after.dead and not check.before.dead for check in mine),
            recovered=sum(check.before.dead for check in alive),
        )

    return tuple(count(slug) for slug in sorted({check.member for check in checks}))


def _choose(context: HarvestContext, slugs: Sequence[str], now: int) -> Iterator[_Due]:
    this_year = from_epoch(now).year
    with context.catalogue.read() as connection:
        found = list_waiting(connection, links, now, slugs)
        waiting = [member for member in found if member.care.schedule.is_open(now)]
        share = _BATCH // min(max(1, len(waiting)), _BATCH)
        for member in waiting[:_BATCH]:
            due = {link.record_id: link for link in list_due(connection, links, Link, member, now, share)}
            for record in get_records(connection, due):
                url = None if record.deleted else describe(record, this_year=this_year).landing_page
                yield _Due(member, due[record.number], url)
