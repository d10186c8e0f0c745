"""Kept files: put into the archive by checksum, found whole again, and read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Protocol

import structlog
import zstandard

from harvester.archive import Archive, file_key
from harvester.catalogue.files import Kept, list_unread, mark_damaged, put_text
from harvester.errors import ArchiveError, ObjectNotFoundError
from harvester.fulltext.fetch import Fetched
from harvester.run import HarvestContext

_READ_AT_ONCE = 100


class ReadFile(Protocol):
    """What a reader says of a file."""

    @property
    def state(self) -> str: ...
    @property
    def language(self) -> str | None: ...
    @property
    def text(self) -> str: ...
    @property
    def page_starts(self) -> Sequence[int]: ...


class FileReader(Protocol):
    """Takes the text out of files, one after the other; `close` ends its process."""

    def read(self, path: Path, media_type: str = "") -> ReadFile: ...
    def close(self) -> None: ...


def keep_file(archive: Archive, fetched: Fetched) -> None:
    """The file is in the archive under its checksum, whole, also where a damaged one was."""
    key = file_key(fetched.sha256)
    try:
        archive.put_file(key, fetched.path)
    except ArchiveError:
        if is_whole(archive, key, fetched.sha256):
            raise
        archive.remove(key)
        archive.put_file(key, fetched.path)


def is_whole(archive: Archive, key: str, sha256: str) -> bool:
    """Whether the archive holds an object with this checksum under the key; false also where it holds none.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    digest = new_sha256()
    try:
        for piece in archive.iter_bytes(key):
            digest.update(piece)
    except ObjectNotFoundError:
        return False
    except ArchiveError:
        archive.check()
        return False  # this object cannot be read, and others can
    return digest.hexdigest() == sha256


def incoming(context: HarvestContext) -> Path:
    """The folder where files are until they are whole, and while they are read; what a kill leaves there goes after
    some days."""
    return context.settings.home.absolute() / "incoming"


def text_key(sha256: str) -> str:
    """Where the text of a kept file is."""
    return f"texts/{sha256}.zst"


def get_text(archive: Archive, sha256: str, most: int | None = None) -> str:
    """The text of a kept file that has one; no more than so many bytes of its beginning, where that is said.

    Raises:
        ObjectNotFoundError: it has none.
        ArchiveError: it is damaged, or the archive cannot be reached.
    """
    try:
        packed = archive.get(text_key(sha256))
        if most is None:
            return zstandard.ZstdDecompressor().decompress(packed).decode("utf-8", "surrogatepass")
        with zstandard.ZstdDecompressor().stream_reader(packed) as beginning:
            return beginning.read(most).decode("utf-8", "ignore")
    except zstandard.ZstdError as error:
        raise ArchiveError(f"the archived text of {sha256} is damaged: {error}") from error


def is_text_whole(archive: Archive, sha256: str, characters: int) -> bool:
    """Whether the archive holds the text of a file, with so many characters; true where it has none.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    try:
        return not characters or len(get_text(archive, sha256)) == characters
    except ObjectNotFoundError:
        return False
    except ArchiveError:
        archive.check()
        return False


def read_waiting(context: HarvestContext, reader: FileReader) -> int:
    """Kept files that nobody had read were read, and their texts are in the archive; how many.

    Raises:
        ArchiveError: the archive cannot be reached.
    """
    done, last = 0, ""
    while not context.stop.is_set():
        with context.catalogue.read() as connection:
            waiting = list_unread(connection, _READ_AT_ONCE, last)
        if not waiting:
            break
        for kept in waiting:
            if context.stop.is_set():
                return done
            _read(context, reader, kept)
            done += 1
            last = kept.sha256
    return done


def _read(context: HarvestContext, reader: FileReader, kept: Kept) -> None:
    archive, catalogue = context.archive, context.catalogue
    digest = new_sha256()
    folder = incoming(context)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="reading-", suffix=".part") as file:
        try:
            for piece in archive.iter_bytes(file_key(kept.sha256)):
                digest.update(piece)
                file.write(piece)
        except ObjectNotFoundError:
            digest = new_sha256(b"\0")
        file.flush()
        if digest.hexdigest() != kept.sha256:
            structlog.get_logger("fulltext").error("an archived file is damaged", sha256=kept.sha256)
            with catalogue.write() as connection:
                mark_damaged(connection, kept.sha256, catalogue.now())
            return
        found = reader.read(Path(file.name), kept.media_type)
    if found.text:
        packed = zstandard.ZstdCompressor(level=9, write_checksum=True).compress(
            found.text.encode("utf-8", "surrogatepass")
        )
        try:
            archive.put(text_key(kept.sha256), packed)
        except ArchiveError:  # by another reader, or another version of one
            archive.check()
            archive.remove(text_key(kept.sha256))
            archive.put(text_key(kept.sha256), packed)
    with catalogue.write() as connection:
        put_text(
            connection,
            kept.sha256,
            found.state,
            catalogue.now(),
            language=found.language,
            page_starts=found.page_starts,
            characters=len(found.text),
        )
