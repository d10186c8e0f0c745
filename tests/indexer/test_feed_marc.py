"""MARCXML of our Dublin Core: by the crosswalk, and as MARC's own library reads and writes it."""

from __future__ import annotations

from io import BytesIO

import pymarc

from indexer.crosswalks import describe_xml
from indexer.feed.dublin_core import make_statements, parse, render
from indexer.feed.marc import render_marc

_THESIS = """<dc xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title xml:lang="id">Panen padi &amp; irigasi &lt;desa&gt;</dc:title><dc:title>Rice</dc:title>
<dc:creator>Wijaya, Budi</dc:creator><dc:creator>Balai Pertanian</dc:creator>
<dc:contributor>Sari, Ani</dc:contributor>
<dc:subject>padi</dc:subject>
<dc:description>Meneliti panen.</dc:description><dc:publisher>Universitas Alfa</dc:publisher>
<dc:date>2019-03-12</dc:date><dc:type>Skripsi</dc:type><dc:format>application/pdf</dc:format>
<dc:identifier>https://alfa.example/1</dc:identifier><dc:identifier>10.5555/alfa.1</dc:identifier>
<dc:source>Jurnal Tani; Vol. 5</dc:source><dc:language>id</dc:language><dc:relation>https://alfa.example/2</dc:relation>
<dc:coverage>Bandung</dc:coverage><dc:rights>https://creativecommons.org/licenses/by/4.0/</dc:rights>
<dc:rights>Hak cipta pada penulis</dc:rights></dc>"""


def _record() -> pymarc.Record:
    statements = parse(render(make_statements(describe_xml(_THESIS.encode(), this_year=2026))))
    (record,) = pymarc.parse_xml_to_array(BytesIO(render_marc(statements, "0123456789ab", "library.test").encode()))
    return record


def test_each_element_goes_where_the_crosswalk_says() -> None:
    record = _record()
    fields = [
        (f.tag, "".join(f.indicators), [(s.code, s.value) for s in f.subfields])
        for f in record.fields
        if not f.is_control_field()
    ]
    assert (record["001"].data, record["003"].data, str(record.leader)[5:8]) == ("0123456789ab", "library.test", "nam")
    assert fields == [
        ("024", "7 ", [("a", "10.5555/alfa.1"), ("2", "doi")]),
        ("041", "0 ", [("a", "ind")]),
        ("042", "  ", [("a", "dc")]),
        ("245", "00", [("a", "Panen padi & irigasi <desa>")]),
        ("246", "33", [("a", "Rice")]),
        ("260", "  ", [("b", "Universitas Alfa")]),
        ("260", "  ", [("c", "2019-03-12")]),
        ("500", "  ", [("a", "Bandung")]),
        ("502", "  ", [("b", "Bachelor"), ("c", "Universitas Alfa"), ("d", "2019")]),
        ("520", "  ", [("a", "Meneliti panen.")]),
        ("540", "  ", [("u", "https://creativecommons.org/licenses/by/4.0/")]),
        ("540", "  ", [("a", "Hak cipta pada penulis")]),
        ("653", "  ", [("a", "padi")]),
        ("655", " 7", [("a", "thesis"), ("2", "local")]),
        ("655", " 7", [("a", "Bachelor's thesis"), ("2", "local")]),
        ("655", " 7", [("a", "Text"), ("2", "local")]),
        ("700", "1 ", [("a", "Wijaya, Budi"), ("e", "author")]),
        ("700", "1 ", [("a", "Sari, Ani"), ("e", "contributor")]),
        ("720", "  ", [("a", "Balai Pertanian"), ("e", "author")]),
        ("786", "0 ", [("n", "Jurnal Tani; Vol. 5")]),
        ("787", "0 ", [("o", "https://alfa.example/2")]),
        ("856", "  ", [("q", "application/pdf")]),
        ("856", "40", [("u", "https://alfa.example/1")]),
    ]


def test_a_record_goes_through_iso_2709_and_back() -> None:
    record = _record()
    record.leader = pymarc.Leader("00000nam a2200000 u 4500")
    (again,) = pymarc.MARCReader(record.as_marc())
    assert again.as_dict()["fields"] == record.as_dict()["fields"]
