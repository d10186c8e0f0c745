"""Of several copies of a record the right one counts, and each record once."""

from __future__ import annotations

import pytest

from harvester import shown
from harvester.oai.page import FailedRecord, Header, Page, Record
from harvester.shown import Shown


def page(*headers: tuple[str, str, bool], failed: int = 0) -> Page:
    records = tuple(Record(Header(name, stamp, (), deleted)) for name, stamp, deleted in headers)
    return Page("ListRecords", "", records, tuple(FailedRecord("", "x") for _ in range(failed)))


def take(memory: Shown, *headers: tuple[str, str, bool], until: str | None = None) -> tuple[list[str], int]:
    winners, new = memory.take(page(*headers), until)
    return [("-" if r.header.deleted else "+") + r.header.datestamp for r in winners.records], new


@pytest.mark.parametrize(
    ("first", "second", "stored"),
    [
        (("a", "2024-02", False), ("a", "2024-01", True), []),
        (("a", "2024-01", False), ("a", "2024-02", True), ["-2024-02"]),
        (("a", "2024-01", False), ("a", "2024-01", True), []),
        (("a", "2024-01", True), ("a", "2024-01", False), ["+2024-01"]),
        (("a", "2024-02", True), ("a", "2024-01", False), []),
        (("a", "2024-02", False), ("b", "2024-01", True), ["-2024-01"]),
    ],
)
@pytest.mark.parametrize("another_window", [False, True])
def test_the_later_datestamp_wins_and_the_live_copy_on_a_tie(
    first: tuple[str, str, bool], second: tuple[str, str, bool], stored: list[str], another_window: bool
) -> None:
    memory = Shown()
    assert take(memory, first)[1] == 1
    if another_window:
        memory.begin_window()
    assert take(memory, second) == (stored, 1)  # which a size may count, too


def test_both_copies_on_one_page() -> None:
    assert take(Shown(), ("a", "2024-02", False), ("a", "2024-01", True), ("b", "2023", False)) == (
        ["+2024-02", "+2023"],
        3,
    )


def test_a_record_that_is_shown_again_counts_once_in_a_window() -> None:
    memory = Shown()
    one, other = ("a", "2024-02", False), ("b", "2024-02", False)
    assert take(memory, one) == (["+2024-02"], 1)
    assert take(memory, one, other) == (["+2024-02", "+2024-02"], 1)
    memory.begin_window()
    assert take(memory, one, other)[1] == 2


@pytest.mark.parametrize(
    ("stamp", "until", "counts"),
    [
        ("2024-01-02T10:00:00Z", "2024-01-02", 0),
        ("2024-01-01T23:59:59Z", "2024-01-02", 1),
        ("2024-01-02", "2024-01-02", 0),
        ("2024-01-02T10:00:00Z", "2024-01-02T10:00:00Z", 0),
        ("2024-01-02T09:59:59Z", "2024-01-02T10:00:00Z", 1),
        ("", "2024-01-02", 1),
    ],
)
def test_a_record_at_a_window_s_end_counts_in_the_next_window(stamp: str, until: str, counts: int) -> None:
    assert take(Shown(), ("a", stamp, False), until=until)[1] == counts


def test_failed_records_count() -> None:
    assert Shown().take(page(("a", "2024", False), failed=2), None)[1] == 3


def test_what_is_beyond_memory_is_taken_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MAX_SHOWN", 1)
    memory = Shown()
    take(memory, ("a", "2024-02", False))
    assert take(memory, ("b", "2024-02", False)) == (["+2024-02"], 1)
    assert take(memory, ("b", "2024-01", True), ("a", "2024-01", True)) == (["-2024-01"], 2)
