"""Subjects: single keywords and headings."""

from __future__ import annotations

from collections.abc import Iterable


def split_subjects(raws: Iterable[str]) -> tuple[str, ...]:
    """The subjects of a record, each once, in order."""
    return tuple(dict.fromkeys(part.strip() for raw in raws for part in raw.split(";") if part.strip()))
