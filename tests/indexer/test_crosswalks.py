"""Records of every format that members send are described; what cannot be read is counted, not guessed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from filling import dublin_core

from harvester.catalogue.records import CataloguedRecord, Form
from harvester.errors import MalformedResponseError
from harvester.oai.page import parse_page
from indexer.crosswalks import describe, describe_xml
from indexer.document import Description, Text, Unread

DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'


def read(xml: str, host: str = "") -> Description:
    """The description of this XML, in 2026."""
    return describe_xml(xml.encode(), host=host, this_year=2026)


def read_dc(host: str = "", **values: list[str]) -> Description:
    """The description of an oai_dc payload with these values."""
    return describe_xml(dublin_core(values), host=host, this_year=2026)


def record(*forms: Form, deleted: bool = False) -> CataloguedRecord:
    """A record with these payloads."""
    return CataloguedRecord(1, "x", "m", "oai:repo.example:1", 1, 0, 0, "", deleted, forms)


def form(title: str, *, deleted: bool = False) -> Form:
    """An oai_dc payload."""
    return Form("oai_dc", dublin_core({"title": [title]} if title else {}), (), (), deleted, "")


def test_what_is_no_description_is_cut() -> None:
    (abstract,) = read_dc(title=["Buku"], description=["kata " * 60_000]).abstracts
    assert 99_000 < len(abstract.value) <= 100_000
    many = read_dc(title=["Buku"], creator=[f"Nama {n}, Panjang {'x' * 90_000}" for n in range(20)], subject=["akhir"])
    assert sum(len(name.display) for name in many.creators) <= 1_000_000


def test_plain_dublin_core_becomes_a_description() -> None:
    found = read_dc(
        title=["Batik &amp;amp; <i>tenun</i>"],
        creator=["Santoso, Budi; Wulandari, Ratna", "-"],
        contributor=["Pembimbing : Dr. Sri Rahayu, M.T."],
        date=["2019-03-12T08:11:22Z", "2018-05"],
        language=["Bahasa Indonesia"],
        type=["Skripsi", "NonPeerReviewed"],
        subject=["batik; tenun"],
        description=["Includes bibliographical references", "Sebuah " + "kajian panjang " * 20],
        rights=["https://creativecommons.org/licenses/by/4.0/"],
        identifier=["978-602-8519-93-9", "https://doi.org/10.5555/AB.1"],
        format=[""],
    )
    assert found.titles == (Text("Batik & tenun"),)
    assert [name.family for name in found.creators] == ["Santoso", "Wulandari"]
    assert [name.display for name in found.contributors] == ["Sri Rahayu"]
    assert found.issued is not None
    assert found.issued.isoformat() == "2018-05"
    assert (found.languages, found.language_guessed) == (("id",), False)
    assert (found.type.type, found.type.level) == ("thesis", "bachelor")
    assert found.subjects == ("batik", "tenun")
    assert found.abstracts[0].value.startswith("Sebuah kajian")
    assert found.abstracts[1].value == "Includes bibliographical references"
    assert found.rights.licence == "CC-BY-4.0"
    assert found.identifiers_of("isbn") == ("9786028519939",)
    assert found.identifiers_of("doi") == ("10.5555/ab.1",)
    assert found.unread == ()
    assert ("title", "Batik &amp;amp; <i>tenun</i>") in found.raw
    assert all(element != "format" for element, _ in found.raw)


def test_what_no_normaliser_reads_is_counted_as_sent() -> None:
    found = read_dc(title=["A"], date=["XIII"], language=["Latn"], type=["Zwz"])
    assert found.unread == (Unread("date", "XIII"), Unread("language", "Latn"), Unread("type", "Zwz"))


def test_a_language_is_guessed_only_where_none_is_declared() -> None:
    text = "Penelitian ini dilakukan untuk mengetahui pengaruh suhu pada hasil dan mutu yang diperoleh dari kebun"
    assert read_dc(title=["Suhu"], description=[text]).languages == ("id",)
    assert read_dc(title=["Suhu"], description=[text]).language_guessed
    declared = read_dc(title=["Suhu"], description=[text], language=["eng"])
    assert (declared.languages, declared.language_guessed) == (("en",), False)
    assert read_dc(title=["Suhu"]).languages == ()


def test_the_title_in_the_language_of_the_work_is_the_main_one() -> None:
    title = '<dc:title xml:lang="{}">{}</dc:title>'
    xml = f"<dc {DC}>{title.format('en-US', 'Water')}{title.format('id-ID', 'Air')}<dc:language>{{}}</dc:language></dc>"
    assert read(xml.format("ind")).titles == (Text("Air", "id"), Text("Water", "en"))
    assert read(xml.format("eng")).title == "Water"
    assert read(xml.replace("id-ID", "0").format("fra")).titles == (Text("Water", "en"), Text("Air"))


@pytest.mark.parametrize(
    ("values", "page"),
    [
        # EPrints: files and a citation as identifiers, the page in dc:relation
        (
            {
                "identifier": ["http://repo.example/12/1/a.pdf", "Santoso, Budi (2019) Air. Skripsi, Universitas."],
                "relation": ["http://repo.example/12/", "https://doi.org/10.5555/x.1"],
            },
            "http://repo.example/12/",
        ),
        # DSpace: a handle, then other systems' links
        (
            {"identifier": ["https://journal.example/1", "http://repo.example/handle/123456789/7"]},
            "http://repo.example/handle/123456789/7",
        ),
        (
            {"identifier": ["https://doi.org/10.5555/x.4", "http://hdl.handle.net/1721.1/8338"]},
            "https://hdl.handle.net/1721.1/8338",
        ),
        # OJS: the article; galleys stand in dc:relation
        (
            {
                "identifier": ["http://ojs.example/article/view/5", "10.5555/x.2"],
                "relation": ["http://ojs.example/article/view/5/9"],
            },
            "http://ojs.example/article/view/5",
        ),
        # a related page elsewhere is not the work's own
        ({"identifier": ["10.5555/x.3"], "relation": ["http://other.example/"]}, "https://doi.org/10.5555/x.3"),
    ],
)
def test_the_landing_page_is_the_members_own(values: dict[str, list[str]], page: str) -> None:
    assert read_dc("repo.example", title=["Air"], **values).landing_page == page


def test_a_doi_in_relation_is_the_works_own_only_beside_its_own_page() -> None:
    relation = ["http://repo.example/12/", "https://doi.org/10.5555/x.1"]
    eprints = read_dc("repo.example", identifier=["http://repo.example/12/1/a.pdf"], relation=relation)
    assert eprints.identifiers_of("doi") == ("10.5555/x.1",)
    for identifier, host in (("http://repo.example/12", "repo.example"), ("Air 12", "other.example")):
        found = read_dc(host, identifier=[identifier], relation=relation)
        assert (found.identifiers_of("doi"), found.landing_page is not None) == ((), True)


def test_qualified_and_home_made_dublin_core_are_read() -> None:
    found = read(
        f"""<oai_qdc:qualifieddc xmlns:oai_qdc="http://x/" {DC}><record><dc:title>Air</dc:title>
        <dcterms:alternative>Water</dcterms:alternative><dcterms:issued>2019</dcterms:issued>
        <dcterms:modified>2015</dcterms:modified><dcterms:abstract>Tentang air.</dcterms:abstract>
        <dc:identifier_isbn>978-602-8519-93-9</dc:identifier_isbn><dcterms:spatial>Demak</dcterms:spatial>
        <dc:rights.uri>http://creativecommons.org/licenses/by-nc/4.0</dc:rights.uri><dc:thumbnail>x</dc:thumbnail>
        </record></oai_qdc:qualifieddc>"""
    )
    assert [title.value for title in found.titles] == ["Air", "Water"]
    assert found.year == 2019
    assert found.abstracts == (Text("Tentang air."),)
    assert found.identifiers_of("isbn") == ("9786028519939",)
    assert found.rights.licence == "CC-BY-NC-4.0"
    assert found.coverages == ("Demak",)


def test_dim_is_read_by_its_qualifiers() -> None:
    field = '<dim:field mdschema="dc" element="{}" qualifier="{}">{}</dim:field>'
    fields = (
        ("contributor", "author", "Santoso, Budi"),
        ("contributor", "advisor", "Rahayu, Sri"),
        ("date", "accessioned", "2021-01-01T01:01:01Z"),
        ("date", "issued", "2019"),
        ("description", "provenance", "Made available by somebody"),
        ("description", "abstract", "Tentang air."),
        ("title", "", "Air"),
    )
    body = "".join(field.format(*values) for values in fields)
    found = read(f'<dim:dim xmlns:dim="http://www.dspace.org/xmlns/dspace/dim">{body}</dim:dim>')
    assert (found.title, found.year, found.abstracts) == ("Air", 2019, (Text("Tentang air."),))
    assert [name.family for name in found.creators] == ["Santoso"]
    assert [name.family for name in found.contributors] == ["Rahayu"]


def test_marc_is_read_with_the_oddities_of_inlislite() -> None:
    def field(tag: str, **subfields: str) -> str:
        inner = "".join(f'<subfield code="{code.strip("_")}">{text}</subfield>' for code, text in subfields.items())
        return f'<datafield tag="{tag}" ind1="#" ind2="#">{inner}</datafield>'

    found = read(
        '<record xmlns="http://www.loc.gov/MARC21/slim"><leader>00000nam a2200000 a 4500</leader>'
        '<controlfield tag="008"/>'
        + field("008", **{"$": "140526s2005    io            000 0 ind d"})
        + field("020", a="978-602-8519-93-9 (jil. lengkap)")
        + field("100", a="Santoso, Budi,")
        + field("245", a="Panduan belajar / penyunting, Ratna", b="untuk pemula /")
        + field("260", a="Demak :", b="Penerbit Air,", c="[2005]")
        + field("650", a="Belajar", x="Panduan.")
        + field("700", a="Wulandari, Ratna", e="penyunting")
        + field("856", u="http://repo.example/opac?id=1")
        + "</record>"
    )
    assert found.title == "Panduan belajar"
    assert found.year == 2005
    assert (found.languages, found.type.type) == (("id",), "book")
    assert [name.display for name in found.creators] == ["Santoso, Budi"]
    assert [name.display for name in found.contributors] == ["Wulandari, Ratna"]
    assert found.publishers == ("Penerbit Air",)
    assert found.identifiers_of("isbn") == ("9786028519939",)
    assert found.landing_page == "http://repo.example/opac?id=1"


def test_mods_is_read_also_without_its_root() -> None:
    inner = """<m:name><m:role><m:roleTerm>advisor</m:roleTerm></m:role><m:namePart>Rahayu, Sri</m:namePart></m:name>
        <m:name><m:namePart type="family">Santoso</m:namePart><m:namePart type="given">Budi</m:namePart></m:name>
        <m:relatedItem type="host"><m:titleInfo><m:title>Jurnal Air</m:title></m:titleInfo></m:relatedItem>
        <m:titleInfo type="alternative"><m:title>Water</m:title></m:titleInfo>
        <m:titleInfo><m:nonSort>The</m:nonSort><m:title>Air</m:title><m:subTitle>kajian</m:subTitle></m:titleInfo>
        <m:originInfo><m:dateIssued>2019</m:dateIssued></m:originInfo>
        <m:identifier type="doi">10.5555/x.1</m:identifier>
        <m:subject><m:topic>Air</m:topic><m:geographic>Demak</m:geographic></m:subject>"""
    mods = f'<m:mods xmlns:m="http://www.loc.gov/mods/v3">{inner}</m:mods>'
    bare = f'<mets xmlns:m="http://www.loc.gov/mods/v3"><dmdSec><xmlData>{inner}</xmlData></dmdSec></mets>'
    for xml in (mods, f"<modsCollection>{mods}</modsCollection>", bare):
        found = read(xml)
        assert [title.value for title in found.titles] == ["The Air: kajian", "Water"]
        assert [name.display for name in found.creators] == ["Santoso, Budi"]
        assert [name.family for name in found.contributors] == ["Rahayu"]
        assert (found.year, found.sources, found.subjects) == (2019, ("Jurnal Air",), ("Air -- Demak",))
        assert found.identifiers_of("doi") == ("10.5555/x.1",)


OTHER_FORMATS = {
    "arXiv": """<arXiv><id>1</id><created>2019-06-14</created><authors><author><keyname>Roe</keyname>
        <forenames>E.</forenames></author></authors><title>Air</title></arXiv>""",
    "arXivRaw": "<arXivRaw><authors>Jane Roe</authors><title>Air</title><created>2019</created></arXivRaw>",
    "DataCite": """<resource xmlns="http://datacite.org/schema/kernel-4"><creators><creator><creatorName>Roe, J.
        </creatorName></creator></creators><titles><title>Air</title></titles><publicationYear>2019</publicationYear>
        <dates><date dateType="Updated">1999</date></dates></resource>""",
    "JATS": """<article><front><article-meta><title-group><article-title>A<sub>i</sub>r</article-title></title-group>
        <contrib-group><contrib><name><surname>Roe</surname><given-names>Ann</given-names></name></contrib>
        </contrib-group><pub-date><year>2019</year></pub-date></article-meta></front>
        <back><ref-list><article-title>Other</article-title></ref-list></back></article>""",
    "DIF": """<DIF><Entry_Title>Air</Entry_Title><Data_Set_Citation><Dataset_Creator>Roe, J.</Dataset_Creator>
        <Dataset_Release_Date>2019-10-05</Dataset_Release_Date></Data_Set_Citation></DIF>""",
    "EAD": """<ead><eadheader><titleproper>Guide</titleproper><author>Clerk</author></eadheader><archdesc><did>
        <unittitle>Air</unittitle><origination><persname>Roe, Emma</persname></origination>
        <unitdate>2019</unitdate></did></archdesc></ead>""",
    "ETD-MS": """<thesis xmlns="http://www.ndltd.org/standards/metadata/etdms/1.0/"><title>Air</title>
        <creator>Roe, J.</creator><date>2019</date><degree><level>Doctoral</level></degree></thesis>""",
    "unheard of": "<a><b><title>Air</title><author>Roe, J.</author><year>2019</year></b></a>",
}


@pytest.mark.parametrize("xml", OTHER_FORMATS.values(), ids=OTHER_FORMATS)
def test_other_formats_give_title_author_and_year(xml: str) -> None:
    found = read(xml)
    assert (found.title, [name.family for name in found.creators], found.year) == ("Air", ["Roe"], 2019)


def test_the_format_is_told_by_the_xml_not_by_its_prefix() -> None:
    marc = '<record><datafield tag="245"><subfield code="a">Air</subfield></datafield></record>'
    assert describe(record(Form("oai_dc", marc.encode(), (), (), False, "")), this_year=2026).title == "Air"


def test_the_first_format_with_a_title_describes_the_record() -> None:
    assert describe(record(form(""), form("Air"), form("Water")), this_year=2026).title == "Air"
    assert describe(record(form("Air", deleted=True), form("Water")), this_year=2026).title == "Water"


def test_a_tombstone_is_described_by_its_last_payload() -> None:
    assert describe(record(form("Air", deleted=True), deleted=True), this_year=2026).title == "Air"


@pytest.mark.parametrize("xml", [b"", b"<dc", b"<dc/>", b"<record/>", b"<mets/>", b"<!-- -->", b"<a>\xff</a>"])
def test_a_payload_that_says_nothing_still_gives_a_description(xml: bytes) -> None:
    found = describe(record(Form("x", xml, (), (), False, "")), this_year=2026)
    assert found.title is None
    assert found.landing_page is None


def test_entities_of_a_payload_are_not_expanded() -> None:
    assert read('<!DOCTYPE dc [<!ENTITY e SYSTEM "file:///etc/passwd">]><dc><title>&e;</title></dc>').title == "&e;"


def _real_records(shared_data: Path) -> Iterator[tuple[str, CataloguedRecord]]:
    for path in sorted((shared_data / "oai").rglob("*.xml*")):
        body = path.read_bytes()
        try:
            page = parse_page(gzip.decompress(body) if path.suffix == ".gz" else body)
        except MalformedResponseError:
            continue
        for each in page.records:
            if each.metadata:
                payload = Form("x", each.metadata, (), (), False, "")
                identifier = each.header.identifier
                yield (
                    f"{path.parent.name}/{path.name}",
                    CataloguedRecord(1, "x", "m", identifier, 1, 0, 0, "", False, (payload,)),
                )


def test_every_real_record_that_has_a_title_gets_it(shared_data: Path) -> None:
    untitled, total, years = [], 0, []
    for name, each in _real_records(shared_data):
        found = describe(each, this_year=2026)
        total += 1
        if found.title is None:
            untitled.append(name)
        if found.year is not None:
            years.append(found.year)
        for value in (*found.titles, *found.abstracts):
            assert value.value == value.value.strip() != "", (name, each.identifier)
        assert found.landing_page is None or found.landing_page.startswith(("http://", "https://"))
    assert total > 5000
    # an empty oai_dc payload, and two conferences of INSPIRE that have names but no titles
    assert sorted(set(untitled)) == [
        "invenio/sample_inspire_response_listrecords.xml",
        "openarchives-spec/ex-sec3.2.xml",
    ]
    assert len(untitled) == 3
    assert 1500 <= min(years) <= max(years) <= 2027
