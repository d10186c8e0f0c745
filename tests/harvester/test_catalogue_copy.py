"""A catalogue moves between the databases with nothing lost, or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from services.postgresql import NewCatalogue, Server
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from harvester.catalogue import Catalogue, copying, open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.copying import copy_catalogue
from harvester.catalogue.database import insert_rows
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import clock, forms, leases, members, metadata, records, work_changes
from harvester.catalogue_cli import catalogue as commands
from harvester.errors import CatalogueError, ConfigError
from harvester.oai.page import Header, Page, Record
from harvester.owners import new_owner

ROWS = 3
LARGE = 2500  # records: more than are copied at once


def fill(catalogue: Catalogue) -> None:
    """Rows in every table, with and without what may be absent, and every kind of value."""
    with catalogue.write() as connection:
        connection.execute(update(clock).values(closed=1_700_000_000, last=1_700_000_005))
        for table in metadata.sorted_tables:
            if table is not clock:
                connection.execute(insert(table), [row_of(table, number) for number in range(1, ROWS + 1)])
        more = [row_of(records, number) | {"member_id": 1} for number in range(ROWS + 1, LARGE + 1)]
        connection.execute(insert(records), more)


def row_of(table: Table, number: int) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in table.c:
        if column.foreign_keys:
            row[column.name] = number
        elif column.nullable and number % 2:
            row[column.name] = None
        elif isinstance(column.type, JSON):
            row[column.name] = ["é", number, {"ü": None}, "\\u0000 \U0001f600"]
        elif isinstance(column.type, Boolean):
            row[column.name] = bool(number % 2)
        elif isinstance(column.type, Float):
            row[column.name] = 0.1 * number
        elif isinstance(column.type, Integer):
            row[column.name] = number if column.name in {"id", "strikes", "status"} else number * 10
        elif isinstance(column.type, LargeBinary):
            row[column.name] = bytes([number, 0, 255]) * 5 + b"x"
        else:
            row[column.name] = f"{number}é\N{SNOWMAN}\n"[: getattr(column.type, "length", None) or 100]
    return row


def content(catalogue: Catalogue) -> dict[str, list[Any]]:
    with catalogue.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
        }


def nothing(_table: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def sqlite(tmp_path: Path, migrated: Path) -> str:
    path = tmp_path / "here.sqlite"
    path.write_bytes(migrated.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def other(postgresql: Server) -> Iterator[str]:
    url = postgresql.new_catalogue()
    yield url
    postgresql.give_back(url)


def run(*arguments: str) -> tuple[int, str, Exception | None]:
    result = CliRunner().invoke(commands, ["copy", *arguments])
    error = result.exception if isinstance(result.exception, Exception) else None
    return result.exit_code, result.stdout, error


@pytest.mark.service
@pytest.mark.parametrize("back", [False, True])
def test_every_table_comes_along_and_new_rows_get_numbers_behind_them(sqlite: str, other: str, *, back: bool) -> None:
    source, target = (other, sqlite) if back else (sqlite, other)
    with closing(open_catalogue(source)) as former:
        fill(former)
        before = content(former)
    assert all(before.values())
    status, output, error = run(source, target, "--json")
    assert (status, error) == (0, None)
    told = {each["table"]: each for each in map(json.loads, output.splitlines())}
    assert {name: each["rows"] for name, each in told.items()} == {name: len(rows) for name, rows in before.items()}
    with closing(open_catalogue(target)) as new:
        assert content(new) == before
        commit_one(new)
        assert len(content(new)["records"]) == LARGE + 1
        status, _, error = run(source, target)
        assert status == 1
        assert isinstance(error, ConfigError)
        assert "is not empty" in str(error)
        assert len(content(new)["records"]) == LARGE + 1
    # And there and back again: the checksums are the same of both databases.
    with closing(open_catalogue(source)) as former:
        assert content(former) == before
        with former.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            connection.execute(insert(clock).values(id=1, closed=0, last=0))
        with closing(open_catalogue(target)) as new:
            copied = {each.name: each for each in copy_catalogue(new, former, nothing)}
    same = {name for name, each in told.items() if copied[name].checksum == each["checksum"]}
    assert told.keys() - same == {"clock", "members", "lists", "harvests", "pages", "records", "forms"}  # by commit_one


def commit_one(catalogue: Catalogue) -> None:
    """A run with one new record, as any harvest makes."""
    with catalogue.write() as connection:
        member = add_member(connection, Member("new", "New", "http://new.example/oai"), 1)
        harvest_id = begin_harvest(connection, member, 1)
        (state,) = get_lists(connection, harvest_id)
    commit_page(
        catalogue,
        harvest_id=harvest_id,
        member=member,
        list_id=state.id,
        prefix="oai_dc",
        page=Page("ListRecords", "", (Record(Header("oai:new:1", ""), b"<a/>", b"0" * 16),)),
        fetched=Fetched("k", "u", 200, 1, 1),
    )


def test_an_empty_catalogue_may_be_copied_and_one_that_is_not_there_may_not(
    new_catalogue: NewCatalogue, tmp_path: Path
) -> None:
    one, other = new_catalogue(), new_catalogue()
    assert run(one, other)[0] == 0
    missing = tmp_path / "none.sqlite"
    assert "there is no catalogue at" in str(run(f"sqlite:///{missing}", other)[2])
    assert not missing.exists()


def test_a_catalogue_that_somebody_harvests_into_is_not_copied(new_catalogue: NewCatalogue) -> None:
    with closing(open_catalogue(new_catalogue())) as source, closing(open_catalogue(new_catalogue())) as target:
        with source.write() as connection:
            connection.execute(insert(leases).values(host="h", owner=new_owner(), until=source.now() + 100))
        with pytest.raises(ConfigError, match=f"process .*:{os.getpid()} harvests"):
            copy_catalogue(source, target, nothing)
        with source.write() as connection:
            connection.execute(update(leases).values(until=source.now() - 1))
        copy_catalogue(source, target, nothing)


def test_a_copy_that_fails_or_differs_leaves_the_target_empty(
    sqlite: str, new_catalogue: NewCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(table: str, _done: int, _total: int) -> None:
        if table == "records":
            raise CatalogueError("away")

    def spoil(connection: Connection, table: Table, rows: list[list[object]]) -> None:
        at = table.c.keys().index("set_specs") if table is forms else 0
        insert_rows(connection, table, [[*row[:at], "other", *row[at + 1 :]] if at else row for row in rows])

    with closing(open_catalogue(sqlite)) as source, closing(open_catalogue(new_catalogue())) as target:
        fill(source)
        with pytest.raises(CatalogueError, match="away"):
            copy_catalogue(source, target, fail)
        with monkeypatch.context() as patched:
            patched.setattr(copying, "insert_rows", spoil)
            with pytest.raises(CatalogueError, match="forms differs in the copy"):
                copy_catalogue(source, target, nothing)
        with target.read() as connection:
            assert connection.execute(select(func.count()).select_from(members)).scalar() == 0
            assert connection.execute(select(clock.c.id)).scalar() == 1
        copy_catalogue(source, target, nothing)
        assert content(target) == content(source)


def test_texts_that_postgresql_does_not_keep_come_along_without_what_it_refuses(sqlite: str, other: str) -> None:
    with closing(open_catalogue(sqlite)) as source, closing(open_catalogue(other)) as target:
        with source.write() as connection:
            add_member(connection, Member("a", "a", "http://a.example/oai"), 1)
            connection.execute(update(members).values(halted="x\0y"))
        copy_catalogue(source, target, nothing)
        with target.read() as connection:
            assert connection.execute(select(members.c.halted)).scalar() == "x\ufffdy"


def test_a_copy_that_is_killed_leaves_the_target_empty(sqlite: str, new_catalogue: NewCatalogue) -> None:
    target = new_catalogue()
    with closing(open_catalogue(sqlite)) as source:
        fill(source)
        with source.write() as connection:
            rows = [{"work_id": 10**6 + n, "change": 10**6 + n} for n in range(10_000)]
            connection.execute(insert(work_changes), rows)
    command = [sys.executable, "-c", _KILLED, sqlite, target]
    killed = subprocess.run(command, check=False, cwd=Path(__file__).resolve().parents[2], timeout=100)
    assert killed.returncode == -signal.SIGKILL
    with closing(open_catalogue(target)) as new, new.read() as connection:
        assert connection.execute(select(members.c.id)).all() == []
    assert run(sqlite, target)[0] == 0


_KILLED = """
import os, signal, sys
from harvester.catalogue import copying
real, count = copying.insert_rows, iter(range(5))

def insert_rows(*given):
    real(*given)
    if given[1].name == "work_changes" and next(count) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

copying.insert_rows = insert_rows
from web.cli import main
sys.argv = ["lumbung", "catalogue", "copy", *sys.argv[1:]]
main()
"""
