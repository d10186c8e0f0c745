"""Archive, catalogue and index are compared: every damage is found and mended; where all is well, nothing is found."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from fakes.network import Network
from fakes.provider import FakeProvider, FakeRecord, FakeRepository
from filling import dublin_core
from sqlalchemy import delete, insert, select, update

from harvester.archive import open_archive
from harvester.catalogue import Catalogue
from harvester.catalogue.records import CataloguedRecord
from harvester.catalogue.tables import cursors, forms, jobs, match_keys, members, pages, records, work_changes
from harvester.cli import status
from harvester.errors import ArchiveError
from harvester.settings import load_settings
from indexer import tiers
from indexer.build import advance, rebuild
from indexer.cli import check_tiers
from indexer.document import Document, Holder, Text
from indexer.engine import Engine
from indexer.engine.elastic_indices import Indices
from indexer.engine.elastic_server import Server, parse_address
from indexer.engine.embedded import EmbeddedEngine
from indexer.engine.opening import open_engine
from indexer.tiers import KINDS, TierCheck, documents
from indexer.tiers import records as record_parts
from indexer.tiers.pages import find_body
from web.app import create_app
from web.cli import lumbung

TITLE = "Pengelolaan air tanah di kawasan pesisir utara Jawa"
ON_BOTH = pytest.mark.parametrize(
    ("database", "engine_url"),
    [
        ("sqlite", "embedded"),
        *(
            pytest.param(*pair, marks=pytest.mark.service)
            for pair in (("postgresql", "embedded"), ("sqlite", "elasticsearch"))
        ),
    ],
    indirect=True,
)
NEWS = "2024-05-01T12:00:00Z"  # of what has changed since the last harvest, whatever that is


def record(name: str, title: str, **others: object) -> FakeRecord:
    payload = dublin_core({"title": [title], "creator": ["Santoso, Budi"], "date": ["2019"]}).decode()
    return FakeRecord(f"oai:x:{name}", title=title, payload=payload, **others)  # type: ignore[arg-type]  # its fields


_FOREIGN_KEYS = {
    "sqlite": ("PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys=ON"),
    "postgresql": ("SET session_replication_role = replica", "SET session_replication_role = origin"),
}


@dataclass
class Home:
    """An installation with two members, harvested and indexed: twelve records, one of them deleted, two of one work."""

    path: Path
    network: Network
    a: FakeRepository
    b: FakeRepository

    @property
    def catalogue(self) -> Catalogue:
        return self.network.catalogue

    def harvest(self) -> None:
        for slug in "ab":
            assert self.network.harvest(slug).outcome in {"complete", "nothing-new"}

    def index(self) -> None:
        with self.engine() as engine:
            advance(self.catalogue, engine)

    def engine(self) -> closing[Engine]:
        return closing(open_engine(load_settings()))

    def check(self, *, repair: bool = False) -> Counter[tuple[str, bool]]:
        """How often each kind was found, and whether it was mended; by the command itself."""
        result = CliRunner().invoke(check_tiers, ["--json"] + (["--repair"] if repair else []))
        assert isinstance(result.exception, SystemExit | None), result.exception
        told = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == any(not each["harmless"] for each in told)
        assert {each["kind"] for each in told} <= KINDS.keys()
        return Counter((each["kind"], each["mended"]) for each in told)

    def found(self) -> set[str]:
        return {kind for kind, _ in self.check()}

    def named(self, slug: str, name: str) -> CataloguedRecord:
        return next(each for each in self.network.records().values() if each.identifier == f"oai:x:{slug}{name}")

    def shown(self) -> dict[str, Document]:
        """All that the index holds."""
        with self.engine() as engine:
            return {each: document for each in engine.iter_ids() if (document := engine.get(each))}

    def anew(self) -> dict[str, Document]:
        """All that an index built from nothing holds."""
        with closing(EmbeddedEngine(self.path / "anew")) as engine:
            advance(self.catalogue, engine)
            found = {each: document for each in engine.iter_ids() if (document := engine.get(each))}
        shutil.rmtree(self.path / "anew")
        return found

    def page_of(self, name: str) -> Path:
        """The archived page that brought a record's payload."""
        number = self.named("a", name).number
        query = (
            select(pages.c.archive_key).join(forms, forms.c.page_id == pages.c.id).where(forms.c.record_id == number)
        )
        with self.catalogue.read() as connection:
            return self.path / "archive" / connection.execute(query).scalar_one()

    def payload(self, name: str) -> bytes | None:
        """As it is stored."""
        with self.catalogue.read() as connection:
            query = select(forms.c.xml).where(forms.c.record_id == self.named("a", name).number)
            return connection.execute(query).scalar_one()  # type: ignore[no-any-return]  # of this column

    def edit(self, *statements: object) -> None:
        """Rows are changed by hand, as no program of ours would."""
        off, on = _FOREIGN_KEYS[self.catalogue.engine.dialect.name]
        with self.catalogue._connect(beside=False) as connection:
            connection.connection.cursor().execute(off)  # not within a transaction
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]  # a statement of Core
            connection.commit()
            connection.connection.cursor().execute(on)


