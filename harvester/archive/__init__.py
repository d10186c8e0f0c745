"""The archive: every page and file a member sent, byte for byte. The truth about bytes; what is in it changes only
where something in it was taken down."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import zstandard

from harvester.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from harvester.settings import Settings

_packing = threading.Lock()


class Archive(Protocol):
    """A store of objects under keys such as `pages/undip/00000012/000003.xml.zst`; write-once.

    Every method raises `ArchiveError` when the store cannot be reached, which says nothing about an object.
    """

    def put(self, key: str, content: bytes) -> None:
        """The object stands under the key, on stable storage, before this returns.

        Putting the same bytes again changes nothing; other bytes under a key in use raise `ArchiveError`.
        """

    def put_file(self, key: str, path: Path) -> None:
        """As `put`, with the bytes of a file, some of which are in memory at a time. The file stays."""

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises `ObjectNotFoundError` where there is none."""

    def iter_bytes(self, key: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
        """The object's bytes from the one at `first` to the one at `last`, that included, or to its end; in pieces of
        which none is empty, and a megabyte at most. Raises `ObjectNotFoundError` before the first piece.
        """

    def replace(self, key: str, content: bytes) -> None:
        """The object stands under the key in the place of what was there, if anything: at once, and on stable storage.
        For what must not stay as it came.
        """

    def remove(self, key: str) -> None:
        """There is no object under the key, so that another may be put: for one that is damaged."""

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins so, ascending."""

    def check(self) -> None:
        """Raises `ArchiveError` if objects could not be put now, as far as that can be seen without putting one."""


def open_archive(url: str, s3_endpoint: str = "") -> Archive:
    """The archive at the URL: a folder, made if need be, or a bucket of the S3 server (default: of AWS).

    Nothing is asked of an S3 server yet.

    Raises:
        ConfigError: the URL is of neither form, or there is no access key for S3.
        ArchiveError: the place cannot be used.
    """
    if url.startswith("file:///"):
        from harvester.archive.local import LocalArchive  # noqa: PLC0415 - the contract does not depend on a store

        return LocalArchive(Path(unquote(urlsplit(url).path)))
    if bucket := _BUCKET.fullmatch(url):
        from harvester.archive.s3 import S3Archive  # noqa: PLC0415 - loaded where it is used: it takes 0.2 s

        return S3Archive(bucket[1], (bucket[2] or "").strip("/"), s3_endpoint)
    # No more of it is told: it may hold a password.
    raise ConfigError(f"LUMBUNG_ARCHIVE must be file:///FOLDER or s3://BUCKET/PREFIX, not {_scheme(url)}")


def open_archive_of(settings: Settings) -> Archive:
    """The archive of an installation. Raises as `open_archive` does."""
    return open_archive(settings.archive_url, settings.s3_endpoint)


_BUCKET = re.compile(r"s3://([A-Za-z0-9][\w.-]{1,61}[A-Za-z0-9])(/.*)?", re.ASCII)


def is_key(text: str) -> bool:
    """Whether an object may have this key: names between slashes, none empty or with a dot before it."""
    return "\0" not in text and all(part and not part.startswith(".") for part in text.split("/"))


def _scheme(url: str) -> str:
    scheme, colon, _ = url.partition(":")
    return f"such a {scheme}: URL" if colon and scheme.isalnum() else "a text without a scheme"


def page_key(slug: str, harvest_id: int, sequence: int) -> str:
    """Where the n-th answer of a run is kept."""
    return f"pages/{slug}/{harvest_id:08d}/{sequence:06d}.xml.zst"


def file_key(sha256: str) -> str:
    """Where the file with this checksum is kept, whoever it came from."""
    return f"files/{sha256[:2]}/{sha256}"


def find_last_page(archive: Archive, slug: str, harvest_id: int) -> int:
    """The number of the newest answer of a run in the archive, 0 where there is none.

    There are some before the run has begun where the catalogue came back from a backup: it gives the numbers of the
    runs since then again.
    """
    keys = archive.iter_keys(page_key(slug, harvest_id, 0).rpartition("/")[0] + "/")
    return max((int(key.rpartition("/")[2].partition(".")[0]) for key in keys), default=0)


def put_page(archive: Archive, key: str, body: bytes) -> None:
    """The answer's bytes are kept verbatim (zstd) under the key."""
    archive.put(key, pack_page(body))


def pack_page(body: bytes) -> bytes:
    """The answer's bytes as its object has them."""
    with _packing:
        packed: bytes = _compressor().compress(body)
    return packed


@lru_cache(maxsize=1)
def _compressor() -> zstandard.ZstdCompressor:
    """It holds a megabyte of tables, which threads share in turn."""
    return zstandard.ZstdCompressor(level=3, write_checksum=True)


def get_page(archive: Archive, key: str) -> bytes:
    """The bytes exactly as the member sent them.

    Raises:
        ObjectNotFoundError: there is no such page.
        ArchiveError: the object is damaged, or the archive cannot be reached.
    """
    try:
        return zstandard.ZstdDecompressor().decompress(archive.get(key))
    except zstandard.ZstdError as error:
        raise ArchiveError(f"the archived page {key} is damaged: {error}") from error
