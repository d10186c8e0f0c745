"""A page with a known fault is read as it was meant, or what is whole in it is; nothing is made up."""

from __future__ import annotations

import gzip
import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from harvester.errors import MalformedResponseError, RefusedError
from harvester.oai.page import Page, ResumptionToken, parse_page
from harvester.oai.repair import Reading, read_page

NS = 'xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
TOKEN = '<resumptionToken cursor="0" completeListSize="9">a&amp;b</resumptionToken>'
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def record(title: str, identifier: str = "oai:x:1") -> str:
    header = f"<header><identifier>{identifier}</identifier><datestamp>2024-01-02</datestamp></header>"
    return f"<record>{header}<metadata><m><dc:title>{title}</dc:title></m></metadata></record>"


def text_of(*records: str, tail: str = TOKEN, namespaces: str = NS) -> str:
    start = f"<OAI-PMH {namespaces}><responseDate>2024-05-01T00:00:00Z</responseDate>"
    return f"{start}<ListRecords>{''.join(records)}{tail}</ListRecords></OAI-PMH>"


RECORDS = [record(f"T{n} &amp; &#233;", f"oai:x:{n}") for n in range(5)]


def title_of(reading: Reading) -> str | None:
    metadata = reading.page.records[0].metadata
    assert metadata is not None
    return etree.fromstring(metadata).findtext("{*}title")


def shown(page: Page) -> tuple[object, ...]:
    return page.verb, page.response_date, page.records, page.failed, page.token, page.errors


@pytest.mark.parametrize(
    ("sent", "meant", "repair"),
    [
        ("a\x0bb\x1ac\x00\x7f", "abc\x7f", "control-characters"),
        ("a\ufffeb\uffff", "ab", "control-characters"),
        ("a&#x1a;b&#0;c&#xFFFE;d&#1114112;&#99999999999999999999;", "abcd", "control-characters"),
        (f"a&#000000000065;\x03&#{'9' * 5000};", "aA", "control-characters"),
        ("a&#xD83D;&#xDE00;b&#55357;c", "a\N{GRINNING FACE}bc", "control-characters"),
        ("caf&eacute;&nbsp;&ndash; &lt;b&gt;&amp;&quot;&apos;", "café\xa0– <b>&\"'", "entities"),
        ("&LT;i&gt; &AMP;amp; &#X41; &hellip;", "<i> &amp; A …", "entities"),
        ("R&D, AT&T; a && b &# &#x; &lt;", "R&D, AT&T; a && b &# &#x; <", "bare-ampersand"),
        ("?a=1&copy=2&lt", "?a=1&copy=2&lt", "bare-ampersand"),
        ("p < 0.05, <5 << x<=y </ <! <", "p < 0.05, <5 << x<=y </ <! <", "bare-less-than"),
        ("a <john@x.example> <http://x.example> b<c and d", None, "bare-less-than"),
        ("one<br>two<BR clear=all>three<p>four", None, "bare-less-than"),
        ("<?php echo 1 <!-- open", None, "bare-less-than"),
        ("<!DOCTYPE html>a", None, "bare-less-than"),
        (f"{DECLARATION}a", "a", "prolog"),
    ],
)
def test_a_fault_in_a_text_is_mended_and_named(sent: str, meant: str | None, repair: str) -> None:
    reading = read_page(text_of(record(sent), record("two", "oai:x:2")).encode("utf-8", "surrogatepass"))
    assert title_of(reading) == (sent if meant is None else meant)
    assert (reading.repairs, reading.whole, reading.page.size) == ((repair,), True, 2)
    assert reading.page.token == ResumptionToken("a&b", 0, 9)