@pytest.fixture
def engine_url(request: pytest.FixtureRequest) -> str:
    """Where the index is: in the home folder, where a test is not for both engines."""
    named: str = getattr(request, "param", "embedded")
    return "embedded:" if named == "embedded" else request.getfixturevalue("elasticsearch_index")


@pytest.fixture
def home(
    tmp_path: Path, catalogue: Catalogue, catalogue_url: str, engine_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    monkeypatch.setenv("LUMBUNG_CATALOGUE", catalogue_url)
    monkeypatch.setenv("LUMBUNG_ENGINE", engine_url)
    monkeypatch.setenv("LUMBUNG_ENGINE_REPLICAS", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiers, "_FIRST_BUILD_SECONDS", 0)
    for module in (documents, record_parts):
        monkeypatch.setattr(module, "_AT_ONCE", 3)  # so that there are several parts
    with FakeProvider() as provider:
        network = Network(provider, catalogue, open_archive((tmp_path / "archive").as_uri()))
        a = FakeRepository([record(f"a{n}", f"Karya ke {n}") for n in range(10)])
        b = FakeRepository([record("b0", TITLE), record("b1", "Kota")])
        a.put(record("a0", TITLE))
        network.add("a", a)
        network.add("b", b)
        made = Home(tmp_path, network, a, b)
        made.harvest()
        a.put(record("a9", "Karya ke 9", datestamp=NEWS, deleted_in=("oai_dc",)))
        made.harvest()
        made.index()
        yield made


def flip(path: Path, at: int = -9) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)


def flipped(packed: bytes | None) -> bytes:
    assert packed is not None
    return packed[:20] + bytes([packed[20] ^ 0x40]) + packed[21:]


@ON_BOTH
def test_a_healthy_installation_has_no_differences(home: Home) -> None:
    assert len(home.shown()) == 10
    before = [path.stat() for path in home.path.glob("index/current")]
    assert home.check() == Counter()
    assert home.check(repair=True) == Counter()
    assert [path.stat() for path in home.path.glob("index/current")] == before


def test_nothing_differs_before_the_first_harvest_and_before_the_first_build(home: Home) -> None:
    shutil.rmtree(home.path / "index")
    home.edit(update(records).values(work_id=records.c.id), *map(delete, (match_keys, work_changes, cursors)))
    assert home.check() == Counter()


@ON_BOTH
def test_what_waits_for_the_next_build_is_no_difference(home: Home) -> None:
    home.a.put(
        record("a0", "Judul lain", datestamp=NEWS),
        record("a1", "Karya ke 1", datestamp=NEWS, deleted_in=("oai_dc",)),
        record("a10", "Baru", datestamp=NEWS),
    )
    home.harvest()
    assert home.check() == Counter()
    home.index()
    assert home.check() == Counter()
    assert home.shown() == home.anew()


def drop_page(home: Home) -> None:
    home.page_of("1").unlink()


def flip_page(home: Home) -> None:
    flip(home.page_of("1"))


def cut_page(home: Home) -> None:
    path = home.page_of("1")
    path.write_bytes(path.read_bytes()[:-30])


def exchange_page(home: Home) -> None:
    home.page_of("1").write_bytes(zstandard.compress(b"something else"))


def claim_too_much(home: Home) -> None:
    """The length of the body, as the head of the frame has it, becomes absurd."""
    path = home.page_of("1")
    content = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(b"x" * 70_000))
    assert zstandard.get_frame_parameters(bytes(content)).content_size == 70_000
    content[5:9] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)


