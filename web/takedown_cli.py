"""The command that takes a record or a file down."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict

import click

from harvester.datestamps import format_datestamp, from_epoch
from harvester.errors import ConfigError


@click.command()
@click.argument("what", metavar="[RECORD|SHA256]", required=False)
@click.option("--note", default="", help="Why, and who asked for it; kept with the takedown.")
@click.option("--lift", is_flag=True, help="Take the takedown back.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per takedown, for the list.")
def takedown(what: str | None, note: str, *, lift: bool, as_json: bool) -> None:
    """Take down the record of a public id with all its files, or the file of a checksum wherever it came from.

    At once and for ever: it is neither shown nor fetched again, until --lift; a record is a tombstone, on the site, in
    the index, and for those who harvest us, and what the archived pages say of it is cut out of them and kept apart. So
    nothing is lost, and each takedown stays on the list, which is shown where nothing is named. Addresses of a record
    or of a copy do as names, too. Exit status: 0 done, 1 it was so already, 2 there is no such record or file.
    """
    from harvester.archive import open_archive_of
    from harvester.catalogue.records import public_ids
    from harvester.catalogue.takedowns import list_takedowns
    from harvester.cli import opened_catalogue
    from harvester.settings import load_settings
    from web.takedowns import NoTargetError, carry_out

    with opened_catalogue() as catalogue:
        if what is None:
            with catalogue.read() as connection:
                known = list_takedowns(connection)
                ids = public_ids(connection, [each.record_id for each in known if each.record_id is not None])
            for each in known:
                told = asdict(each) | {"record_id": each.record_id and ids[each.record_id]}
                del told["redacted_upto"]
                click.echo(json.dumps(told, ensure_ascii=False) if as_json else _line(told))
            return
        if not note.strip():
            raise ConfigError("say why: --note 'asked for by the author on 3 May'")
        settings = load_settings()
        try:
            done = carry_out(settings, catalogue, open_archive_of(settings), what, note.strip(), lift=lift)
        except NoTargetError as error:
            raise ConfigError(str(error)) from error
        for sentence in done.amiss:
            click.echo(sentence, err=True)
    if not done.changed:
        click.echo(f"{what} is {'not down' if lift else 'down already'}", err=True)
        sys.exit(1)
    click.echo(f"{what} {'may be shown and fetched again' if lift else 'is down'}")


def _line(told: Mapping[str, object]) -> str:
    what = told["record_id"] or told["sha256"]
    made, lifted = (
        moment and format_datestamp(from_epoch(int(str(moment)))) for moment in (told["made_at"], told["lifted_at"])
    )
    return f"{made}  {what}  {told['note']}" + (f"; lifted {lifted}: {told['lifted_note']}" if lifted else "")