@pytest.mark.parametrize(
    ("before", "after", "repairs"),
    [
        ("<br />\n<b>Warning</b>: x & y in <b>/a.php</b><br />\n" + DECLARATION, "", ("surroundings",)),
        (DECLARATION + "<br />\n<b>Notice</b>: Undefined <OAI", "", ("surroundings",)),
        (DECLARATION, "<br />\n<b>Notice</b>: Undefined index<br />", ("surroundings",)),
        (DECLARATION, "\n\0\0", ("surroundings",)),
        ("\n\n " + DECLARATION, "", ("prolog",)),
        ("\ufeff\n" + DECLARATION, "", ("prolog",)),
        ("\ufeff\ufeff", "", ("prolog",)),
        (DECLARATION + DECLARATION, "", ("prolog",)),
        ('<?xml version="1.0" encoding="utf-8 "?>', "", ("prolog",)),
        (DECLARATION + "<!DOCTYPE a PUBLIC>", "", ("doctype",)),
        (DECLARATION + "<!DOCTYPE a><!DOCTYPE b>", "", ("doctype",)),
        (DECLARATION + "<!DOCTYPE OAI-PMH [<!ELEMENT a ANY>]><?p i?><!-- c -->", "<!-- 0.2 s -->\n", ()),
    ],
)
def test_what_stands_around_the_page_is_left_off(before: str, after: str, repairs: tuple[str, ...]) -> None:
    clean = text_of(record("é"))
    reading = read_page(f"{before}{clean}{after}".encode())
    assert (reading.repairs, reading.whole) == (repairs, True)
    assert shown(reading.page) == shown(parse_page(clean.encode()))


def declared(name: str, title: bytes) -> bytes:
    body = f'<?xml version="1.0" encoding="{name}"?>{text_of(record("@"))}'
    return body.encode().replace(b"@", title)


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (declared("UTF-8", b"caf\xe9 \x93q\x94 \xc3\xa9"), "café “q” é"),
        (declared("UTF-8", b"\xe9\x81\xe9"), "é\ufffdé"),
        (declared("utf8", b"\xed\xa0\xbd\xed\xb8\x80 \xc3"), "\N{GRINNING FACE} Ã"),
        (declared("ISO-8859-1", "é — “q” é".encode()), "é — “q” é"),
        (declared("latin1", b"\x93\xe9\x94"), "“é”"),
        (declared("windows-1252", "日本".encode()), "日本"),
        (declared("US-ASCII", "é".encode()), "é"),
        (declared("utf-16", "é".encode()), "é"),
        (declared("nonsense", "é\xff".encode("latin-1")), "éÿ"),
        (declared("rot13", "é".encode()), "é"),
    ],
)
def test_bytes_are_read_in_the_encoding_that_they_are_in(body: bytes, title: str) -> None:
    reading = read_page(body)
    assert (title_of(reading), reading.repairs, reading.whole) == (title, ("encoding",), True)


@pytest.mark.parametrize(
    ("body", "title", "repairs"),
    [
        (declared("UTF-8", b"Ba\xc3\x83\xc2\xb1o"), "BaÃ±o", ()),  # damaged before it was sent: not the page's fault
        (declared("ISO-8859-1", b"caf\xe9"), "café", ()),
        (declared("ISO-8859-2", b"\xb3 & \xb1"), "ł & ą", ("bare-ampersand",)),
        (b"<b>Notice</b>" * 30 + declared("ISO-8859-2", b"\xb3"), "ł", ("surroundings",)),
        (declared("Shift_JIS", "日本 & 語".encode("shift_jis")), "日本 & 語", ("bare-ampersand",)),
        (text_of(record("日 & 本")).encode("utf-16"), "日 & 本", ("bare-ampersand",)),
        (text_of(record("日 & 本")).encode("utf-16-be"), "日 & 本", ("bare-ampersand",)),
        (
            text_of(record("日 & 本")).encode("utf-16-le") + b"\0",
            "日 & 本",
            ("encoding", "surroundings", "bare-ampersand"),
        ),
    ],
)
def test_the_declared_encoding_is_believed_where_it_can_be(body: bytes, title: str, repairs: tuple[str, ...]) -> None:
    reading = read_page(body)
    assert (title_of(reading), reading.repairs, reading.whole) == (title, repairs, True)


