"""A real S3 server for tests: Ceph's, its objects in memory, on loopback.

LUMBUNG_TEST_S3 names the address of another one instead, with its key in the usual AWS variables.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph", "setpriv")
_INSTALL = "apt-get install --no-install-recommends ceph-mon ceph-osd radosgw"
_KEY, _SECRET = "LUMBUNGTESTKEY", "lumbung-test-secret"
_SECONDS = 90

_SETTINGS = """[global]
fsid = {fsid}
auth cluster required = none
auth service required = none
auth client required = none
mon host = v1:127.0.0.1:{mon_port}
ms bind msgr2 = false
public addr = 127.0.0.1
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon data = {folder}/mon
mon data avail crit = 1
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd client watch timeout = 5
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
mon allow pool size one = true
mon max pg per osd = 1000
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""


class S3Server:
    """The server, with buckets of its own for each test; one that we started can be paused and killed."""

    def __init__(self, endpoint: str, gateway: Gateway | None = None) -> None:
        self.endpoint = endpoint
        self._gateway = gateway
        plain = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        self.client: S3Client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=plain)

    @property
    def gateway(self) -> Gateway:
        """What can be paused and killed; the test is skipped where the server is somebody's own."""
        return self._gateway or pytest.skip("a server of one's own is not stopped")

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"lumbung-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return name

    def names(self, bucket: str) -> list[str]:
        """What the bucket holds."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def remove_bucket(self, bucket: str) -> None:
        """The bucket is gone with all that it held."""
        for name in self.names(bucket):
            self.client.delete_object(Bucket=bucket, Key=name)
        self.client.delete_bucket(Bucket=bucket)


class Gateway:
    """The process that speaks S3. The objects are another's, and outlive it."""

    def __init__(self, command: list[str], endpoint: str) -> None:
        self._command = command
        self._endpoint = endpoint
        self.start()

    def start(self) -> None:
        """It answers."""
        self._process = _start(self._command)
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                urlopen(self._endpoint, timeout=5).close()
            except HTTPError:
                return
            except OSError:
                assert time.monotonic() < deadline, f"{self._command} does not answer"
                if self._process.poll() is not None:
                    self._process = _start(self._command)
                time.sleep(0.05)
            else:
                return

    def pause(self) -> None:
        """It takes connections and says nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server; its key is in the environment. Skipped where there is none, but never in CI."""
    missing = [name for name in _PROGRAMS if not shutil.which(name)]
    if missing and not os.environ.get("LUMBUNG_TEST_S3"):
        reason = f"no S3 server: {', '.join(missing)} not found; {_INSTALL}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with running() as server:
        yield server


@contextmanager
def running() -> Iterator[S3Server]:
    """The server, and its key in the environment."""
    if endpoint := os.environ.get("LUMBUNG_TEST_S3"):
        yield S3Server(endpoint)
        return
    with ExitStack() as stack:
        # Paths of sockets must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-", ignore_cleanup_errors=True)))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("AWS_ACCESS_KEY_ID", _KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield _start_ceph(folder, stack)


def _start_ceph(folder: Path, stack: ExitStack) -> S3Server:
    mon_port, port = _free_ports(2)
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    settings = folder / "ceph.conf"
    settings.write_text(_SETTINGS.format(fsid=fsid, mon_port=mon_port, port=port, folder=folder))
    for name in ("mon", "osd"):
        (folder / name).mkdir()

    def run(program: str, *arguments: str) -> str:
        command = [program, "-c", str(settings), *arguments]
        for _ in range(5):  # at times a program of Ceph asks the monitor before it knows the cluster's id, and ends
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
            if done.returncode == 0 or "lumbung exists" in done.stderr:  # made before it ended
                return done.stdout
        raise AssertionError(f"{command}: {done.stderr}")

    def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = _start([program, "-c", str(settings), *arguments, "-f"])
        stack.callback(_end, process)
        return process

    run("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", "--fsid", fsid, f"{folder}/monmap")
    run("ceph-mon", "-i", "a", "--mkfs", "--monmap", f"{folder}/monmap")
    start("ceph-mon", "-i", "a")
    run("ceph", "osd", "new", osd)
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
    storing, deadline = start("ceph-osd", "-i", "0"), time.monotonic() + _SECONDS
    while not json.loads(run("ceph", "osd", "stat", "-f", "json"))["num_up_osds"]:
        assert time.monotonic() < deadline, "ceph-osd does not come up"
        if storing.poll() is not None:  # as above
            storing = start("ceph-osd", "-i", "0")
    # fmt: off
    run("radosgw-admin", "user", "create", "--uid", "lumbung", "--display-name", "Lumbung",
        "--access-key", _KEY, "--secret-key", _SECRET)
    # fmt: on
    endpoint = f"http://127.0.0.1:{port}"
    gateway = Gateway(["radosgw", "-c", str(settings), "-n", "client.rgw", "-f"], endpoint)
    stack.callback(gateway.kill)
    return S3Server(endpoint, gateway)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # It ends with us, however we go.
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
