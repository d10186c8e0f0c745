"""How soon the command line answers, and how soon a second start is open."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure, Report, medians, seconds

_LUMBUNG = str(Path(sys.executable).with_name("lumbung"))


def measure(*, quick: bool) -> Report:
    """The help text, and `lumbung up --sample-members` in a fresh home and again."""
    rounds = 3 if quick else 11
    ours, bare = medians(rounds, _runs(_LUMBUNG, "--help"), _runs(sys.executable, "-c", "pass"))
    with tempfile.TemporaryDirectory(prefix="lumbung-bench-") as home:
        first = _up(home)
        second = _up(home)
    return Report(
        f"`lumbung --help` against `python -c pass`, median of {rounds}, by turns; `lumbung up --sample-members` "
        "until it says that it is open (members harvested, indexed, the site answering), in a fresh home and again.",
        (
            Figure("lumbung --help", ours, "s", at_most=0.5),
            Figure("lumbung --help against python -c pass", ours / bare, "x as long"),
            Figure("first start", first, "s"),
            Figure("second start", second, "s", at_most=5),
        ),
    )


def _runs(*command: str) -> Callable[[], float]:
    return lambda: seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _up(home: str) -> float:
    """The seconds until a start says that it is open; it is ended then."""
    ports = _free_ports(2)
    command = (_LUMBUNG, "up", "--sample-members", "--port", str(ports[0]), "--samples-port", str(ports[1]))
    environment = os.environ | {"LUMBUNG_HOME": home, "PYTHONUNBUFFERED": "1"}
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=home) as process:
        assert process.stdout is not None
        opened = any("Lumbung is open" in line for line in process.stdout)
        took = time.perf_counter() - begin
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert opened, "lumbung up ended before it was open"
    return took


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
