"""The harvester's commands. Everything heavy is imported when a command runs: `--help` stays quick."""

from __future__ import annotations

import json
import signal
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harvester import reconcile_cli
from harvester.errors import ConfigError
from harvester.settings import load_settings

if TYPE_CHECKING:
    from harvester.catalogue import Catalogue
    from harvester.catalogue.harvests import MemberStatus, Run
    from harvester.catalogue.members import Member

SAMPLES_PORT = 8090
_COUNTS = ("requests", "pages", "records", "added", "changed", "unchanged", "deleted", "failed")


@contextmanager
def _opened_catalogue() -> Iterator[Catalogue]:
    from harvester.catalogue import open_catalogue

    catalogue = open_catalogue(load_settings().catalogue_url)
    try:
        yield catalogue
    finally:
        catalogue.close()


@click.group()
def members() -> None:
    """The members of the network: repositories that are harvested.

    \b
    lumbung members add undip https://eprints.example.ac.id/cgi/oai2 --name "Universitas Contoh"
    lumbung members list
    """


@members.command()
@click.argument("slug")
@click.argument("base_url")
@click.option("--name", help="Name shown to readers; default: what the repository calls itself.")
@click.option("--set", "sets", multiple=True, metavar="S", help="Harvest this set only; may be repeated.")
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    metavar="P",
    help="Metadata prefix, the preferred one first; may be repeated. Default: oai_dc.",
)
@click.option("--no-fulltext", is_flag=True, help="Never fetch this member's files.")
def add(
    slug: str, base_url: str, name: str | None, sets: tuple[str, ...], prefixes: tuple[str, ...], no_fulltext: bool
) -> None:
    """Add the repository at BASE_URL to the network, under the short name SLUG.

    SLUG is part of public addresses: lower-case letters, digits and hyphens. BASE_URL is the address
    that answers `?verb=Identify`: usually .../cgi/oai2 (EPrints), .../server/oai/request or
    .../oai/request (DSpace), .../index.php/index/oai (OJS), .../oai2.php (SLiMS).
    """
    from harvester.catalogue.members import Member, add_member

    member = Member(slug, name or slug, base_url, prefixes or ("oai_dc",), sets, not no_fulltext)
    with _opened_catalogue() as catalogue, catalogue.write() as connection:
        add_member(connection, member, catalogue.now())
    click.echo(f"{slug} is a member now; `lumbung harvest {slug}` fetches its records")


@members.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(as_json: bool) -> None:
    """List the members."""
    from harvester.catalogue.members import list_members

    with _opened_catalogue() as catalogue, catalogue.read() as connection:
        found = list_members(connection)
    for member in found:
        click.echo(json.dumps(_member_json(member), ensure_ascii=False) if as_json else _member_line(member))
    if not found and not as_json:
        click.echo("no members yet; `lumbung members add SLUG BASE_URL` adds one", err=True)


@members.command()
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(slug: str, as_json: bool) -> None:
    """Show one member, its state and its latest runs."""
    from harvester.catalogue.harvests import get_status, list_runs
    from harvester.catalogue.members import get_member

    with _opened_catalogue() as catalogue, catalogue.read() as connection:
        status_ = get_status(connection, get_member(connection, slug))
        runs = list_runs(connection, status_.member, limit=10)
    if as_json:
        click.echo(json.dumps(_member_json(status_.member) | _status_json(status_), ensure_ascii=False))
        return
    member = status_.member
    click.echo(f"{member.name} ({member.slug})\n  base URL   {member.base_url}")
    click.echo(f"  prefixes   {', '.join(member.prefixes)}\n  sets       {', '.join(member.sets) or 'all'}")
    click.echo(f"  full text  {'yes' if member.fulltext else 'never'}")
    click.echo(f"  records    {status_.records} live, {status_.deleted} deleted")
    for run in runs:
        click.echo("  " + _run_line(run))
    if not runs:
        click.echo("  never harvested")


@members.command()
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(slug: str, yes: bool) -> None:
    """Remove a member: it is harvested no more, and its records become tombstones.

    Nothing is erased: adding the member again under the same slug and harvesting it brings its
    records back under their old addresses.
    """
    from harvester.catalogue.commit import delete_records
    from harvester.catalogue.members import get_member, mark_removed

    with _opened_catalogue() as catalogue:
        with catalogue.read() as connection:
            member = get_member(connection, slug)
        if not yes:
            click.confirm(f"Remove {member.name} ({member.base_url}) and all of its records?", abort=True)
        with catalogue.write() as connection:
            mark_removed(connection, member, catalogue.now())
        total = delete_records(catalogue, member)
    click.echo(f"{slug} is no member any more; {total} records are tombstones; `lumbung index` updates the search")


