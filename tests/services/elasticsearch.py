"""A real Elasticsearch server for the tests, or the one that LUMBUNG_TEST_ELASTICSEARCH names.

`python -m services.elasticsearch`, in the folder tests, fetches and unpacks the server beforehand, as `.ci/run` does.
It is the distribution of Elasticsearch's own integration tests, from Maven Central: the true server with few modules.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

VERSION = "9.5.3"
_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
_START_SECONDS = 120
_PR_SET_PDEATHSIG = 1


class MissingError(Exception):
    """The server cannot be had on this machine; the text says what to install."""


class Server:
    """A server at `url`; one of our own can be paused, stopped, and started again with what it kept."""

    def __init__(self, url: str, launch: Callable[[], subprocess.Popen[bytes]] | None = None) -> None:
        self.url = url
        self.ca = ""
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def new_index(self) -> Iterator[str]:
        """The address of an index that nobody has used; its builds are gone at the end."""
        name = f"test-{uuid4().hex[:12]}"
        yield f"{self.url}/{name}"
        with Elasticsearch(self.url) as client:
            if builds := list(client.indices.get_alias(index=f"{name}-*")):
                client.indices.delete(index=builds)

    def start(self) -> None:
        """It answers, as it did before it was stopped."""
        assert self._launch is not None
        self._process = self._launch()

    def stop(self) -> None:
        """It is gone at once, as by a loss of power."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It answers again."""
        self._signal(signal.SIGCONT)

    def processor_time(self) -> float:
        """Seconds that it has worked since its start."""
        assert self._process is not None
        worked = 0
        for each in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = each.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self._process.pid:  # of its group
                    worked += int(fields[11]) + int(fields[12])
        return worked / os.sysconf("SC_CLK_TCK")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def find_java() -> Path:
    """The home of a JDK of version 21 or newer."""
    homes = [Path(os.environ[name]) for name in ("ES_JAVA_HOME", "JAVA_HOME") if name in os.environ]
    for home in [*homes, *sorted(Path("/usr/lib/jvm").glob("*"))]:
        release = home / "release"
        found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.is_file() else None
        if found and int(found[1]) >= 21:
            return home
    raise MissingError(
        "Elasticsearch needs a JDK, version 21 or newer, which Debian 12 has not: unpack one below /usr/lib/jvm "
        "(Temurin, adoptium.net), or name it by ES_JAVA_HOME"
    )


def unpacked_server(*, fetch: bool) -> Path:
    """The folder of the server's programs: kept from run to run, where a user who is not root can read it."""
    cache = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    home = cache / "lumbung-tests" / f"elasticsearch-{VERSION}"
    if home.is_dir():
        return home
    archive = Path.home() / _archive_path()
    if not archive.is_file():
        command = ["mvn", "-q", "-B", "dependency:get", f"-Dartifact={_ARTIFACT}", "-Dtransitive=false"]
        if not (fetch and shutil.which("mvn")):
            raise MissingError(f"Elasticsearch is not here: `{' '.join(command)}` fetches it (Maven, 130 MB)")
        subprocess.run(command, check=True, timeout=900)
    home.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home.parent) as draft:
        with zipfile.ZipFile(archive) as files:
            files.extractall(draft)
        made = Path(draft) / home.name
        for program in (made / "bin").iterdir():
            program.chmod(0o755)
        Path(draft).chmod(0o755)
        if not home.is_dir():
            made.rename(home)
    return home


def _archive_path() -> Path:
    group, name, version, _ = _ARTIFACT.split(":")
    return Path(".m2/repository", *group.split("."), name, version, f"{name}-{version}.zip")


