"""The sample members' files: PDFs of every kind, at the addresses and behind the pages of four platforms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from lxml import etree

from harvester.reading import Reader, asks_for_login, sniff
from harvester.samples.attachments import file_name
from harvester.samples.papers import paragraphs, write_paper
from harvester.samples.pdf_writer import Line, write_pdf
from harvester.samples.platforms import sample_repositories
from harvester.samples.provider import SampleServer
from harvester.samples.repository import SampleFile, SampleRecord

STATES = {"text": "text", "columns": "text", "scan": "scanned", "locked": "encrypted"}


@pytest.fixture(scope="module")
def records(members: SampleServer) -> dict[str, list[SampleRecord]]:
    """The records with files, by member."""
    return {one.slug: [each for each in one.records if each.files] for one in sample_repositories(members.base)}


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={name.replace("_", "-"): text for name, text in headers.items()}, timeout=10)


def page_of(members: SampleServer, record: SampleRecord) -> etree._Element:
    return etree.HTML(get(f"{members.base}{record.page}").content)


def with_shape(records: dict[str, list[SampleRecord]], shape: str) -> list[SampleFile]:
    return [file for some in records.values() for record in some for file in record.files if file.shape == shape]


@pytest.mark.parametrize("shape", STATES)
def test_files_of_each_shape_end_in_the_state_that_the_shape_asks_for(
    records: dict[str, list[SampleRecord]], shape: str, tmp_path: Path
) -> None:
    with Reader() as reader:
        for file in with_shape(records, shape)[:3]:
            path = tmp_path / "paper"
            path.write_bytes(write_paper(file))
            reading = reader.read(path)
            assert reading.state == STATES[shape]
            if reading.state == "text":
                assert reading.language == file.language
                flat = " ".join(reading.text.split())
                torn = [text for text in paragraphs(file) if text not in flat]
                assert len(torn) < reading.pages  # by the ends of pages alone, where head and number stand between


def test_a_web_page_under_the_name_of_a_pdf_is_seen_as_one(members: SampleServer) -> None:
    shown: dict[str, bytes] = {}
    for repository in sample_repositories(members.base):
        for file in (file for record in repository.records for file in record.files):
            if file.shape in {"login", "viewer"} and file.shape not in shown and file_name(file).endswith(".pdf"):
                answer = get(members.base + file.path)
                shown[file.shape] = answer.content
                assert ("pdf" in answer.headers["Content-Type"]) == (file.shape == "viewer")
    assert {shape: (sniff(body), asks_for_login(body)) for shape, body in shown.items()} == {
        "login": ("text/html", True),
        "viewer": ("text/html", False),
    }


def test_a_file_has_the_same_bytes_whenever_it_is_written() -> None:
    lines = [[Line(70, 700, "Satu")], [Line(70, 700, "Dua")]]
    first = write_pdf(lines)
    assert write_pdf(lines) == first
    assert b"CreationDate(D:20200101000000" in first


def test_every_address_that_a_record_names_is_served(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    for slug, some in records.items():
        addresses = [file.path for record in some for file in record.files]
        assert len(set(addresses)) == len(addresses)
        for record in some[::25]:
            assert all(get(members.base + file.path).ok for file in record.files), slug
            links = [value for _, value, _ in record.dc if value.startswith(members.base) and "sampul" not in value]
            assert all(get(link).ok for link in links), slug


def test_a_thesis_in_several_files_names_its_parts(records: dict[str, list[SampleRecord]]) -> None:
    thesis = next(record for record in records["tirta-samudra"] if len(record.files) == 6)
    assert [file_name(file) for file in thesis.files] == [
        "COVER.pdf",
        "BAB_1.pdf",
        "BAB_2.pdf",
        "BAB_3.pdf",
        "BAB_4.pdf",
        "DAFTAR_PUSTAKA.pdf",
    ]


def test_eprints_pages_name_every_document_and_show_thumbnails_beside_them(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    record = next(record for record in records["tirta-samudra"] if len(record.files) > 2)
    page = page_of(members, record)
    urls = [members.base + file.path for file in record.files]
    assert page.xpath("//meta[@name='eprints.document_url']/@content") == urls
    assert page.xpath("//a[@class='ep_document_link']/@href") == urls
    assert "hassmallThumbnailVersion" in page.xpath("//img/@src")[0]


def test_dspace_pages_have_the_first_file_for_scholars_and_bitstreams_of_both_ages(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    six, seven = (
        next(record for record in records["arunika"] if int(record.identifier.rpartition("/")[2]) % 2 == odd)
        for odd in (0, 1)
    )
    for record, form in ((six, "/bitstream/handle/123456789/"), (seven, "/bitstreams/")):
        page = page_of(members, record)
        (first,) = page.xpath("//meta[@name='citation_pdf_url']/@content")
        assert first == members.base + record.files[0].path
        assert form in first
        assert first in page.xpath("//a/@href")
        assert any("license.txt" in link for link in page.xpath("//a/@href"))


def test_dspace_points_to_its_files_in_headers_and_to_several_by_a_set_of_links(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    one = next(record for record in records["arunika"] if len(record.files) == 1)
    many = next(record for record in records["arunika"] if len(record.files) > 2)
    (link,) = requests.utils.parse_header_links(get(f"{members.base}{one.page}").headers["Link"])
    assert (link["rel"], link["url"]) == ("item", members.base + one.files[0].path)
    (link,) = requests.utils.parse_header_links(get(f"{members.base}{many.page}").headers["Link"])
    assert link["rel"] == "linkset"
    (context,) = json.loads(get(link["url"]).content)["linkset"]
    assert [item["href"] for item in context["item"]] == [members.base + file.path for file in many.files]


def test_ojs_shows_a_galley_in_a_frame_and_gives_the_file_at_download(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    record = records["kembang-nusa"][0]
    page = page_of(members, record)
    (view,) = page.xpath("//a[contains(@class,'obj_galley_link')]/@href")[:1]
    assert view in record.values("relation")
    frame = get(view)
    assert sniff(frame.content) == "text/html"
    (download,) = etree.HTML(frame.content).xpath("//a[@class='download']/@href")
    assert page.xpath("//meta[@name='citation_pdf_url']/@content") == [download]
    assert sniff(get(download).content) == "application/pdf"


def test_slims_lists_the_attachments_of_its_record(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    record = records["wanasari"][0]
    assert "index.php?p=show_detail&id=" in str(record.page)
    links = page_of(members, record).xpath("//ul[@class='attachList']//a/@href")
    assert links == [members.base + file.path for file in record.files]


def test_a_file_is_not_sent_again_to_those_who_have_it(
    members: SampleServer, records: dict[str, list[SampleRecord]]
) -> None:
    url = members.base + records["wanasari"][0].files[0].path
    first = get(url)
    for header in ({"If_None_Match": first.headers["ETag"]}, {"If_Modified_Since": first.headers["Last-Modified"]}):
        again = get(url, **header)
        assert (again.status_code, again.content) == (304, b"")
    assert get(url, If_None_Match='"another"').content == first.content


def test_a_download_goes_on_where_it_broke_off(members: SampleServer, records: dict[str, list[SampleRecord]]) -> None:
    url = members.base + records["wanasari"][0].files[0].path
    first = get(url)
    rest = get(url, Range="bytes=1000-", If_Range=first.headers["ETag"])
    assert rest.status_code == 206
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(first.content) - 1}/{len(first.content)}"
    assert first.content[:1000] + rest.content == first.content
    assert get(url, Range="bytes=1000-", If_Range='"another"').status_code == 200
    assert get(url, Range=f"bytes={len(first.content)}-").status_code == 416
