"""Lumbung with its archive on a real S3 server, which is killed, paused and forbidden, as Lumbung itself is."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from subprocess import PIPE

import pytest
from fakes.s3_proxy import FaultyProxy
from installation import Installation
from ports import end_group, free_port, is_open, wait_until
from services.s3 import S3Server
from sqlalchemy import select

from harvester.archive import get_page, open_archive
from harvester.catalogue import open_catalogue
from harvester.catalogue.tables import pages
from harvester.samples.entries import get_entries
from harvester.samples.platforms import sample_repositories

pytestmark = pytest.mark.service
SLUGS = ("tirta-samudra", "arunika", "kembang-nusa", "wanasari")


@dataclass
class Scene:
    """The sample members behind a proxy that remembers each answer, and an installation whose archive is on S3."""

    here: Installation
    members: FaultyProxy
    s3: FaultyProxy
    server: S3Server
    bucket: str
    sent: list[bytes]

    def at_object(self, number: int, do: Callable[[], object]) -> None:
        """It is done when so many more objects have been put, before the client knows of the last one."""
        count = iter(range(1, 10**6))

        def look(body: bytes) -> bytes:
            if self.s3.seen[-1] == "PUT" and next(count) == number:
                do()
            return body

        self.s3.change = look

    def check_all_is_there(self, *, lost: int) -> None:
        """Each answer that came is in the archive byte for byte, but `lost` at most; each record is here."""
        archive = open_archive(f"s3://{self.bucket}/archive", self.server.endpoint)
        kept = Counter(get_page(archive, key) for key in archive.iter_keys("pages/"))
        assert kept <= Counter(self.sent)
        assert (Counter(self.sent) - kept).total() <= lost
        url = f"sqlite:///{self.here.home / 'catalogue.sqlite'}"
        with closing(open_catalogue(url)) as catalogue, catalogue.read() as connection:
            rows = connection.execute(select(pages.c.archive_key, pages.c.size)).all()
        assert len(rows) >= 10
        assert all(len(get_page(archive, row.archive_key)) == row.size for row in rows)
        records = map(json.loads, self.here.run("records", "--json").splitlines())
        found = Counter(record["member"] for record in records)
        assert found == {slug: sum(not entry.deleted for entry in get_entries(slug)) for slug in SLUGS}


@pytest.fixture
def scene(installation: Callable[..., Installation], s3_server: S3Server) -> Iterator[Scene]:
    bucket, port, sent = s3_server.make_bucket(), free_port(), []

    def remember(body: bytes) -> bytes:
        sent.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        return body

    with FaultyProxy(s3_server.endpoint) as s3, FaultyProxy(f"http://127.0.0.1:{port}") as members:
        members.change = remember
        here = installation(LUMBUNG_ARCHIVE=f"s3://{bucket}/archive", LUMBUNG_S3_ENDPOINT=s3.endpoint)
        samples = here.start("sample-members", "--port", str(port), stdout=PIPE)
        try:
            wait_until(lambda: is_open(port), samples)
            for repository in sample_repositories(members.endpoint):
                here.run("members", "add", repository.slug, members.endpoint + repository.path)
            sent.clear()
            yield Scene(here, members, s3, s3_server, bucket, sent)
        finally:
            end_group(samples, signal.SIGTERM)
            assert samples.stdout is not None
            samples.stdout.close()


def test_a_harvest_into_s3_that_is_killed_goes_on_and_every_answer_is_there(scene: Scene) -> None:
    kills = (1, 3, 5, 4)
    for number in kills:
        process = scene.here.start("harvest", stderr=PIPE)
        scene.at_object(number, lambda pid=process.pid: os.kill(pid, signal.SIGKILL))
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    runs = scene.here.harvest()
    assert {run["outcome"] for run in runs.values()} <= {"complete", "nothing-new"}
    scene.check_all_is_there(lost=0)
    assert {run["outcome"] for run in scene.here.harvest().values()} == {"nothing-new"}
    runs = scene.here.run("reconcile", "--json")
    assert {json.loads(line)["outcome"] for line in runs.splitlines()} == {"nothing-new"}


def test_a_server_that_dies_in_mid_harvest_and_comes_back_is_waited_for(scene: Scene) -> None:
    gateway = scene.server.gateway
    died = threading.Event()

    def die() -> None:
        gateway.kill()
        died.set()

    scene.at_object(4, die)
    process = scene.here.start("harvest", "--json", stdout=PIPE, stderr=PIPE)
    try:
        assert died.wait(60)
    finally:
        gateway.start()
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {json.loads(line)["outcome"] for line in output.splitlines()} == {"complete"}
    scene.check_all_is_there(lost=0)


def test_an_archive_that_refuses_ends_the_harvest_and_the_next_one_goes_on(scene: Scene) -> None:
    whole = [f"arn:aws:s3:::{scene.bucket}", f"arn:aws:s3:::{scene.bucket}/*"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": ["s3:ListBucket", "s3:*Object"], "Resource": whole}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    scene.at_object(4, lambda: scene.server.client.put_bucket_policy(Bucket=scene.bucket, Policy=policy))
    process = scene.here.start("harvest", stdout=PIPE, stderr=PIPE)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the access key must be allowed to list, read and write" in errors
    assert "lumbung-test-secret" not in errors
    before = len(scene.sent)
    process = scene.here.start("harvest", stdout=PIPE, stderr=PIPE)
    process.communicate(timeout=60)
    assert (process.returncode, len(scene.sent)) == (1, before), "nobody is asked for what cannot be kept"
    scene.server.client.delete_bucket_policy(Bucket=scene.bucket)
    assert {run["outcome"] for run in scene.here.harvest().values()} <= {"complete", "nothing-new"}
    scene.check_all_is_there(lost=1)


def test_a_worker_goes_on_when_the_server_is_back(scene: Scene) -> None:
    gateway, paused = scene.server.gateway, threading.Event()

    def pause() -> None:
        gateway.pause()
        paused.set()

    scene.at_object(4, pause)
    worker = scene.here.start("work", "--once", stderr=PIPE)
    try:
        assert paused.wait(60)
        asked = len(scene.members.seen)
        threading.Event().wait(3)
        assert len(scene.members.seen) <= asked + 1
    finally:
        gateway.kill()  # and it loses what it was asked meanwhile
        gateway.start()
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0, errors
    assert "Traceback" not in errors
    scene.check_all_is_there(lost=0)
