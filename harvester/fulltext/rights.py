"""Whether a record's rights let its files be fetched and shown now."""

from __future__ import annotations

from harvester.datestamps import parse_datestamp
from harvester.fulltext.states import Outcome


def find_bar(access: str | None, embargo_until: str | None, now: int) -> Outcome | None:
    """What the record says against it: an embargo that has not ended, or restricted access; None where it says nothing.

    Args:
        access: open, embargoed, restricted, closed or None for unknown.
        embargo_until: an ISO date; one that cannot be read has not ended.
    """
    if embargo_until:
        ends = parse_datestamp(embargo_until)
        until = None if ends is None else int(ends.timestamp())
        if until is None or until > now:
            return Outcome("withheld", "embargoed", until=until)
    elif access == "embargoed":
        return Outcome("withheld", "embargoed")
    if access in {"restricted", "closed"}:
        return Outcome("withheld", "restricted")
    return None