def edit_size(home: Home) -> None:
    home.edit(update(pages).where(pages.c.id == 1).values(size=pages.c.size + 1))


def edit_key(home: Home) -> None:
    home.edit(update(pages).where(pages.c.id == 1).values(archive_key="pages/z/1"))


def flip_payload(home: Home) -> None:
    this = forms.c.record_id == home.named("a", "1").number
    home.edit(update(forms).where(this).values(xml=flipped(home.payload("1"))))


def exchange_payload(home: Home) -> None:
    this = forms.c.record_id == home.named("a", "1").number
    home.edit(update(forms).where(this).values(xml=zstandard.compress(b"<dc/>")))


def flip_hash(home: Home) -> None:
    this = forms.c.record_id == home.named("a", "1").number
    home.edit(update(forms).where(this).values(hash=b"0123456789abcdef"))


def flip_about(home: Home) -> None:
    this = forms.c.record_id == home.named("a", "1").number
    home.edit(update(forms).where(this).values(abouts=b"nonsense"))


def flip_tombstone(home: Home) -> None:
    this = forms.c.record_id == home.named("a", "9").number
    home.edit(update(forms).where(this).values(xml=b"nonsense"))


def revive(home: Home) -> None:
    home.edit(update(records).where(records.c.id == home.named("a", "9").number).values(deleted=False))


def bury(home: Home) -> None:
    home.edit(update(records).where(records.c.id == home.named("a", "1").number).values(deleted=True))


def drop_key(home: Home) -> None:
    home.edit(delete(match_keys).where(match_keys.c.record_id == home.named("a", "0").number))


def add_key(home: Home) -> None:
    home.edit(insert(match_keys).values(record_id=home.named("a", "1").number, key="doi:10.5555/x"))


def part_work(home: Home) -> None:
    home.edit(update(records).where(records.c.id == home.named("b", "0").number).values(work_id=records.c.id))


def join_strangers(home: Home) -> None:
    number = home.named("a", "1").number
    home.edit(update(records).where(records.c.id == home.named("a", "2").number).values(work_id=number))


def work_of_nobody(home: Home) -> None:
    home.edit(update(records).where(records.c.id == home.named("a", "1").number).values(work_id=999))


def forget_change(home: Home) -> None:
    home.edit(delete(work_changes).where(work_changes.c.work_id == home.named("a", "0").work))


def edit_count(home: Home) -> None:
    home.edit(update(members).where(members.c.slug == "a").values(live=3))


def write(home: Home, documents: list[Document], deletions: list[str]) -> None:
    with home.engine() as engine:
        engine.write(documents, deletions, engine.watermark())


def drop_entries(home: Home) -> None:
    write(home, [], [home.named("a", "0").id, home.named("a", "1").id])


def add_stranger(home: Home) -> None:
    write(home, [Document("zzzzzzzzzzzz", ()), Document("no public id", ())], [])


def return_deleted(home: Home) -> None:
    gone = home.named("a", "9")
    write(home, [Document(gone.id, (Holder(gone.id, "a"),), (Text("Karya ke 9"),))], [])


def return_joined(home: Home) -> None:
    write(home, [Document(home.named("b", "0").id, ())], [])


def exchange_entry(home: Home) -> None:
    public_id = home.named("a", "0").id
    write(home, [replace(home.shown()[public_id], titles=(Text("Judul lain"),))], [])


def drop_index(home: Home) -> None:
    if (url := load_settings().engine) != "embedded:":
        with closing(Server(parse_address(url))) as server:
            server.client.indices.delete(index=list(server.client.indices.get(index=f"{server.address.name}-*")))
        return
    shutil.rmtree(home.path / "index")


def damage_index(home: Home) -> None:
    for path in (home.path / "index").glob("*-*/*.store"):
        path.write_bytes(b"\0" * path.stat().st_size)


def outdate_index(home: Home) -> None:
    if (url := load_settings().engine) != "embedded:":
        drop_index(home)
        with closing(Server(parse_address(url, replicas=0))) as server:
            Indices(server, "0123456789ab").create()
        return
    (home.path / "index" / "current").write_text("0123456789ab-1")


