"""Backup and restore by the very commands of docs/operations.md, with the network going on meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import pytest
from installation import Installation
from ports import end_group, free_port, is_open, wait_until

from harvester.samples.platforms import sample_repositories

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
EARLY, LATE = ("tirta-samudra", "arunika"), ("kembang-nusa", "wanasari")


def read_commands(name: str) -> list[str]:
    """The lines of the commands that the document has under this name."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", _DOCUMENT.read_text(), re.DOTALL)
    assert found
    return found[1].splitlines()


@dataclass
class Places:
    """A network, an empty place for it to come back in, and a folder for the backup."""

    kind: str
    network: Installation
    empty: Installation
    backup: Path
    commands: Path

    def run(self, here: Installation, lines: list[str]) -> None:
        """A shell has run these lines in the place's environment."""
        environment = here.environment | {"BACKUP": str(self.backup)}
        environment["PATH"] = f"{self.commands}:{environment['PATH']}"
        done = subprocess.run(
            ["sh", "-euc", "\n".join(lines)],
            env=environment,
            cwd=self.backup.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=["files", pytest.param("servers", marks=pytest.mark.service)])
def places(request: pytest.FixtureRequest, installation: Callable[..., Installation], tmp_path: Path) -> Places:
    programs = ("sqlite3",) if request.param == "files" else ("pg_dump", "pg_restore")
    if missing := [program for program in programs if not shutil.which(program)]:
        reason = f"{', '.join(missing)} not found (Debian: apt-get install sqlite3 postgresql-client)"
        (pytest.fail if "CI" in os.environ else pytest.skip)(reason)
    settings: list[dict[str, str]] = [{}, {}]
    if request.param == "servers":
        postgresql, s3 = request.getfixturevalue("postgresql"), request.getfixturevalue("s3_server")
        for each in settings:
            each["LUMBUNG_CATALOGUE"] = postgresql.new_database()
            each["LUMBUNG_ARCHIVE"] = f"s3://{s3.make_bucket()}/archive"
            each["LUMBUNG_S3_ENDPOINT"] = s3.endpoint
    network, empty = (installation(**each) for each in settings)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "lumbung").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m web "$@"\n')
    (commands / "lumbung").chmod(0o755)
    return Places(request.param, network, empty, tmp_path / "backup", commands)


@pytest.fixture
def members() -> Iterator[dict[str, str]]:
    """The addresses of the sample members by slug."""
    port = free_port()
    command = [sys.executable, "-m", "web", "sample-members", "--port", str(port)]
    samples = subprocess.Popen(command, stdout=DEVNULL, stderr=DEVNULL, text=True, start_new_session=True)
    try:
        wait_until(lambda: is_open(port), samples)
        base = f"http://127.0.0.1:{port}"
        yield {repository.slug: base + repository.path for repository in sample_repositories(base)}
    finally:
        end_group(samples, signal.SIGTERM)


def content(here: Installation) -> dict[str, dict[str, object]]:
    """What readers may see, by public id, but for our datestamps."""
    records = map(json.loads, here.run("records", "--json").splitlines())
    return {record["id"]: {**record, "datestamp": None} for record in records}


def test_what_was_backed_up_comes_back_elsewhere_and_goes_on(places: Places, members: dict[str, str]) -> None:
    network, empty = places.network, places.empty
    for slug, url in members.items():
        network.run("members", "add", slug, url)
    network.harvest(*EARLY)
    network.run("index")
    backup = read_commands(f"backup: {places.kind}")
    [last] = [number for number, line in enumerate(backup) if line.startswith("lumbung archive copy")]
    before = content(network)
    places.run(network, backup[:last])
    network.harvest(*LATE)  # between the catalogue's backup and the archive's
    places.run(network, backup[last:])

    places.run(empty, read_commands(f"restore: {places.kind}"))
    assert content(empty) == before
    runs = empty.harvest(*LATE) | empty.harvest(*EARLY)  # the former have the numbers of runs that the archive knows
    assert {slug: run["outcome"] for slug, run in runs.items()} == {
        **dict.fromkeys(EARLY, "nothing-new"),
        **dict.fromkeys(LATE, "complete"),
    }
    empty.run("index")
    empty.run("check")
    restored, whole = content(empty), content(network)
    assert {(each["member"], each["identifier"]) for each in restored.values()} == {
        (each["member"], each["identifier"]) for each in whole.values()
    }
    assert {id_: restored[id_]["title"] for id_ in before} == {id_: each["title"] for id_, each in before.items()}
