"""The indexer's commands; the root command mounts them."""

# Imports of any weight stand in the functions: `lumbung --help` must not wait for a search engine.

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from harvester.signals import graceful_stop

if TYPE_CHECKING:
    from harvester.catalogue.records import CataloguedRecord
    from indexer.build import BuildCounts, Progress
    from indexer.document import Description
    from indexer.texts import Copies

_RECORDS_AT_ONCE = 500


@click.command()
def index() -> None:
    """Bring the index, and what re-harvesters are given, up to date with the catalogue."""
    index_now()


@click.command()
@click.option("--works", is_flag=True, help="Decide anew which records are the same work, after a change of the rules.")
@click.option("--force", is_flag=True, help="Swap the new index in even where it differs from what was expected.")
@click.option("--anew", is_flag=True, help="Do not go on with a new index that was left unfinished.")
def reindex(*, works: bool, force: bool, anew: bool) -> None:
    """Build a new index from nothing and swap it in; searches are answered meanwhile.

    A rebuild that was killed goes on where it was. The new index is not swapped in where it holds two percent more
    or fewer works than the catalogue, or than the present one.
    """
    reindex_now(works=works, force=force, anew=anew)


def reindex_now(*, works: bool = False, force: bool = False, anew: bool = False) -> None:
    """A new index stands in the place of the present one, of whatever schema or state that is."""
    from harvester.archive import open_archive
    from harvester.catalogue.database import open_catalogue
    from harvester.settings import load_settings
    from indexer.build import forget_works, rebuild
    from indexer.engine.opening import open_engine

    settings = load_settings()
    with closing(open_catalogue(settings.catalogue_url)) as catalogue, closing(open_engine(settings)) as engine:
        if works:
            forget_works(catalogue)
        with shown_progress("building") as progress:
            archive = open_archive(settings.archive_url, settings.s3_endpoint)
            counts = rebuild(catalogue, engine, archive, anew=anew, force=force, progress=progress)
        _report(counts, engine.count())


@click.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per record and line.")
def records(slugs: tuple[str, ...], *, as_json: bool) -> None:
    """List every record of the catalogue, of all members or of those named."""
    from datetime import UTC, datetime

    from harvester.catalogue.database import open_catalogue
    from harvester.catalogue.files import list_copies
    from harvester.catalogue.members import get_member, was_member
    from harvester.catalogue.records import iter_records, public_ids
    from harvester.settings import load_settings
    from indexer.crosswalks import describe
    from indexer.texts import Copies

    with closing(open_catalogue(load_settings().catalogue_url)) as catalogue:
        with catalogue.read() as connection:
            for slug in slugs:
                if not was_member(connection, slug):
                    get_member(connection, slug)  # says who there is
        this_year = datetime.fromtimestamp(catalogue.now(), UTC).year
        found = iter_records(catalogue, slugs)
        while some := list(islice(found, _RECORDS_AT_ONCE)):
            with catalogue.read() as connection:
                works = public_ids(connection, [record.work for record in some])
                copies = list_copies(connection, [record.number for record in some], page_starts=False)
            readable = Copies(copies, catalogue.now())
            for record in some:
                line = _line(record, describe(record, this_year=this_year), works[record.work], readable)
                _tell(record, line, as_json=as_json)


def _tell(record: CataloguedRecord, line: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
    else:
        title = "(deleted)" if record.deleted else line["title"] or "(no title)"
        click.echo(f"{record.id}  {record.member:<20}  {line['year'] or '':<4}  {title}")


@click.command()
@click.argument("slugs", metavar="[SLUG]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per member that had links to check.")
def links(slugs: tuple[str, ...], *, as_json: bool) -> None:
    """Check now the landing links that are due, of all members or of those named.

    The worker does this by itself, each link every LUMBUNG_LINK_DAYS. A link that did not answer on three days is dead
    until it answers. Paused members and those whose window is closed are left out; a host is asked slowly, and as its
    robots.txt allows. Ctrl-C stops after the links that are asked just now.
    """
    from dataclasses import asdict

    from harvester.archive import open_archive_of
    from harvester.catalogue.due import count_due
    from harvester.catalogue.members import get_member, list_members
    from harvester.catalogue.tables import links
    from harvester.cli import opened_catalogue
    from harvester.errors import ConfigError
    from harvester.run import HarvestContext
    from harvester.settings import load_settings
    from indexer.links import Check, LinkChecker, count_checks

    settings = load_settings()
    if not settings.link_days:
        raise ConfigError("LUMBUNG_LINK_DAYS is 0: links are never checked")
    checks: list[Check] = []
    with opened_catalogue() as catalogue, graceful_stop() as stop, shown_progress("checking links") as progress:
        with catalogue.read() as connection:
            chosen = [get_member(connection, slug) for slug in dict.fromkeys(slugs)] or list_members(connection)
            total = sum(count_due(connection, links, member, catalogue.now()) for member in chosen)

        def tell(check: Check) -> None:
            checks.append(check)
            progress(len(checks), total)

        archive = open_archive_of(settings)
        context, checker = HarvestContext(settings, catalogue, archive, stop), LinkChecker()
        while checker.check_due(context, slugs, tell) and not stop.is_set():
            pass
    for counts in count_checks(checks):
        named = asdict(counts)
        line = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in named.items() if name != "member")
        click.echo(json.dumps(named) if as_json else f"{counts.member:<24} {line}")
    if not checks:
        click.echo("no link is due" if not total else f"{total} links are due, none could be asked now", err=True)


