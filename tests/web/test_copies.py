"""Copies of members' files: second to the member's own, in parts, with nothing that runs, and only where they may."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from held_files import PDF, number_of, put_held
from sample_network import NOW, Network, Page, bring, build_network
from sqlalchemy import delete, insert, select, update

from harvester.archive import file_key, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.tables import fulltexts, harvests, members, problems
from harvester.fulltext.takedown import lift_takedown, take_down
from harvester.samples.pdf_writer import Line, write_pdf
from web.app import create_app
from web.copies import copy_path

BODY = write_pdf([[Line(70, 700, f"Halaman {n}")] for n in (1, 2)])
SECOND = b"<script>alert(1)</script> sebuah halaman"
HTML = "text/html"


@dataclass
class Scene:
    network: Network
    catalogue: Catalogue
    app: Flask
    paths: list[str]
    checksums: list[str]

    def get(self, path: str, **headers: str) -> Any:
        client = self.app.test_client()
        return client.get(
            path, headers={"Accept-Language": "en"} | {n.replace("_", "-"): v for n, v in headers.items()}
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    network = build_network(tmp_path_factory.mktemp("copies"))
    catalogue = open_catalogue(network.settings.catalogue_url, lambda: NOW)
    checksums = put_held(
        network.settings,
        catalogue,
        "oai:padi-1",
        ("https://alfa.example/berkas/BAB%201.pdf", BODY, PDF),
        ("https://alfa.example/berkas/2?x=<é>", SECOND, HTML),
        now=NOW - 86_400,
    )
    put_held(network.settings, catalogue, "oai:lasem", ("https://beta.example/8.pdf", BODY + b"\n", PDF), now=NOW)
    app = create_app(network.settings)
    record = network.id_of("padi-1")
    yield Scene(network, catalogue, app, [copy_path(record, one) for one in checksums], checksums)
    app.extensions["lumbung"].close()
    catalogue.close()


def test_the_members_own_link_is_first_and_the_copy_is_called_one_with_date_and_source(scene: Scene) -> None:
    page = Page(scene.app.test_client(), f"/record/{scene.network.id_of('padi-1')}", Accept_Language="en")
    links = page.tree.xpath('//aside[@class="read"]//a')
    assert [(link.text_content(), link.get("href")) for link in links] == [
        ("Read at Perpustakaan Alfa", "https://alfa.example/padi/1"),
        ("BAB 1.pdf", scene.paths[0]),
        ("alfa.example", "https://alfa.example/berkas/BAB%201.pdf"),
        ("File 2", scene.paths[1]),
        ("alfa.example", "https://alfa.example/berkas/2?x=<é>"),
    ]
    assert page.texts('//aside[@class="read"]/h2') == ["Copy in this network"]
    told = f"PDF, 2 pages, {-(-len(BODY) // 1000)} kB · copied on 17 November 2026 from alfa.example"
    assert page.texts('//aside[@class="read"]//li/span')[0] == told
    assert page.texts('//aside[@class="read"]//*[@role="status"]') == []


def test_many_copies_are_folded_so_that_the_abstract_stays_in_sight(scene: Scene) -> None:
    files = [(f"https://alfa.example/{n}.pdf", BODY + bytes(n), PDF) for n in range(3)]
    put_held(scene.network.settings, scene.catalogue, "oai:padi-9", *files, now=NOW)
    page = Page(scene.app.test_client(), f"/record/{scene.network.id_of('padi-9')}", Accept_Language="en")
    assert page.text('//aside[@class="read"]/details/summary') == "3 files"
    assert page.texts('//aside[@class="read"]/details//li/a') == ["0.pdf", "1.pdf", "2.pdf"]


def test_the_copy_is_told_in_indonesian(scene: Scene) -> None:
    page = Page(scene.app.test_client(), f"/record/{scene.network.id_of('padi-1')}")
    assert page.texts('//aside[@class="read"]/h2') == ["Salinan di jaringan ini"]
    assert "disalin pada 17 November 2026 dari alfa.example" in page.texts('//aside[@class="read"]//li')[0]


def test_a_copy_is_served_whole_with_safe_headers(scene: Scene) -> None:
    answer = scene.get(scene.paths[0])
    assert (answer.status_code, answer.data, answer.content_type) == (200, BODY, PDF)
    assert answer.headers["Content-Disposition"] == f'inline; filename="{scene.network.id_of("padi-1")}-1.pdf"'
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "sandbox allow-downloads"} <= set(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Link"] == '<https://alfa.example/berkas/BAB%201.pdf>; rel="canonical"'
    assert answer.content_length == len(BODY)


def test_a_web_page_is_never_one_of_ours(scene: Scene) -> None:
    answer = scene.get(scene.paths[1])
    assert (answer.data, answer.content_type) == (SECOND, "application/octet-stream")
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Link"] == '<https://alfa.example/berkas/2?x=%3C%C3%A9%3E>; rel="canonical"'


@pytest.mark.parametrize(
    ("wanted", "first", "behind"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, len(BODY)), ("bytes=-99999999", 0, len(BODY)),
     ("bytes=-7", len(BODY) - 7, len(BODY)),
     (f"bytes=5-{10**9}", 5, len(BODY))],
)  # fmt: skip
def test_a_part_is_served_where_one_is_asked_for(scene: Scene, wanted: str, first: int, behind: int) -> None:
    answer = scene.get(scene.paths[0], Range=wanted)
    assert (answer.status_code, answer.data) == (206, BODY[first:behind])
    assert answer.headers["Content-Range"] == f"bytes {first}-{behind - 1}/{len(BODY)}"
    assert answer.content_length == behind - first


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "pages=1-2", "bytes=9-1", "nonsense"])
def test_what_is_no_single_part_brings_the_whole(scene: Scene, wanted: str) -> None:
    answer = scene.get(scene.paths[0], Range=wanted)
    assert (answer.status_code, answer.data) == (200, BODY)


def test_a_part_behind_the_end_is_refused_and_one_of_another_file_is_the_whole(scene: Scene) -> None:
    answer = scene.get(scene.paths[0], Range=f"bytes={len(BODY)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(BODY)}")
    assert scene.get(scene.paths[0], Range="bytes=0-9", If_Range='"another"').status_code == 200
    etag = f'"{scene.checksums[0]}"'
    assert scene.get(scene.paths[0], Range="bytes=0-9", If_Range=etag).status_code == 206
    same = scene.get(scene.paths[0], If_None_Match=etag)
    assert (same.status_code, same.data) == (304, b"")


@pytest.mark.parametrize("path", ["/record/{id}/files/0123456789abcdef", "/record/{id}/files/x", "/record/zzz/files/0"])
def test_other_addresses_lead_nowhere(scene: Scene, path: str) -> None:
    assert scene.get(path.format(id=scene.network.id_of("padi-1"))).status_code == 404


def test_a_file_of_another_record_is_not_this_ones(scene: Scene) -> None:
    assert scene.get(copy_path(scene.network.id_of("padi-2"), scene.checksums[0])).status_code == 404


@pytest.mark.parametrize("whole_record", [False, True])
def test_what_is_taken_down_is_gone_at_once_and_back_at_once(scene: Scene, *, whole_record: bool) -> None:
    what = (number_of(scene.catalogue, "oai:padi-1"), None) if whole_record else (None, scene.checksums[0])
    with scene.catalogue.write() as connection:
        assert take_down(connection, *what, "the author asks", NOW)
    page = scene.get(scene.paths[0])
    assert (page.status_code, "taken down" in page.text) == (451, True)
    assert scene.get(scene.paths[0], Range="bytes=0-9", If_None_Match=f'"{scene.checksums[0]}"').status_code == 451
    record = scene.get(f"/record/{scene.network.id_of('padi-1')}")
    assert (record.status_code, scene.paths[0] in record.text) == (410 if whole_record else 200, False)
    assert scene.get(scene.paths[1]).status_code == (451 if whole_record else 200)
    with scene.catalogue.write() as connection:
        assert lift_takedown(connection, *what, "settled", NOW)
        number = number_of(scene.catalogue, "oai:padi-1")
        connection.execute(update(fulltexts).where(fulltexts.c.record_id == number).values(state="held"))
    assert scene.get(scene.paths[0]).status_code == 200


def test_a_member_without_full_texts_shows_none(scene: Scene) -> None:
    with scene.catalogue.write() as connection:
        connection.execute(update(members).where(members.c.slug == "alfa").values(fulltext=False))
    try:
        answer = scene.get(scene.paths[0])
        assert (answer.status_code, "does not want copies" in answer.text) == (403, True)
        assert scene.paths[0] not in scene.get(f"/record/{scene.network.id_of('padi-1')}").text
    finally:
        with scene.catalogue.write() as connection:
            connection.execute(update(members).values(fulltext=True))


def test_a_copy_that_the_archive_lost_is_told_as_such(scene: Scene) -> None:
    archive = open_archive(scene.network.settings.archive_url)
    archive.remove(file_key(scene.checksums[1]))
    answer = scene.get(scene.paths[1])
    assert (answer.status_code, "will be fetched again" in answer.text) == (404, True)
    archive.put(file_key(scene.checksums[1]), SECOND)


def test_while_the_member_is_silent_its_records_say_so_and_offer_the_copy(scene: Scene) -> None:
    path = f"/record/{scene.network.id_of('lasem')}"
    assert "unreachable" not in scene.get(path).text  # a failure of another kind
    with scene.catalogue.write() as connection:
        failed = connection.execute(
            select(harvests.c.id, harvests.c.started_at).where(harvests.c.outcome == "failed")
        ).one()
        told = {"harvest_id": failed.id, "code": "unreachable", "identifier": "", "cause": "no answer"}
        connection.execute(insert(problems).values(told))
    try:
        page = Page(scene.app.test_client(), path, Accept_Language="en")
        status = page.text('//aside[@class="read"]//*[@role="status"]')
        assert status == "Source unreachable since 24 October 2026, 11:06 UTC. The copy below opens."
        opened = scene.get(page.tree.xpath('//aside[@class="read"]//li/a/@href')[0])
        assert (opened.status_code, opened.data) == (200, BODY + b"\n")
    finally:
        with scene.catalogue.write() as connection:
            connection.execute(delete(problems).where(problems.c.harvest_id == failed.id))


def test_rights_that_have_changed_count_before_anybody_looks_for_the_file_again(scene: Scene) -> None:
    identifier = "oai:padi-3"
    (checksum,) = put_held(
        scene.network.settings, scene.catalogue, identifier, ("https://alfa.example/3.pdf", BODY, PDF), now=NOW
    )
    path = copy_path(scene.network.id_of("padi-3"), checksum)
    assert scene.get(path).status_code == 200
    for rights, words in (
        ("info:eu-repo/semantics/restrictedAccess", "restricts who may read it"),
        ("info:eu-repo/date/embargoEnd/2027-03-01", "under embargo until 1 March 2027"),
    ):
        bring(scene.catalogue, "alfa", identifier, (("title", "Panen padi"), ("rights", rights)))
        answer = scene.get(path)
        assert (answer.status_code, words in answer.text) == (403, True)
        assert path not in scene.get(f"/record/{scene.network.id_of('padi-3')}").text


def test_slow_readers_of_copies_hold_up_nobody(scene: Scene, tmp_path: Path) -> None:
    long = b"%PDF-" + bytes(8_000_000)
    files = ("https://alfa.example/5.pdf", long, PDF)
    (checksum,) = put_held(scene.network.settings, scene.catalogue, "oai:padi-5", files, now=NOW)
    path, port = copy_path(scene.network.id_of("padi-5"), checksum), free_port()
    environment = {**os.environ, "LUMBUNG_HOME": str(scene.network.settings.home)}
    command = [sys.executable, "-m", "web", "serve", "--port", str(port), "--without-search"]
    root = Path(__file__).resolve().parents[2]
    server = subprocess.Popen(command, env=environment, cwd=root)
    try:
        wait_for(lambda: status(port, "/healthz") == 200)
        slow = [ask_slowly(port, path) for _ in range(24)]
        told = [each.recv(12)[-3:] for each in slow]
        assert (told.count(b"200"), told.count(b"503")) == (20, 4)
        assert [status(port, "/members/") for _ in range(8)] == [200] * 8
        for each in slow:
            each.close()
        wait_for(lambda: status(port, path) == 200)
        wait_for(lambda: [status(port, path) for _ in range(30)] == [200] * 30)  # every place is free again
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask_slowly(port: int, path: str) -> socket.socket:
    """A reader who reads hardly anything of the answer."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(30)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader


def status(port: int, path: str) -> int:
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=20).status_code
    except requests.ConnectionError:
        return 0


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.1)
