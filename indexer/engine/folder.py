"""The folder of an embedded index: which build is active, who may write, how far it has come.

    write.lock               held by the one process that writes
    current                  the name of the active build; replaced atomically, so readers follow a swap
    <checksum>-<number>/     one build: tantivy's files and `watermark`; the former one stays until the next swap

The system frees the lock when its holder dies, in whatever way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from harvester.errors import EngineBusyError, SchemaChangedError


def write_durably(path: Path, text: str) -> None:
    """The file holds the text, also after a loss of power; at no moment does it hold a part of it."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """The names in the folder are durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class IndexFolder:
    """The builds of one index under `root`; those of another schema than `checksum` are not opened."""

    def __init__(self, root: Path, checksum: str) -> None:
        self.root = root
        self.pointer = root / "current"
        self._checksum = checksum
        self._lock: int | None = None

    def find_active(self) -> Path | None:
        """The folder of the active build, or None where nothing was built."""
        try:
            name = self.pointer.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        if name.partition("-")[0] != self._checksum:
            raise SchemaChangedError(f"the index in {self.root} was built for another schema; run `lumbung reindex`")
        build = self.root / name
        return build if (build / "meta.json").exists() else None

    def lock(self) -> None:
        """This process writes. Raises EngineBusyError where another does; holding the lock already is no error."""
        if self._lock is not None:
            return
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "write.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise EngineBusyError(
                f"another process is writing to the index: it holds the lock {path}; try again when it is done"
            ) from error
        self._lock = handle

    def unlock(self) -> None:
        """This process no longer writes."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def new_build(self) -> Path:
        """The path for a further build, which does not exist yet. Needs the lock."""
        taken = [int(path.name.partition("-")[2]) for path in self.root.glob(f"{self._checksum}-*")]
        return self.root / f"{self._checksum}-{max(taken, default=0) + 1}"

    def activate(self, build: Path) -> None:
        """Readers open this build from now on; but for the former one every other is gone. Needs the lock."""
        former = self.pointer.read_text(encoding="utf-8").strip() if self.pointer.exists() else ""
        sync_folder(self.root)
        write_durably(self.pointer, build.name)
        for path in self.root.iterdir():
            if path.is_dir() and path.name not in {build.name, former}:
                shutil.rmtree(path, ignore_errors=True)

    def clear(self) -> None:
        """Nothing was built here. Needs the lock."""
        self.pointer.unlink(missing_ok=True)
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
