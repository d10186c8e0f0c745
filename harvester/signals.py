"""Ctrl-C and SIGTERM as events, for work that ends where nothing is lost. Light to import: it is wanted first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def graceful_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one interrupts."""
    with stop_signals(once=True) as stop:
        yield stop


@contextmanager
def stop_signals(*, once: bool = False) -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; with `once`, only the first does."""
    stop = threading.Event()
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def set_stop(_number: int, _frame: object) -> None:
        stop.set()
        if once:
            for each in former:
                signal.signal(each, signal.default_int_handler)
            click.echo("stopping at the next page; once more to stop at once", err=True)

    for number in former:
        signal.signal(number, set_stop)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
