"""A catalogue is created, migrated and recognised; the migrations make what the tables say."""

from __future__ import annotations

import multiprocessing
import traceback
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from services.postgresql import Server
from sqlalchemy import String, inspect, make_url, select, text

from harvester.catalogue import Catalogue, database, open_catalogue
from harvester.catalogue.care import Care
from harvester.catalogue.harvests import list_statuses
from harvester.catalogue.leases import claim_due
from harvester.catalogue.members import get_member
from harvester.catalogue.tables import clock, harvests, members, metadata, problems
from harvester.errors import CatalogueError, CatalogueUnavailableError, ConfigError


@pytest.fixture
def empty(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'deep' / 'er' / 'catalogue.sqlite'}"
    return str(request.getfixturevalue("postgresql").new_database())


def test_the_migrations_make_what_the_tables_say(catalogue: Catalogue) -> None:
    with catalogue.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_clock_has_its_one_row(catalogue: Catalogue) -> None:
    with catalogue.read() as connection:
        assert connection.execute(select(clock.c.id, clock.c.closed, clock.c.last)).all() == [(1, 0, 0)]


def test_opening_again_changes_nothing_and_keeps_what_is_there(empty: str) -> None:
    first = open_catalogue(empty)
    with first.write() as connection:
        connection.execute(text("UPDATE clock SET last = 7"))
    first.close()
    second = open_catalogue(empty)
    with second.read() as connection:
        assert connection.execute(select(clock.c.last)).scalar_one() == 7
    second.close()


def test_a_catalogue_of_a_newer_version_is_left_alone(empty: str) -> None:
    newer = open_catalogue(empty)
    with newer.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newer.close()
    with pytest.raises(CatalogueError, match="newer version"):
        open_catalogue(empty)


def open_and_count(url: str, start: object, found: object) -> None:
    start.wait()  # type: ignore[attr-defined]  # a barrier of processes
    opened = open_catalogue(url)
    with opened.read() as connection:
        found.put(len(inspect(connection).get_table_names()))  # type: ignore[attr-defined]  # a queue of processes
    opened.close()


def test_several_processes_may_create_one_catalogue_at_once(empty: str) -> None:
    context = multiprocessing.get_context("fork")
    start, found = context.Barrier(4), context.Queue()
    workers = [context.Process(target=open_and_count, args=(empty, start, found)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [found.get() for _ in workers] == [len(metadata.tables) + 1] * 4


def test_a_migration_that_fails_leaves_no_half_schema(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("half-way")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.execute", fail)  # the last step of the first migration
        with pytest.raises(RuntimeError, match="half-way"):
            open_catalogue(empty)
    opened = open_catalogue(empty)
    with opened.read() as connection:
        assert connection.execute(select(clock.c.id)).scalar_one() == 1
    opened.close()


URLS = (
    "", "nonsense", "sqlite://", "sqlite:///:memory:", "sqlite+nosuch:///x", "mysql://host/x", "oracle+x://y",
    "postgresql+asyncpg://me:s3cret@h/x", "postgresql://me:s3cret@h:port/x", "postgresql://me:s3c/ret@h:1:2/x",
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_an_url_of_no_database_that_we_know_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="LUMBUNG_CATALOGUE") as refusal:
        open_catalogue(url)
    assert "s3c" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.service
def test_a_server_that_cannot_be_used_is_said_so_without_the_password(postgresql: Server) -> None:
    there = make_url(postgresql.new_database()).set(password="s3cret")
    nowhere = there.set(port=1)
    for url in (nowhere, there.set(database="nosuch"), there.update_query_dict({"sslmode": "require"})):
        with pytest.raises(CatalogueUnavailableError, match="the catalogue does not answer: connection failed") as told:
            open_catalogue(url.render_as_string(hide_password=False))
        assert "s3cret" not in "".join(traceback.format_exception(told.value))
    with pytest.raises(ConfigError, match="keeps its texts as LATIN1"):
        open_catalogue(postgresql.new_database("LATIN1"))


@pytest.mark.service
def test_texts_are_sorted_by_their_bytes_whatever_the_language_of_the_database(postgresql: Server) -> None:
    """And an index of texts outlives a new version of the system's rules for sorting."""
    opened = open_catalogue(postgresql.new_database())
    with opened.read() as connection:
        columns = [(table.name, column["name"], column["type"]) for table in metadata.sorted_tables
                   for column in inspect(connection).get_columns(table.name)]  # fmt: skip
    opened.close()
    texts = {(table, name): kind.collation for table, name, kind in columns if isinstance(kind, String)}
    assert len(texts) > 50
    assert set(texts.values()) == {"C"}


def test_a_file_that_is_no_catalogue_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(CatalogueError, match="not a database"):
        open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite'}")
    with pytest.raises(CatalogueError, match="cannot be made"):
        open_catalogue(f"sqlite:///{tmp_path / 'c.sqlite' / 'below' / 'c.sqlite'}")


def test_a_catalogue_of_the_first_schema_becomes_the_present_one_with_nothing_lost(empty: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    before_us = Catalogue(database._make_engine(empty, 60))
    old: dict[str, tuple[str, ...]] = {
        "members": (
            "1, 'a', 'A', 'http://Repo.A.example:8080/oai', '[\"oai_dc\"]', '[]', TRUE, 5, NULL, 2, 1",
            "2, 'b', 'B', 'https://b.example/oai', '[\"marc\"]', '[\"s\"]', FALSE, 6, 9, 0, 0",
        ),
        "lists": ("1, 1, 'oai_dc', '', 'http://Repo.A.example:8080/oai', '2024-01-01', 3, 'tok', NULL, NULL, 4, 9",),
        "harvests": ("3, 1, 10, 11, 'complete', NULL, '2024-01-01', 1, 2, 3, 4, 5, 6, 7, 8, 9, NULL",),
        "pages": ("4, 3, 1, 'k', 'u', 10, '2024', 200, 5, 3, NULL",),
        "problems": ("5, 3, 4, 'oai:x', 'no title'",),
        "records": ("6, 77, 1, 'oai:x', 6, 12, 12, '2024', FALSE",),
    }
    with before_us.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in old.items():
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({row})")  # noqa: S608 - the rows above
        before = {table: connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all() for table in old}  # noqa: S608 - as above
    before_us.close()
    migrated = open_catalogue(empty)
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