Damage = Callable[[Home], None]

# What was done, what is found of it, and what of that stays after a repair.
DAMAGES: list[tuple[Damage, set[str], set[str]]] = [
    (drop_page, {"page-missing"}, {"page-missing"}),
    *((each, {"page-damaged"}, {"page-damaged"}) for each in (flip_page, cut_page, exchange_page, edit_size)),
    (claim_too_much, {"page-damaged"}, {"page-damaged"}),
    (edit_key, {"page-missing", "object-unnamed"}, {"page-missing", "object-unnamed"}),
    *((each, {"payload-damaged"}, set()) for each in (flip_payload, exchange_payload, flip_hash, flip_about)),
    (flip_tombstone, {"payload-damaged"}, set()),
    (revive, {"state-wrong", "count-wrong", "work-unindexed", "keys-wrong"}, set()),
    (bury, {"state-wrong", "count-wrong", "work-gone", "keys-wrong"}, set()),
    (drop_key, {"keys-wrong", "work-wrong"}, set()),
    (add_key, {"keys-wrong"}, set()),
    (part_work, {"work-wrong", "work-unindexed", "document-differs"}, set()),
    (join_strangers, {"work-wrong", "work-gone", "document-differs"}, set()),
    (work_of_nobody, {"work-wrong", "work-gone"}, set()),
    (forget_change, {"work-unlisted"}, set()),
    (edit_count, {"count-wrong"}, set()),
    (drop_entries, {"work-unindexed"}, set()),
    *((each, {"work-gone"}, set()) for each in (add_stranger, return_deleted, return_joined)),
    (exchange_entry, {"document-differs"}, set()),
    *((each, {"index-unusable"}, set()) for each in (drop_index, damage_index, outdate_index)),
]


# SQLite has them all: what differs by database is how the rows are read and mended, which a few of them show.
_ON = {"sqlite": (DAMAGES, ()), "postgresql": (DAMAGES[::4], pytest.mark.service)}


@pytest.mark.parametrize(
    ("database", "damage", "kinds", "left"),
    [
        pytest.param(database, *each, marks=mark, id=f"{database}-{each[0].__name__}")
        for database, (some, mark) in _ON.items()
        for each in some
    ],
    indirect=["database"],
)
def test_each_damage_is_found_and_mended(home: Home, damage: Damage, kinds: set[str], left: set[str]) -> None:
    before = home.shown()
    damage(home)
    assert home.found() == kinds
    assert home.found() == kinds  # looking changes nothing
    home.check(repair=True)
    assert home.found() == left
    assert home.check(repair=True) == home.check()
    assert home.shown() == before == home.anew()
    home.harvest()
    home.index()
    assert home.found() == left
    assert home.shown() == before


OF_INDEX = (
    part_work,
    join_strangers,
    drop_entries,
    add_stranger,
    return_deleted,
    exchange_entry,
    drop_index,
    outdate_index,
)


@pytest.mark.service
@pytest.mark.parametrize(("database", "engine_url"), [("sqlite", "elasticsearch")], indirect=True)
@pytest.mark.parametrize("damage", OF_INDEX[::2], ids=[each.__name__ for each in OF_INDEX[::2]])
def test_each_damage_to_an_index_on_a_search_server_is_found_and_mended(home: Home, damage: Damage) -> None:
    (case,) = (each for each in DAMAGES if each[0] is damage)
    test_each_damage_is_found_and_mended(home, *case)


def test_a_payload_whose_page_is_gone_comes_again_with_the_next_harvest(home: Home) -> None:
    before, payload = home.shown(), home.payload("1")
    flip_payload(home)
    drop_page(home)
    found = Counter({("payload-damaged", False): 1, ("page-missing", False): 1})
    assert home.check() == found
    for _ in range(2):
        assert home.check(repair=True) == found
        assert home.payload("1") is None
        assert home.shown() == before  # what was known of it is still found
    home.network.harvest("b")
    home.index()
    assert home.check() == found
    home.harvest()
    assert home.payload("1") == payload
    home.index()
    assert home.check() == {("page-missing", False): 1}
    assert texts(home.shown()) == texts(before)


