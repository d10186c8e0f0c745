"""What every process that Lumbung starts beside itself owes to the one that started it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import threading

_M_ARENA_MAX = -8  # of glibc's malloc.h


def share_memory() -> None:
    """Threads to come take their memory from four common places, where each would keep some of its own.

    With glibc alone; elsewhere nothing changes. Two take 6 MB less, and a twelfth more processor time: they are waited
    for.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 4)


def hand_over_soon() -> None:
    """A thread that waited for the disk goes on a millisecond later at most, where Python leaves others five.

    It may hold the catalogue meanwhile, which all others wait for.
    """
    sys.setswitchinterval(0.001)


def end_with_parent() -> None:
    """From now on this process ends when the one that started it is gone, however it went."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
