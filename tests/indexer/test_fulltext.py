"""Files of records are found, fetched politely, kept once, and every failure has its reason."""

from __future__ import annotations

import json
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from click.testing import CliRunner
from fakes.files import PDF, FileSite, Thing, page, pdf
from fakes.raw import in_time
from filling import fill
from sqlalchemy import select, update

from harvester import guard
from harvester.archive import Archive, file_key, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.coverage import (
    count_coverage,
    count_states,
    count_texts,
    list_dead_pages,
    list_lost,
    list_missing,
)
from harvester.catalogue.files import (
    File,
    FullText,
    find_fulltexts,
    get_rungs,
    list_copies,
    list_files,
    list_unread,
    mark_damaged,
)
from harvester.catalogue.harvests import begin_harvest, finish_harvest, note_problem
from harvester.catalogue.leases import claim_host, release
from harvester.catalogue.links import seed_links
from harvester.catalogue.members import Member, add_member, find_member, get_member
from harvester.catalogue.overview import find_silent
from harvester.catalogue.records import iter_records
from harvester.catalogue.tables import fulltexts, leases, links, members, work_changes
from harvester.catalogue.takedowns import is_file_down
from harvester.fulltext.fixity import verify_files
from harvester.fulltext.keep import get_text, read_waiting, text_key
from harvester.fulltext.run import FullTexts, may_ask
from harvester.fulltext.states import REASONS, Outcome, after_attempt
from harvester.fulltext.takedown import find_target, lift_takedown, take_down
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.settings import Settings
from harvester.visit import Pace
from indexer.build import advance
from indexer.clues import clues_of
from indexer.engine.opening import open_engine
from indexer.tiers import TierCheck
from web.cli import lumbung

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"])  # where the database has no part in it
DAY = 86_400
NOW = 1_795_000_000  # 18 November 2026, 11:06 UTC
QUICK = Pace(pause=0.0, turn=20.0, connect=2.0, read=2.0)


class Clock:
    seconds = NOW

    def __call__(self) -> float:
        return self.seconds


class Scene:
    """A site, a catalogue, and members whose base URL is on that site."""

    def __init__(self, site: FileSite, catalogue: Catalogue, home: Path, clock: Clock) -> None:
        self.site = site
        self.catalogue = catalogue
        self.clock = clock
        self.archive: Archive = open_archive((home / "archive").as_uri())
        self.settings = Settings(home=home, allow_private=True, admin_email="pustaka@library.test", file_megabytes=1)
        self.context = HarvestContext(self.settings, catalogue, self.archive)
        self.finder = self.new_finder()

    def new_finder(self, pace: Pace = QUICK) -> FullTexts:
        return FullTexts(lambda record: clues_of(record, this_year=2026), pace)

    def put(self, slug: str, *records: dict[str, Sequence[str]] | None, host: str = "127.0.0.1") -> list[int]:
        """Records of the member with these values, and their numbers."""
        with self.catalogue.write() as connection:
            if not find_member(connection, slug):
                add_member(connection, Member(slug, slug, self.site.url(f"/{slug}/oai", host)), NOW)
        named = [(f"oai:{slug}:{n}", values and {"title": [f"T {n}"], **values}) for n, values in enumerate(records)]
        fill(self.catalogue, slug, named)
        return [record.number for record in iter_records(self.catalogue, [slug])]

    def fetch(self, *slugs: str) -> list[str]:
        """The state or reason of each record that was due."""
        told: list[str] = []
        self.finder.fetch_due(
            self.context, slugs, lambda attempt: told.append(attempt.after.reason or attempt.after.state)
        )
        return told

    def known(self, number: int) -> FullText:
        with self.catalogue.read() as connection:
            return find_fulltexts(connection, [number])[number]

    def files(self, number: int) -> tuple[File, ...]:
        with self.catalogue.read() as connection:
            return list_files(connection, [number]).get(number, ())

    def kept(self) -> dict[str, bytes]:
        return {key: self.archive.get(key) for key in self.archive.iter_keys("files/")}


@pytest.fixture
def site() -> Iterator[FileSite]:
    with FileSite() as running:
        yield running


@pytest.fixture
def scene(site: FileSite, catalogue_url: str, tmp_path: Path) -> Iterator[Scene]:
    clock = Clock()
    catalogue = open_catalogue(catalogue_url, clock)
    yield Scene(site, catalogue, tmp_path, clock)
    catalogue.close()


Make = Callable[[FileSite], dict[str, Sequence[str]]]


def of_eprints(site: FileSite) -> dict[str, Sequence[str]]:
    """Every file as identifier, the landing page in dc:relation."""
    names = ("2/BAB%20I.pdf", "1/Cover.pdf", "4/lampiran.zip", "3/DAFTAR%20PUSTAKA.pdf")
    site.things |= {f"/77/{name}": pdf(name) for name in names}
    return {"identifier": [site.url(f"/77/{name}") for name in names], "relation": [site.url("/77/")]}


def of_dspace(site: FileSite) -> dict[str, Sequence[str]]:
    """Only a handle page, with a citation's address and a linkset."""
    site.things["/handle/1/5"] = page('<meta name="citation_pdf_url" content="/bitstreams/0a-1/download">')
    site.things["/bitstreams/0a-1/download"] = pdf("dspace")
    return {"identifier": [site.url("/handle/1/5")]}


def of_ojs(site: FileSite) -> dict[str, Sequence[str]]:
    """A galley in dc:relation, whose `view` is a viewer."""
    site.things["/j/article/view/9/12"] = page("<iframe>")
    site.things["/j/article/download/9/12"] = pdf("ojs")
    return {"identifier": [site.url("/j/article/view/9")], "relation": [site.url("/j/article/view/9/12")]}


