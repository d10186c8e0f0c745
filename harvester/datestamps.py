"""OAI-PMH datestamps: UTC, of day or seconds granularity. Spec: 3.3."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

Granularity = Literal["YYYY-MM-DD", "YYYY-MM-DDThh:mm:ssZ"]
DAY: Granularity = "YYYY-MM-DD"
SECONDS: Granularity = "YYYY-MM-DDThh:mm:ssZ"

# Longer than any clock difference worth tolerating, and what [harv 3] advises: receiving a record twice
# is free (its hash is the same), missing one is not.
OVERLAP = {DAY: timedelta(days=1), SECONDS: timedelta(minutes=15)}

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|\+00:?00)?)?$")


def parse_datestamp(text: str) -> datetime | None:
    """The moment (UTC) that a source's datestamp names, or None where it names none.

    Lenient where members are: a space for the T, fractions, a missing Z. A day is its first second.
    """
    match = _STAMP.match(text.strip())
    if match is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]  # six numbers
    except ValueError:
        return None


def format_datestamp(moment: datetime, granularity: Granularity = SECONDS) -> str:
    """The moment as OAI-PMH writes it."""
    text = moment.astimezone(UTC).isoformat()  # strftime writes the year 1 as 1
    return text[:10] if granularity == DAY else text[:19] + "Z"


def parse_granularity(text: str | None) -> Granularity:
    """The granularity that an Identify response states; day, which all must serve, where it states none."""
    return SECONDS if "ss" in (text or "").lower() else DAY


def next_from(first_response_date: datetime, granularity: Granularity) -> datetime:
    """The `from` of the next harvest, given the first responseDate of a complete one. Spec: [harv 3]."""
    return max(first_response_date, datetime.min.replace(tzinfo=UTC) + OVERLAP[granularity]) - OVERLAP[granularity]


def began_at(watermark: str) -> datetime | None:
    """The first responseDate of the harvest that left this `from`, or earlier; None where it is no datestamp."""
    moment = parse_datestamp(watermark)
    return moment and moment + OVERLAP[DAY if len(watermark) == len(DAY) else SECONDS]


def response_moment(response_date: str, fetched_at: int) -> datetime:
    """When a response was made, by its own clock as far as that can be believed.

    Where its date cannot be read: a day before we fetched it, for what we cannot know. A date more than a day
    ahead of us is a wrong clock's and no better: a watermark from it would skip whatever changes until then.
    """
    ours = from_epoch(fetched_at)
    theirs = parse_datestamp(response_date)
    if theirs is None or theirs > ours + timedelta(days=1):
        return ours - timedelta(days=1)
    return theirs


def from_epoch(seconds: int) -> datetime:
    """The moment of a datestamp of ours."""
    return datetime.fromtimestamp(seconds, tz=UTC)