@members.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Add or update the members that FILE lists, all of them or none.

    \b
    [[members]]
    slug = "undip"
    base_url = "https://eprints.example.ac.id/cgi/oai2"
    name = "Universitas Contoh"        # optional, as all below
    sets = ["7374617475733D707562"]
    prefixes = ["oai_dc"]
    fulltext = false
    """
    from harvester.catalogue.members import import_members

    found = _parse_members(file)
    with _opened_catalogue() as catalogue, catalogue.write() as connection:
        added, updated = import_members(connection, found, catalogue.now())
    click.echo(f"{added} members added, {updated} updated")


for _command in (reconcile_cli.pending, reconcile_cli.approve, reconcile_cli.keep):
    members.add_command(_command)


@click.command()
@click.argument("slugs", nargs=-1, metavar="[SLUG]...")
@click.option("--full", is_flag=True, help="From the beginning, not from where the last harvest ended.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member, as each ends.")
@click.option(
    "--at-once", default=16, show_default=True, type=click.IntRange(1, 256), help="Hosts harvested side by side."
)
def harvest(slugs: tuple[str, ...], full: bool, as_json: bool, at_once: int) -> None:
    """Harvest the members named, or all, now.

    Each is asked for what changed since its last complete harvest; a harvest that was stopped or killed
    goes on from its last page. Exit status: 0 all complete, 1 a member failed or is incomplete, 2 wrong
    settings. Ctrl-C stops at the next page; a second Ctrl-C at once, with exit status 130.
    """
    try:
        ok = harvest_now(slugs, full=full, as_json=as_json, at_once=at_once)
    except click.Abort:
        ok = False
    sys.exit(0 if ok else 1)


def harvest_now(slugs: tuple[str, ...] = (), *, full: bool = False, as_json: bool = False, at_once: int = 16) -> bool:
    """The members have been harvested; True if all are complete. Progress is on stderr, outcomes on stdout.

    Raises:
        click.Abort: the operator stopped it; what was received stands, and is told.
    """
    from harvester.archive import open_archive
    from harvester.catalogue.harvests import SUCCESSES
    from harvester.catalogue.members import get_member, list_members
    from harvester.harvest import HarvestContext
    from harvester.progress import HarvestDisplay
    from harvester.side_by_side import harvest_members

    settings = load_settings()
    archive = open_archive(settings.archive_url)
    with _opened_catalogue() as catalogue:
        with catalogue.read() as connection:
            chosen = (
                tuple(get_member(connection, slug) for slug in dict.fromkeys(slugs))
                if slugs
                else list_members(connection)
            )
        if not chosen:
            raise ConfigError("there are no members yet; `lumbung members add SLUG BASE_URL` adds one")
        outcomes = []
        with _graceful_stop() as stop, HarvestDisplay(chosen) as display:
            context = HarvestContext(settings, catalogue, archive, stop, display.update, _is_verbose())
            for member, run in harvest_members(context, chosen, full=full, at_once=at_once):
                outcomes.append(run.outcome)
                if as_json:
                    click.echo(json.dumps(run_json(member.slug, run), ensure_ascii=False))
                else:
                    display.print(f"{member.slug:<24} {_run_line(run)}")
        if stop.is_set():
            raise click.Abort
        return len(outcomes) == len(chosen) and all(outcome in SUCCESSES for outcome in outcomes)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member and line.")
def status(as_json: bool) -> None:
    """Show each member's last attempt, last success, outcome and counts."""
    from harvester.catalogue.harvests import list_statuses

    with _opened_catalogue() as catalogue, catalogue.read() as connection:
        statuses = list_statuses(connection)
    for each in statuses:
        if as_json:
            click.echo(json.dumps(_status_json(each), ensure_ascii=False))
        else:
            line = _run_line(each.last_attempt) if each.last_attempt else "never harvested"
            success = f"last success {_time(each.last_success.started_at)}" if each.last_success else "no success yet"
            click.echo(f"{each.member.slug:<24} {each.records:>8} records  {line}  ({success})")
    if not statuses and not as_json:
        click.echo("no members yet; `lumbung members add SLUG BASE_URL` adds one", err=True)


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
    with serve(repositories, host, port) as server, _stop_signals() as stop:
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
    with _opened_catalogue() as catalogue, catalogue.write() as connection:
        import_members(connection, found, catalogue.now())


