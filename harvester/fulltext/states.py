"""Why a record has no full text, in a closed list of words, and when each is worth another try."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from harvester.catalogue.files import FullText
from harvester.errors import MemberError
from harvester.schedule import DAY

STRIKES = 3  # on as many days
# A prime, as for links: what was found in one night is not looked for again in one night.
_STEP = 4_805_821


class Reason(NamedTuple):
    """What a reason says, and the days until the next try, before and after three of them in vain."""

    words: str
    days: int
    later: int


_PASSING, _SETTLED = (1, 30), (30, 180)
REASONS: dict[str, Reason] = {
    "no-link": Reason("neither the record nor its page leads to a file", *_SETTLED),
    "not-found": Reason("the server says that there is no such page or file", 7, 90),
    "login": Reason("the server asks who we are", *_SETTLED),
    "refused": Reason("the server turns us away", 7, 90),
    "robots": Reason("robots.txt of the file's host forbids it", *_SETTLED),
    "foreign-host": Reason("it is on a host that is not the member's, and that nobody allowed", *_SETTLED),
    "private-address": Reason("the address lies in a private network", *_SETTLED),
    "not-a-web-link": Reason("it is no web address, or leads to none", *_SETTLED),
    "not-a-file": Reason("a web page came where a file should be", *_SETTLED),
    "wrong-type": Reason("the file is of a kind that holds no text", *_SETTLED),
    "empty": Reason("the file is empty, or has no text", *_SETTLED),
    "too-large": Reason("the file is larger than is kept", *_SETTLED),
    "broken": Reason("the download breaks off", *_PASSING),
    "server-error": Reason("the server fails", *_PASSING),
    "busy": Reason("the server wants a rest", *_PASSING),
    "unreachable": Reason("the server cannot be reached, or does not answer in time", *_PASSING),
    "certificate": Reason("the server's certificate cannot be trusted", *_PASSING),
    # Rights: nothing is asked for then.
    "embargoed": Reason("it is under embargo", 30, 30),
    "restricted": Reason("the record says that access is restricted", 180, 180),
    "no-fulltext": Reason("the member's files are not fetched", 30, 30),
    "taken-down": Reason("it was taken down", 3650, 3650),
    "deleted": Reason("the record was deleted", 3650, 3650),
    # What reading a kept file may find.
    "unread": Reason("the file was not read yet", 1, 1),
    "scanned": Reason("the file has pictures of pages and no text layer", *_SETTLED),
    "encrypted": Reason("the file is encrypted", *_SETTLED),
    "damaged": Reason("the file is damaged", *_SETTLED),
    "too-big": Reason("reading the file wants more memory than it is given", *_SETTLED),
    "too-long": Reason("reading the file takes longer than it is given", *_SETTLED),
    "unsupported": Reason("the file is of a kind that is not read", *_SETTLED),
}


class FetchError(MemberError):
    """A file or page could not be had; `reason` is one of `REASONS`."""

    def __init__(self, reason: str, url: str) -> None:
        super().__init__(REASONS[reason].words, url=url)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt at one record's files came to: they are held, missing, or withheld until a moment that is
    known, or not."""

    state: str
    reason: str | None = None
    url: str | None = None
    rung: str | None = None
    until: int | None = None


def after_attempt(known: FullText, outcome: Outcome, now: int, days: int) -> FullText:
    """What is known once the attempt was made. Strikes of one day count as one, and any success takes them all back.

    Files that are held stay held while their source is away, with the reason beside them.
    """
    spread = known.record_id * _STEP % max(days * DAY // 10, 1)
    if outcome.state != "missing":
        wait = days * DAY + spread
        if outcome.reason is not None:
            wait = REASONS[outcome.reason].days * DAY
        due = outcome.until if outcome.until is not None else now + wait
        fresh = FullText(known.record_id, outcome.state, outcome.reason, outcome.url, outcome.rung, now)
        return replace(fresh, next_check=due, regular=due)
    counts = not known.strikes or known.checked_at is None or now // DAY > known.checked_at // DAY
    strikes = min(known.strikes + counts, STRIKES)
    reason = REASONS[outcome.reason or "no-link"]
    due = now + (reason.later if strikes == STRIKES else reason.days) * DAY
    return FullText(
        known.record_id,
        "held" if known.state == "held" else "missing",
        outcome.reason,
        outcome.url,
        known.rung if known.state == "held" else None,
        now,
        due,
        due,
        strikes,
        now if known.since is None else known.since,
    )
