"""What share of a member's records has a full text, and why the others have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, null, select

from harvester.catalogue.links import STRIKES
from harvester.catalogue.members import Member
from harvester.catalogue.public_ids import encode_public_id
from harvester.catalogue.tables import files, fulltexts, links, members, records, texts


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
    lost = select(func.count()).select_from(joined).where(of_member, *_LOST)
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


STATES = ("due", "held", "missing", "withheld")


def count_states(connection: Connection) -> dict[str, dict[str, int]]:
    """Live records by the state of their full text, for each registered member by its slug."""
    query = (
        select(members.c.slug, fulltexts.c.state, func.count())
        .join_from(fulltexts, members, members.c.id == fulltexts.c.member_id)
        .join(records, records.c.id == fulltexts.c.record_id)
        .where(members.c.removed_at.is_(None), records.c.deleted.is_(False))
        .group_by(members.c.slug, fulltexts.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for slug, state, count in connection.execute(query):
        found.setdefault(slug, {})[state] = count
    return found


def count_texts(connection: Connection) -> dict[str, int]:
    """Kept files, equal ones once, by the state of their text."""
    query = select(texts.c.state, func.count()).group_by(texts.c.state)
    return {str(state): int(count) for state, count in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Missing:
    """A live record with no text that could be searched, or one whose source is away: why, at which address, when that
    was seen, and since when. `state` is that of `FullText`."""

    number: int
    public_id: str
    identifier: str
    state: str
    reason: str
    url: str | None
    checked_at: int | None
    since: int | None


def list_missing(
    connection: Connection, member: Member, limit: int, after: int = 0, reason: str = ""
) -> tuple[Missing, ...]:
    """The next of the member's records that `count_coverage` counts under this reason, or any, by number."""
    best = _best_states(member)
    word = _word(member, best)
    query = _of_member(member, word.label("reason")).outerjoin(best, best.c.record_id == fulltexts.c.record_id)
    wanted = word == reason if reason else word.is_not(None)
    return _missing(connection, query.where(wanted), limit, after)


def list_lost(connection: Connection, member: Member, limit: int, after: int = 0) -> tuple[Missing, ...]:
    """The next of the member's records with files that are held while their source is away, after three strikes."""
    query = _of_member(member, func.coalesce(fulltexts.c.reason, "unreachable").label("reason"))
    return _missing(connection, query.where(*_LOST), limit, after)


def list_dead_pages(connection: Connection, member: Member, limit: int, after: int = 0) -> tuple[Missing, ...]:
    """The next of the member's records whose own page did not answer on three days, by number; see `links`."""
    columns = (links.c.reason, links.c.url, links.c.checked_at, links.c.since)
    query = select(records.c.id, records.c.public_id, records.c.identifier, literal("dead"), *columns)
    query = query.join_from(links, records, records.c.id == links.c.record_id)
    query = query.where(links.c.member_id == member.id, links.c.strikes >= STRIKES, records.c.deleted.is_(False))
    rows = connection.execute(query.where(records.c.id > after).order_by(records.c.id).limit(limit))
    return tuple(Missing(row[0], encode_public_id(row[1]), *row[2:]) for row in rows)


def _of_member(member: Member, reason: ColumnElement[Any]) -> Select[Any]:
    first = select(files.c.url).where(files.c.record_id == fulltexts.c.record_id, files.c.state == "kept")
    url = func.coalesce(fulltexts.c.url, first.order_by(files.c.position).limit(1).scalar_subquery())
    known = (fulltexts.c.state, reason, url, fulltexts.c.checked_at, fulltexts.c.since)
    query = select(records.c.id, records.c.public_id, records.c.identifier, *known)
    query = query.join_from(fulltexts, records, records.c.id == fulltexts.c.record_id)
    return query.where(fulltexts.c.member_id == member.id, records.c.deleted.is_(False))


def _missing(connection: Connection, query: Select[Any], limit: int, after: int) -> tuple[Missing, ...]:
    query = query.where(fulltexts.c.record_id > after).order_by(fulltexts.c.record_id).limit(limit)
    return tuple(Missing(row[0], encode_public_id(row[1]), *row[2:]) for row in connection.execute(query))


def _word(member: Member, best: Any) -> ColumnElement[Any]:
    """Why a record has no text to be searched, null where it has one; as `count_coverage` counts it."""
    of_text = case(*((best.c.best == at, state) for at, state in enumerate(_RANKS) if at), else_=null())
    none = func.coalesce(fulltexts.c.reason, "no-link") if member.fulltext else literal("no-fulltext")
    due = [(fulltexts.c.state == "due", literal("due"))] if member.fulltext else []
    return case((fulltexts.c.state == "held", of_text), *due, else_=none)


_LOST = (fulltexts.c.state == "held", fulltexts.c.strikes >= STRIKES)
