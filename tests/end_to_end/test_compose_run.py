"""What docker-compose.yml starts, started without Docker: the same commands, environment and health checks, over real
servers in the place of those that it names.

Lumbung is installed from the files that the Dockerfile copies. PostgreSQL, S3 and Elasticsearch are the tests' own;
SeaweedFS, and the shell that makes its bucket, cannot be had here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from ports import fetch, fetch_json, free_port, is_open, wait_until
from prometheus_client.parser import text_string_to_metric_families
from services.compose import ROOT, Compose, dockerfile_sources
from services.postgresql import Server
from services.s3 import S3Server
from sqlalchemy.engine import make_url

from harvester.samples.entries import get_entries

pytestmark = pytest.mark.service
SLUGS = ("tirta-samudra", "arunika", "kembang-nusa", "wanasari")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what the image has of Lumbung, put there as the Dockerfile does."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image")
    for name in dockerfile_sources():
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source / name)
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *install, "--target", target, "."], cwd=source, check=True)
    return target


class Running:
    """The services, as far as they are ours or the proxy, each in its own place."""

    def __init__(
        self, stack: ExitStack, image: Path, folder: Path, postgres: str, s3: S3Server, engine: str | None
    ) -> None:
        self._stack = stack
        self._folder = folder
        self.port, self._site, self._admin = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._compose = Compose(
            {
                "LUMBUNG_BASE_URL": self.url,
                "LUMBUNG_ADMIN_EMAIL": "library@library.example",
                "LUMBUNG_SECRET_KEY": "x" * 32,
                "POSTGRES_PASSWORD": "x",
                "S3_SECRET_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
                "ELASTIC_PASSWORD": "x",
            }
        )
        database = make_url(postgres)
        self._own = {
            "PATH": f"{image / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(image),
            "LUMBUNG_HOME": str(folder / "home"),
            "LUMBUNG_CATALOGUE": postgres,
            "LUMBUNG_ARCHIVE": f"s3://{s3.make_bucket()}/archive",
            "LUMBUNG_S3_ENDPOINT": s3.endpoint,
            "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
            "LUMBUNG_ENGINE": engine or "embedded:",
            "PGHOST": database.host or "",
            "PGPORT": str(database.port),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        self._places = {"serve:8080": f"127.0.0.1:{self._site}", "8080": str(self._site), "2019": str(self._admin)}
        if engine:
            self._places["127.0.0.1:9200"] = urlsplit(engine).netloc
        for service in self._compose.services.values():
            for use in service.get("configs", ()):
                place = folder / Path(use["target"]).name
                place.write_text(self._placed(self._compose.configs[use["source"]]["content"]))
                self._places[use["target"]] = str(place)

    def start(self, service: str) -> subprocess.Popen[str]:
        """The service's command runs; its log is in a file of its own."""
        log = self._stack.enter_context((self._folder / f"{service}-{len(self.logs())}.log").open("w"))
        process = subprocess.Popen(
            [self._placed(word) for word in self._compose.command(service)],
            cwd=self._folder,
            env=self._environment(service),
            stderr=log,
            stdout=log,
            text=True,
            start_new_session=True,
        )
        self._stack.callback(end, process)
        return process

    def run(self, *arguments: str) -> str:
        """What a command of Lumbung prints in a worker's place."""
        return subprocess.run(
            ["lumbung", *arguments],
            cwd=self._folder,
            env=self._environment("work"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def hurry(self, job: str) -> None:
        """The workers' job is due at once."""
        with psycopg.connect(self._own["LUMBUNG_CATALOGUE"]) as connection:
            connection.execute("UPDATE jobs SET next_run = 0 WHERE name = %s", [job])

    def is_healthy(self, service: str) -> bool:
        """Whether the service's health check passes."""
        command = [self._placed(word) for word in self._compose.check(service)]
        options = {"cwd": self._folder, "env": self._environment(service), "capture_output": True}
        return subprocess.run(command, **options, timeout=60, check=False).returncode == 0

    def measured(self, name: str) -> dict[str, float]:
        """The values of a measurement by its one label, through the proxy."""
        families = text_string_to_metric_families(fetch(f"{self.url}/metrics")[1].decode())
        [found] = [family for family in families if family.name == name] or [None]
        return {"".join(sample.labels.values()): sample.value for sample in found.samples} if found else {}

    def logs(self) -> dict[str, list[str]]:
        """The lines that each process has logged."""
        return {path.stem: path.read_text().splitlines() for path in self._folder.glob("*.log")}

    def _environment(self, service: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUMBUNG_", "PYTHON"))}
        return kept | self._compose.services[service].get("environment", {}) | self._own

    def _placed(self, text: str) -> str:
        for name, place in self._places.items():
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", place, text)
        return text


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def running(
    image: Path, tmp_path: Path, postgresql: Server, s3_server: S3Server, request: pytest.FixtureRequest
) -> Iterator[Running]:
    if missing := [program for program in ("caddy", "wget", "pg_isready") if not shutil.which(program)]:
        pytest.skip(f"{', '.join(missing)} not found (Debian: apt-get install caddy wget postgresql-client)")
    try:
        engine = request.getfixturevalue("elasticsearch_index")
    except pytest.FixtureLookupError:
        engine = None
    with ExitStack() as stack:
        services = Running(stack, image, tmp_path, postgresql.new_database(), s3_server, engine)
        yield services
        for name, lines in services.logs().items():  # shown where the test has failed
            print(name, *lines, sep="\n  ")  # noqa: T201 - as it says


def test_everything_that_is_composed_starts_is_well_harvests_serves_and_ends(running: Running) -> None:
    ours = [running.start("work"), running.start("work"), running.start("serve")]  # all three migrate at once
    proxy = running.start("proxy")
    wait_until(lambda: running.is_healthy("proxy") and running.is_healthy("serve"), None)
    samples_port = free_port()
    samples = subprocess.Popen(
        [sys.executable, "-m", "web", "sample-members", "--port", str(samples_port)],
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: is_open(samples_port), samples)
        for slug, path in sample_paths(samples_port).items():
            running.run("members", "add", slug, path)
        records = sum(not entry.deleted for slug in SLUGS for entry in get_entries(slug))
        wait_until(lambda: sum(running.measured("lumbung_records").values()) >= records, None, 90)
        running.hurry("index")
        wait_until(lambda: running.measured("lumbung_index_works").get("", 0) > 0.8 * records, None, 90)
    finally:
        end(samples)
    assert fetch_json(f"{running.url}/api/search?q=padi")["total"] > 0
    status, page = fetch(f"{running.url}/search?q=padi")
    assert (status, b"<mark>" in page) == (200, True)
    for service in ("work", "serve", "proxy", "postgres"):
        assert running.is_healthy(service), service
    wait_until(lambda: "check" in running.measured("lumbung_job_failed"), None)
    assert running.measured("lumbung_job_failed")["check"] == 0  # the nightly check, over all servers
    tiers = {"catalogue": "ok", "archive": "ok", "engine": "ok"}
    assert fetch_json(f"{running.url}/healthz") == {"status": "ok", "tiers": tiers}
    for process in [*ours, proxy]:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in [*ours, proxy]] == [0, 0, 0, 0]
    logged = [
        json.loads(line)
        for name, lines in running.logs().items()
        if name[:4] == "work"
        for line in lines
        if line[0] == "{"
    ]
    settled = [line for line in logged if line["event"] == "settled"]
    assert {line["member"] for line in settled} == set(SLUGS)
    assert all(line["outcome"] == "complete" and line["harvest"] for line in settled)


def sample_paths(port: int) -> dict[str, str]:
    from harvester.samples.platforms import sample_repositories

    base = f"http://127.0.0.1:{port}"
    return {repository.slug: base + repository.path for repository in sample_repositories(base)}
