"""The endpoint as `lumbung serve` serves it: what hostile clients send, and an index that is rebuilt or lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from oai_client import NS, validate
from sample_network import Network


class Served:
    """A site in a process of its own, over a copy of the network."""

    def __init__(self, network: Network, home: Path) -> None:
        self.home = home
        shutil.copytree(network.settings.home, home, dirs_exist_ok=True)
        self.environment = os.environ | {
            "LUMBUNG_HOME": str(home),
            "LUMBUNG_BASE_URL": network.settings.base_url,
            "LUMBUNG_SECRET_KEY": "x",
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = self.start("serve", "--port", str(self.port))
        deadline = time.monotonic() + 60
        while not self._is_open():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.01)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        program = "from web.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, *command],
            env=self.environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, method: str, query: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        connection.request(method, f"/oai?{query}" if query else "/oai", body, form)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def feed(self) -> bytes:
        """All that re-harvesters see, but for the moment at which they ask."""
        lists = [f"ListRecords&metadataPrefix={prefix}" for prefix in ("oai_dc", "marcxml", "qdc", "source_oai_dc")]
        found = []
        for asked in ("Identify", "ListSets", "ListMetadataFormats", *lists):
            status, body = self.ask("GET", f"verb={asked}")
            assert status == 200
            found.append(body.partition(b"<request")[2])
        return b"".join(found)


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(network, tmp_path_factory.mktemp("served"))
    yield served
    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()


@pytest.mark.parametrize(
    "argument",
    ["%00%01%1F", "%FF%FE%C3", "%ED%A0%80", "%EF%BF%BE", "a" * 50_000, "%00" * 20_000, "%3Cx%3E%26" * 5_000],
    ids=["control", "bytes", "surrogate", "nonchar", "long", "long-control", "markup"],
)
def test_hostile_arguments_get_an_answer_of_the_protocol(site: Served, argument: str) -> None:
    for query in (
        f"verb={argument}",
        f"verb=Identify&{argument}=1",
        f"verb=GetRecord&metadataPrefix=oai_dc&identifier={argument}",
        f"verb=ListRecords&metadataPrefix={argument}&set={argument[:5000]}",
        f"verb=ListRecords&resumptionToken={argument}",
        f"verb=ListSets&resumptionToken={argument[:10_000]}&resumptionToken={argument[:10_000]}",
    ):
        for times in (1, 3):  # 100 kB and more are for POST: HTTP itself gives an address up to 64 kB
            twice = query if times == 1 else f"{query}&more={argument * 3}"
            found = [site.ask("POST", "", twice.encode())] + ([site.ask("GET", query)] if len(query) < 65_000 else [])
            for status, body in found:
                assert status == 200
                codes = validate(body).xpath("//o:error/@code", namespaces=NS)
                assert codes
                assert {str(code) for code in codes} <= {
                    *("badVerb", "badArgument", "badResumptionToken"),
                    *("idDoesNotExist", "cannotDisseminateFormat", "noRecordsMatch"),
                }


def test_an_address_that_http_cannot_take_is_refused_as_http_has_it(site: Served) -> None:
    status, _ = site.ask("GET", "verb=Identify&a=" + "a" * 100_000)
    assert status == 414


def test_whatever_becomes_of_the_index_no_byte_of_the_feed_changes(site: Served) -> None:
    before = site.feed()
    assert before.count(b"<record>") == 4 * 60
    assert site.start("reindex").wait(120) == 0
    assert site.feed() == before
    shutil.rmtree(site.home / "index")
    assert site.feed() == before
    assert site.start("reindex").wait(120) == 0
    assert site.feed() == before


def test_under_maintenance_re_harvesters_are_told_to_come_back(site: Served) -> None:
    notice = site.home / "maintenance"
    notice.write_text("The disk is exchanged; back at 14:00 WIB.\n", "utf-8")
    assert site.ask("GET", "verb=Identify") == (503, b"The disk is exchanged; back at 14:00 WIB.\n")
    notice.write_bytes(b"")
    status, body = site.ask("POST", "", b"verb=ListRecords&metadataPrefix=oai_dc")
    assert status == 503
    assert b"maintained" in body
    notice.unlink()
    assert site.ask("GET", "verb=Identify")[0] == 200