@click.command("check")
@click.argument("url", metavar="BASE_URL")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_member(url: str, *, as_json: bool) -> None:
    """Check the repository at BASE_URL before it joins: nothing is stored.

    BASE_URL is the repository's OAI-PMH address or that of its site; the base URL is looked for. About a dozen requests
    within a minute say what is good, what hurts and how it is mended. Servers of the own network may be checked, too.
    Exit status: 0 it can be harvested, 1 it cannot.
    """
    from harvester.settings import load_settings
    from indexer.check import check_base_url, report_json, to_lines

    settings = load_settings().model_copy(update={"allow_private": True})
    report = check_base_url(url, settings, progress=lambda request: click.echo(request, err=True))
    if as_json:
        click.echo(json.dumps(report_json(report), ensure_ascii=False))
    else:
        for line in to_lines(report):
            click.echo(line)
    sys.exit(0 if report.usable else 1)


@click.command("check")
@click.option("--repair", is_flag=True, help="Mend what can be mended without asking a member.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per difference and line.")
def check_tiers(*, repair: bool, as_json: bool) -> None:
    """Compare archive, catalogue and index: counts, then keys, then contents; print what differs.

    May run while members are harvested and indexed: what waits for the next `lumbung index` is no difference. The
    worker does this every night, without mending. A repair may be killed and run again; it deletes nothing of the
    archive, and its exit status, too, is 1 where anything differed: once more, and it is 0. Exit status: 0 nothing
    differs, 1 something differs or a tier cannot be reached, 2 wrong settings.
    """
    from dataclasses import asdict

    from harvester.archive import open_archive_of
    from harvester.cli import opened_catalogue
    from harvester.settings import load_settings
    from indexer.build import rebuild
    from indexer.engine.opening import open_engine
    from indexer.tiers import HARMLESS, Summary, TierCheck

    settings, summary = load_settings(), Summary()
    archive = open_archive_of(settings)
    with (
        opened_catalogue() as catalogue,
        closing(open_engine(settings)) as engine,
        shown_progress("checking") as progress,
    ):

        def build_anew() -> None:
            rebuild(catalogue, engine, archive)

        comparison = TierCheck(catalogue, archive, engine, rebuild=build_anew if repair else None, progress=progress)
        for difference in comparison.iter_differences():
            summary.add(difference)
            if as_json:
                told = asdict(difference) | {"harmless": difference.kind in HARMLESS}
                click.echo(json.dumps(told, ensure_ascii=False))
    for line in (str(comparison.counts), *summary.iter_lines(repaired=repair)):
        click.echo(line, err=as_json)
    sys.exit(1 if summary.differ else 0)


def index_now() -> None:
    """The index and the feed show the catalogue as it is; a line on stdout says what was done."""
    from harvester.archive import open_archive
    from harvester.catalogue.database import open_catalogue
    from harvester.settings import load_settings
    from indexer.build import advance
    from indexer.engine.opening import open_engine
    from indexer.feed import prepare

    settings = load_settings()
    with closing(open_catalogue(settings.catalogue_url)) as catalogue, closing(open_engine(settings)) as engine:
        prepare.advance(catalogue, settings.repository_domain)
        with shown_progress("indexing") as progress:
            archive = open_archive(settings.archive_url, settings.s3_endpoint)
            counts = advance(catalogue, engine, archive, progress=progress)
        _report(counts, engine.count() if counts.documents or engine.watermark() else 0)


def _line(record: CataloguedRecord, description: Description, work: str, copies: Copies) -> dict[str, object]:
    """What `lumbung records --json` promises to others' scripts."""
    from harvester.datestamps import format_datestamp, from_epoch

    return {
        "member": record.member,
        "identifier": record.identifier,
        "id": record.id,
        "work": work,
        "datestamp": format_datestamp(from_epoch(record.datestamp)),
        "source_datestamp": record.source_datestamp,
        "deleted": record.deleted,
        "title": description.title,
        "year": description.year,
        "type": description.type.type,
        "language": description.language,
        "url": description.landing_page,
        "fulltext": bool(copies.allowed(record.number, description.rights.access, description.rights.embargo_until)),
    }


@contextmanager
def shown_progress(what: str) -> Iterator[Progress]:
    """A bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _report(counts: BuildCounts, total: int) -> None:
    texts = f" ({counts.texts} with full text, {counts.cut} of it not whole)" if counts.texts else ""
    click.echo(
        f"{counts.records} records read, {counts.documents} works written{texts}, {counts.deletions} are no more; "
        f"the index holds {total} works."
    )
