"""Records and files taken down at once, everywhere, and lifted again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from harvester.catalogue.database import is_among, pack_values
from harvester.catalogue.files import find_kept, list_files, touch_records
from harvester.catalogue.inventory import correct_state, get_records
from harvester.catalogue.records import find_record
from harvester.catalogue.tables import files, fulltexts, takedowns
from harvester.catalogue.takedowns import find_takedown


@dataclass(frozen=True, slots=True)
class Target:
    """What may be taken down: a record by its number, or a file by its checksum. `name` is how the public calls it."""

    name: str
    record: int | None = None
    sha256: str | None = None


_FILE = re.compile(r"[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"(?:.*/record/)?([0-9a-zA-Z]+)(?:\.\w+|/files/([0-9a-f]{16}))?/?")


def find_target(connection: Connection, text: str) -> Target | None:
    """The record or the file that is meant by a public id, a checksum, or the address of a record or of a copy."""
    text = text.strip().partition("?")[0].partition("#")[0]
    if _FILE.fullmatch(text):
        named = text.lower()
        is_known = find_kept(connection, named) or find_takedown(connection, None, named)
        return Target(named, sha256=named) if is_known else None
    found = _ADDRESS.fullmatch(text)
    record = find_record(connection, found[1].lower()) if found else None
    if found is None or record is None:
        return None
    if not found[2]:
        return Target(record.id, record=record.number)
    held = (file.sha256 for file in list_files(connection, [record.number]).get(record.number, ()))
    sha256 = next((each for each in held if each and each.startswith(found[2])), None)
    return Target(sha256, sha256=sha256) if sha256 else None


_BEFORE_ALL = " "  # every archived page is behind it


def take_down(connection: Connection, record: int | None, sha256: str | None, note: str, now: int) -> bool:
    """The record is a tombstone with its files hidden, or the file is hidden wherever it came from; False where it was
    so already. Whatever its member sends, a record stays down. For transactions that are alone."""
    if find_takedown(connection, record, sha256):
        return False
    values = {"record_id": record, "sha256": sha256, "note": note, "made_at": now}
    if record is not None:
        values["redacted_upto"] = _BEFORE_ALL
    connection.execute(insert(takedowns).values(values))
    withheld = {"state": "withheld", "reason": "taken-down", "next_check": now, "clue": None}
    _show(connection, record, sha256, withheld, now)
    return True


def lift_takedown(connection: Connection, record: int | None, sha256: str | None, note: str, now: int) -> bool:
    """The takedown is over, and its row says so; a record is as live as its member's newest copy of it, and what is
    kept is shown at once. False where there was none. For transactions that are alone."""
    found = find_takedown(connection, record, sha256)
    if found is None:
        return False
    lifted = {"lifted_at": now, "lifted_note": note}
    connection.execute(update(takedowns).where(takedowns.c.id == found.id).values(lifted))
    _show(connection, record, sha256, {"next_check": now, "clue": None}, now)
    return True


def _show(connection: Connection, record: int | None, sha256: str | None, known: dict[str, object], now: int) -> None:
    """Whoever shows what is concerned comes across it again; of a record `known` is known."""
    if record is None:
        query = select(files.c.record_id).where(files.c.sha256 == sha256).distinct()
        numbers = list(connection.execute(query).scalars())
        known = {} if "state" in known else known  # its records are held as before, without this file
    else:
        numbers = [record]
        for stored in get_records(connection, numbers=numbers):
            correct_state(connection, stored, now)
    if known:
        these = update(fulltexts).where(is_among(fulltexts.c.record_id))
        connection.execute(these.values(**known), pack_values(connection, numbers))
    if "state" not in known:
        _hold(connection, numbers)
    touch_records(connection, numbers)


def _hold(connection: Connection, numbers: list[int]) -> None:
    """Those of these records that were taken down and have kept files are held: their source may be away for long."""
    kept = select(files.c.rung).where(files.c.record_id == fulltexts.c.record_id, files.c.state == "kept")
    first = kept.order_by(files.c.position).limit(1).correlate(fulltexts).scalar_subquery()
    was_down = fulltexts.c.state.in_(["withheld", "held"]) & (fulltexts.c.reason == "taken-down")
    these = update(fulltexts).where(is_among(fulltexts.c.record_id), was_down, first.is_not(None))
    connection.execute(these.values(state="held", reason=None, url=None, rung=first), pack_values(connection, numbers))
