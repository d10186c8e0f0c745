"""Bytes are a proved page, or say in one sentence what they are instead."""

from __future__ import annotations

import gzip
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from harvester.errors import MalformedResponseError
from harvester.oai.page import FailedRecord, Header, Page, Record, ResumptionToken, parse_page

NS = 'xmlns="http://www.openarchives.org/OAI/2.0/"'
HEADER = "<header><identifier>oai:x:1</identifier><datestamp>2024-01-02</datestamp></header>"
RECORD = f"<record>{HEADER}<metadata><dc><title>A</title></dc></metadata></record>"


def response(inner: str, *, namespace: str = NS, before: str = "") -> bytes:
    return (f"{before}<OAI-PMH {namespace}><responseDate>2024-05-01T00:00:00Z</responseDate>{inner}</OAI-PMH>").encode()


def list_of(*records: str, tail: str = "", **others: str) -> Page:
    return parse_page(response(f"<ListRecords>{''.join(records)}{tail}</ListRecords>", **others))


def record_of(header: str = HEADER, rest: str = "<metadata><a/></metadata>") -> Page:
    return list_of(f"<record>{header}{rest}</record>")


def test_a_page_holds_its_verb_date_records_and_token() -> None:
    page = list_of(RECORD, tail='<resumptionToken cursor="3" completeListSize="9">next</resumptionToken>')
    assert (page.verb, page.response_date, page.size) == ("ListRecords", "2024-05-01T00:00:00Z", 1)
    assert page.token == ResumptionToken("next", 3, 9)
    assert page.records[0].header == Header("oai:x:1", "2024-01-02")
    assert len(page.records[0].hash) == 16
    assert not page.failed
    assert not page.errors


def test_namespaces_may_be_missing_or_foreign() -> None:
    expected = [record.header for record in list_of(RECORD).records]
    for namespace in ("", 'xmlns="urn:other"'):
        assert [record.header for record in list_of(RECORD, namespace=namespace).records] == expected
    prefixed = response(f"<ListRecords>{RECORD}</ListRecords>").decode()
    for name in ("OAI-PMH", "ListRecords", "record", "header", "identifier", "datestamp", "responseDate"):
        prefixed = prefixed.replace(f"<{name}", f"<o:{name}").replace(f"</{name}>", f"</o:{name}>")
    page = parse_page(prefixed.replace("xmlns=", "xmlns:o=").encode())
    assert [record.header for record in page.records] == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("<header><identifier> a\n</identifier></header>", Header("a", "")),
        ("<header><identifier>a</identifier><datestamp/></header>", Header("a", "")),
        (
            "<header><datestamp>2024</datestamp><setSpec>b:c</setSpec><identifier>a</identifier><setSpec>%</setSpec></header>",
            Header("a", "2024", ("b:c", "%")),
        ),
        ("<header><identifier><![CDATA[a&b]]></identifier></header>", Header("a&b", "")),
        ("<header><identifier>oai:<!-- c -->x<?p i?>:1</identifier></header>", Header("oai:x:1", "")),
        ("<header><other/><identifier>a b é</identifier></header>", Header("a b é", "")),
    ],
)
def test_every_shape_of_header_is_read(header: str, expected: Header) -> None:
    assert record_of(header).records[0].header == expected


@pytest.mark.parametrize("status", ["deleted", "Deleted", "DELETED", " deleted "])
def test_a_deleted_record_has_no_metadata_whatever_was_sent(status: str) -> None:
    header = HEADER.replace("<header", f'<header status="{status}"')
    for rest in ("", "<metadata><a/></metadata>"):
        (record,) = record_of(header, rest).records
        assert record.header.deleted
        assert (record.metadata, record.hash) == (None, b"")


def test_another_status_is_no_deletion() -> None:
    assert not record_of(HEADER.replace("<header", '<header status="new"')).records[0].header.deleted


def test_comments_and_instructions_are_passed_over() -> None:
    noise = "<!-- c --><?p i?>"
    page = list_of(
        noise,
        f"<record>{noise}{HEADER}<metadata>{noise}<a>1{noise}2</a>{noise}</metadata></record>",
        tail=f"{noise}<resumptionToken>to<!-- c -->ken</resumptionToken>",
        before=noise,
    )
    assert page.records[0].metadata is not None
    assert etree.fromstring(page.records[0].metadata).xpath("string()") == "12"
    assert page.next_token == "token"


