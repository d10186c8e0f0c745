"""The feed is prepared once for each change; changed rules stamp what differs; copies give way to what is nearer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest
import zstandard
from sqlalchemy import select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.commit import Fetched, commit_page, delete_records
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member, import_members
from harvester.catalogue.tables import feed, feed_counts
from harvester.oai.page import parse_page
from indexer.feed import prepare
from indexer.feed.payload import make_packer, make_unpacker, split
from indexer.feed.prepare import advance, is_behind, refresh, stamp_all_moved
from indexer.feed.provenance import Origin, parse_origins, render_origins
from indexer.reading import open_reader

_DOMAIN = "hub.test"
_OTHER = Origin("https://x.test/oai", "oai:x:1", "2025-01-01", "urn:n", "2025-02-01T00:00:00Z")
_KEPT = bytes.fromhex(
    "28b52ffd6061004d0100b03e506164692026616d703b20c3a92f61626f75742f3e05005cab960a2ba2600d2ed0487075540820"
)
_OURS = Origin("https://hub.test/oai", "oai:hub.test:x/0123456789ab", "2025-01-01", "urn:n", "2025-02-01T00:00:00Z")


class Hub:
    """A catalogue with a clock of its own, into which members' records come."""

    def __init__(self, url: str) -> None:
        self.clock = 1_000_000
        self.catalogue: Catalogue = open_catalogue(url, lambda: self.clock)
        self.members: dict[str, Member] = {}

    def give(
        self,
        slug: str,
        *titles: str,
        origins: tuple[Origin, ...] = (),
        deleted: bool = False,
        base_url: str = "",
        name: str = "",
    ) -> None:
        """The member's records 1, 2, ... have these titles now."""
        self.clock += 10
        about = f'<about><provenance xmlns="urn:p">{render_origins(origins)}</provenance></about>' if origins else ""
        status = ' status="deleted"' if deleted else ""
        name = escape(name or slug)
        records = "".join(
            f"<record><header{status}><identifier>oai:{name}:{number}</identifier><datestamp>2025-01-01</datestamp></header>"
            + ("" if deleted else f"<metadata><dc><title>{escape(title)}</title></dc></metadata>{about}")
            + "</record>"
            for number, title in enumerate(titles, 1)
        )
        page = (
            f"<OAI-PMH><responseDate>2025-02-01T00:00:00Z</responseDate><ListRecords>{records}</ListRecords></OAI-PMH>"
        )
        with self.catalogue.write() as connection:
            if slug not in self.members:
                self.members[slug] = add_member(
                    connection, Member(slug, slug, base_url or f"https://{slug}.test/oai"), 1
                )
            run = begin_harvest(connection, self.members[slug], self.clock)
            list_id = get_lists(connection, run)[0].id
        fetched = Fetched("k", "u", 200, 1, self.clock)
        commit_page(
            self.catalogue,
            harvest_id=run,
            member=self.members[slug],
            list_id=list_id,
            prefix="oai_dc",
            page=parse_page(page.encode()),
            fetched=fetched,
        )

    def shown(self) -> dict[int, tuple[int | None, bool]]:
        """Each record's datestamp and whether it is shown as deleted, by number, once the feed is up to date."""
        self.clock += 10
        until = advance(self.catalogue, _DOMAIN)
        assert until == self.clock
        assert not is_behind(self.catalogue)
        with self.catalogue.read() as connection:
            rows = connection.execute(select(feed).order_by(feed.c.record_id)).all()
            kept = {(kind, value): rows for kind, value, rows in connection.execute(select(feed_counts)) if rows}
        seen = [row for row in rows if row.datestamp is not None]
        counted = Counter({("", ""): len(seen)}) + Counter(("member", str(row.member_id)) for row in seen)
        counted += Counter(("type", row.type) for row in seen) + Counter(("access", "open") for row in seen if row.open)
        assert kept == counted
        return {row.record_id: (row.datestamp, row.deleted) for row in rows}


@pytest.fixture
def hub(catalogue_url: str) -> Iterator[Hub]:
    hub = Hub(catalogue_url)
    yield hub
    hub.catalogue.close()


