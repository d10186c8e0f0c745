"""What the endpoint gives: formats, provenance, sets, tombstones, tokens, and nothing that an index could change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from oai_client import NS, Answer, walk
from sample_network import Network

from harvester.catalogue import open_catalogue
from harvester.catalogue.records import iter_records
from harvester.datestamps import format_datestamp, from_epoch
from web.app import create_app

_BATIK = "//o:record[.//dc:title[contains(., 'Coastal')]]"


@pytest.fixture
def resized(network: Network) -> Iterator[object]:
    """Clients of the same network with parts of another size, or other keys."""
    apps: list[Flask] = []

    def make(**changes: object) -> FlaskClient:
        apps.append(create_app(network.settings.model_copy(update=changes)))
        return apps[-1].test_client()

    yield make
    for app in apps:
        app.extensions["lumbung"].close()


def test_the_feed_is_the_catalogue(client: FlaskClient, network: Network) -> None:
    catalogue = open_catalogue(network.settings.catalogue_url)
    held = {
        (
            f"oai:library.test:{record.member}/{record.id}",
            format_datestamp(from_epoch(record.datestamp)),
            record.deleted,
        )
        for record in iter_records(catalogue)
    }
    catalogue.close()
    for verb in ("ListIdentifiers", "ListRecords"):
        (only,) = walk(client, verb, metadataPrefix="oai_dc")
        assert set(only.headers) == held
        assert not only.all("//o:resumptionToken")
        stamps = [stamp for _, stamp, _ in only.headers]
        assert stamps == sorted(stamps)


def test_a_record_is_in_our_normalised_dublin_core(client: FlaskClient) -> None:
    found = Answer(client, verb="ListRecords", metadataPrefix="oai_dc", set="member:alfa")

    def texts(name: str) -> list[str]:
        return found.all(f"{_BATIK}//dc:{name}")

    assert texts("title") == ["Batik Pesisir: Sejarah & Makna <Motif>", "Coastal Batik: History and Meaning"]
    assert texts("creator") == ["Widjaja, Siti Nur", "Santoso, Budi"]
    assert texts("date") == ["2019-03-12"]
    assert texts("type") == ["article", "Text"]
    assert texts("language") == ["id"]
    assert texts("identifier") == ["https://alfa.example/batik/1", "https://doi.org/10.5555/alfa.2019_1"]
    assert texts("rights") == ["https://creativecommons.org/licenses/by/4.0/"]


def test_every_live_record_names_where_it_came_from(client: FlaskClient) -> None:
    found = Answer(client, verb="ListRecords", metadataPrefix="oai_dc")
    assert len(found.all("//o:record[o:metadata]")) == len(found.all("//p:provenance"))
    origin = f"{_BATIK}[.//p:baseURL='https://alfa.example/oai']//p:originDescription"
    assert found.one(f"{origin}/p:identifier") == "oai:batik"
    assert found.one(f"{origin}/p:datestamp") == "2026-01-01"
    assert found.one(f"{origin}/@harvestDate") == "2026-11-01T00:00:00Z"
    assert found.one(f"{origin}/@altered") == "true"
    as_sent = Answer(client, verb="ListRecords", metadataPrefix="source_oai_dc")
    assert set(as_sent.all("//p:originDescription/@altered")) == {"false"}


def test_qualified_dublin_core_says_what_a_value_is(client: FlaskClient) -> None:
    found = Answer(client, verb="ListRecords", metadataPrefix="qdc", set="member:alfa")
    schemes = {each.rpartition(":")[2] for each in found.all("//o:metadata//@xsi:type")}
    assert schemes == {"W3CDTF", "URI", "DCMIType", "RFC4646"}
    batik = "//o:record[.//dc:title[contains(., 'Batik')]]"
    assert found.all(f"{batik}//dcterms:alternative") == ["Coastal Batik: History and Meaning"]
    assert found.all(f"{batik}//dcterms:issued[@xsi:type='dcterms:W3CDTF']") == ["2019-03-12"]
    assert found.all(f"{batik}//dcterms:license") == ["https://creativecommons.org/licenses/by/4.0/"]
    assert len(found.all("//o:record[o:metadata]")) == len(found.all("//p:provenance"))


def test_a_deleted_record_has_header_and_sets_only(client: FlaskClient, network: Network) -> None:
    for prefix in ("oai_dc", "marcxml", "qdc", "source_oai_dc"):
        name = f"oai:library.test:alfa/{network.id_of('gone')}"
        found = Answer(client, verb="GetRecord", metadataPrefix=prefix, identifier=name)
        assert found.headers[0][2]
        assert found.all("//o:setSpec") == ["member:alfa", "type:other", "region:jawa-tengah"]
        assert not found.all("//o:metadata | //o:about")


def test_what_the_member_sent_is_given_as_it_was(client: FlaskClient) -> None:
    found = Answer(client, verb="ListRecords", metadataPrefix="source_oai_dc", set="member:alfa")
    assert "javascript:alert(1)" in found.all("//dc:identifier")
    assert found.all("//o:record[.//dc:title[contains(., 'Coastal')]]//dc:identifier")[-1] == "10.5555/alfa.2019_1"


def test_formats_are_told_in_all_and_of_one_item(client: FlaskClient, network: Network) -> None:
    found = Answer(client, verb="ListMetadataFormats")
    assert found.all("//o:metadataPrefix") == ["oai_dc", "marcxml", "qdc", "source_oai_dc"]
    for (namespace,) in zip(found.all("//o:metadataFormat[position()<4]/o:metadataNamespace"), strict=True):
        record = Answer(
            client,
            verb="GetRecord",
            metadataPrefix={"dc/": "oai_dc", ".0/": "qdc"}.get(namespace[-3:], "marcxml"),
            identifier=f"oai:library.test:alfa/{network.id_of('batik')}",
        )
        payload = record.root.find(".//o:metadata", NS)[0]
        assert payload.tag.startswith(f"{{{namespace}}}")
        schema = found.one(f"//o:metadataFormat[o:metadataNamespace='{namespace}']/o:schema")
        located = payload.get("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation")
        assert located == f"{namespace} {schema}"


def test_sets_are_listed_with_their_parents_and_hold_what_headers_say(client: FlaskClient) -> None:
    specs = [spec for part in walk(client, "ListSets") for spec in part.all("//o:setSpec")]
    assert len(specs) == len(set(specs))
    assert {spec.rpartition(":")[0] for spec in specs} - {""} <= set(specs)
    assert {"member:alfa", "member:beta", "member:gama", "type:thesis", "access:open"} <= set(specs)
    assert specs[-1] == "region:jawa-tengah"
    everything = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc")
    for spec in specs:
        inside = f"//o:header[o:setSpec[.='{spec}' or starts-with(., '{spec}:')]]/o:identifier"
        wanted = everything.all(inside)
        found = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc", set=spec)
        assert [name for name, _, _ in found.headers] == wanted
        assert found.codes == ([] if wanted else ["noRecordsMatch"])


@pytest.mark.parametrize("size", [1, 7, 20, 30, 60, 61])
def test_parts_make_the_whole_and_the_last_one_says_so(resized, client: FlaskClient, size: int) -> None:  # type: ignore[no-untyped-def]
    (whole,) = walk(client, "ListIdentifiers", metadataPrefix="oai_dc")
    total = len(whole.headers)
    assert total == 60
    parts = walk(resized(oai_part=size), "ListIdentifiers", metadataPrefix="oai_dc")
    assert [header for part in parts for header in part.headers] == whole.headers
    assert len(parts) == -(-total // size)
    if size < total:
        assert [part.one("//o:resumptionToken/@cursor") for part in parts] == [str(n * size) for n in range(len(parts))]
        assert {part.one("//o:resumptionToken/@completeListSize") for part in parts} == {str(total)}
        assert parts[-1].token == ""
    else:
        assert not parts[0].all("//o:resumptionToken")


@pytest.mark.parametrize("spec", ["member:alfa", "region", "region:jawa-tengah", "type:thesis"])
def test_a_set_in_parts_tells_its_size_and_a_window_of_it_too(resized, client: FlaskClient, spec: str) -> None:  # type: ignore[no-untyped-def]
    whole = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc", set=spec).headers
    stamps = sorted(stamp for _, stamp, _ in whole)
    for window in ({}, {"from_": stamps[1]}, {"until": stamps[-2]}, {"from_": stamps[1], "until": stamps[-2]}):
        inside = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc", set=spec, **window).headers
        parts = walk(resized(oai_part=1), "ListIdentifiers", metadataPrefix="oai_dc", set=spec, **window)
        assert [header for part in parts for header in part.headers] == inside
        sizes = {size for part in parts for size in part.all("//o:resumptionToken/@completeListSize")}
        assert sizes == ({str(len(inside))} if len(inside) > 1 else set())


def test_sets_come_in_parts_too(resized, client: FlaskClient) -> None:  # type: ignore[no-untyped-def]
    whole = [spec for part in walk(client, "ListSets") for spec in part.all("//o:setSpec")]
    for size in (1, 4, 15, 16, 17, len(whole)):
        parts = walk(resized(oai_part=size), "ListSets")
        assert [spec for part in parts for spec in part.all("//o:setSpec")] == whole
        assert len(parts) == -(-len(whole) // size)


def test_a_token_is_for_ever_and_for_its_verb_and_key(resized) -> None:  # type: ignore[no-untyped-def]
    client = resized(oai_part=10)
    first = Answer(client, verb="ListRecords", metadataPrefix="oai_dc")
    assert len(first.token) < 300
    assert set(first.token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    again = [Answer(each, verb="ListRecords", resumptionToken=first.token) for each in (client, client)]
    rotated = Answer(resized(oai_part=10, secret_key="new x"), verb="ListRecords", resumptionToken=first.token)
    assert again[0].root.find("o:ListRecords", NS)[0][0][0].text == rotated.root.find("o:ListRecords", NS)[0][0][0].text
    assert again[0].http.data == again[1].http.data
    for wrong in (
        {"verb": "ListIdentifiers", "resumptionToken": first.token},
        {"verb": "ListSets", "resumptionToken": first.token},
    ):
        assert Answer(client, **wrong).codes == ["badResumptionToken"]
    for forged in (first.token[:-3], f"A{first.token[1:]}", first.token[:30] + "A" + first.token[31:], "é"):
        assert Answer(client, verb="ListRecords", resumptionToken=forged).codes == ["badResumptionToken"]
    assert Answer(resized(secret_key="other"), verb="ListRecords", resumptionToken=first.token).codes == [
        "badResumptionToken"
    ]


def test_windows_are_inclusive_in_both_granularities(client: FlaskClient) -> None:
    everything = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc").headers
    stamps = sorted({stamp for _, stamp, _ in everything})
    assert len(stamps) > 1
    for from_ in (stamps[0], stamps[1], stamps[-1]):
        for until in (stamps[1], stamps[-1]):
            for cut in (20, 10):
                one, other = from_[:cut], until[:cut]
                wanted = [each for each in everything if one <= each[1][:cut] <= other]
                if one <= other:
                    found = Answer(client, verb="ListIdentifiers", metadataPrefix="oai_dc", from_=one, until=other)
                    assert found.headers == wanted
                    assert found.codes == ([] if wanted else ["noRecordsMatch"])


def test_an_index_that_is_gone_changes_no_byte(network: Network, tmp_path: Path) -> None:
    shutil.copytree(network.settings.home, tmp_path, dirs_exist_ok=True)
    settings = network.settings.model_copy(update={"home": tmp_path})
    app = create_app(settings)
    client = app.test_client()

    def feed() -> bytes:
        requests = ("ListRecords&metadataPrefix=oai_dc", "ListRecords&metadataPrefix=marcxml", "ListSets")
        return b"".join(client.get(f"/oai?verb={request}").data.partition(b"<request")[2] for request in requests)

    before = feed()
    shutil.rmtree(settings.index_path)
    assert feed() == before
    app.extensions["lumbung"].close()


def test_a_network_with_no_records_answers_truly(tmp_path: Path) -> None:
    from harvester.settings import Settings

    app = create_app(Settings(home=tmp_path, base_url="http://127.0.0.1:8080"))
    client = app.test_client()
    assert Answer(client, verb="ListRecords", metadataPrefix="oai_dc").codes == ["noRecordsMatch"]
    assert (
        Answer(client, verb="Identify").one("//*[local-name()='repositoryIdentifier']") == "p8080.h127-0-0-1.localhost"
    )
    assert Answer(client, verb="Identify").one("//o:earliestDatestamp") == "1970-01-01T00:00:00Z"
    assert not Answer(client, verb="ListSets").codes
    app.extensions["lumbung"].close()