def of_slims(site: FileSite) -> dict[str, Sequence[str]]:
    """A page with a viewer's link, and a cover image in dc:relation."""
    site.things["/index.php?p=show_detail&id=7"] = page('<a data-href="index.php?p=fstream&amp;fid=3&amp;bid=7">x</a>')
    site.things["/index.php?p=fstream-pdf&fid=3&bid=7"] = pdf("slims")
    detail = site.url("/index.php?p=show_detail&id=7")
    return {"identifier": [detail], "relation": [site.url("/images/docs/cover.jpg")]}


def signposted(site: FileSite) -> dict[str, Sequence[str]]:
    """A page that only its header speaks for, by way of a linkset."""
    site.things["/p/1"] = page("a script makes this", Link='</p/1/ls>; rel="linkset"; type="application/linkset+json"')
    told = {"linkset": [{"anchor": "/p/1", "item": [{"href": site.url("/p/1/f"), "type": PDF}]}]}
    site.things["/p/1/ls"] = Thing(json.dumps(told).encode(), "application/linkset+json")
    site.things["/p/1/f"] = pdf("signposted")
    return {"identifier": [site.url("/p/1")]}


def with_ore(site: FileSite) -> dict[str, Sequence[str]]:
    """A page that is not there, of a member that gives `ore`."""
    site.things["/a/oai?verb=ListMetadataFormats"] = Thing(
        b"<r><metadataPrefix>oai_dc</metadataPrefix><metadataPrefix>ore</metadataPrefix></r>", "text/xml"
    )
    link = f'<link rel="http://www.openarchives.org/ore/terms/aggregates" href="{site.url("/b/a.pdf")}"/>'
    asked = "/a/oai?verb=GetRecord&metadataPrefix=ore&identifier=oai%3Aa%3A0"
    site.things |= {asked: Thing(f"<r>{link}</r>".encode(), "text/xml"), "/b/a.pdf": pdf("ore")}
    return {"identifier": [site.url("/gone")]}


@ON_SQLITE
@pytest.mark.parametrize(
    ("make", "rung", "names"),
    [
        (of_eprints, "metadata", ["/77/1/Cover.pdf", "/77/2/BAB%20I.pdf", "/77/3/DAFTAR%20PUSTAKA.pdf"]),
        (of_dspace, "citation", ["/bitstreams/0a-1/download"]),
        (of_ojs, "metadata", ["/j/article/download/9/12"]),
        (of_slims, "platform", ["/index.php?p=fstream-pdf&fid=3&bid=7"]),
        (signposted, "signposting", ["/p/1/f"]),
        (with_ore, "ore", ["/b/a.pdf"]),
    ],
)
def test_the_files_of_each_platform_are_found_kept_in_order_and_the_rung_is_counted(
    make: Make, rung: str, names: list[str], scene: Scene
) -> None:
    (number,) = scene.put("a", make(scene.site))
    assert scene.fetch() == ["held"]
    files = [file for file in scene.files(number) if file.state == "kept"]
    assert [file.url.removeprefix(scene.site.url("")) for file in files] == names
    assert [file.position for file in scene.files(number)] == sorted(file.position for file in scene.files(number))
    for file in files:
        assert scene.archive.get(file_key(str(file.sha256))).startswith(b"%PDF")
        assert (file.media_type, file.fetched_at, file.rung) == (PDF, NOW, rung)
    known = scene.known(number)
    assert (known.state, known.rung, known.strikes, known.checked_at) == ("held", rung, 0, NOW)
    assert 170 * DAY < known.next_check - NOW < 200 * DAY
    with scene.catalogue.read() as connection:
        assert get_rungs(connection, get_member(connection, "a"))[rung].found == 1
        assert connection.execute(select(work_changes.c.work_id)).scalars().all() == [number]
        assert len(list_unread(connection, 9)) == len({file.sha256 for file in files})
    assert list((scene.settings.home / "incoming").iterdir()) == []


@ON_SQLITE
def test_what_is_no_text_is_known_and_not_fetched(scene: Scene) -> None:
    (number,) = scene.put("a", of_eprints(scene.site))
    scene.fetch()
    (left,) = [file for file in scene.files(number) if file.state == "left"]
    assert (left.role, left.url.rpartition("/")[2]) == ("supplement", "lampiran.zip")
    assert not any("zip" in path for path in scene.site.paths())


def test_the_rung_that_worked_at_a_member_is_tried_first(scene: Scene) -> None:
    """A link in the metadata that is always dead is asked for no more once the page has helped a few times."""
    values = {"identifier": [scene.site.url("/handle/1/5"), scene.site.url("/dead.pdf")]}
    of_dspace(scene.site)
    scene.put("a", *[values] * 6)
    assert scene.fetch() == ["held"] * 6
    # The rungs are read anew for each visit.
    scene.put("a", *[values] * 6, *[{"identifier": [*values["identifier"], "x"]}] * 3)
    before = scene.site.paths().count("/dead.pdf")
    assert before == 6
    assert scene.fetch() == ["held"] * 3
    assert scene.site.paths().count("/dead.pdf") == before


LOGIN = page('<form><input name="u"><input type="password" name="p"></form>')


