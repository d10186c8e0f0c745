"""Keeping the feed up to date with the catalogue: each changed record is prepared once, in order, as it is to be shown.

A position is kept together with what was done, so that any number of processes may do this and each may be killed. A
record of which a nearer copy is shown, or that is one of ours come back, is not shown: networks that harvest each other
settle. Spec: guidelines-aggregator.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from harvester.catalogue import works as sql
from harvester.catalogue.clock import close_second, take_datestamp
from harvester.catalogue.database import Catalogue
from harvester.catalogue.feed import (
    FeedRow,
    MetadataFormat,
    Source,
    add_formats,
    find_closed,
    get_copies,
    get_formats,
    get_rows,
    list_moved,
    list_numbers,
    list_sources,
    replace_rows,
    stamp_moved,
)
from harvester.catalogue.public_ids import decode_public_id
from harvester.catalogue.records import CataloguedRecord, get_records
from indexer.crosswalks import describe
from indexer.feed.dublin_core import make_statements, render
from indexer.feed.marc import render_marc
from indexer.feed.payload import make_packer
from indexer.feed.provenance import Origin, find_rights, namespace_of, parse_origins, render_origins, render_rights
from indexer.feed.qualified import render_qualified

CURSOR = "feed"
_REFRESHED = "feed-rules"  # (checksum of the rules, last record that was made by them)
_ALL = 1 << 62
_AT_ONCE = 200
_STAMPS_A_SECOND = 200  # of records whose form changed by our rules: nobody is to get a million in one second


class _Prepared(NamedTuple):
    row: FeedRow  # as if it were the only copy; its datestamp is the record's
    returned: bool  # one of ours, come back
    formats: tuple[MetadataFormat, ...]


def advance(catalogue: Catalogue, domain: str, *, seconds: float = float("inf")) -> int:
    """The second up to which the feed shows all that was committed; whatever is shown later gets a later one.

    It is the present one or, where the time did not suffice, an earlier one.

    Raises:
        CatalogueError: the catalogue does not answer.
    """
    deadline = time.monotonic() + seconds
    until = _close(catalogue)
    preparer = None
    while True:
        with catalogue.read() as connection:
            after = sql.get_cursor(connection, CURSOR)
            changed = sql.list_changes(connection, after, until, _AT_ONCE)
            if not changed:
                return until
            if preparer and time.monotonic() > deadline:
                return after[0] - 1
            preparer = preparer or _Preparer(catalogue, domain, list_sources(connection))
            prepared = preparer.prepare(get_records(connection, [number for _, number in changed]))
        with catalogue.write() as connection:
            if sql.move_cursor(connection, CURSOR, after, changed[-1]):  # else somebody was faster
                if after == (0, 0):
                    sql.move_cursor(connection, _REFRESHED, (0, 0), (rules_checksum(), _ALL))
                _store(connection, prepared, catalogue.now())


def prepare_rows(catalogue: Catalogue, domain: str, found: Iterable[CataloguedRecord]) -> list[FeedRow]:
    """Rows of these records, each as if there were no other; nothing is stored."""
    with catalogue.read() as connection:
        preparer = _Preparer(catalogue, domain, list_sources(connection))
    return [each.row for each in preparer.prepare(found)]


def is_behind(catalogue: Catalogue) -> bool:
    """Whether anything was committed that the feed does not show yet."""
    with catalogue.read() as connection:
        return bool(sql.list_changes(connection, sql.get_cursor(connection, CURSOR), _ALL, 1))


def refresh(catalogue: Catalogue, domain: str, stop: threading.Event) -> int:
    """Every record is as the present rules make it, unless it was stopped before; how many were made anew.

    Only those get a new datestamp that really come out otherwise, so many a second at the most.
    """
    checksum, count = rules_checksum(), 0
    while not stop.is_set():
        with catalogue.read() as connection:
            present = sql.get_cursor(connection, _REFRESHED)
            last = present[1] if present[0] == checksum else 0
            numbers = list_numbers(connection, last, _AT_ONCE) if last < _ALL else ()
            former = {row.origin for row in get_rows(connection, numbers).values() if row.origin is not None}
            # With those that they were copies of: either is made out by the same rules as the other.
            together = {*numbers, *(row.record_id for row in get_copies(connection, former))}
            preparer = _Preparer(catalogue, domain, list_sources(connection) if numbers else [])
            prepared = preparer.prepare(get_records(connection, together))
        if present == (checksum, _ALL):
            return count
        with catalogue.write() as connection:
            changed = 0
            if sql.move_cursor(connection, _REFRESHED, present, (checksum, numbers[-1] if numbers else _ALL)):
                before = get_rows(connection, together)
                differing = [
                    each for each in prepared if _differs(each.row, before[each.row.record_id], of_origin=True)
                ]
                changed = _store(connection, differing, catalogue.now(), anew=True)
        count += changed
        stop.wait(changed / _STAMPS_A_SECOND)
    return count


def stamp_all_moved(catalogue: Catalogue, stop: threading.Event) -> int:
    """The records of members whose region has changed have a new datestamp, unless it was stopped; how many of them."""
    with catalogue.read() as connection:
        moved, count = list_moved(connection), 0
    for member_id in moved:
        changed = 1
        while changed and not stop.is_set():
            with catalogue.write() as connection:
                until = list_moved(connection).get(member_id)
                stamp = 0 if until is None else take_datestamp(connection, catalogue.now())
                changed = 0 if until is None else stamp_moved(connection, member_id, until, stamp, _AT_ONCE)
            count += changed
            stop.wait(changed / _STAMPS_A_SECOND)
    return count


@lru_cache(maxsize=1)
def rules_checksum() -> int:
    """Of the code that makes our formats of what members send."""
    folder = Path(__file__).parents[1]
    files = sorted(path for name in ("crosswalks", "feed", "normalise") for path in (folder / name).glob("*.py"))
    digest = blake2b(b"".join(path.read_bytes() for path in files), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _differs(row: FeedRow, before: FeedRow, *, of_origin: bool = False) -> bool:
    """Whether anybody would see another header or, of a live record, another payload; or if it is of another origin."""
    headers = (row.type, row.open) != (before.type, before.open)
    return headers or (not row.deleted and row.hash != before.hash) or (of_origin and row.origin != before.origin)


def _close(catalogue: Catalogue) -> int:
    with catalogue.read() as connection:
        closed = find_closed(connection, catalogue.now())
    if closed is None:
        with catalogue.write() as connection:
            closed = close_second(connection, catalogue.now())
    return closed


class _Preparer:
    """Makes rows of records, in the names of one installation."""

    def __init__(self, catalogue: Catalogue, domain: str, sources: Iterable[Source]) -> None:
        self.this_year = datetime.fromtimestamp(catalogue.now(), UTC).year
        self.ours = f"oai:{domain}:"
        self.domain = domain
        self.sources = {source.slug: source for source in sources}
        self.pack = make_packer()

    def prepare(self, found: Iterable[CataloguedRecord]) -> list[_Prepared]:
        """The records' rows, each for itself."""
        return [self._prepare(record) for record in found]

    def _prepare(self, record: CataloguedRecord) -> _Prepared:
        source = self.sources[record.member]
        form = next((form for form in record.forms if form.xml and (record.deleted or not form.deleted)), None)
        description = describe(record, this_year=self.this_year)
        namespaces = {form.prefix: namespace_of(form.xml) for form in record.forms if form.xml}
        former = parse_origins(form.abouts) if form else ()
        namespace = namespaces[form.prefix][0] if form else ""
        response_date = form.response_date if form else ""
        origin = Origin(source.base_url, record.identifier, record.source_datestamp, namespace, response_date)
        returned = any(each.identifier.startswith(self.ours) for each in former)
        statements = make_statements(description)
        parts = (
            render(statements),
            render_origins((origin, *former)),
            "".join(map(render_rights, find_rights(form.abouts) if form else ())),
        )
        made = "\0".join(parts) + render_marc(statements, record.id, self.domain) + render_qualified(statements)
        row = FeedRow(
            record_id=record.number,
            public_id=decode_public_id(record.id) or 0,
            member_id=source.id,
            datestamp=record.datestamp,
            deleted=record.deleted,
            type=description.type.type,
            open=description.rights.access == "open",
            origin=None if record.deleted or returned else (former[-1] if former else origin).key,
            distance=len(former),
            hash=blake2b(made.encode(), digest_size=16).digest(),
            payload=None if record.deleted else self.pack(*parts),
        )
        formats = (MetadataFormat(prefix, *names) for prefix, names in namespaces.items())
        return _Prepared(row, returned, tuple(formats))