@pytest.mark.parametrize(
    ("record", "identifier", "cause"),
    [
        ("<record><metadata><a/></metadata></record>", "", "identifier"),
        ("<record><header/><metadata><a/></metadata></record>", "", "identifier"),
        (
            "<record><header><identifier> </identifier></header><metadata><a/></metadata></record>",
            "",
            "identifier",
        ),
        (f"<record>{HEADER}</record>", "oai:x:1", "metadata"),
        (f"<record>{HEADER}<metadata/></record>", "oai:x:1", "metadata"),
        (f"<record>{HEADER}<metadata> text <!-- c --></metadata></record>", "oai:x:1", "metadata"),
    ],
)
def test_an_unusable_record_is_failed_and_its_page_stays(record: str, identifier: str, cause: str) -> None:
    page = list_of(RECORD.replace("oai:x:1", "good"), record)
    assert [each.header.identifier for each in page.records] == ["good"]
    assert [each.identifier for each in page.failed] == [identifier]
    assert cause in page.failed[0].cause
    assert page.size == 2


def test_listed_identifiers_need_no_metadata() -> None:
    page = parse_page(response(f"<ListIdentifiers>{HEADER}<header/></ListIdentifiers>"))
    assert page.records == (Record(Header("oai:x:1", "2024-01-02")),)
    assert page.failed == (FailedRecord("", "the record has no identifier", "no-identifier"),)


def test_a_payload_stands_on_its_own() -> None:
    payload = '<q:dc xsi:type="q:t" xml:lang="id"><t>é &amp; &lt;b&gt; \N{GRINNING FACE}</t></q:dc>'
    wrapper = f'<record xmlns:q="urn:q" xmlns:xsi="urn:xsi">{HEADER}<metadata>{payload}</metadata>'
    page = list_of(wrapper + '<about><p xmlns="urn:p"/></about><about><q:r/></about></record>')
    (record,) = page.records
    assert record.metadata is not None
    alone = etree.fromstring(record.metadata)
    assert alone.tag == "{urn:q}dc"
    assert alone[0].tag == "{http://www.openarchives.org/OAI/2.0/}t"
    assert alone[0].text == "é & <b> \N{GRINNING FACE}"
    assert alone.nsmap[alone.get("{urn:xsi}type", "").split(":")[0]] == "urn:q"
    assert [etree.fromstring(about).tag for about in record.abouts] == ["{urn:p}p", "{urn:q}r"]


def test_the_hash_tells_payloads_apart_and_nothing_else() -> None:
    same, other = record_of(rest="<metadata> <a/>tail\n</metadata>"), record_of(rest="<metadata><a>1</a></metadata>")
    redated = record_of(HEADER.replace("2024-01-02", "2025"))
    plain = record_of().records[0].hash
    assert [same.records[0].hash == plain, redated.records[0].hash == plain] == [True, True]
    assert other.records[0].hash != plain


@pytest.mark.parametrize("token", ["a+b/c=&d% e", "%2B%20", "////800", "a!b!c!", "é\N{GRINNING FACE}", "x" * 3000])
def test_a_token_is_opaque(token: str) -> None:
    page = list_of(RECORD, tail=f"<resumptionToken> {token.replace('&', '&amp;')}\n</resumptionToken>")
    assert page.next_token == token


@pytest.mark.parametrize(
    ("attributes", "cursor", "size"),
    [
        ('cursor="" completeListSize=""', None, None),
        ("", None, None),
        ('cursor="0" completeListSize=" 12 "', 0, 12),
        ('cursor="-1" completeListSize="12,000"', None, None),
        ('cursor="\u0663" completeListSize="99999999999999999999"', None, None),
    ],
)
def test_the_numbers_of_a_token_are_hints(attributes: str, cursor: int | None, size: int | None) -> None:
    page = list_of(RECORD, tail=f"<resumptionToken {attributes}/>")
    assert page.token == ResumptionToken("", cursor, size)
    assert page.next_token == ""


