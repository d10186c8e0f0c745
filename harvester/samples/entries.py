"""The invented works, before any platform has given them its manners; they lie beside this file as JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One work as a cataloguer describes it; what is empty does not apply.

    Attributes:
        n: the number of the record in its repository.
        language: of title, abstract and subjects, "id" or "en"; what ends in `_other` is in the other one.
        nim: student number of the first creator.
        rights: an access right or licence as a short word; "embargo:" is followed by its last day.
        files: number of PDF files attached.
        updated: the moment of the last change, UTC.
    """

    n: int
    title: str
    creators: tuple[str, ...]
    kind: str
    language: str
    issued: str
    subjects: tuple[str, ...]
    rights: str
    updated: str
    title_other: str = ""
    abstract: str = ""
    abstract_other: str = ""
    nim: str = ""
    advisers: tuple[str, ...] = ()
    publisher: str = ""
    journal: str = ""
    section: str = ""
    source: str = ""
    doi: str = ""
    isbn: str = ""
    issn: str = ""
    call_number: str = ""
    pages: int = 0
    files: int = 0
    deleted: bool = False

    @property
    def year(self) -> str:
        """The year of issue."""
        return self.issued[:4]

    @property
    def access(self) -> str:
        """The first word of `rights`."""
        return self.rights.partition(":")[0]


def get_entries(slug: str) -> tuple[Entry, ...]:
    """The works of one sample member, in ascending order of `n`."""
    lines = files("harvester.samples").joinpath("records", f"{slug}.jsonl").read_text("utf-8").splitlines()
    return tuple(sorted((_parse_entry(line) for line in lines), key=lambda entry: entry.n))


def _parse_entry(line: str) -> Entry:
    fields: dict[str, Any] = json.loads(line, object_hook=_with_tuples)
    return Entry(**fields)


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