def test_a_record_has_its_own_datestamp_and_keeps_it(hub: Hub) -> None:
    hub.give("x", "One", "Two")
    assert hub.shown() == {1: (1_000_010, False), 2: (1_000_010, False)}
    hub.give("x", "One", "Zwei")
    assert hub.shown() == {1: (1_000_010, False), 2: (1_000_030, False)}
    hub.give("x", "One", deleted=True)
    assert hub.shown() == {1: (1_000_050, True), 2: (1_000_030, False)}
    assert hub.shown() == {1: (1_000_050, True), 2: (1_000_030, False)}


def test_with_no_time_the_feed_says_how_far_it_came(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_AT_ONCE", 1)
    for number in range(5):
        hub.give("x", *(f"Title {number}" for _ in range(number + 1)))
    reached = []
    hub.clock += 10
    while not reached or reached[-1] != hub.clock:
        reached.append(advance(hub.catalogue, _DOMAIN, seconds=0))
    assert reached == sorted(reached)
    assert len(reached) == 5
    with hub.catalogue.read() as connection:
        assert connection.execute(select(feed.c.record_id)).scalars().all() == [1, 2, 3, 4, 5]


def test_a_copy_from_further_away_is_shown_only_while_there_is_no_nearer_one(hub: Hub) -> None:
    hub.give("agg", "One", origins=(_OTHER,))
    assert hub.shown() == {1: (1_000_010, False)}
    hub.give("x", "One")  # the origin itself joins: the copy goes, with a datestamp that pollers see
    assert hub.shown() == {1: (1_000_041, True), 2: (1_000_030, False)}
    hub.give("other", "One", origins=(_OTHER,))  # by a second way: nobody ever saw it
    assert hub.shown()[3] == (None, True)
    hub.give("agg", "One, changed", origins=(_OTHER,))
    assert hub.shown()[1] == (1_000_041, True)
    delete_records(hub.catalogue, hub.members["x"])
    found = hub.shown()
    assert [deleted for _, deleted in found.values()] == [False, True, True]
    assert found[3] == (None, True)
    hub.give("x", "One")
    found = hub.shown()
    assert [deleted for _, deleted in found.values()] == [True, False, True]


def test_a_record_of_ours_that_comes_back_is_not_shown(hub: Hub) -> None:
    hub.give("peer", "One", origins=(_OURS, _OTHER))
    assert hub.shown() == {1: (None, True)}
    hub.give("peer", "One", deleted=True)
    assert hub.shown() == {1: (None, True)}


def test_changed_rules_stamp_only_what_differs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.give("x", "One", "Two", "Three")
    before = hub.shown()
    stop = threading.Event()
    assert refresh(hub.catalogue, _DOMAIN, stop) == 0
    monkeypatch.setattr(prepare, "rules_checksum", lambda: 7)
    assert refresh(hub.catalogue, _DOMAIN, stop) == 0
    assert hub.shown() == before
    with hub.catalogue.write() as connection:  # as older rules had made it
        connection.execute(update(feed).where(feed.c.record_id == 2).values(hash=b"0" * 16))
    monkeypatch.setattr(prepare, "rules_checksum", lambda: 8)
    hub.clock += 100
    assert refresh(hub.catalogue, _DOMAIN, stop) == 1
    after = hub.shown()
    assert (after[1], after[3]) == (before[1], before[3])
    assert (after[2][0] or 0) >= hub.clock - 10
    assert refresh(hub.catalogue, _DOMAIN, stop) == 0


def test_a_member_that_moves_to_a_region_has_its_records_stamped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_AT_ONCE", 2)
    hub.give("x", "One", "Two", "Three")
    hub.give("y", "Four")
    before, stop = hub.shown(), threading.Event()
    moved = replace(hub.members["x"], care=replace(hub.members["x"].care, region="bali"))
    for stamped in (3, 0):  # the second time it is where it was
        with hub.catalogue.write() as connection:
            import_members(connection, [moved], 2)
        hub.clock += 100
        assert stamp_all_moved(hub.catalogue, stop) == stamped
        assert stamp_all_moved(hub.catalogue, stop) == 0
    after = hub.shown()
    assert after[4] == before[4]
    assert all((after[number][0] or 0) >= hub.clock - 110 for number in (1, 2, 3))


def test_repositories_on_one_host_are_no_copies_of_each_other(hub: Hub) -> None:
    for path in ("fk", "ft"):
        hub.give(path, "One", "Two", base_url=f"http://h.test/{path}/oai2.php", name="slims")
    assert [deleted for _, deleted in hub.shown().values()] == [False] * 4
    origin = replace(_OTHER, base_url="https://www.H.test:443/ft/oai2.php/?", identifier="oai:slims:2")
    hub.give("agg", "Two", origins=(origin,))
    assert hub.shown()[5] == (None, True)
    with open_reader(hub.catalogue, 2026, 5) as read:  # in search, too
        keys = [next(key for key in reading.keys if key.startswith("origin:")) for reading in read(range(1, 6))]
    assert len(set(keys)) == 4
    assert keys[3] == keys[4]


def test_an_identifier_with_odd_letters_names_one_record(hub: Hub) -> None:
    names = ("a b", "ä", "50%", "[1]", 'q"<&', "a%20c", "d b%20c", "oai::8#1")
    for name in names:
        hub.give("x", "One", name=name)
    for name in names:
        hub.give("agg", "One", origins=(replace(_OTHER, identifier=f"oai:{name}:1"),), name=name)
    assert [deleted for _, deleted in hub.shown().values()] == [False] * len(names) + [True] * len(names)


def test_what_was_a_copy_by_former_rules_is_shown_under_a_new_datestamp(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_AT_ONCE", 1)
    stop = threading.Event()
    with monkeypatch.context() as former:
        former.setattr(Origin, "key", property(lambda origin: int(origin.identifier[-1])))
        hub.give("agg", "One", origins=(_OTHER,))
        hub.give("y", "One")
        hub.give("x", "One")
        hub.give("z", "Two", "Two")
        before = hub.shown()
    assert [deleted for _, deleted in before.values()] == [True, False, True, True, False]
    monkeypatch.setattr(prepare, "rules_checksum", lambda: 7)
    hub.clock += 100
    assert refresh(hub.catalogue, _DOMAIN, stop) == 2
    after = hub.shown()
    assert [deleted for _, deleted in after.values()] == [True, False, False, False, False]
    assert {number for number in after if after[number] != before[number]} == {3, 4}
    assert all((after[number][0] or 0) >= hub.clock - 10 for number in (3, 4))
    monkeypatch.setattr(prepare, "rules_checksum", lambda: 8)
    assert refresh(hub.catalogue, _DOMAIN, stop) == 0
    assert hub.shown() == after


def test_a_payload_is_read_as_it_was_packed_in_either_form() -> None:
    core, origins, more = "<dc:title>Padi &amp; é</dc:title>", "<originDescription/>", "<about/>"
    unpack = make_unpacker()
    shown = unpack(make_packer()(core, origins, more))
    former = zstandard.compress(f"{core}\0{origins}\0{more}".encode())
    assert unpack(former) == shown
    assert split(shown)[0].decode() == core
    assert shown.endswith(b"<originDescription/></provenance></about><about/>")
    # What catalogues hold: neither the form nor what all have in common may ever change.
    assert unpack(_KEPT) == shown


def test_a_chain_of_origins_is_read_as_it_is_written() -> None:
    chain = (_OURS, _OTHER)
    written = f'<provenance xmlns="http://www.openarchives.org/OAI/2.0/provenance">{render_origins(chain)}</provenance>'
    assert parse_origins([b"<broken", b"<rights/>", written.encode()]) == chain
    odd = Origin("http://x.test/o a i", "oai:x:<1>%zz", "2019-00-00", "", "yesterday")
    (read,) = parse_origins([f"<provenance>{render_origins([odd])}</provenance>".encode()])
    assert (read.base_url, read.identifier) == ("http://x.test/o%20a%20i", "oai:x:%3C1%3E%25zz")
    assert read.datestamp == read.harvest_date == "1970-01-01T00:00:00Z"


def test_a_station_is_named_by_its_whole_address_however_it_is_written() -> None:
    def key(base_url: str, identifier: str = "oai:x:1") -> int:
        return Origin(base_url, identifier, "", "", "").key

    same = ("https://x.test/oai", "http://X.test/oai/", "http://www.x.test:80/oai", "https://x.test:443/oai")
    assert len(set(map(key, same))) == 1
    others = ("http://x.test/oai?repo=a", "http://x.test/oai?repo=b", "http://x.test/fk/oai", "http://x.test:8080/oai")
    assert len({key(each) for each in (same[0], *others)}) == 5
    assert key(same[0], "oai:x:a b") == key(same[0], "oai:x:a%20b")
