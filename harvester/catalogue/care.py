"""What an operator may wish for a member: when and how it is asked, who is told, how much may vanish."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

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
