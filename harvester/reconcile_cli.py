"""The commands about records that vanish without a word: `reconcile`, and below `members`: pending, approve, keep."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from harvester.cli import opened_catalogue, run_json, run_line
from harvester.settings import load_settings
from harvester.signals import graceful_stop

if TYPE_CHECKING:
    from harvester.catalogue.vanished import Pending


@click.command()
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member, as each ends.")
def reconcile(slugs: tuple[str, ...], as_json: bool) -> None:
    """Compare all that the members named, or all members, list now with what the catalogue holds.

    What is not listed any more waits, and goes when it is missed again after its time; what is listed and
    was never harvested is fetched. One member after the other; a comparison that was stopped or killed goes
    on from its last page. Exit status: 0 all complete, 1 a member failed, is incomplete or waits for a
    person, 2 wrong settings.
    """
    from harvester.archive import open_archive_of
    from harvester.catalogue.harvests import SUCCESSES
    from harvester.catalogue.members import get_member, list_members
    from harvester.catalogue.vanished import find_halt
    from harvester.reconcile import reconcile_member
    from harvester.run import HarvestContext
    from harvester.turns import Turns

    settings = load_settings()
    archive = open_archive_of(settings)
    archive.check()
    well = True
    with opened_catalogue() as catalogue, graceful_stop() as stop:
        with catalogue.read() as connection:
            named = tuple(get_member(connection, slug) for slug in dict.fromkeys(slugs))
            chosen = named or list_members(connection)
        context = HarvestContext(settings, catalogue, archive, stop)
        with Turns(context) as turns:
            for member in chosen:
                if (turn := turns.wait_for(member.host)) is None:
                    break
                with turns.kept(turn):
                    run = reconcile_member(replace(context, stop=turn.stop), member)
                with catalogue.read() as connection:
                    halted = find_halt(connection, member)
                well = well and run.outcome in SUCCESSES and not halted
                line = json.dumps(run_json(member.slug, run) | {"halted": halted}, ensure_ascii=False)
                click.echo(line if as_json else f"{member.slug:<24} {run_line(run)}")
    sys.exit(0 if well and not stop.is_set() else 1)


@click.command()
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per record and line.")
def pending(slug: str, as_json: bool) -> None:
    """List the records of a member that it does not list any more: since when, and until when they wait.

    \b
    lumbung members keep SLUG IDENTIFIER   a record stays until it has been listed again
    lumbung members approve SLUG           all that wait may go
    """
    from harvester.catalogue.members import get_member
    from harvester.catalogue.vanished import find_halt, list_pending

    with opened_catalogue() as catalogue, catalogue.read() as connection:
        member = get_member(connection, slug)
        found, halted = list_pending(connection, member), find_halt(connection, member)
    for each in found:
        click.echo(json.dumps(_pending_json(each), ensure_ascii=False) if as_json else _pending_line(each))
    if halted:
        click.echo(f"deletions are halted: {halted}; `lumbung members approve {slug}` lets them go", err=True)


@click.command()
@click.argument("slug")
def approve(slug: str) -> None:
    """Let all the missing records of a member go, however many they are.

    They are deleted as soon as one more complete list does not show them.
    """
    from harvester.catalogue.members import get_member
    from harvester.catalogue.vanished import approve_pending

    with opened_catalogue() as catalogue, catalogue.write() as connection:
        count = approve_pending(connection, get_member(connection, slug), catalogue.now())
    click.echo(f"{count} go as soon as they are missed once more; `lumbung reconcile {slug}` looks now")


@click.command()
@click.argument("slug")
@click.argument("identifiers", nargs=-1, metavar="[IDENTIFIER]...")
def keep(slug: str, identifiers: tuple[str, ...]) -> None:
    """Keep these missing records of a member, or all of them, until they have been listed again."""
    from harvester.catalogue.members import get_member
    from harvester.catalogue.vanished import keep_pending

    with opened_catalogue() as catalogue, catalogue.write() as connection:
        count = keep_pending(connection, get_member(connection, slug), identifiers, catalogue.now())
    click.echo(f"{count} stay until they have been listed again")


def _pending_json(pending: Pending) -> dict[str, object]:
    times = {name: _time(getattr(pending, name)) for name in ("missed_at", "due_at", "kept_at")}
    return asdict(pending) | times


def _pending_line(pending: Pending) -> str:
    until = f"goes from {_time(pending.due_at)} on" if pending.due_at >= pending.missed_at else "goes when missed again"
    until = f"is kept since {_time(pending.kept_at)}" if pending.kept_at else until
    return (
        f"{pending.identifier}  ({pending.prefix}) missed since {_time(pending.missed_at)}, {pending.times} x; {until}"
    )


def _time(seconds: int | None) -> str | None:
    from harvester.datestamps import format_datestamp, from_epoch

    return None if seconds is None else format_datestamp(from_epoch(seconds))