def test_usual_prefixes_are_declared_and_others_stay_errors() -> None:
    payload = '<oai_dc:dc xsi:schemaLocation="a b"><dc:title>T dcterms:x</dc:title></oai_dc:dc>'
    body = text_of(record("T").replace("<m><dc:title>T</dc:title></m>", payload), namespaces='xmlns="urn:o"')
    reading = read_page(body.encode())
    assert (title_of(reading), reading.repairs) == ("T dcterms:x", ("namespace-prefix",))
    metadata = reading.page.records[0].metadata
    assert metadata is not None
    assert etree.fromstring(metadata).tag == "{http://www.openarchives.org/OAI/2.0/oai_dc/}dc"
    assert b"dcterms=" not in metadata
    with pytest.raises(MalformedResponseError):
        read_page(body.replace("oai_dc:", "unheard:").encode())


def test_several_faults_are_mended_together_in_order() -> None:
    broken = text_of(record("caf~ a & b &nbsp;p < 1\x03"), namespaces="") + "<br>"
    reading = read_page(broken.encode().replace(b"~", b"\xe9"))
    assert title_of(reading) == "café a & b \xa0p < 1"
    assert reading.repairs == (
        "surroundings",
        "encoding",
        "control-characters",
        "entities",
        "bare-ampersand",
        "bare-less-than",
        "namespace-prefix",
    )


def test_sections_comments_and_tags_are_left_as_they_are() -> None:
    kept = f"{DECLARATION}&nbsp; & &#0; <br> < 5 <record><header/></record>"
    elsewhere = "<i>x</i><br/><a href='u' b=\"c\"\n/>"
    title = f"<![CDATA[{kept}]]><!-- {kept} -->{elsewhere} a & b"
    reading = read_page(text_of(record(title)).encode(), recover=True)
    assert title_of(reading) == kept
    metadata = reading.page.records[0].metadata
    assert metadata is not None
    assert f"<!-- {kept} -->".encode() in metadata
    assert [element.tag for element in etree.fromstring(metadata)[0].iterchildren("{*}i", "{*}br", "{*}a")]
    assert reading.repairs == ("bare-ampersand",)


def test_only_the_tags_that_are_not_closed_become_text() -> None:
    reading = read_page(text_of(record("<b>one</b><br />two<br class='x'>three")).encode())
    metadata = reading.page.records[0].metadata
    assert metadata is not None
    title = etree.fromstring(metadata)[0]
    assert title.xpath("string()") == "onetwo<br class='x'>three"
    assert [etree.QName(element).localname for element in title] == ["b", "br"]


def test_a_text_over_the_parsers_limit_is_read_unless_there_is_a_document_type() -> None:
    body = text_of(record("x" * 10_100_000)).encode()
    reading = read_page(body)
    metadata = reading.page.records[0].metadata
    assert metadata is not None
    assert metadata.count(b"x") > 10_100_000
    assert (reading.repairs, reading.whole) == (("huge-text",), True)
    with pytest.raises(MalformedResponseError, match="too long"):
        read_page(b"<!DOCTYPE a>" + body)


BOMB = "<!DOCTYPE OAI-PMH [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {new} '{f'&{old};' * 10}'>" for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    ("doctype", "title"),
    [
        (BOMB + "]>", "&k;"),
        (BOMB + "]>", "a & b"),
        ("<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "&a; &nbsp;"),
        ("<!DOCTYPE a [<!ENTITY % a SYSTEM 'file:///etc/passwd'>%a;]>", "\x03"),
    ],
)
def test_entities_of_its_own_are_refused_whatever_else_is_wrong(doctype: str, title: str) -> None:
    began = time.process_time()
    for body in (doctype + text_of(record(title)), "\n" + doctype + text_of(record(title))):
        for encoding in ("utf-8", "utf-16"):
            with pytest.raises(MalformedResponseError):
                read_page(body.encode(encoding), recover=True)
    assert time.process_time() - began < 1


