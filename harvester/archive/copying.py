"""From one archive into another: nothing is overwritten, nothing is believed that was not read back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from harvester.archive import Archive
from harvester.errors import ArchiveError, ObjectNotFoundError


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of one object: `equal` stood there before, `different` bytes stand there and stay."""

    key: str
    outcome: Literal["copied", "equal", "different", "failed"]
    size: int = 0  # bytes
    error: str = ""


def copy_archive(source: Archive, target: Archive, stop: threading.Event, *, at_once: int = 8) -> Iterator[Copied]:
    """Each object of the source, once it stands in the target and was read back there; in the order of keys.

    What the target holds already is compared. It may be stopped or killed, and begun again; `at_once` objects at most
    are in memory.

    Raises:
        ArchiveError: one of the two is away; an object that alone cannot be had is `failed`.
    """

    def copy(key: str) -> Copied:
        try:
            content = source.get(key)
            there = _find(target, key)
            if there is None:
                target.put(key, content)
            if (target.get(key) if there is None else there) != content:
                return Copied(key, "different", error=f"other bytes stand under {key}, and stay")
            return Copied(key, "copied" if there is None else "equal", len(content))
        except ArchiveError as error:
            source.check()
            target.check()
            return Copied(key, "failed", error=str(error))

    keys = iter(source.iter_keys())
    with ThreadPoolExecutor(at_once) as pool:
        under_way: deque[Future[Copied]] = deque(pool.submit(copy, key) for key in islice(keys, at_once))
        try:
            while under_way:
                done = under_way.popleft().result()
                under_way.extend(pool.submit(copy, key) for key in islice(keys, 0 if stop.is_set() else 1))
                yield done
        finally:
            for waiting in under_way:
                waiting.cancel()


def _find(archive: Archive, key: str) -> bytes | None:
    try:
        return archive.get(key)
    except ObjectNotFoundError:
        return None