def _store(connection: Connection, prepared: list[_Prepared], now: int, *, anew: bool = False) -> int:
    """The rows stand, and of all copies of a record only the nearest is shown; how many have a datestamp of now.

    Of those that are made `anew`, only what anybody sees has one.
    """
    stamp = 0
    known = get_formats(connection)
    add_formats(connection, (each for one in prepared for each in one.formats if each.prefix not in known))
    rows = {one.row.record_id: one.row for one in prepared}
    before = get_rows(connection, rows)
    origins = {row.origin for row in (*rows.values(), *before.values()) if row.origin is not None}
    others = {row.record_id: row for row in get_copies(connection, origins) if row.record_id not in rows}
    copies: dict[int | None, list[FeedRow]] = {}
    for row in (*rows.values(), *others.values()):
        copies.setdefault(row.origin, []).append(row)

    def is_shown(row: FeedRow) -> bool:
        return row.origin is not None and not any(other.outranks(row) for other in copies[row.origin])

    new: list[FeedRow] = []
    for one in prepared:
        was, live = before.get(one.row.record_id), is_shown(one.row)
        otherwise = anew and was is not None and (_differs(one.row, was) or live == _is_hidden(was))
        if otherwise:
            stamp = stamp or take_datestamp(connection, now)
        new.append(_shown(one, was, live=live, stamp=stamp if otherwise else 0))
    for row in others.values():  # whose standing another copy has changed
        live = is_shown(row)
        if live == _is_hidden(row):
            stamp = stamp or take_datestamp(connection, now)
            shown = live or row.datestamp is not None
            new.append(replace(row, deleted=not live, datestamp=stamp if shown else None))
    replace_rows(
        connection, new, [*before.values(), *(others[row.record_id] for row in new if row.record_id in others)]
    )
    return sum(row.datestamp == stamp for row in new)


def _is_hidden(row: FeedRow) -> bool:
    return row.deleted or row.datestamp is None


def _shown(one: _Prepared, was: FeedRow | None, *, live: bool, stamp: int) -> FeedRow:
    """The row as it is to be shown, given how it was shown before."""
    row = one.row
    if (not live and not row.deleted) or one.returned:  # a copy: it goes, if anybody has seen it
        seen = was is not None and was.datestamp is not None
        if not seen:
            return replace(row, datestamp=None, deleted=True)
        if was is not None and was.deleted:
            return replace(row, datestamp=was.datestamp, deleted=True)
    elif was is not None and was.datestamp is None and row.deleted:
        return replace(row, datestamp=None)
    newest = max(row.datestamp or 0, (was.datestamp if was else None) or 0, stamp)
    return replace(row, datestamp=newest, deleted=not live)
