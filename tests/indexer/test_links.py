"""Landing links are checked again, politely, and are dead only after three days without an answer."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fakes.site import Says, Site
from filling import fill
from sqlalchemy import select, update

from harvester import guard
from harvester.archive import open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.leases import claim_host
from harvester.catalogue.links import (
    Link,
    after_check,
    find_link_report,
    hasten_links,
    list_dead,
    seed_links,
)
from harvester.catalogue.members import get_member
from harvester.catalogue.tables import links, members
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.settings import Settings
from harvester.visit import Pace
from indexer.links import LinkChecker, report_links
from web.cli import lumbung

DAY = 86_400
NOW = 1_795_000_000  # 18 November 2026, 11:06 UTC
QUICK = Pace(pause=0.0, turn=20.0, connect=2.0, read=2.0)


class Clock:
    seconds = NOW

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue(catalogue_url: str, clock: Clock) -> Iterator[Catalogue]:
    opened = open_catalogue(catalogue_url, clock)
    yield opened
    opened.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path, catalogue: Catalogue) -> HarvestContext:
    settings = Settings(home=tmp_path, allow_private=True, admin_email="pustaka@library.test")
    return HarvestContext(settings, catalogue, open_archive((tmp_path / "archive").as_uri()))


Put = Callable[..., None]


@pytest.fixture
def put(catalogue: Catalogue) -> Put:
    """Records of a member with these addresses, whose links are all due."""

    def put(slug: str, *urls: str) -> None:
        fill(
            catalogue, slug, [(f"oai:{slug}:{n}", {"title": [f"T {n}"], "identifier": [u]}) for n, u in enumerate(urls)]
        )
        with catalogue.write() as connection:
            seed_links(connection, catalogue.now(), 90)
            connection.execute(update(links).values(next_check=catalogue.now()))

    return put


def rows(catalogue: Catalogue) -> list[Any]:
    with catalogue.read() as connection:
        return list(connection.execute(select(links).order_by(links.c.record_id)))


def check(context: HarvestContext, pace: Pace = QUICK) -> list[str]:
    return [one.outcome for one in LinkChecker(pace).check_due(context)]


def test_a_link_dies_by_three_days_without_an_answer_and_one_answer_restores_it(
    context: HarvestContext, catalogue: Catalogue, clock: Clock, site: Site, put: Put
) -> None:
    put("a", site.url("/1"))
    for day in range(3):
        assert check(context) == ["not-found"]
        (row,) = rows(catalogue)
        assert (row.strikes, row.reason, row.since, row.next_check) == (
            day + 1, "not-found", NOW, clock.seconds + (1 if day < 2 else 7) * DAY,
        )  # fmt: skip
        assert check(context) == []  # the same day, nothing is due
        with catalogue.read() as connection:
            assert len(list_dead(connection, 1, 9)) == (day == 2)
        clock.seconds += DAY
    site.pages["/1"] = Says()
    clock.seconds += 6 * DAY
    assert check(context) == ["alive"]
    (row,) = rows(catalogue)
    assert (row.strikes, row.reason, row.since, row.turned_at) == (0, None, None, clock.seconds)
    assert row.next_check == clock.seconds + 90 * DAY
    assert site.paths() == ["/1"] * 4


def test_strikes_of_one_day_count_once_and_a_success_between_starts_anew() -> None:
    morning = NOW // DAY * DAY
    link = after_check(Link(1, "u"), "u", "unreachable", morning, 90)
    for hour in range(1, 24):
        link = after_check(link, "u", "unreachable", morning + hour * 3600, 90)
    assert (link.strikes, link.since) == (1, morning)
    link = after_check(link, "u", "refused", morning + DAY, 90)
    assert (link.strikes, link.reason) == (2, "refused")
    link = after_check(link, "u", "alive", morning + 2 * DAY, 90)
    link = after_check(link, "u", "refused", morning + 3 * DAY, 90)
    assert (link.strikes, link.since, link.turned_at) == (1, morning + 3 * DAY, None)


def test_another_address_starts_anew_and_what_may_not_be_asked_counts_for_nothing() -> None:
    dead = Link(1, "u", NOW, NOW, 3, "not-found", NOW - 9, NOW)
    assert after_check(dead, "v", "refused", NOW + DAY, 90) == Link(
        1, "v", NOW + DAY, NOW + 2 * DAY, 1, "refused", NOW + DAY
    )
    assert after_check(dead, "u", "unknown", NOW + DAY, 90) == Link(1, "u", next_check=NOW + 91 * DAY)


@pytest.mark.parametrize(
    ("says", "outcome", "methods"),
    [
        (Says(), "alive", ["HEAD"]),
        (Says(304), "alive", ["HEAD"]),
        (Says(404), "not-found", ["HEAD"]),
        (Says(410), "not-found", ["HEAD"]),
        (Says(200, head=405), "alive", ["HEAD", "GET"]),
        (Says(200, head=501), "alive", ["HEAD", "GET"]),
        (Says(200, head=403), "alive", ["HEAD", "GET"]),
        (Says(403), "refused", ["HEAD", "GET"]),
        (Says(401), "refused", ["HEAD", "GET"]),
        (Says(500), "server-error", ["HEAD", "GET"]),
        (Says(503), "server-error", ["HEAD"]),
        (Says(302, headers={"Location": "/good"}), "alive", ["HEAD", "HEAD"]),
        (Says(302, headers={"Location": "/bad"}), "not-found", ["HEAD", "HEAD"]),
        (Says(302, headers={"Location": "ftp://x.example/1"}), "not-a-web-link", ["HEAD"]),
        (Says(302, headers={"Location": "http://[::1/"}), "not-a-web-link", ["HEAD"]),
        (Says(302, headers={"Location": "http://x.example\\@127.0.0.1/1"}), "not-a-web-link", ["HEAD"]),
        (Says(302, headers={"Location": "/1"}), "unreachable", ["HEAD"] * 6),
    ],
)
def test_each_answer_has_its_outcome(
    context: HarvestContext, site: Site, put: Put, says: Says, outcome: str, methods: list[str]
) -> None:
    site.pages |= {"/1": says, "/good": Says()}
    put("a", site.url("/1"))
    assert check(context) == [outcome]
    assert [one.method for one in site.asked if one.path != "/robots.txt"] == methods


def test_a_body_is_never_read(context: HarvestContext, site: Site, put: Put) -> None:
    """Only a tenth of what is promised comes: whoever read it would see the answer break off."""
    site.pages["/1"] = Says(200, head=405, headers={"Content-Length": "60"})
    put("a", site.url("/1"))
    assert check(context) == ["alive"]


@pytest.mark.parametrize("path", ["/robots.txt", "/1"])
def test_the_body_of_a_redirect_is_not_waited_for(
    path: str, context: HarvestContext, site: Site, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SKIP_SECONDS", 0.3)
    site.pages |= {"/1": Says(), "/2": Says(), path: Says(302, 405, {"Location": "/2"}, drips=True)}
    put("a", site.url("/1"))
    began = time.monotonic()
    assert check(context) == ["alive"]
    assert time.monotonic() - began < 5


def test_a_closed_port_an_unknown_name_and_a_bad_certificate_are_told_apart(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put, tmp_path: Path
) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.2 -keyout k -out c"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "c", tmp_path / "k")
    with Site() as safe, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        safe.server.socket = tls.wrap_socket(safe.server.socket, server_side=True)
        put(
            "a",
            f"http://127.0.0.1:{closed.getsockname()[1]}/1",
            "http://no.such.invalid/1",
            safe.url("/", "127.0.0.2").replace("http:", "https:"),
        )
        check(context)
    assert [row.reason for row in rows(catalogue)] == ["unreachable", "unreachable", "certificate"]


def test_no_private_address_is_asked_neither_at_once_nor_by_redirect(
    context: HarvestContext,
    catalogue: Catalogue,
    clock: Clock,
    site: Site,
    put: Put,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the second part the first host counts as public, the one that it redirects to does not."""
    context = HarvestContext(Settings(home=tmp_path), catalogue, context.archive)
    site.pages |= {"/1": Says(302, headers={"Location": site.url("/2", "127.0.0.2")}), "/2": Says()}
    put("a", site.url("/1"))
    assert check(context) == ["private-address"]
    assert site.asked == []
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    clock.seconds += DAY
    assert check(context) == ["private-address"]
    assert site.paths() == ["/1"]


