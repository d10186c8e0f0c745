"""Datestamps of both granularities are read leniently and written strictly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.datestamps import (
    DAY,
    OVERLAP,
    SECONDS,
    Granularity,
    began_at,
    format_datestamp,
    from_epoch,
    next_from,
    parse_datestamp,
    parse_granularity,
    response_moment,
)

NOON = datetime(2024, 3, 10, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-10T12:30:15Z", NOON),
        (" 2024-03-10T12:30:15Z\n", NOON),
        ("2024-03-10 12:30:15", NOON),
        ("2024-03-10T12:30:15", NOON),
        ("2024-03-10T12:30:15.999Z", NOON),
        ("2024-03-10T12:30:15+00:00", NOON),
        ("2024-03-10", datetime(2024, 3, 10, tzinfo=UTC)),
        ("2024-02-30", None),
        ("2024-03-10T24:00:00Z", None),
        ("0000-00-00", None),
        ("2024-03", None),
        ("2024-03-10T12:30:15+07:00", None),
        ("2024-03-10T12:30:15Z2", None),
        ("now", None),
        ("", None),
        ("99999999", None),
    ],
)
def test_a_source_s_datestamp_is_a_moment_or_none(text: str, moment: datetime | None) -> None:
    assert parse_datestamp(text) == moment


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from([DAY, SECONDS]))
def test_what_is_written_is_read_back(moment: datetime, granularity: Granularity) -> None:
    text = format_datestamp(moment, granularity)
    assert len(text) == len(granularity)
    exact = moment.replace(microsecond=0)
    assert parse_datestamp(text) == (exact if granularity == SECONDS else exact.replace(hour=0, minute=0, second=0))


@given(st.text())
def test_any_text_is_a_moment_or_none(text: str) -> None:
    assert parse_datestamp(text) is None or len(text) >= 10


def test_a_moment_is_written_in_utc() -> None:
    assert format_datestamp(NOON.astimezone(timezone(timedelta(hours=7)))) == "2024-03-10T12:30:15Z"
    assert format_datestamp(from_epoch(0)) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("stated", "granularity"),
    [
        ("YYYY-MM-DDThh:mm:ssZ", SECONDS),
        ("yyyy-mm-ddthh:mm:ssz", SECONDS),
        ("YYYY-MM-DD", DAY),
        ("", DAY),
        (None, DAY),
        ("seconds?", DAY),
    ],
)
def test_a_granularity_that_is_not_stated_is_the_day(stated: str | None, granularity: Granularity) -> None:
    assert parse_granularity(stated) == granularity


def test_the_next_harvest_begins_a_little_before_the_last_one() -> None:
    assert next_from(NOON, SECONDS) == datetime(2024, 3, 10, 12, 15, 15, tzinfo=UTC)
    assert next_from(NOON, DAY) == datetime(2024, 3, 9, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize("granularity", [SECONDS, DAY])
def test_a_watermark_tells_when_its_harvest_began(granularity: Granularity) -> None:
    """Never later than it did: of days no more is known."""
    began = began_at(format_datestamp(next_from(NOON, granularity), granularity))
    assert began == (NOON if granularity == SECONDS else datetime(2024, 3, 10, tzinfo=UTC))
    assert began_at("lately") is None


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from([DAY, SECONDS]))
def test_no_response_date_is_too_early_for_a_watermark(moment: datetime, granularity: Granularity) -> None:
    from_ = next_from(moment, granularity)
    assert from_ <= moment
    assert moment - from_ == min(OVERLAP[granularity], moment - datetime.min.replace(tzinfo=UTC))
    assert parse_datestamp(format_datestamp(from_, granularity)) is not None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-10T12:30:00Z", datetime(2024, 3, 10, 12, 30, tzinfo=UTC)),
        ("2024-03-10T19:30:15Z", datetime(2024, 3, 10, 19, 30, 15, tzinfo=UTC)),
        ("2024-03-11T12:30:15Z", NOON + timedelta(days=1)),
        ("2024-03-11T12:30:16Z", NOON - timedelta(days=1)),
        ("2099-01-01T00:00:00Z", NOON - timedelta(days=1)),
        ("", NOON - timedelta(days=1)),
        ("yesterday", NOON - timedelta(days=1)),
    ],
)
def test_a_response_is_of_its_own_date_unless_that_cannot_be(text: str, moment: datetime) -> None:
    assert response_moment(text, int(NOON.timestamp())) == moment