def test_an_outer_document_type_is_not_fetched_and_its_html_entities_are_known() -> None:
    reading = read_page(b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/x.dtd'>" + text_of(record("caf&eacute;")).encode())
    assert (title_of(reading), reading.repairs) == ("café", ("entities",))


def test_a_cut_page_gives_its_whole_records_and_nothing_else() -> None:
    body = text_of(*RECORDS).encode()
    everything = parse_page(body)
    ends = [body.index(each.encode()) + len(each) for each in RECORDS]
    for cut in range(body.index(b"<header>") + 8, len(body)):
        reading = read_page(body[:cut], recover=True)
        count = sum(end <= cut for end in ends)
        assert not reading.whole
        assert reading.page.records == everything.records[:count]
        assert reading.page.response_date == everything.response_date
        assert reading.page.token == (everything.token if cut >= body.index(TOKEN.encode()) + len(TOKEN) else None)
        assert len(reading.page.failed) <= 1
        assert "bare-less-than" not in reading.repairs
        with pytest.raises(MalformedResponseError):
            read_page(body[:cut])


@pytest.mark.parametrize(
    "damage", ["<dc:title>no end", "</dc:title>", "<unheard:of/>", "<a b='1' b='2'/>", "</m>", "</metadata>", "&#5"]
)
def test_a_broken_record_is_failed_by_name_and_the_others_are_whole(damage: str) -> None:
    records = [*RECORDS]
    records[2] = records[2].replace("T2", f"T2{damage}<dc:identifier>no</dc:identifier>").replace("x:2", "x:2&amp;é")
    reading = read_page(text_of(*records).encode(), recover=True)
    if damage == "&#5":
        assert (reading.whole, reading.repairs, reading.page.size) == (True, ("bare-ampersand",), 5)
        return
    assert [each.header.identifier for each in reading.page.records] == [f"oai:x:{n}" for n in (0, 1, 3, 4)]
    (failed,) = reading.page.failed
    assert failed.identifier == "oai:x:2&é"
    assert failed.cause.startswith("the record is broken: ")
    assert reading.page.token == ResumptionToken("a&b", 0, 9)
    assert (reading.whole, reading.repairs) == (False, ())


def test_a_broken_record_takes_no_other_value_for_its_identifier() -> None:
    broken = record("</m><dc:identifier>10.5/x</dc:identifier>").replace("<identifier>oai:x:1</identifier>", "")
    reading = read_page(text_of(broken, *RECORDS).encode(), recover=True)
    assert [each.identifier for each in reading.page.failed] == [""]
    assert len(reading.page.records) == 5


def test_records_of_marc_and_records_quoted_are_not_taken_for_the_lists_own() -> None:
    marc = '<record xmlns="http://www.loc.gov/MARC21/slim"><leader>x</leader></record>'
    quoted = f"<![CDATA[{RECORDS[4]}]]>"
    records = [record(marc, "oai:x:1"), record(quoted, "oai:x:2"), record(f"</a>{marc}{quoted}", "oai:x:3")]
    whole = read_page(text_of(*records).encode(), recover=True)
    cut = read_page(text_of(*records).encode().rpartition(b"</dc:title>")[0], recover=True)
    for reading in (whole, cut):
        assert [each.header.identifier for each in reading.page.records] == ["oai:x:1", "oai:x:2"]
        assert [each.identifier for each in reading.page.failed] == ["oai:x:3"]
        assert reading.page.records[0].metadata is not None
        assert b"<leader>x</leader>" in reading.page.records[0].metadata


def test_headers_and_prefixed_names_are_recovered_as_well() -> None:
    headers = [each[each.index("<header>") : each.index("<metadata>")] for each in RECORDS]
    body = text_of(*headers).replace("ListRecords", "ListIdentifiers").encode()
    reading = read_page(body[: body.index(b"oai:x:4")], recover=True)
    assert [each.header.identifier for each in reading.page.records] == [f"oai:x:{n}" for n in range(4)]
    prefixed = text_of(*RECORDS)
    for name in ("OAI-PMH", "ListRecords", "record", "header", "identifier", "metadata", "responseDate"):
        prefixed = prefixed.replace(f"<{name}", f"<o:{name}").replace(f"</{name}>", f"</o:{name}>")
    prefixed = prefixed.replace("xmlns=", "xmlns:o=").replace("T3", "</x>")
    reading = read_page(prefixed.encode(), recover=True)
    assert [each.header.identifier[-1] for each in reading.page.records] == ["0", "1", "2", "4"]
    assert reading.page.failed[0].identifier == "oai:x:3"


def test_a_token_that_is_broken_is_not_followed() -> None:
    for tail in (
        "<resumptionToken a=1/>",
        "<resumptionToken>a",
        "<resumptionToken a='1' a='2'>b</resumptionToken>",
        "<resumptionToken>a&b<",
    ):
        reading = read_page(text_of(*RECORDS, tail=tail).encode(), recover=True)
        assert (len(reading.page.records), reading.page.token, reading.whole) == (5, None, False)
    reading = read_page(text_of(*RECORDS, tail="<resumptionToken/>").encode()[:-5], recover=True)
    assert reading.page.token == ResumptionToken("")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "empty"),
        ("<!DOCTYPE html><html><body>Login & <br></body></html>", "HTML"),
        (f"<html>{text_of()}</html>", "root is <html>"),
        ("<Response><ListRecords/></Response>", "root is <Response>"),
        ("<Response>&nbsp;</Response>", "not well-formed"),
        ("<OAI-PMH/>", "neither"),
        ("<OAI-PMH><ListSets/><ListSets/></OAI-PMH>", "twice"),
        (text_of(RECORDS[0], tail="</ListRecords><ListRecords>"), "twice"),
        ("<OAI-PMH><Identify><a></Identify></OAI-PMH>", "not well-formed"),
        (text_of(*RECORDS, namespaces=f"xmlns:a='{'a' * 5000}'")[:-5], "not well-formed"),  # each record is read in it
        (text_of("<record>")[:150], "not well-formed"),
        ("<OAI-PMH", "not well-formed"),
    ],
)
def test_what_is_no_answer_stays_none(body: str, words: str) -> None:
    with pytest.raises(MalformedResponseError, match=words) as caught:
        read_page(body.encode(), url="http://x.example/oai", recover=True)
    assert caught.value.url == "http://x.example/oai"


