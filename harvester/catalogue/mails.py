"""What members were told by mail of their runs, and what they have not been told yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, select, update

from harvester.catalogue.findings import RunReport, to_run
from harvester.catalogue.tables import harvests, members, problems

NO_MAIL = 0  # `harvests.mailed_at` of a run that nobody needs to be told of


@dataclass(frozen=True, slots=True)
class Addressee:
    """A member that wants mail: `wish` is `failure`, `always` or `monthly`."""

    id: int
    slug: str
    name: str
    mail_to: str
    wish: str
    mailed_at: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """A run that its member was told of."""

    code: str
    outcome: str
    mailed_at: int


def list_untold(connection: Connection) -> tuple[tuple[Addressee, tuple[RunReport, ...]], ...]:
    """Each member that wants mail with its ended runs that it was not told of, oldest first."""
    query = (
        select(harvests, members.c.slug, members.c.name, members.c.mail_to, members.c.mail)
        .add_columns(members.c.mailed_at.label("member_mailed_at"))
        .join(members, members.c.id == harvests.c.member_id)
        .where(members.c.removed_at.is_(None), members.c.mail_to != "", members.c.mail != "never")
        .where(harvests.c.outcome.is_not(None), harvests.c.mailed_at.is_(None))
        .order_by(harvests.c.member_id, harvests.c.id)
    )
    found = []
    for number, group in groupby(connection.execute(query), key=lambda row: row.member_id):
        rows = list(group)
        row = rows[0]
        who = Addressee(number, row.slug, row.name, row.mail_to, row.mail, row.member_mailed_at)
        found.append((who, tuple(to_run(row) for row in rows)))
    return tuple(found)


def list_told(connection: Connection, member_id: int, kind: str, limit: int = 50) -> tuple[Told, ...]:
    """The runs of this kind that the member was told of, newest first."""
    query = (
        select(harvests.c.id, harvests.c.outcome, harvests.c.mailed_at)
        .where(harvests.c.member_id == member_id, harvests.c.kind == kind, harvests.c.mailed_at > NO_MAIL)
        .order_by(harvests.c.id.desc())
        .limit(limit)
    )
    return tuple(
        Told(find_code(connection, row.id) or row.outcome, row.outcome, row.mailed_at)
        for row in connection.execute(query)
    )


def find_code(connection: Connection, harvest_id: int) -> str | None:
    """The first problem of the run that is not of one record, or None."""
    of_run = (problems.c.harvest_id == harvest_id, problems.c.identifier == "")
    return connection.scalar(select(problems.c.code).where(*of_run).order_by(problems.c.id).limit(1))


def mark_told(connection: Connection, runs: Iterable[RunReport], moment: int, member_id: int | None = None) -> None:
    """These runs need no mail any more since `moment`, or never did: `NO_MAIL`. With `member_id`, it was written to."""
    numbers: Sequence[int] = [run.id for run in runs]
    connection.execute(update(harvests).where(harvests.c.id.in_(numbers)).values(mailed_at=moment))
    if member_id is not None:
        connection.execute(update(members).where(members.c.id == member_id).values(mailed_at=moment))
