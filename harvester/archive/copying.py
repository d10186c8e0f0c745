"""From one archive into another: nothing is overwritten, nothing is believed that was not read back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
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
    are in memory, but for files, of which there are pieces.

    Raises:
        ArchiveError: one of the two is away; an object that alone cannot be had is `failed`.
    """

    def copy(key: str) -> Copied:
        try:
            return _copy_file(source, target, key) if key.startswith("files/") else _copy(source, target, key)
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


def _copy(source: Archive, target: Archive, key: str) -> Copied:
    content = source.get(key)
    there = _find(target, key)
    if there is None:
        target.put(key, content)
    if (target.get(key) if there is None else there) != content:
        return _different(key)
    return Copied(key, "copied" if there is None else "equal", len(content))


def _copy_file(source: Archive, target: Archive, key: str) -> Copied:
    with NamedTemporaryFile(prefix="lumbung-") as file:
        digest = sha256()
        for piece in source.iter_bytes(key):
            digest.update(piece)
            file.write(piece)
        file.flush()
        there = _digest(target, key)
        if there is None:
            target.put_file(key, Path(file.name))
        if (_digest(target, key) if there is None else there) != digest.digest():
            return _different(key)
        return Copied(key, "copied" if there is None else "equal", file.tell())


def _different(key: str) -> Copied:
    return Copied(key, "different", error=f"other bytes stand under {key}, and stay")


def _digest(archive: Archive, key: str) -> bytes | None:
    digest = sha256()
    try:
        for piece in archive.iter_bytes(key):
            digest.update(piece)
    except ObjectNotFoundError:
        return None
    return digest.digest()


def _find(archive: Archive, key: str) -> bytes | None:
    try:
        return archive.get(key)
    except ObjectNotFoundError:
        return None
