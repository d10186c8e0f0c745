"""The endpoint speaks the protocol: verbs, errors, HTTP. Every answer is validated by the official schemas."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from oai_client import NS, Answer, official_schema
from sample_network import Network

from harvester.settings import Settings
from web.app import create_app


@pytest.mark.service
def test_the_official_schemas_are_here() -> None:
    assert official_schema()


@pytest.fixture
def sample(network: Network) -> str:
    return f"oai:library.test:alfa/{network.id_of('batik')}"


def test_every_verb_answers_alike_by_get_and_post(client: FlaskClient, sample: str) -> None:
    requests: list[dict[str, str]] = [
        {"verb": "Identify"},
        {"verb": "ListMetadataFormats"},
        {"verb": "ListMetadataFormats", "identifier": sample},
        {"verb": "ListSets"},
        {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"},
        {"verb": "ListRecords", "metadataPrefix": "marcxml", "set": "member:alfa"},
        {"verb": "ListRecords", "metadataPrefix": "source_oai_dc"},
        {"verb": "GetRecord", "metadataPrefix": "oai_dc", "identifier": sample},
    ]
    for request in requests:
        by_get, by_post = Answer(client, **request), Answer(client, post=True, **request)
        assert not by_get.codes
        assert dict(by_get.root.find("o:request", NS).attrib) == request
        assert by_get.http.data.partition(b"<request")[2] == by_post.http.data.partition(b"<request")[2]


def test_identify_tells_who_we_are(client: FlaskClient) -> None:
    told = Answer(client, verb="Identify")
    assert told.one("//o:baseURL") == "http://library.test/oai"
    assert told.one("//o:adminEmail") == "pustaka@library.test"
    assert told.one("//o:deletedRecord") == "persistent"
    assert told.one("//o:granularity") == "YYYY-MM-DDThh:mm:ssZ"
    assert told.one("//*[local-name()='repositoryIdentifier']") == "library.test"
    assert told.all("//*[local-name()='friends']/*") == [
        f"https://{name}.example/oai" for name in ("alfa", "beta", "gama")
    ]
    described = [element[0].tag.partition("}")[2] for element in told.root.iter(f"{{{NS['o']}}}description")]
    assert described == ["oai-identifier", "eprints", "friends", "branding", "rightsManifest"]
    stamps = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc").headers
    assert told.one("//o:earliestDatestamp") == min(stamp for _, stamp, _ in stamps)


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("", ["badVerb"]),
        ("verb=", ["badVerb"]),
        ("verb=Nonsense", ["badVerb"]),
        ("verb=Identify&verb=Identify", ["badVerb"]),
        ("verb=identify", ["badVerb"]),
        ("verb=Identify&x=1", ["badArgument"]),
        ("verb=Identify&x=1&y=2", ["badArgument"] * 2),
        ("verb=ListRecords", ["badArgument"]),
        ("verb=GetRecord", ["badArgument"] * 2),
        ("verb=GetRecord&identifier=&metadataPrefix=oai_dc", ["badArgument"]),
        ("verb=GetRecord&identifier=oai:x:1&metadataPrefix=nope", ["idDoesNotExist", "cannotDisseminateFormat"]),
        ("verb=ListMetadataFormats&identifier=oai:x:1", ["idDoesNotExist"]),
        ("verb=ListMetadataFormats&identifier=", ["badArgument"]),
        ("verb=ListSets&resumptionToken=", ["badArgument"]),
        ("verb=ListRecords&resumptionToken=", ["badArgument"]),
        ("verb=ListIdentifiers&metadataPrefix=oai_dc&until=1969-12-31", ["noRecordsMatch"]),
        *(
            (f"verb=GetRecord&metadataPrefix=oai_dc&identifier={odd}", ["idDoesNotExist"])
            for odd in ("%25zz", "http://%5B::", ":://%5B", "a%20b", "http://a:b/", "%C3%A4:1", "oai:x:%C3%A4", "x")
        ),
        ("verb=ListRecords&metadataPrefix=nope", ["cannotDisseminateFormat"]),
        ("verb=ListRecords&metadataPrefix=nope&set=nope", ["cannotDisseminateFormat", "noRecordsMatch"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=member", []),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=member:", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=type:cheese", ["noRecordsMatch"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=oai_dc", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-02-30", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026&until=x", ["badArgument"] * 2),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01T00:00:00%2B07:00", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01T00:00:00.5Z", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01&until=2026-01-01T00:00:00Z", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-02&until=2026-01-01", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=0001-01-01", []),
        ("verb=ListRecords&metadataPrefix=oai_dc&until=9999-12-31", []),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=9999-12-31", ["noRecordsMatch"]),
        ("verb=ListRecords&resumptionToken=x", ["badResumptionToken"]),
        ("verb=ListSets&resumptionToken=x", ["badResumptionToken"]),
        ("verb=ListRecords&resumptionToken=x&metadataPrefix=oai_dc", ["badArgument"]),
        ("verb=ListRecords&metadataPrefix=%00", ["badArgument"] * 2),
        ("verb=ListRecords&metadataPrefix=%FF%FE", ["badArgument"] * 2),
        ("verb=%EF%BF%BF", ["badVerb"]),
        ("%01=%02&verb=Identify", ["badArgument"] * 2),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:library.test:alfa/%F0%9F%92%A9", ["idDoesNotExist"]),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=%3C%26%22'%3E", ["idDoesNotExist"]),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=" + "a" * 100_000, ["badArgument"]),
        ("verb=Identify" + "&a=1" * 1000, ["badArgument"]),
    ],
)
def test_whatever_is_asked_gets_an_answer_that_tells_all_that_is_wrong(
    client: FlaskClient, query: str, codes: list[str]
) -> None:
    for post in (False, True):
        answer = Answer(client, post=post, raw=query)
        assert answer.codes == codes
        assert all(len(text) > 20 for text in answer.all("//o:error"))
        if {"badVerb", "badArgument"} & set(codes):
            assert not answer.root.find("o:request", NS).attrib


def test_a_browser_gets_a_page_and_every_other_client_xml(client: FlaskClient) -> None:
    shown = client.get("/oai?verb=Identify", headers={"Sec-Fetch-Dest": "document"})
    assert shown.mimetype == "text/html"
    assert "http://library.test/oai" in shown.text
    for headers in ({"Accept": "text/html"}, {"Sec-Fetch-Dest": "empty"}, {"User-Agent": "Mozilla/5.0"}, {}):
        answer = client.get("/oai?verb=Identify", headers=headers)
        assert answer.mimetype == "text/xml"
        assert "Sec-Fetch-Dest" in answer.vary


def test_http_is_as_harvesters_and_browsers_need_it(client: FlaskClient) -> None:
    plain = client.get("/oai?verb=Identify")
    packed = client.get("/oai?verb=Identify", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data).partition(b"<request")[2] == plain.data.partition(b"<request")[2]
    assert "Accept-Encoding" in plain.vary
    head = client.head("/oai?verb=Identify")
    assert (head.status_code, head.data) == (200, b"")
    assert head.content_length == plain.content_length
    options = client.options("/oai")
    assert options.status_code == 204
    assert set(options.allow) == {"GET", "HEAD", "POST", "OPTIONS"}
    assert {each.headers["Access-Control-Allow-Origin"] for each in (plain, head, options)} == {"*"}


def test_a_catalogue_that_is_away_is_a_matter_of_http(tmp_path: Path) -> None:
    (tmp_path / "catalogue.sqlite").mkdir()
    app = create_app(Settings(home=tmp_path))
    answer = app.test_client().get("/oai?verb=Identify")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    app.extensions["lumbung"].close()
