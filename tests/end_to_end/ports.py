"""Addresses of our own processes: free ports, and waiting for what listens there."""

from __future__ import annotations

import json
import socket
import subprocess
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
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


def wait_until_open(url: str, process: subprocess.Popen[str], seconds: float = 60) -> None:
    """The address answers; the process that should do so still runs."""
    deadline = monotonic() + seconds
    while True:
        try:
            fetch(url)
        except URLError:
            assert process.poll() is None, f"it ended with {process.returncode} before {url} opened"
            assert monotonic() < deadline, f"{url} did not open within {seconds} seconds"
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
