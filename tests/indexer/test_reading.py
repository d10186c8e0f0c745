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

_KILLING = """
import multiprocessing, os, signal, sys
from harvester.catalogue import open_catalogue
from indexer.reading import open_reader

if __name__ == "__main__":
    os.cpu_count = lambda: 4
    with open_reader(open_catalogue(f"sqlite:///{sys.argv[1]}/catalogue.sqlite"), 2026, 1_000_000) as read:
        readings = read(range(1_000_000))
        children = multiprocessing.active_children()
        print(*(child.pid for child in children), flush=True)
        sys.stdin.read()
        children[0].kill()
        list(readings)
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
        first, dropped, second = together(range(1, 101)), together(range(500, 900)), together(range(101, 201))
        del dropped
        found = [*second, *first]
    assert sorted(found) == expected
    assert [each.record for each in found] == [*range(101, 201), *range(1, 101)]
    assert 0 < len(read_here) < 200
    assert len(read_here) == len(set(read_here))
    assert max(read_here) <= 200  # nobody reads what is no longer wanted


def test_who_reads_ends_with_a_sentence_when_one_of_several_others_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "killing.py"
    script.write_text(_KILLING, encoding="utf-8")
    command = [sys.executable, script, tmp_path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        children = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
        _, said = process.communicate("", timeout=60)
    assert process.returncode == 1
    assert "EngineError: a process that reads records was ended from outside" in said.splitlines()[-1]
    assert "InvalidStateError" not in said
    assert len(children) == 3
    assert all(_has_ended(child) for child in children)


def test_readers_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(_STARTER, encoding="utf-8")
    process = subprocess.Popen([sys.executable, starter, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        children = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert children
    assert all(_has_ended(child) for child in children)


def _has_ended(process: int) -> bool:
    ready, _, _ = select.select([process], [], [], 30)
    os.close(process)
    return bool(ready)
