"""The commands that move an archive to another place, and see whether it is whole."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

import click

from harvester.errors import ConfigError
from harvester.settings import load_settings
from harvester.signals import graceful_stop

_SAY_SECONDS = 5


@click.group()
def archive() -> None:
    """The archive: every answer and every file of every member, as it came."""


@archive.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--at-once", default=8, show_default=True, type=click.IntRange(1, 64), help="Objects side by side.")
@click.option("--json", "as_json", is_flag=True, help="The counts at the end as one JSON object.")
def copy(source: str, target: str, at_once: int, as_json: bool) -> None:
    """Copy every object of the archive at FROM into the one at TO: file:///FOLDER or s3://BUCKET/PREFIX.

    Each object is read back. What is there already is compared and left as it is, so the command can be
    stopped, killed and run again, and run once more after the last harvest into the former place. Exit status:
    0 everything is there, 1 something differs or could not be had, or an archive is away, 2 wrong settings, or
    nothing is at FROM.
    """
    from harvester.archive import open_archive
    from harvester.archive.copying import copy_archive

    endpoint = load_settings().s3_endpoint
    former, new = (open_archive(url, endpoint) for url in (source, target))
    counts: Counter[str] = Counter(copied=0, equal=0, different=0, failed=0, bytes=0)

    def line() -> str:
        return ", ".join(f"{count:,} {name}" for name, count in counts.items())

    spoken = time.monotonic()
    with graceful_stop() as stop:
        try:
            for done in copy_archive(former, new, stop, at_once=at_once):
                counts[done.outcome] += 1
                counts["bytes"] += done.size
                if done.error:
                    click.echo(f"{done.outcome}: {done.error}", err=True)
                if time.monotonic() >= spoken + _SAY_SECONDS:
                    spoken = time.monotonic()
                    click.echo(f"{line()}; at {done.key}", err=True)
        finally:
            click.echo(json.dumps(counts) if as_json else line())
    if stop.is_set():
        raise click.Abort
    if not any(counts.values()):
        raise ConfigError(f"there is no archive at {source}")
    sys.exit(1 if counts["different"] or counts["failed"] else 0)


@archive.command("verify")
@click.option("--days", default=0, show_default=True, help="Only files that were not verified for so many days.")
@click.option("--no-pages", is_flag=True, help="Files only; pages are compared by `lumbung check`, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per damaged object, then the counts.")
def verify(days: int, *, no_pages: bool, as_json: bool) -> None:
    """Read every archived file and page, and compare it with its checksum.

    A file that is damaged or gone is fetched again, from the record that it came with; until then it is not shown. Its
    text, where that alone is, is read again. The worker does this by itself, each file once in 30 days. A damaged page
    is told, and mended by `lumbung check --repair` where that can be. May be stopped and run again. Exit status: 0 all
    is whole, 1 something is damaged.
    """
    from harvester.archive import open_archive_of
    from harvester.cli import opened_catalogue
    from harvester.fulltext.fixity import iter_damaged_pages, verify_files
    from harvester.run import HarvestContext

    settings = load_settings()
    counts: Counter[str] = Counter(files=0, damaged=0, damaged_texts=0, damaged_pages=0)

    def tell(kind: str, key: str, detail: str) -> None:
        told = {"kind": kind, "key": key, "detail": detail}
        click.echo(json.dumps(told) if as_json else f"{kind}: {key} {detail}")

    with graceful_stop() as stop, opened_catalogue() as catalogue:
        context = HarvestContext(settings, catalogue, open_archive_of(settings), stop)
        for checked in verify_files(context, days):
            counts["files"] += checked.key.startswith("files/")
            if not checked.whole and checked.key.startswith("texts/"):
                counts["damaged_texts"] += 1
                tell("text-damaged", checked.key, "the file is read again")
            elif not checked.whole:
                counts["damaged"] += 1
                tell("file-damaged", checked.key, f"{len(checked.records)} records ask for it again")
        for key, detail in () if no_pages else iter_damaged_pages(context):
            counts["damaged_pages"] += 1
            tell("page-damaged", key, detail)
    click.echo(json.dumps(counts) if as_json else ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    if stop.is_set():
        raise click.Abort
    sys.exit(1 if any(counts[name] for name in ("damaged", "damaged_texts", "damaged_pages")) else 0)
