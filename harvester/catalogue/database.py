"""Opening the catalogue: durable transactions, one writer at a time, migrated to the present schema."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from time import time
from typing import Any, BinaryIO, TypeAlias

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable, Table, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from harvester.errors import CatalogueError, ConfigError

_MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA_VERSION = "0002"  # the newest of the migrations


class Catalogue:
    """Access to the catalogue. Safe for use by many threads; `now` gives the time in seconds since 1970."""

    def __init__(self, engine: Engine, now: Callable[[], float] = time) -> None:
        self.engine = engine
        self._now = now
        sqlite = engine.dialect.name == "sqlite" and engine.url.database
        self._alone = _WriterLock(Path(f"{engine.url.database}-writer")).held if sqlite else nullcontext

    def now(self) -> int:
        """The present second of this installation's clock."""
        return int(self._now())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the catalogue throughout.

        Raises:
            CatalogueError: the database cannot be reached.
        """
        with _named_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable once the block has ended, and undone if it raises.

        Raises:
            CatalogueError: the database cannot be reached or refuses.
        """
        with (
            self._alone(),
            _named_errors(),
            self.engine.connect().execution_options(lumbung_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Every pooled connection is closed."""
        self.engine.dispose()


Row: TypeAlias = Mapping[str, Any]


def execute(connection: Connection, statement: Executable, rows: Row | Sequence[Row]) -> CursorResult[Any]:
    """Executes a statement that stands at module level, with one row of parameters or several.

    It is compiled once, and the driver is handed the rows as they are: for what runs with every page.
    SQLAlchemy's own path binds each row through the statement again, which costs more than the database does
    (bench: commit). Values go in and come out as the driver has them.
    """
    sql, constants = _compile(statement, connection.dialect)
    if constants:
        rows = {**constants, **rows} if isinstance(rows, Mapping) else [{**constants, **row} for row in rows]
    return connection.exec_driver_sql(sql, rows)


@cache
def _compile(statement: Executable, dialect: Dialect) -> tuple[str, Row]:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every statement of Core has it
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


_VALUES_AT_ONCE = 999  # what every SQLite takes


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """The rows stand in the table; each holds a value for every column of it.

    Many in one statement: row by row, Python would let other threads run between two of them while this one
    holds the catalogue.
    """
    in_order = itemgetter(*table.c.keys())
    at_once = _VALUES_AT_ONCE // len(table.c)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        values = tuple(chain.from_iterable(map(in_order, some)))
        connection.exec_driver_sql(_insert_many(table, len(some), connection.dialect), values)


@lru_cache(maxsize=1024)
def _insert_many(table: Table, count: int, dialect: Dialect) -> str:
    mark = "?" if dialect.name == "sqlite" else "%s"
    row = f"({', '.join([mark] * len(table.c))})"
    names = ", ".join(map(dialect.identifier_preparer.quote, table.c.keys()))
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * count)}"  # noqa: S608 - no value is in it


class _WriterLock:
    """Lets one writer in at a time, of this machine's processes and threads.

    SQLite alone lets waiting writers sleep and try again, for up to 100 ms though the lock has long been free.
    A dead process's lock is free.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes."""
        with self._threads, self._locked():
            yield

    def _locked(self) -> BinaryIO:
        """The lock's file; closing it lets the next one in."""
        try:
            file = self._path.open("ab")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise CatalogueError(f"the catalogue cannot be written: {error}") from error
        return file


def open_catalogue(url: str, now: Callable[[], float] = time) -> Catalogue:
    """The catalogue at this SQLAlchemy URL, created or migrated to the present schema.

    Raises:
        ConfigError: the URL names no database that we know.
        CatalogueError: the database cannot be reached, or was written by a newer version.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("LUMBUNG_CATALOGUE is not a SQLAlchemy URL such as sqlite:////path/file") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError("LUMBUNG_CATALOGUE must be a sqlite:/// URL with the path of a file")
    try:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueError(f"the catalogue's folder cannot be made: {error}") from error
    try:
        engine = create_engine(parsed, pool_size=32, max_overflow=32, paramstyle="named", connect_args={"timeout": 60})
    except NoSuchModuleError as error:
        raise ConfigError(f"LUMBUNG_CATALOGUE: {error}") from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    catalogue = Catalogue(engine, now)
    _migrate(catalogue)
    return catalogue


def _migrate(catalogue: Catalogue) -> None:
    present = _find_version(catalogue)
    if present == SCHEMA_VERSION:
        return
    from alembic import command  # noqa: PLC0415 - half a second that only a changed schema needs
    from alembic.config import Config  # noqa: PLC0415 - as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise CatalogueError("the catalogue was written by a newer version of Lumbung; please update")
    with catalogue.write() as connection:  # two processes at once: the second finds nothing left to do
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _find_version(catalogue: Catalogue) -> str | None:
    """The schema version of the catalogue; None for an empty database."""
    with catalogue.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not guessed by the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit is on the disk before it is acknowledged
        "foreign_keys=ON",
        "cache_size=-32768",
        "wal_autocheckpoint=10000",  # pages: 40 MB between two checkpoints, each of which waits for the disk
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: upgrading a reader later could fail with "database is locked".
    write = connection.get_execution_options().get("lumbung_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise CatalogueError(f"the catalogue does not answer: {error.orig}") from error
