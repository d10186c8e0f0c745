"""What share of a member's records has a full text, and why the others have none."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from harvester.catalogue.members import Member
from harvester.catalogue.tables import files, fulltexts, records, texts


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a member's live records have a full text, and why the others have none.

    `held`: a file is kept. `read`: one of them has text. `reasons` counts the others by `fulltext.states.REASONS`, and
    those that were not looked for yet under `due`. `lost`: held ones whose source is away after three strikes.
    """

    live: int
    held: int
    read: int
    lost: int
    reasons: dict[str, int]


def count_coverage(connection: Connection, member: Member) -> Coverage:
    """The member's share of full texts, with reasons."""
    of_member = and_(fulltexts.c.member_id == member.id, records.c.deleted.is_(False))
    joined = fulltexts.join(records, records.c.id == fulltexts.c.record_id)
    state, reason = fulltexts.c.state, func.coalesce(fulltexts.c.reason, "no-link")
    query = select(state, reason, func.count()).select_from(joined).where(of_member).group_by(state, reason)
    counts = [(str(row[0]), str(row[1]), int(row[2])) for row in connection.execute(query)]
    held = sum(count for present, _, count in counts if present == "held")
    reasons: dict[str, int] = {}
    for present, why, count in counts:
        if present != "held":
            word = why if present != "due" else "due"
            word = word if member.fulltext else "no-fulltext"
            reasons[word] = reasons.get(word, 0) + count
    lost = select(func.count()).select_from(joined).where(of_member, state == "held", fulltexts.c.strikes >= 3)
    best = _best_states(member)
    by_text = connection.execute(select(best.c.best, func.count()).group_by(best.c.best)).all()
    for rank, count in by_text:
        if rank:
            reasons[_RANKS[rank]] = reasons.get(_RANKS[rank], 0) + count
    read = sum(count for rank, count in by_text if not rank)
    return Coverage(sum(count for _, _, count in counts), held, read, connection.scalar(lost) or 0, reasons)


_RANKS = ("text", "unread", "encrypted", "scanned", "empty", "too-long", "too-big", "damaged", "unsupported")


def _best_states(member: Member) -> Any:
    """For each live record of the member that holds files, the rank of the best state of their texts."""
    rank = case(*((texts.c.state == state, at) for at, state in enumerate(_RANKS)), else_=len(_RANKS) - 1)
    joined = (
        fulltexts.join(records, records.c.id == fulltexts.c.record_id)
        .join(files, and_(files.c.record_id == fulltexts.c.record_id, files.c.state == "kept"))
        .join(texts, texts.c.sha256 == files.c.sha256)
    )
    mine = and_(fulltexts.c.member_id == member.id, fulltexts.c.state == "held", records.c.deleted.is_(False))
    query = select(fulltexts.c.record_id, func.min(rank).label("best")).select_from(joined).where(mine)
    return query.group_by(fulltexts.c.record_id).subquery()


@dataclass(frozen=True, slots=True)
class Missing:
    """A live record with no full text, or one whose source is away: why, at which address, since when."""

    record_id: int
    identifier: str
    state: str
    reason: str
    url: str | None
    checked_at: int
    since: int | None


def list_missing(
    connection: Connection, member: Member, reason: str, limit: int, after: int = 0
) -> tuple[Missing, ...]:
    """The next records of the member with this reason, by number."""
    columns = [records.c.identifier if f.name == "identifier" else fulltexts.c[f.name] for f in fields(Missing)]
    query = select(*columns).join(records, records.c.id == fulltexts.c.record_id)
    query = query.where(fulltexts.c.member_id == member.id, fulltexts.c.reason == reason, records.c.deleted.is_(False))
    rows = connection.execute(query.where(fulltexts.c.record_id > after).order_by(fulltexts.c.record_id).limit(limit))
    return tuple(Missing(*row) for row in rows)
