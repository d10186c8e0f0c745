"""Members are registered, updated, removed and taken back, and nothing of theirs is ever erased."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, literal, select

from harvester.catalogue import Catalogue
from harvester.catalogue.harvests import begin_harvest, finish_harvest, get_status, list_runs, list_statuses
from harvester.catalogue.lists import finish_pass, get_lists
from harvester.catalogue.members import (
    Member,
    add_member,
    describe_member,
    find_member,
    get_member,
    import_members,
    list_members,
    mark_removed,
)
from harvester.catalogue.tables import listed, lists, members, records, vanished
from harvester.errors import ConfigError, HarvestSupersededError

UNDIP = Member("undip", "Universitas", "https://eprints.example.ac.id:8080/cgi/oai2?x=1", ("marc", "oai_dc"), ("a:b",))


@pytest.mark.parametrize("slug", ["a", "a-b", "2", "a1-b2-c3", "x" * 64])
def test_a_slug_is_letters_digits_and_single_hyphens(slug: str) -> None:
    assert replace(UNDIP, slug=slug).slug == slug


@pytest.mark.parametrize("slug", ["", "A", "a_b", "-a", "a-", "a--b", "a b", "é", "a/b", "..", "x" * 65, "a\n", "٣"])
def test_another_slug_is_refused(slug: str) -> None:
    with pytest.raises(ConfigError, match=r"the slug .* must be lower-case"):
        replace(UNDIP, slug=slug)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "eprints.example.ac.id/oai",
        "ftp://x.example/oai",
        "http:///oai",
        "http://[::1/oai",
        "http://x.example:99999/oai",
        "http://x.example:port/oai",
        "http://x.example/oai#here",
        "http://x.example/a b",
        "http://x.example/\n",
        "javascript:alert(1)",
        "http://user:secret@x.example/oai",
        "http://user@x.example/oai",
        "http://..../oai",
        "http://x..example/oai",
        "http://.x.example/oai",
    ],
)
def test_a_base_url_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^undip: the base URL") as caught:
        replace(UNDIP, base_url=url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("query", ["verb=Identify", "x=1&Verb=", "verb=ListRecords&metadataPrefix=oai_dc"])
def test_a_request_is_no_base_url(query: str) -> None:
    with pytest.raises(ConfigError, match=r"^undip: give the base URL without \?verb=\.\.\.: http://x.example/oai$"):
        replace(UNDIP, base_url=f"http://x.example/oai?{query}")


@pytest.mark.parametrize("name", ["", " ", "\u00a0", "a\nb", "a\tb", "a\x1b[31mb", "a\u202eb", "a\x00b", "n" * 501])
def test_a_name_is_one_line_that_shows(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^undip: the name .* must be one line"):
        replace(UNDIP, name=name)


@pytest.mark.parametrize("change", [{"prefixes": ()}, {"prefixes": ("",)}, {"sets": ("",)}])
def test_a_prefix_or_set_that_names_nothing_is_refused(change: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ConfigError, match=r"^undip: .*metadata prefix"):
        replace(UNDIP, **change)  # type: ignore[arg-type]  # the changes are fields of a member


def test_a_host_is_asked_whatever_the_port_and_letters() -> None:
    assert {replace(UNDIP, base_url=url).host for url in ("http://X.id/a", "https://x.ID:81/b")} == {"x.id"}


def test_a_member_comes_back_as_it_was_added(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        added = add_member(connection, UNDIP, 5)
        assert replace(added, id=0) == UNDIP
        assert added.id > 0
        assert get_member(connection, "undip") == find_member(connection, "undip") == added
        describe_member(connection, added, name="Another", contact="a@undip.ac.id", deletion="no")
        assert get_member(connection, "undip").name == added.name  # the operator's
        nameless = add_member(connection, replace(UNDIP, slug="b", name="b"), 5)
        describe_member(connection, nameless, name="Universitas Diponegoro", contact="", deletion="")
        assert get_member(connection, "b").name == "Universitas Diponegoro"
        long = add_member(connection, replace(UNDIP, slug="c", name="c"), 5)
        describe_member(connection, long, name="n" * 10_000, contact="", deletion="")
        assert get_member(connection, "c").name == "n" * 500


def test_a_slug_is_given_once(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        add_member(connection, UNDIP, 5)
        with pytest.raises(ConfigError, match=r"taken by Universitas .*lumbung members remove undip"):
            add_member(connection, replace(UNDIP, name="Other"), 6)
        assert get_member(connection, "undip").name == "Universitas"


def test_an_unknown_slug_is_told_the_known_ones(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        assert find_member(connection, "ugm") is None
        with pytest.raises(ConfigError, match="no member 'ugm'; members: none yet"):
            get_member(connection, "ugm")
        add_member(connection, UNDIP, 5)
        with pytest.raises(ConfigError, match="members: undip"):
            get_member(connection, "ugm")


def test_members_are_listed_by_name_without_those_removed(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        for slug, name in (("c", "Beta"), ("a", "Gamma"), ("b", "Alpha"), ("d", "Delta")):
            add_member(connection, Member(slug, name, "http://x.example/"), 1)
        mark_removed(connection, get_member(connection, "d"), 9)
        assert [member.slug for member in list_members(connection)] == ["b", "c", "a"]
        assert [status.member.slug for status in list_statuses(connection)] == ["b", "c", "a"]


def test_an_import_adds_updates_and_takes_back(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        old = add_member(connection, UNDIP, 5)
        gone = add_member(connection, replace(UNDIP, slug="gone"), 5)
        mark_removed(connection, gone, 6)
        changed = replace(UNDIP, name="New", sets=(), fulltext=False)
        new = replace(UNDIP, slug="new")
        assert import_members(connection, [changed, replace(UNDIP, slug="gone"), new], 7) == (2, 1)
        assert get_member(connection, "undip") == replace(changed, id=old.id)
        assert get_member(connection, "gone").id == gone.id
        added = dict(connection.execute(select(members.c.slug, members.c.added_at)).tuples().all())
    assert added == {"undip": 5, "gone": 5, "new": 7}


def test_a_member_that_was_removed_and_added_again_is_harvested_from_the_beginning(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        member = add_member(connection, UNDIP, 5)
        harvest_id = begin_harvest(connection, member, 5)
        for state in get_lists(connection, harvest_id):
            finish_pass(connection, harvest_id, state.id, "2024-01-01")
        finish_harvest(connection, harvest_id, outcome="complete", error=None, requests=1, size=1, now=6)
        running = begin_harvest(connection, member, 7)
        state = get_lists(connection, running)[0]
        assert state.watermark == "2024-01-01"
        mark_removed(connection, member, 8)
        with pytest.raises(HarvestSupersededError):
            finish_pass(connection, running, state.id, "2025-01-01")
        again = add_member(connection, UNDIP, 9)
        assert again == member
        new = begin_harvest(connection, again, 9)
        assert [s.watermark for s in get_lists(connection, new)] == [None, None]
        assert [run.outcome for run in list_runs(connection, again)] == [None, "incomplete", "complete"]
        last = get_status(connection, again)
    assert last.last_attempt is not None
    assert last.last_success is not None
    assert (last.last_attempt.id, last.last_success.id) == (new, harvest_id)


def test_every_prefix_and_set_is_one_list_with_a_watermark_of_its_own(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        member = add_member(connection, replace(UNDIP, prefixes=("p", "q", "p"), sets=("s", "t", "s")), 5)
        first = begin_harvest(connection, member, 5)
        states = get_lists(connection, first)
        assert [(s.prefix, s.set_spec) for s in states] == [("p", "s"), ("p", "t"), ("q", "s"), ("q", "t")]
        finish_pass(connection, first, states[1].id, "2024-01-01")
        fewer = replace(member, prefixes=("p",), sets=("t",))
        assert [s.watermark for s in get_lists(connection, begin_harvest(connection, fewer, 6))] == ["2024-01-01"]
        assert [s.watermark for s in get_lists(connection, begin_harvest(connection, member, 6))] == [
            None, "2024-01-01", None, None,
        ]  # fmt: skip
        begin_harvest(connection, replace(member, sets=("s",)), 6)  # the other set's records may go meanwhile
        assert [s.watermark for s in get_lists(connection, begin_harvest(connection, member, 6))] == [None] * 4
        moved = replace(fewer, base_url="http://moved.example/oai")
        assert [s.watermark for s in get_lists(connection, begin_harvest(connection, moved, 7))] == [None]
        states = get_lists(connection, begin_harvest(connection, member, 8))
        assert [s.watermark for s in states] == [None] * 4
        assert len(connection.execute(select(lists.c.id)).all()) == 4


def test_full_forgets_every_watermark_and_position(catalogue: Catalogue) -> None:
    with catalogue.write() as connection:
        member = add_member(connection, UNDIP, 5)
        first = begin_harvest(connection, member, 5)
        for state in get_lists(connection, first):
            finish_pass(connection, first, state.id, "2024-01-01")
        second = begin_harvest(connection, member, 6, full=True)
        assert [s.watermark for s in get_lists(connection, second)] == [None, None]
        third = begin_harvest(connection, member, 6)
        assert [s.watermark for s in get_lists(connection, third)] == [None, None]


def test_a_member_is_removed_in_the_middle_of_a_reconciliation(catalogue: Catalogue) -> None:
    """What it was shown, and what waits to be deleted, goes with the lists; another member's stays."""
    record = dict.fromkeys(("work_id", "datestamp", "added"), 1) | {"source_datestamp": "", "deleted": False}
    with catalogue.write() as connection:
        both = [add_member(connection, replace(UNDIP, slug=slug), 5) for slug in ("a", "b")]
        for member in both:
            begin_harvest(connection, member, 5)
            row = {"id": member.id, "public_id": member.id, "member_id": member.id, "identifier": "x"}
            connection.execute(insert(records).values(record | row))
            missed = {"missed_at": 1, "times": 1, "due_at": 9, "record_id": member.id, "prefix": "marc"}
            connection.execute(insert(vanished).values(missed | {"member_id": member.id}))
        of_list = select(lists.c.id, literal("x"))
        connection.execute(insert(listed).from_select(["list_id", "identifier"], of_list))
        mark_removed(connection, both[0], 8)
        assert connection.execute(select(vanished.c.member_id)).scalars().all() == [both[1].id]
        left = select(lists.c.member_id).join(listed, listed.c.list_id == lists.c.id).distinct()
        assert connection.execute(left).scalars().all() == [both[1].id]