def test_a_full_harvest_that_a_repair_asked_for_is_not_forgotten_by_one_that_is_under_way(home: Home) -> None:
    """A watermark that moves at the end of the running one does not stand in its way."""
    flip_payload(home)
    drop_page(home)
    home.a.put(record("a3", "Lain", datestamp=NEWS))
    asked: list[object] = []

    def repair(request: object) -> None:
        if not asked and home.a.lists():
            asked.append(request)
            home.check(repair=True)

    home.a.requests.clear()
    home.a.on_request = repair
    home.harvest()
    assert home.payload("1") is None
    home.harvest()
    assert home.payload("1") is not None


def test_a_record_without_a_payload_and_one_whose_row_is_gone_come_again(home: Home) -> None:
    before = home.shown()
    gone, bare = home.named("a", "8"), home.named("a", "2")
    home.edit(delete(records).where(records.c.id == gone.number), delete(forms).where(forms.c.record_id == bare.number))
    kinds = {"record-missing", "work-gone", "count-wrong", "payload-missing"}
    assert home.found() >= kinds
    home.check(repair=True)
    home.harvest()
    home.index()
    assert home.check() == Counter()
    assert texts(home.shown()) == texts(before)
    assert home.named("a", "8").id == gone.id


def texts(shown: Mapping[str, Document]) -> dict[str, Document]:
    """Documents without what says when their records came."""
    return {each: replace(document, added=0) for each, document in shown.items()}


def test_a_damaged_payload_keeps_no_other_record_from_the_index(home: Home) -> None:
    flip_payload(home)
    home.edit(update(forms).where(forms.c.record_id == home.named("a", "2").number).values(xml=b"nonsense"))
    home.a.put(record("a10", "Baru", datestamp=NEWS))
    home.harvest()
    home.index()
    assert "Baru" in {document.title for document in home.shown().values()}
    assert len(home.anew()) == 11


def test_an_object_that_no_page_names_is_told_and_left(home: Home) -> None:
    """As a kill between the archive and the catalogue leaves it; Identify and its like are not told."""
    left = home.page_of("1").with_name("000077.xml.zst")
    shutil.copy(home.page_of("1"), left)
    assert home.check() == home.check(repair=True) == {("object-unnamed", False): 1}
    assert left.exists()
    told = CliRunner().invoke(check_tiers, [])
    assert told.exit_code == 0
    assert "harmless" in told.output
    assert "000077" in told.output
    assert "nothing differs" in told.output


def test_an_archive_that_cannot_be_reached_says_nothing_about_its_pages(home: Home) -> None:
    archive, page = open_archive((home.path / "archive").as_uri()), home.page_of("1")
    (home.path / "archive").rename(home.path / "elsewhere")
    with pytest.raises(ArchiveError, match="writable"):
        find_body(archive, page.relative_to(home.path / "archive").as_posix())
    with home.engine() as engine, pytest.raises(ArchiveError):
        list(TierCheck(home.catalogue, archive, engine, rebuild=lambda: None).iter_differences())
    flip_payload(home)
    (home.path / "elsewhere").rename(home.path / "archive")
    assert home.check(repair=True) == {("payload-damaged", True): 1}


def test_an_object_that_cannot_be_read_is_damaged_where_the_archive_is_well(home: Home) -> None:
    """As with a bad sector: the others are looked at all the same."""
    path = home.page_of("1")
    path.unlink()
    path.symlink_to("/proc/self/mem")  # whose first byte nobody can read
    assert home.check() == {("page-damaged", False): 1}


