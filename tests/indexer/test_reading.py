"""Many records are read in two processes, with the same outcome, and these never outlive the one that began them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from filling import fill

from harvester.catalogue import Catalogue
from indexer import reading
from indexer.engine.schema import unpack
from indexer.reading import open_reader

_STARTER = """
import multiprocessing, signal, sys
from harvester.catalogue import open_catalogue
from indexer.reading import open_reader

if __name__ == "__main__":
    with open_reader(open_catalogue(f"sqlite:///{sys.argv[1]}/catalogue.sqlite"), 2026, 1_000_000) as read:
        assert not list(read(range(1000)))
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        signal.pause()
"""


def test_two_processes_read_as_one_does(catalogue: Catalogue) -> None:
    title = "Kajian air tanah di pesisir utara, stasiun {}"
    fill(catalogue, "a", [(str(n), {"title": [title.format(n)]}) for n in range(1, 400)])
    fill(catalogue, "a", [(str(n), None) for n in range(50, 400, 50)])
    numbers = range(1, 400)
    with open_reader(catalogue, 2026, 399) as alone, open_reader(catalogue, 2026, 1_000_000) as together:
        expected = list(alone(numbers))
        assert list(together(numbers)) == expected
    assert [reading.record for reading in expected] == list(numbers)
    assert [reading.record for reading in expected if reading.entry is None] == list(range(50, 400, 50))
    titles = [unpack(reading.entry.document).title for reading in expected if reading.entry]
    assert titles == [title.format(n) for n in numbers if n % 50]


def test_this_process_reads_what_the_other_has_not_begun(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(catalogue, "a", [(str(n), {"title": [f"Kajian air tanah, stasiun {n}"]}) for n in range(1, 201)])
    with open_reader(catalogue, 2026, 200) as alone:
        expected = list(alone(range(1, 201)))
    read_here: list[int] = []
    read = reading._read

    def read_slowly(catalogue: Catalogue, numbers: Sequence[int], this_year: int) -> list[reading.Reading]:
        read_here.extend(numbers)
        time.sleep(0.2)
        return read(catalogue, numbers, this_year)

    monkeypatch.setattr(reading, "_read", read_slowly)
    monkeypatch.setattr(reading, "_CHUNK", 5)
    with open_reader(catalogue, 2026, 1_000_000) as together:
        first, second = together(range(1, 101)), together(range(101, 201))
        found = [*second, *first]
    assert sorted(found) == expected
    assert [each.record for each in found] == [*range(101, 201), *range(1, 101)]
    assert 0 < len(read_here) < 200
    assert len(read_here) == len(set(read_here))


def test_readers_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(_STARTER, encoding="utf-8")
    process = subprocess.Popen([sys.executable, starter, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        children = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert children
    for child in children:
        ready, _, _ = select.select([child], [], [], 30)
        os.close(child)
        assert ready
