"""The commands below `members`: who belongs to the network, and how each is cared for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from harvester import reconcile_cli
from harvester.cli import opened_catalogue, run_line, status_json, utc
from harvester.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from harvester.catalogue.members import Member

# Looks at a repository and tells of it: the base URL that was found, and whether it can be harvested.
Preview: TypeAlias = Callable[[str], tuple[str, bool]]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_CARE = (
    click.option("--rule", metavar="R", help="When: an interval (6h, 1d, 2w) or five fields of cron. Default: 1d."),
    click.option("--window", metavar="W", help="Only within these hours, such as 23:00-04:00; '' for always."),
    click.option("--timezone", metavar="T", help="Of the rule and the window. Default: Asia/Jakarta."),
    click.option("--delay", type=float, metavar="S", help="Seconds between two requests. Default: 0."),
    click.option("--pause/--resume", "paused", default=None, help="Leave it alone until it is resumed."),
    click.option(
        "--insecure-until",
        metavar="DATE",
        help="Do not verify its certificate before then, in a year at the latest; '' to do so.",
    ),
    click.option("--mail-to", metavar="A", help="Who is told of its harvests, up to five addresses; '' for nobody."),
    click.option("--mail", metavar="WHEN", help="never, failure (the default), always or monthly."),
    click.option("--reconcile-days", type=int, metavar="N", help="Compare all identifiers so often. Default: 30."),
    click.option("--pending-days", type=int, metavar="N", help="How long a vanished record waits. Default: 14."),
    click.option("--max-drop", type=int, metavar="P", help="Percent that may vanish without a question. Default: 10."),
    click.option("--region", metavar="R", help="Where it is, such as jawa-barat; '' for unknown."),
)


def _care_options(command: _Command) -> _Command:
    for option in reversed(_CARE):
        command = option(command)
    return command


@click.group()
def members() -> None:
    """The members of the network: repositories that are harvested.

    \b
    lumbung members add undip https://eprints.example.ac.id/cgi/oai2 --name "Universitas Contoh"
    lumbung members set undip --window 23:00-04:00 --delay 2
    lumbung members list
    """


for _command in (reconcile_cli.pending, reconcile_cli.approve, reconcile_cli.keep):
    members.add_command(_command)


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
@click.option(
    "--check/--no-check", default=None, help="Look at the repository first and ask. Default: on a terminal, yes."
)
@_care_options
def add(
    slug: str,
    base_url: str,
    name: str | None,
    sets: tuple[str, ...],
    prefixes: tuple[str, ...],
    no_fulltext: bool,
    check: bool | None,
    **care: object,
) -> None:
    """Add the repository at BASE_URL to the network, under the short name SLUG.

    SLUG is part of public addresses: lower-case letters, digits and hyphens. BASE_URL is the address
    that answers `?verb=Identify`: usually .../cgi/oai2 (EPrints), .../server/oai/request or
    .../oai/request (DSpace), .../index.php/index/oai (OJS), .../oai2.php (SLiMS). With a check, the address
    of the site will do: the base URL is looked for, and what is good and what hurts is shown before anything
    is stored.
    """
    from harvester.catalogue.members import Member, add_member, trim_base_url

    base_url = trim_base_url(base_url)
    interactive = sys.stdin.isatty() and sys.stderr.isatty()
    preview: Preview | None = click.get_current_context().find_root().obj
    if preview is not None and (interactive if check is None else check):
        found, usable = preview(base_url)
        if interactive:
            click.confirm("Add it?" if usable else "Add it all the same?", default=usable, abort=True, err=True)
        elif not usable:
            raise UnreachableError("nothing was stored; add it with --no-check, if it must be", url=base_url)
        base_url = found or base_url
    member = Member(slug, name or slug, base_url, prefixes or ("oai_dc",), sets, not no_fulltext)
    with opened_catalogue() as catalogue, catalogue.write() as connection:
        now = catalogue.now()
        add_member(connection, _with_care(member, care, now), now)
    click.echo(f"{slug} is a member now; `lumbung harvest {slug}` fetches its records")


@members.command("set")
@click.argument("slug")
@click.option("--name", help="Name shown to readers.")
@click.option("--set", "sets", multiple=True, metavar="S", help="Only this set; may be repeated; '' for everything.")
@click.option(
    "--prefix", "prefixes", multiple=True, metavar="P", help="Metadata prefix; may be repeated; '' for oai_dc."
)
@click.option("--fulltext/--no-fulltext", default=None, help="Whether to fetch this member's files.")
@_care_options
def set_(
    slug: str,
    name: str | None,
    sets: tuple[str, ...],
    prefixes: tuple[str, ...],
    fulltext: bool | None,
    **care: object,
) -> None:
    """Change a member's settings; what is not named stays as it is.

    Sets and prefixes that are named take the place of all those before. The next harvest fetches what is
    new in them whole; records that are in none of its sets any more vanish by `lumbung reconcile`.

    \b
    lumbung members set undip --rule "30 1 * * 1-5" --window 23:00-04:00 --timezone Asia/Jakarta
    lumbung members set undip --set theses --set articles
    """
    from harvester.catalogue.members import get_member, import_members

    wishes: dict[str, Any] = {"name": name, "fulltext": fulltext}
    wishes |= {"sets": _several(sets, ()), "prefixes": _several(prefixes, ("oai_dc",))}
    wishes = {field: value for field, value in wishes.items() if value is not None}
    if not wishes and all(value is None for value in care.values()):
        raise ConfigError("nothing to set; `lumbung members set --help` lists the settings")
    with opened_catalogue() as catalogue, catalogue.write() as connection:
        now = catalogue.now()
        changed = _with_care(replace(get_member(connection, slug), **wishes), care, now)
        import_members(connection, [changed], now)
    for line in _lines(changed):
        click.echo(line)


def _several(given: tuple[str, ...], usual: tuple[str, ...]) -> tuple[str, ...] | None:
    """What an option that may be repeated was given; None where it was not; what is usual for an empty text."""
    if not given:
        return None
    return usual if given == ("",) else given


@members.command()
@click.argument("slug")
def run(slug: str) -> None:
    """Have a member harvested by the next worker that is free: at once, or as soon as its window opens."""
    from harvester.catalogue.members import ask_for_run, get_member

    with opened_catalogue() as catalogue, catalogue.write() as connection:
        now = catalogue.now()
        moment = ask_for_run(connection, get_member(connection, slug), now)
    click.echo(f"{slug} is due now" if moment <= now else f"{slug} is due at {utc(moment)}, when its window opens")


@members.command()
@click.argument("slug")
@click.argument("name", required=False)
@click.argument("value", required=False)
@click.option("--forget", is_flag=True, help="Forget the quirk NAME; the harvester may find it again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per quirk.")
def quirks(slug: str, name: str | None, value: str | None, forget: bool, as_json: bool) -> None:
    """Show what a member's server does against the protocol, or set it.

    The harvester finds most of it by itself and keeps the evidence; what you set, it leaves alone.

    \b
    lumbung members quirks undip                      what is known
    lumbung members quirks undip granularity days     ask for dates in days
    lumbung members quirks undip size ignore          completeListSize is not to be believed
    lumbung members quirks undip granularity --forget
    """
    from harvester.catalogue.members import get_member
    from harvester.catalogue.quirks import QUIRKS, Quirk, forget_quirk, get_quirks, put_quirk

    if name and not forget and value is None:
        raise ConfigError(f"give the quirk {name!r} a value, or --forget it; known: {', '.join(QUIRKS)}")
    with opened_catalogue() as catalogue, catalogue.write() as connection:
        member = get_member(connection, slug)
        if name and forget:
            if not forget_quirk(connection, member, name):
                raise ConfigError(f"{slug} has no quirk {name!r}")
        elif name:
            quirk = Quirk(name, value or "", catalogue.now(), "set by the operator", "operator")
            put_quirk(connection, member, quirk)
        found = get_quirks(connection, member)
    for each in found.values():
        if as_json:
            click.echo(json.dumps({"member": slug, **asdict(each), "found_at": utc(each.found_at)}, ensure_ascii=False))
        else:
            means = QUIRKS[each.name][0]
            click.echo(f"{each.name:<14} {each.value:<10} {utc(each.found_at)}  {means} ({each.evidence})")
    if not found and not as_json:
        click.echo(f"{slug} has no quirks", err=True)


@members.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(as_json: bool) -> None:
    """List the members."""
    from harvester.catalogue.members import list_members

    with opened_catalogue() as catalogue, catalogue.read() as connection:
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

    with opened_catalogue() as catalogue, catalogue.read() as connection:
        status = get_status(connection, get_member(connection, slug))
        runs = list_runs(connection, status.member, limit=10)
    if as_json:
        told = _member_json(status.member) | status_json(status, catalogue.now())
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    member = status.member
    click.echo(f"{member.name} ({member.slug})\n  base URL   {member.base_url}")
    for line in _lines(member):
        click.echo("  " + line)
    click.echo(f"  next run   {status_json(status, catalogue.now())['next_run'] or 'when it is resumed'}")
    click.echo(f"  records    {status.records} live, {status.deleted} deleted")
    for each in runs:
        click.echo("  " + run_line(each))
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

    with opened_catalogue() as catalogue:
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
@click.option("--paused", is_flag=True, help="Those who are new are left alone until they are resumed.")
def import_(file: Path, paused: bool) -> None:
    """Add or update the members that FILE lists.

    In TOML, all of them or none:

    \b
    [[members]]
    slug = "undip"
    base_url = "https://eprints.example.ac.id/cgi/oai2"
    name = "Universitas Contoh"        # optional, as all below
    sets = ["7374617475733D707562"]
    prefixes = ["oai_dc"]
    fulltext = false
    window = "23:00-04:00"             # and rule, timezone, delay ...: as the options of `members set`

    A table (.csv, .tsv; cells apart by comma, semicolon or tab, as in its first line) has a line of titles and the
    columns base_url (or url), slug, name and region, of which the first is needed; any other file has a base URL a
    line.
    There, a line that is no member is told and left out; exit status 1 where no line is one.
    """
    from harvester.catalogue.members import import_members, list_members
    from harvester.member_files import read_members

    with opened_catalogue() as catalogue, catalogue.write() as connection:
        present, now = list_members(connection), catalogue.now()
        listed = read_members(file, present, now)
        known = {member.slug for member in present}
        wish = {"paused": paused or None}
        found = [each if each.slug in known else _with_care(each, wish, now) for each in listed.members]
        added, updated = import_members(connection, found, now)
    for sentence in listed.refused:
        click.echo(f"{file}, {sentence}", err=True)
    if not found:
        click.echo(f"no line of {file} could be used; {len(listed.refused)} left out", err=True)
        sys.exit(1)
    left_out = f", {len(listed.refused)} left out" if listed.refused else ""
    click.echo(f"{added} members added, {updated} updated{left_out}")


def _with_care(member: Member, wishes: dict[str, Any], now: int) -> Member:
    from harvester.catalogue.care import change_care

    given = {name: value for name, value in wishes.items() if value is not None}
    return replace(member, care=change_care(member.care, given, now))


def _member_json(member: Member) -> dict[str, Any]:
    from harvester.catalogue.care import care_json

    return {
        "member": member.slug,
        "name": member.name,
        "base_url": member.base_url,
        "prefixes": list(member.prefixes),
        "sets": list(member.sets),
        "fulltext": member.fulltext,
        **care_json(member.care),
    }


def _member_line(member: Member) -> str:
    return f"{member.slug:<24} {member.name}  {member.base_url}{'  (paused)' if member.care.paused else ''}"


def _lines(member: Member) -> list[str]:
    from harvester.catalogue.care import care_json

    care, told = member.care, care_json(member.care)
    deletions = f"every {care.reconcile_days} days, waiting {care.pending_days}, asking above {care.max_drop} %"
    lines = [
        f"prefixes   {', '.join(member.prefixes)}",
        f"sets       {', '.join(member.sets) or 'all'}",
        f"full text  {'yes' if member.fulltext else 'never'}",
        f"schedule   {care.rule}, {care.window or 'at any hour'} ({care.timezone}){', paused' if care.paused else ''}",
        f"reconciled {deletions}",
    ]
    if care.delay:
        lines.append(f"delay      {care.delay:g} seconds between two requests")
    if care.insecure_until is not None:
        lines.append(f"INSECURE   its certificate is not verified before {told['insecure_until']}")
    if care.region:
        lines.append(f"region     {care.region}")
    if care.mail_to:
        lines.append(f"mail       {care.mail} to {care.mail_to}")
    return lines
