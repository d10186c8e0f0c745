"""Dates are read as precisely as they were given, or not at all."""

from __future__ import annotations

import pytest

from indexer.normalise.dates import choose_issued, find_embargo_end, parse_date

LATEST = 2026


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2019-03-12", "2019-03-12"),
        ("2019-03-12T08:11:22Z", "2019-03-12"),
        ("2008-06-19 17:55:27", "2008-06-19"),
        ("2009-12-31T00:00:00.999Z", "2009-12-31"),
        (" 2015\n", "2015"),
        ("2019-00-00", "2019"),
        ("2019-03-00", "2019-03"),
        ("2019-03", "2019-03"),
        ("2019-3-5", "2019-03-05"),
        ("2019-02-30", "2019-02"),
        ("2019-13-40", "2019"),
        ("2015-16", "2015"),
        ("2015-9", "2015"),
        ("20190312", "2019-03-12"),
        ("09 Okt 2017", "2017-10-09"),
        ("17 Agu 2020", "2020-08-17"),
        ("01 Mei 1998", "1998-05-01"),
        ("12 Maret 2019", "2019-03-12"),
        ("Senin, 12 Agustus 2019", "2019-08-12"),
        ("1 Desember 2001", "2001-12-01"),
        ("31 Peb 2010", "2010-02"),
        ("January 2004", "2004-01"),
        ("May 2015", "2015-05"),
        ("March 5th, 2001", "2001-03-05"),
        ("2014 Mei 3", "2014-05-03"),
        ("Jan-Feb 2004", "2004-01"),
        ("12-20-2007", "2007-12-20"),
        ("20/12/2007", "2007-12-20"),
        ("05.05.2007", "2007-05-05"),
        ("03-04-2007", "2007"),
        ("c1998", "1998"),
        ("c. 1995", "1995"),
        ("[1850]", "1850"),
        ("(1876)", "1876"),
        ("1984?", "1984"),
        ("1967 (circa)", "1967"),
        ("1945?-1950?", "1945"),
        ("1974–2014, undated", "1974"),
        ("2010/2014", "2010"),
        ("2008; 2016", "2008"),
        ("Published in 1983", "1983"),
        ("2026", "2026"),
    ],
)
def test_a_date_is_read(raw: str, expected: str) -> None:
    found = parse_date(raw, latest_year=LATEST)
    assert found is not None
    assert found.isoformat() == expected
    assert found.raw == raw


@pytest.mark.parametrize(
    "raw",
    ["", "undated", "N.D.", "Unknown", "XIII", "0000", "1499", "2027", "2912", "9999", "10000-01-01", "99", "20-1",
     "1960's", "1950s", "1960s (circa)", "tahun 1990-an", "17th/18th Century", "abad ke-1900", "17:55", "20191345",
     "0812 1983 2212", "022-2500 1983", "MONTHS_WITHHELD:1560", "NO_RESTRICTION",
     "info:eu-repo/date/embargoEnd/2018-05-27", "http://example.org/1983", "10.1016/2004",
     "Terbit pada tahun 1983, " + "kata " * 30],
)  # fmt: skip
def test_what_is_no_year_is_unknown(raw: str) -> None:

    assert parse_date(raw, latest_year=LATEST) is None


@pytest.mark.parametrize(
    ("raws", "expected", "unread"),
    [
        (["2019-03-12T08:11:22Z", "2019-03-12T08:11:22Z", "2015-06"], "2015-06", ()),
        (["2019-03-12T08:11:22Z", "2019-04-01T10:00:01Z"], "2019-03-12", ()),
        (["2021-01-01T09:00:00Z", "2022"], "2022", ()),
        (["2015-05-01T00:00:00Z"], "2015-05-01", ()),
        (["2017", "2017-05-05", "2018-08-08"], "2017-05-05", ()),
        (["2017-08-08", "2017-05-05"], "2017-05-05", ()),
        (["2912", "1998", "undated", " "], "1998", ("2912", "undated")),
        (["info:eu-repo/date/embargoEnd/2018-05-27", "2014-12-16"], "2014-12-16", ()),
        (["1950s"], None, ("1950s",)),
        ([], None, ()),
    ],
)
def test_the_date_of_issue_is_the_earliest_that_no_machine_wrote(
    raws: list[str], expected: str | None, unread: tuple[str, ...]
) -> None:
    issued, left = choose_issued(raws, latest_year=LATEST)
    assert (issued.isoformat() if issued else None) == expected
    assert left == unread


def test_the_end_of_an_embargo_is_found_where_it_is_a_date() -> None:
    assert find_embargo_end(["2014", "info:eu-repo/date/embargoEnd/2018-05-27"]) == "2018-05-27"
    assert find_embargo_end(["info:eu-repo/date/embargoEnd/2018-02-30"]) is None
    assert find_embargo_end(["2018-05-27"]) is None


def test_real_dates_stay_within_the_bounds(real_records: list[dict[str, list[str]]]) -> None:
    dated = 0
    unread: set[str] = set()
    for record in real_records:
        issued, left = choose_issued(record.get("date", ()), latest_year=LATEST)
        unread.update(left)
        if issued:
            dated += 1
            assert 1500 <= issued.year <= LATEST
            assert issued.month is None or 1 <= issued.month <= 12
            assert issued.day is None or issued.month
    assert dated > 41_000
    assert len(unread) < 40, sorted(unread)
