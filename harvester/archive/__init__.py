"""The archive: every page a member sent, byte for byte. The truth about bytes; what is in it never changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import zstandard

from harvester.errors import ArchiveError, ConfigError

_local = threading.local()


class Archive(Protocol):
    """A store of objects under keys such as `pages/undip/00000012/000003.xml.zst`; write-once.

    Every method raises `ArchiveError` when the store cannot be reached, which says nothing about an object.
    """

    def put(self, key: str, content: bytes) -> None:
        """The object stands under the key, on stable storage, before this returns.

        Putting the same bytes again changes nothing; other bytes under a key in use raise `ArchiveError`.
        """

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises `ObjectNotFoundError` where there is none."""

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins so, ascending."""

    def check(self) -> None:
        """Raises `ArchiveError` if objects could not be put now."""


def open_archive(url: str) -> Archive:
    """The archive at a file:/// URL, its folder made if need be.

    Raises:
        ConfigError: the URL's scheme is not known.
        ArchiveError: the place cannot be used.
    """
    from harvester.archive.local import LocalArchive  # noqa: PLC0415 - the contract does not depend on a store

    if not url.startswith("file:///"):
        # No more of it is told: it may hold a password.
        raise ConfigError(f"LUMBUNG_ARCHIVE must be a file:/// URL, not {_scheme(url)}")
    return LocalArchive(Path(unquote(urlsplit(url).path)))


def _scheme(url: str) -> str:
    scheme, colon, _ = url.partition(":")
    return f"one of {scheme}:" if colon and scheme.isalnum() else "a text without a scheme"


def page_key(slug: str, harvest_id: int, sequence: int) -> str:
    """Where the n-th answer of a run is kept."""
    return f"pages/{slug}/{harvest_id:08d}/{sequence:06d}.xml.zst"


def put_page(archive: Archive, key: str, body: bytes) -> None:
    """The answer's bytes are kept verbatim (zstd) under the key."""
    compressor = getattr(_local, "compressor", None)
    if compressor is None:  # it holds a megabyte of tables
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    archive.put(key, compressor.compress(body))


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
