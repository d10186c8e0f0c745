"""The files of records: what is known of each record's full text, what is kept, and what was tried in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, null, or_, select, update

from harvester.catalogue.database import insert_new, is_among, pack_values
from harvester.catalogue.members import Member
from harvester.catalogue.tables import files, fulltexts, members, records, rungs, takedowns, texts
from harvester.catalogue.takedowns import find_barred, is_file_down
from harvester.catalogue.works import close_changes, get_cursor, list_changes, move_cursor, touch_works

_CURSOR = "fulltext"
_AT_A_LOOK = 5_000


@dataclass(frozen=True, slots=True)
class FullText:
    """What is known of a record's full text; see the table. State `due` is one that was never looked for."""

    record_id: int
    state: str = "due"
    reason: str | None = None
    url: str | None = None
    rung: str | None = None
    checked_at: int | None = None
    next_check: int = 0
    regular: int = 0
    strikes: int = 0
    since: int | None = None
    clue: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """One file of a record; see the table. `id` is 0 for one that is not stored yet."""

    record_id: int
    position: int
    url: str
    role: str
    rung: str
    state: str
    last_checked: int
    reason: str | None = None
    sha256: str | None = None
    media_type: str | None = None
    size: int | None = None
    fetched_at: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    attempts: int = 0
    led_to: str | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Rung:
    """How often a way of finding files was tried, and how often it led to one."""

    tried: int = 0
    found: int = 0

    @property
    def worth(self) -> float:
        """From 0 to 1; one that was never tried lies in the middle."""
        return (self.found + 1) / (self.tried + 2)


def follow_records(connection: Connection, now: int) -> bool:
    """Records that are new or have changed since this was called last are due; whether there may be more of them."""
    until = close_changes(connection, now)
    at = get_cursor(connection, _CURSOR)
    changed = list_changes(connection, at, until, _AT_A_LOOK)
    if not changed:
        return False
    numbers = pack_values(connection, [number for _, number in changed])
    of_change = select(records.c.id, records.c.member_id).where(is_among(records.c.id))
    rows = [
        {"record_id": row.id, "member_id": row.member_id, "state": "due", "next_check": now, "regular": 0, "strikes": 0}
        for row in connection.execute(of_change, numbers)
    ]
    due = update(fulltexts).where(is_among(fulltexts.c.record_id), fulltexts.c.next_check > now)
    connection.execute(due.values(next_check=now), numbers)
    connection.execute(insert_new(fulltexts), rows)
    move_cursor(connection, _CURSOR, at, changed[-1])
    return len(changed) == _AT_A_LOOK


def find_fulltexts(connection: Connection, numbers: Collection[int]) -> dict[int, FullText]:
    """What is known of these records' full texts, by number."""
    columns = [fulltexts.c[field.name] for field in fields(FullText)]
    query = select(*columns).where(is_among(fulltexts.c.record_id))
    rows = connection.execute(query, pack_values(connection, list(numbers)))
    return {row.record_id: FullText(*row) for row in rows}


def put_fulltext(connection: Connection, was: FullText, after: FullText) -> bool:
    """It is known so, unless another process has found out something meanwhile, or it was taken down; whether it is.

    The record's work is shown anew where files of it are held now or no more. Only for transactions that are alone.
    """
    same = and_(
        fulltexts.c.record_id == was.record_id,
        fulltexts.c.checked_at.is_not_distinct_from(was.checked_at),
        fulltexts.c.state == was.state,
    )
    if not connection.execute(update(fulltexts).where(same).values(asdict(after))).rowcount:
        return False
    if (was.state == "held") != (after.state == "held"):
        touch_records(connection, [was.record_id])
    return True


def postpone(connection: Connection, known: FullText, until: int) -> None:
    """The record is not due before that moment; what else is known of it stays."""
    this = and_(fulltexts.c.record_id == known.record_id, fulltexts.c.next_check == known.next_check)
    connection.execute(update(fulltexts).where(this).values(next_check=until))


def touch_records(connection: Connection, numbers: Collection[int]) -> None:
    """The works of these records are shown anew. Only for transactions that are alone."""
    query = select(records.c.work_id).where(is_among(records.c.id)).distinct()
    touch_works(connection, list(connection.execute(query, pack_values(connection, list(numbers))).scalars()))