@ON_SQLITE
@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        (Thing(status=404), "not-found"),
        (Thing(status=410), "not-found"),
        (Thing(status=401), "login"),
        (Thing(status=403), "refused"),
        (Thing(status=500), "server-error"),
        (Thing(status=503), "busy"),
        (LOGIN, "login"),
        (replace(LOGIN, media_type=PDF), "login"),
        (page("<p>a page"), "not-a-file"),
        (Thing(), "empty"),
        (Thing(b"PK\x03\x04" + b"\0" * 99), "wrong-type"),
        (Thing(b"\xff\xd8\xff\xe0 a photograph"), "wrong-type"),
        (pdf("big", 1_100_000), "too-large"),
        (replace(pdf("big", 1_100_000), sized=False), "too-large"),
        (replace(pdf("broken", 5000), cuts=[100] * 9, tagged=False), "broken"),
        (Thing(status=302, headers={"Location": "http://elsewhere.example/x.pdf"}), "foreign-host"),
        (Thing(status=302, headers={"Location": "ftp://127.0.0.1/x.pdf"}), "not-a-web-link"),
        (Thing(status=302, headers={"Location": "/1.pdf"}), "not-a-web-link"),
        (Thing(status=302, headers={"Location": "http://[bad"}), "not-a-web-link"),
        (Thing(status=302, headers={"Location": "/\0.pdf"}), "not-a-web-link"),
        (Thing(status=302, headers={"Location": "http://elsewhere.example\\@127.0.0.1/x.pdf"}), "not-a-web-link"),
        (replace(pdf("a part nobody asked for", 5000), status=206, most=3000), "broken"),
    ],
)
def test_every_failure_has_its_reason_with_url_and_date(thing: Thing, reason: str, scene: Scene) -> None:
    scene.site.things["/1.pdf"] = thing
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == [reason]
    known = scene.known(number)
    assert (known.state, known.reason, known.checked_at, known.strikes) == ("missing", reason, NOW, 1)
    assert known.url == ("http://elsewhere.example/x.pdf" if reason == "foreign-host" else known.url)
    assert known.next_check == NOW + REASONS[reason].days * DAY
    assert scene.kept() == {}
    with scene.catalogue.read() as connection:
        member = get_member(connection, "a")
        assert count_coverage(connection, member).reasons == {reason: 1}
        (missing,) = list_missing(connection, member, 9, reason=reason)
        assert (missing.number, missing.url, missing.checked_at) == (number, known.url, NOW)
    assert scene.fetch() == []


@ON_SQLITE
def test_a_word_file_called_pdf_is_kept_as_what_it_is(scene: Scene) -> None:
    word = BytesIO()
    with ZipFile(word, "w") as package:
        for part in ("[Content_Types].xml", "word/document.xml"):
            package.writestr(part, "<x/>")
    scene.site.things["/1.pdf"] = Thing(word.getvalue())
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["held"]
    assert str(scene.files(number)[0].media_type).endswith("wordprocessingml.document")


@ON_SQLITE
def test_no_link_and_a_page_that_is_gone_are_told_apart(scene: Scene) -> None:
    scene.site.things["/p"] = page("nothing")
    first, second, third = scene.put(
        "a", {"identifier": [scene.site.url("/p")]}, {"identifier": [scene.site.url("/gone")]}, {}
    )
    assert scene.fetch() == ["no-link", "not-found", "no-link"]
    assert [scene.known(n).url for n in (first, second, third)] == [None, scene.site.url("/gone"), None]


