"""Types of work: one small vocabulary out of the many that members use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TYPES = (
    "article",
    "thesis",
    "book",
    "chapter",
    "conference",
    "report",
    "dataset",
    "image",
    "audio",
    "video",
    "other",
)


@dataclass(frozen=True, slots=True)
class TypeOfWork:
    """What a work is. `level` is bachelor, master or doctoral; `unread` are values outside the vocabulary."""

    type: str = "other"
    level: str | None = None
    peer_reviewed: bool | None = None
    version: str | None = None
    raw: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def parse_types(raws: Iterable[str]) -> TypeOfWork:
    """The most specific type that the values of one record name."""
    values = tuple(raws)
    for kind in TYPES:
        if any(kind in value.lower() for value in values):
            return TypeOfWork(kind, raw=values)
    return TypeOfWork(raw=values, unread=values)
