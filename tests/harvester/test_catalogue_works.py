"""The SQL of works: cursors that only one moves, keys, places, and changes in the order in which they are made."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from harvester.catalogue import Catalogue
from harvester.catalogue import works as sql
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import match_keys, records


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    """A catalogue of records 1 to 60, each a work of its own, of one member."""
    with catalogue.write() as connection:
        member = add_member(connection, Member("m", "m", "http://m.example/oai"), 1)
        common = {"member_id": member.id, "datestamp": 7, "added": 7, "source_datestamp": "", "deleted": False}
        rows = [{"id": n, "public_id": n, "identifier": str(n), "work_id": n, **common} for n in range(1, 61)]
        connection.execute(insert(records), rows)
    return catalogue


def test_a_cursor_moves_only_from_where_it_stands(filled: Catalogue) -> None:
    with filled.write() as connection:
        assert sql.get_cursor(connection, "works") == (0, 0)
        assert sql.move_cursor(connection, "works", (0, 0), (5, 1))
        assert not sql.move_cursor(connection, "works", (0, 0), (9, 9))
        assert not sql.move_cursor(connection, "works", (5, 2), (9, 9))
        assert sql.get_cursor(connection, "works") == (5, 1)
        assert sql.move_cursor(connection, "works", (5, 1), (0, 0))
        assert sql.move_cursor(connection, "works", (0, 0), (6, 6))
        assert sql.get_cursor(connection, "works") == (6, 6)
        assert sql.get_cursor(connection, "other") == (0, 0)


def test_changes_after_a_cursor_are_counted_up_to_a_second(filled: Catalogue) -> None:
    with filled.read() as connection:
        assert sql.count_changes(connection, (0, 0), 6) == 0
        assert sql.count_changes(connection, (7, 20), 7) == 40


def test_keys_are_replaced_and_those_that_stay_are_not_written(filled: Catalogue) -> None:
    with filled.write() as connection:
        sql.replace_match_keys(connection, {}, {1: ("a", "b"), 2: ("a", "a")})
        present = sql.get_match_keys(connection, [1, 2, 3])
        assert present == {1: ("a", "b"), 2: ("a",)}
        row = select(match_keys.c.key).where(match_keys.c.record_id == 1)
        sql.replace_match_keys(connection, present, {1: ("b", "c"), 2: ()})
        assert sorted(connection.execute(row).scalars()) == ["b", "c"]
        assert sql.get_match_keys(connection, [1, 2]) == {1: ("b", "c")}


def test_the_holders_of_a_crowded_key_are_those_that_are_joined(filled: Catalogue) -> None:
    with filled.write() as connection:
        sql.replace_match_keys(connection, {}, {n: ("rare",) if n < 3 else ("common",) for n in range(1, 61)})
        assert sql.find_holders(connection, {"rare", "common", "none"}, 50) == ({1, 2, 3}, {"common"})
        sql.set_works(connection, {10: 5})
        assert sql.find_holders(connection, {"common"}, 50) == ({3, 10}, {"common"})
        assert sql.find_holders(connection, {"common"}, 58) == (set(range(3, 61)), set())


def test_places_come_with_all_others_of_the_same_works_and_joining_changes_no_datestamp(filled: Catalogue) -> None:
    with filled.write() as connection:
        sql.set_works(connection, {10: 5, 11: 5})
        assert sorted(sql.get_places(connection, [10])) == [(5, 1, 5), (10, 1, 5), (11, 1, 5)]
        assert set(connection.execute(select(records.c.datestamp)).scalars()) == {7}


def test_touched_works_come_again_in_the_order_of_their_changes(filled: Catalogue) -> None:
    with filled.write() as connection:
        sql.touch_works(connection, {4, 2})
        sql.touch_works(connection, {9})
        assert sql.list_work_changes(connection, 0, 10) == [(1, 2), (2, 4), (3, 9)]
        sql.touch_works(connection, {2, 9})
        assert sql.list_work_changes(connection, 0, 10) == [(2, 4), (4, 2), (5, 9)]
        assert sql.list_work_changes(connection, 2, 1) == [(4, 2)]
        assert sql.count_work_changes(connection, 2) == 2
