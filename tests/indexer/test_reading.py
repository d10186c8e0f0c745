"""Many records are read in two processes, with the same outcome, and these never outlive the one that began them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from filling import fill

from harvester.catalogue import Catalogue
from indexer.engine.schema import document_in
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
    titles = [document_in(reading.entry).title for reading in expected if reading.entry]
    assert titles == [title.format(n) for n in numbers if n % 50]


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
