"""Opening the catalogue: durable transactions, one writer at a time, migrated to the present schema."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections import namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, BinaryIO, TypeAlias

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Executable,
    Float,
    Insert,
    Integer,
    LargeBinary,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from harvester.errors import CatalogueError, CatalogueUnavailableError, ConfigError

_MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA_VERSION = "0006"  # the newest of the migrations
_WAL_SECONDS = 30.0
_CLOSE_SECONDS = 1.0  # for which the end of a process waits for its own writer
_WRITING = "lumbung_writing"  # in a connection's info: whether its process has the lock
PATIENCE = 600.0  # seconds for one statement; a large member's reconciliation has some that take minutes


class Rest:
    """For so many seconds after a database could not be reached nobody waits for it again: who comes is told so."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0
        self._said = ""

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Raises `CatalogueUnavailableError` at once while it rests; one that is raised within begins a rest."""
        if monotonic() < self._until:
            raise CatalogueUnavailableError(self._said)
        try:
            yield
        except CatalogueUnavailableError as error:
            self._said, self._until = str(error), monotonic() + self._seconds
            raise


class Catalogue:
    """Access to the catalogue. Safe for use by many threads; `now` gives the time in seconds since 1970."""

    def __init__(self, engine: Engine, now: Callable[[], float] = time, rest: float = 0.0) -> None:
        self.engine = engine
        self._now = now
        self._rest = Rest(rest)
        self._writer = _SqliteWriter(engine) if engine.dialect.name == "sqlite" else None

    def now(self) -> int:
        """The present second of this installation's clock."""
        return int(self._now())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the catalogue throughout.

        Raises:
            CatalogueUnavailableError: the database cannot be reached just now.
            CatalogueError: the database refuses.
        """
        with self._rest.spared(), _named_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, beside: bool = False) -> Iterator[Connection]:
        """A transaction that is durable once the block has ended, and undone if it raises.

        Nobody else writes meanwhile; where the database is PostgreSQL, whoever writes `beside` others does so beside
        those who do the same, and has to look to the order of its locks itself: lists, records, members, harvests,
        clock.

        Raises:
            CatalogueUnavailableError: the database cannot be reached just now; what was in doubt when the connection
                broke may stand or not.
            CatalogueError: the database refuses.
        """
        with _named_errors(), self._connect(beside=beside) as connection, connection.begin():
            yield connection

    def _connect(self, *, beside: bool) -> AbstractContextManager[Connection]:
        if self._writer:
            return self._writer.alone()
        return self.engine.connect().execution_options(lumbung_write="beside" if beside else "alone")

    def close(self) -> None:
        """Every connection is closed."""
        if self._writer:
            self._writer.close()
        self.engine.dispose()


Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement found, read whole, values as the driver has them; and how many rows it changed."""

    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    rowcount: int

    def __iter__(self) -> Iterator[Any]:
        """Each row with the columns' names."""
        return map(_row_of(self.names)._make, self.rows)

    @property
    def values(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self.rows]

    @property
    def value(self) -> Any:
        """The first column of the first row; None where there is no row."""
        return self.rows[0][0] if self.rows else None


@cache
def _row_of(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)


def execute(connection: Connection, statement: Executable, rows: Row | list[Any]) -> Found:
    """Executes a statement that stands at module level, with one row of parameters or several.

    It is compiled once, and the driver is handed the rows as they are: for what runs with every page, while everybody
    else waits to write. SQLAlchemy's own path costs more than the database does (bench: commit).
    """
    sql, constants = _compile(statement, connection.dialect)
    if constants:
        rows = {**constants, **rows} if isinstance(rows, Mapping) else [{**constants, **row} for row in rows]
    return _run(connection, sql, rows)


def _run(connection: Connection, sql: str, rows: Row | Sequence[Any]) -> Found:
    """The driver executes it."""
    if connection.dialect.name != "sqlite":
        result = connection.exec_driver_sql(sql, rows)  # which tells the pool of connections that broke
        changed = result.rowcount  # known until the rows have been read
        return Found(tuple(result.keys()), result.all(), changed) if result.returns_rows else Found((), [], changed)
    driver: Any = connection.connection.driver_connection
    cursor = driver.executemany(sql, rows) if isinstance(rows, list) else driver.execute(sql, rows)
    found = cursor.fetchall()
    names = tuple(each[0] for each in cursor.description) if cursor.description else ()
    return Found(names, found, cursor.rowcount)