@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></html>",
        "<html><title>Attention Required! | Cloudflare</title></html>",
        "<script src='/cdn-cgi/x' id=cf-chl-widget></script>",
        "<html><body>Please enable JavaScript and cookies to continue</body></html>",
        '<html><iframe src="/_Incapsula_Resource?x">Request unsuccessful. Incapsula incident ID: 1</iframe></html>',
        "<!doctype html><title>Making sure you&#39;re not a bot!</title>",
        "<!doctype html><title>Making sure you’re not a bot!</title>",
    ],
)
def test_a_challenge_for_browsers_is_a_refusal(body: str) -> None:
    with pytest.raises(RefusedError, match="challenge"):
        read_page(body.encode())
    words = text_of(record("Just a moment... cf-chl Incapsula & co"))
    assert read_page(words.encode()).page.size == 1


UNITS = [
    *("<", "&", "<?xml", "<?xml ", "\0", "<![CDATA[", "<!--", "<!---->", "<?", "<OAI-PMH ", "<record><header>", "<a>"),
    *('<a b="', "<!DOCTYPE ", "<!DOCTYPE[", "<resumptionToken>", "&#9", "&#xD83D;", "<br ", "<br>", " dc:a='", "&a"),
    "<record><header></header></record>",
]


@pytest.mark.parametrize("unit", UNITS)
def test_hostile_pages_cost_time_in_proportion(unit: str) -> None:
    clean = text_of(record("@"))
    load = unit * (300_000 // len(unit))
    bodies = [load, load + clean, clean + load, clean.replace("@", load), clean.replace("@", load)[:-40]]
    bodies.append(clean.replace("<ListRecords>", f"<ListRecords {load}>"))
    began = time.process_time()
    for body in bodies:
        try:
            read_page(body.encode(), recover=True)
        except MalformedResponseError:
            continue
    assert time.process_time() - began < 8  # quadratic work takes minutes


def page_or_member_error(body: bytes) -> None:
    try:
        strict = parse_page(body)
    except MalformedResponseError:
        strict = None
    try:
        reading = read_page(body, recover=True)
    except (MalformedResponseError, RefusedError):
        assert strict is None
        return
    assert (reading.page.verb or reading.page.errors) != ""
    for each in reading.page.records:
        assert each.header.identifier
        if each.metadata is not None:
            etree.fromstring(each.metadata)
    if strict is not None and reading.repairs != ("encoding",):
        assert (reading.repairs, reading.whole, shown(reading.page)) == ((), True, shown(strict))


@given(st.binary(max_size=300) | st.text(alphabet="<>/&;!?[]ab \0\x0b\ufffe'\"=é#x1", max_size=80).map(str.encode))
@example(b"</ListRecords></OAI-PMH>")
@example(b"</ListRecords><ListRecords>")
def test_any_bytes_are_a_page_or_a_named_error(body: bytes) -> None:
    start, end = text_of(RECORDS[0], tail="@").encode().split(b"@")
    for each in (body, start + body + end, start + RECORDS[1].encode().replace(b"T1", body) + end, start + body):
        page_or_member_error(each)


@cache
def real_bodies(shared_data: Path) -> list[bytes]:
    files = sorted((shared_data / "oai").rglob("*.xml*"))
    return [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]


@cache
def strict_pages(shared_data: Path) -> list[tuple[bytes, Page]]:
    pages = []
    for body in real_bodies(shared_data):
        try:
            pages.append((body, parse_page(body)))
        except MalformedResponseError:
            continue
    return pages


def test_no_real_page_that_is_clean_is_changed(shared_data: Path) -> None:
    pages = strict_pages(shared_data)
    assert len(pages) > 200
    for body, page in pages:
        reading = read_page(body)
        assert (reading.repairs, reading.whole, shown(reading.page)) == ((), True, shown(page))


def test_real_pages_that_are_broken_end_as_they_should(shared_data: Path) -> None:
    folder = shared_data / "oai"
    mended = read_page((folder / "dlibra-poland/oaiListIdentifiersIncorrectMetadataPrefix.xml").read_bytes())
    assert (mended.repairs, mended.page.errors[0][0]) == (("prolog",), "cannotDisseminateFormat")
    entity = read_page((folder / "dspace/00001~4.xml").read_bytes())
    assert (entity.repairs, entity.page.verb) == (("bare-ampersand",), "Identify")
    cut = read_page((folder / "eprints/utp-get-record-cut-off.xml").read_bytes(), recover=True)
    assert (cut.whole, cut.page.records) == (False, ())
    assert [each.identifier for each in cut.page.failed] == ["oai:utpedia.utp.edu.my:376"]
    with pytest.raises(MalformedResponseError):
        read_page((folder / "dspace/00001~3.xml").read_bytes(), recover=True)


DAMAGES = {
    "surroundings": lambda body: b"<br />\n<b>Notice</b>: x\n" + body + b"<br />",
    "prolog": lambda body: b"\n" + body if body.startswith(b"<?xml") else b"\n\n<?xml version='1.0'?>" + body,
    "control-characters": lambda body: body.replace(b"</header>", b"\x03&#x1a;</header>"),
    "encoding": lambda body: body.replace(b"</header>", b"\xe9</header>"),
    "entities": lambda body: body.replace(b"</header>", b"&nbsp;</header>"),
    "bare-ampersand": lambda body: body.replace(b"</header>", b" a & b</header>"),
    "bare-less-than": lambda body: body.replace(b"</header>", b" a < b</header>"),
}


@pytest.mark.parametrize("repair", DAMAGES)
def test_a_real_page_damaged_and_mended_has_the_same_records(shared_data: Path, repair: str) -> None:
    pages = [(body, page) for body, page in strict_pages(shared_data) if page.records and len(body) < 200_000]
    assert len(pages) > 40
    for body, page in pages:
        reading = read_page(DAMAGES[repair](body))
        assert (reading.repairs, reading.whole) == ((repair,), True)
        assert shown(reading.page) == shown(page)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_real_page_cut_anywhere_gives_its_first_records(shared_data: Path, data: st.DataObject) -> None:
    pages = [(body, page) for body, page in strict_pages(shared_data) if page.verb == "ListRecords"]
    body, page = data.draw(st.sampled_from([each for each in pages if len(each[0]) < 200_000]))
    cut = data.draw(st.integers(0, len(body.rstrip()) - 1))
    try:
        reading = read_page(body[:cut], recover=True)
    except MalformedResponseError:
        assert body.count(b"</record>", 0, cut) == 0
        return
    records = reading.page.records
    assert not reading.whole
    assert records == page.records[: len(records)]
    assert len(records) >= body.count(b"</record>", 0, cut) - len(page.failed) or b"<record xmlns" in body
