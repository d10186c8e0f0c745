"""The worker's command: it harvests, keeps the index up to date with what came, and writes to the members."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from harvester.signals import graceful_stop

if TYPE_CHECKING:
    import threading

    from harvester.run import HarvestContext

_JOB_SECONDS = 60
_LINK_SECONDS = 300
_REDACT_SECONDS = 300
_FILE_SECONDS = 5  # between the turns at the hosts' files: harvests may have them then; and at what came
_REPORT_SECONDS = 86_400
_CHECK_RULE = "30 1 * * *"  # every night
_VERIFY_RULE = "30 3 * * *"
_VERIFY_DAYS = 30


@click.command()
@click.option(
    "--at-once", default=16, show_default=True, type=click.IntRange(1, 256), help="Hosts harvested side by side."
)
@click.option("--once", is_flag=True, help="End when nobody is due any more.")
@click.option("--quiet", is_flag=True, help="Log warnings only.")
def work(at_once: int, *, once: bool, quiet: bool) -> None:
    """Harvest members as they are due, fetch files, index what came, check links, send mails, until Ctrl-C or SIGTERM.

    Every night archive, catalogue and index are compared; `lumbung status` tells what was found.

    Each member has its rule and its window (`lumbung members set`); each harvest is logged on stderr with
    the window it was begun in. Several workers may run side by side. A stop is at the next page, with exit
    status 0; a second Ctrl-C stops at once. Whatever is killed goes on where it was.
    """
    with graceful_stop() as stop:  # before anything that takes time
        _work(stop, at_once=at_once, once=once, quiet=quiet)


def _work(stop: threading.Event, *, at_once: int, once: bool, quiet: bool) -> None:
    from harvester.archive import open_archive_of
    from harvester.cli import opened_catalogue
    from harvester.logs import set_up_logging
    from harvester.run import HarvestContext
    from harvester.settings import load_settings
    from harvester.visit import Hosts
    from harvester.worker import Job
    from harvester.worker import work as work_on
    from indexer.engine.opening import check_schema
    from indexer.fulltext_cli import new_job, read_job
    from indexer.links import LinkChecker, report_links

    settings = load_settings()
    set_up_logging(verbose=not quiet, log_format=settings.log_format)
    check_schema(settings)
    hosts = Hosts()
    jobs = [
        Job("feed", _JOB_SECONDS, _feed, wave=2),
        Job("index", _JOB_SECONDS, _index, wave=2),
        Job("mail", _JOB_SECONDS, _mail),
        Job("check", _REPORT_SECONDS, _check, rule=_CHECK_RULE, wave=3),
        Job("fulltext", _FILE_SECONDS, new_job(hosts)),
        Job("read", _FILE_SECONDS, read_job, wave=1),
        Job("redact", _REDACT_SECONDS, _redact),
        Job("verify", _REPORT_SECONDS, _verify, rule=_VERIFY_RULE),
    ]
    if settings.link_days:
        checker = LinkChecker(hosts=hosts)

        def check_links(context: HarvestContext) -> None:
            checker.check_due(context)

        jobs.append(Job("links", _LINK_SECONDS, check_links))
        jobs.append(Job("link-report", _REPORT_SECONDS, report_links))
    with opened_catalogue() as catalogue:
        context = HarvestContext(settings, catalogue, open_archive_of(settings), stop)
        work_on(context, at_once=at_once, once=once, jobs=jobs)


def _feed(context: HarvestContext) -> None:
    from indexer.feed.prepare import advance, refresh, stamp_all_moved

    advance(context.catalogue, context.settings.repository_domain)
    stamp_all_moved(context.catalogue, context.stop)
    refresh(context.catalogue, context.settings.repository_domain, context.stop)


def _index(context: HarvestContext) -> None:
    from indexer.build import advance
    from indexer.engine.opening import open_engine

    with closing(open_engine(context.settings)) as engine:
        advance(context.catalogue, engine, context.archive)


def _mail(context: HarvestContext) -> None:
    from web.mail import send_due_mails

    send_due_mails(context.settings, context.catalogue, context.stop)


def _redact(context: HarvestContext) -> str | None:
    """Pages that came since, and those of takedowns whose command was killed; which ones a person must look at."""
    from harvester.fulltext.redact import settle_takedowns

    left = settle_takedowns(context.catalogue, context.archive, context.stop).left
    return f"{len(left)} archived pages could not be redacted, {left[0]} say" if left else None


def _verify(context: HarvestContext) -> str | None:
    """Archived files that were not verified lately; how many are damaged, which are fetched again."""
    from harvester.fulltext.fixity import verify_files

    damaged = [checked for checked in verify_files(context, _VERIFY_DAYS) if not checked.whole]
    return (
        f"{len(damaged)} archived files were damaged, {damaged[0].key} say; they are fetched again" if damaged else None
    )


def _check(context: HarvestContext) -> str | None:
    """What differs between the tiers, each kind counted; it is in the log with examples."""
    import structlog

    from indexer.engine.opening import open_engine
    from indexer.tiers import HARMLESS, Summary, TierCheck

    log, summary = structlog.get_logger("check"), Summary()

    def go_on(_done: int, _total: int) -> None:
        if context.stop.is_set():
            raise _StoppedError

    with closing(open_engine(context.settings)) as engine:
        comparison = TierCheck(context.catalogue, context.archive, engine, progress=go_on)
        try:
            for difference in comparison.iter_differences():
                summary.add(difference)
        except _StoppedError:
            return "the worker was stopped before its end"
    for kind, first in summary.first.items():
        told = [f"{each.member} {each.what} {each.detail}".strip() for each in first]
        tell = log.info if kind in HARMLESS else log.warning
        tell("the tiers differ", kind=kind, count=summary.counts[kind], first=told)
    log.info("the tiers were compared", found=str(summary) or "nothing", counts=str(comparison.counts))
    return f"{summary}; `lumbung check` shows them" if summary.differ else None


class _StoppedError(Exception):
    """The worker ends; its check does, too."""