def test_errors_are_read_with_their_words() -> None:
    page = parse_page(response('<error code="badVerb"> no </error><error>what</error>'))
    assert (page.verb, page.errors) == ("", (("badVerb", "no"), ("unknown", "what")))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"<!DOCTYPE html><html><body>Login<br></body></html>", "HTML"),
        (b"  <HTML><p>Down", "HTML"),
        (b"<html><body/></html>", "root is <html>"),
        (b"Service unavailable", "not well-formed"),
        (response(f"<ListRecords>{RECORD}</ListRecords>")[:-40], "not well-formed"),
        (response("<ListRecords>\x0b</ListRecords>"), "not well-formed"),
        (response("<ListRecords>") + b"\xff", "not well-formed"),
        (b"<b>Warning</b>" + response("<Identify/>"), "not well-formed"),
        (b"<OAI-PMH/>", "neither"),
        (response("<Records/>"), "neither"),
        (b'<?xml version="1.0" encoding="nonsense"?>' + response("<Identify/>"), "not well-formed"),
        (response("<ListRecords/><ListRecords/>"), "twice"),
    ],
)
def test_what_is_no_answer_is_named_in_one_sentence(body: bytes, words: str) -> None:
    with pytest.raises(MalformedResponseError, match=words) as caught:
        parse_page(body, url="http://x.example/oai")
    assert caught.value.url == "http://x.example/oai"
    assert "\n" not in str(caught.value)


BOMB = "<!DOCTYPE OAI-PMH [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {new} '{f'&{old};' * 10}'>" for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("before", "inside"),
    [
        (BOMB + "]>", "&k;"),
        (BOMB + "]>", '<a b="&k;"/>'),
        ("<!DOCTYPE OAI-PMH [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "&a;"),
        ("<!DOCTYPE OAI-PMH [<!ENTITY % a SYSTEM 'file:///etc/passwd'>%a;]>", "1"),
        ("<!DOCTYPE OAI-PMH SYSTEM 'http://127.0.0.1:9/x.dtd'>", "caf&eacute;"),
    ],
)
def test_entities_are_refused_at_once(before: str, inside: str) -> None:
    record = f"<record>{HEADER}<metadata><a>{inside}</a></metadata></record>"
    began = time.monotonic()
    with pytest.raises(MalformedResponseError):
        list_of(record, before=before)
    assert time.monotonic() - began < 1


def test_a_document_type_that_declares_nothing_is_harmless() -> None:
    assert list_of(RECORD, before='<!DOCTYPE OAI-PMH SYSTEM "http://127.0.0.1:9/x.dtd">').size == 1


def test_depth_and_text_are_bounded() -> None:
    for inside in ("<a>" * 5000 + "</a>" * 5000, "x" * 10_100_000):
        with pytest.raises(MalformedResponseError):
            list_of(f"<record>{HEADER}<metadata><a>{inside}</a></metadata></record>")


def page_or_malformed(body: bytes) -> None:
    try:
        page = parse_page(body)
    except MalformedResponseError:
        return
    assert page.verb or page.errors
    for record in page.records:
        assert record.header.identifier
        if record.metadata is not None:
            etree.fromstring(record.metadata)


@given(st.binary(max_size=300) | st.text(alphabet="<>/&;!?[]ab \0\x0b\ufffe'\"=é", max_size=80).map(str.encode))
def test_any_bytes_are_a_page_or_malformed(body: bytes) -> None:
    page_or_malformed(body)
    page_or_malformed(response("<ListRecords>") + body + b"</ListRecords></OAI-PMH>")


@cache
def real_bodies(shared_data: Path) -> list[bytes]:
    files = sorted((shared_data / "oai").rglob("*.xml*"))
    bodies = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]
    return [body for body in bodies if len(body) < 300_000]


def test_real_answers_are_pages_or_malformed(shared_data: Path) -> None:
    pages = 0
    for body in real_bodies(shared_data):
        page_or_malformed(body)
        try:
            pages += bool(parse_page(body).size)
        except MalformedResponseError:
            continue
    assert pages > 50


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_real_answers_mutated_are_pages_or_malformed(shared_data: Path, data: st.DataObject) -> None:
    bodies = [body for body in real_bodies(shared_data) if len(body) < 20_000]
    body = bytearray(data.draw(st.sampled_from(bodies)))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 40)))
        body[start:end] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"<record>", b"</record>", b"&x;", b"<!DOCTYPE a [", b"]]>", b""])
        )
    page_or_malformed(bytes(body))
