"""The index follows the catalogue: joined, parted, deleted, killed and run again, it ends right."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest
from click.testing import CliRunner
from filling import Values, fill

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.members import get_member, mark_removed
from harvester.catalogue.records import CataloguedRecord, iter_records
from indexer.build import BuildCounts, advance
from indexer.cli import index, records, reindex
from indexer.crosswalks import describe
from indexer.document import Holder
from indexer.engine.embedded import EmbeddedEngine
from indexer.unite import document_of

TITLE = "Pengelolaan air tanah di kawasan pesisir utara Jawa"
AIR: Values = {
    "title": [TITLE],
    "creator": ["Santoso, Budi"],
    "date": ["2019"],
    "description": ["Kajian ini mengukur muka air tanah di enam belas sumur pantau selama dua musim kemarau."],
    "identifier": ["http://a.example/1"],
}
CAPITALS = AIR | {"title": [TITLE.upper()], "description": [], "subject": ["Air"], "identifier": ["http://b.example/9"]}

State = dict[str, tuple[str, ...]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    """An engine with no index."""
    opened = EmbeddedEngine(tmp_path / "index")
    yield opened
    opened.close()


def state(engine: EmbeddedEngine) -> State:
    """Every document's holders, by its id."""
    documents = [engine.get(each) for each in engine.iter_ids()]
    return {d.id: tuple(holder.record for holder in d.holders) for d in documents if d}


def works(catalogue: Catalogue) -> set[frozenset[str]]:
    """The works as sets of identifiers, live records only."""
    found: dict[int, set[str]] = {}
    for record in iter_records(catalogue):
        if not record.deleted:
            found.setdefault(record.work, set()).add(f"{record.member}/{record.identifier}")
    return {frozenset(work) for work in found.values()}


def by_name(catalogue: Catalogue) -> dict[str, CataloguedRecord]:
    """Every record by member and identifier."""
    return {f"{record.member}/{record.identifier}": record for record in iter_records(catalogue)}


