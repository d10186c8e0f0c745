"""An index is built anew while the present one is searched, whatever happens meanwhile, on either engine."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from filling import fill

from harvester.catalogue import Catalogue
from harvester.errors import EngineError
from harvester.settings import Settings
from indexer import build
from indexer.build import BuildCounts, advance, forget_works, rebuild
from indexer.cli import reindex
from indexer.document import Document, Holder
from indexer.engine import Engine
from indexer.engine.opening import open_engine
from indexer.query import SearchRequest, Term

TITLE = "Pengelolaan air tanah di kawasan pesisir utara Jawa"
AIR = {"title": [TITLE], "creator": ["Santoso, Budi"], "date": ["2019"]}


@pytest.fixture
def database() -> str:
    """The index is what matters here, not the kind of catalogue."""
    return "sqlite"


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.service)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An installation with either engine; its catalogue is the fixture `catalogue`."""
    if request.param == "embedded":
        return Settings(home=tmp_path)
    return Settings(home=tmp_path, engine=request.getfixturevalue("elasticsearch_index"), engine_replicas=0)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An engine with no index."""
    with closing(open_engine(settings)) as opened:
        yield opened


def holders(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Every document's records, by its id."""
    documents = [engine.get(each) for each in engine.iter_ids()]
    return {each.id: tuple(holder.record for holder in each.holders) for each in documents if each}


def test_a_rebuilt_index_holds_the_same_and_what_came_meanwhile(
    catalogue: Catalogue, engine: Engine, settings: Settings
) -> None:
    fill(catalogue, "a", [("1", AIR), ("2", {"title": ["Kota"]})])
    fill(catalogue, "b", [("1", AIR)])
    advance(catalogue, engine)
    before = holders(engine)
    with closing(open_engine(settings)) as reader:

        def meanwhile(_done: int, _total: int | None) -> None:
            assert reader.search(SearchRequest(Term("kota"))).total == 1
            fill(catalogue, "c", [("1", {"title": ["Desa"]})])

        forget_works(catalogue)
        counts = rebuild(catalogue, engine, progress=meanwhile)
        assert counts == BuildCounts(records=3, documents=2, deletions=1)
        after = holders(engine)
        assert {key: after[key] for key in before} == before
        assert len(after) == 3
        assert reader.search(SearchRequest(Term("desa"))).total == 1


def test_what_comes_before_the_swap_is_no_reason_to_refuse_it(
    catalogue: Catalogue, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalogue, "a", [("1", AIR)])
    find_difference = build._find_difference

    def harvested_first(*tiers: Any) -> str | None:
        fill(catalogue, "b", [(str(number), {"title": [f"Kota {number}"]}) for number in range(30)])
        return find_difference(*tiers)

    monkeypatch.setattr(build, "_find_difference", harvested_first)
    rebuild(catalogue, engine)
    assert engine.count() == 31


_KILLED = """
import os, signal, sys
from harvester.catalogue import open_catalogue
from harvester.settings import Settings
from indexer import build
from indexer.engine.opening import open_engine

home, address, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
build._RECORDS_AT_ONCE = build._KEPT = build._WORKS_AT_ONCE = 20

def count(frame, event, argument):
    global left
    if "/harvester/" in frame.f_code.co_filename or "/indexer/" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

catalogue = open_catalogue(f"sqlite:///{home}/catalogue.sqlite")
engine = open_engine(Settings(home=home, engine=address, engine_replicas=0))
sys.setprofile(count)
print(build.rebuild(catalogue, engine).documents)
"""


def test_a_rebuild_killed_at_any_moment_goes_on_and_searches_find_the_former_index_until_it_is_done(
    catalogue: Catalogue, engine: Engine, settings: Settings
) -> None:
    fill(catalogue, "a", [(str(number), AIR | {"title": [f"{TITLE} {number}"]}) for number in range(200)])
    advance(catalogue, engine)
    before = holders(engine)
    engine.close()
    written: list[int] = []
    kills, calls = 0, 500
    while True:
        child = subprocess.run(
            [sys.executable, "-c", _KILLED, str(settings.home), settings.engine, str(calls)],
            check=False,
            capture_output=True,
            text=True,
        )
        if child.returncode == 0:
            assert int(child.stdout) < 200
            break
        assert child.returncode == -signal.SIGKILL, child.stderr
        assert holders(engine) == before
        with closing(engine.beside()) as beside:
            if written[-1:] > [beside.watermark()]:  # killed after the swap
                break
            written.append(beside.watermark())
        kills += 1
        calls *= 3
    assert kills >= 4
    assert len(set(written) - {0}) >= 2
    assert holders(engine) == before
    assert advance(catalogue, engine) == BuildCounts()


def stranger(number: int) -> Document:
    """A work that no catalogue knows."""
    return Document(f"zzz{number}", (Holder(f"zzz{number}", "z"),))


def test_a_new_index_that_differs_from_the_present_one_is_not_swapped_in_unless_forced(
    catalogue: Catalogue, engine: Engine
) -> None:
    fill(catalogue, "a", [(str(number), {"title": [f"Kota {number}"]}) for number in range(100)])
    advance(catalogue, engine)
    engine.write([stranger(1), stranger(2)], (), engine.watermark())
    rebuild(catalogue, engine)  # two of 102 are tolerated
    assert engine.count() == 100
    engine.write([stranger(number) for number in range(3)], (), engine.watermark())
    with pytest.raises(EngineError, match=r"holds 100 works, and the present one 103; .*--force"):
        rebuild(catalogue, engine)
    assert engine.count() == 103
    rebuild(catalogue, engine, force=True)
    assert engine.count() == 100


def test_a_new_index_that_differs_from_the_catalogue_is_not_swapped_in_and_can_be_built_again(
    catalogue: Catalogue, engine: Engine
) -> None:
    fill(catalogue, "a", [(str(number), {"title": [f"Kota {number}"]}) for number in range(100)])
    with closing(engine.beside()) as beside:  # as if the catalogue had been set back since
        beside.write([stranger(1)], (), 10**6)
    with pytest.raises(EngineError, match=r"holds 1 works, and the catalogue 100; .*--anew"):
        rebuild(catalogue, engine)
    rebuild(catalogue, engine, anew=True)
    assert engine.count() == 100


def test_what_an_index_that_lags_behind_has_not_seen_yet_is_no_difference(catalogue: Catalogue, engine: Engine) -> None:
    fill(catalogue, "a", [(str(number), {"title": [f"Kota {number}"]}) for number in range(100)])
    advance(catalogue, engine)
    fill(catalogue, "a", [(str(number), None) for number in range(40)])
    fill(catalogue, "b", [(str(number), {"title": [f"Desa {number}"]}) for number in range(10)])
    rebuild(catalogue, engine)
    assert engine.count() == 70


def test_the_command_says_why_it_was_refused_and_what_goes_on(
    catalogue: Catalogue, engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "engine", "engine_replicas"):
        monkeypatch.setenv(f"LUMBUNG_{name.upper()}", str(getattr(settings, name)))
    fill(catalogue, "a", [(str(number), {"title": [f"Kota {number}"]}) for number in range(10)])
    advance(catalogue, engine)
    engine.write([stranger(1)], (), engine.watermark())
    engine.close()
    run = CliRunner()
    refused = run.invoke(reindex, [])
    assert isinstance(refused.exception, EngineError)
    assert "the present one 11" in str(refused.exception)
    assert run.invoke(reindex, ["--force"]).output.endswith("the index holds 10 works.\n")
    assert run.invoke(reindex, ["--works", "--anew"]).output.endswith("the index holds 10 works.\n")