@ON_BOTH
def test_nothing_is_found_while_members_are_harvested_and_the_index_is_written_and_swapped(home: Home) -> None:
    over = threading.Event()
    turns: Counter[str] = Counter()
    troubles: list[BaseException] = []

    def harvest() -> None:
        number = turns["harvest"]
        for slug, repository in (("a", home.a), ("b", home.b)):
            some = [record(f"{slug}{n}", f"Karya {n} kali {number}", datestamp=NEWS) for n in range(4, 14)]
            joined = record(f"{slug}1", f"{TITLE}, stasiun {number % 3 if slug == 'a' else 0}", datestamp=NEWS)
            gone = record(f"{slug}2", "Ada", datestamp=NEWS, deleted_in=("oai_dc",) if number % 2 else ())
            repository.put(*some, joined, gone)
        home.harvest()

    def index() -> None:
        with home.engine() as engine:
            advance(home.catalogue, engine)
            if turns["index"] % 4 == 3:
                rebuild(home.catalogue, engine)

    def again(work: Callable[[], None]) -> None:
        try:
            while not over.is_set():
                work()
                turns[work.__name__] += 1
        except BaseException as error:  # noqa: BLE001 - it is shown below
            troubles.append(error)

    others = [threading.Thread(target=again, args=(work,)) for work in (harvest, index)]
    for thread in others:
        thread.start()
    found: list[object] = []
    try:
        with home.engine() as engine:
            while not troubles and (turns["check"] < 12 or turns["index"] < 8 or turns["harvest"] < 8):
                found += TierCheck(home.catalogue, home.network.archive, engine).iter_differences()
                turns["check"] += 1
    finally:
        over.set()
        for thread in others:
            thread.join()
    assert troubles == []
    assert found == []
    home.index()
    assert home.check() == Counter()
    assert home.shown() == home.anew()


_KILLED = """
import os, signal, sys
sys.argv = ["lumbung", "check", "--repair"]
left = int(os.environ["CALLS"])

def count(frame, event, argument):
    global left
    if "/harvester/" in frame.f_code.co_filename or "/indexer/" in frame.f_code.co_filename:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

import harvester.archive.local, harvester.oai.repair, indexer.build, indexer.cli, indexer.engine.opening, indexer.tiers
from web.cli import main
sys.setprofile(count)
main()
"""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # whose processes take long to be killed so often
def test_a_repair_that_is_killed_at_any_call_and_run_again_ends_right(home: Home) -> None:
    before = home.shown()
    damages = (flip_payload, flip_tombstone, drop_key, join_strangers, forget_change, edit_count, add_stranger)
    calls, kills, ended = 1000, 0, False
    while not ended:
        for damage in (*damages, exchange_entry, drop_entries):
            damage(home)
        environment = {"LUMBUNG_HOME": str(home.path), "CALLS": str(calls), "PATH": ""}
        root = Path(__file__).resolve().parents[2]
        child = subprocess.run([sys.executable, "-c", _KILLED], check=False, env=environment, cwd=root, text=True)
        ended = child.returncode == 1
        assert ended or child.returncode == -signal.SIGKILL
        kills += not ended
        calls = int(calls * 1.7)
        home.check(repair=True)
        assert home.check() == Counter()
        assert home.shown() == before
    assert kills >= 5
    assert home.shown() == home.anew()


def test_a_repair_waits_for_whoever_writes_the_index(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_entries(home)
    before = home.anew()
    writer = EmbeddedEngine(home.path / "index")
    writer.write([], [], writer.watermark())  # which holds the lock from now on
    waited = threading.Event()

    def wait(_seconds: float) -> None:
        waited.set()
        writer.close()

    monkeypatch.setattr("indexer.build.sleep", wait)
    assert home.check(repair=True) == {("work-unindexed", True): 2}
    assert waited.is_set()
    assert home.shown() == before


def test_the_worker_checks_and_the_status_tells_what_it_found(home: Home) -> None:
    run = CliRunner()
    home.edit(update(members).values(next_run=4 * 10**9))
    assert run.invoke(lumbung, ["work", "--once", "--quiet"]).exit_code == 0
    line = run.invoke(status, []).output.splitlines()[-1]
    assert line.startswith("check:")
    assert line.endswith("nothing differs")
    flip_page(home)
    drop_entries(home)
    with home.catalogue.read() as connection:
        due = connection.execute(select(jobs.c.next_run).where(jobs.c.name == "check")).scalar_one()
    assert (due + 7 * 3600) % 86_400 == 90 * 60  # half past one at night, in Jakarta
    home.edit(update(jobs).where(jobs.c.name == "check").values(next_run=0))
    assert run.invoke(lumbung, ["work", "--once", "--quiet"]).exit_code == 0
    line = run.invoke(status, []).output.splitlines()[-1]
    assert line.endswith("1 page-damaged, 2 work-unindexed; `lumbung check` shows them")
    assert home.found() == {"page-damaged", "work-unindexed"}  # the worker mends nothing
    client = create_app(load_settings()).test_client()
    assert 'lumbung_job_failed{job="check"} 1.0' in client.get("/metrics").text
