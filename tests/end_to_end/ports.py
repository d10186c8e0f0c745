"""Addresses of our own processes: free ports, and waiting for what listens there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen


def free_port() -> int:
    """A port on 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    """True where something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(url: str) -> tuple[int, bytes]:
    """Status and body."""
    try:
        with urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def fetch_json(url: str) -> Any:
    """The JSON of an answer that is well."""
    status, body = fetch(url)
    assert status == 200, (url, status, body[:500])
    return json.loads(body)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None, seconds: float = 60) -> None:
    """It is so, and the process, if one is given, still ran until then."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"nothing within {seconds} seconds"
        if process is None:
            sleep(0.01)
            continue
        try:
            raise AssertionError(f"it ended with {process.wait(0.01)}")
        except subprocess.TimeoutExpired:
            continue


def end_group(process: subprocess.Popen[str], number: signal.Signals, seconds: float = 15) -> int:
    """The exit status after one such signal to all of its processes, as a terminal's Ctrl-C sends it; none is left."""
    os.killpg(process.pid, number)
    try:
        return process.wait(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