def _is_verbose() -> bool:
    return bool(click.get_current_context().find_root().params.get("verbose"))


def has_members() -> bool:
    """True where at least one member is registered."""
    from harvester.catalogue.members import list_members

    with _opened_catalogue() as catalogue, catalogue.read() as connection:
        return bool(list_members(connection))


def run_json(slug: str, run: Run) -> dict[str, Any]:
    """A run as `harvest --json` prints it."""
    counts = {name: getattr(run, name) for name in _COUNTS}
    ends = {"error": run.error, "from": run.from_, "until": run.until}
    return {"member": slug, "outcome": run.outcome, **counts, **ends}


def _status_json(status_: MemberStatus) -> dict[str, Any]:
    attempt, success = status_.last_attempt, status_.last_success
    counts = {name: getattr(attempt, name) if attempt else 0 for name in _COUNTS}
    return {
        "member": status_.member.slug,
        "name": status_.member.name,
        "base_url": status_.member.base_url,
        "last_attempt": _time(attempt.started_at) if attempt else None,
        "last_success": _time(success.started_at) if success else None,
        "outcome": attempt.outcome if attempt else None,
        "error": attempt.error if attempt else None,
        "live": status_.records,
        "tombstones": status_.deleted,
        "counts": counts,
        "next_run": None,
    }


def _member_json(member: Member) -> dict[str, Any]:
    return {
        "member": member.slug,
        "name": member.name,
        "base_url": member.base_url,
        "prefixes": list(member.prefixes),
        "sets": list(member.sets),
        "fulltext": member.fulltext,
    }


def _member_line(member: Member) -> str:
    return f"{member.slug:<24} {member.name}  {member.base_url}"


def _run_line(run: Run) -> str:
    kinds = ("added", "changed", "unchanged", "deleted", "failed")
    counts = ", ".join(f"{getattr(run, kind)} {kind}" for kind in kinds if getattr(run, kind))
    line = f"{_time(run.started_at)}  {run.outcome or 'running'}: {run.records} records"
    return line + (f" ({counts})" if counts else "") + (f": {run.error}" if run.error else "")


def _time(seconds: int) -> str:
    from harvester.datestamps import format_datestamp, from_epoch

    return format_datestamp(from_epoch(seconds))


def _parse_members(file: Path) -> list[Member]:
    from harvester.catalogue.members import Member

    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("members")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file} lists no [[members]]")
    found: dict[str, Member] = {}
    entry: Any
    for number, entry in enumerate(entries, 1):
        where = f"{file}, member {number}"
        if not isinstance(entry, dict) or not {"slug", "base_url"} <= entry.keys():
            raise ConfigError(f"{where}: `slug` and `base_url` are needed")
        if unknown := sorted(entry.keys() - _MEMBER_TYPES):
            raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(_MEMBER_TYPES)}")
        for name, value in entry.items():
            kind, words = _MEMBER_TYPES[name]
            if not isinstance(value, kind) or (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
                raise ConfigError(f"{where}: `{name}` must be {words}")
        several = {name: tuple(entry[name]) for name in ("sets", "prefixes") if name in entry}
        try:
            member = Member(**{"name": entry["slug"]} | entry | several)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if member.slug in found:
            raise ConfigError(f"{where}: {member.slug!r} is listed twice")
        found[member.slug] = member
    return list(found.values())


_MEMBER_TYPES: dict[str, tuple[type, str]] = {
    "slug": (str, "a text"),
    "base_url": (str, "a text"),
    "name": (str, "a text"),
    "sets": (list, "a list of texts"),
    "prefixes": (list, "a list of texts"),
    "fulltext": (bool, "true or false"),
}


@contextmanager
def _graceful_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one interrupts."""
    with _stop_signals(once=True) as stop:
        yield stop


@contextmanager
def _stop_signals(*, once: bool = False) -> Iterator[threading.Event]:
    stop = threading.Event()
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def set_stop(_number: int, _frame: object) -> None:
        stop.set()
        if once:
            for each in former:
                signal.signal(each, signal.default_int_handler)
            click.echo("stopping at the next page; once more to stop at once", err=True)

    for number in former:
        signal.signal(number, set_stop)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