def test_robots_txt_is_honoured_also_where_a_redirect_leads_and_read_once_a_day(
    context: HarvestContext, clock: Clock, site: Site, put: Put
) -> None:
    site.pages |= {
        "/robots.txt": Says(body=b"User-agent: lumbung\nDisallow: /closed\n\nUser-agent: *\nDisallow: /\n"),
        "/open": Says(302, headers={"Location": "/closed/2"}),
        "/free": Says(),
    }
    put("a", site.url("/closed/1"), site.url("/open"), site.url("/free"))
    checker = LinkChecker(QUICK)
    assert [one.outcome for one in checker.check_due(context)] == ["unknown", "unknown", "alive"]
    assert site.paths() == ["/open", "/free"]
    for seconds, reads in ((DAY - 1, 1), (1, 2)):
        clock.seconds += seconds
        put("b", site.url("/free"))
        checker.check_due(context)
        assert [one.path for one in site.asked].count("/robots.txt") == reads


@pytest.mark.parametrize("path", ["/robots.txt", "/1"])
def test_a_host_that_wants_a_rest_is_left_alone_and_its_links_stay_due(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put, path: str
) -> None:
    site.pages |= {"/1": Says(), "/2": Says(), path: Says(429, headers={"Retry-After": "600"})}
    put("a", site.url("/1"), site.url("/2"))
    checker = LinkChecker(QUICK)
    for _ in range(2):
        assert checker.check_due(context) == ()
    assert site.asked[-1].path == path
    assert [(row.strikes, row.next_check) for row in rows(catalogue)] == [(0, NOW)] * 2


