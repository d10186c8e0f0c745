"""An archive in a local folder: one file an object, durable when `put` returns."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from filecmp import cmp
from pathlib import Path
from typing import BinaryIO

from harvester.archive import is_key
from harvester.errors import ArchiveError, ObjectNotFoundError

_PIECE = 2**18


class LocalArchive:
    """Objects as files below `root`. Several processes may put at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchiveError(f"the archive folder {root} cannot be made: {error}") from error

    def put(self, key: str, content: bytes) -> None:
        """See `Archive.put`."""

        def write(file: BinaryIO) -> None:
            file.write(content)

        self._put(key, write, lambda path: path.read_bytes() == content)

    def put_file(self, key: str, path: Path) -> None:
        """See `Archive.put_file`."""

        def write(file: BinaryIO) -> None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file, _PIECE)

        self._put(key, write, lambda there: cmp(there, path, shallow=False))

    def replace(self, key: str, content: bytes) -> None:
        """See `Archive.replace`."""

        def write(file: BinaryIO) -> None:
            file.write(content)

        self._put(key, write)

    def _put(self, key: str, write: Callable[[BinaryIO], None], is_there: Callable[[Path], bool] | None = None) -> None:
        """The object is written aside, synced, and then linked to its name: never half there. Without `is_there`, in
        the place of any other."""
        path = self._path(key)
        try:
            self._make_folder(path.parent)
            aside = path.parent / f".{secrets.token_hex(8)}"
            try:
                with aside.open("xb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                if is_there is None:
                    aside.replace(path)
                else:
                    os.link(aside, path)
            except FileExistsError:
                if is_there is None or not is_there(path):
                    raise ArchiveError(f"the archive holds other bytes under {key} already") from None
            finally:
                aside.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            raise ArchiveError(f"the archive cannot keep {key}: {error}") from error

    def get(self, key: str) -> bytes:
        """See `Archive.get`."""
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise self._failure(key, error) from error

    def iter_bytes(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """See `Archive.iter_bytes`."""
        try:
            with self._path(key).open("rb") as file:
                file.seek(first)
                left = last + 1 - first if last is not None else -1
                while piece := file.read(min(left, _PIECE) if left >= 0 else _PIECE):
                    left -= len(piece) if left >= 0 else 0
                    yield piece
        except OSError as error:
            raise self._failure(key, error) from error

    def remove(self, key: str) -> None:
        """See `Archive.remove`."""
        path = self._path(key)
        try:
            if not self._root.is_dir():
                raise NotADirectoryError(self._root)
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync_folder(path.parent)
        except OSError as error:
            raise ArchiveError(f"the archive cannot remove {key}: {error}") from error

    def _failure(self, key: str, error: OSError) -> ArchiveError:
        if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)) and self._root.is_dir():
            return ObjectNotFoundError(f"the archive has no object {key}")
        return ArchiveError(f"the archive cannot read {key}: {error}")

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """See `Archive.iter_keys`."""
        try:
            yield from self._walk(self._root, "", prefix)
        except OSError as error:
            raise ArchiveError(f"the archive cannot be listed: {error}") from error

    def check(self) -> None:
        """See `Archive.check`."""
        if not self._root.is_dir() or not os.access(self._root, os.W_OK):
            raise ArchiveError(f"the archive folder {self._root} is not writable")

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[str]:
        # A folder sorts as its name with a slash, so that the keys come out in ascending order.
        with os.scandir(folder) as entries:
            names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in entries if entry.name[0] != ".")
        for name in names:
            key = base + name
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(folder / name, key, prefix)
            elif key.startswith(prefix):
                yield key

    def _path(self, key: str) -> Path:
        if not is_key(key):
            raise ArchiveError(f"not an archive key: {key!r}")
        return self._root.joinpath(*key.split("/"))

    def _make_folder(self, folder: Path) -> None:
        # The root is never made again: where it has gone, a disk is missing.
        if folder == self._root or folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A file's name is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
