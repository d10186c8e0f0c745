"""Who writes to SQLite: one at a time, on one lasting connection of a process."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.tables import cursors
from harvester.errors import CatalogueError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(path: Path) -> Iterator[Catalogue]:
    with closing(open_catalogue(f"sqlite:///{path}")) as opened:
        yield opened


def add(connection: Connection, name: str) -> None:
    connection.execute(insert(cursors).values(name=name, datestamp=1, record_id=1))


def driver_of(connection: Connection) -> object:
    return connection.connection.driver_connection


def count(catalogue: Catalogue) -> int:
    with catalogue.read() as connection:
        found: int = connection.execute(select(func.count()).select_from(cursors)).scalar_one()
    return found


def test_all_writes_go_over_one_connection_until_one_of_them_fails(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        first = driver_of(connection)
    with catalogue.write() as connection:
        assert driver_of(connection) is first
    before = count(catalogue)
    with pytest.raises(KeyboardInterrupt), catalogue.write() as connection:  # noqa: PT012 - what a block raises is the matter
        add(connection, "lost")
        raise KeyboardInterrupt
    with catalogue.write() as connection:
        assert driver_of(connection) is not first
        add(connection, "kept")
    assert count(catalogue) == before + 1


def test_a_transaction_that_is_left_unfinished_spoils_no_later_write(catalogue: Catalogue) -> None:
    with pytest.raises(CatalogueError), catalogue.write() as connection:  # noqa: PT012 - as above
        connection.connection.driver_connection.execute("COMMIT")  # type: ignore[union-attr]  # sqlite3's
        connection.connection.driver_connection.execute("no statement")  # type: ignore[union-attr]
    with catalogue.write() as connection:
        add(connection, "kept")


def test_nobody_writes_behind_the_end_of_a_transaction(catalogue: Catalogue, path: Path) -> None:
    with catalogue.write() as connection:
        kept = connection
    with pytest.raises(CatalogueError, match="outside of its transaction"):
        kept.execute(text("SELECT 1"))
    with closing(open_catalogue(f"sqlite:///{path}")) as other, other.write() as connection:
        add(connection, "other")
    with catalogue.write() as connection:
        add(connection, "own")


def test_two_catalogues_of_a_process_take_turns(catalogue: Catalogue, path: Path) -> None:
    with (
        closing(open_catalogue(f"sqlite:///{path}")) as other,
        catalogue.write(),
        path.with_name(f"{path.name}-writer").open() as file,
    ):
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert count(other) == count(catalogue)


def test_closing_does_not_wait_for_a_writer_for_long(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        begin = time.monotonic()
        catalogue.close()
        assert time.monotonic() - begin < 20
        add(connection, "kept")
    with catalogue.write() as connection:
        add(connection, "later")