def test_a_host_that_hangs_holds_up_nobody_else(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put
) -> None:
    site.pages |= {"/hangs": Says(hangs=True), "/1": Says()}
    put("a", *[site.url("/hangs", "127.0.0.2")] * 9)
    put("b", *[site.url("/1")] * 9)
    began = time.monotonic()
    check(context, Pace(pause=0.0, turn=0.6, connect=1.0, read=0.4))
    assert time.monotonic() - began < 5
    reasons = [(row.reason, row.checked_at) for row in rows(catalogue)]
    assert reasons[9:] == [(None, NOW)] * 9
    assert reasons[0] == ("unreachable", NOW)
    assert reasons[8] == (None, None)  # its turn was over before: still due


def test_a_host_is_asked_one_thing_at_a_time_with_a_pause_whoever_links_to_it(
    context: HarvestContext, catalogue: Catalogue, put: Put
) -> None:
    with Site(latency=0.05) as site:
        site.pages |= {"/1": Says(200, head=405)}
        site.pages |= {f"/to/{n}": Says(302, headers={"Location": site.url("/1")}) for n in range(3)}
        put("a", site.url("/1"), site.url("/1"))
        put("b", site.url("/to/1", "127.0.0.2"), site.url("/to/2", "127.0.0.3"))
        assert check(context, Pace(pause=0.15, at_home=0.15, turn=20.0)) == ["alive"] * 4
        mine = sorted(one[3:] for one in site.asked if one.host == "127.0.0.1")
    assert len(mine) == 9  # robots.txt, and HEAD and GET four times
    assert all(later[0] - earlier[1] >= 0.14 for earlier, later in pairwise(mine))


def test_the_members_own_delay_and_its_hosts_are_kept(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put
) -> None:
    site.pages["/1"] = Says()
    put("a", site.url("/1"), site.url("/1"))
    with catalogue.write() as connection:
        connection.execute(update(members).values(delay=0.3))
    check(context)
    assert all(later.began - earlier.ended >= 0.28 for earlier, later in pairwise(site.asked))


@pytest.mark.parametrize(
    "values", [{"window": "23:00-04:00", "timezone": "UTC"}, {"paused": True}, {"removed_at": NOW}]
)
def test_who_may_not_be_asked_now_is_not(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put, values: dict[str, object]
) -> None:
    put("a", site.url("/1"))
    with catalogue.write() as connection:
        connection.execute(update(members).values(values))
    assert check(context) == []
    assert site.asked == []


def test_a_window_that_opens_lets_the_links_be_checked(
    context: HarvestContext, catalogue: Catalogue, clock: Clock, site: Site, put: Put
) -> None:
    put("a", site.url("/1"))
    with catalogue.write() as connection:
        connection.execute(update(members).values(window="23:00-04:00", timezone="UTC"))
    clock.seconds += 12 * 3600
    assert check(context) == ["not-found"]


def test_a_host_that_is_being_harvested_is_not_asked(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put
) -> None:
    put("a", site.url("/1"))
    with catalogue.write() as connection:
        assert claim_host(connection, new_owner(), "127.0.0.1", NOW) is None
    assert check(context) == []
    assert site.asked == []


