"""`lumbung up`, as `make run` starts it: one command on an empty machine, and one Ctrl-C to end it all."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from time import monotonic

import pytest
from installation import Installation
from ports import fetch, fetch_json, free_port, is_open, wait_until

from harvester.samples.provider import serve
from harvester.samples.repository import SampleRecord, SampleRepository


class Network:
    """`lumbung up --sample-members` on two ports of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.port = free_port()
        self.samples_port = free_port()
        self.process: Popen[str] | None = None

    def up(self) -> tuple[str, float]:
        """What it said up to the line with its address, and the seconds that this took."""
        self.close()
        began = monotonic()
        ports = ("--port", str(self.port), "--samples-port", str(self.samples_port))
        self.process = self.installation.start("up", "--sample-members", *ports, stdout=PIPE)
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if f"http://127.0.0.1:{self.port}" in line:
                return said, monotonic() - began
        raise AssertionError(f"it ended with {self.process.wait()} after saying: {said}")

    def end(self, number: signal.Signals) -> int:
        """The exit status after one such signal to the command alone."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def children(self) -> set[int]:
        """The processes that live in its home folder's name, whoever their parent is now."""
        mark = f"LUMBUNG_HOME={self.installation.home}".encode()
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:  # it has ended meanwhile
                continue
            if mark in environment.split(b"\0") and state != "Z":
                found.add(int(folder.name))
        return found

    def close(self) -> None:
        """Nothing of it is left."""
        if self.process is not None:
            for child in self.children():
                os.kill(child, signal.SIGKILL)
            self.process.wait(10)
            if self.process.stdout is not None:
                self.process.stdout.close()

    def search(self) -> int:
        """How many works there are."""
        total: int = fetch_json(f"http://127.0.0.1:{self.port}/api/search?q=")["total"]
        return total


@pytest.fixture
def network(installation: Callable[..., Installation]) -> Iterator[Network]:
    made = Network(installation())
    yield made
    made.close()


def test_one_command_opens_a_searchable_site_and_one_ctrl_c_ends_everything(network: Network) -> None:
    network.up()
    assert fetch_json(f"http://127.0.0.1:{network.port}/healthz")["status"] == "ok"
    total = network.search()
    assert total > 450
    assert network.end(signal.SIGINT) in {130, -signal.SIGINT}
    assert not network.children()
    assert not is_open(network.port)
    assert not is_open(network.samples_port)

    for number in (signal.SIGINT, signal.SIGTERM):
        before = processor_seconds()
        _, seconds = network.up()
        assert network.search() == total
        assert network.end(number) in {130, -signal.SIGINT}  # a shell calls both 130
        assert not network.children()
        # On a machine that has nothing else to do the wall clock says less than the processor's, of two cores.
        assert min(seconds, processor_seconds() - before) < 5


def test_a_killed_command_leaves_no_child_and_the_next_one_mends_an_index_of_an_earlier_version(
    network: Network,
) -> None:
    network.up()
    total = network.search()
    assert network.end(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not network.children(), None)
    pointer = network.installation.home / "index" / "current"
    pointer.write_text("0123456789ab-1")
    network.up()
    wait_until(lambda: pointer.read_text() != "0123456789ab-1", network.process)
    address = f"http://127.0.0.1:{network.port}/api/search?q="
    wait_until(lambda: fetch(address)[0] == 200, network.process)
    assert network.search() == total


def processor_seconds() -> float:
    """What all ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_site_is_open_ends_everything_too(network: Network, number: signal.Signals) -> None:
    network.process = network.installation.start(
        "up", "--sample-members", "--port", str(network.port), "--samples-port", str(network.samples_port), stdout=PIPE
    )
    wait_until(lambda: is_open(network.samples_port), network.process)
    assert network.end(number) != 0
    assert not network.children()
    assert not is_open(network.port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_first_harvest_ends_it_and_opens_no_site(network: Network, number: signal.Signals) -> None:
    record = SampleRecord("oai:slow.example:1", "2026-01-01T00:00:00Z", (), (("title", "Slow", None),))
    pages = tuple(replace(record, identifier=f"oai:slow.example:{n}") for n in range(100))
    repository = SampleRepository("slow", "Slow", "/slow/oai", pages, page_size=1)
    with serve([repository], latency=0.1) as server:
        network.installation.run("members", "add", "slow", server.url_of("slow"))
        network.process = network.installation.start("up", "--port", str(network.port))
        wait_until(lambda: server.requests >= 3, network.process)
        assert network.end(number) != 0
    assert not network.children()
    assert not is_open(network.port)


@pytest.mark.parametrize("which", ["--port", "--samples-port"])
def test_a_taken_port_is_one_sentence_that_names_it(installation: Callable[..., Installation], which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--port": free_port(), "--samples-port": free_port()} | {which: port}
        arguments = [str(part) for pair in ports.items() for part in pair]
        process = installation().start("up", "--sample-members", *arguments, stdout=PIPE, stderr=PIPE)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert output == ""
    assert errors.count("\n") == 1
    assert f"port {port}" in errors