def list_files(connection: Connection, numbers: Collection[int]) -> dict[int, tuple[File, ...]]:
    """The files of these records in reading order, by the record's number."""
    columns = [files.c[field.name] for field in fields(File)]
    query = select(*columns).where(is_among(files.c.record_id)).order_by(files.c.record_id, files.c.position)
    found: dict[int, list[File]] = {}
    for row in connection.execute(query, pack_values(connection, list(numbers))):
        found.setdefault(row.record_id, []).append(File(*row))
    return {number: tuple(some) for number, some in found.items()}


@dataclass(frozen=True, slots=True)
class Copy:
    """A kept file that may be shown now, and what is known of its text; `page_starts` in characters, of which there
    are `characters`."""

    record_id: int
    position: int
    role: str
    url: str
    sha256: str
    media_type: str
    size: int
    fetched_at: int
    text: str
    language: str | None
    page_starts: tuple[int, ...]
    characters: int


def list_copies(
    connection: Connection, numbers: Collection[int], *, page_starts: bool = True
) -> dict[int, tuple[Copy, ...]]:
    """The files of these records that may be shown, in reading order, by the record's number.

    Those of live records that are held, whose member wants full texts, and that were not taken down, neither by
    themselves nor with what came from the same address. Without page starts, which are many, where these are not asked
    for.
    """
    down = select(takedowns.c.id).where(
        takedowns.c.lifted_at.is_(None),
        or_(takedowns.c.record_id == files.c.record_id, takedowns.c.sha256 == files.c.sha256),
    )
    of_file = ("record_id", "position", "role", "url", "sha256", "media_type", "size", "fetched_at")
    columns: list[ColumnElement[Any]] = [*(files.c[name] for name in of_file), texts.c.state, texts.c.language]
    columns += [texts.c.page_starts if page_starts else null().label("page_starts"), texts.c.characters]
    query = (
        select(*columns, files.c.led_to)
        .join(fulltexts, fulltexts.c.record_id == files.c.record_id)
        .join(records, records.c.id == files.c.record_id)
        .join(members, members.c.id == records.c.member_id)
        .join(texts, texts.c.sha256 == files.c.sha256)
        .where(is_among(files.c.record_id), files.c.state == "kept", fulltexts.c.state == "held")
        .where(records.c.deleted.is_(False), members.c.fulltext.is_(True), ~down.exists())
        .order_by(files.c.record_id, files.c.position)
    )
    found: dict[int, list[Copy]] = {}
    barred = find_barred(connection, numbers)
    for row in connection.execute(query, pack_values(connection, list(numbers))):
        if not barred.isdisjoint({(row.record_id, row.url), (row.record_id, row.led_to)}):
            continue
        copy = Copy(*row[:-1])
        found.setdefault(copy.record_id, []).append(
            replace(copy, page_starts=tuple(copy.page_starts or ()), characters=copy.characters or 0)
        )
    return {number: tuple(some) for number, some in found.items()}


def put_file(connection: Connection, file: File) -> None:
    """The record has this file under its address, as it is now; what it holds has a row in `texts`."""
    values = {name: value for name, value in asdict(file).items() if name != "id"}
    same = and_(files.c.record_id == file.record_id, files.c.url == file.url)
    if not connection.execute(update(files).where(same).values(values)).rowcount:
        connection.execute(insert(files).values(values))
    if file.state == "kept":
        new = {"sha256": file.sha256, "state": "unread", "media_type": file.media_type, "size": file.size}
        connection.execute(insert_new(texts).values(verified_at=file.last_checked, **new))


def arrange_files(connection: Connection, record: int, urls: Sequence[str]) -> None:
    """The record's files are those at these addresses, in this order; others that came to nothing are forgotten, and
    others that are kept are `gone`, behind them. Where that changes what is read, its work is shown anew: only for
    transactions that are alone."""
    of_record = files.c.record_id == record
    kept = select(files.c.sha256).where(of_record, files.c.state == "kept").order_by(files.c.position)
    before = list(connection.execute(kept).scalars())
    for position, url in enumerate(urls):
        connection.execute(update(files).where(of_record, files.c.url == url).values(position=position))
    others = and_(of_record, files.c.url.not_in(urls))
    connection.execute(delete(files).where(others, files.c.sha256.is_(None)))
    connection.execute(update(files).where(others).values(state="gone", position=files.c.position + len(urls)))
    if before != list(connection.execute(kept).scalars()):
        touch_records(connection, [record])


