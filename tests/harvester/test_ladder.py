"""The ladder finds the files that a record, its richer formats and its page lead to, and tells what each one is."""

from __future__ import annotations

import json
import random

import pytest
from fakes.raw import in_time

from harvester.fulltext.candidates import Candidate, file_name, in_order, role_of
from harvester.fulltext.ladder import Clues, in_format, in_linkset, in_metadata, in_page

HOST = "https://repo.example.ac.id"


def wanted(found: tuple[Candidate, ...]) -> list[str]:
    return [each.url.removeprefix(HOST) for each in found if each.is_wanted]


@pytest.mark.parametrize(
    ("name", "label", "media_type", "group", "role"),
    [
        ("BAB I.pdf", "", "", "", "text"),
        ("skripsi_full.pdf", "", "", "", "text"),
        ("1234567-Cover.pdf", "", "", "", "front"),
        ("02. HALAMAN JUDUL.pdf", "", "", "", "front"),
        ("ABSTRAK.pdf", "", "", "", "front"),
        ("Daftar_Isi.pdf", "", "", "", "front"),
        ("DAFTAR PUSTAKA.pdf", "", "", "", "back"),
        ("Lampiran 1.pdf", "", "", "", "back"),
        ("2.pdf", "Lampiran", "", "", "back"),
        ("cover.jpg", "", "", "", "thumbnail"),
        ("skripsi.pdf.jpg", "", "", "", "supplement"),
        ("skripsi.pdf.txt", "", "", "", "supplement"),
        ("indexcodes.txt", "", "", "", "supplement"),
        ("license.txt", "", "", "", "licence"),
        ("license_rdf", "", "", "", "licence"),
        ("x", "", "", "LICENSE", "licence"),
        ("x", "", "", "THUMBNAIL", "thumbnail"),
        ("Licence agreements in the software trade.pdf", "", "", "", "text"),
        ("Form Persetujuan Publikasi.pdf", "", "", "", "licence"),
        ("data.zip", "", "", "", "supplement"),
        ("film.mp4", "", "", "", "supplement"),
        ("x", "", "audio/mpeg", "", "supplement"),
        ("dataset-of-poems.pdf", "", "", "", "text"),
    ],
)
def test_each_file_has_its_role(name: str, label: str, media_type: str, group: str, role: str) -> None:
    assert role_of(name, label, media_type, group) == role


def test_the_files_of_a_thesis_come_in_reading_order_whatever_order_they_were_listed_in() -> None:
    names = [
        "1. Cover.pdf", "2. Halaman Pengesahan.pdf", "ABSTRAK.pdf", "Daftar Isi.pdf", "BAB I.pdf", "BAB II.pdf",
        "Bab III.pdf", "BAB IV.pdf", "BAB V.pdf", "Bab 10.pdf", "Daftar Pustaka.pdf", "Lampiran.pdf",
    ]  # fmt: skip
    for seed in range(5):
        mixed = random.Random(seed).sample(names, len(names))
        found = in_metadata(Clues(files=tuple(f"{HOST}/12/{at}/{name}" for at, name in enumerate(mixed))))
        assert [file_name(each.url) for each in found] == names


def test_files_of_unknown_place_stay_as_they_were_listed_and_each_comes_once() -> None:
    urls = [f"{HOST}/12/{n}/naskah{n}.pdf" for n in (3, 1, 2)]
    found = in_order([Candidate(url, "metadata") for url in (*urls, urls[0] + "", urls[1].replace("https", "http"))])
    assert [each.url for each in found] == urls


