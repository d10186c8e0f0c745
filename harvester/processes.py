"""What every process that Lumbung starts beside itself owes to the one that started it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import threading

_M_ARENA_MAX = -8  # of glibc's malloc.h


def use_many_threads() -> None:
    """Threads to come share memory, and go on soon.

    They take their memory from four common places, where each would keep some of its own: with glibc alone. Two places
    take 6 MB less, and a twelfth more processor time, as they are waited for. A thread that waited for the disk goes on
    a millisecond later at most, where Python leaves others five: it may hold the catalogue, which all others wait for.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 4)
    sys.setswitchinterval(0.001)


def end_with_parent() -> None:
    """From now on this process ends when the one that started it is gone, however it went."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
