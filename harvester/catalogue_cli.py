"""The command that moves a catalogue to another database."""

from __future__ import annotations

import json
import time
from contextlib import closing

import click

_SAY_SECONDS = 2


@click.group()
def catalogue() -> None:
    """The catalogue: members, runs, and every record as it is now."""


@catalogue.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per table, with its checksum.")
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy the catalogue at FROM into the empty one at TO: sqlite:////PATH/FILE or postgresql://USER:PASSWORD@HOST/NAME.

    Stop workers and harvests first. Everything is read back and compared before it stands; a copy that is
    stopped or killed leaves TO empty, and may be begun again. Then set LUMBUNG_CATALOGUE to TO. Exit status:
    0 everything is there, 1 a database is away or refuses, 2 nothing is at FROM, somebody harvests into it, or
    TO is not empty.
    """
    from harvester.catalogue.copying import copy_catalogue
    from harvester.catalogue.database import open_catalogue, open_present

    spoken = time.monotonic()

    def tell(table: str, done: int, total: int) -> None:
        nonlocal spoken
        if time.monotonic() >= spoken + _SAY_SECONDS:
            spoken = time.monotonic()
            click.echo(f"{table}: {done:,} of {total:,}", err=True)

    with closing(open_present(source)) as former, closing(open_catalogue(target)) as new:
        copied = copy_catalogue(former, new, tell)
    for each in copied:
        if as_json:
            click.echo(json.dumps({"table": each.name, "rows": each.rows, "checksum": each.checksum}))
        else:
            click.echo(f"{each.name:<16} {each.rows:>12,} rows  {each.checksum}")
