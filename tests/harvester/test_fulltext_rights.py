"""What a record says of its rights decides whether its files are fetched and shown."""

from __future__ import annotations

import pytest

from harvester.fulltext.rights import find_bar

NOW = 1_795_000_000  # 18 November 2026


@pytest.mark.parametrize(
    ("access", "until", "bar"),
    [
        (None, None, None),
        ("open", None, None),
        ("restricted", None, ("restricted", None)),
        ("closed", None, ("restricted", None)),
        ("embargoed", None, ("embargoed", None)),
        ("embargoed", "2026-01-01", None),
        ("open", "2027-01-01", ("embargoed", 1_798_761_600)),
        (None, "soon", ("embargoed", None)),
        ("restricted", "2026-01-01", ("restricted", None)),
    ],
)
def test_embargoes_and_restrictions_stand_in_the_way(
    access: str | None, until: str | None, bar: tuple[str, int | None] | None
) -> None:
    found = find_bar(access, until, NOW)
    assert (found and (found.reason, found.until)) == bar
