"""Names of people and bodies: what is shown, and the family name to compare by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """A creator or contributor. A body has its whole name as `family`."""

    display: str
    family: str
    given: str | None
    raw: str


def parse_name(raw: str) -> Name | None:
    """The name in a value; None where it names nobody."""
    display = " ".join(raw.split())
    if not any(c.isalpha() for c in display):
        return None
    family, comma, given = display.partition(",")
    if not comma:
        given, _, family = display.rpartition(" ")
    return Name(display, family.strip(), given.strip() or None, raw)


def split_names(raw: str) -> tuple[str, ...]:
    """The single names of a value that lists several with semicolons."""
    return tuple(part.strip() for part in raw.split(";") if part.strip())
