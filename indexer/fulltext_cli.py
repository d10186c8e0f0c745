"""The command that fetches full texts, and what the worker does of the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from harvester.signals import graceful_stop

if TYPE_CHECKING:
    from harvester.catalogue.records import CataloguedRecord
    from harvester.fulltext.ladder import Clues
    from harvester.fulltext.run import Attempt, FullTexts
    from harvester.run import HarvestContext
    from harvester.visit import Hosts


@click.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member that had records to look at.")
def fulltext(slugs: tuple[str, ...], *, as_json: bool) -> None:
    """Find, fetch and read now the files of records that are due, of all members or of those named.

    The worker does this by itself. A record is due when it is new or has changed, when its last attempt failed, each
    reason after its own time, and every LUMBUNG_FULLTEXT_DAYS. Paused members, those whose window is closed, and those
    with --no-fulltext are left out; hosts are asked side by side, each one slowly and as its robots.txt allows.
    Ctrl-C stops after the files that come just now; nothing is lost.
    """
    from harvester.archive import open_archive_of
    from harvester.catalogue.due import count_due
    from harvester.catalogue.members import get_member, list_members
    from harvester.catalogue.tables import fulltexts
    from harvester.cli import opened_catalogue
    from harvester.run import HarvestContext
    from harvester.settings import load_settings
    from indexer.cli import shown_progress

    attempts: list[Attempt] = []
    settings = load_settings()
    with graceful_stop() as stop, opened_catalogue() as catalogue, shown_progress("looking for files") as progress:
        context = HarvestContext(settings, catalogue, open_archive_of(settings), stop)
        finder = new_finder(context)
        with catalogue.read() as connection:
            chosen = [get_member(connection, slug) for slug in dict.fromkeys(slugs)] or list_members(connection)
        finder.follow(context)
        with catalogue.read() as connection:
            wanted = (member for member in chosen if member.fulltext)
            total = sum(count_due(connection, fulltexts, member, catalogue.now()) for member in wanted)

        def tell(attempt: Attempt) -> None:
            attempts.append(attempt)
            progress(len(attempts), total)

        while finder.fetch_due(context, slugs, tell) and not stop.is_set():
            pass
        read_job(context)
    for slug in sorted({attempt.member for attempt in attempts}):
        mine = [attempt.after for attempt in attempts if attempt.member == slug]
        reasons = Counter(each.reason for each in mine if each.state != "held" and each.reason)
        rungs = Counter(each.rung for each in mine if each.state == "held" and each.rung)
        held = sum(each.state == "held" for each in mine)
        told = {"member": slug, "looked": len(mine), "held": held, "rungs": dict(rungs), "reasons": dict(reasons)}
        line = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        click.echo(
            json.dumps(told) if as_json else f"{slug:<24} {held} of {len(mine)} held{'; ' if line else ''}{line}"
        )
    if not attempts:
        click.echo(
            "no record is due" if not total else f"{total} records are due, none could be asked for now", err=True
        )


def new_finder(context: HarvestContext, hosts: Hosts | None = None) -> FullTexts:
    """What finds full texts by the records' descriptions."""
    from harvester.datestamps import from_epoch
    from harvester.fulltext import run
    from harvester.visit import Hosts
    from indexer.clues import clues_of

    def clues(record: CataloguedRecord) -> Clues:
        return clues_of(record, this_year=from_epoch(context.catalogue.now()).year)

    return run.FullTexts(clues, run.USUAL, hosts or Hosts())


def new_job(hosts: Hosts) -> Callable[[HarvestContext], None]:
    """The worker's job; `hosts` remembers what hosts want."""
    finders: list[FullTexts] = []

    def fetch(context: HarvestContext) -> None:
        finders.extend([] if finders else [new_finder(context, hosts)])
        finders[0].fetch_due(context)

    return fetch


def read_job(context: HarvestContext) -> None:
    """Kept files that nobody has read yet were read."""
    from harvester.fulltext.keep import read_waiting
    from harvester.reading import Reader

    with Reader() as reader:
        read_waiting(context, reader)
