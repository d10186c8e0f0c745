"""A repository is checked before it joins: its base URL is found, its manners are named, and it is asked politely."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRepository, Fault, Request
from fakes.raw import dripping, in_time

from harvester import guard
from harvester.errors import ConfigError
from harvester.samples import verbs
from harvester.samples.repository import SampleRecord, SampleRepository
from harvester.settings import Settings
from indexer.check import LEVELS, Finding, Report, asking, check_base_url, report_json, to_lines
from indexer.check.texts import TEXTS

Choose = Callable[[Request], bool] | str
Edit = Callable[[bytes], bytes]

DC = (
    ("title", "Padi di lereng gunung", None),
    ("creator", "Santoso, Budi", None),
    ("date", "2019-03-12", None),
    ("type", "Skripsi", None),
    ("language", "id", None),
    ("identifier", "https://model.example/{n}", None),
    ("identifier", "https://model.example/{n}/file.pdf", None),
    ("rights", "https://creativecommons.org/licenses/by/4.0/", None),
    ("rights", "info:eu-repo/semantics/openAccess", None),
)


def model(granularity: str = "YYYY-MM-DDThh:mm:ssZ", count: int = 150) -> SampleRepository:
    """A repository without fault, whose records were changed on two days."""
    records = tuple(
        SampleRecord(
            f"oai:model.ac.id:{n}",
            f"2024-05-0{1 + n // 60}T10:00:{n % 60:02d}Z"[: len(granularity)],
            ("all",),
            tuple((name, text.format(n=n), language) for name, text, language in DC),
        )
        for n in range(1, count + 1)
    )
    return SampleRepository(
        "model", "Repositori Teladan", "/oai", records, (("all", "All"),), "pustaka@model.ac.id", page_size=100
    )


class ModelRepository(FakeRepository):
    """Answers as the sample repository does; faults are put upon it."""

    def __init__(self, repository: SampleRepository | None = None) -> None:
        super().__init__()
        self.sample = repository or model()
        self.base_url = ""
        self.ahead = timedelta()

    def answer(self, arguments: Mapping[str, str]) -> bytes:
        body = verbs.answer(self.sample, self.base_url, list(arguments.items()), datetime.now(UTC) + self.ahead)
        ends = datetime.now(UTC) + timedelta(days=1)
        return body.replace(b" cursor=", f' expirationDate="{ends:%Y-%m-%dT%H:%M:%SZ}" cursor='.encode())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PAUSE", 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, allow_private=True, admin_email="op@x.id")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture
def repository(provider: FakeProvider) -> ModelRepository:
    return serve(provider, ModelRepository())


def serve(provider: FakeProvider, repository: ModelRepository, path: str = "/oai") -> ModelRepository:
    repository.base_url = provider.serve(repository, path)
    return repository


def page(provider: FakeProvider, path: str, html: bytes) -> None:
    """A web page, at every request."""
    site = FakeRepository()
    site.fail(lambda _: True, *[Fault(body=html, headers={"Content-Type": "text/html"})] * 50)
    provider.serve(site, path)


def finding(report: Report, rule: str) -> Finding:
    found = [each for each in report.findings if each.rule == rule]
    assert len(found) == 1, [each.rule for each in report.findings]
    return found[0]


def test_a_model_repository_is_good_but_for_its_missing_tls(
    provider: FakeProvider, repository: ModelRepository, settings: Settings
) -> None:
    asked: list[str] = []
    report = check_base_url(repository.base_url + "?verb=Identify", settings, progress=asked.append)
    assert {(each.rule, each.examples) for each in report.findings if each.level != "good"} == {
        ("TLS", (repository.base_url,))
    }
    assert {each.rule for each in report.findings} == set(TEXTS)
    assert report.usable
    assert report.finished
    assert (report.base_url, report.name, report.contact) == (
        repository.base_url,
        "Repositori Teladan",
        "pustaka@model.ac.id",
    )
    assert (report.granularity, report.deleted_record) == ("YYYY-MM-DDThh:mm:ssZ", "persistent")
    assert (report.formats, report.sets, report.records, report.requests) == (("oai_dc",), 1, 150, 7)
    assert report.earliest_datestamp == "2024-05-01T10:00:01Z"
    assert [line.split()[0] for line in asked] == [
        *("Identify", "ListMetadataFormats", "ListSets", "ListRecords", "ListRecords", "ListRecords", "NoSuchVerb")
    ]
    assert repository.lists()[-1].arguments["from"] == "2024-05-02"
    assert {(r.headers["User-Agent"], r.headers["From"]) for r in repository.requests} == {
        (settings.user_agent, "op@x.id")
    }


def swap(old: bytes, new: bytes, count: int = -1) -> Edit:
    def edit(body: bytes) -> bytes:
        assert old in body
        return body.replace(old, new, count)

    return edit


def drop(pattern: bytes, new: bytes = b"") -> Edit:
    def edit(body: bytes) -> bytes:
        assert re.search(pattern, body, re.DOTALL)
        return re.sub(pattern, new, body, flags=re.DOTALL)

    return edit


def is_first(request: Request) -> bool:
    return request.verb == "ListRecords" and not request.resumes and "from" not in request.arguments


def is_incremental(request: Request) -> bool:
    return "from" in request.arguments


def resumes(request: Request) -> bool:
    return request.resumes


PNG = Fault(status=500, body=b"oops")
SOON = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
NO_RECORDS = b'<error code="noRecordsMatch">none</error>'


@pytest.mark.parametrize(
    ("rule", "level", "on", "fault", "count", "example"),
    [
        ("Base URL", "hint", "Identify", swap(b"<baseURL>", b"<baseURL>http://localhost:80"), 1, "http://localhost:80"),
        ("Access for harvesters", "hurts", "ListSets", Fault(status=403, body=b"no"), 1, "HTTP 403"),
        ("Content type", "hint", "ListSets", Fault(headers={"Content-Type": "text/html"}), 1, "text/html"),
        (
            "Server clock",
            "hurts",
            "ListSets",
            drop(rb"<responseDate>.*?</r", b"<responseDate>2011-01-01</r"),
            1,
            "2011",
        ),
        ("Server clock", "hurts", "ListSets", drop(rb"<responseDate>.*?</responseDate>"), 1, "(none)"),
        ("XML validity", "hurts", "ListSets", swap(b"<setName>All", b"<setName>A & B\x1a"), 1, "control-characters"),
        ("XML validity", "hurts", "ListMetadataFormats", Fault(status=500, body=b"<html>oops"), 1, "HTTP 500"),
        ("XML validity", "hurts", "ListSets", Fault(body=b""), 1, "empty"),
        ("XML validity", "hurts", resumes, Fault(edit=lambda body: body[: len(body) // 2]), 1, "broken"),
        (
            "Schema order",
            "hint",
            "Identify",
            drop(rb"(<baseURL>.*</baseURL>)(<prot.*?</prot.*?>)", rb"\2\1"),
            1,
            "Identify/",
        ),
        ("Schema order", "hint", "ListSets", swap(b"<setName>", b"<extra/><setName>"), 1, "set/extra"),
        (
            "Schema order",
            "hint",
            resumes,
            Fault(edit=lambda body: body.replace(b"<datestamp>", b"<extra/><datestamp>", 1)),
            1,
            "header/extra",
        ),
        (
            "Schema order",
            "hint",
            "ListSets",
            swap(b' xmlns="http://www.openarchives.org/OAI/2.0/"', b""),
            1,
            "OAI-PMH:",
        ),
        ("Error handling (badVerb)", "hint", "NoSuchVerb", Fault(status=500, body=b"oops"), 1, "HTTP 500"),
        ("Error handling (badVerb)", "hint", "NoSuchVerb", Fault(status=400), 1, "HTTP 400"),
        ("Identify", "hint", "Identify", drop(rb"<repositoryName>.*</repositoryName>"), 1, "repositoryName"),
        ("Identify", "hint", "Identify", swap(b">2.0</protocolVersion>", b">1.1</protocolVersion>"), 1, "protocol"),
        ("Contact address", "hint", "Identify", swap(b"pustaka@model.ac.id", b"admin@slims.web.id"), 1, "admin@slims"),
        ("Contact address", "hint", "Identify", drop(rb"<adminEmail>.*</adminEmail>"), 1, "(none)"),
        ("Deletion policy", "hint", "Identify", swap(b"persistent", b"transient"), 1, "transient"),
        ("Deletion policy", "hurts", "Identify", swap(b"persistent", b"no"), 1, "no"),
        ("Earliest datestamp", "hint", "Identify", swap(b"2024-05-01T10:00:01Z", b""), 1, "(none)"),
        ("Earliest datestamp", "hint", "Identify", swap(b"2024-05-01T10:00:01Z", b"0001-01-01T00:00:00Z"), 1, "0001"),
        ("Earliest datestamp", "hint", "Identify", swap(b"2024-05-01T10:00:01Z", b"2024-05-01T10:00:03Z"), 2, "<"),
        ("Granularity", "hurts", "Identify", swap(b"DDThh:mm:ssZ", b"DD"), 150, "YYYY-MM-DD ≠ 2024-05-01T10"),
        ("Datestamps", "hurts", is_first, swap(b"2024-05-01T10:00:07Z", b"2033-05-01T10:00:07Z"), 1, "id:7: 2033"),
        ("Datestamps", "hurts", is_first, drop(rb"<datestamp>2024-05-01T10:00:07Z</datestamp>"), 1, "id:7: (none)"),
        (
            "Record identifiers (oai: scheme)",
            "hurts",
            is_first,
            swap(b"oai:model.ac.id:", b"oai:localhost:"),
            100,
            "local",
        ),
        ("Record identifiers (oai: scheme)", "hurts", is_first, swap(b"oai:model.ac.id:", b"oai:slims/"), 100, "slims"),
        ("Record identifiers (oai: scheme)", "hint", is_first, swap(b"oai:model.ac.id:7<", b"7<"), 1, "7"),
        ("Unique record identifiers", "hurts", is_first, swap(b"oai:model.ac.id:7<", b"oai:model.ac.id:8<"), 1, ":8"),
        ("Metadata format (oai_dc)", "hint", "ListMetadataFormats", swap(b">oai_dc<", b">dc<"), 1, "dc"),
        ("Metadata format (oai_dc)", "fatal", is_first, drop(rb"<ListRecords.*</ListRecords>", NO_RECORDS), 1, "noRec"),
        ("Complete records", "hurts", is_first, drop(rb"<metadata>.*?</metadata>"), 100, "no metadata"),
        ("Sets", "hint", "ListSets", drop(rb"<ListSets>.*</ListSets>", b'<error code="badVerb"/>'), 1, "badVerb"),
        ("Resumption token", "fatal", resumes, drop(rb"<ListRecords.*</ListRecords>", NO_RECORDS), 1, "noRecordsMatch"),
        ("Resumption token", "fatal", resumes, PNG, 1, "HTTP 500"),
        ("Resumption token", "fatal", resumes, drop(rb"model.ac.id:1\d\d<", rb"model.ac.id:7<"), 1, "same"),
        ("Resumption token expiration", "hurts", is_first, drop(rb'(onDate=")[^"]*', rb"\g<1>" + SOON), 1, " min"),
        ("Resumption token expiration", "hint", is_first, drop(rb' expirationDate="[^"]*"'), 1, "(none)"),
        ("Resumption token list size", "hint", is_first, drop(rb' completeListSize="\d+"'), 1, "(none)"),
        ("Resumption token list size", "hurts", is_first, drop(rb'(ListSize=")\d+', rb"\g<1>120"), 1, "120"),
        ("Incremental harvesting (day granularity)", "hurts", is_incremental, PNG, 1, "HTTP 500"),
        (
            *("Incremental harvesting (day granularity)", "hurts", is_incremental),
            *(drop(rb"<ListRecords.*</ListRecords>", NO_RECORDS), 1, "from=2024-05-02: noRecordsMatch"),
        ),
        (
            *("Incremental harvesting (day granularity)", "hurts", is_incremental),
            *(swap(b"2024-05-02T10:00:00Z", b"2023-01-02T10:00:00Z"), 1, "2023-01-02"),
        ),
        ("Double-encoded UTF-8", "hint", is_first, swap(b"Padi", "PÃ©di".encode(), 5), 5, "PÃ©di"),
        ("Double-encoded UTF-8", "hurts", is_first, swap(b"Padi", "PÃ©di".encode()), 100, "PÃ©di"),
        ("dc:title", "hurts", is_first, drop(rb"<dc:title>.*?</dc:title>"), 100, "oai:model.ac.id:1"),
        ("dc:creator", "hint", is_first, drop(rb"<dc:creator>.*?</dc:creator>"), 100, "oai:model.ac.id:1"),
        ("dc:date (ISO 8601)", "hurts", is_first, swap(b"2019-03-12", b"tahun lalu"), 100, "tahun lalu"),
        ("dc:date (ISO 8601)", "hint", is_first, swap(b"2019-03-12", b"tahun lalu", 15), 15, "tahun lalu"),
        ("dc:type", "hurts", is_first, swap(b"Skripsi", b"Gado-gado"), 100, "Gado-gado"),
        ("dc:language (ISO 639)", "hurts", is_first, swap(b">id<", b">Klingonesia<"), 100, "Klingonesia"),
        ("dc:language (ISO 639)", "hurts", is_first, drop(rb"<dc:language>.*?</dc:language>"), 100, "model.ac.id:1"),
        ("dc:identifier (web link)", "hurts", is_first, swap(b"https://model.example", b"rak"), 100, "rak/1"),
        ("Link to the full text", "hint", is_first, swap(b"/file.pdf", b""), 100, "oai:model.ac.id:1"),
        ("dc:rights (licence)", "hint", is_first, swap(b"https://creativecommons.org/", b""), 100, "oai:model.ac.id:1"),
        ("Access right", "hint", is_first, swap(b"openAccess", b""), 100, "oai:model.ac.id:1"),
    ],
)
def test_what_is_wrong_is_found_by_its_rule(
    rule: str,
    level: str,
    on: Choose,
    fault: Fault | Edit,
    count: int,
    example: str,
    repository: ModelRepository,
    settings: Settings,
) -> None:
    repository.fail(on, fault if isinstance(fault, Fault) else Fault(edit=fault))
    report = check_base_url(repository.base_url, settings)
    found = finding(report, rule)
    assert (found.level, found.count) == (level, count)
    assert example in " ".join(found.examples)
    assert len(found.examples) <= 3
    assert report.usable == (level != "fatal")
    assert [each.level for each in report.findings] == sorted((e.level for e in report.findings), key=LEVELS.index)


@pytest.mark.parametrize(("size", "level"), [(10, "hurts"), (60, "hint"), (600, "hint"), (2500, "hurts")])
def test_pages_that_are_too_small_or_too_large_are_told(
    size: int, level: str, provider: FakeProvider, settings: Settings
) -> None:
    records = model().records
    many = tuple(
        replace(records[0], identifier=f"oai:model.ac.id:{n}", datestamp="2024-05-01T00:00:00Z")
        for n in range(size * 2)
    )
    repository = serve(provider, ModelRepository(replace(model(), records=many, page_size=size)))
    report = check_base_url(repository.base_url, settings)
    assert (finding(report, "Size of the first batch").level, finding(report, "Datestamps").level) == (level, "hurts")
    assert finding(report, "Size of the first batch").examples == (str(size),)


def test_a_list_in_one_part_is_asked_for_no_token(provider: FakeProvider, settings: Settings) -> None:
    repository = serve(provider, ModelRepository(model(count=7)))
    report = check_base_url(repository.base_url, settings)
    assert not [each for each in report.findings if each.rule.startswith("Resumption")]
    assert (finding(report, "Size of the first batch").level, report.records) == ("good", 7)


def test_a_clock_in_local_time_is_noticed_in_every_answer(provider: FakeProvider, settings: Settings) -> None:
    repository = serve(provider, ModelRepository())
    repository.ahead = timedelta(hours=7)
    assert finding(check_base_url(repository.base_url, settings), "Server clock").count == 7


def test_slow_answers_are_told(
    repository: ModelRepository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.check.rules._SLOW", 0.15)
    repository.fail("ListSets", Fault(delay=0.2))
    found = finding(check_base_url(repository.base_url, settings), "Response time")
    assert (found.level, found.count, found.total) == ("hint", 1, 7)


@pytest.mark.parametrize(
    ("path", "pasted", "platform"),
    [
        ("/cgi/oai2", "/", "EPrints"),
        ("/cgi/oai2", "/123/", "EPrints"),
        ("/server/oai/request", "/home", "DSpace"),
        ("/oai/request", "/xmlui/handle/123456789/7", "DSpace"),
        ("/repo/oai/request", "/repo/jspui/", "DSpace"),
        ("/index.php/index/oai", "/index.php/jak/issue/archive", "OJS"),
        ("/index.php/jak/oai", "/index.php/jak/issue/archive", "OJS"),
        ("/ojs/index.php/index/oai", "/ojs/", "OJS"),
        ("/oai2.php", "/index.php?p=show_detail&id=4", "SLiMS"),
        ("/pustaka/oai.php", "/pustaka/index.php", "SLiMS"),
        ("/oai/oai2.aspx", "", "Inlislite"),
        ("/oai-pmh-repository/request", "/", "Omeka"),
    ],
)
def test_the_base_url_is_found_from_the_sites_address(
    path: str, pasted: str, platform: str, provider: FakeProvider, settings: Settings
) -> None:
    repository = serve(provider, ModelRepository(), path)
    report = check_base_url(provider.base + pasted, settings)
    assert (report.base_url, report.platform) == (repository.base_url, platform)
    assert report.requests <= asking.MAX_REQUESTS


def test_the_platform_that_a_site_names_is_tried_first(provider: FakeProvider, settings: Settings) -> None:
    page(provider, "/", b"<html><meta name='generator' content='SLiMS 9 (Bulian)'>Perpustakaan")
    serve(provider, ModelRepository(), "/oai2.php")
    assert check_base_url(provider.base + "/", settings).requests == 8


def test_a_redirect_is_followed_and_told(
    provider: FakeProvider, repository: ModelRepository, settings: Settings
) -> None:
    moved = FakeRepository()
    old = provider.serve(moved, "/old")
    moved.fail("Identify", Fault(status=301, headers={"Location": "/oai?verb=Identify"}, body=b"x" * 999_999))
    report = check_base_url(old, settings)
    assert report.base_url == repository.base_url
    assert finding(report, "Redirects").examples == (f"{old} → {repository.base_url}",)
    assert len(moved.requests) == 1


def test_the_body_of_a_redirect_is_not_waited_for(
    repository: ModelRepository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SKIP_SECONDS", 0.3)
    head = f"HTTP/1.1 302 Found\r\nLocation: {repository.base_url}?verb=Identify\r\n\r\n"
    with dripping(head.encode(), b"x") as old, in_time():
        assert check_base_url(old, settings).base_url == repository.base_url


def test_where_nothing_answers_every_address_tried_is_told(provider: FakeProvider, settings: Settings) -> None:
    report = check_base_url(provider.base, settings)
    found = finding(report, "Base URL")
    assert (found.level, report.usable, report.base_url) == ("fatal", False, "")
    assert found.count == report.requests == 10
    assert "HTTP 404" in found.examples[0]


def test_a_site_that_is_not_there_is_asked_only_once_for_each_scheme(settings: Settings) -> None:
    with FakeProvider() as provider:
        host = provider.base.removeprefix("http://")
    report = check_base_url(host, settings)
    assert finding(report, "Base URL").examples == (
        f"https://{host}: the server cannot be reached",
        f"http://{host}: the server cannot be reached",
    )


def test_a_server_that_refuses_programs_is_told_so(provider: FakeProvider, settings: Settings) -> None:
    site = FakeRepository()
    provider.serve(site, "/oai")
    site.fail(lambda _: True, *[Fault(status=403, body=b"<html>no robots")] * 20)
    assert finding(check_base_url(provider.base + "/oai", settings), "Access for harvesters").level == "fatal"


@pytest.mark.parametrize("allowed", [False, True])
def test_private_addresses_are_asked_only_where_the_settings_allow_it(
    allowed: bool, repository: ModelRepository, settings: Settings
) -> None:
    report = check_base_url(repository.base_url, settings.model_copy(update={"allow_private": allowed}))
    assert report.usable is allowed
    assert bool(repository.requests) is allowed


@pytest.mark.parametrize(
    "pasted", ["", "ftp://x.example/", "https://", "http://[::1", "http://a:b@x.example/", "mailto:a@b"]
)
def test_what_is_no_web_address_is_refused_at_once(pasted: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="web address"):
        check_base_url(pasted, settings)


def test_the_operator_can_stop_a_check(repository: ModelRepository, settings: Settings) -> None:
    stop = threading.Event()
    repository.on_request = lambda request: stop.set() if request.verb == "ListSets" else None
    report = check_base_url(repository.base_url, settings, stop=stop)
    assert (report.finished, report.requests, report.name) == (False, 3, "Repositori Teladan")
    assert "dc:title" not in {each.rule for each in report.findings}
    assert list(to_lines(report))[-1] == "The check ended before all requests were made."


def test_a_check_ends_in_time_however_slow_the_server_is(
    repository: ModelRepository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_SECONDS", 0.6)
    repository.fail("ListSets", Fault(delay=30))
    began = time.monotonic()
    report = check_base_url(repository.base_url, settings)
    assert time.monotonic() - began < 5
    assert (report.finished, report.requests) == (False, 3)
    assert finding(report, "Availability").examples == ("the server did not answer in time",)


def test_an_answer_without_end_is_not_read_to_its_end(
    repository: ModelRepository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_MAX_BYTES", 2**16)
    repository.fail("ListSets", Fault(body=b"x" * 2**20))
    assert "larger than" in finding(check_base_url(repository.base_url, settings), "Availability").examples[0]


def test_there_is_a_pause_between_requests(
    repository: ModelRepository, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAUSE", 3)
    stop, waited = threading.Event(), []
    monkeypatch.setattr(stop, "wait", waited.append)
    check_base_url(repository.base_url, settings, stop=stop)
    assert waited == [3] * 6


def test_a_report_reads_well_and_goes_to_programs_with_its_texts(
    repository: ModelRepository, settings: Settings
) -> None:
    repository.fail("Identify", Fault(edit=swap(b"persistent", b"no")))
    report = check_base_url(repository.base_url, settings)
    lines = list(to_lines(report))
    assert f"base URL     {repository.base_url}" in lines
    assert f"hurts  Deletion policy: {TEXTS['Deletion policy'].what}" in lines
    assert "       Seen: no" in lines
    told = report_json(report, str.upper)
    assert (told["base_url"], told["usable"], told["records"]) == (repository.base_url, True, 150)
    first = told["findings"][0]
    assert (first["rule"], first["level"], first["count"]) == ("Deletion policy", "hurts", 1)
    assert first["mend"] == TEXTS["Deletion policy"].mend.upper()


def test_every_rule_that_platforms_can_mend_names_their_settings() -> None:
    named = [rule for rule, text in TEXTS.items() if re.search(r"EPrints|DSpace|OJS|SLiMS", text.mend)]
    assert len(named) > len(TEXTS) * 0.6
    assert all(text.what and text.why and text.mend for text in TEXTS.values())
