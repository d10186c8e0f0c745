"""What can be put right without asking a member; each step by itself, so that a repair may end at any of them.

Nothing of the archive is touched. The index is written as ever: a work is listed for it, and the next build, of
whatever process, sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from harvester.archive import Archive
from harvester.catalogue import Catalogue
from harvester.catalogue import works as sql
from harvester.catalogue.commit import PackedRecord, pack_records
from harvester.catalogue.inventory import (
    correct_count,
    correct_state,
    drop_orphan,
    drop_payload,
    find_page_key,
    get_records,
    restore_form,
)
from harvester.catalogue.lists import start_anew
from harvester.errors import MemberError
from harvester.oai.repair import read_page
from indexer.build import CURSOR, advance, when_free
from indexer.engine import Engine
from indexer.tiers.differences import Difference, Found
from indexer.tiers.pages import find_body
from indexer.works import assign

_BY_ASSIGNING = frozenset({"keys-wrong", "work-wrong"})
_BY_WRITING = frozenset({"work-unlisted", "work-unindexed", "work-gone", "document-differs"})


class Repair:
    """Mends what was found, some at a time, and at the end the index."""

    def __init__(self, catalogue: Catalogue, archive: Archive, engine: Engine) -> None:
        self._catalogue = catalogue
        self._archive = archive
        self._engine = engine
        self._one_by_one: dict[str, Callable[[Found], bool]] = {
            "payload-damaged": self._mend_payload,
            "payload-missing": self._fetch_again,
            "state-wrong": self._mend_state,
            "record-missing": self._drop_orphan,
            "count-wrong": self._count,
        }

    def mend(self, found: Sequence[Found]) -> Iterator[Difference]:
        """The differences, each with whether it is mended now, or will be when the index is written."""
        mended = self._assign([each for each in found if each.difference.kind in _BY_ASSIGNING])
        for_index = [each for each in found if each.difference.kind in _BY_WRITING]
        self._touch({each.number for each in for_index if each.number})
        if strangers := [each.difference.what for each in for_index if not each.number]:
            when_free(lambda: self._engine.write([], strangers, self._engine.watermark()))
        for each in found:
            kind = each.difference.kind
            if kind in self._one_by_one:
                yield replace(each.difference, mended=self._one_by_one[kind](each))
            else:
                yield replace(each.difference, mended=kind in _BY_WRITING or each.number in mended)

    def write_index(self) -> None:
        """The index shows the catalogue as it is.

        Raises:
            EngineBusyError: another process has been writing it for long; what waits is written then.
        """
        when_free(lambda: advance(self._catalogue, self._engine, self._archive))

    def _assign(self, found: Sequence[Found]) -> Collection[int]:
        """The records whose works were decided anew: all that have not changed since they were read."""
        readings = {each.number: each.reading for each in found if each.reading}
        if not readings:
            return ()
        with self._assigning() as connection:
            cursor = sql.get_cursor(connection, CURSOR)
            wanted = {
                each.number: reading.keys
                for each in get_records(connection, numbers=readings)
                if (reading := readings[each.number]).datestamp == each.datestamp
                and (each.datestamp, each.number) <= cursor
            }
            assign(connection, wanted)
        return wanted.keys()

    def _touch(self, works: Collection[int]) -> None:
        if works:
            with self._assigning() as connection:
                sql.touch_works(connection, works)

    @contextmanager
    def _assigning(self) -> Iterator[Connection]:
        """A transaction in which nobody else assigns works."""
        with self._catalogue.write() as connection:
            while True:
                present = sql.get_cursor(connection, CURSOR)
                if sql.move_cursor(connection, CURSOR, present, present):
                    break
            yield connection

    def _mend_payload(self, found: Found) -> bool:
        """As it came, from the archived page, or fetched again; the last payload of a deleted record is dropped."""
        assert found.form is not None  # noqa: S101 - it is what is damaged
        assert found.record is not None  # noqa: S101 - as above
        packed = None if found.form.deleted else self._find_archived(found.record.identifier, found.form.page)
        if packed is not None:
            with self._catalogue.write() as connection:
                restored = restore_form(connection, found.form, packed)
            self._touch({found.record.work})
            return restored
        with self._catalogue.write() as connection:
            drop_payload(connection, found.form, found.record.member_id)
        return found.form.deleted

    def _find_archived(self, identifier: str, page: int) -> PackedRecord | None:
        """The record as the page brought it; None where the page is not whole."""
        with self._catalogue.read() as connection:
            key = find_page_key(connection, page)
        found = find_body(self._archive, key) if key else None
        if found is None or found.state != "whole":
            return None
        try:
            packed = pack_records(read_page(found.body, recover=True).page)
        except MemberError:
            return None
        return next((each for each in packed if each.identifier == identifier and each.xml is not None), None)

    def _fetch_again(self, found: Found) -> bool:
        assert found.record is not None  # noqa: S101 - it is what lacks a payload
        with self._catalogue.write() as connection:
            start_anew(connection, found.record.member_id)
        return False

    def _mend_state(self, found: Found) -> bool:
        assert found.record is not None  # noqa: S101 - it is what is in a wrong state
        with self._catalogue.write() as connection:
            correct_state(connection, found.record, self._catalogue.now())
        return True

    def _drop_orphan(self, found: Found) -> bool:
        with self._catalogue.write() as connection:
            drop_orphan(connection, found.number)
        return True

    def _count(self, found: Found) -> bool:
        with self._catalogue.write() as connection:
            correct_count(connection, found.number)
        return True
