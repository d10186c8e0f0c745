"""A server that is no more than a socket: it sends what a real one never would, or never ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def serving_one(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The address of a server that answers whoever comes first, and nobody else."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller, suppress(OSError):
                caller.recv(9999)
                answer(caller, gone)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/oai"
        finally:
            gone.set()
            serving.join()


@contextmanager
def dripping(begin: bytes, drop: bytes, pause: float = 0.02) -> Iterator[str]:
    """The address of a server whose answer begins so, and then never ends."""

    def drip(caller: socket.socket, gone: threading.Event) -> None:
        caller.sendall(begin)
        while not gone.wait(pause):
            caller.sendall(drop)

    with serving_one(drip) as url:
        yield url


@contextmanager
def sending(*pieces: bytes) -> Iterator[str]:
    """The address of a server that sends this and hangs up; a piece that is empty stands for the next request."""

    def send(caller: socket.socket, gone: threading.Event) -> None:
        for piece in pieces:
            caller.sendall(piece) if piece else caller.recv(9999)
            gone.wait(0.02)

    with serving_one(send) as url:
        yield url


@contextmanager
def in_time() -> Iterator[None]:
    """What is done here takes seconds, not minutes."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5
