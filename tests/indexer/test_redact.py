"""What archived pages say of a record that was taken down is cut out, stays out, and comes back byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fakes.network import Network
from fakes.provider import FakeProvider, FakeRecord, FakeRepository

from harvester.archive import Archive, get_page, open_archive
from harvester.catalogue import Catalogue
from harvester.catalogue.takedowns import list_takedowns
from harvester.errors import ArchiveError
from harvester.fulltext.fixity import iter_damaged_pages
from harvester.fulltext.redact import cut_record, put_back, settle_takedowns
from harvester.fulltext.takedown import lift_takedown, take_down
from harvester.oai.repair import read_page
from indexer.build import advance, rebuild
from indexer.engine.opening import open_engine
from indexer.tiers import TierCheck

MARK = "lumbung-withheld 7"
SECRET = "Nama yang tidak boleh disebut"
MARC = "<metadata><record xmlns='marc'><leader>x</leader><title>{}</title></record></metadata>"


def of(identifier: str, rest: str, prefix: str = "") -> str:
    header = f"<{prefix}header><{prefix}identifier>{identifier}</{prefix}identifier></{prefix}header>"
    return f"<{prefix}record>{header}{rest}</{prefix}record>"


def page(*records: str) -> str:
    head = '<OAI-PMH><responseDate>2026-11-01T00:00:00Z</responseDate><request verb="ListRecords">x</request>'
    return f"{head}<ListRecords>{''.join(records)}<resumptionToken/></ListRecords></OAI-PMH>"


PAGES = {
    "plain": page(of("a", MARC.format("A")), of("b", MARC.format(SECRET)), of("c", MARC.format("C"))),
    "first and last": page(of("b", MARC.format(SECRET)), of("c", "<metadata/>"), of("b", MARC.format(SECRET + "2"))),
    "with a prefix": page(of("a", MARC.format("A"), "oai:"), of(" b\n", MARC.format(SECRET), "oai:")),
    "with about": page(of("b", MARC.format("x") + f"<about>{SECRET}</about>"), of("c", MARC.format("C"))),
    "wrapped": page(of("<![CDATA[b]]>", MARC.format(SECRET)), of("a", MARC.format("b"))),
    "not well-formed": page(of("a", MARC.format("A & <b")), of("b", MARC.format(SECRET + " & co"))),
    "cut short": page(of("a", MARC.format("A")), of("b", MARC.format(SECRET))).rpartition("</title></record></met")[0],
    "cut within": page(of("b", f"<metadata><record>A</record><record>{SECRET}|")).partition("|")[0],
}


@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_says_nothing_of_the_record_and_all_of_the_others(name: str, codec: str) -> None:
    body = PAGES[name].encode(codec)
    cut, pieces = cut_record(body, "b", MARK)
    assert SECRET not in cut.decode(codec)
    assert len(pieces) == PAGES[name].count(SECRET)
    assert put_back(cut, MARK, pieces) == body
    assert cut_record(cut, "b", "lumbung-withheld 8") == (cut, ())
    if codec == "utf-8":
        was, now = (read_page(each, recover=True).page.records for each in (body, cut))
        assert [each for each in now if each.header.identifier != "b"] == [
            each for each in was if each.header.identifier != "b"
        ]
        assert {each.header.deleted for each in now if each.header.identifier == "b"} <= {True}


def test_two_takedowns_of_one_page_are_lifted_in_any_order() -> None:
    body = page(of("a&amp;1", MARC.format("A")), of("b", MARC.format("B")), of("c", MARC.format("é"))).encode()
    once, first = cut_record(body, "a&1", "lumbung-withheld 1")
    twice, second = cut_record(once, "c", "lumbung-withheld 12")
    assert (len(first), len(second)) == (1, 1)
    assert put_back(twice, "lumbung-withheld 1", first) == cut_record(body, "c", "lumbung-withheld 12")[0]
    assert put_back(put_back(twice, "lumbung-withheld 1", first), "lumbung-withheld 12", second) == body


@pytest.mark.parametrize("body", ["", "no page", page(of("a", MARC.format("b"))), page(of("b", " "))])
def test_a_page_without_the_record_stays_as_it_is(body: str) -> None:
    assert cut_record(body.encode(), "b", MARK) == (body.encode(), ())


class Scene:
    """A member with twelve records on three pages, harvested twice, one of them taken down."""

    def __init__(self, network: Network, repository: FakeRepository) -> None:
        self.network = network
        self.repository = repository
        self.catalogue = network.catalogue
        self.harvest()
        self.harvest()
        self.number = network.records()["oai:x:5"].number
        self.whole = self.pages()

    def harvest(self) -> None:
        assert self.network.harvest(full=True).outcome in {"complete", "nothing-new"}

    def pages(self) -> dict[str, bytes]:
        archive = self.network.archive
        return {key: get_page(archive, key) for key in archive.iter_keys("pages/")}

    def change(self, do: Callable[..., bool]) -> None:
        with self.catalogue.write() as connection:
            assert do(connection, self.number, None, "asked for", self.catalogue.now())

    def saying(self) -> int:
        return sum(SECRET.encode() in body for body in self.pages().values())

    def assert_tiers_agree(self) -> None:
        assert list(iter_damaged_pages(self.network.context)) == []
        with closing(open_engine(self.network.context.settings)) as engine:
            advance(self.catalogue, engine)
            check = TierCheck(
                self.catalogue, self.network.archive, engine, rebuild=lambda: rebuild(self.catalogue, engine)
            )
            assert [each.kind for each in check.iter_differences() if each.kind != "object-unnamed"] == []


@pytest.fixture
def scene(tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    titles = {n: SECRET if n == 5 else f"Karya {n}" for n in range(12)}
    repository = FakeRepository([FakeRecord(f"oai:x:{n}", title=title) for n, title in titles.items()])
    with FakeProvider() as provider:
        network = Network(provider, catalogue, open_archive((tmp_path / "archive").as_uri()))
        network.add("a", repository)
        yield Scene(network, repository)


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@ON_SQLITE
def test_the_archive_is_redacted_and_neither_a_repair_nor_a_harvest_brings_the_record_back(scene: Scene) -> None:
    assert scene.saying() == 2
    scene.change(take_down)
    assert settle_takedowns(scene.catalogue, scene.network.archive).pages == 2
    assert scene.saying() == 0
    scene.assert_tiers_agree()
    assert "oai:x:5" not in scene.network.live()
    scene.harvest()
    assert scene.saying() == 1  # it came as it is
    assert settle_takedowns(scene.catalogue, scene.network.archive).pages == 1
    assert scene.saying() == 0
    scene.assert_tiers_agree()
    assert "oai:x:5" not in scene.network.live()
    assert len(scene.network.live()) == 11


def test_a_takedown_that_is_lifted_leaves_every_page_as_it_came(scene: Scene) -> None:
    scene.change(take_down)
    settle_takedowns(scene.catalogue, scene.network.archive)
    scene.change(lift_takedown)
    assert settle_takedowns(scene.catalogue, scene.network.archive).pages == 2
    assert scene.pages() == scene.whole
    assert list(scene.network.archive.iter_keys("withheld/")) == []
    assert "oai:x:5" in scene.network.live()
    assert settle_takedowns(scene.catalogue, scene.network.archive).pages == 0
    with scene.catalogue.read() as connection:
        assert [each.redacted_upto for each in list_takedowns(connection)] == [""]


class _Breaking:
    """The archive, away from the nth change on."""

    def __init__(self, archive: Archive, left: int) -> None:
        self._archive = archive
        self._left = left

    def __getattr__(self, name: str) -> object:
        call = getattr(self._archive, name)
        if name not in {"replace", "remove"}:
            return call

        def counted(*arguments: object) -> object:
            self._left -= 1
            if self._left < 0:
                raise ArchiveError("it is away")
            return call(*arguments)

        return counted


@ON_SQLITE
def test_an_end_at_any_step_is_taken_up_again(scene: Scene) -> None:
    archive = scene.network.archive
    for left in range(5):
        for do in (take_down, lift_takedown):
            scene.change(do)
            if left < 4:
                with pytest.raises(ArchiveError):
                    settle_takedowns(scene.catalogue, _Breaking(archive, left))  # type: ignore[arg-type]  # it is one
            settle_takedowns(scene.catalogue, archive)
            assert list(iter_damaged_pages(scene.network.context)) == []
            assert scene.saying() == (0 if do is take_down else 2)
        assert scene.pages() == scene.whole
        assert list(archive.iter_keys("withheld/")) == []