@contextmanager
def running_server(*settings: str, password: str = "") -> Iterator[Server]:
    """A server of one's own on a free port of this machine, gone at the end with all it kept.

    With a `password` it asks for that of the user `elastic`, and speaks TLS by a certificate of its own, `Server.ca`.
    """
    home, port = unpacked_server(fetch=True), _free_port()
    with TemporaryDirectory(prefix="lumbung-elasticsearch-") as folder:
        place = Path(folder)
        environment = _configure(home, place, port, settings, secured=bool(password))
        user = _plain_user()
        if user is not None:
            subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", place], check=True)
        as_user: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        if password:
            for command, text in ((["create"], ""), (["add", "-x", "bootstrap.password"], password)):
                keystore = [home / "bin" / "elasticsearch-keystore", *command]
                subprocess.run(
                    keystore, input=text.encode(), env=environment, check=True, capture_output=True, **as_user
                )

        def launch() -> subprocess.Popen[bytes]:
            with (place / "output").open("ab") as output:
                process = subprocess.Popen(
                    [home / "bin" / "elasticsearch"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=place,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509 - it makes one system call
                    **as_user,
                )
            try:
                _wait_until_open(port, process, place / "output", wanted=401 if password else 200)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            return process

        login = f"s://elastic:{quote(password, safe='')}@" if password else "://"
        server = Server(f"http{login}127.0.0.1:{port}", launch)
        server.ca = str(place / "config" / "own.crt") if password else ""
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _configure(home: Path, place: Path, port: int, settings: Sequence[str], *, secured: bool) -> dict[str, str]:
    """The server's configuration stands below `place`; what it needs in its environment."""
    config, scratch = place / "config", place / "scratch"
    shutil.copytree(home / "config", config)
    scratch.mkdir()
    lines = (
        "discovery.type: single-node",
        "network.host: 127.0.0.1",
        f"http.port: {port}",
        f"transport.port: {_free_port()}",
        f"path.data: {place}/data",
        f"path.logs: {place}/logs",
        f"xpack.security.enabled: {str(secured).lower()}",
        "cluster.routing.allocation.disk.threshold_enabled: false",
        *settings,
    )
    (config / "elasticsearch.yml").write_text("\n".join(lines) + "\n")
    if secured:
        with (config / "elasticsearch.yml").open("a") as file:
            file.write("xpack.security.http.ssl: {enabled: true, key: own.key, certificate: own.crt}\n")
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own -addext subjectAltName=IP:127.0.0.1"
        subprocess.run(
            [*command.split(), "-keyout", config / "own.key", "-out", config / "own.crt"],
            check=True,
            capture_output=True,
        )
    options = (config / "jvm.options").read_text().splitlines(keepends=True)
    (config / "jvm.options").write_text("".join(line for line in options if "-Xlog" not in line))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "ES_PATH_CONF": str(config),
        "ES_TMPDIR": str(scratch),
        "ES_JAVA_HOME": str(find_java()),
        "ES_JAVA_OPTS": "-Xms1g -Xmx1g",
    }


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[Server]:
    """An Elasticsearch server that many tests share, each with an index of its own."""
    if named := os.environ.get("LUMBUNG_TEST_ELASTICSEARCH"):
        yield Server(named.rstrip("/"))
        return
    with own_server() as server:
        yield server


@pytest.fixture
def elasticsearch_index(elasticsearch: Server) -> Iterator[str]:
    """The address of an index that nobody has used, for LUMBUNG_ENGINE; gone at the end."""
    with elasticsearch.new_index() as address:
        yield address


@pytest.fixture(scope="module")
def elasticsearch_module_index(elasticsearch: Server) -> Iterator[str]:
    """The same for all tests of a module."""
    with elasticsearch.new_index() as address:
        yield address


@contextmanager
def own_server(*settings: str, password: str = "") -> Iterator[Server]:
    """A server as `running_server` starts it; the test is skipped where it cannot be had, and fails in CI."""
    try:
        find_java()
        unpacked_server(fetch="CI" in os.environ)
    except MissingError as error:
        (pytest.fail if "CI" in os.environ else pytest.skip)(str(error))
    with running_server(*settings, password=password) as server:
        yield server


def _plain_user() -> pwd.struct_passwd | None:
    """Who runs the server, which refuses to be root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes], output: Path, *, wanted: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    url = f"http{'s' if wanted == 401 else ''}://127.0.0.1:{port}/_cluster/health"
    unproved = ssl._create_unverified_context()  # noqa: S323 - it is ours, and only asked whether it is there
    while True:
        try:
            status = urlopen(url, timeout=5, context=unproved).status
        except HTTPError as error:
            status = error.code
        except (URLError, OSError):
            status = 0
        if status == wanted:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Elasticsearch did not start: {output.read_text()[-3000:]}")
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        print(find_java(), unpacked_server(fetch=True), file=sys.stderr)  # noqa: T201 - a program's answer
    except MissingError as error:
        sys.exit(str(error))
