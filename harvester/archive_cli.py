"""The command that moves an archive to another place."""

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
    """The archive: every answer of every member, as it came."""


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
