"""A real PostgreSQL server: one a session, in a folder of its own, with a fresh database for whoever wants one."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from harvester.catalogue import open_catalogue
from harvester.catalogue.tables import clock, metadata

_INSTALLED = Path("/usr/lib/postgresql")  # Debian keeps the server's programs out of the PATH
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Server:
    """A running server, at the URL of a user who may make databases."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql")
        self._names = (f"lumbung_{os.getpid()}_{number}" for number in count())
        self._made: list[str] = []
        self._empty: list[str] = []

    def new_database(self, encoding: str = "UTF8") -> str:
        """The URL of a fresh database, its texts sorted unlike bytes where the server can."""
        name = next(self._names)
        locale = self._find_locale() if encoding == "UTF8" else "C"
        self._run(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE '{locale}' ENCODING '{encoding}'")
        self._made.append(self._url.set(database=name).render_as_string(hide_password=False))
        return self._made[-1]

    def new_catalogue(self) -> str:
        """The URL of an empty catalogue: one that was given back, or else a new one."""
        if self._empty:
            return self._empty.pop()
        url = self.new_database()
        open_catalogue(url).close()
        return url

    def give_back(self, url: str) -> None:
        """The catalogue is emptied, whoever still uses it; that is a twentieth of the time that making one takes."""
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
            while connection.execute(f"SELECT pid {others}").fetchone():
                time.sleep(0.01)
            for table in reversed(metadata.sorted_tables):
                if table is not clock:
                    connection.execute(f"DELETE FROM {table.name}")  # noqa: S608 - a table of ours
            connection.execute("UPDATE clock SET closed = 0, last = 0")
            connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
        self._empty.append(url)

    def drop_all(self) -> None:
        """Nothing of ours is left on the server."""
        for url in self._made:
            self._run(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _find_locale(self) -> str:
        with self._connect() as connection:
            known = "SELECT collname FROM pg_collation WHERE collname IN ('en_US.utf8', 'C.utf8') ORDER BY 1 DESC"
            found = connection.execute(known).fetchone()
        return found[0] if found else "C"

    def _run(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # made of names of our own

    def _connect(self) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(self._url.render_as_string(hide_password=False), autocommit=True)


class OwnServer(Server):
    """A server that a test may stop, pause and start again."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._folder = folder
        self._port = _free_port()
        self._user = _find_user()
        shutil.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._settings = ("unix_socket_directories=", "listen_addresses=127.0.0.1", f"port={self._port}", *settings)
        self._process: subprocess.Popen[bytes] | None = None
        initdb = [_find_program("initdb"), "-D", "data", "-U", "lumbung", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*initdb, "--locale=C"], cwd=folder, check=True, stdout=subprocess.DEVNULL, **self._as_user())
        super().__init__(URL.create("postgresql", "lumbung", host="127.0.0.1", port=self._port, database="postgres"))

    def start(self) -> None:
        """It takes connections."""
        options = [argument for setting in self._settings for argument in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_find_program("postgres"), "-D", "data", *options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - it does one system call
                **self._as_user(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                log_text = (self._folder / "log").read_text()
                assert self._process.poll() is None and time.monotonic() < deadline, log_text  # noqa: PT018 - one thing
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """It has gone, with all its connections; SIGQUIT: as in a power cut."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No process of the server does anything, and its connections stay open."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        everybody = [self._process.pid, *map(int, children)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everybody:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _as_user(self) -> dict[str, Any]:
        """The server refuses to run as root."""
        if os.geteuid() != 0:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": ()}


def _end_with_us() -> None:
    """Even where we are killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _find_user() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("there is no user besides root as whom PostgreSQL could run")


def _find_program(name: str) -> str:
    found = shutil.which(name) or max(map(str, _INSTALLED.glob(f"*/bin/{name}")), default=None)
    if found is None:
        pytest.skip(
            "PostgreSQL is not installed (Debian: apt-get install postgresql), nor is LUMBUNG_TEST_POSTGRES set"
        )
    return found


@contextmanager
def running(*settings: str) -> Iterator[OwnServer]:
    """A server of one's own, with these settings, in a folder that is gone afterwards."""
    _find_program("initdb")
    with tempfile.TemporaryDirectory(prefix="lumbung-postgresql-") as folder:
        server = OwnServer(Path(folder), *settings)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The session's server, or the one that LUMBUNG_TEST_POSTGRES names; its disk is not waited for."""
    if given := os.environ.get("LUMBUNG_TEST_POSTGRES"):
        server = Server(make_url(given))
        yield server
        server.drop_all()
        return
    with running("fsync=off", "max_connections=200") as own:
        yield own


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a fresh catalogue, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "catalogue.sqlite"
    open_catalogue(f"sqlite:///{path}").close()
    return path


NewCatalogue = Callable[[], str]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database that the test runs on: once on each."""
    return str(request.param)


@pytest.fixture
def new_catalogue(
    database: str, request: pytest.FixtureRequest, migrated: Path, tmp_path: Path
) -> Iterator[NewCatalogue]:
    """Gives the URL of an empty catalogue each time; the first SQLite file is where LUMBUNG_HOME=tmp_path has it."""
    made: list[str] = []

    def in_file() -> str:
        path = tmp_path / f"catalogue{len(made) or ''}.sqlite"
        shutil.copy(migrated, path)
        return f"sqlite:///{path}"

    def on_server() -> str:
        return str(request.getfixturevalue("postgresql").new_catalogue())

    make = in_file if database == "sqlite" else on_server

    def new() -> str:
        made.append(make())
        return made[-1]

    yield new
    for url in made if database != "sqlite" else ():
        request.getfixturevalue("postgresql").give_back(url)


@pytest.fixture
def catalogue_url(new_catalogue: NewCatalogue) -> str:
    """The URL of an empty catalogue."""
    return new_catalogue()
