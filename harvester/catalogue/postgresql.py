"""PostgreSQL as the catalogue's database: durable commits, an order among writers, and no wait without an end."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.adapt import Buffer
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrBinaryDumper, StrDumper
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from harvester.errors import ConfigError

_CONNECTIONS = 10  # of a process, kept open; as many again where they are wanted
_IDLE_SECONDS = 60  # in the middle of a transaction that writes: whoever stands still there holds up the others
_WRITERS = 7_102_841_113  # names the line of writers among the server's advisory locks

_SESSION = """
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SET statement_timeout = {milliseconds};
    SET lock_timeout = {milliseconds};
    SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3;
    SET jit = off"""
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WRITING = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'; SELECT "
)
_BEGIN = {
    None: _BEGIN_READING,
    "alone": f"{_BEGIN_WRITING}pg_advisory_xact_lock({_WRITERS})",
    "beside": f"{_BEGIN_WRITING}pg_advisory_xact_lock_shared({_WRITERS})",
}
# The server is going or coming, takes no more connections now, or has undone this transaction for another's sake.
_PASSING = frozenset({"57P01", "57P02", "57P03", "53300", "40001", "40P01"})


class _PatientConnection(psycopg.Connection[Any]):
    """Gives up a server that says nothing for `patience` seconds: one that is paused keeps its connections."""

    patience = 0.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """What the generator returns, as of every connection."""
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # the answer may still come: it must not be taken for that to another question
            raise


class _TextDumper(StrDumper):
    """Text without U+0000, which PostgreSQL does not take."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _BinaryTextDumper(StrBinaryDumper):
    """As above, in arrays."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


def make_engine(url: URL, patience: float) -> Engine:
    """Connections to this server, made when they are wanted. No statement takes longer than `patience` seconds.

    A server that is silent is given up a little later: its own word comes first.
    """
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_timeout=min(30.0, patience),
        pool_pre_ping=True,
        use_native_hstore=False,
        hide_parameters=True,
    )

    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> psycopg.Connection:
        usual: dict[str, Any] = {
            "connect_timeout": max(2, int(min(10.0, patience / 2))),
            "application_name": "lumbung",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        }
        connection = _PatientConnection.connect(*arguments, **(usual | named | {"client_encoding": "utf8"}))
        connection.patience = patience + 1
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            connection.close()
            raise ConfigError(f"LUMBUNG_CATALOGUE: the database keeps its texts as {encoding}; one in UTF8 is needed")
        connection.autocommit = True  # transactions are begun by _begin
        connection.adapters.register_dumper(str, _BinaryTextDumper)
        connection.adapters.register_dumper(str, _TextDumper)
        connection.execute(_SESSION.format(milliseconds=int(patience * 1000)))
        return connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    statement = _BEGIN[connection.get_execution_options().get("lumbung_write")]
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def is_passing(error: DBAPIError) -> bool:
    """Whether the server cannot be reached just now, or wants to be asked once more; not so what it refuses."""
    if error.connection_invalidated:
        return True
    orig = error.orig
    if not isinstance(orig, psycopg.OperationalError):
        return False
    return orig.sqlstate is None or orig.sqlstate in _PASSING or orig.sqlstate.startswith("08")
