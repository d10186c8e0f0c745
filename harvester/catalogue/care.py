"""What an operator may wish for a member: when and how it is asked, who is told, how much may vanish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any, Literal, get_args

from harvester.datestamps import DAY, format_datestamp, from_epoch
from harvester.errors import ConfigError
from harvester.schedule import Schedule

MailWish = Literal["never", "failure", "always", "monthly"]
MAIL_WISHES: tuple[str, ...] = get_args(MailWish)
_ADDRESS = re.compile(r"[^@\s,]+@[^@\s,]+")
_USUAL = Schedule()
_BOUNDS = {"delay": (0, 3600), "reconcile_days": (1, 3650), "pending_days": (0, 3650), "max_drop": (0, 100)}


@dataclass(frozen=True, slots=True)
class Care:
    """The settings of one member.

    Args:
        rule, window, timezone: see `Schedule`.
        delay: seconds between two requests.
        insecure_until: its certificate is not verified before this moment; None: it always is.
        mail: when `mail_to` hears of its harvests.
        reconcile_days: days between two comparisons of all identifiers.
        pending_days: days that a vanished record waits before it is deleted.
        max_drop: percent of the records that may vanish before a person is asked.
    """

    paused: bool = False
    rule: str = _USUAL.rule
    window: str | None = _USUAL.window
    timezone: str = _USUAL.timezone
    delay: float = 0.0
    insecure_until: int | None = None
    mail_to: str | None = None
    mail: MailWish = "failure"
    reconcile_days: int = 30
    pending_days: int = 14
    max_drop: int = 10

    def __post_init__(self) -> None:
        """Raises `ConfigError` naming what is wrong."""
        Schedule(self.rule, self.window, self.timezone)
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not isfinite(value) or not least <= value <= most:
                raise ConfigError(f"`{name}` must be a number from {least} to {most}, not {value}")
        if self.mail not in MAIL_WISHES:
            raise ConfigError(f"`mail` must be one of {', '.join(MAIL_WISHES)}, not {self.mail!r}")
        if self.mail_to is not None and not _ADDRESS.fullmatch(self.mail_to):
            raise ConfigError(f"`mail_to` must be one address such as library@example.ac.id, not {self.mail_to!r}")

    @property
    def schedule(self) -> Schedule:
        """When it may be asked."""
        return Schedule(self.rule, self.window, self.timezone)


USUAL = Care()

# What each setting takes where a person writes it; an empty text takes the wish back.
_TEXT, _NUMBER, _DATE = "a text", "a whole number", "a date such as 2027-01-31"
CARE_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "paused": ((bool,), "true or false"),
    "rule": ((str,), _TEXT),
    "window": ((str,), _TEXT),
    "timezone": ((str,), _TEXT),
    "delay": ((int, float), "a number of seconds"),
    "insecure_until": ((str, date), _DATE),
    "mail_to": ((str,), _TEXT),
    "mail": ((str,), _TEXT),
    "reconcile_days": ((int,), _NUMBER),
    "pending_days": ((int,), _NUMBER),
    "max_drop": ((int,), _NUMBER),
}


def change_care(care: Care, given: Mapping[str, object]) -> Care:
    """The settings with those given, as a person writes them, in place of the present ones.

    Raises:
        ConfigError: naming the setting that is wrong, and what it must be.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        kinds, words = CARE_TYPES[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ConfigError(f"`{name}` must be {words}")
        values[name] = getattr(USUAL, name) if value == "" else value
    until = values.get("insecure_until")
    if until is not None:
        try:
            day = date.fromisoformat(str(until)[:10])
        except ValueError as error:
            raise ConfigError(f"`insecure_until` must be {_DATE}, not {until!r}") from error
        values["insecure_until"] = int(datetime.combine(day, time(), UTC).timestamp())
    return replace(care, **values)


def care_json(care: Care) -> dict[str, object]:
    """The settings as a person would write them."""
    until = care.insecure_until
    return asdict(care) | {"insecure_until": None if until is None else format_datestamp(from_epoch(until), DAY)}
