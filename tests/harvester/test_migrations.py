"""A catalogue is created, migrated and recognised; the migrations make what the tables say."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, select, text

from harvester.catalogue import Catalogue, database, open_catalogue
from harvester.catalogue.care import Care
from harvester.catalogue.harvests import list_statuses
from harvester.catalogue.leases import claim_due
from harvester.catalogue.members import get_member
from harvester.catalogue.tables import clock, harvests, members, metadata, problems
from harvester.errors import CatalogueError, ConfigError


def test_the_migrations_make_what_the_tables_say(catalogue: Catalogue) -> None:
    with catalogue.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_clock_has_its_one_row(catalogue: Catalogue) -> None:
    with catalogue.read() as connection:
        assert connection.execute(select(clock.c.id, clock.c.closed, clock.c.last)).all() == [(1, 0, 0)]


def test_opening_again_changes_nothing_and_keeps_what_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'deep' / 'er' / 'catalogue.sqlite'}"
    first = open_catalogue(url)
    with first.write() as connection:
        connection.execute(text("UPDATE clock SET last = 7"))
    first.close()
    second = open_catalogue(url)
    with second.read() as connection:
        assert connection.execute(select(clock.c.last)).scalar_one() == 7
    second.close()


def test_a_catalogue_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    newer = open_catalogue(url)
    with newer.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newer.close()
    with pytest.raises(CatalogueError, match="newer version"):
        open_catalogue(url)


def open_and_count(url: str, start: object, found: object) -> None:
    start.wait()  # type: ignore[attr-defined]  # a barrier of processes
    opened = open_catalogue(url)
    with opened.read() as connection:
        found.put(len(inspect(connection).get_table_names()))  # type: ignore[attr-defined]  # a queue of processes
    opened.close()


def test_several_processes_may_create_one_catalogue_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(4), context.Queue()
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    workers = [context.Process(target=open_and_count, args=(url, start, found)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [found.get() for _ in workers] == [len(metadata.tables) + 1] * 4


def test_a_migration_that_fails_leaves_no_half_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"

    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.execute", fail)  # the last step of the first migration
        with pytest.raises(RuntimeError, match="half-way"):
            open_catalogue(url)
    opened = open_catalogue(url)
    with opened.read() as connection:
        assert connection.execute(select(clock.c.id)).scalar_one() == 1
    opened.close()


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://host/x", "oracle+x://y"])
def test_an_url_of_no_database_that_we_know_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="LUMBUNG_CATALOGUE"):
        open_catalogue(url)


def test_a_file_that_is_no_catalogue_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CatalogueError, match="not a database"):
        open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite'}")
    with pytest.raises(CatalogueError, match="cannot be made"):
        open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite' / 'below' / 'c.sqlite'}")


def test_a_catalogue_of_the_first_schema_becomes_the_present_one_with_nothing_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = create_engine(url)
    old: dict[str, tuple[str, ...]] = {
        "members": (
            "1, 'a', 'A', 'http://Repo.A.example:8080/oai', '[\"oai_dc\"]', '[]', 1, 5, NULL, 2, 1",
            "2, 'b', 'B', 'https://b.example/oai', '[\"marc\"]', '[\"s\"]', 0, 6, 9, 0, 0",
        ),
        "lists": ("1, 1, 'oai_dc', '', 'http://Repo.A.example:8080/oai', '2024-01-01', 3, 'tok', NULL, NULL, 4, 9",),
        "harvests": ("3, 1, 10, 11, 'complete', NULL, '2024-01-01', 1, 2, 3, 4, 5, 6, 7, 8, 9, NULL",),
        "pages": ("4, 3, 1, 'k', 'u', 10, '2024', 200, 5, 3, NULL",),
        "problems": ("5, 3, 4, 'oai:x', 'no title'",),
        "records": ("6, 77, 1, 'oai:x', 6, 12, 12, '2024', 0",),
    }
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in old.items():
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({row})")  # noqa: S608 - the rows above
        before = {table: connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all() for table in old}  # noqa: S608 - as above
    engine.dispose()
    migrated = open_catalogue(url)
    with migrated.read() as connection:
        for table, rows in before.items():
            after = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()  # noqa: S608 - as above
            assert [{name: row[name] for name in rows[0]} for row in after] == [dict(row) for row in rows]
        first, second = connection.execute(select(members).order_by(members.c.id)).all()
        assert (first.host, second.host) == ("repo.a.example", "b.example")
        assert (first.next_run, first.paused, first.rule, first.failures) == (None, False, "1d", 0)
        assert connection.execute(select(problems.c.code)).scalar_one() == "unusable-record"
        assert connection.execute(select(harvests.c.kind)).scalar_one() == "harvest"
        assert get_member(connection, "a").care == Care()
        assert [status.member.slug for status in list_statuses(connection)] == ["a"]
    with migrated.write() as connection:
        claimed = claim_due(connection, "me:1:-1-a", 100)
        assert claimed is not None
        assert claimed.slug == "a"
    migrated.close()
