"""A search for full texts that is killed at whatever step loses nothing, and ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.files import FileSite, Thing
from fakes.lumbung_process import Harvests, Plant
from filling import fill
from sqlalchemy import select

from harvester.archive import file_key, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.files import get_rungs, list_files
from harvester.catalogue.members import Member, add_member, get_member
from harvester.catalogue.records import iter_records
from harvester.catalogue.tables import fulltexts, leases, texts
from harvester.fulltext.keep import get_text
from harvester.samples.pdf_writer import Line, write_pdf

STEPS = ("keep_file", "put_file", "drop_part", "put_fulltext", "arrange_files", "put_text", "COMMIT")
FILES = 2
WORDS = "Naskah ini cukup panjang untuk dibaca sebagai sebuah teks."


def written(path: str) -> Thing:
    """A PDF that can be read, of 200 kB, another one for each path."""
    rest = f"%{path}{'x' * 200_000}\nstartxref".encode()
    return Thing(write_pdf([[Line(70, 700, WORDS)]]).replace(b"startxref", rest))


class Scene:
    """A home with one member, to which records come; processes look for their files one after the other."""

    def __init__(self, site: FileSite, path: Path, url: str, processes: Harvests) -> None:
        self.site = site
        self.path = path
        self.url = url
        self.processes = processes
        self.records = 0
        self.kills = 0
        self.catalogue: Catalogue = open_catalogue(url)
        with self.catalogue.write() as connection:
            add_member(connection, Member("a", "A", site.url("/oai")), 1)

    def add(self, count: int) -> None:
        """So many records more."""
        new = range(self.records, self.records + count)
        paths = {n: [f"/{n}/{at}/{at}.pdf" for at in range(FILES)] for n in new}
        self.site.things |= {path: written(path) for some in paths.values() for path in some}
        values = {n: {"title": [f"T {n}"], "identifier": [self.site.url(path) for path in paths[n]]} for n in new}
        fill(self.catalogue, "a", [(f"oai:a:{n}", values[n]) for n in new])
        self.records += count

    def run(self, plant: Plant | None = None) -> None:
        self.processes.start(self.path, self.url, plant)
        self.end()

    def end(self) -> None:
        status = self.processes.wait()
        assert status in {0, -signal.SIGKILL}, (self.path / "output").read_text()
        self.kills += status != 0

    def assert_whole(self) -> None:
        """Every file of every record is kept, once, and nothing else is left anywhere."""
        archive = open_archive((self.path / "archive").as_uri())
        with self.catalogue.read() as connection:
            numbers = [record.number for record in iter_records(self.catalogue)]
            found = list_files(connection, numbers)
            states = connection.execute(select(fulltexts.c.state)).scalars().all()
            states_of_texts = connection.execute(select(texts.c.sha256, texts.c.state)).all()
            assert connection.execute(select(leases)).all() == []
            assert get_rungs(connection, get_member(connection, "a"))["metadata"].found == self.records
        assert states == ["held"] * self.records
        assert [len(found[number]) for number in numbers] == [FILES] * self.records
        kept = {file.url.removeprefix(self.site.url("")): file for some in found.values() for file in some}
        for path, file in kept.items():
            assert archive.get(file_key(str(file.sha256))) == self.site.things[path].body
        assert set(archive.iter_keys("files/")) == {file_key(str(file.sha256)) for file in kept.values()}
        assert {sha256 for sha256, _ in states_of_texts} == {file.sha256 for file in kept.values()}
        for sha256, state in states_of_texts:
            assert (state, get_text(archive, sha256).strip()) == ("text", WORDS)
        assert len(list(archive.iter_keys("texts/"))) == len(kept)
        left = {path.name for path in (self.path / "incoming").iterdir()}
        assert {name for name in left if not name.startswith("reading-")} == set()  # those go after some days


@pytest.fixture(scope="module")
def processes() -> Iterator[Harvests]:
    with Harvests("fulltext") as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, catalogue_url: str, processes: Harvests) -> Iterator[Scene]:
    with FileSite() as site:
        made = Scene(site, tmp_path, catalogue_url, processes)
        yield made
        made.catalogue.close()


def test_killed_before_and_after_every_step(scene: Scene) -> None:
    plants = [Plant(step, 1, before) for step in STEPS for before in (True, False)]
    plants += [Plant("COMMIT", nth, before=True) for nth in range(2, 10, 2)]
    if scene.url.startswith("postgresql"):  # what is killed is the same
        plants = plants[-7:]
    for plant in random.Random(4).sample(plants, len(plants)):
        scene.add(1)
        scene.run(plant)
    assert scene.kills >= len(plants) - 2
    scene.run()
    scene.assert_whole()


def test_killed_in_mid_download_it_goes_on_behind_what_came(scene: Scene) -> None:
    scene.add(1)
    thing = scene.site.things["/0/1/1.pdf"]
    pids: list[int] = []
    incoming = scene.path / "incoming"

    def kill() -> None:
        while sum(part.stat().st_size for part in incoming.glob("*.part")) < len(thing.body) // 2:
            time.sleep(0.005)  # until it has been read
        os.kill(pids[0], signal.SIGKILL)

    thing.at_half = kill
    pids.append(scene.processes.start(scene.path, scene.url, None))
    scene.end()
    assert scene.kills == 1
    scene.run()
    asked = [one for one in scene.site.asked if one.path.endswith(".pdf")]
    assert [(one.path, one.range) for one in asked] == [
        ("/0/0/0.pdf", None),
        ("/0/1/1.pdf", None),
        ("/0/1/1.pdf", f"bytes={len(thing.body) // 2}-"),
    ]
    scene.assert_whole()