def test_a_work_of_two_members_is_one_document_with_two_holders(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    fill(catalogue, "b", [("9", CAPITALS)])
    fill(catalogue, "a", [("1", AIR), ("2", {"title": ["Kota"]})])
    assert advance(catalogue, engine) == BuildCounts(records=3, documents=2, deletions=1)
    named = by_name(catalogue)
    document = engine.get(named["b/9"].id)
    assert document is not None
    assert document.title == TITLE
    assert document.subjects == ("Air",)
    assert document.holders == (
        Holder(named["b/9"].id, "b", "http://b.example/9"),
        Holder(named["a/1"].id, "a", "http://a.example/1"),
    )
    assert document.added == min(named["a/1"].added, named["b/9"].added)
    assert engine.get(named["a/1"].id) is None
    assert engine.count() == 2


def test_a_build_that_has_nothing_to_do_does_nothing(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    assert advance(catalogue, engine) == BuildCounts()
    fill(catalogue, "a", [("1", AIR)])
    advance(catalogue, engine)
    before = engine.watermark()
    assert advance(catalogue, engine) == BuildCounts()
    fill(catalogue, "a", [("1", AIR)])  # received again, unchanged
    assert advance(catalogue, engine) == BuildCounts()
    assert engine.watermark() == before > 0


def test_a_deleted_record_parts_and_the_rest_keeps_the_work(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    fill(catalogue, "a", [("1", AIR)])
    fill(catalogue, "b", [("1", AIR)])
    fill(catalogue, "c", [("1", CAPITALS)])
    advance(catalogue, engine)
    named = by_name(catalogue)
    assert state(engine) == {named["a/1"].id: (named["a/1"].id, named["b/1"].id, named["c/1"].id)}
    fill(catalogue, "a", [("1", None)])
    assert advance(catalogue, engine) == BuildCounts(records=1, documents=1, deletions=1)
    assert state(engine) == {named["b/1"].id: (named["b/1"].id, named["c/1"].id)}
    assert by_name(catalogue)["a/1"].work == named["a/1"].number
    fill(catalogue, "a", [("1", AIR)])
    advance(catalogue, engine)
    assert state(engine) == {named["a/1"].id: (named["a/1"].id, named["b/1"].id, named["c/1"].id)}
    for slug in "abc":
        fill(catalogue, slug, [("1", None)])
    advance(catalogue, engine)
    assert state(engine) == {}


def test_a_record_that_changes_leaves_its_work_and_joins_another(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    other = AIR | {"title": ["Penangkapan ikan dengan bubu di Selat Madura"]}
    fill(catalogue, "a", [("1", AIR), ("2", other)])
    fill(catalogue, "b", [("1", AIR)])
    advance(catalogue, engine)
    fill(catalogue, "b", [("1", other)])
    advance(catalogue, engine)
    assert works(catalogue) == {frozenset({"a/1"}), frozenset({"a/2", "b/1"})}
    named = by_name(catalogue)
    assert state(engine) == {
        named["a/1"].id: (named["a/1"].id,),
        named["a/2"].id: (named["a/2"].id, named["b/1"].id),
    }


def test_a_second_record_of_a_member_under_the_same_key_parts_what_the_key_had_joined(
    catalogue: Catalogue, engine: EmbeddedEngine
) -> None:
    fill(catalogue, "a", [("1", AIR)])
    fill(catalogue, "b", [("1", AIR)])
    advance(catalogue, engine)
    fill(catalogue, "b", [("2", AIR)])
    advance(catalogue, engine)
    assert works(catalogue) == {frozenset({"a/1"}), frozenset({"b/1"}), frozenset({"b/2"})}
    fill(catalogue, "b", [("2", None)])
    advance(catalogue, engine)
    assert works(catalogue) == {frozenset({"a/1", "b/1"})}


def test_a_key_of_more_than_fifty_records_joins_nothing_until_it_is_rarer(
    catalogue: Catalogue, engine: EmbeddedEngine
) -> None:
    for number in range(50):
        fill(catalogue, f"m{number}", [("1", AIR)])
    advance(catalogue, engine)
    assert len(works(catalogue)) == 1
    fill(catalogue, "m50", [("1", AIR)])
    advance(catalogue, engine)
    assert len(works(catalogue)) == engine.count() == 51
    fill(catalogue, "m7", [("1", None)])
    advance(catalogue, engine)
    assert len(works(catalogue)) == engine.count() == 1


def test_the_works_do_not_depend_on_the_order_of_arrival(tmp_path: Path, new_catalogue: Callable[[], str]) -> None:
    arrivals: dict[str, Values] = {
        "a": AIR,
        "b": AIR | {"title": [f"{TITLE}: studi kasus Demak"], "identifier": ["10.5555/x.1"]},
        "c": CAPITALS | {"date": ["2020"]},
        "d": {"title": ["Groundwater"], "identifier": ["https://doi.org/10.5555/X.1"]},
    }
    outcomes = []
    for turn, order in enumerate(list(permutations(arrivals))[::3]):
        catalogue = open_catalogue(new_catalogue())
        engine = EmbeddedEngine(tmp_path / f"index{turn}")
        for slug in order:
            fill(catalogue, slug, [("1", arrivals[slug])])
            if turn % 2:
                advance(catalogue, engine)
        advance(catalogue, engine)
        outcomes.append(works(catalogue))
        engine.close()
        catalogue.close()
    assert all(outcome == {frozenset({"a/1", "b/1", "c/1", "d/1"})} for outcome in outcomes)


def test_joining_changes_no_datestamp(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    fill(catalogue, "a", [("1", AIR)])
    fill(catalogue, "b", [("1", AIR)])
    before = {name: record.datestamp for name, record in by_name(catalogue).items()}
    advance(catalogue, engine)
    named = by_name(catalogue)
    assert named["b/1"].work == named["a/1"].number
    assert {name: record.datestamp for name, record in named.items()} == before


def test_progress_ends_with_everything_done(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    fill(catalogue, "a", [(str(number), {"title": [f"Karya {number}"]}) for number in range(2500)])
    heard: list[tuple[int, int | None]] = []
    advance(catalogue, engine, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (2500, 2500)


def test_a_record_that_says_nothing_is_in_the_index_all_the_same(catalogue: Catalogue, engine: EmbeddedEngine) -> None:
    fill(catalogue, "a", [("1", {})])
    advance(catalogue, engine)
    assert [engine.get(each).title for each in engine.iter_ids()] == [""]  # type: ignore[union-attr]  # it is there


_KILLED = """
import os, signal, sys
from pathlib import Path
from harvester.catalogue import open_catalogue
from indexer.build import advance
from indexer.engine.embedded import EmbeddedEngine

place, left, url = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def count(frame, event, argument):
    global left
    if "/harvester/" in frame.f_code.co_filename or "/indexer/" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

catalogue = open_catalogue(url)
engine = EmbeddedEngine(place / "index")
sys.setprofile(count)
advance(catalogue, engine)
"""


def test_a_build_killed_at_any_call_goes_on_and_ends_right(
    tmp_path: Path, catalogue: Catalogue, catalogue_url: str, engine: EmbeddedEngine
) -> None:
    titled = [
        (str(number), AIR | {"title": [f"{TITLE}, stasiun {number}"], "language": ["id"]}) for number in range(30)
    ]
    fill(catalogue, "a", titled)
    fill(catalogue, "b", titled[:20])
    kills, calls = 0, 150
    while True:
        child = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), str(calls), catalogue_url], check=False)
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
        kills += 1
        calls *= 3
        if kills == 3:
            fill(catalogue, "c", titled[5:])
    assert kills >= 4
    assert advance(catalogue, engine) == BuildCounts()
    fresh = EmbeddedEngine(tmp_path / "fresh")
    advance(catalogue, fresh)
    assert state(engine) == state(fresh)
    assert sorted(map(len, state(engine).values())) == [2] * 15 + [3] * 15
    fresh.close()


def test_the_fullest_record_is_shown_and_completed_without_near_doubles(catalogue: Catalogue) -> None:
    fill(catalogue, "a", [("1", CAPITALS | {"creator": ["SANTOSO, B.", "Wulandari, Ratna"], "type": ["Article"]})])
    fill(catalogue, "b", [("1", AIR | {"subject": ["air", "Demak"], "contributor": ["Ratna Wulandari"]})])
    fill(catalogue, "c", [("1", AIR | {"rights": ["info:eu-repo/semantics/openAccess"], "language": ["id"]})])
    pairs = [(record, describe(record, this_year=2026)) for record in iter_records(catalogue)]
    document = document_of(pairs, public_id=pairs[0][0].id)
    assert document.title == TITLE
    assert [text.value for text in document.titles] == [TITLE]
    assert document.creators == ("Santoso, Budi", "Wulandari, Ratna")
    assert document.contributors == ()
    assert document.subjects == ("air", "Demak")
    assert document.type == "article"
    assert document.access == "open"
    assert document.languages == ("id",)
    assert document.members == ("a", "b", "c")
    assert len(document.abstracts) == 1


def test_the_commands_index_rebuild_and_list(
    tmp_path: Path, catalogue: Catalogue, catalogue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    monkeypatch.setenv("LUMBUNG_CATALOGUE", catalogue_url)
    monkeypatch.chdir(tmp_path)
    fill(catalogue, "a", [("1", AIR | {"type": ["Skripsi"], "language": ["id"]}), ("2", {"title": ["Kota"]})])
    fill(catalogue, "b", [("1", CAPITALS)])
    fill(catalogue, "a", [("2", None)])
    run = CliRunner()
    assert run.invoke(index, []).output == "3 records read, 1 works written, 2 are no more; the index holds 1 works.\n"
    assert run.invoke(reindex, ["--works"]).output.endswith("the index holds 1 works.\n")
    lines = [json.loads(line) for line in run.invoke(records, ["--json"]).stdout.splitlines()]
    named = by_name(catalogue)
    assert [(line["member"], line["identifier"], line["deleted"]) for line in lines] == [
        ("a", "1", False),
        ("a", "2", True),
        ("b", "1", False),
    ]
    assert lines[0] == {
        "member": "a",
        "identifier": "1",
        "id": named["a/1"].id,
        "work": named["a/1"].id,
        "datestamp": lines[0]["datestamp"],
        "source_datestamp": "2026-01-01T00:00:00Z",
        "deleted": False,
        "title": TITLE,
        "year": 2019,
        "type": "thesis",
        "language": "id",
        "url": "http://a.example/1",
        "fulltext": False,
    }
    assert lines[0]["datestamp"].endswith("Z")
    assert lines[2]["work"] == named["a/1"].id
    table = run.invoke(records, ["b"]).output.splitlines()
    assert len(table) == 1
    assert TITLE.upper() in table[0]
    assert run.invoke(records, ["nobody"]).exception is not None
    with catalogue.write() as connection:
        mark_removed(connection, get_member(connection, "b"), 9)
    assert run.invoke(records, ["b"]).output.splitlines() == table
