"""Many records are read in two processes, with the same outcome, and these never outlive the one that began them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from filling import dublin_core

from harvester.catalogue.records import CataloguedRecord, Form
from indexer.reading import open_reader

_STARTER = """
import multiprocessing, signal
from indexer.reading import open_reader

if __name__ == "__main__":
    with open_reader(2026, 1_000_000) as read:
        pool = read.func.__self__
        assert pool.submit(int).result() == 0
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        signal.pause()
"""


def test_two_processes_read_as_one_does() -> None:
    title = "Kajian air tanah di pesisir utara, stasiun {}"
    forms = {n: Form("oai_dc", dublin_core({"title": [title.format(n)]}), (), (), False, "") for n in range(1, 400)}
    records = [
        CataloguedRecord(n, f"r{n}", "m", f"oai:m.example:{n}", n, 5, 5, "", n % 50 == 0, (form,))
        for n, form in forms.items()
    ]
    with open_reader(2026, len(records)) as alone, open_reader(2026, 1_000_000) as together:
        expected = list(alone(records))
        assert list(together(records)) == expected
    assert [reading.record for reading in expected] == list(range(1, 400))
    assert [reading.record for reading in expected if reading.document is None] == list(range(50, 400, 50))


def test_readers_end_when_their_starter_is_killed(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(_STARTER, encoding="utf-8")
    process = subprocess.Popen([sys.executable, starter], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        children = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
        process.send_signal(signal.SIGKILL)
    assert children
    for child in children:
        ready, _, _ = select.select([child], [], [], 30)
        os.close(child)
        assert ready
