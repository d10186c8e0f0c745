"""The sample members answer as the protocol wants and as their platforms do, over real HTTP."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from lxml import etree
from sickle import Sickle
from sickle.oaiexceptions import NoRecordsMatch, NoSetHierarchy

from harvester.errors import ConfigError
from harvester.samples.entries import get_entries
from harvester.samples.platforms import sample_repositories
from harvester.samples.provider import SampleServer, serve
from harvester.samples.repository import Platform, SampleRecord, SampleRepository
from harvester.samples.tokens import ListState, find_state, format_token

NS = {
    "o": "http://www.openarchives.org/OAI/2.0/",
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "dc": "http://purl.org/dc/elements/1.1/",
}
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SLUGS = ("tirta-samudra", "arunika", "kembang-nusa", "wanasari")
PLATFORMS: tuple[Platform, ...] = ("dspace", "eprints", "ojs", "slims")


def records_of(days: int, **changes: object) -> SampleRepository:
    """A repository `seven` of one record a day in January 2020, four to a page."""
    records = tuple(
        SampleRecord(
            f"oai:seven.example:{day}",
            f"2020-01-{day:02d}T12:00:00Z",
            ("art:new",) if day % 2 else ("book",),
            (("title", f"Number {day} & <more>", "en"), ("creator", "Sutrisno", None)),
            deleted=day == 3,
            page=f"/seven/{day}",
        )
        for day in range(1, days + 1)
    )
    base = SampleRepository(
        slug="seven",
        name="Seven",
        path="/seven/oai",
        records=records,
        sets=(("art", "Articles"), ("art:new", "New ones"), ("book", "Books")),
        page_size=4,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # the changes are fields of the repository


@pytest.fixture
def seven() -> Iterator[SampleServer]:
    with serve([records_of(10)]) as server:
        yield server


def ask(server: SampleServer, slug: str = "seven", **arguments: str) -> etree._Element:
    given = {name.rstrip("_"): text for name, text in arguments.items()}
    response = requests.get(server.url_of(slug), params=given, timeout=10)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/xml; charset=UTF-8"
    return etree.fromstring(response.content)


def texts(root: etree._Element, path: str) -> list[str]:
    return [str(element.text) for element in root.iterfind(path, NS)]


def codes(root: etree._Element) -> list[str]:
    return [str(error.get("code")) for error in root.iterfind("o:error", NS)]


def numbers(root: etree._Element) -> list[int]:
    return [int(text.rpartition(":")[2]) for text in texts(root, ".//o:header/o:identifier")]


def walk(server: SampleServer, slug: str, **arguments: str) -> Iterator[etree._Element]:
    root = ask(server, slug, **arguments)
    yield root
    while token := root.findtext(".//o:resumptionToken", "", NS):
        root = ask(server, slug, verb=arguments["verb"], resumptionToken=token)
        yield root


def test_the_four_files_hold_five_hundred_works_each_with_a_number_of_its_own() -> None:
    entries = {slug: get_entries(slug) for slug in SLUGS}
    assert sum(map(len, entries.values())) == 500
    for works in entries.values():
        assert len({work.n for work in works}) == len(works)


@pytest.mark.parametrize("slug", SLUGS)
def test_sickle_harvests_every_record_of_a_member_once(members: SampleServer, slug: str) -> None:
    found = list(Sickle(members.url_of(slug)).ListRecords(metadataPrefix="oai_dc"))
    works = {work.n: work for work in get_entries(slug)}
    kept = {n for n, work in works.items() if not work.deleted or slug != "wanasari"}
    got = {int(re.split(r"[:/]", record.header.identifier)[-1]): record for record in found}
    assert len(found) == len(got)
    assert set(got) == kept
    for n, record in got.items():
        assert record.header.deleted == works[n].deleted
        if not record.header.deleted:
            assert record.metadata["title"][0] == works[n].title


@pytest.mark.parametrize("slug", SLUGS)
def test_every_live_record_of_a_member_has_its_landing_page_among_its_links(members: SampleServer, slug: str) -> None:
    for record in list(Sickle(members.url_of(slug)).ListRecords(metadataPrefix="oai_dc", ignore_deleted=True))[::9]:
        links = record.metadata.get("identifier", []) + record.metadata.get("relation", [])
        found = [requests.get(link, timeout=10) for link in links if link.startswith(members.base)]
        pages = [
            str(etree.HTML(page.content).xpath("string()")) for page in found if page.ok and b"<html" in page.content
        ]
        (own,) = [text for text in pages if "invented record of a sample member" in text]
        assert record.metadata["title"][0] in own


def test_the_page_of_a_deleted_record_is_gone(members: SampleServer) -> None:
    gone = next(work for work in get_entries("tirta-samudra") if work.deleted)
    assert requests.get(f"{members.base}/tirta-samudra/{gone.n}/", timeout=10).status_code == 404


def test_the_front_page_names_every_member_and_its_endpoint(members: SampleServer) -> None:
    page = requests.get(f"{members.base}/", timeout=10).text
    for slug in SLUGS:
        assert members.url_of(slug) in page


def test_eprints_sends_hex_sets_files_and_citation_and_its_page_first_in_relation(members: SampleServer) -> None:
    root = ask(
        members,
        "tirta-samudra",
        verb="GetRecord",
        metadataPrefix="oai_dc",
        identifier="oai:eprints.tirtasamudra.example:182",
    )
    assert "status=pub" in [bytes.fromhex(spec).decode() for spec in texts(root, ".//o:setSpec")]
    assert texts(root, ".//dc:type") == ["Thesis", "NonPeerReviewed"]
    assert texts(root, ".//dc:relation")[0] == f"{members.base}/tirta-samudra/182/"
    assert texts(root, ".//dc:date") == ["2020-08"]
    *files, citation = texts(root, ".//dc:identifier")
    assert all(re.fullmatch(r"http://\S+/tirta-samudra/182/\d/\S+\.pdf", file) for file in files)
    assert citation.startswith("Lim, Stefanus Hartanto (2020) Bahasa Perdagangan di Pecinan Lasem")


def test_eprints_leaves_the_sets_out_of_deleted_headers(members: SampleServer) -> None:
    headers = list(Sickle(members.url_of("tirta-samudra")).ListIdentifiers(metadataPrefix="oai_dc"))
    assert {bool(header.setSpecs) for header in headers if header.deleted} == {False}
    assert all(header.setSpecs for header in headers if not header.deleted)


def test_dspace_sends_the_year_of_issue_last_and_counts_pages(members: SampleServer) -> None:
    first, second = walk(members, "arunika", verb="ListRecords", metadataPrefix="oai_dc")
    token = first.find(".//o:resumptionToken", NS)
    assert token is not None
    assert (token.text, token.get("cursor"), token.get("completeListSize")) == ("oai_dc////100", "0", "150")
    last = second.find(".//o:resumptionToken", NS)
    assert last is not None
    assert (last.text, last.get("cursor")) == (None, "1")
    dates = texts(first.findall(".//oai_dc:dc", NS)[0], "dc:date")
    assert dates[0] == dates[1]
    assert dates[0].endswith("Z")
    assert len(dates[2]) <= 10


def test_ojs_names_the_language_of_titles_and_abstracts(members: SampleServer) -> None:
    root = ask(
        members,
        "kembang-nusa",
        verb="GetRecord",
        metadataPrefix="oai_dc",
        identifier="oai:ojs.jurnal.kembangnusa.example:article/3",
    )
    assert [title.get(LANG) for title in root.iterfind(".//dc:title", NS)] == ["id-ID", "en-US"]
    abstracts = list(root.iterfind(".//dc:description", NS))
    assert [abstract.get(LANG) for abstract in abstracts] == ["id-ID", "en-US"]
    assert all(re.fullmatch("<p>.+</p>", str(abstract.text)) for abstract in abstracts)
    assert texts(root, ".//o:setSpec") == ["jak:ART", "driver"]
    assert texts(root, ".//dc:language") == ["ind"]
    assert texts(root, ".//dc:relation") == [f"{members.base}/kembang-nusa/index.php/jak/article/view/3/1003"]


def test_slims_dates_by_day_has_no_sets_and_writes_language_names(members: SampleServer) -> None:
    sickle = Sickle(members.url_of("wanasari"))
    assert sickle.Identify().granularity == "YYYY-MM-DD"
    with pytest.raises(NoSetHierarchy):
        sickle.ListSets()
    records = list(sickle.ListRecords(metadataPrefix="oai_dc"))
    assert {len(record.header.datestamp) for record in records} == {10}
    assert {language for record in records for language in record.metadata["language"]} == {"Indonesia", "English"}


@pytest.mark.parametrize("slug", SLUGS[:3])
def test_every_set_of_a_header_is_listed_and_each_set_holds_just_its_records(members: SampleServer, slug: str) -> None:
    sickle = Sickle(members.url_of(slug))
    listed = [item.setSpec for item in sickle.ListSets()]
    assert len(set(listed)) == len(listed)
    headers = list(sickle.ListIdentifiers(metadataPrefix="oai_dc"))
    assert {spec for header in headers for spec in header.setSpecs} <= set(listed)
    for spec in listed[:6]:
        inside = {h.identifier for h in headers if any(s == spec or s.startswith(f"{spec}:") for s in h.setSpecs)}
        if inside:
            found = sickle.ListIdentifiers(metadataPrefix="oai_dc", set=spec)
            assert {header.identifier for header in found} == inside


@pytest.mark.parametrize("slug", SLUGS)
def test_from_and_until_are_inclusive_in_a_member_s_own_granularity(members: SampleServer, slug: str) -> None:
    sickle = Sickle(members.url_of(slug))
    stamps = sorted(header.datestamp for header in sickle.ListIdentifiers(metadataPrefix="oai_dc"))
    low, high = stamps[len(stamps) // 3], stamps[len(stamps) // 2]
    window = {"metadataPrefix": "oai_dc", "from": low, "until": high}
    found = sorted(header.datestamp for header in sickle.ListIdentifiers(**window))
    assert found == [stamp for stamp in stamps if low <= stamp <= high]
    with pytest.raises(NoRecordsMatch):
        sickle.ListIdentifiers(**{"metadataPrefix": "oai_dc", "from": "2090-01-01"})


def test_the_day_form_of_until_holds_the_whole_day(seven: SampleServer) -> None:
    window = {"from_": "2020-01-02", "until": "2020-01-04"}
    assert numbers(ask(seven, verb="ListIdentifiers", metadataPrefix="oai_dc", **window)) == [2, 3, 4]


def test_a_set_brings_the_records_of_the_sets_below_it(seven: SampleServer) -> None:
    pages = walk(seven, "seven", verb="ListIdentifiers", metadataPrefix="oai_dc", set="art")
    assert [n for page in pages for n in numbers(page)] == [1, 3, 5, 7, 9]


def test_a_deleted_record_shows_its_header_alone(seven: SampleServer) -> None:
    root = ask(seven, verb="GetRecord", metadataPrefix="oai_dc", identifier="oai:seven.example:3")
    header = root.find(".//o:header", NS)
    assert header is not None
    assert header.get("status") == "deleted"
    assert root.find(".//o:metadata", NS) is None


def test_identify_and_formats_tell_what_the_repository_is(seven: SampleServer) -> None:
    root = ask(seven, verb="Identify")
    identify = root.find("o:Identify", NS)
    assert identify is not None
    assert {etree.QName(child).localname: child.text for child in identify} == {
        "repositoryName": "Seven",
        "baseURL": seven.url_of("seven"),
        "protocolVersion": "2.0",
        "adminEmail": "pustaka@anggota.example",
        "earliestDatestamp": "2020-01-01T12:00:00Z",
        "deletedRecord": "persistent",
        "granularity": "YYYY-MM-DDThh:mm:ssZ",
    }
    request = root.find("o:request", NS)
    assert request is not None
    assert (request.text, dict(request.attrib)) == (seven.url_of("seven"), {"verb": "Identify"})
    formats = ask(seven, verb="ListMetadataFormats", identifier="oai:seven.example:1")
    assert texts(formats, ".//o:metadataPrefix") == ["oai_dc"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["badVerb"]),
        ("verb=Destroy", ["badVerb"]),
        ("verb=Identify&verb=Identify", ["badVerb"]),
        ("verb=Identify&set=art", ["badArgument"]),
        ("verb=ListRecords", ["badArgument"]),
        ("verb=GetRecord", ["badArgument", "badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=oai_dc", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&resumptionToken=x", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=yesterday", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2020-02-30", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2020-01-01T00:00:00%2B07:00", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2020-01-05&until=2020-01-04", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2020-01-05&until=2020-01-06T00:00:00Z", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=marc&from=x", ["badArgument", "cannotDisseminateFormat"]),
        ("verb=GetRecord&metadataPrefix=marc&identifier=none", ["cannotDisseminateFormat", "idDoesNotExist"]),
        ("verb=ListMetadataFormats&identifier=none", ["idDoesNotExist"]),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=a%00b", ["badArgument", "idDoesNotExist"]),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=%FF%FE", ["idDoesNotExist"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=none", ["noRecordsMatch"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2021-01-01", ["noRecordsMatch"]),
        ("verb=ListRecords&resumptionToken=x", ["badResumptionToken"]),
        ("verb=ListSets&resumptionToken=x", ["badResumptionToken"]),
    ],
)
def test_what_is_wrong_with_a_request_is_told_all_of_it(seven: SampleServer, query: str, expected: list[str]) -> None:
    for response in (
        requests.get(f"{seven.url_of('seven')}?{query}", timeout=10),
        requests.post(
            seven.url_of("seven"),
            data=query,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=10,
        ),
    ):
        assert response.status_code == 200
        root = etree.fromstring(response.content)
        assert codes(root) == expected
        request = root.find("o:request", NS)
        assert request is not None
        assert bool(request.attrib) == (not {"badVerb", "badArgument"} & set(expected))


def test_dates_before_the_first_record_and_in_the_future_are_no_errors(seven: SampleServer) -> None:
    pages = walk(
        seven, "seven", verb="ListIdentifiers", metadataPrefix="oai_dc", from_="1990-01-01", until="2090-01-01"
    )
    assert [n for page in pages for n in numbers(page)] == list(range(1, 11))


def test_a_day_repository_refuses_seconds() -> None:
    days = tuple(replace(record, datestamp=record.datestamp[:10]) for record in records_of(10).records)
    with serve([records_of(10, records=days, granularity="YYYY-MM-DD", sets=())]) as server:
        listing = {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"}
        assert codes(ask(server, **listing, from_="2020-01-02T00:00:00Z")) == ["badArgument"]
        assert numbers(ask(server, **listing, from_="2020-01-02", until="2020-01-03")) == [2, 3]
        assert codes(ask(server, **listing, set="art")) == ["noSetHierarchy"]
        assert texts(ask(server, verb="Identify"), ".//o:earliestDatestamp") == ["2020-01-01"]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_pages_follow_each_other_without_gap_and_the_last_token_is_empty(platform: Platform) -> None:
    with serve([records_of(8, platform=platform)]) as server:
        pages = list(walk(server, "seven", verb="ListRecords", metadataPrefix="oai_dc", from_="2020-01-01"))
        assert [numbers(page) for page in pages] == [[1, 2, 3, 4], [5, 6, 7, 8]]
        first, last = (page.find(".//o:resumptionToken", NS) for page in pages)
        assert first is not None
        assert last is not None
        assert (first.get("completeListSize"), last.get("completeListSize")) == ("8", "8")
        assert first.get("cursor") == "0"
        assert last.text is None
        again = ask(server, verb="ListIdentifiers", resumptionToken=str(first.text))
        assert numbers(again) == [5, 6, 7, 8]
        assert codes(ask(server, verb="ListSets", resumptionToken=str(first.text))) == ["badResumptionToken"]
        broken = str(first.text)[:-1] + "!"
        assert codes(ask(server, verb="ListRecords", resumptionToken=broken)) == ["badResumptionToken"]


@pytest.mark.parametrize("position", ["0", "-4", "8", "99"])
def test_a_token_that_points_outside_its_list_is_bad(position: str) -> None:
    with serve([records_of(8, platform="dspace")]) as server:
        root = ask(server, verb="ListRecords", resumptionToken=f"oai_dc////{position}")
        assert codes(root) == ["badResumptionToken"]


def test_a_list_in_one_part_has_no_token_and_sets_are_paged_like_records() -> None:
    with serve([records_of(4, sets=tuple((f"s{i}", f"Set {i}") for i in range(6)))]) as server:
        only = ask(server, verb="ListRecords", metadataPrefix="oai_dc")
        assert only.find(".//o:resumptionToken", NS) is None
        pages = list(walk(server, "seven", verb="ListSets"))
        assert [len(texts(page, ".//o:setSpec")) for page in pages] == [4, 2]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "////",
        "oai_dc////-1",
        "oai_dc////١",
        "oai_dc////0100",
        "zz",
        "%25",
        "b2Zmc2V0",
        "b2Zmc2V0PTA0",
        "offset=04",
    ],
)
def test_a_token_that_no_repository_wrote_is_not_read(platform: Platform, token: str) -> None:
    state = find_state(platform, token)
    assert state is None or format_token(platform, state) == token
    full = ListState("oai_dc", "2020-01-01", "2020-02-01", "a:b&c", 40)
    assert find_state(platform, format_token(platform, full)) == full


def test_an_eprints_token_may_be_sent_as_it_stands_or_encoded_once() -> None:
    with serve([records_of(8, platform="eprints")]) as server:
        root = ask(server, verb="ListRecords", metadataPrefix="oai_dc")
        token = root.findtext(".//o:resumptionToken", "", NS)
        for sent in (token, quote(token, safe="")):
            url = f"{server.url_of('seven')}?verb=ListRecords&resumptionToken={sent}"
            assert numbers(etree.fromstring(requests.get(url, timeout=10).content)) == [5, 6, 7, 8]


def test_an_eprints_list_loses_nothing_when_records_vanish_before_its_position() -> None:
    with serve([records_of(8, platform="eprints")]) as server:
        root = ask(server, verb="ListRecords", metadataPrefix="oai_dc")
        token = root.findtext(".//o:resumptionToken", "", NS)
        server.replace(records_of(8, platform="eprints", records=records_of(8).records[2:]))
        assert numbers(ask(server, verb="ListRecords", resumptionToken=token)) == [5, 6, 7, 8]


def test_a_replaced_repository_is_served_from_the_next_request_on(seven: SampleServer) -> None:
    assert numbers(ask(seven, verb="ListIdentifiers", metadataPrefix="oai_dc", from_="2020-01-10")) == [10]
    seven.replace(records_of(12))
    assert numbers(ask(seven, verb="ListIdentifiers", metadataPrefix="oai_dc", from_="2020-01-10")) == [10, 11, 12]
    assert requests.get(f"{seven.base}/seven/12", timeout=10).ok


def test_text_is_escaped_and_characters_that_xml_forbids_are_left_out() -> None:
    record = SampleRecord(
        "oai:x:1", "2020-01-01T00:00:00Z", (), (("title", "a\x00\x0b<b> & ]]>\ufffe\ud800c", None),), page="/p"
    )
    with serve([SampleRepository("seven", "Seven", "/oai", (record,))]) as server:
        root = ask(server, verb="ListRecords", metadataPrefix="oai_dc")
        assert texts(root, ".//dc:title") == ["a<b> & ]]>c"]
        page = requests.get(f"{server.base}/p", timeout=10).text
        assert "&lt;b&gt; &amp;" in page
        assert "<b>" not in page


def test_head_has_no_body_unknown_paths_are_404_and_the_connection_stays_open(seven: SampleServer) -> None:
    with requests.Session() as session:
        head = session.head(f"{seven.url_of('seven')}?verb=Identify", timeout=10)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) > 500
        assert session.get(f"{seven.base}/elsewhere", timeout=10).status_code == 404
        assert session.post(seven.url_of("seven"), data={"verb": "Identify"}, timeout=10).status_code == 200
        assert seven.requests == 3
        pools = session.adapters["http://"].poolmanager.pools  # type: ignore[attr-defined]  # untyped in requests
        assert pools[next(iter(pools.keys()))].num_connections == 1


def test_a_post_that_does_not_say_how_long_it_is_is_refused(seven: SampleServer) -> None:
    with closing(HTTPConnection("127.0.0.1", seven.port, timeout=10)) as connection:
        connection.putrequest("POST", "/seven/oai")
        connection.endheaders()
        assert connection.getresponse().status == 411


def test_closing_the_server_cuts_connections_that_are_kept_alive() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serve([records_of(1)]))
        session = stack.enter_context(requests.Session())
        url = f"{server.url_of('seven')}?verb=Identify"
        assert session.get(url, timeout=10).ok
        server.close()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=10)


def test_a_taken_port_is_told_in_one_sentence(seven: SampleServer) -> None:
    with pytest.raises(ConfigError, match=f"port {seven.port} on 127.0.0.1 is taken by another program"):
        serve([], port=seven.port)


def test_latency_comes_before_the_answer() -> None:
    with serve([records_of(1)], latency=0.2) as server:
        assert requests.get(f"{server.base}/", timeout=10).elapsed.total_seconds() >= 0.2


def test_a_repository_of_twenty_thousand_real_records_is_served_whole(shared_data: Path) -> None:
    records = []
    with gzip.open(shared_data / "records" / "itb-digilib-a.jsonl.gz", "rt", encoding="utf-8") as lines:
        for n, line in enumerate(lines, 1):
            row = json.loads(line)
            dc = tuple((element, text, None) for element, values in row["dc"].items() for text in values)
            records.append(SampleRecord(f"oai:itb.example:{n}", f"2019-01-{n % 28 + 1:02d}T00:00:00Z", (), dc))
    big = SampleRepository("big", "Big", "/big/oai", tuple(records), page_size=500)
    with serve([big]) as server, requests.Session() as session:
        seen: set[str] = set()
        arguments = {"verb": "ListRecords", "metadataPrefix": "oai_dc"}
        while arguments:
            root = etree.fromstring(session.get(server.url_of("big"), params=arguments, timeout=30).content)
            seen.update(texts(root, ".//o:header/o:identifier"))
            token = root.findtext(".//o:resumptionToken", "", NS)
            arguments = {"verb": "ListRecords", "resumptionToken": token} if token else {}
        assert len(seen) == len(records) == 20_547
        assert server.requests == 42


def test_links_of_the_members_lead_to_the_server_that_they_were_made_for() -> None:
    for repository in sample_repositories("http://127.0.0.1:8090"):
        assert urlsplit(repository.path).path == repository.path
        own = [
            text
            for record in repository.records
            for _, text, _ in record.dc
            if text.startswith("http://127.0.0.1:8090/")
        ]
        assert len(own) >= len(repository.records)
        assert all(link.startswith(f"http://127.0.0.1:8090/{repository.slug}/") for link in own)