def get_rungs(connection: Connection, member: Member) -> dict[str, Rung]:
    """What is known of each way of finding the member's files, by name."""
    query = select(rungs.c.rung, rungs.c.tried, rungs.c.found).where(rungs.c.member_id == member.id)
    return {row.rung: Rung(row.tried, row.found) for row in connection.execute(query)}


def count_rungs(connection: Connection, member: Member, tried: Iterable[tuple[str, bool]]) -> None:
    """Each of these ways was tried once more, with this success."""
    for rung, found in tried:
        connection.execute(insert_new(rungs).values(member_id=member.id, rung=rung, tried=0, found=0))
        this = and_(rungs.c.member_id == member.id, rungs.c.rung == rung)
        more = {"tried": rungs.c.tried + 1, "found": rungs.c.found + int(found)}
        connection.execute(update(rungs).where(this).values(more))


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept file by its checksum, and the state of its text."""

    sha256: str
    media_type: str
    size: int
    state: str
    verified_at: int
    characters: int = 0


def _kept(row: Any) -> Kept:
    return Kept(row.sha256, row.media_type, row.size, row.state, row.verified_at, row.characters or 0)


def find_kept(connection: Connection, sha256: str) -> Kept | None:
    """The kept file with this checksum, or None."""
    row = connection.execute(select(texts).where(texts.c.sha256 == sha256)).one_or_none()
    return _kept(row) if row else None


def list_unread(connection: Connection, limit: int, after: str = "") -> tuple[Kept, ...]:
    """The next kept files that nobody has read yet, by checksum."""
    query = select(texts).where(texts.c.state == "unread", texts.c.sha256 > after)
    return tuple(map(_kept, connection.execute(query.order_by(texts.c.sha256).limit(limit))))


def list_to_verify(connection: Connection, before: int, limit: int, after: str = "") -> tuple[Kept, ...]:
    """The next kept files that were not verified since that moment, by checksum."""
    query = select(texts).where(texts.c.verified_at <= before, texts.c.sha256 > after)
    return tuple(map(_kept, connection.execute(query.order_by(texts.c.sha256).limit(limit))))


def mark_verified(connection: Connection, sha256: str, now: int) -> None:
    """The archive holds the file whole."""
    connection.execute(update(texts).where(texts.c.sha256 == sha256).values(verified_at=now))


def mark_unread(connection: Connection, sha256: str) -> None:
    """The archive does not hold the file's text any more: it is read again."""
    connection.execute(update(texts).where(texts.c.sha256 == sha256).values(state="unread"))


def mark_damaged(connection: Connection, sha256: str, now: int) -> tuple[int, ...]:
    """The archive does not hold the file whole any more: its records are due, ask for it unconditionally, and are shown
    without it; who they are. One that is down stays known by its checksum, which bars its addresses. Only for
    transactions that are alone."""
    mine = files.c.sha256 == sha256
    numbers = tuple(connection.execute(select(files.c.record_id).where(mine).distinct()).scalars())
    lost = {"state": "failed", "reason": "damaged", "etag": None, "last_modified": None}
    if not is_file_down(connection, sha256):
        lost["sha256"] = None
    connection.execute(update(files).where(mine).values(lost))
    connection.execute(delete(texts).where(texts.c.sha256 == sha256))
    due = update(fulltexts).where(is_among(fulltexts.c.record_id), fulltexts.c.state != "withheld")
    connection.execute(due.values(next_check=now, clue=None), pack_values(connection, list(numbers)))
    touch_records(connection, numbers)
    return numbers


def put_text(
    connection: Connection,
    sha256: str,
    state: str,
    now: int,
    *,
    language: str | None = None,
    page_starts: Sequence[int] = (),
    characters: int = 0,
) -> None:
    """The file was read, and this came of it; the works of its records are shown anew. Only for transactions that are
    alone."""
    values = {
        "state": state,
        "language": language,
        "pages": len(page_starts),
        "page_starts": list(page_starts),
        "characters": characters,
        "read_at": now,
    }
    connection.execute(update(texts).where(texts.c.sha256 == sha256).values(values))
    numbers = connection.execute(select(files.c.record_id).where(files.c.sha256 == sha256).distinct()).scalars().all()
    touch_records(connection, numbers)
