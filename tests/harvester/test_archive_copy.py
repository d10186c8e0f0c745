"""An archive moves between a folder and S3 with nothing lost, whatever stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_proxy import FaultyProxy
from services.s3 import S3Server

from harvester.archive import Archive, open_archive
from harvester.archive.copying import copy_archive
from harvester.archive.s3 import S3Archive
from harvester.errors import ArchiveError

pytestmark = pytest.mark.service
OBJECTS = {
    f"{'files' if number % 3 else 'pages'}/é/{number % 7}/{number:04}": b"%d" % number * (number % 50)
    for number in range(120)
}


@dataclass(frozen=True)
class Ways:
    """A folder and a bucket, behind a proxy."""

    folder: str
    bucket: str
    proxy: FaultyProxy
    s3_endpoint: str
    home: Path

    def open(self, url: str) -> Archive:
        return open_archive(url, self.s3_endpoint)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command `lumbung archive copy`."""
        environment = os.environ | {"LUMBUNG_S3_ENDPOINT": self.proxy.endpoint}
        command = [sys.executable, "-m", "web", "archive", "copy", "--json", *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, cwd=self.home, **pipes)

    def run(self, *arguments: str) -> tuple[int, dict[str, int], str]:
        """Its exit status, counts and complaints."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=120)
        return process.returncode, json.loads(output or "{}"), errors


@pytest.fixture
def ways(tmp_path: Path, s3_server: S3Server) -> Iterator[Ways]:
    with FaultyProxy(s3_server.endpoint) as proxy:
        yield Ways(
            (tmp_path / "archive").as_uri(), f"s3://{s3_server.make_bucket()}/a", proxy, s3_server.endpoint, tmp_path
        )


def fill(archive: Archive, objects: dict[str, bytes]) -> None:
    for key, content in objects.items():
        archive.put(key, content)


def contents(archive: Archive) -> dict[str, bytes]:
    return {key: archive.get(key) for key in archive.iter_keys()}


def test_everything_is_copied_both_ways_and_the_second_time_nothing(ways: Ways) -> None:
    size = sum(map(len, OBJECTS.values()))
    fill(ways.open(ways.folder), OBJECTS)
    none = {"copied": 0, "equal": 0, "different": 0, "failed": 0, "bytes": size}
    assert ways.run(ways.folder, ways.bucket)[:2] == (0, none | {"copied": 120})
    assert contents(ways.open(ways.bucket)) == OBJECTS
    back = (ways.home / "back").as_uri()
    assert ways.run(ways.bucket, back)[:2] == (0, none | {"copied": 120})
    assert contents(ways.open(back)) == OBJECTS
    assert ways.run(ways.bucket, back)[:2] == (0, none | {"equal": 120})


def test_other_bytes_stay_and_what_cannot_be_read_is_told_and_the_rest_is_copied(ways: Ways) -> None:
    fill(ways.open(ways.folder), OBJECTS)
    other, lost = list(OBJECTS)[20:22]
    ways.open(ways.bucket).put(other, b"other")
    file = ways.home / "archive" / lost
    file.unlink()
    file.symlink_to("nowhere")
    status, counts, errors = ways.run(ways.folder, ways.bucket)
    assert (status, counts["copied"], counts["different"], counts["failed"]) == (1, 118, 1, 1)
    assert f"different: other bytes stand under {other}" in errors
    assert f"failed: the archive has no object {lost}" in errors
    expected = {key: content for key, content in OBJECTS.items() if key != lost} | {other: b"other"}
    assert contents(ways.open(ways.bucket)) == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_was_stopped_goes_on(number: signal.Signals, ways: Ways) -> None:
    fill(ways.open(ways.folder), OBJECTS)
    enough, sent = threading.Event(), []

    def count(body: bytes) -> bytes:
        sent.append(body)
        if len(sent) > 120:
            enough.set()
        return body

    ways.proxy.change = count
    process = ways.start(ways.folder, ways.bucket, "--at-once", "3")
    assert enough.wait(60)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[number], errors
    there = len(contents(ways.open(ways.bucket)))
    assert 20 < there < 80
    status, counts, _ = ways.run(ways.folder, ways.bucket)
    assert (status, counts["equal"], counts["copied"]) == (0, there, 120 - there)
    assert contents(ways.open(ways.bucket)) == OBJECTS


def test_an_archive_that_goes_away_ends_the_copy(ways: Ways) -> None:
    source = ways.open(ways.folder)
    fill(source, OBJECTS)
    target = S3Archive(ways.bucket.split("/")[2], "a", ways.proxy.endpoint, patience=0.5)
    copying = copy_archive(source, target, threading.Event())
    assert {next(copying).outcome for _ in range(20)} == {"copied"}
    ways.proxy.always = "503"
    with pytest.raises(ArchiveError, match="503"):
        list(copying)
    assert len(contents(ways.open(ways.bucket))) < 40


def test_what_lies_is_found_when_it_is_read_back(ways: Ways) -> None:
    source, target = ways.open(ways.folder), open_archive(ways.bucket, ways.proxy.endpoint)
    fill(source, {"a": b"true bytes", "b": b"more"})
    ways.proxy.change = lambda body: body.replace(b"true bytes", b"TRUE bytes")
    assert [(done.key, done.outcome) for done in copy_archive(source, target, threading.Event())] == [
        ("a", "different"),
        ("b", "copied"),
    ]


def test_big_objects_are_held_a_few_at_a_time(ways: Ways) -> None:
    archive = ways.open(ways.folder)
    fill(archive, {f"{number:02}": os.urandom(2**22) for number in range(40)})
    process = ways.start(ways.folder, (ways.home / "to").as_uri(), "--at-once", "2")
    most = 0
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()):
            most = int(found[1])
    process.communicate()
    assert process.returncode == 0
    assert 20_000 < most < 120_000, "kilobytes, of which the program takes half"
    assert contents(ways.open((ways.home / "to").as_uri())) == contents(archive)


@pytest.mark.parametrize(("source", "words"), [("ftp://x", "LUMBUNG_ARCHIVE"), ("{absent}", "there is no archive at")])
def test_a_wrong_place_is_a_wrong_setting(source: str, words: str, ways: Ways) -> None:
    source = source.format(absent=(ways.home / "absent").as_uri())
    status, _, errors = ways.run(source, ways.bucket)
    assert (status, words in errors) == (2, True)
