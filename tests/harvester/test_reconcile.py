"""What a member does not list any more goes only if it was proved, had its time, and nobody objects."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault, Request
from sqlalchemy import event, select, update

from harvester import reconcile
from harvester.archive import Archive, get_page, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.harvests import Run, get_status
from harvester.catalogue.members import Member, add_member, get_member, mark_removed
from harvester.catalogue.quirks import Quirk, put_quirk
from harvester.catalogue.reconciliations import (
    DAY,
    is_reconcile_due,
    next_reconciliation,
    plan_reconciliations,
)
from harvester.catalogue.records import CataloguedRecord, iter_records
from harvester.catalogue.tables import forms, harvests, listed, lists, members, pages, problems, records, vanished
from harvester.catalogue.vanished import Pending, approve_pending, find_halt, keep_pending, list_pending
from harvester.errors import ConfigError
from harvester.harvest import harvest_member
from harvester.oai.client import READS
from harvester.run import HarvestContext
from harvester.settings import load_settings

HTML = Fault(body=b"<!DOCTYPE html><p>Database error<br>")
START = 1_750_000_000


@dataclass
class Scene:
    """One member, its repository, a catalogue and a clock that the test moves."""

    repository: FakeRepository
    catalogue: Catalogue
    archive: Archive
    clock: list[int]
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def member(self) -> Member:
        with self.catalogue.read() as connection:
            return get_member(connection, "a")

    @property
    def context(self) -> HarvestContext:
        return HarvestContext(load_settings(max_wait=0.001), self.catalogue, self.archive, self.stop)

    def harvest(self, *, full: bool = False) -> Run:
        return harvest_member(self.context, self.member, full=full)

    def reconcile(self, *, after_days: float = 0) -> Run:
        self.clock[0] += int(after_days * DAY)
        return reconcile.reconcile_member(self.context, self.member)

    def remove(self, *numbers: int) -> None:
        """The repository forgets these records without a word."""
        names = {f"oai:a:{n:03}" for n in numbers}
        self.repository.records = {k: v for k, v in self.repository.records.items() if k not in names}

    def records(self) -> dict[str, CataloguedRecord]:
        return {record.identifier: record for record in iter_records(self.catalogue)}

    def dead(self) -> set[int]:
        """The numbers of the tombstones; the member's counts agree with them."""
        found = self.records().values()
        gone = {int(record.identifier[-3:]) for record in found if record.deleted}
        with self.catalogue.read() as connection:
            status = get_status(connection, self.member)
        assert (status.records, status.deleted) == (len(found) - len(gone), len(gone))
        return gone

    def pending(self) -> dict[int, Pending]:
        with self.catalogue.read() as connection:
            return {int(each.identifier[-3:]): each for each in list_pending(connection, self.member)}

    def halted(self) -> str | None:
        with self.catalogue.read() as connection:
            return find_halt(connection, self.member)

    def approve(self) -> int:
        with self.catalogue.write() as connection:
            return approve_pending(connection, self.member, self.catalogue.now())

    def keep(self, *identifiers: str) -> int:
        with self.catalogue.write() as connection:
            return keep_pending(connection, self.member, identifiers, self.catalogue.now())

    def set_terms(self, **values: int) -> None:
        with self.catalogue.write() as connection:
            connection.execute(update(members).values(values))

    def problems(self) -> list[tuple[str, str]]:
        """Code and identifier of the newest run's problems."""
        with self.catalogue.read() as connection:
            newest = select(harvests.c.id).order_by(harvests.c.id.desc()).limit(1).scalar_subquery()
            query = select(problems.c.code, problems.c.identifier).where(problems.c.harvest_id == newest)
            return sorted((row.code, row.identifier) for row in connection.execute(query))

    def asked(self, verb: str = "ListIdentifiers") -> list[Request]:
        return self.repository.lists(verb)


def numbered(*numbers: int, **others: object) -> list[FakeRecord]:
    return [replace(FakeRecord(f"oai:a:{n:03}"), **others) for n in numbers]  # type: ignore[arg-type]


MakeScene = Callable[..., Scene]


@pytest.fixture
def make_scene(provider: FakeProvider, archive: Archive, new_catalogue: Callable[[], str]) -> Iterator[MakeScene]:
    """A harvested member with so many records, a hundred by default."""
    opened: list[Catalogue] = []

    def make(
        count: int = 100, *, page_size: int = 30, prefixes: tuple[str, ...] = ("oai_dc",), **of_all: object
    ) -> Scene:
        repository = FakeRepository(numbered(*range(count), **of_all), page_size=page_size)
        repository.prefixes = prefixes
        clock = [START]
        catalogue = open_catalogue(new_catalogue(), lambda: clock[0])
        opened.append(catalogue)
        with catalogue.write() as connection:
            add_member(connection, Member("a", "A", provider.serve(repository), prefixes), START)
        scene = Scene(repository, catalogue, archive, clock)
        scene.harvest()
        return scene

    yield make
    for catalogue in opened:
        catalogue.close()


def test_what_is_still_listed_stays_and_nothing_is_new(make_scene: MakeScene) -> None:
    scene = make_scene()
    run = scene.reconcile()
    assert (run.outcome, run.records, run.pages, run.deleted, run.error) == ("nothing-new", 100, 4, 0, None)
    assert scene.dead() == set()
    assert scene.pending() == {}
    with scene.catalogue.read() as connection:
        row = connection.execute(select(harvests).where(harvests.c.id == run.id)).one()
        kept = connection.execute(select(pages.c.archive_key).where(pages.c.harvest_id == run.id)).scalars().all()
        assert connection.execute(select(listed)).all() == []
    assert row.kind == "reconcile"
    assert "verb=ListIdentifiers" in row.first_url
    assert "resumptionToken" in row.last_url
    assert b"<ListIdentifiers>" in get_page(scene.archive, kept[-1])


