"""The next run is when the rule asks for it, inside the window, soon after a failure, and never at once nor never."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.errors import ConfigError
from harvester.schedule import DAY, HOUR, Schedule, spread_of

JAKARTA, BERLIN = "Asia/Jakarta", "Europe/Berlin"


def at(text: str, zone: str = JAKARTA) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def local(moment: int, zone: str = JAKARTA) -> str:
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat(sep=" ", timespec="minutes")


@pytest.mark.parametrize(
    ("rule", "window", "zone", "after", "expected"),
    [
        ("30m", None, JAKARTA, "2026-03-01 10:00", "2026-03-01 10:30+07:00"),
        ("6h", None, JAKARTA, "2026-03-01 20:00", "2026-03-02 02:00+07:00"),
        ("1d", None, JAKARTA, "2026-03-01 10:00", "2026-03-02 10:00+07:00"),
        ("2w", None, JAKARTA, "2026-03-01 10:00", "2026-03-15 10:00+07:00"),
        # Once a day is once a night, whenever in the night the last one was.
        ("1d", "23:00-04:00", JAKARTA, "2026-03-01 23:10", "2026-03-02 23:00+07:00"),
        ("1d", "23:00-04:00", JAKARTA, "2026-03-02 03:59", "2026-03-02 23:00+07:00"),
        ("1d", "23:00-04:00", JAKARTA, "2026-03-01 12:00", "2026-03-02 23:00+07:00"),
        ("7d", "23:00-04:00", JAKARTA, "2026-03-02 03:00", "2026-03-08 23:00+07:00"),
        ("1d", "09:00-17:00", JAKARTA, "2026-03-02 16:00", "2026-03-03 09:00+07:00"),
        # Shorter intervals run several times in one window.
        ("2h", "23:00-04:00", JAKARTA, "2026-03-01 23:10", "2026-03-02 01:10+07:00"),
        ("2h", "23:00-04:00", JAKARTA, "2026-03-02 03:10", "2026-03-02 23:00+07:00"),
        ("6h", "20:00-04:00", JAKARTA, "2026-03-01 20:30", "2026-03-02 02:30+07:00"),
        ("12h", "00:00-23:00", JAKARTA, "2026-03-01 13:00", "2026-03-02 01:00+07:00"),
        ("30 2 * * *", None, JAKARTA, "2026-03-01 02:30", "2026-03-02 02:30+07:00"),
        ("30 2 * * 1-5", None, JAKARTA, "2026-03-06 12:00", "2026-03-09 02:30+07:00"),
        ("0 12 1 * *", "23:00-04:00", JAKARTA, "2026-03-06 12:00", "2026-04-01 23:00+07:00"),
        ("0 1 * * *", "23:00-04:00", JAKARTA, "2026-03-06 12:00", "2026-03-07 01:00+07:00"),
        ("0 0 29 2 *", None, JAKARTA, "2026-03-06 12:00", "2028-02-29 00:00+07:00"),
        # Summer time begins on 29 March 2026 at 2:00 and ends on 25 October at 3:00.
        ("1d", "23:00-04:00", BERLIN, "2026-03-28 23:30", "2026-03-29 23:00+02:00"),
        ("1d", "05:00-06:00", BERLIN, "2026-03-28 05:30", "2026-03-29 05:00+02:00"),
        ("1d", "02:00-03:00", BERLIN, "2026-03-28 02:10", "2026-03-30 02:00+02:00"),  # it has no such hour
        ("1d", "05:00-06:00", BERLIN, "2026-10-24 05:30", "2026-10-25 05:00+01:00"),
        ("1d", "02:00-03:00", BERLIN, "2026-10-24 02:10", "2026-10-25 02:00+02:00"),  # the first of two such hours
        ("30 5 * * *", None, BERLIN, "2026-03-28 06:00", "2026-03-29 05:30+02:00"),
        ("30 5 * * *", None, BERLIN, "2026-10-24 06:00", "2026-10-25 05:30+01:00"),
        ("1d", None, BERLIN, "2026-03-28 12:00", "2026-03-29 12:00+02:00"),
        ("6h", None, BERLIN, "2026-03-28 21:00", "2026-03-29 04:00+02:00"),
    ],
)
def test_the_next_run_is_the_rules_next_moment_in_the_window(
    rule: str, window: str | None, zone: str, after: str, expected: str
) -> None:
    assert local(Schedule(rule, window, zone).next_run(at(after, zone)), zone) == expected


@pytest.mark.parametrize(
    ("rule", "failures", "minutes"),
    [
        ("1d", 1, 15),
        ("1d", 2, 30),
        ("1d", 3, 60),
        ("1d", 7, 16 * 60),
        ("1d", 8, 24 * 60),
        ("30d", 8, 24 * 60),
        ("30d", 10**6, 24 * 60),
        ("30m", 1, 15),
        ("30m", 5, 30),
    ],
)
def test_pauses_grow_with_the_failures_to_a_day_and_to_the_rule(rule: str, failures: int, minutes: int) -> None:
    assert Schedule(rule).next_run(at("2026-03-01 10:00"), failures=failures) - at("2026-03-01 10:00") == minutes * 60


def test_a_second_try_waits_for_the_window_too() -> None:
    nightly = Schedule("1d", "23:00-04:00")
    assert local(nightly.next_run(at("2026-03-02 03:50"), failures=1)) == "2026-03-02 23:00+07:00"
    assert local(nightly.next_run(at("2026-03-02 01:00"), failures=1)) == "2026-03-02 01:15+07:00"


@pytest.mark.parametrize(
    ("window", "moment", "is_open"),
    [
        (None, "2026-03-01 12:00", True),
        ("23:00-04:00", "2026-03-01 22:59", False),
        ("23:00-04:00", "2026-03-01 23:00", True),
        ("23:00-04:00", "2026-03-02 03:59", True),
        ("23:00-04:00", "2026-03-02 04:00", False),
        ("09:00-17:00", "2026-03-02 08:59", False),
        ("09:00-17:00", "2026-03-02 16:59", True),
    ],
)
def test_a_window_holds_its_beginning_and_not_its_end(window: str | None, moment: str, is_open: bool) -> None:
    assert Schedule(window=window).is_open(at(moment)) is is_open


@pytest.mark.parametrize(
    "wish",
    [
        {"rule": ""},
        {"rule": "0h"},
        {"rule": "6"},
        {"rule": "6y"},
        {"rule": "-1d"},
        {"rule": "١d"},
        {"rule": "61 * * * *"},
        {"rule": "* * * *"},
        {"rule": "* * * * * *"},
        {"rule": "@daily"},
        {"rule": "0 0 30 2 *"},
        {"rule": ",".join(map(str, range(60))) + " * * * *"},
        {"window": ""},
        {"window": "23-4"},
        {"window": "24:00-04:00"},
        {"window": "04:00-04:00"},
        {"window": "4:00-05:00"},
        {"timezone": "WIB"},
        {"timezone": ""},
        {"timezone": "../etc/passwd"},
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_an_example(wish: dict[str, str]) -> None:
    (name,) = wish
    with pytest.raises(ConfigError, match=f"the {name.replace('timezone', 'time zone')} .* must be .* such as"):
        Schedule(**wish)


def test_a_server_that_wants_rest_has_it_whatever_the_rule_and_then_the_window_counts() -> None:
    after = at("2026-03-02 01:00")
    assert Schedule("30m").next_run(after, failures=1, rest=2 * HOUR) == after + 2 * HOUR
    assert Schedule("30m").next_run(after, failures=9, rest=60) == after + 30 * 60
    assert local(Schedule("1d", "23:00-04:00").next_run(after, failures=1, rest=4 * HOUR)) == "2026-03-02 23:00+07:00"


RULES = ("5m", "6h", "1d", "7d", "30d", "0 3 * * *", "*/10 * * * *", "15 1 * * 0", "0 2 29 3 *")
WINDOWS = (None, "23:00-04:00", "00:00-00:01", "02:00-03:00", "02:30-02:15", "09:00-17:00", "00:00-23:59")


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(RULES),
    st.sampled_from(WINDOWS),
    st.sampled_from([JAKARTA, BERLIN, "America/St_Johns", "Australia/Lord_Howe"]),
    st.integers(at("2026-01-01 00:00"), at("2027-01-01 00:00")),
    st.integers(0, 40),
    st.floats(0, 1, exclude_max=True),
)
def test_whatever_is_wished_the_next_run_is_later_in_the_window_and_comes(
    rule: str, window: str | None, zone: str, after: int, failures: int, spread: float
) -> None:
    wish = Schedule(rule, window, zone)
    moment = wish.next_run(after, failures=failures, spread=spread)
    assert moment > after
    assert wish.is_open(moment)
    assert moment <= wish.next_run(after, spread=spread)
    if failures:
        assert moment <= after + 3 * DAY + 3600  # a day, and the window after it, on the day without that hour too
    elif rule == "1d":
        assert moment <= after + 3 * DAY + 3600
    assert wish.open_from(moment, spread) == moment


def test_members_of_one_rule_do_not_start_in_one_second() -> None:
    starts = sorted(
        Schedule("0 23 * * *").next_run(at("2026-03-01 10:00"), spread=spread_of(f"m{number}")) for number in range(500)
    )
    assert len(set(starts)) > 450
    assert starts[0] >= at("2026-03-01 23:00")
    assert starts[-1] < at("2026-03-01 23:00") + timedelta(hours=1).total_seconds()
    assert spread_of("undip") == spread_of("undip") != spread_of("ugm")
