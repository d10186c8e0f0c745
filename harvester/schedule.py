"""When a member is due: its rule, its window in its own time zone, and growing pauses after failures. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from harvester.errors import ConfigError

HOUR, DAY = 3600, 86400
_SECONDS = {"m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}
_INTERVAL = re.compile(r"([1-9]\d{0,4})([mhdw])", re.ASCII)
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_FIRST_PAUSE = 15 * 60  # after one failure; twice as long after each further one, a day at most
_WIDEST_SPREAD = HOUR


@dataclass(frozen=True, slots=True)
class Schedule:
    """A member's wish.

    `rule` is an interval (`30m`, `6h`, `1d`, `2w`) or the five fields of cron, `window` the hours in which
    it may be asked (`23:00-04:00`; None: always); both are meant in `timezone`. Moments are seconds since 1970.
    """

    rule: str = "1d"
    window: str | None = None
    timezone: str = "Asia/Jakarta"

    def __post_init__(self) -> None:
        """Raises `ConfigError` naming what is wrong."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(f"the time zone {self.timezone!r} must be a name such as Asia/Jakarta") from error
        if self.window is not None:
            match = _WINDOW.fullmatch(self.window)
            if match is None or match.group(1, 2) == match.group(3, 4):
                raise ConfigError(f"the window {self.window!r} must be two different times such as 23:00-04:00")
        if self._interval is None and not self._is_cron():
            raise ConfigError(
                f"the rule {self.rule!r} must be an interval such as 6h or 1d, or five fields of cron "
                "that some day meets, such as '30 2 * * 1-5'"
            )

    def next_run(self, after: int, *, failures: int = 0, spread: float = 0.0, rest: int = 0) -> int:
        """The moment of the next run, where the last one was at `after` and was the nth failure in a row.

        After failures it comes sooner than the rule asks, later only for the seconds of `rest`, in which the server
        does not want to be asked. `spread`, from 0 to 1 and a member's own,
        keeps those of one rule apart: by a tenth of the rule's or a quarter of the window's length, an hour at most.
        """
        moment = self._regular(after, spread)
        if failures:
            pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10) * (1 + spread / 4), DAY)
            moment = min(moment, self.open_from(after + int(pause), spread))
        return max(moment, self.open_from(after + rest, spread)) if rest else moment

    def open_from(self, moment: int, spread: float = 0.0) -> int:
        """This moment, or where the window is closed then, when it opens next, kept apart by `spread`."""
        found = self.find_window(moment)
        return moment if found is None or found[0] <= moment else _within(*found, spread)

    def is_open(self, moment: int) -> bool:
        """Whether the member may be asked at this moment."""
        return self.open_from(moment) == moment

    def find_window(self, moment: int) -> tuple[int, int] | None:
        """When the window that holds this moment, or the next one, opens and closes; None where it is always open."""
        return next((found for found in self._iter_windows(moment) if found[1] > moment), None)

    def _regular(self, after: int, spread: float) -> int:
        interval = self._interval
        if interval is None:
            moments = self._iter_cron(after)
            first, second = next(moments), next(moments)
            return self.open_from(first + _share(second - first, 10, spread), spread)
        # Days are those of the calendar, so that a day later is the same hour in summer, too.
        days = timedelta(days=interval.days)
        target = int((self._local(after) + days).timestamp() + (interval - days).total_seconds())
        found = self.find_window(target)
        if found is None:
            return target + _share(target - after, 10, spread)
        opens, closes = found
        # Once a day means once a night, whenever in the night the last one was.
        anew = opens > target or (opens > after and days)
        return _within(opens, closes, spread) if anew else target

    @property
    def _interval(self) -> timedelta | None:
        match = _INTERVAL.fullmatch(self.rule)
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else None

    def _is_cron(self) -> bool:
        try:
            return len(self.rule) <= 64 and len(self.rule.split()) == 5 and next(self._iter_cron(0)) > 0
        except (CronSimError, StopIteration):
            return False

    def _iter_cron(self, after: int) -> Iterator[int]:
        fields = CronSim(self.rule, self._local(after))
        return (int(moment.timestamp()) for moment in fields)

    def _local(self, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, ZoneInfo(self.timezone))

    def _iter_windows(self, moment: int) -> Iterator[tuple[int, int]]:
        if self.window is None:
            return
        zone = ZoneInfo(self.timezone)
        begin, end = map(time.fromisoformat, self.window.split("-"))
        yesterday = self._local(moment).date() - timedelta(days=1)
        for number in range(5):
            day = yesterday + timedelta(days=number)
            opens = _epoch(day, begin, zone)
            closes = _epoch(day + timedelta(days=end < begin), end, zone)
            if opens < closes:  # an hour that summer time leaves out is no window
                yield opens, closes


def spread_of(slug: str) -> float:
    """A number from 0 to 1 that is this member's own, the same on every machine and day."""
    return int.from_bytes(blake2b(slug.encode(), digest_size=4).digest(), "big") / 2**32


def _within(opens: int, closes: int, spread: float) -> int:
    return opens + _share(closes - opens, 4, spread)


def _share(length: int, part: int, spread: float) -> int:
    return int(min(length / part, _WIDEST_SPREAD) * spread)


def _epoch(day: date, clock: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, clock, zone).timestamp())