def test_a_vanished_record_goes_when_it_was_missed_twice_and_its_time_has_come(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(1, 50, 99)
    first = scene.reconcile()
    assert (first.outcome, first.deleted) == ("complete", 0)
    assert scene.problems() == [("vanished", f"oai:a:{n:03}") for n in (1, 50, 99)]
    assert {n: (p.times, p.due_at, p.kept_at) for n, p in scene.pending().items()} == dict.fromkeys(
        (1, 50, 99), (1, START + 14 * DAY, None)
    )
    assert scene.reconcile(after_days=13.9).deleted == 0
    assert {p.times for p in scene.pending().values()} == {2}
    assert scene.problems() == []
    assert scene.dead() == set()
    before = scene.records()["oai:a:050"]
    last = scene.reconcile(after_days=0.2)
    assert (last.outcome, last.deleted, last.records) == ("complete", 3, 97)
    assert scene.dead() == {1, 50, 99}
    assert scene.pending() == {}
    after = scene.records()["oai:a:050"]
    assert (after.id, after.forms[0].xml) == (before.id, before.forms[0].xml)
    assert after.datestamp >= scene.clock[0] > before.datestamp


def test_a_record_missed_once_only_stays_however_long_it_waited(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.set_terms(pending_days=0)
    scene.remove(7)
    scene.reconcile()
    assert scene.dead() == set()
    scene.reconcile()
    assert scene.dead() == {7}


def test_a_record_that_is_listed_again_is_not_missing_any_more(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(7, 8)
    scene.reconcile()
    scene.repository.put(*numbered(7))
    scene.reconcile(after_days=20)
    assert scene.dead() == {8}
    scene.remove(7)
    scene.reconcile(after_days=20)
    assert (scene.dead(), scene.pending()[7].times) == ({8}, 1)


def test_a_returned_record_lives_again_under_its_old_public_id(make_scene: MakeScene) -> None:
    """By a harvest where it has a new datestamp; where it has the old one, by the next reconciliation."""
    scene = make_scene()
    scene.set_terms(pending_days=0)
    scene.remove(7, 8)
    scene.reconcile()
    scene.reconcile()
    assert scene.dead() == {7, 8}
    old = scene.records()
    scene.repository.put(*numbered(7, datestamp="2024-06-01T00:00:00Z"), *numbered(8))
    assert scene.harvest().changed == 1
    assert scene.dead() == {8}
    run = scene.reconcile()
    assert (run.outcome, run.changed, run.records) == ("complete", 1, 100)
    assert scene.dead() == set()
    assert [scene.records()[name].id for name in old] == [record.id for record in old.values()]


def test_a_missing_record_that_a_harvest_brings_changed_is_missed_anew(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(7)
    scene.reconcile()
    scene.clock[0] += DAY
    scene.repository.put(*numbered(7, datestamp="2024-06-01T00:00:00Z", title="Back"))
    scene.harvest()
    scene.remove(7)
    scene.reconcile(after_days=20)
    assert scene.dead() == set()
    assert scene.pending()[7].times == 1


def test_a_record_listed_as_deleted_is_deleted_at_once(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.put(*numbered(3, datestamp="2024-06-01T00:00:00Z", deleted_in=("oai_dc",)))
    run = scene.reconcile()
    assert (run.outcome, run.deleted) == ("complete", 1)
    assert scene.dead() == {3}
    with scene.catalogue.read() as connection:
        stamps = dict(connection.execute(select(records.c.identifier, records.c.source_datestamp)).all())
    assert stamps.pop("oai:a:003") == "2024-06-01T00:00:00Z"
    assert set(stamps.values()) == {"2024-01-01T00:00:00Z"}
    assert scene.asked("GetRecord") == []


class Last(FakeRecord):
    """A record that its repository lists last, whatever its datestamp."""

    __slots__ = ()

    @property
    def key(self) -> tuple[str, str]:
        """Its place in a list."""
        return "9", self.identifier


_EARLY, _LATE = "2024-01-02T00:00:00Z", "2024-02-01T00:00:00Z"


@pytest.mark.parametrize("live_last", [True, False])
@pytest.mark.parametrize(("live", "deleted"), [(_EARLY, _LATE), (_LATE, _EARLY), (_EARLY, _EARLY), ("", _EARLY)])
def test_of_a_live_and_a_deleted_copy_the_later_counts_as_in_a_harvest(
    make_scene: MakeScene, live: str, deleted: str, live_last: bool
) -> None:
    """The live one on a tie; on whatever pages they are, and though each of its runs ends after a page."""
    scene = make_scene(page_size=20)
    alive = (Last if live_last else FakeRecord)("oai:a:004", live)
    gone = (FakeRecord if live_last else Last)("oai:a:004", deleted, deleted_in=("oai_dc",))
    scene.repository.put(alive)
    scene.repository.records["its other copy"] = gone
    wanted = {4} if deleted > live else set()
    scene.repository.on_request = lambda r: scene.stop.set() if r.verb == "ListIdentifiers" else None
    for _ in range(12):  # two reconciliations, of six pages each
        scene.stop.clear()
        scene.reconcile()
    assert scene.dead() == wanted
    scene.repository.on_request = lambda _r: None
    scene.clock[0] += DAY
    scene.stop.clear()
    scene.harvest(full=True)
    before = scene.records()["oai:a:004"].datestamp
    scene.clock[0] += DAY
    assert scene.reconcile().outcome == "nothing-new"
    assert (scene.dead(), scene.records()["oai:a:004"].datestamp) == (wanted, before)


@pytest.mark.parametrize("late_is_deleted", [True, False])
def test_of_many_copies_the_latest_counts(make_scene: MakeScene, late_is_deleted: bool) -> None:
    scene = make_scene(page_size=20)
    scene.repository.state_size = False
    for day in range(2, 6):
        deleted = ("oai_dc",) if late_is_deleted is bool(day % 2) else ()
        scene.repository.records[f"copy {day}"] = FakeRecord("oai:a:004", f"2024-01-0{day}", deleted_in=deleted)
    scene.reconcile()
    assert (scene.dead(), scene.pending()) == ({4} if late_is_deleted else set(), {})


@pytest.mark.parametrize(("deleted", "wanted"), [(_LATE, {4}), ("2023-01-01T00:00:00Z", set()), (_EARLY, set())])
def test_the_later_copy_counts_whichever_of_the_sets_it_is_in(
    make_scene: MakeScene, deleted: str, wanted: set[int]
) -> None:
    scene = make_scene(sets=("one",), datestamp=_EARLY)
    scene.repository.records["its other copy"] = FakeRecord("oai:a:004", deleted, sets=("two",), deleted_in=("oai_dc",))
    with scene.catalogue.write() as connection:
        connection.execute(update(members).values(sets=["one", "two"]))
    scene.reconcile()
    assert (scene.dead(), scene.pending()) == (wanted, {})
    assert scene.asked("GetRecord") == []


def test_a_record_that_came_while_the_list_was_walked_is_not_missed(make_scene: MakeScene) -> None:
    """It was killed in the middle, then a harvest brought a record, then it goes on behind that record's place."""
    scene = make_scene()
    scene.repository.on_request = lambda _r: scene.stop.set() if len(scene.asked()) == 2 else None
    assert scene.reconcile().outcome == "incomplete"
    scene.repository.on_request = lambda _r: None
    scene.stop.clear()
    scene.clock[0] += 60
    scene.repository.put(FakeRecord("oai:a:500", "2024-06-01T00:00:00Z"))
    assert scene.harvest().added == 1
    scene.remove(500)
    assert scene.reconcile().outcome == "nothing-new"
    assert scene.pending() == {}


def test_only_the_prefix_that_lost_a_record_loses_it(make_scene: MakeScene) -> None:
    scene = make_scene(prefixes=("oai_dc", "marc"))
    scene.set_terms(pending_days=0)
    full = scene.repository.answer

    def without_marc(arguments: dict[str, str]) -> bytes:
        here = scene.repository.records
        marc = arguments.get("metadataPrefix") == "marc" or "marc" in arguments.get("resumptionToken", "")
        if marc and arguments["verb"] == "ListIdentifiers":
            scene.remove(7)
        try:
            return full(arguments)
        finally:
            scene.repository.records = here

    scene.repository.answer = without_marc  # type: ignore[assignment,method-assign]
    scene.reconcile()
    assert scene.pending()[7].prefix == "marc"
    run = scene.reconcile()
    assert (run.deleted, run.changed, scene.dead()) == (0, 1, set())
    states = {form.prefix: form.deleted for form in scene.records()["oai:a:007"].forms}
    assert states == {"oai_dc": False, "marc": True}


def test_a_record_in_any_set_of_the_member_is_there(make_scene: MakeScene) -> None:
    """And while one of its sets is not complete, nothing is missed."""
    scene = make_scene(sets=("one",))
    scene.repository.put(*numbered(5, 6, sets=("two",)))
    with scene.catalogue.write() as connection:
        connection.execute(update(members).values(sets=["one", "two"]))
    scene.remove(5, 7)
    scene.repository.fail(lambda r: r.arguments.get("set") == "two", *[HTML] * READS)
    broken = scene.reconcile()
    assert broken.outcome == "incomplete"
    assert broken.error is not None
    assert broken.error.startswith("oai_dc two: ")
    assert scene.pending() == {}
    scene.repository.requests.clear()
    scene.reconcile(after_days=1)
    assert [r.arguments.get("set") for r in scene.asked()] == ["two"]
    assert set(scene.pending()) == {5, 7}


# -- nothing is deleted on a list that is not proved


_HEAD = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2024-05-01</responseDate>'
_END = b"</ListIdentifiers></OAI-PMH>"
_LOOP = b"<ListIdentifiers><header><identifier>x</identifier></header><resumptionToken>t</resumptionToken>"

# Of the first page, or only of further ones; what the server sends there, every time.
HOSTILE = {
    "an HTML page at once": (True, HTML),
    "an HTML page in mid list": (False, HTML),
    "a page cut in half": (False, Fault(edit=lambda body: body[: len(body) // 2])),
    "no token though more were promised": (False, Fault(edit=lambda body: body.split(b"<resumptionToken")[0] + _END)),
    "an empty page though more were promised": (False, Fault(body=_HEAD + b"<ListIdentifiers>" + _END)),
    "the same token again": (False, Fault(body=_HEAD + _LOOP + _END)),
    "another verb's answer": (True, Fault(body=_HEAD + b"<ListSets/></OAI-PMH>")),
    "badVerb": (True, Fault(body=_HEAD + b'<error code="badVerb"/></OAI-PMH>')),
    "badResumptionToken": (False, Fault(body=_HEAD + b'<error code="badResumptionToken"/></OAI-PMH>')),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_is_missed_by_a_list_that_is_not_proved(make_scene: MakeScene, kind: str) -> None:
    scene = make_scene()
    scene.set_terms(pending_days=0)
    scene.remove(7)
    scene.reconcile()
    assert scene.pending()[7].times == 1
    scene.repository.requests.clear()
    at_once, fault = HOSTILE[kind]
    scene.repository.fail(lambda r: r.verb == "ListIdentifiers" and (r.resumes or at_once), *[fault] * 500)
    for _ in range(3):
        run = scene.reconcile()
        assert run.outcome in {"failed", "incomplete"}
        assert run.error is not None
        assert run.finished_at is not None
    assert scene.dead() == set()
    assert (set(scene.pending()), scene.pending()[7].times) == ({7}, 1)
    assert len(scene.asked()) < 30
    scene.repository._faults.clear()
    assert scene.reconcile().deleted == 1
    assert scene.dead() == {7}


@pytest.mark.parametrize("size", [True, False])
def test_what_stands_on_a_damaged_part_of_a_page_is_not_missed(make_scene: MakeScene, size: bool) -> None:
    """What can be read of the page is whole, its token too; only the size would tell, where it is stated."""
    scene = make_scene()
    scene.repository.state_size = size
    damage = Fault(edit=lambda body: body.replace(b"</identifier>", b"<", 3))
    scene.repository.fail(lambda r: r.verb == "ListIdentifiers" and r.resumes, *[damage] * 500)
    assert scene.reconcile().outcome == "incomplete"
    assert scene.reconcile().outcome == "failed"
    assert scene.pending() == {}


def test_pages_that_bring_nothing_new_under_ever_new_tokens_end_the_list(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvester.oai.client.MAX_FRUITLESS", 5)
    scene = make_scene(10)
    numbers = iter(range(1000))
    scene.repository.fail(
        lambda r: r.resumes or r.verb == "ListIdentifiers",
        *[
            Fault(
                edit=lambda body: body.replace(
                    b"</ListIdentifiers>", b"<resumptionToken>t%d</resumptionToken></ListIdentifiers>" % next(numbers)
                )
            )
        ],
        *[
            Fault(
                edit=lambda body: (
                    body.split(b"<error")[0]
                    + b"<ListIdentifiers><resumptionToken>t%d</resumptionToken></ListIdentifiers></OAI-PMH>"
                    % next(numbers)
                )
            )
        ]
        * 100,
    )
    run = scene.reconcile()
    assert run.error is not None
    assert "held nothing new" in run.error
    assert len(scene.asked()) == 6


def test_a_refused_token_in_mid_list_starts_the_list_again_once(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(7)
    scene.repository.on_request = lambda _r: scene.repository.expire_tokens() if len(scene.asked()) == 3 else None
    assert scene.reconcile().outcome == "complete"
    assert len(scene.asked()) == 3 + 4
    assert set(scene.pending()) == {7}


def test_a_last_token_that_leads_to_nothing_ends_the_list(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.last_token = True
    assert scene.reconcile().outcome == "nothing-new"


def test_an_identifier_that_came_twice_is_counted_once(make_scene: MakeScene) -> None:
    """Paging by offset shows one twice and misses another: the count of both would be right."""
    scene = make_scene(60)
    twice = b"<identifier>oai:a:000</identifier>"
    scene.repository.fail(
        lambda _r: len(scene.asked()) == 2,
        Fault(edit=lambda b: b.replace(b"<identifier>oai:a:040</identifier>", twice)),
    )
    run = scene.reconcile()
    assert "ended after 59 of 60" in (run.error or "")
    assert scene.pending() == {}


# -- an end that nothing marks proves nothing


_NO_MATCH = b'<error code="noRecordsMatch"/></OAI-PMH>'


def _unmark(body: bytes) -> bytes:
    return re.sub(rb"<resumptionToken.*</resumptionToken>", b"", body)


# How the last page of four, of 96 identifiers and four more, is answered instead.
UNMARKED = {
    "an empty page": Fault(body=_HEAD + b"<ListIdentifiers>" + _END),
    "noRecordsMatch": Fault(body=_HEAD + _NO_MATCH),
    "a page without a token": Fault(edit=lambda body: _unmark(body).replace(b"oai:a:09", b"oai:a:00")),
}


def cut_short(scene: Scene, fault: Fault) -> None:
    """The last part of each list is answered so, and no part states a size."""
    scene.repository.state_size = False
    scene.repository.fail(lambda r: "|oai:a:09" in r.arguments.get("resumptionToken", ""), *[fault] * 500)


@pytest.mark.parametrize("kind", UNMARKED)
def test_what_an_unmarked_end_leaves_out_is_not_missing(make_scene: MakeScene, kind: str) -> None:
    scene = make_scene(page_size=32)
    scene.set_terms(pending_days=0)
    cut_short(scene, UNMARKED[kind])
    for _ in range(3):
        run = scene.reconcile(after_days=20)
        assert (run.outcome, run.deleted) == ("incomplete", 0)
        assert run.error is not None
        assert run.error.startswith(
            "oai_dc: nothing marks the end of the list; records that it does not show, not taken as missing: 4 ["
        )
        assert "resumptionToken=oai_dc%7C%7C%7C2024-01-01T00%3A00%3A00Z%7Coai%3Aa%3A095" in run.error
        assert scene.problems() == [("short-list", "")]
        assert (scene.pending(), scene.dead(), scene.halted()) == ({}, set(), None)
    scene.repository._faults.clear()
    assert scene.reconcile().outcome == "nothing-new"


def test_under_an_unmarked_end_who_waits_is_not_missed_again_and_who_is_shown_is_back(make_scene: MakeScene) -> None:
    scene = make_scene(page_size=32)
    scene.remove(7, 8, 98, 99)
    scene.reconcile()
    scene.keep("oai:a:099")
    scene.repository.put(*numbered(7))
    cut_short(scene, UNMARKED["an empty page"])
    run = scene.reconcile(after_days=20)
    assert "missing: 3 [" in (run.error or ""), "8 and 98, which wait, and 97; 99 is kept"
    assert {n: each.times for n, each in scene.pending().items()} == {8: 1, 98: 1, 99: 1}
    assert scene.dead() == set()
    scene.repository._faults.clear()
    assert scene.reconcile().deleted == 2
    assert scene.dead() == {8, 98}


def test_what_a_list_shows_is_of_use_however_it_ends(make_scene: MakeScene) -> None:
    """And where it leaves out nothing, it is as good as any."""
    scene = make_scene(page_size=32)
    scene.repository.put(*numbered(100, datestamp="2020-01-01T00:00:00Z"), *numbered(3, deleted_in=("oai_dc",)))
    cut_short(scene, Fault(edit=_unmark))
    run = scene.reconcile()
    assert (run.outcome, run.error, run.added, run.deleted) == ("complete", None, 1, 1)
    assert scene.dead() == {3}
    scene.repository._faults.clear()
    scene.repository.put(*numbered(101, datestamp="2020-01-01T00:00:00Z"), *numbered(4, deleted_in=("oai_dc",)))
    cut_short(scene, UNMARKED["an empty page"])
    run = scene.reconcile()
    assert (run.outcome, run.added, run.deleted) == ("incomplete", 1, 1)
    with scene.catalogue.read() as connection:
        row = connection.execute(select(harvests).where(harvests.c.id == run.id)).one()
    assert "ListIdentifiers" in row.error_url
    assert "GetRecord" in row.last_url
    assert row.error_key is None, "the newest answer is of another request"
    assert scene.dead() == {3, 4}
    assert scene.pending() == {}


@pytest.mark.parametrize(("size", "page_size"), [(True, 33), (False, 33), (False, 100)])
def test_an_end_is_marked_by_an_empty_token_by_its_one_page_or_by_the_size(
    make_scene: MakeScene, size: bool, page_size: int
) -> None:
    scene = make_scene(page_size=page_size)
    scene.remove(99)
    scene.repository.state_size = size
    if size:  # which the page before has stated
        scene.repository.fail(
            lambda r: "|oai:a:06" in r.arguments.get("resumptionToken", ""), *[Fault(edit=_unmark)] * 9
        )
    assert scene.reconcile().outcome == "complete"
    assert set(scene.pending()) == {99}
    assert len({request.raw_query for request in scene.asked()}) == (1 if page_size == 100 else 3)


def test_a_size_that_is_not_to_be_believed_is_no_mark_and_is_not_waited_for(make_scene: MakeScene) -> None:
    scene = make_scene(page_size=32)
    with scene.catalogue.write() as connection:
        put_quirk(connection, scene.member, Quirk("size", "ignore", START, "told so", "operator"))
    scene.repository.state_size = 500
    assert scene.reconcile().outcome == "nothing-new"
    scene.repository.state_size = 96
    scene.repository.fail(
        lambda r: "|oai:a:09" in r.arguments.get("resumptionToken", ""), *[UNMARKED["an empty page"]] * 9
    )
    assert "missing: 4 [" in (scene.reconcile().error or "")
    assert scene.pending() == {}


def test_an_unmarked_end_is_one_for_the_next_run_too(make_scene: MakeScene) -> None:
    """The run is stopped between the end of the list and its judgement."""
    scene = make_scene(page_size=32)
    scene.repository.put(*numbered(100, datestamp="2020-01-01T00:00:00Z"))
    cut_short(scene, UNMARKED["noRecordsMatch"])
    scene.repository.on_request = lambda r: (
        scene.stop.set() if "|oai:a:09" in r.arguments.get("resumptionToken", "") else None
    )
    assert "stopped by the operator" in (scene.reconcile().error or "")
    scene.stop.clear()
    scene.repository.requests.clear()
    run = scene.reconcile()
    assert (run.outcome, run.added, scene.asked()) == ("incomplete", 1, [])
    assert "missing: 5 [" in (run.error or "")
    assert scene.pending() == {}


def test_an_unmarked_end_is_of_its_prefix_only(make_scene: MakeScene) -> None:
    scene = make_scene(page_size=32, prefixes=("oai_dc", "marc"))
    scene.set_terms(pending_days=0)
    scene.remove(7)
    scene.repository.state_size = False
    scene.repository.fail(
        lambda r: r.arguments.get("resumptionToken", "").startswith("marc"), *[Fault(edit=_unmark)] * 9
    )
    run = scene.reconcile()
    assert (run.error or "").startswith("marc: nothing marks the end of the list")
    assert scene.pending()[7].prefix == "oai_dc"


# -- too much at once


def test_a_big_drop_halts_until_a_person_approves(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(*range(11))
    halted = scene.reconcile()
    assert halted.outcome == "complete-with-failures"
    reason = "11 of 100 records are not listed any more, which is more than 10 %"
    assert scene.halted() == halted.error == reason
    assert scene.problems() == [("big-drop", "")]
    scene.reconcile(after_days=20)
    scene.reconcile(after_days=20)
    assert (scene.dead(), scene.halted()) == (set(), reason)
    assert scene.approve() == 11
    assert scene.halted() is None
    assert all(each.due_at < each.missed_at for each in scene.pending().values())
    scene.remove(20)
    run = scene.reconcile()
    assert (run.outcome, run.deleted) == ("complete", 11)
    assert (scene.dead(), set(scene.pending())) == (set(range(11)), {20})


def test_drops_add_up(make_scene: MakeScene) -> None:
    """What waits and what comes to it are one drop."""
    scene = make_scene()
    scene.remove(*range(8))
    assert scene.reconcile().outcome == "complete"
    scene.remove(*range(12))
    assert scene.reconcile(after_days=20).outcome == "complete-with-failures"
    assert scene.dead() == set()


@pytest.mark.parametrize(("count", "gone", "halts"), [(100, 10, False), (20, 4, False), (20, 5, True), (3, 3, True)])
def test_a_few_records_of_a_small_member_are_no_big_drop(
    make_scene: MakeScene, count: int, gone: int, halts: bool
) -> None:
    """But an empty list is, however small the member."""
    scene = make_scene(count)
    scene.remove(*range(gone))
    scene.reconcile()
    assert (scene.halted() is not None) is halts


def test_a_drop_that_mends_itself_is_no_longer_halted_and_takes_nothing_along(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(*range(50))
    scene.reconcile()
    scene.repository.put(*numbered(*range(45)))
    run = scene.reconcile(after_days=20)
    assert (run.outcome, run.error, scene.halted()) == ("nothing-new", None, None)
    assert (scene.dead(), set(scene.pending())) == (set(), set(range(45, 50)))
    assert scene.reconcile().deleted == 5


def test_an_empty_list_is_asked_again_and_proves_nothing(make_scene: MakeScene) -> None:
    scene = make_scene(30)
    everything = scene.repository.records
    scene.repository.records = {}
    scene.repository.on_request = lambda _r: (
        setattr(scene.repository, "records", everything) if len(scene.asked()) == 2 else None
    )
    assert scene.reconcile().outcome == "nothing-new"
    scene.repository.on_request = lambda _r: None
    scene.repository.records = {}
    halted = scene.reconcile()
    assert halted.error == "a list of the member is empty; with it, 30 of 30 records are not listed any more"
    scene.reconcile(after_days=30)
    assert scene.dead() == set()
    scene.approve()
    scene.reconcile()
    assert scene.dead() == set(range(30))


def test_kept_records_stay_and_are_not_asked_about_until_they_were_listed_again(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(*range(11))
    scene.reconcile()
    with pytest.raises(ConfigError, match="'oai:a:050' is not pending"):
        scene.keep("oai:a:000", "oai:a:050")
    assert scene.keep("oai:a:000") == 1
    assert scene.halted() is None
    assert scene.keep() == 10
    assert scene.keep() == 0
    scene.remove(30)
    run = scene.reconcile(after_days=20)
    assert (run.outcome, run.deleted, scene.problems()) == ("complete", 0, [("vanished", "oai:a:030")])
    assert scene.reconcile(after_days=20).deleted == 1
    assert scene.dead() == {30}
    scene.repository.put(*numbered(5))
    scene.reconcile()
    scene.remove(5)
    scene.reconcile()
    assert scene.pending()[5].kept_at is None


def test_keeping_too_few_leaves_the_member_halted(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(*range(20))
    scene.reconcile()
    scene.keep("oai:a:000")
    assert scene.halted() is not None


# -- what was never harvested


def test_a_late_record_with_an_old_datestamp_is_fetched_by_itself(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.put(*numbered(100, 101, datestamp="2020-01-01T00:00:00Z", title="Late"))
    assert scene.harvest().added == 0
    run = scene.reconcile()
    assert (run.outcome, run.added, run.records) == ("complete", 2, 102)
    assert b"Late" in scene.records()["oai:a:101"].forms[0].xml
    assert len(scene.asked("GetRecord")) == 2
    assert scene.reconcile().outcome == "nothing-new"
    assert len(scene.asked("GetRecord")) == 2


def test_a_change_that_no_harvest_showed_is_fetched_by_itself(make_scene: MakeScene) -> None:
    """Its new datestamp is older than the last harvest. What the next harvest will show is left to it."""
    scene = make_scene()
    scene.repository.put(*numbered(7, datestamp="2024-03-01T00:00:00Z", title="Changed"))
    scene.repository.put(*numbered(8, datestamp="2024-06-01T00:00:00Z", title="Changed"))
    scene.repository.put(*numbered(9, datestamp="2023-12-31T00:00:00Z", title="Changed"))
    run = scene.reconcile()
    assert (run.outcome, run.changed, run.records) == ("complete", 1, 100)
    assert [request.arguments["identifier"] for request in scene.asked("GetRecord")] == ["oai:a:007"]
    assert b"Changed" in scene.records()["oai:a:007"].forms[0].xml
    assert scene.reconcile().outcome == "nothing-new"
    assert scene.harvest().changed == 1


def test_a_record_fetched_by_itself_leaves_an_unfinished_harvest_where_it_was(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.put(*numbered(*range(100, 190), datestamp="2024-06-01T00:00:00Z"))
    scene.repository.put(*numbered(190, datestamp="2020-01-01T00:00:00Z"))
    scene.repository.on_request = lambda r: scene.stop.set() if r.verb == "ListRecords" else None
    assert scene.harvest().outcome == "incomplete"
    scene.stop.clear()
    query = select(lists.c.token, lists.c.pass_received, lists.c.watermark)
    with scene.catalogue.read() as connection:
        before = connection.execute(query).one()
    assert before.token
    scene.reconcile()
    with scene.catalogue.read() as connection:
        assert connection.execute(query).one() == before
    scene.repository.on_request = lambda _r: None
    assert len(scene.records()) == 191
    assert scene.harvest().outcome == "nothing-new"


def test_where_too_many_were_never_harvested_the_next_harvest_is_full(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MAX_SINGLE", 3)
    scene = make_scene()
    scene.repository.put(*numbered(*range(100, 104), datestamp="2020-01-01T00:00:00Z"))
    assert scene.reconcile().added == 0
    assert scene.asked("GetRecord") == []
    assert scene.problems() == [("datestamps", "")]
    monkeypatch.undo()
    assert scene.reconcile().outcome == "nothing-new"
    assert scene.asked("GetRecord") == [], "a full harvest brings them anyway"
    assert scene.harvest().added == 4


def test_where_lists_leave_the_set_nothing_of_other_sets_is_fetched(make_scene: MakeScene) -> None:
    scene = make_scene()
    with scene.catalogue.write() as connection:
        put_quirk(connection, scene.member, Quirk("leaves-set", "yes", START, "oai:a:200 is of another set"))
    scene.repository.put(*numbered(200, datestamp="2020-01-01T00:00:00Z"))
    scene.remove(7)
    assert scene.reconcile().added == 0
    assert (set(scene.records()), set(scene.pending())) == ({f"oai:a:{n:03}" for n in range(100)}, {7})


def test_a_record_that_cannot_be_had_is_a_problem_and_not_a_stop(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.put(*numbered(*range(100, 104), datestamp="2020-01-01T00:00:00Z"))
    scene.repository.fail(lambda r: r.arguments.get("identifier") == "oai:a:101", *[HTML] * 9)
    scene.repository.on_request = lambda r: scene.remove(102) if r.verb == "GetRecord" else None
    scene.remove(7)
    run = scene.reconcile()
    assert (run.outcome, run.added) == ("complete-with-failures", 2)
    assert scene.problems() == [("unreadable-record", "oai:a:101"), ("vanished", "oai:a:007")]


def test_where_single_records_are_refused_the_next_harvest_is_full(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.put(*numbered(*range(100, 120), datestamp="2020-01-01T00:00:00Z"))
    scene.repository.fail("GetRecord", *[HTML] * 99)
    assert scene.reconcile().outcome == "complete-with-failures"
    assert len({request.arguments["identifier"] for request in scene.asked("GetRecord")}) == 6
    assert scene.harvest().added == 20


# -- killed, stopped, overtaken


def test_a_stopped_run_goes_on_from_its_page(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(7)
    scene.repository.on_request = lambda _r: scene.stop.set() if len(scene.asked()) == 2 else None
    run = scene.reconcile()
    assert (run.outcome, run.records) == ("incomplete", 60)
    assert scene.pending() == {}
    scene.stop.clear()
    scene.repository.on_request = lambda _r: None
    scene.repository.requests.clear()
    assert scene.reconcile().outcome == "complete"
    assert [request.resumes for request in scene.asked()] == [True, True]
    assert set(scene.pending()) == {7}


def test_a_kept_token_that_is_answered_by_a_web_page_is_given_up(make_scene: MakeScene) -> None:
    """Not every server has a proper word for a token that it has forgotten."""
    scene = make_scene()
    scene.repository.on_request = lambda _r: scene.stop.set() if len(scene.asked()) == 2 else None
    scene.reconcile()
    scene.stop.clear()
    scene.repository.on_request = lambda _r: None
    scene.repository.fail("ListIdentifiers", *[HTML] * READS)
    assert scene.reconcile().outcome == "failed"
    scene.repository.requests.clear()
    assert scene.reconcile().outcome == "nothing-new"
    assert not scene.asked()[0].resumes


def test_a_list_that_was_left_long_ago_begins_anew(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.repository.on_request = lambda _r: scene.stop.set() if len(scene.asked()) == 2 else None
    scene.reconcile()
    scene.stop.clear()
    scene.repository.requests.clear()
    scene.repository.on_request = lambda _r: None
    scene.reconcile(after_days=8)
    assert [request.resumes for request in scene.asked()] == [False, True, True, True]


def test_a_harvest_that_begins_meanwhile_takes_over(make_scene: MakeScene) -> None:
    scene = make_scene()
    scene.remove(7)

    def harvest(request: Request) -> None:
        if len(scene.asked()) == 2 and request.verb == "ListIdentifiers":
            scene.harvest()

    scene.repository.on_request = harvest
    run = scene.reconcile()
    assert run.outcome == "incomplete"
    assert "another process" in (run.error or "")
    assert len(scene.asked()) == 2
    assert scene.pending() == {}


def test_a_member_that_is_removed_meanwhile_gets_nothing_more(make_scene: MakeScene) -> None:
    scene = make_scene()

    def remove(_request: Request) -> None:
        if len(scene.asked()) == 2:
            with scene.catalogue.write() as connection:
                mark_removed(connection, scene.member, START)
            scene.repository.on_request = lambda _r: None

    scene.repository.on_request = remove
    run = scene.reconcile()
    assert (run.outcome, run.records) == ("incomplete", 30)
    with scene.catalogue.read() as connection:
        assert connection.execute(select(listed)).all() == connection.execute(select(lists)).all() == []


class Crash(BaseException):
    """The process is gone, as far as the catalogue can tell."""


def _state(scene: Scene) -> object:
    with scene.catalogue.read() as connection:
        return [
            connection.execute(select(records.c.identifier, records.c.deleted).order_by(records.c.id)).all(),
            connection.execute(
                select(forms.c.record_id, forms.c.prefix, forms.c.deleted).order_by(forms.c.record_id)
            ).all(),
            connection.execute(select(vanished.c.record_id).order_by(vanished.c.record_id)).all(),
            connection.execute(select(listed)).all(),
            connection.execute(select(lists.c.reconcile_token)).all(),
        ]


@pytest.mark.parametrize("database", ["sqlite"])  # which is put back by copying a file
def test_cut_off_before_any_of_its_commits_it_ends_as_an_undisturbed_one(
    make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvester.catalogue.vanished._BATCH", 3)
    scene = make_scene(60, page_size=20)
    scene.set_terms(pending_days=0, max_drop=100)
    scene.repository.put(*numbered(30, 31, deleted_in=("oai_dc",)), *numbered(60, 61, datestamp="2020-01-01T00:00:00Z"))
    scene.remove(*range(8))
    path = Path(str(scene.catalogue.engine.url.database))
    with scene.catalogue.write() as connection:  # all of them have been missed once before
        rows = connection.execute(select(records.c.id).where(records.c.identifier < "oai:a:008")).scalars().all()
        of_row = {"prefix": "oai_dc", "member_id": 1, "missed_at": START, "times": 1, "due_at": START}
        connection.execute(vanished.insert(), [{"record_id": n, **of_row} for n in rows])
    scene.catalogue.close()
    shutil.copy(path, f"{path}.before")
    scene.reconcile()
    wanted = _state(scene)
    assert scene.dead() == {*range(8), 30, 31}
    for cut in range(1, 60):
        scene.catalogue.close()
        for name in (f"{path}-wal", f"{path}-shm"):
            Path(name).unlink(missing_ok=True)
        shutil.copy(f"{path}.before", path)
        shutil.rmtree(path.parent / "archive")
        scene.archive = open_archive((path.parent / "archive").as_uri())
        left = iter(range(cut, 0, -1))

        def crash(connection: object, left: Iterator[int] = left) -> None:
            if connection.get_execution_options().get("lumbung_write") and next(left, 0) == 1:  # type: ignore[attr-defined]
                raise Crash

        event.listen(scene.catalogue.engine, "commit", crash)
        try:
            scene.reconcile()
        except Crash:
            event.remove(scene.catalogue.engine, "commit", crash)
        else:
            assert cut > 12
            event.remove(scene.catalogue.engine, "commit", crash)
            return
        scene.reconcile()
        if scene.pending():  # it was cut off between its judgement and its deletions: they wait for the next
            scene.reconcile()
        assert _state(scene) == wanted, cut
    pytest.fail("it never came to its end")


def test_killed_in_mid_list_it_goes_on_and_misses_what_it_should(
    provider: FakeProvider, catalogue_url: str, tmp_path: Path
) -> None:
    """The real program, by SIGKILL, once at each page."""
    home = tmp_path / "home"
    home.mkdir()
    repository = FakeRepository(numbered(*range(100)), page_size=25)
    catalogue = open_catalogue(catalogue_url)
    with catalogue.write() as connection:
        member = add_member(connection, Member("a", "A", provider.serve(repository)), START)
    scene = Scene(repository, catalogue, open_archive((home / "archive").as_uri()), [START])
    scene.harvest()
    scene.remove(10, 60)
    environment = os.environ | {
        "LUMBUNG_HOME": str(home),
        "LUMBUNG_CATALOGUE": catalogue_url,
        "LUMBUNG_MAX_WAIT": "0.001",
    }
    command = [sys.executable, "-m", "web", "reconcile", "a", "--json"]
    root = Path(__file__).parents[2]
    for page in range(1, 4):
        program = subprocess.Popen(command, env=environment | {"PYTHONPATH": str(root)}, cwd=tmp_path)

        def kill(request: Request, program: subprocess.Popen[bytes] = program) -> None:
            program.kill()
            program.wait()

        asked = page + 1  # the pages before, one by each program that was killed, and one more
        repository.requests.clear()
        repository.on_request = lambda r, kill=kill: kill(r) if len(scene.asked()) == 2 else None  # type: ignore[misc]
        assert program.wait(60) == -signal.SIGKILL, asked
        assert scene.pending() == {}
    repository.on_request = lambda _r: None
    repository.requests.clear()
    run = scene.reconcile()
    assert (run.outcome, [request.resumes for request in scene.asked()]) == ("complete", [True])
    assert set(scene.pending()) == {10, 60}
    with catalogue.read() as connection:
        of_kind = select(harvests.c.outcome).where(harvests.c.kind == "reconcile").order_by(harvests.c.id)
        outcomes = connection.execute(of_kind).scalars().all()
        assert get_member(connection, "a") == member
    assert outcomes == ["incomplete"] * 3 + ["complete"]
    catalogue.close()


# -- when


def test_turns_are_spread_evenly_over_the_month() -> None:
    turns = [next_reconciliation(f"member-{n}", 30, START) - START for n in range(30_000)]
    days = [sum(1 for turn in turns if turn // DAY == day) for day in range(30)]
    assert (min(turns) > 0, max(turns) <= 30 * DAY) == (True, True)
    assert 850 < min(days) <= max(days) < 1150


def test_a_turn_comes_again_after_the_same_time() -> None:
    turn = next_reconciliation("a", 7, START)
    assert next_reconciliation("a", 7, turn - 1) == turn
    assert next_reconciliation("a", 7, turn) == turn + 7 * DAY


def test_a_member_is_due_when_its_turn_has_come_and_it_was_harvested(make_scene: MakeScene) -> None:
    scene = make_scene(3)
    turn = next_reconciliation("a", 30, START)
    with scene.catalogue.write() as connection:
        add_member(connection, Member("never-harvested", "B", "http://b.example/"), START)
        assert plan_reconciliations(connection, START) == 2
        assert plan_reconciliations(connection, START) == 0
        assert not is_reconcile_due(connection, get_member(connection, "never-harvested"), START + 40 * DAY)
        assert is_reconcile_due(connection, scene.member, turn)
        assert not is_reconcile_due(connection, scene.member, turn - 1)
        connection.execute(update(members).values(paused=True))
        assert not is_reconcile_due(connection, scene.member, turn)
        connection.execute(update(members).values(paused=False))
    scene.clock[0] = turn
    scene.reconcile()
    with scene.catalogue.read() as connection:
        assert not is_reconcile_due(connection, scene.member, turn + 30 * DAY - 1)
        assert is_reconcile_due(connection, scene.member, turn + 30 * DAY)
    scene.clock[0] = turn + 30 * DAY
    scene.repository.fail("ListIdentifiers", *[HTML] * READS)
    scene.reconcile()
    with scene.catalogue.read() as connection:
        assert is_reconcile_due(connection, scene.member, turn + 31 * DAY), "a failed one is tried again in a day"