ORE = """<atom:entry xmlns:atom="http://www.w3.org/2005/Atom">
<atom:link rel="http://www.openarchives.org/ore/terms/aggregates"
href="{host}/bitstream/1/2/1/a.pdf" title="a.pdf" type="application/pdf"/>
<atom:link rel="http://www.openarchives.org/ore/terms/aggregates"
href="{host}/bitstream/1/2/2/license.txt" title="license.txt" type="text/plain"/>
<atom:link rel="alternate" href="{host}/handle/1/2"/></atom:entry>"""
XOAI = """<metadata xmlns="http://www.lyncode.com/xoai"><element name="bundles">
<element name="bundle"><field name="name">THUMBNAIL</field><element name="bitstreams"><element name="bitstream">
<field name="name">a.pdf.jpg</field><field name="url">{host}/t/1</field></element></element></element>
<element name="bundle"><field name="name">ORIGINAL</field><element name="bitstreams"><element name="bitstream">
<field name="name">a.pdf</field><field name="format">application/pdf</field>
<field name="url">{host}/bitstreams/1/download</field>
</element></element></element></element></metadata>"""
METS = """<mets xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink"><fileSec>
<fileGrp USE="ORIGINAL"><file MIMETYPE="application/pdf">
<FLocat LOCTYPE="URL" xlink:href="{host}/o/1"/></file></fileGrp>
<fileGrp USE="TEXT"><file MIMETYPE="text/plain">
<FLocat LOCTYPE="URL" xlink:href="{host}/o/2"/></file></fileGrp></fileSec></mets>"""
DIDL = """<didl:DIDL xmlns:didl="urn:mpeg:mpeg21:2002:02-DIDL-NS"><didl:Item><didl:Component>
<didl:Resource mimeType="application/pdf" ref="{host}/12/1/a.pdf"/></didl:Component></didl:Item></didl:DIDL>"""
REM = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:ore="http://www.openarchives.org/ore/terms/">
<rdf:Description><ore:aggregates rdf:resource="{host}/12/1/a.pdf"/></rdf:Description></rdf:RDF>"""


@pytest.mark.parametrize(
    ("prefix", "xml", "files"),
    [
        ("ore", ORE, ["/bitstream/1/2/1/a.pdf"]),
        ("xoai", XOAI, ["/bitstreams/1/download"]),
        ("mets", METS, ["/o/1"]),
        ("didl", DIDL, ["/12/1/a.pdf"]),
        ("rem", REM, ["/12/1/a.pdf"]),
        ("ore", "<broken", []),
        ("ore", "<a/>", []),
    ],
)
def test_a_richer_format_leads_to_the_files(prefix: str, xml: str, files: list[str]) -> None:
    assert wanted(in_format(prefix, xml.replace("{host}", HOST).encode())) == files


EPRINTS = """<head><meta name="eprints.document_url" content="{host}/77/1/skripsi.pdf"/></head>
<body><a href="/77/2/BAB%20II.pdf">x</a><a href="/77/1/skripsi.pdf">x</a><a href="/76/1/other.pdf">Other work</a>
<a href="/77/1.haspreviewThumbnailVersion/skripsi.pdf">p</a><footer><a href="/policy.pdf">Policy</a></footer></body>"""
DSPACE = """<head><meta name="citation_pdf_url" content="/bitstreams/0a-1/download"></head>
<body><a href="/bitstream/handle/123456789/5/a.pdf?sequence=1">a</a>
<a href="/bitstream/handle/123456789/6/b.pdf">b</a></body>"""
OJS = """<body><a class="obj_galley_link pdf" href="{host}/index.php/j/article/view/9/12">PDF</a>
<a href="{host}/index.php/j/article/view/8/11">Another article</a></body>"""
SLIMS = """<body><a href="#" data-href="index.php?p=fstream&amp;fid=3&amp;bid=7" class="openPopUp">Skripsi</a>
<a href="lib/panduan.pdf">Panduan</a><img src="images/docs/cover.jpg"></body>"""
SCHEMA = """<script type="application/ld+json">{"@type":"Thesis","encoding":[{"@type":"MediaObject",
"contentUrl":"/f/1.pdf","encodingFormat":"application/pdf"}]}</script>
<link rel="alternate" type="application/pdf" href="/f/2.pdf">
<link rel="alternate" type="application/rss+xml" href="/feed.xml">"""


@pytest.mark.parametrize(
    ("path", "html", "found"),
    [
        ("/77/", EPRINTS, {"citation": ["/77/1/skripsi.pdf"], "platform": ["/77/1/skripsi.pdf", "/77/2/BAB%20II.pdf"]}),
        (
            "/handle/123456789/5",
            DSPACE,
            {"citation": ["/bitstreams/0a-1/download"], "platform": ["/bitstream/handle/123456789/5/a.pdf?sequence=1"]},
        ),
        ("/index.php/j/article/view/9", OJS, {"platform": ["/index.php/j/article/download/9/12"]}),
        ("/index.php?p=show_detail&id=7", SLIMS, {"platform": ["/index.php?p=fstream-pdf&fid=3&bid=7"]}),
        ("/x", SCHEMA, {"schema": ["/f/1.pdf"], "alternate": ["/f/2.pdf"]}),
        ("/x", "", {}),
        ("/x", '<a href="javascript:x">x</a><a href="http://[::1/a.pdf">x</a><a href="ftp://x/a.pdf">x</a>', {}),
    ],
)
def test_the_page_of_each_platform_leads_to_its_own_files(path: str, html: str, found: dict[str, list[str]]) -> None:
    page = in_page(HOST + path, (), html.replace("{host}", HOST).encode())
    assert {rung: wanted(some) for rung, some in page.found.items() if wanted(some)} == found


def test_files_that_are_numbers_are_called_as_the_page_calls_them() -> None:
    names = ("BAB II.pdf", "Lampiran.pdf", "license.txt", "COVER.pdf", "BAB I.pdf")
    header = ", ".join(f'<{HOST}/bitstreams/{at}/download>; rel="item"' for at in range(len(names)))
    links = "".join(f'<a href="/bitstreams/{at}/download">{name} (1 MB)</a>' for at, name in enumerate(names))
    found = in_page(f"{HOST}/items/1", (header,), links.encode()).found["signposting"]
    assert [each.label.removesuffix(" (1 MB)") for each in found if each.is_wanted] == [
        "COVER.pdf", "BAB I.pdf", "BAB II.pdf", "Lampiran.pdf",
    ]  # fmt: skip


def test_signposts_are_read_from_header_page_and_linkset() -> None:
    header = f'<{HOST}/f/1.pdf>; rel="item"; type="application/pdf", '
    header += f'<{HOST}/ls>; rel=linkset; type="application/linkset+json"'
    page = in_page(f"{HOST}/x", (header, "<https://orcid.org/1>; rel=author"), b'<link rel="item" href="f/2.pdf">')
    assert wanted(page.found["signposting"]) == ["/f/1.pdf", "/f/2.pdf"]
    assert page.linkset == f"{HOST}/ls"
    told = {"linkset": [{"anchor": "x", "item": [{"href": "/f/3.pdf", "type": "application/pdf"}]}]}
    assert wanted(in_linkset(json.dumps(told).encode(), f"{HOST}/ls")) == ["/f/3.pdf"]
    for broken in (b"", b"[]", b'{"linkset": 1}', b'{"linkset": [{"item": [{}]}]}', b"[" * 100_000):
        assert in_linkset(broken, HOST) == ()


@pytest.mark.parametrize(
    "body", [b"", b"\0\0", b"<" * 50_000, b"<div>" * 20_000, b"\xff\xfe<a href=x.pdf>", b"<a " * 9]
)
def test_no_page_is_too_broken_to_be_looked_at(body: bytes) -> None:
    in_page(f"{HOST}/x", ("<" * 1000, '<x>; rel="' * 100), body)


@pytest.mark.parametrize("bad", ["http://[bad", "//[", "http://[::1%a b]/", "http://a\u2100/"])
def test_a_link_that_is_no_address_is_passed_over(bad: str) -> None:
    header = f'<{bad}>; rel=linkset, <{bad}>; rel=item, <{HOST}/ls>; rel=linkset; type="application/linkset+json"'
    html = f'<meta charset="utf-8"><base href="{bad}"><link rel=linkset href="{bad}"><link rel=item href="{bad}">'
    html += f'<a href="{bad}">x</a><meta name="citation_pdf_url" content="{bad}"><link rel=item href="/f/1.pdf">'
    page = in_page(f"{HOST}/x", (header,), html.encode())
    assert (wanted(page.found["signposting"]), page.linkset) == (["/f/1.pdf"], f"{HOST}/ls")
    assert not in_page(f"{HOST}/x", (f"<{bad}>; rel=linkset",), html.encode()).linkset
    assert wanted(in_metadata(Clues(files=(bad, f"{HOST}/f/2.pdf")))) == ["/f/2.pdf"]


def nested(name: str, attributes: str, inside: str) -> str:
    return f"<{name} {attributes}>" * 1000 + inside * 30_000 + f"</{name}>" * 1000


@pytest.mark.parametrize(
    ("prefix", "xml"),
    [
        ("xoai", nested("element", 'name="bundle"', '<element name="bitstream"/>')),
        ("mets", nested("fileGrp", 'USE="ORIGINAL"', f"<FLocat href='{HOST}/o/1'/>")),
    ],
)
def test_a_format_that_is_nested_deeply_is_soon_looked_through(prefix: str, xml: str) -> None:
    with in_time():
        assert len(in_format(prefix, xml.encode())) <= 1


def test_of_a_page_of_links_without_end_the_first_are_looked_at() -> None:
    file, other = '<a href="/f/1.pdf">x</a>', '<a href="/">x</a>'
    for links, found in ((file + other * 100_000, ["/f/1.pdf"]), (other * 100_000 + file, [])):
        with in_time():
            assert wanted(in_page(f"{HOST}/x", (), links.encode()).found.get("platform", ())) == found


def test_what_should_be_a_word_and_is_a_tree_is_no_word() -> None:
    told = '{"contentUrl": "/f/1.pdf", "name": ' * 500 + "[" + "1," * 500_000 + "1]" + "}" * 500
    with in_time():
        found = in_page(f"{HOST}/x", (), f'<script type="application/ld+json">{told}</script>'.encode()).found["schema"]
    assert [(each.label, each.media_type) for each in found] == [("", "")]
