"""A page is one transaction that tells added, changed, unchanged, deleted and failed records apart."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, select, update

from harvester.catalogue import Catalogue, commit, open_catalogue
from harvester.catalogue.clock import close_second
from harvester.catalogue.commit import Counts, Fetched, commit_failed_page, commit_page, delete_records
from harvester.catalogue.harvests import begin_harvest, finish_harvest, get_run, get_status, list_problems
from harvester.catalogue.lists import ListState, finish_pass, get_lists, start_pass
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.public_ids import decode_public_id, encode_public_id, make_public_id
from harvester.catalogue.records import CataloguedRecord, find_record, get_records, iter_records
from harvester.catalogue.tables import clock, forms, lists, metadata, pages, problems, records
from harvester.errors import CatalogueError, HarvestSupersededError
from harvester.oai.page import FailedRecord, Header, Page, Record, ResumptionToken

FETCHED = Fetched("pages/a/1/1.xml.zst", "http://a.example/oai?verb=ListRecords", 200, 1234, 1_714_560_000)


def live(name: str, text: str = "one", datestamp: str = "2024-01-01", **others: Any) -> Record:
    payload = f"<a>{text}</a>".encode()
    record = Record(Header(name, datestamp), payload, payload.ljust(16)[:16])
    return record._replace(**others)


def gone(name: str, datestamp: str = "2024-01-01") -> Record:
    return Record(Header(name, datestamp, deleted=True))


def page_of(*arrived: Record, token: ResumptionToken | None = None, failed: tuple[FailedRecord, ...] = ()) -> Page:
    return Page("ListRecords", "2024-05-01T00:00:00Z", arrived, failed, token)


@dataclass
class Run:
    """A member's run, whose clock the test turns."""

    catalogue: Catalogue
    member: Member
    harvest_id: int
    states: dict[str, ListState]

    def commit(self, *arrived: Record, prefix: str = "oai_dc", **others: object) -> Counts:
        return self.commit_page(page_of(*arrived, **others), prefix)  # type: ignore[arg-type]  # as page_of takes them

    def commit_page(self, page: Page, prefix: str = "oai_dc") -> Counts:
        return commit_page(
            self.catalogue,
            harvest_id=self.harvest_id,
            member=self.member,
            list_id=self.states[prefix].id,
            prefix=prefix,
            page=page,
            fetched=FETCHED,
        )

    def list_state(self, prefix: str = "oai_dc") -> ListState:
        with self.catalogue.read() as connection:
            return next(state for state in get_lists(connection, self.harvest_id) if state.prefix == prefix)

    def record(self, name: str) -> CataloguedRecord:
        return next(record for record in iter_records(self.catalogue) if record.identifier == name)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock_() -> Clock:
    return Clock()


@pytest.fixture
def run(catalogue_url: str, clock_: Clock) -> Iterator[Run]:
    catalogue = open_catalogue(catalogue_url, clock_)
    yield begin(catalogue, "a")
    catalogue.close()


def begin(catalogue: Catalogue, slug: str) -> Run:
    member = Member(slug, slug.upper(), f"http://{slug}.example/oai", prefixes=("oai_dc", "marc"))
    with catalogue.write() as connection:
        member = add_member(connection, member, 1)
        harvest_id = begin_harvest(connection, member, 1)
        return resume(catalogue, member, harvest_id, get_lists(connection, harvest_id))


def resume(catalogue: Catalogue, member: Member, harvest_id: int, states: tuple[ListState, ...] = ()) -> Run:
    with catalogue.engine.connect() as connection:
        states = states or get_lists(connection, harvest_id)
    return Run(catalogue, member, harvest_id, {state.prefix: state for state in states})