@ON_SQLITE
def test_no_private_address_is_asked_neither_at_once_nor_by_redirect(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.site.things["/1.pdf"] = Thing(status=302, headers={"Location": scene.site.url("/2.pdf", "127.0.0.2")})
    scene.site.things["/2.pdf"] = pdf("secret")
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.settings = Settings(home=scene.settings.home, file_hosts="127.0.0.2")
    scene.context = HarvestContext(scene.settings, scene.catalogue, scene.archive)
    assert scene.fetch() == ["private-address"]
    assert scene.site.asked == []
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    scene.clock.seconds += 31 * DAY
    assert scene.fetch() == ["private-address"]
    assert {one.host for one in scene.site.asked} == {"127.0.0.1"}


@ON_SQLITE
def test_a_name_that_turns_private_between_two_requests_is_not_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is public for robots.txt, and our own machine's for the file: each connection is to the address that was
    looked at for it."""
    port = scene.site.url("").rpartition(":")[2]
    answers = iter(["127.0.0.1"] * 2)
    real = socket.getaddrinfo

    def resolve(host: str, *others: Any, **named: Any) -> Any:
        return real(next(answers, "127.0.0.3") if host == "rebinding.example" else host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    scene.site.things["/1.pdf"] = replace(pdf("secret"), headers={"Connection": "close"})
    scene.site.things["/robots.txt"] = Thing(b"", "text/plain", headers={"Connection": "close"})
    url = f"http://rebinding.example:{port}/1.pdf"
    scene.put("a", {"identifier": [url]})
    with scene.catalogue.write() as connection:
        connection.execute(update(members).values(base_url=url, host="rebinding.example"))
    scene.settings = Settings(home=scene.settings.home)
    scene.context = HarvestContext(scene.settings, scene.catalogue, scene.archive)
    assert scene.fetch() == ["private-address"]
    assert scene.kept() == {}
    assert "/1.pdf" not in scene.site.paths()


@ON_SQLITE
def test_robots_txt_of_the_host_is_honoured_with_wildcards_and_its_delay(scene: Scene) -> None:
    rules = b"User-agent: *\nCrawl-delay: 0.3\nDisallow: /closed/*.pdf$\nAllow: /closed/a.pdf$\n"
    scene.site.things |= {
        "/robots.txt": Thing(rules, "text/plain"),
        **{f"/{name}.pdf": pdf(name) for name in ("closed/a", "closed/b", "c")},
    }
    scene.put("a", *({"identifier": [scene.site.url(f"/{name}.pdf")]} for name in ("closed/a", "closed/b", "c")))
    assert scene.fetch() == ["held", "robots", "held"]
    assert scene.site.paths() == ["/closed/a.pdf", "/c.pdf"]
    of_files = [one for one in scene.site.asked if one.path.endswith("pdf")]
    assert all(after.began - one.began >= 0.25 for one, after in pairwise(of_files))


def test_one_thing_at_a_time_is_asked_of_a_host_and_hosts_are_asked_side_by_side(scene: Scene) -> None:
    for n in range(1, 5):
        host = f"127.0.0.{n}"
        scene.site.things |= {f"/{n}{m}.pdf": pdf(f"{n}{m}") for m in range(4)}
        scene.put(f"m{n}", *({"identifier": [scene.site.url(f"/{n}{m}.pdf", host)]} for m in range(4)), host=host)
    scene.finder = scene.new_finder(replace(QUICK, pause=0.1, at_home=0.1))
    assert scene.fetch() == ["held"] * 16
    for n in range(1, 5):
        mine = sorted(one for one in scene.site.asked if one.host == f"127.0.0.{n}")
        mine.sort(key=lambda one: one.began)
        assert len(mine) == 6  # with robots.txt and the list of formats
        assert all(after.began - one.began >= 0.07 for one, after in pairwise(mine))
    spans = [[one.began for one in scene.site.asked if one.host == f"127.0.0.{n}"] for n in range(1, 5)]
    assert max(map(min, spans)) < min(map(max, spans))  # each host was begun with before another one was done with


def test_a_host_that_somebody_asks_is_left_alone_and_its_records_stay_due(scene: Scene) -> None:
    scene.site.things["/1.pdf"] = pdf("x")
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    other = new_owner()
    with scene.catalogue.write() as connection:
        assert claim_host(connection, other, "127.0.0.1", NOW, 10**6) is None
    assert scene.fetch() == []
    assert scene.known(number).next_check == NOW
    assert scene.site.asked == []
    with scene.catalogue.write() as connection:
        release(connection, other, "127.0.0.1")
    assert scene.fetch() == ["held"]
    with scene.catalogue.read() as connection:
        assert connection.execute(select(leases)).all() == []


@ON_SQLITE
def test_a_file_on_another_host_that_is_busy_holds_nobody_up(scene: Scene) -> None:
    scene.settings = scene.settings.model_copy(update={"file_hosts": "127.0.0.9"})
    scene.context = HarvestContext(scene.settings, scene.catalogue, scene.archive)
    scene.site.things |= {"/1.pdf": pdf("x"), "/2.pdf": pdf("y")}
    first, _ = scene.put(
        "a", {"identifier": [scene.site.url("/1.pdf", "127.0.0.9")]}, {"identifier": [scene.site.url("/2.pdf")]}
    )
    with scene.catalogue.write() as connection:
        assert claim_host(connection, new_owner(), "127.0.0.9", NOW, 10**6) is None
    assert scene.fetch() == ["held"]
    assert (scene.known(first).state, scene.known(first).next_check) == ("due", NOW + 3600)


@ON_SQLITE
def test_a_long_crawl_delay_is_kept_to_and_bounded_by_the_turn(scene: Scene) -> None:
    rules = Thing(b"User-agent: *\nCrawl-delay: 9000\n", "text/plain")
    scene.site.things |= {"/robots.txt": rules, "/1.pdf": pdf("x"), "/2.pdf": pdf("y")}
    scene.put("a", *({"identifier": [scene.site.url(path)]} for path in ("/1.pdf", "/2.pdf")))
    assert scene.fetch() == ["held"]
    assert scene.fetch() == []
    scene.finder = scene.new_finder(replace(QUICK, longest=0.2))
    assert scene.fetch() == ["held"]


@ON_SQLITE
def test_a_broken_download_goes_on_where_it_broke_off_and_in_a_later_process_too(scene: Scene) -> None:
    whole = pdf("long", 500_000)
    scene.site.things["/1.pdf"] = replace(whole, cuts=[100_000] * 4)
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["broken"]
    scene.finder = scene.new_finder()
    scene.clock.seconds += DAY
    assert scene.fetch() == ["held"]
    assert list(scene.kept().values()) == [whole.body]
    asked = [one for one in scene.site.asked if one.path == "/1.pdf"]
    assert [one.range for one in asked] == [None, *(f"bytes={n}00000-" for n in range(1, 5))]
    assert all(one.condition == whole.etag for one in asked[1:])
    assert scene.files(number)[0].attempts == 0


@ON_SQLITE
def test_a_part_of_another_file_is_not_put_behind_what_came(scene: Scene) -> None:
    thing = replace(pdf("long", 5000), cuts=[1000], tag='"another"')
    scene.site.things["/1.pdf"] = thing
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["held"]
    assert [one.range for one in scene.site.asked if one.path == "/1.pdf"] == [None, "bytes=1000-", None]
    assert list(scene.kept().values()) == [thing.body]


@ON_SQLITE
def test_a_part_that_holds_less_than_was_missing_is_not_the_end(scene: Scene) -> None:
    thing = replace(pdf("long", 5000), cuts=[1000], most=50)
    scene.site.things["/1.pdf"] = thing
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["broken"]
    assert scene.kept() == {}
    thing.most = None
    scene.clock.seconds += DAY
    assert scene.fetch() == ["held"]
    assert scene.site.asked[-1].range == "bytes=1100-"
    assert list(scene.kept().values()) == [thing.body]


@ON_SQLITE
def test_a_body_that_comes_too_slowly_is_left_at_once_and_gone_on_with_another_day(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = pdf("long", 900_000)
    scene.site.things["/1.pdf"] = thing
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    with monkeypatch.context() as patch:
        patch.setattr("harvester.fulltext.fetch._PATIENCE", -1.0)
        patch.setattr("harvester.fulltext.fetch._SLOWEST", 10**15)
        assert scene.fetch() == ["broken"]
    assert scene.site.paths() == ["/1.pdf"]
    scene.clock.seconds += DAY
    assert scene.fetch() == ["held"]
    assert scene.site.asked[-1].range is not None
    assert list(scene.kept().values()) == [thing.body]


@ON_SQLITE
def test_a_packed_body_that_unpacks_to_nothing_is_left(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harvester.fulltext.fetch._PATIENCE", 0.2)
    packer = zlib.compressobj(wbits=31)
    begin = packer.compress(b"%PDF-1.4") + packer.flush(zlib.Z_SYNC_FLUSH)
    empty = Thing(begin, headers={"Content-Encoding": "gzip"}, tagged=False, sized=False, drops=b"\0\0\0\xff\xff")
    scene.site.things |= {"/1.pdf": empty, "/2": replace(empty, media_type="text/html")}
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]}, {"identifier": [scene.site.url("/2")]})
    with in_time():
        assert scene.fetch() == ["broken", "no-link"]
    assert scene.kept() == {}


@pytest.mark.parametrize(
    "headers", [{"ETag": "\N{NO-BREAK SPACE}x"}, {"ETag": '"x\0"'}, {"Last-Modified": "\0"}, {"Content-Length": "\xb2"}]
)
def test_headers_that_nobody_could_send_back_do_no_harm(scene: Scene, headers: dict[str, str]) -> None:
    scene.site.things["/1.pdf"] = replace(pdf("x"), tagged=False, sized=False, headers=headers)
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["held"]
    scene.clock.seconds += 400 * DAY
    assert scene.fetch() == ["held"]


@ON_SQLITE
def test_redirects_without_end_do_not_count_against_their_host(scene: Scene) -> None:
    scene.site.things |= {f"/{n}.pdf": Thing(status=302, headers={"Location": f"/{n}.pdf"}) for n in range(3)}
    scene.site.things["/3.pdf"] = pdf("x")
    scene.put("a", *({"identifier": [scene.site.url(f"/{n}.pdf")]} for n in range(4)))
    assert scene.fetch() == ["not-a-web-link"] * 3 + ["held"]


@ON_SQLITE
def test_a_stop_in_mid_download_leaves_the_record_due_and_the_next_run_goes_on(scene: Scene) -> None:
    thing = pdf("long", 900_000)
    scene.site.things["/1.pdf"] = replace(thing, at_half=scene.context.stop.set)
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == []
    assert scene.known(number).state == "due"
    scene.context.stop.clear()
    assert scene.fetch() == ["held"]
    first, second = [one.range for one in scene.site.asked if one.path == "/1.pdf"]
    assert first is None
    assert second is not None
    assert list(scene.kept().values()) == [thing.body]


@ON_SQLITE
def test_a_file_that_changed_after_it_broke_off_is_fetched_whole(scene: Scene) -> None:
    thing = replace(pdf("first", 5000), cuts=[1000] * 3)
    scene.site.things["/1.pdf"] = thing
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    assert scene.fetch() == ["broken"]
    thing.body = pdf("second", 900).body
    scene.clock.seconds += DAY
    assert scene.fetch() == ["held"]
    assert list(scene.kept().values()) == [thing.body]


def test_a_file_that_is_known_is_asked_for_by_condition_and_one_that_changed_is_kept_beside_it(scene: Scene) -> None:
    thing = pdf("one")
    scene.site.things["/1.pdf"] = thing
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    first = scene.files(number)[0]
    scene.clock.seconds = scene.known(number).next_check
    assert scene.fetch() == ["held"]
    assert scene.site.asked[-1].condition == thing.etag
    assert scene.files(number) == (replace(first, last_checked=scene.clock.seconds),)
    thing.body = pdf("two").body
    scene.clock.seconds = scene.known(number).next_check
    assert scene.fetch() == ["held"]
    (file,) = scene.files(number)
    assert (file.sha256 != first.sha256, file.fetched_at) == (True, scene.clock.seconds)
    assert len(scene.kept()) == 2


def test_three_strikes_make_the_pauses_longer_and_recovery_restores(scene: Scene) -> None:
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.site.things["/1.pdf"] = Thing(status=500)
    for strike in (1, 2, 3):
        assert scene.fetch() == ["server-error"]
        known = scene.known(number)
        assert (known.strikes, known.since) == (strike, NOW)
        assert known.next_check - scene.clock.seconds == REASONS["server-error"][2 if strike == 3 else 1] * DAY
        scene.clock.seconds = known.next_check
    scene.site.things["/1.pdf"] = pdf("back")
    assert scene.fetch() == ["held"]
    known = scene.known(number)
    assert (known.strikes, known.reason, known.since) == (0, None, None)
    # What is held stays held while its source is away, and says so.
    scene.site.things["/1.pdf"] = Thing(status=404)
    scene.clock.seconds = known.next_check
    assert scene.fetch() == ["not-found"]
    known = scene.known(number)
    assert (known.state, known.reason, known.since) == ("held", "not-found", scene.clock.seconds)
    (file,) = scene.files(number)
    assert (file.state, file.reason, file.attempts) == ("kept", "not-found", 1)
    scene.site.things["/1.pdf"] = pdf("back")
    scene.clock.seconds = known.next_check
    assert scene.fetch() == ["held"]
    assert scene.files(number)[0].reason is None


def test_strikes_of_one_day_count_once() -> None:
    known = FullText(1)
    for hour in range(3):
        known = after_attempt(known, Outcome("missing", "busy", "u"), NOW + hour, 180)
    assert known.strikes == 1


@ON_SQLITE
def test_a_host_that_is_down_is_asked_three_times_and_then_rests(scene: Scene) -> None:
    scene.site.things |= {f"/{n}.pdf": Thing(status=500) for n in range(9)}
    scene.put("a", *({"identifier": [scene.site.url(f"/{n}.pdf")]} for n in range(9)))
    assert scene.fetch() == ["server-error"] * 3
    assert scene.fetch() == []


def test_of_several_files_those_that_failed_are_tried_again_before_long(scene: Scene) -> None:
    (number,) = scene.put("a", of_eprints(scene.site))
    scene.site.things["/77/2/BAB%20I.pdf"] = Thing(status=500)
    assert scene.fetch() == ["held"]
    assert scene.known(number).next_check == NOW + DAY
    scene.site.things["/77/2/BAB%20I.pdf"] = pdf("chapter")
    scene.clock.seconds += DAY
    assert scene.fetch() == ["held"]
    assert [file.state for file in scene.files(number)] == ["kept", "kept", "kept", "left"]
    assert scene.known(number).next_check > scene.clock.seconds + 100 * DAY


@ON_SQLITE
@pytest.mark.parametrize(
    ("rights", "reason", "due"),
    [
        (["info:eu-repo/semantics/restrictedAccess"], "restricted", NOW + 180 * DAY),
        (["info:eu-repo/semantics/closedAccess"], "restricted", NOW + 180 * DAY),
        (["info:eu-repo/semantics/embargoedAccess"], "embargoed", NOW + 30 * DAY),
        (["info:eu-repo/date/embargoEnd/2027-03-01"], "embargoed", 1_803_859_200),
        (["info:eu-repo/semantics/embargoedAccess", "info:eu-repo/date/embargoEnd/2020-03-01"], None, None),
        (["info:eu-repo/semantics/openAccess"], None, None),
    ],
)
def test_rights_come_first(rights: list[str], reason: str | None, due: int | None, scene: Scene) -> None:
    scene.site.things["/1.pdf"] = pdf("x")
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")], "rights": rights})
    assert scene.fetch() == [reason or "held"]
    if reason:
        assert scene.site.paths() == []
        assert (scene.known(number).state, scene.known(number).next_check) == ("withheld", due)


def test_a_member_that_wants_no_full_text_is_not_asked_and_deleted_records_neither(scene: Scene) -> None:
    scene.site.things["/1.pdf"] = pdf("x")
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    with scene.catalogue.write() as connection:
        connection.execute(update(members).values(fulltext=False))
    assert scene.fetch() == []
    with scene.catalogue.write() as connection:
        assert count_coverage(connection, get_member(connection, "a")).reasons == {"no-fulltext": 1}
        connection.execute(update(members).values(fulltext=True))
    scene.put("a", None)
    assert scene.fetch() == ["deleted"]
    assert scene.site.paths() == []


def test_a_record_that_changed_is_asked_for_again_only_if_its_links_did(scene: Scene) -> None:
    scene.site.things |= {"/1.pdf": pdf("x"), "/2.pdf": pdf("y")}
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    known, asked = scene.known(number), len(scene.site.asked)
    scene.clock.seconds += DAY
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")], "description": ["another abstract"]})
    assert scene.fetch() == ["held"]
    assert (scene.known(number), len(scene.site.asked)) == (known, asked)
    scene.clock.seconds += DAY
    scene.put("a", {"identifier": [scene.site.url("/2.pdf")]})
    assert scene.fetch() == ["held"]
    assert [(file.url[-5:], file.state) for file in scene.files(number)] == [("2.pdf", "kept"), ("1.pdf", "gone")]


def test_the_same_file_of_two_members_is_one_object(scene: Scene) -> None:
    for n, slug in ((1, "a"), (2, "b")):
        scene.site.things[f"/{slug}.pdf"] = pdf("the same")
        scene.put(slug, {"identifier": [scene.site.url(f"/{slug}.pdf", f"127.0.0.{n}")]}, host=f"127.0.0.{n}")
    assert scene.fetch() == ["held", "held"]
    assert len(scene.kept()) == 1
    with scene.catalogue.read() as connection:
        assert len(list_unread(connection, 9)) == 1


def test_a_record_that_is_taken_down_is_not_asked_for_until_that_is_lifted(scene: Scene) -> None:
    scene.site.things["/1.pdf"] = pdf("x")
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    asked = len(scene.site.asked)
    with scene.catalogue.write() as connection:
        assert take_down(connection, number, None, "the author asks", NOW)
        assert not take_down(connection, number, None, "again", NOW)
        sha256 = list_files(connection, [number])[number][0].sha256
        assert sha256 is not None
        assert is_file_down(connection, sha256, number)
        assert list_copies(connection, [number]) == {}
    assert scene.known(number).state == "withheld"
    scene.clock.seconds += 400 * DAY
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")], "description": ["more"]})
    assert scene.fetch() == ["taken-down"]
    assert len(scene.site.asked) == asked
    (record,) = iter_records(scene.catalogue)
    assert record.deleted  # whatever its member sends
    with closing(open_engine(scene.settings)) as engine:
        advance(scene.catalogue, engine)
        assert engine.count() == 0
        differ = [one.kind for one in TierCheck(scene.catalogue, scene.archive, engine).iter_differences()]
    assert "state-wrong" not in differ
    with scene.catalogue.write() as connection:
        assert lift_takedown(connection, number, None, "it may be shown", scene.clock.seconds)
        assert not is_file_down(connection, sha256, number)
        assert len(list_copies(connection, [number])[number]) == 1  # before anything is fetched
    known, thing = scene.known(number), scene.site.things["/1.pdf"]
    assert (known.state, known.reason, known.rung) == ("held", None, "metadata")
    scene.site.things["/1.pdf"] = Thing(status=500)
    assert scene.fetch() == ["server-error"]
    with scene.catalogue.read() as connection:
        assert len(list_copies(connection, [number])[number]) == 1
    scene.site.things["/1.pdf"] = thing
    scene.clock.seconds += 2 * DAY
    assert scene.fetch() == ["held"]
    (record,) = iter_records(scene.catalogue)
    assert not record.deleted
    with scene.catalogue.read() as connection:
        counts = connection.execute(select(members.c.live, members.c.tombstones)).one()
        assert tuple(counts) == (1, 0)


def test_a_file_that_is_taken_down_does_not_come_back_from_another_member(scene: Scene) -> None:
    scene.site.things |= {"/1.pdf": pdf("x"), "/2.pdf": pdf("x")}
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    with scene.catalogue.write() as connection:
        assert len(list_copies(connection, [number])) == 1
        take_down(connection, None, scene.files(number)[0].sha256, "a court says so", NOW)
        assert list_copies(connection, [number]) == {}
    (other,) = scene.put("b", {"identifier": [scene.site.url("/2.pdf")]})
    assert scene.fetch() == ["taken-down"]
    with scene.catalogue.write() as connection:
        assert list_copies(connection, [other]) == {}
        lift_takedown(connection, None, scene.files(number)[0].sha256, "settled", NOW)
    assert scene.fetch() == ["held", "held"]


def test_from_where_a_file_was_taken_down_no_other_comes_until_that_is_lifted(scene: Scene) -> None:
    scene.site.things |= {"/1.pdf": Thing(status=302, headers={"Location": "/real.pdf"}), "/real.pdf": pdf("x")}
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    with scene.catalogue.write() as connection:
        sha256 = scene.files(number)[0].sha256
        take_down(connection, None, sha256, "a court says so", NOW)
    scene.site.things |= {"/real.pdf": pdf("x stamped"), "/2.pdf": scene.site.things["/1.pdf"]}
    asked = scene.site.paths().count("/1.pdf")
    for path in ("/1.pdf", "/2.pdf", "/real.pdf"):  # the same, another that leads there, and where it led
        scene.clock.seconds += 4000 * DAY
        scene.put("a", {"identifier": [scene.site.url(path)]})
        assert scene.fetch() == ["taken-down"]
        with scene.catalogue.read() as connection:
            assert list_copies(connection, [number]) == {}
    assert scene.site.paths().count("/1.pdf") == asked
    assert len(scene.kept()) == 1
    with scene.catalogue.write() as connection:
        mark_damaged(connection, str(sha256), NOW)  # what is lost bars as before
    assert scene.fetch() == ["taken-down"]
    with scene.catalogue.write() as connection:
        target = find_target(connection, str(sha256))
        assert target is not None
        assert lift_takedown(connection, None, target.sha256, "settled", scene.clock.seconds)
    assert scene.fetch() == ["held"]
    with scene.catalogue.read() as connection:
        (copy,) = list_copies(connection, [number])[number]
    assert copy.sha256 != sha256


def test_a_file_that_is_taken_down_while_the_next_one_comes_is_not_replaced(scene: Scene) -> None:
    thing = scene.site.things["/1.pdf"] = pdf("x")
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    sha256 = scene.files(number)[0].sha256

    def take_it_down() -> None:
        with scene.catalogue.write() as connection:
            take_down(connection, None, sha256, "a court says so", NOW)

    scene.site.things["/1.pdf"] = replace(thing, body=pdf("x stamped").body, at_half=take_it_down)
    scene.clock.seconds += 4000 * DAY
    assert scene.fetch() == ["taken-down"]
    assert scene.files(number)[0].sha256 == sha256
    with scene.catalogue.write() as connection:
        assert list_copies(connection, [number]) == {}
        lift_takedown(connection, None, sha256, "settled", NOW)
        assert len(list_copies(connection, [number])[number]) == 1


def test_a_damaged_file_is_found_and_fetched_again(scene: Scene) -> None:
    things = {"/1.pdf": pdf("one"), "/2.pdf": pdf("two"), "/3.pdf": pdf("three")}
    scene.site.things |= things
    numbers = scene.put("a", *({"identifier": [scene.site.url(path)]} for path in things))
    scene.fetch()
    paths = [scene.settings.home / "archive" / file_key(str(scene.files(n)[0].sha256)) for n in numbers]
    paths[0].write_bytes(b"%PDF damaged")
    paths[1].unlink()
    scene.clock.seconds += DAY
    checked = list(verify_files(scene.context, 0))
    assert sorted(one.whole for one in checked) == [False, False, True]
    assert list(verify_files(scene.context, 1)) == []
    assert scene.fetch() == ["held", "held"]
    assert sorted(scene.kept().values()) == sorted(thing.body for thing in things.values())
    assert [one.whole for one in verify_files(scene.context, 0)] == [True] * 3


def test_a_damaged_text_is_found_and_read_again(scene: Scene) -> None:
    paths = [f"/{n}.pdf" for n in range(4)]
    scene.site.things |= {path: pdf(f"the words of {path}") for path in paths}
    numbers = scene.put("a", *({"identifier": [scene.site.url(path)]} for path in paths))
    scene.fetch()
    assert read_waiting(scene.context, _Words()) == 4
    texts = [scene.settings.home / "archive" / text_key(str(scene.files(n)[0].sha256)) for n in numbers]
    texts[0].write_bytes(texts[0].read_bytes()[:-3])
    texts[1].unlink()
    scene.clock.seconds += DAY
    checked = [(one.key, one.whole) for one in verify_files(scene.context, 0)]
    assert {key for key, whole in checked if not whole} == {f"texts/{text.name}" for text in texts[:2]}
    assert read_waiting(scene.context, _Words()) == 2
    assert get_text(scene.archive, str(scene.files(numbers[0])[0].sha256)) == "the words of /0.pdf"
    assert all(one.whole for one in verify_files(scene.context, 0))
    assert scene.fetch() == []


def test_only_the_members_own_hosts_and_allowed_ones_are_asked() -> None:
    may = may_ask(Member("a", "A", "https://www.undip.ac.id/oai"), "files.example, cdn.example:")
    asked = ("undip.ac.id", "eprints.undip.ac.id", "www.undip.ac.id", "files.example", "a.files.example")
    assert [host for host in asked if not may(host)] == []
    assert [host for host in ("ac.id", "evilundip.ac.id", "x.example", "", "undip.ac.id.evil.org") if may(host)] == []
    assert not may_ask(Member("a", "A", "https://oai.ac.id/oai"), "")("ui.ac.id")
    assert not may_ask(Member("a", "A", "http://localhost/oai"), "")("x.localhost")


class _Words:
    """A reader that takes the second line."""

    state, language, page_starts = "text", "id", (0, 3)

    def __init__(self) -> None:
        self.text = ""

    def read(self, path: Path, media_type: str = "") -> _Words:
        assert media_type == PDF
        self.text = path.read_text().splitlines()[1]
        return self

    def close(self) -> None: ...


def test_kept_files_are_read_once_and_their_works_are_shown_anew(scene: Scene) -> None:
    scene.site.things["/1.pdf"] = pdf("the words of it")
    (number,) = scene.put("a", {"identifier": [scene.site.url("/1.pdf")]})
    scene.fetch()
    with scene.catalogue.read() as connection:
        before = connection.execute(select(work_changes.c.change)).scalar_one()
        assert count_coverage(connection, get_member(connection, "a")).reasons == {"unread": 1}
    assert read_waiting(scene.context, _Words()) == 1
    assert read_waiting(scene.context, _Words()) == 0
    assert get_text(scene.archive, str(scene.files(number)[0].sha256)) == "the words of it"
    with scene.catalogue.read() as connection:
        ((copy,),) = list_copies(connection, [number]).values()
        assert (copy.text, copy.language, copy.page_starts, copy.url) == (
            "text",
            "id",
            (0, 3),
            scene.site.url("/1.pdf"),
        )
        assert connection.execute(select(work_changes.c.change)).scalar_one() > before
        coverage = count_coverage(connection, get_member(connection, "a"))
        assert (coverage.live, coverage.held, coverage.read, coverage.reasons) == (1, 1, 1, {})


def test_what_is_told_of_a_member_is_what_both_databases_say(scene: Scene) -> None:
    scene.site.things |= {"/1.pdf": pdf("one"), "/2.pdf": page("no file")}
    held, login, _ = scene.put("a", *({"identifier": [scene.site.url(f"/{n}.pdf")]} for n in (1, 2, 3)))
    scene.fetch()
    with scene.catalogue.write() as connection:
        seed_links(connection, NOW, 90)
        lost = {"strikes": 3, "reason": "not-found", "since": NOW - DAY}
        connection.execute(update(fulltexts).where(fulltexts.c.record_id == held).values(**lost))
        dead = update(links).where(links.c.record_id == login)
        connection.execute(dead.values(url="http://x.test/", checked_at=NOW, **lost))
        member = get_member(connection, "a")
        run = begin_harvest(connection, member, NOW)
        finish_harvest(connection, run, outcome="failed", error="x", requests=1, size=0, now=NOW + 9)
        note_problem(connection, run, "unreachable", "x")
    with scene.catalogue.read() as connection:
        assert [each.reason for each in list_missing(connection, member, 9)] == ["unread", "not-a-file", "not-found"]
        assert [each.number for each in list_missing(connection, member, 9, after=held, reason="not-a-file")] == [login]
        assert [(each.number, each.since) for each in list_lost(connection, member, 9)] == [(held, NOW - DAY)]
        assert [(each.number, each.url) for each in list_dead_pages(connection, member, 9)] == [
            (login, "http://x.test/")
        ]
        assert count_states(connection) == {"a": {"held": 1, "missing": 2}}
        assert count_texts(connection) == {"unread": 1}
        assert find_silent(connection, ["a", "b"]) == {"a": NOW}


@pytest.fixture
def run(scene: Scene, catalogue_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    for name, value in (("HOME", scene.settings.home), ("CATALOGUE", catalogue_url), ("ALLOW_PRIVATE", "1")):
        monkeypatch.setenv(f"LUMBUNG_{name}", str(value))
    monkeypatch.setattr("harvester.fulltext.run.USUAL", QUICK)
    return lambda *arguments: CliRunner().invoke(lumbung, arguments)


def test_the_commands_fetch_verify_and_take_down(scene: Scene, run: Callable[..., Any]) -> None:
    scene.site.things["/1.pdf"] = pdf("x")
    scene.put("a", {"identifier": [scene.site.url("/1.pdf")]}, {"identifier": [scene.site.url("/2.pdf")]})
    done = run("fulltext", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == {"member": "a", "looked": 2, "held": 1, "rungs": {"metadata": 1}, "reasons": {"not-found": 1}}
    assert "no record is due" in run("fulltext").output
    assert json.loads(run("archive", "verify", "--no-pages", "--json").stdout)["files"] == 1
    first = next(iter_records(scene.catalogue))
    assert run("takedown", first.id).exit_code != 0  # it wants to know why
    assert run("takedown", first.id, "--note", "asked for").exit_code == 0
    assert run("takedown", first.id, "--note", "asked for").exit_code == 1
    (listed,) = [json.loads(line) for line in run("takedown", "--json").stdout.splitlines()]
    assert (listed["record_id"], listed["note"], listed["lifted_at"]) == (first.id, "asked for", None)
    assert run("takedown", first.id, "--lift", "--note", "settled").exit_code == 0
    assert "lifted" in run("takedown").stdout
    path = next((scene.settings.home / "archive" / "files").rglob("*/*"))
    path.write_bytes(b"%PDF damaged")
    damaged = run("archive", "verify", "--no-pages", "--json")
    assert damaged.exit_code == 1
    assert json.loads(damaged.stdout.splitlines()[0])["kind"] == "file-damaged"


def test_every_reason_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in text] == []
