"""Dates of publication: a year at least, or unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

EARLIEST_YEAR = 1500

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januari jan",
            "february februari pebruari feb peb",
            "march maret mar mrt",
            "april apr",
            "may mei",
            "june juni jun",
            "july juli jul",
            "august agustus aug agu agt ags agust",
            "september sep sept",
            "october oktober oct okt",
            "november nopember nov nop",
            "december desember dec des",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = rf"\b({'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_ISO = re.compile(r"(\d{4})-(\d\d?)(?:-(\d\d?))?(?=$|[T\s/,;?])")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T?\d{6}Z?)?")
_SLASHED = re.compile(r"(\d\d?)([-/.])(\d\d?)\2(\d{4})(?!\d)")
_DAY_FIRST = re.compile(rf"(?:{_DAY}[\s./-]*)?{_MONTH}[\s.,/-]*(\d{{4}})(?!\d)")
_MONTH_FIRST = re.compile(rf"{_MONTH}\s*{_DAY}[\s,.]+(\d{{4}})(?!\d)")
_YEAR_FIRST = re.compile(rf"(?<!\d)(\d{{4}})[\s,/-]+{_MONTH}(?:[\s,/-]+{_DAY}(?!\d))?")
_MONTH_RANGE = re.compile(rf"{_MONTH}\s*[-–/]\s*{_MONTH}")
_DECADE = re.compile(r"\d{4}\s*(?:['’]?s\b|-?an\b|-talet)|centur|abad|\bke-\d")
_NOT_AN_ISSUE = re.compile(r"embargoend|withheld|://|@")
_NUMBERS = re.compile(r"\d+")
_TIME_OF_DAY = re.compile(r"\d[T ](?!00:00(?::00|$|Z))\d\d:\d\d")
_EMBARGO_END = re.compile(r"(?:embargoEnd/|^\s*embargo(?:ed)?\b\D{0,40})(\d{4}-\d\d-\d\d)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublicationDate:
    """A date as precise as the member gave it."""

    year: int
    month: int | None
    day: int | None
    raw: str

    def isoformat(self) -> str:
        """The date in ISO 8601, cut to its precision."""
        return "-".join([f"{self.year:04}"] + [f"{part:02}" for part in (self.month, self.day) if part])


@lru_cache(maxsize=16_384)
def parse_date(raw: str, *, latest_year: int) -> PublicationDate | None:
    """A date from 1500 to `latest_year` inclusive, else None; of a range the first.

    A decade or a century is no year. A part that cannot be (month 13, 30 February) or that can be read in
    two ways (03-04-2007) is left out, the year kept.
    """
    text = raw.strip("[](){}<>.,;?© \t\r\n").lower()
    if not text or len(text) > 100 or _NOT_AN_ISSUE.search(text):
        return None
    year, month, day = _parts(text)
    if not EARLIEST_YEAR <= year <= latest_year:
        return None
    if not 1 <= month <= 12:
        month = day = 0
    if day and not _is_date(year, month, day):
        day = 0
    return PublicationDate(year, month or None, day or None, raw)


def choose_issued(raws: Iterable[str], *, latest_year: int) -> tuple[PublicationDate | None, tuple[str, ...]]:
    """The date of issue among a record's dates, and the values that could not be read.

    DSpace sends the times of accession and availability before the date of issue: a value with a time of
    day counts only where there is no other. Else the earliest year wins, in its most precise form.
    Empty values and ends of embargoes are not reported.
    """
    dates: list[PublicationDate] = []
    stamps: list[PublicationDate] = []
    unread: list[str] = []
    for raw in raws:
        found = parse_date(raw, latest_year=latest_year)
        if found:
            (stamps if _TIME_OF_DAY.search(raw) else dates).append(found)
        elif raw.strip() and "embargoend" not in raw.lower():
            unread.append(raw)
    issued = min(
        dates or stamps,
        key=lambda d: (d.year, d.month is None, d.day is None, d.month or 0, d.day or 0),
        default=None,
    )
    return issued, tuple(unread)


def find_embargo_end(raws: Iterable[str]) -> str | None:
    """The ISO date in the first value on an embargo's end that holds a real one, else None."""
    for raw in raws:
        match = _EMBARGO_END.search(raw)
        if match and _is_date(*map(int, match[1].split("-"))):
            return match[1]
    return None


def _parts(text: str) -> tuple[int, int, int]:
    """Year, month and day, each 0 where unknown, out of a lower-case text."""
    if match := _ISO.match(text.upper()):
        # "2015-9" may be an issue or a range as well: a month alone has two digits.
        alone = match[3] is None and len(match[2]) < 2
        return int(match[1]), 0 if alone else int(match[2]), int(match[3] or 0)
    if match := _COMPACT.fullmatch(text.upper()):
        year, month, day = int(match[1]), int(match[2]), int(match[3])
        return (year, month, day) if _is_date(year, month, day) else (0, 0, 0)
    if match := _SLASHED.match(text):
        return _ordered(int(match[1]), int(match[3]), int(match[4]))
    return _parts_in_words(_MONTH_RANGE.sub(r"\1", text))


def _parts_in_words(text: str) -> tuple[int, int, int]:
    if match := _MONTH_FIRST.search(text):
        return int(match[3]), _MONTHS[match[1]], int(match[2])
    if match := _DAY_FIRST.search(text):
        return int(match[3]), _MONTHS[match[2]], int(match[1] or 0)
    if match := _YEAR_FIRST.search(text):
        return int(match[1]), _MONTHS[match[2]], int(match[3] or 0)
    return _lone_year(text), 0, 0


def _ordered(first: int, second: int, year: int) -> tuple[int, int, int]:
    """Day and month put in order where only one order is possible; the year alone where both are."""
    if first == second or first > 12 >= second:
        return year, second, first
    if second > 12 >= first:
        return year, first, second
    return year, 0, 0


def _lone_year(text: str) -> int:
    """The first number, if it is of four digits and no number looks like a telephone's or a decade."""
    if _DECADE.search(text):
        return 0
    numbers = _NUMBERS.findall(text)
    if any(len(number) == 3 or len(number) > 4 for number in numbers):
        return 0
    return int(next((number for number in numbers if len(number) == 4), 0))


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
