"""The harvester's commands. Everything heavy is imported when a command runs: `--help` stays quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from harvester.errors import ConfigError
from harvester.settings import load_settings
from harvester.signals import graceful_stop, stop_signals

if TYPE_CHECKING:
    from harvester.catalogue import Catalogue
    from harvester.catalogue.harvests import MemberStatus, Run

SAMPLES_PORT = 8090
_COUNTS = ("requests", "pages", "records", "added", "changed", "unchanged", "deleted", "failed")


@contextmanager
def opened_catalogue() -> Iterator[Catalogue]:
    """The catalogue of the settings, closed at the end."""
    from harvester.catalogue import open_catalogue

    catalogue = open_catalogue(load_settings().catalogue_url)
    try:
        yield catalogue
    finally:
        catalogue.close()


@click.command()
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--full", is_flag=True, help="From the beginning, not from where the last harvest ended.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member, as each ends.")
@click.option(
    "--at-once", default=16, show_default=True, type=click.IntRange(1, 256), help="Hosts harvested side by side."
)
@click.option(
    "--dry-run", "trial", type=click.IntRange(1), metavar="N", help="Only show what the next N records would do."
)
def harvest(slugs: tuple[str, ...], full: bool, as_json: bool, at_once: int, trial: int | None) -> None:
    """Harvest the members named, or all, now.

    Each is asked for what changed since its last complete harvest; a harvest that was stopped or killed
    goes on from its last page. All means those that are not paused; their windows are not looked at. Exit
    status: 0 all complete, 1 a member failed or is incomplete, 2 wrong settings. Ctrl-C stops at the next
    page; a second Ctrl-C at once, with exit status 130.
    """
    if trial:
        _try_out(slugs, trial, as_json=as_json)
        return
    try:
        ok = harvest_now(slugs, full=full, as_json=as_json, at_once=at_once)
    except click.Abort:
        ok = False
    sys.exit(0 if ok else 1)


def _try_out(slugs: tuple[str, ...], count: int, *, as_json: bool) -> None:
    from harvester.catalogue.members import get_member
    from harvester.trial import iter_trial

    if not slugs:
        raise ConfigError("name the members to try: `lumbung harvest --dry-run 10 SLUG`")
    settings = load_settings()
    with opened_catalogue() as catalogue:
        for slug in slugs:
            with catalogue.read() as connection:
                member = get_member(connection, slug)
            for one in iter_trial(settings, catalogue, member, count):
                header = one.record.header
                if as_json:
                    told: dict[str, object] = {"member": slug, "prefix": one.prefix, "identifier": header.identifier}
                    told |= {"datestamp": header.datestamp, "deleted": header.deleted, "becomes": one.becomes}
                    click.echo(json.dumps(told, ensure_ascii=False))
                else:
                    click.echo(f"{slug:<24} {one.becomes:<10} {header.datestamp:<20} {header.identifier}")


def harvest_now(slugs: tuple[str, ...] = (), *, full: bool = False, as_json: bool = False, at_once: int = 16) -> bool:
    """The members have been harvested; True if all are complete. Progress is on stderr, outcomes on stdout.

    Raises:
        click.Abort: the operator stopped it; what was received stands, and is told.
    """
    from harvester.archive import open_archive_of
    from harvester.catalogue.harvests import SUCCESSES
    from harvester.catalogue.members import get_member, list_members
    from harvester.progress import HarvestDisplay
    from harvester.run import HarvestContext
    from harvester.side_by_side import harvest_members

    settings = load_settings()
    archive = open_archive_of(settings)
    archive.check()  # before anybody is asked for what could not be kept
    with opened_catalogue() as catalogue:
        with catalogue.read() as connection:
            chosen = (
                tuple(get_member(connection, slug) for slug in dict.fromkeys(slugs))
                if slugs
                else tuple(member for member in list_members(connection) if not member.care.paused)
            )
        if not chosen:
            raise ConfigError(
                "there are no members yet, or all are paused; `lumbung members add SLUG BASE_URL` adds one"
            )
        outcomes = []
        with graceful_stop() as stop, HarvestDisplay(chosen) as display:
            context = HarvestContext(settings, catalogue, archive, stop, display.update, _is_verbose())
            for member, run in harvest_members(context, chosen, full=full, at_once=at_once):
                outcomes.append(run.outcome)
                if as_json:
                    click.echo(json.dumps(run_json(member.slug, run), ensure_ascii=False))
                else:
                    display.print(f"{member.slug:<24} {run_line(run)}")
        if stop.is_set():
            raise click.Abort
        return len(outcomes) == len(chosen) and all(outcome in SUCCESSES for outcome in outcomes)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member and line.")
def status(as_json: bool) -> None:
    """Show each member's last attempt, last success, outcome, counts and next run.

    Below stands what the last nightly check of the tiers found, and which of the worker's other jobs failed.
    """
    from harvester.catalogue.coverage import STATES, count_states
    from harvester.catalogue.harvests import list_statuses
    from harvester.catalogue.jobs import list_jobs

    with opened_catalogue() as catalogue, catalogue.read() as connection:
        now, offset, texts = catalogue.now(), 0, count_states(connection)
        while statuses := list_statuses(connection, _AT_A_READ, offset):
            for each in statuses:
                of_member = dict.fromkeys(STATES, 0) | texts.get(each.member.slug, {})
                told = status_json(each, now) | {"fulltext": of_member}
                line = _status_line(each, told["next_run"])
                line += f"; {of_member['held']} with files" if of_member["held"] else ""
                click.echo(json.dumps(told, ensure_ascii=False) if as_json else line)
            offset += _AT_A_READ
        for job in () if as_json else list_jobs(connection):
            if job.error or job.name == "check":
                click.echo(f"{job.name + ':':<24} {utc(job.last_run)}  {job.error or 'nothing differs'}")
    if not statuses and not offset and not as_json:
        click.echo("no members yet; `lumbung members add SLUG BASE_URL` adds one", err=True)


_AT_A_READ = 500


def _status_line(status_: MemberStatus, next_run: str | None) -> str:
    last = run_line(status_.last_attempt) if status_.last_attempt else "never harvested"
    success = f"last success {utc(status_.last_success.started_at)}" if status_.last_success else "no success yet"
    due = f"next {next_run}" if next_run else "paused"
    return f"{status_.member.slug:<24} {status_.records:>8} records  {last}  ({success}; {due})"


@click.command("sample-members")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--port", default=SAMPLES_PORT, show_default=True, help="Port to serve on.")
@click.option("--register", is_flag=True, help="Also add the four repositories to the network.")
def sample_members(host: str, port: int, register: bool) -> None:
    """Serve four small repositories of invented records over OAI-PMH, until Ctrl-C.

    One behaves like EPrints, one like DSpace, one like OJS and one like SLiMS: something to harvest
    while you look around.
    """
    from harvester.samples.platforms import sample_repositories
    from harvester.samples.provider import serve

    repositories = sample_repositories(f"http://{host}:{port}")
    with serve(repositories, host, port) as server, stop_signals() as stop:
        if register:
            register_samples(host, port)
        for repository in repositories:
            click.echo(f"{repository.name}: {server.url_of(repository.slug)}")
        stop.wait()


def register_samples(host: str, port: int) -> None:
    """The four sample repositories at this address are members; those that are stay as they are."""
    from harvester.catalogue.members import Member, import_members
    from harvester.samples.platforms import sample_repositories

    base = f"http://{host}:{port}"
    found = [Member(each.slug, each.name, base + each.path) for each in sample_repositories(base)]
    with opened_catalogue() as catalogue, catalogue.write() as connection:
        import_members(connection, found, catalogue.now())


def _is_verbose() -> bool:
    return bool(click.get_current_context().find_root().params.get("verbose"))


def has_members() -> bool:
    """True where at least one member is registered, and not paused."""
    from harvester.catalogue.members import list_members

    with opened_catalogue() as catalogue, catalogue.read() as connection:
        return any(not member.care.paused for member in list_members(connection))


def run_json(slug: str, run: Run) -> dict[str, Any]:
    """A run as `harvest --json` prints it."""
    counts = {name: getattr(run, name) for name in _COUNTS}
    ends = {"error": run.error, "from": run.from_, "until": run.until}
    return {"member": slug, "outcome": run.outcome, **counts, **ends}


def status_json(status_: MemberStatus, now: int) -> dict[str, Any]:
    """A member's status as `status --json` prints it."""
    attempt, success = status_.last_attempt, status_.last_success
    counts = {name: getattr(attempt, name) if attempt else 0 for name in _COUNTS}
    return {
        "member": status_.member.slug,
        "name": status_.member.name,
        "base_url": status_.member.base_url,
        "last_attempt": utc(attempt.started_at) if attempt else None,
        "last_success": utc(success.started_at) if success else None,
        "outcome": attempt.outcome if attempt else None,
        "error": attempt.error if attempt else None,
        "live": status_.records,
        "tombstones": status_.deleted,
        "counts": counts,
        "paused": status_.member.care.paused,
        "next_run": None if status_.member.care.paused else utc(now if status_.next_run is None else status_.next_run),
    }


def run_line(run: Run) -> str:
    """A run in one line."""
    kinds = ("added", "changed", "unchanged", "deleted", "failed")
    counts = ", ".join(f"{getattr(run, kind)} {kind}" for kind in kinds if getattr(run, kind))
    line = f"{utc(run.started_at)}  {run.outcome or 'running'}: {run.records} records"
    return line + (f" ({counts})" if counts else "") + (f": {run.error}" if run.error else "")


def utc(seconds: int) -> str:
    """The moment as every command writes it."""
    from harvester.datestamps import format_datestamp, from_epoch

    return format_datestamp(from_epoch(seconds))