def dump(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    with catalogue.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def test_a_record_s_life(run: Run, clock_: Clock) -> None:
    """Each step of one record: what is counted, our datestamp, deleted or not, its text."""
    steps = (
        (gone("x"), Counts(unchanged=1), None),
        (live("x"), Counts(added=1), (1001, False, "one")),
        (live("x"), Counts(unchanged=1), (1001, False, "one")),
        (live("x", datestamp="2025"), Counts(unchanged=1), (1001, False, "one")),
        (live("x", "two"), Counts(changed=1), (1004, False, "two")),
        (gone("x"), Counts(deleted=1), (1005, True, "two")),
        (gone("x", "2026"), Counts(unchanged=1), (1005, True, "two")),
        (live("x", "two"), Counts(changed=1), (1007, False, "two")),
        (gone("x"), Counts(deleted=1), (1008, True, "two")),
        (live("x", "three"), Counts(changed=1), (1009, False, "three")),
    )
    ids = set()
    for number, (arrival, counts, expected) in enumerate(steps):
        clock_.seconds = 1000 + number
        assert run.commit(arrival) == counts
        found = list(iter_records(run.catalogue))
        if expected is None:
            assert not found
            continue
        (record,) = found
        ids.add(record.id)
        text = record.forms[0].xml.decode()[3:-4]
        assert (record.datestamp, record.deleted, text) == expected
        assert (record.added, record.source_datestamp) == (1001, arrival.header.datestamp)
    assert ids == {encode_public_id(make_public_id("a", "x"))}


def test_a_page_of_every_kind_is_counted_and_stored(run: Run) -> None:
    run.commit(live("changed"), live("same"), live("deleted"))
    bad = (FailedRecord("bad", "no metadata"), FailedRecord("", "no identifier"))
    counts = run.commit(live("changed", "two"), live("same"), gone("deleted"), live("new"), gone("unknown"), failed=bad)
    assert counts == Counts(added=1, changed=1, unchanged=2, deleted=1, failed=2)
    assert counts.records == 7
    deleted = {record.identifier: record.deleted for record in iter_records(run.catalogue)}
    assert deleted == {"changed": False, "same": False, "deleted": True, "new": False}
    with run.catalogue.read() as connection:
        row = get_run(connection, run.harvest_id)
        found = list_problems(connection, run.harvest_id)
        query = select(pages.c.records, pages.c.size, pages.c.archive_key).order_by(pages.c.id)
        sizes = connection.execute(query).all()
    assert (row.pages, row.records, row.added, row.failed) == (2, 10, 4, 2)
    assert [(p.identifier, p.cause, p.archive_key) for p in found] == [
        (b.identifier, b.cause, FETCHED.archive_key) for b in bad
    ]
    assert [tuple(size) for size in sizes] == [(3, 1234, FETCHED.archive_key), (7, 1234, FETCHED.archive_key)]


def test_a_changed_set_or_source_datestamp_is_kept_and_churns_nothing(run: Run, clock_: Clock) -> None:
    run.commit(live("x"))
    clock_.seconds += 50
    header = Header("x", "2030-01-01", ("a:b", "c%d"))
    assert run.commit(live("x", header=header)) == Counts(unchanged=1)
    record = run.record("x")
    assert (record.datestamp, record.source_datestamp, record.forms[0].set_specs) == (
        1000,
        "2030-01-01",
        ("a:b", "c%d"),
    )


@pytest.mark.parametrize(
    ("arrived", "deleted", "text"),
    [
        ((live("x", "old", "2024"), live("x", "new", "2025")), False, "new"),
        ((live("x", "new", "2025"), live("x", "old", "2024")), False, "new"),
        ((live("x", "one", "2024"), gone("x", "2025")), True, None),
        ((gone("x", "2024"), live("x", "one", "2024")), False, "one"),
        ((live("x", "one", "2024"), gone("x", "2024")), False, "one"),
        ((gone("x", "2025"), live("x", "one", "2024")), True, None),
    ],
)
def test_of_one_identifier_twice_in_a_page_the_later_wins_and_the_living_on_a_tie(
    arrived: tuple[Record, ...], deleted: bool, text: str | None, run: Run
) -> None:
    counts = run.commit(*arrived)
    assert counts.records == 2
    found = list(iter_records(run.catalogue))
    assert [record.forms[0].xml.decode()[3:-4] for record in found] == ([] if text is None else [text])
    run.commit(live("x", "before"))
    run.commit(*arrived)
    assert run.record("x").deleted is deleted


def test_a_record_lives_as_long_as_one_of_its_forms(run: Run, clock_: Clock) -> None:
    steps = (
        ("oai_dc", live("x"), Counts(added=1), False),
        ("marc", live("x", "m"), Counts(changed=1), False),
        ("oai_dc", gone("x"), Counts(changed=1), False),
        ("oai_dc", gone("x"), Counts(unchanged=1), False),
        ("marc", gone("x"), Counts(deleted=1), True),
        ("marc", live("x", "m"), Counts(changed=1), False),
        ("oai_dc", live("y"), Counts(added=1), False),
        ("marc", gone("y"), Counts(unchanged=1), False),
    )
    for number, (prefix, arrival, counts, deleted) in enumerate(steps):
        clock_.seconds = 2000 + number
        assert run.commit(arrival, prefix=prefix) == counts, number
        record = run.record(arrival.header.identifier)
        assert (record.deleted, record.datestamp == 2000 + number) == (deleted, not counts.unchanged)
    assert {form.prefix: form.deleted for form in run.record("x").forms} == {"oai_dc": True, "marc": False}


def test_one_page_may_change_delete_and_revive_at_once(run: Run) -> None:
    run.commit(live("a"), live("b"), live("c"))
    run.commit(gone("c"))
    assert run.commit(live("a", "two"), gone("b"), live("c")) == Counts(changed=2, deleted=1)
    assert run.commit(gone("b"), gone("a"), live("c", "two")) == Counts(changed=1, deleted=1, unchanged=1)
    assert {r.identifier: r.deleted for r in iter_records(run.catalogue)} == {"a": True, "b": True, "c": False}


def test_new_datestamps_of_the_source_alone_change_nothing_else(run: Run) -> None:
    run.commit(live("a"), live("b"), live("c"))
    run.commit(gone("c"))
    assert run.commit(live("a", datestamp="2025"), gone("c", "2026"), live("b", datestamp="2027")) == Counts(
        unchanged=3
    )
    found = {r.identifier: (r.source_datestamp, r.deleted) for r in iter_records(run.catalogue)}
    assert found == {"a": ("2025", False), "b": ("2027", False), "c": ("2026", True)}


def test_one_identifier_in_two_members_is_two_records(run: Run) -> None:
    other = begin_second(run)
    run.commit(live("oai:localhost:1", "ours"))
    other.commit(live("oai:localhost:1", "theirs"))
    found = list(iter_records(run.catalogue))
    assert [(record.member, record.forms[0].xml) for record in found] == [
        ("a", b"<a>ours</a>"),
        ("b", b"<a>theirs</a>"),
    ]
    assert len({record.id for record in found}) == 2


def begin_second(run: Run) -> Run:
    with run.catalogue.write() as connection:
        member = add_member(connection, Member("b", "B", "http://b.example/oai"), 1)
        harvest_id = begin_harvest(connection, member, 1)
        states = get_lists(connection, harvest_id)
    return resume(run.catalogue, member, harvest_id, states)


def test_payloads_and_abouts_come_back_byte_for_byte(run: Run) -> None:
    abouts = ("<p>é</p>".encode(), b"<q/>")
    run.commit(live("x", "é" * 5000, abouts=abouts))
    (form,) = run.record("x").forms
    assert (form.xml, form.abouts, form.response_date) == (
        f"<a>{'é' * 5000}</a>".encode(),
        abouts,
        "2024-05-01T00:00:00Z",
    )
    assert find_record_text(run, run.record("x").id) == form.xml


def test_what_stands_about_a_record_changes_it_and_when_it_was_harvested_does_not(run: Run, clock_: Clock) -> None:
    def about(at: str, terms: str) -> tuple[bytes, ...]:
        chain = (
            f'<provenance><originDescription  harvestDate="{at}" altered="true"><x/></originDescription></provenance>'
        )
        return (chain.encode(), f'<r:rights harvestDate="{terms}"/>'.encode())

    run.commit(live("x", abouts=about("2024", "a")), live("y"), live("z", abouts=about("2024", "a")))
    steps: tuple[tuple[tuple[bytes, ...], bool], ...] = (
        (about("2024", "a"), False),
        (about("2025-01-01T00:00:00Z", "a"), False),
        (about("2026", "b"), True),
        ((), True),
        ((), False),
        (about("2027", "b"), True),
        (about("2028", "b")[:1], True),
    )
    for number, (abouts, changed) in enumerate(steps):
        clock_.seconds = 2000 + number
        counts = run.commit(live("x", abouts=abouts), live("y"))
        assert counts == Counts(changed=int(changed), unchanged=2 - changed), number
        record = run.record("x")
        assert (record.datestamp == 2000 + number) == changed
        assert not changed or record.forms[0].abouts == abouts
    assert run.record("y").datestamp == 1000
    with run.catalogue.write() as connection:  # packed by another release, and damaged
        packed = zstandard.compress(b"\0".join(about("2024", "a")), 19)
        connection.execute(update(forms).where(forms.c.record_id == 3).values(abouts=packed))
    assert run.commit(live("z", abouts=about("2029", "a"))) == Counts(unchanged=1)
    with run.catalogue.write() as connection:
        connection.execute(update(forms).where(forms.c.record_id == 3).values(abouts=b"(\xb5/\xfd"))
    assert run.commit(live("z", abouts=about("2029", "a"))) == Counts(changed=1)


def find_record_text(run: Run, public_id: str) -> bytes:
    with run.catalogue.read() as connection:
        found = find_record(connection, public_id)
        assert found is not None
        assert list(get_records(connection, [found.number])) == [found]
        assert find_record(connection, "0" * 12) is None
    return found.forms[0].xml


def test_the_list_s_position_moves_with_the_page(run: Run) -> None:
    run.commit(live("a"), token=ResumptionToken("two", 0, 5))
    state = run.list_state()
    assert (state.token, state.pass_received, state.pass_size) == ("two", 1, 5)
    assert state.pass_started == "2024-05-01T00:00:00Z"
    later = replace(page_of(live("b"), live("c"), token=ResumptionToken("")), response_date="2024-06-01T00:00:00Z")
    run.commit_page(later)
    state = run.list_state()
    assert (state.token, state.pass_received, state.pass_size) == (None, 3, 5)
    assert state.pass_started == "2024-05-01T00:00:00Z"
    assert state.watermark is None


def test_numbers_go_on_behind_rows_that_came_with_numbers_of_their_own(run: Run) -> None:
    """As after a restore of the rows alone."""
    with run.catalogue.write() as connection:
        public_id = make_public_id("a", "by hand")
        connection.execute(insert(records).values(row_with(public_id, id=2, member_id=run.member.id)))
    assert run.commit(live("x"), live("y"), live("z")) == Counts(added=3)
    with run.catalogue.read() as connection:
        assert sorted(connection.execute(select(records.c.id)).scalars()) == [2, 3, 4, 5]


def test_a_second_that_is_closed_while_a_page_is_written_moves_it_into_the_next(
    run: Run, clock_: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, where readers are let in meanwhile; here the reader stands in the same transaction."""
    run.commit(live("x"), live("gone"), live("same"))
    clock_.seconds += 100
    real = commit.expect_datestamp

    def close_meanwhile(connection: Connection, now: int) -> int:
        expected = real(connection, now)
        assert close_second(connection, now) == expected == clock_.seconds
        return expected

    monkeypatch.setattr(commit, "expect_datestamp", close_meanwhile)
    assert run.commit(live("x", "two"), gone("gone"), live("same"), live("new")) == Counts(1, 1, 1, 1)
    with run.catalogue.read() as connection:
        rows = connection.execute(select(records.c.identifier, records.c.datestamp, records.c.added)).all()
    first, late = clock_.seconds - 100, clock_.seconds + 1
    assert {row.identifier: row[1:] for row in rows} == {
        "x": (late, first), "gone": (late, first), "same": (first, first), "new": (late, late)
    }  # fmt: skip


def test_a_superseded_run_writes_nothing(run: Run) -> None:
    run.commit(live("x"))
    with run.catalogue.write() as connection:
        newer = begin_harvest(connection, run.member, 5)
    before = dump(run.catalogue)
    attempts = (
        lambda: run.commit(live("x", "two"), live("y")),
        lambda: commit_failed_page(
            run.catalogue, harvest_id=run.harvest_id, list_id=None, fetched=FETCHED, error="late"
        ),
        lambda: in_write(run, lambda connection: start_pass(connection, run.harvest_id, 1, None)),
        lambda: in_write(run, lambda connection: finish_pass(connection, run.harvest_id, 1, "2030-01-01")),
    )
    for attempt in attempts:
        with pytest.raises(HarvestSupersededError):
            attempt()
        assert dump(run.catalogue) == before
    with run.catalogue.write() as connection:
        late = finish_harvest(connection, run.harvest_id, outcome="complete", error=None, requests=9, size=9, now=9)
    assert (late.outcome, late.requests, late.finished_at) == ("incomplete", 0, 5)
    assert dump(run.catalogue) == before
    states = tuple(resume(run.catalogue, run.member, newer).states.values())
    assert resume(run.catalogue, run.member, newer, states).commit(live("y")) == Counts(added=1)


def in_write(run: Run, use: object) -> None:
    assert callable(use)
    with run.catalogue.write() as connection:
        use(connection)


STATEMENTS = (
    "INSERT INTO pages",
    "INSERT INTO records",
    "INSERT INTO forms",
    "UPDATE forms",
    "UPDATE records",
    "INSERT INTO problems",
    "UPDATE harvests",
    "UPDATE lists",
    "UPDATE clock",
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_exception_in_the_middle_leaves_nothing(statement: str, run: Run) -> None:
    run.commit(live("changed"), live("deleted"), token=ResumptionToken("t"))
    before = dump(run.catalogue)
    hit = []

    def fail(_c: object, _cursor: object, sql: str, *_rest: object) -> None:
        if sql.startswith(statement):
            hit.append(sql)
            raise sqlite3.OperationalError("the disk is full")

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            done = super().execute(sql, *given)
            fail(None, None, sql)
            return done

        def executemany(self, sql: str, given: Any) -> sqlite3.Cursor:
            done = super().executemany(sql, given)
            fail(None, None, sql)
            return done

    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> sqlite3.Connection:
        return sqlite3.connect(*arguments, **named, factory=Failing)

    page = page_of(live("changed", "two"), gone("deleted"), live("new"), failed=(FailedRecord("b", "c"),))
    of_sqlite = run.catalogue.engine.dialect.name == "sqlite"
    faults = ("do_connect", connect) if of_sqlite else ("after_cursor_execute", fail)
    run.catalogue.close()
    event.listen(run.catalogue.engine, *faults)
    with pytest.raises((CatalogueError, sqlite3.OperationalError), match="disk is full"):
        run.commit_page(page)
    event.remove(run.catalogue.engine, *faults)
    run.catalogue.close()
    assert hit
    assert dump(run.catalogue) == before
    assert run.commit_page(page) == Counts(added=1, changed=1, deleted=1, failed=1)


@pytest.mark.parametrize("database", ["sqlite"])  # PostgreSQL takes 65,535, wherever it is built
def test_a_page_larger_than_the_database_takes_parameters_is_stored(run: Run) -> None:
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1500)

    run.catalogue.close()
    event.listen(run.catalogue.engine, "connect", limit)
    names = [f"n{number}" for number in range(2000)]
    with run.catalogue.write() as connection:
        taken = make_public_id("a", "n7")
        connection.execute(insert(records).values(row_with(taken, member_id=run.member.id)))
    assert run.commit(*map(live, names)) == Counts(added=2000)
    assert run.commit(*(live(name, "two") for name in names)) == Counts(changed=2000)
    assert run.commit(*map(gone, names)) == Counts(deleted=2000)


def row_with(public_id: int, **others: object) -> dict[str, object]:
    row = {
        "public_id": public_id, "member_id": 1, "identifier": "by hand", "work_id": 1, "datestamp": 1, "added": 1,
        "source_datestamp": "", "deleted": True,
    }  # fmt: skip
    return row | others


def test_what_a_server_may_send_at_the_utmost_is_stored(run: Run) -> None:
    """Texts and numbers that one database would take and another refuse; and what none takes whole."""
    chance = random.Random(1)
    name = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(2000))
    long = Header(name, "2024-01-01T00:00:00.000000000000000000000000000000Z", ("s" * 5000, "é\N{SNOWMAN}😀"))
    token = ResumptionToken("t" * 100_000, 0, 2**31 - 1)
    failed = (FailedRecord("b" * 5000, "what came was\0 not text: '\\x00' %s %(x)s"),)
    assert run.commit(live(name, header=long), token=token, failed=failed) == Counts(added=1, failed=1)
    assert run.commit(live(name, "two", header=long._replace(set_specs=("\0",)))) == Counts(changed=1)
    record = run.record(name)
    assert record.source_datestamp == long.datestamp[:40]
    assert record.forms[0].set_specs in {("\0",), ("\ufffd",)}
    state = run.list_state()
    assert (state.token, state.pass_size) == (None, 2**31 - 1)
    with run.catalogue.read() as connection:
        (problem,) = list_problems(connection, run.harvest_id)
    assert problem.cause in {failed[0].cause, failed[0].cause.replace("\0", "\ufffd")}


def test_a_record_whose_public_id_is_taken_gets_another_and_keeps_it(run: Run) -> None:
    with run.catalogue.write() as connection:
        for salt in (0, 1):
            taken = make_public_id("a", "x", salt)
            connection.execute(insert(records).values(row_with(taken, identifier=f"by hand {salt}")))
    assert run.commit(live("w"), live("x"), live("y")) == Counts(added=3)
    assert run.record("x").id == encode_public_id(make_public_id("a", "x", 2))
    assert run.record("w").id == encode_public_id(make_public_id("a", "w"))
    assert run.record("y").id == encode_public_id(make_public_id("a", "y"))
    assert run.commit(live("x", "two")) == Counts(changed=1)
    assert run.record("x").id == encode_public_id(make_public_id("a", "x", 2))


def test_two_of_one_page_never_share_a_public_id(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "harvester.catalogue.commit.make_public_id",
        lambda slug, name, salt=0: 7 if salt == 0 else make_public_id(slug, name, salt),
    )
    assert run.commit(live("x"), live("y")) == Counts(added=2)
    assert {record.id for record in iter_records(run.catalogue)} == {
        encode_public_id(7),
        encode_public_id(make_public_id("a", "y", 1)),
    }


def test_public_ids_are_the_same_in_a_fresh_catalogue(new_catalogue: Callable[[], str]) -> None:
    found = []
    for order in (("x", "y", "oai:a:10"), ("oai:a:10", "x", "y")):
        catalogue = open_catalogue(new_catalogue())
        begin(catalogue, "a").commit(*map(live, order))
        found.append({record.identifier: record.id for record in iter_records(catalogue)})
        catalogue.close()
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 3


@given(st.integers(0, 2**60 - 1))
def test_every_number_has_one_public_id(number: int) -> None:
    text = encode_public_id(number)
    assert len(text) == 12
    assert decode_public_id(text) == number


@given(st.text(min_size=1), st.text(), st.integers(0, 7))
def test_every_identifier_has_a_public_id(slug: str, identifier: str, salt: int) -> None:
    assert 0 <= make_public_id(slug, identifier, salt) < 2**60


@given(st.lists(st.from_regex(r"oai:[ab]?:?[0-9]{0,12}", fullmatch=True), unique=True, max_size=30))
def test_identifiers_that_look_alike_have_ids_of_their_own(names: list[str]) -> None:
    assert len({make_public_id("a", name) for name in names}) == len(names)


@pytest.mark.parametrize("text", ["", "0" * 11, "0" * 13, "ILOU" * 3, "O" * 12, "é" * 12, "00000000000\n", "٣" * 12])
def test_a_text_that_is_no_public_id_has_no_number(text: str) -> None:
    assert decode_public_id(text) is None


def test_deleting_a_member_s_records_makes_tombstones_in_batches(run: Run, clock_: Clock) -> None:
    other = begin_second(run)
    other.commit(live("kept"))
    run.commit(*(live(f"x{number}") for number in range(7)))
    run.commit(gone("x0"))
    clock_.seconds = 5000
    assert delete_records(run.catalogue, run.member, batch=2) == 6
    assert delete_records(run.catalogue, run.member, batch=2) == 0
    found = {record.identifier: (record.deleted, record.datestamp) for record in iter_records(run.catalogue)}
    assert found.pop("kept") == (False, 1000)
    assert found.pop("x0") == (True, 1000)
    assert set(found.values()) == {(True, 5000)}


NUMBERS = count()


@given(
    kinds=st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(["oai_dc", "marc"])), max_size=5),
        max_size=6,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_member_s_counters_are_what_a_count_would_say(
    catalogue: Catalogue, kinds: list[list[tuple[str, bool, str]]]
) -> None:
    run = begin(catalogue, f"a{next(NUMBERS)}")
    for number, kind in enumerate(kinds):
        for prefix in ("oai_dc", "marc"):
            arrived = [live(n, str(number)) if alive else gone(n) for n, alive, form in kind if form == prefix]
            run.commit(*arrived, prefix=prefix)
    if len(kinds) > 4:
        delete_records(catalogue, run.member, batch=2)
    with catalogue.read() as connection:
        status = get_status(connection, run.member)
        rows = connection.execute(select(records.c.deleted).where(records.c.member_id == run.member.id)).scalars().all()
    assert (status.records, status.deleted) == (rows.count(False), rows.count(True))


def test_records_are_walked_in_batches_in_the_order_of_their_numbers(run: Run) -> None:
    run.commit(*(live(f"x{number}") for number in range(25)))
    for batch in (1, 7, 25, 100):
        assert [r.identifier for r in iter_records(run.catalogue, batch=batch)] == [f"x{n}" for n in range(25)]
    assert not list(iter_records(run.catalogue, ["nobody"]))


def test_a_write_survives_the_process_and_a_reader_sees_one_state(run: Run) -> None:
    with run.catalogue.read() as connection:
        before = connection.execute(select(clock.c.last)).scalar_one()
        run.commit(live("x"))
        assert connection.execute(select(clock.c.last)).scalar_one() == before
    with run.catalogue.read() as connection:
        if connection.dialect.name == "sqlite":
            names = ("journal_mode", "synchronous")
            assert [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names] == ["wal", 2]
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    with run.catalogue.write() as connection:
        connection.execute(update(lists).values(token="t"))
    assert run.list_state().token == "t"
    with run.catalogue.read() as connection:
        assert connection.execute(select(problems)).all() == []
