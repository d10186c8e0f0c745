"""The containers about a record, and whether they say anything new: when it was harvested is no news. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import zstandard

from harvester.catalogue.records import ABOUT_SEPARATOR

_PROVENANCE = re.compile(rb"<(?:[\w.-]+:)?provenance[\s/>]")
_MOMENT = re.compile(rb"""\s(?:harvestDate|responseDate)\s*=\s*(?:"[^"]*"|'[^']*')""")


def pack_abouts(abouts: Sequence[bytes], compressor: zstandard.ZstdCompressor) -> bytes | None:
    """The containers as they are stored; None where there is none."""
    return compressor.compress(ABOUT_SEPARATOR.join(abouts)) if abouts else None


def is_news(arrived: bytes | None, stored: bytes | None) -> bool:
    """Whether the containers that arrived are to take the place of those stored; both packed, None for none at all."""
    return arrived != stored and _read(arrived) != _read(stored)


def _read(packed: bytes | None) -> list[bytes] | None:
    """The containers without the moments of harvests; None where they are damaged."""
    if packed is None:
        return []
    try:
        found = zstandard.decompress(packed).split(ABOUT_SEPARATOR)
    except (zstandard.ZstdError, MemoryError):  # the latter by a damaged length
        return None
    return [_MOMENT.sub(b"", about) if _PROVENANCE.match(about) else about for about in found]