def test_a_batch_is_bounded_and_fair(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put, clock: Clock
) -> None:
    site.pages["/robots.txt"] = Says(body=b"User-agent: *\nDisallow: /\n")
    put("big", *[site.url("/1")] * 300)
    clock.seconds += 1
    put("small", *[site.url("/1")] * 30)
    done = [one.member for one in LinkChecker(QUICK).check_due(context)]
    assert (done.count("big"), done.count("small")) == (100, 30)


def test_first_checks_are_spread_evenly_over_the_interval_and_nothing_is_due_at_once(
    context: HarvestContext, catalogue: Catalogue
) -> None:
    fill(catalogue, "a", [(f"oai:a:{n}", {"title": ["x"]}) for n in range(3000)], page_size=3000)
    assert check(context) == []
    days = [(row.next_check - NOW) // DAY for row in rows(catalogue)]
    assert len(days) == 3000
    assert {30 <= days.count(day) <= 37 for day in range(90)} == {True}


def test_a_deleted_record_is_not_asked_for_and_shown_no_more(
    context: HarvestContext, catalogue: Catalogue, site: Site, put: Put
) -> None:
    put("a", site.url("/1"))
    with catalogue.write() as connection:
        connection.execute(update(links).values(strikes=3, url="u", reason="refused", since=1, checked_at=2))
        assert [link.identifier for link in list_dead(connection, 1, 9)] == ["oai:a:0"]
    fill(catalogue, "a", [("oai:a:0", None)])
    with catalogue.read() as connection:
        assert list_dead(connection, 1, 9) == ()
    assert check(context) == ["unknown"]
    assert site.asked == []


def test_a_struck_link_of_a_changed_record_is_due_and_a_shorter_interval_holds_for_all(
    catalogue: Catalogue, clock: Clock, put: Put
) -> None:
    put("a", "http://x.example/1", "http://x.example/2")
    with catalogue.write() as connection:
        later = {"strikes": 2, "checked_at": NOW + 5, "next_check": NOW + 80 * DAY}
        connection.execute(update(links).values(later))
    clock.seconds += 100
    fill(catalogue, "a", [("oai:a:1", {"title": ["new"], "identifier": ["http://x.example/3"]})])
    with catalogue.write() as connection:
        hasten_links(connection, catalogue.now(), 10)
    first, second = rows(catalogue)
    assert second.next_check == catalogue.now()
    assert catalogue.now() < first.next_check <= catalogue.now() + 10 * DAY


def test_the_daily_report_counts_what_lives_what_is_dead_and_what_turned_since_the_last(
    context: HarvestContext, catalogue: Catalogue, clock: Clock, site: Site, put: Put
) -> None:
    site.pages["/1"] = Says()
    put("a", site.url("/1"), site.url("/2"), site.url("/3"))
    found = []
    for day in range(4):
        if day == 3:
            site.pages["/2"] = Says()
            with catalogue.write() as connection:
                connection.execute(update(links).values(next_check=clock.seconds))
        check(context)
        clock.seconds += 60
        report_links(context)
        with catalogue.read() as connection:
            report = find_link_report(connection, 1)
        assert report is not None
        assert report.made_at == clock.seconds
        found.append((report.alive, report.dead, report.newly_dead, report.recovered))
        clock.seconds += DAY
    assert found == [(3, 0, 0, 0), (3, 0, 0, 0), (1, 2, 2, 0), (2, 1, 0, 1)]


def test_the_command_checks_what_is_due_and_tells_it(
    catalogue: Catalogue,
    catalogue_url: str,
    site: Site,
    put: Put,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path))
    monkeypatch.setenv("LUMBUNG_CATALOGUE", catalogue_url)
    monkeypatch.setenv("LUMBUNG_ALLOW_PRIVATE", "1")
    monkeypatch.setattr(LinkChecker.__init__, "__defaults__", (QUICK, None))
    site.pages["/1"] = Says()
    put("a", site.url("/1"), site.url("/2"))
    put("b", site.url("/3"))
    with catalogue.write() as connection:
        connection.execute(
            update(links).where(links.c.member_id == 1, links.c.record_id == 2).values(strikes=2, url=site.url("/2"))
        )
    result = CliRunner().invoke(lumbung, ["links", "a", "--json"], catch_exceptions=False)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"member": "a", "checked": 2, "alive": 1, "failing": 1, "skipped": 0, "newly_dead": 1, "recovered": 0}
    ]
    assert CliRunner().invoke(lumbung, ["links", "a"]).stderr == "no link is due\n"
    with catalogue.read() as connection:
        assert [link.identifier for link in list_dead(connection, get_member(connection, "a").id, 9)] == ["oai:a:1"]
