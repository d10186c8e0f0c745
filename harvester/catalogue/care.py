"""What an operator may wish for a member: when and how it is asked, who is told, how much may vanish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Any, Literal, get_args

from harvester.datestamps import DAY, format_datestamp, from_epoch
from harvester.errors import ConfigError
from harvester.schedule import Schedule

MailWish = Literal["never", "failure", "always", "monthly"]
MAIL_WISHES: tuple[str, ...] = get_args(MailWish)
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESSES = re.compile(r"[^@\s,]+@[^@\s,]+(, *[^@\s,]+@[^@\s,]+)*")
_MAX_INSECURE = timedelta(days=365)
_USUAL = Schedule()
_BOUNDS = {"delay": (0, 3600), "reconcile_days": (1, 3650), "pending_days": (0, 3650), "max_drop": (0, 100)}


@dataclass(frozen=True, slots=True)
class Care:
    """The settings of one member.

    Args:
        rule, window, timezone: see `Schedule`.
        delay: seconds between two requests.
        insecure_until: its certificate is not verified before this moment; None: it always is.
        mail: when `mail_to`, mail addresses apart by commas, hears of its harvests.
        reconcile_days: days between two comparisons of all identifiers.
        pending_days: days that a vanished record waits before it is deleted.
        max_drop: percent of the records that may vanish before a person is asked.
        region: where it is, as a slug; those who harvest from us can ask for a region's records.
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
    region: str | None = None

    def __post_init__(self) -> None:
        """Raises `ConfigError` naming what is wrong."""
        Schedule(self.rule, self.window, self.timezone)
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not isfinite(value) or not least <= value <= most:
                raise ConfigError(f"`{name}` must be a number from {least} to {most}, not {value}")
        if self.mail not in MAIL_WISHES:
            raise ConfigError(f"`mail` must be one of {', '.join(MAIL_WISHES)}, not {self.mail!r}")
        if self.mail_to is not None and not _ADDRESSES.fullmatch(self.mail_to):
            raise ConfigError(f"`mail_to` must be addresses such as library@example.ac.id, not {self.mail_to!r}")
        if self.region is not None and not (_REGION.fullmatch(self.region) and len(self.region) <= 57):
            form = "lower-case letters, digits and single hyphens such as jawa-barat"
            raise ConfigError(f"`region` must be {form}, not {self.region!r}")

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
    "mail_to": ((str,), "a text, addresses apart by commas"),
    "mail": ((str,), _TEXT),
    "reconcile_days": ((int,), _NUMBER),
    "pending_days": ((int,), _NUMBER),
    "max_drop": ((int,), _NUMBER),
    "region": ((str,), "a text such as jawa-barat"),
}


def change_care(care: Care, given: Mapping[str, object], now: int) -> Care:
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
    if until := values.get("insecure_until"):
        values["insecure_until"] = _parse_until(until, care.insecure_until, now)
    if addresses := values.get("mail_to"):
        _check_addresses(addresses)
    return replace(care, **values)


def _parse_until(until: str | date, present: int | None, now: int) -> int:
    """The moment at which that day begins; a past one may stay where a list of members is read again."""
    try:
        day = date.fromisoformat(str(until)[:10])
    except ValueError as error:
        raise ConfigError(f"`insecure_until` must be {_DATE}, not {until!r}") from error
    moment = int(datetime.combine(day, time(), UTC).timestamp())
    today = from_epoch(now).date()
    if moment != present and not today < day <= today + _MAX_INSECURE:
        least, most = today + timedelta(days=1), today + _MAX_INSECURE
        raise ConfigError(f"`insecure_until` must be a date from tomorrow, {least}, to {most}, in a year; not {day}")
    return moment


def _check_addresses(text: str) -> None:
    from harvester.mail import parse_addresses  # noqa: PLC0415 - what only those need who write to members

    try:
        parse_addresses(text)
    except ValueError as error:
        raise ConfigError(f"`mail_to` {error}, several apart by commas; not {text!r}") from error


def care_json(care: Care) -> dict[str, object]:
    """The settings as a person would write them."""
    until = care.insecure_until
    return asdict(care) | {"insecure_until": None if until is None else format_datestamp(from_epoch(until), DAY)}