@cache
def _compile(statement: Executable, dialect: Dialect) -> tuple[str, Row]:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every statement of Core has it
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


class insert_new(Insert):  # noqa: N801 - it is used as a function
    """An INSERT that leaves out the rows that are there already."""

    inherit_cache = True


@compiles(insert_new)
def _compile_insert_new(statement: insert_new, compiler: SQLCompiler, **options: Any) -> str:
    plain: str = compiler.visit_insert(statement, **options)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return f"{plain} ON CONFLICT DO NOTHING"


def is_among(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the column's value is one of those that the parameter `among` holds, made by `pack_values`.

    One parameter however many values: a list of parameters has to be written into the statement each time.
    """
    return column.bool_op("")(_Among(column))


class _Among(FunctionElement[Any]):
    """The operator and what is on its right side."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(bindparam("among"))
        self.type = column.type


@compiles(_Among, "sqlite")
def _compile_among_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    return f"IN (SELECT value FROM json_each({compiler.process(element.clauses.clauses[0], **options)}))"  # noqa: S608 - compiled: no value is in it


@compiles(_Among, "postgresql")
def _compile_among_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    kind = "BIGINT" if isinstance(element.type, Integer) else "TEXT"
    return f"= ANY (CAST({compiler.process(element.clauses.clauses[0], **options)} AS {kind}[]))"


def pack_values(connection: Connection, values: Collection[Any]) -> Row:
    """The parameter `among` with these values, all texts or all numbers, as this database takes it."""
    return {"among": list(values) if connection.dialect.name == "postgresql" else json.dumps(list(values))}


def insert_rows(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """The rows stand in the table; each holds a value for every column of it, in their order, JSON as text.

    Many in one statement: row by row, Python would let other threads run between two of them while this one
    holds the catalogue.
    """
    if connection.dialect.name == "postgresql":
        columns = tuple(map(list, zip(*rows, strict=True)))
        _run(connection, _insert_columns(table, connection.dialect), columns)
        return
    at_once = _VALUES_AT_ONCE // len(table.c)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        _run(connection, _insert_many(table, len(some), connection.dialect), tuple(chain.from_iterable(some)))


_VALUES_AT_ONCE = 999  # what every SQLite takes


@lru_cache(maxsize=1024)
def _insert_many(table: Table, count: int, dialect: Dialect) -> str:
    row = f"({', '.join('?' * len(table.c))})"
    return f"{_insert_into(table, dialect)} VALUES {', '.join([row] * count)}"


@cache
def _insert_columns(table: Table, dialect: Dialect) -> str:
    """Each column is one array, sent as bytes: a third of the time that as many single values take."""
    kinds = (
        (Boolean, "BOOLEAN"),
        (Integer, "BIGINT"),
        (Float, "FLOAT8"),
        (LargeBinary, "BYTEA"),
        (JSON, "JSON"),
        (String, "TEXT"),
    )
    arrays = (next(f"%b::{name}[]" for kind, name in kinds if isinstance(column.type, kind)) for column in table.c)
    return f"{_insert_into(table, dialect)} SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - as above


def _insert_into(table: Table, dialect: Dialect) -> str:
    names = ", ".join(map(dialect.identifier_preparer.quote, table.c.keys()))
    return f"INSERT INTO {table.name} ({names})"


class _SqliteWriter:
    """Lets one writer in at a time, of this machine's processes and threads, on the one connection that writes here.

    SQLite alone lets waiting writers sleep and try again, for up to 100 ms though the lock has long been free.
    A dead process's lock is free. Where its file is removed, or a process forks, SQLite's own lock is left. A
    connection of each thread would have to be had with the lock in hand, and would find its cache of pages outdated by
    all the others.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = threading.Lock()
        self._file: BinaryIO | None = None
        self._connection: Connection | None = None

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """The connection; nobody else writes."""
        with self._threads:
            try:
                self._take_lock()
                if self._connection is None:
                    self._connection = self._engine.connect().execution_options(lumbung_write="alone")
                self._connection.info[_WRITING] = True
                yield self._connection
            except BaseException:  # in whatever state it is: the next writer has another
                self._drop_connection(spoilt=True)
                raise
            finally:
                if self._connection is not None:
                    self._connection.info[_WRITING] = False
                if self._file is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take_lock(self) -> None:
        try:
            if self._file is None:
                self._file = Path(f"{self._engine.url.database}-writer").open("ab")  # noqa: SIM115 - it stays open
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise CatalogueError(f"the catalogue cannot be written: {error}") from error

    def _drop_connection(self, *, spoilt: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if spoilt:
                connection.invalidate()  # or the pool would give it to somebody
            connection.close()

    def close(self) -> None:
        """The connection and the lock's file are closed; the next writer opens them again. Where somebody writes, or
        waits for another process, they are left to the end of this one."""
        if not self._threads.acquire(timeout=_CLOSE_SECONDS):
            return
        try:
            self._drop_connection()
            if self._file is not None:
                self._file.close()
            self._file = None
        finally:
            self._threads.release()


def open_catalogue(
    url: str, now: Callable[[], float] = time, patience: float = PATIENCE, rest: float = 0.0
) -> Catalogue:
    """The catalogue at this SQLAlchemy URL, created or migrated to the present schema.

    A server that does not answer a statement for `patience` seconds is out of reach; nobody reads for `rest` seconds
    then, so that many who read do not wait one after the other.

    Raises:
        ConfigError: the URL names no database that we know, or one that cannot hold a catalogue.
        CatalogueError: the database cannot be reached, or was written by a newer version.
    """
    catalogue = Catalogue(_make_engine(url, patience), now, rest)
    try:
        _migrate(catalogue)
    except BaseException:
        catalogue.close()
        raise
    return catalogue


def open_present(url: str) -> Catalogue:
    """The catalogue that is at this URL, in the present schema already.

    Raises:
        ConfigError: there is none, or it is of another version.
        CatalogueError: the database cannot be reached.
    """
    catalogue = Catalogue(_make_engine(url, PATIENCE))
    try:
        _refuse_other_version(catalogue)
    except BaseException:
        catalogue.close()
        raise
    return catalogue


def _refuse_other_version(catalogue: Catalogue) -> None:
    url = catalogue.engine.url
    there = url.get_backend_name() != "sqlite" or Path(str(url.database)).is_file()
    version = _find_version(catalogue) if there else None
    if version is None:
        raise ConfigError(f"there is no catalogue at {url.render_as_string()}")
    if version != SCHEMA_VERSION:
        raise ConfigError("the catalogue is of another version; bring it up to date first, by `lumbung status` say")


def _make_engine(url: str, patience: float) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whose words may hold parts of a password
        raise ConfigError(
            "LUMBUNG_CATALOGUE is no URL such as sqlite:////path/file or postgresql://user:password@host/database"
        ) from None
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        from harvester.catalogue import postgresql  # noqa: PLC0415 - a tenth of a second that SQLite does without

        return postgresql.make_engine(parsed, patience)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError("LUMBUNG_CATALOGUE must be a postgresql:// URL, or a sqlite:/// URL with the path of a file")
    return _make_sqlite_engine(parsed, parsed.database)


def _make_sqlite_engine(url: URL, path: str) -> Engine:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogueError(f"the catalogue's folder cannot be made: {error}") from error
    try:
        engine = create_engine(url, pool_size=32, max_overflow=32, paramstyle="named", connect_args={"timeout": 60})
    except NoSuchModuleError as error:
        raise ConfigError(f"LUMBUNG_CATALOGUE: {error}") from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
    _use_wal(connection)
    for pragma in (
        "synchronous=FULL",  # a commit is on the disk before it is acknowledged
        "foreign_keys=ON",
        "cache_size=-32768",
        "wal_autocheckpoint=10000",  # pages: 40 MB between two checkpoints, each of which waits for the disk
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: Any) -> None:
    deadline = monotonic() + _WAL_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # several who find a new file: SQLite does not let them wait
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: upgrading a reader later could fail with "database is locked".
    write = connection.get_execution_options().get("lumbung_write")
    if write and not connection.info.get(_WRITING):
        raise CatalogueError("the catalogue is written outside of its transaction")
    driver: Any = connection.connection.driver_connection
    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        words = f"the catalogue does not answer: {' '.join(str(cause).split())}"
        if isinstance(error, DBAPIError) and _is_passing(error):
            raise CatalogueUnavailableError(words) from error
        raise CatalogueError(words) from error
    except PoolTimeoutError as error:
        raise CatalogueUnavailableError("the catalogue does not answer: all connections to it are in use") from error


def _is_passing(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return False
    from harvester.catalogue import postgresql  # noqa: PLC0415 - as above

    return postgresql.is_passing(error)
