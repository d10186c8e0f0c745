"""Dates of publication: a year at least, or unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_YEAR = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")


@dataclass(frozen=True, slots=True)
class PublicationDate:
    """A date as precise as the member gave it."""

    year: int
    month: int | None
    day: int | None
    raw: str

    @property
    def precision(self) -> str:
        """One of "year", "month", "day"."""
        return "day" if self.day else "month" if self.month else "year"

    def isoformat(self) -> str:
        """The date in ISO 8601, cut to its precision."""
        return "-".join([f"{self.year:04}"] + [f"{part:02}" for part in (self.month, self.day) if part])


def parse_date(raw: str, *, latest_year: int) -> PublicationDate | None:
    """A date between 1500 and `latest_year`, else None."""
    match = _YEAR.match(raw.strip())
    if not match or not 1500 <= int(match[1]) <= latest_year:
        return None
    return PublicationDate(int(match[1]), int(match[2] or 0) or None, int(match[3] or 0) or None, raw)


def choose_issued(raws: Iterable[str], *, latest_year: int) -> tuple[PublicationDate | None, tuple[str, ...]]:
    """The date of issue among a record's dates, and the values that could not be read."""
    read = [(raw, parse_date(raw, latest_year=latest_year)) for raw in raws]
    dates = [date for _, date in read if date]
    return (dates[-1] if dates else None), tuple(raw for raw, date in read if not date)


def find_embargo_end(raws: Iterable[str]) -> str | None:
    """The ISO date of the first `info:eu-repo/date/embargoEnd/` value, else None."""
    for raw in raws:
        if "embargoEnd/" in raw:
            return raw.rpartition("/")[2]
    return None
