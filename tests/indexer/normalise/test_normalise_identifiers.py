"""Identifiers are sorted into kinds, in the form in which equals compare equal."""

from __future__ import annotations

import re

import pytest

from indexer.normalise.identifiers import LONGEST_URL, classify


def _kinds(raw: str, element: str = "identifier") -> list[tuple[str, str]]:
    found = classify(raw, element)
    assert all(identifier.raw == raw for identifier in found)
    return [(identifier.kind, identifier.value) for identifier in found]


@pytest.mark.parametrize(
    ("raw", "doi"),
    [
        ("10.1088/1741-4326/AA8E0A", "10.1088/1741-4326/aa8e0a"),
        ("doi:10.1088/1741-4326/aa8e0a", "10.1088/1741-4326/aa8e0a"),
        ("DOI: 10.1139/L09-071", "10.1139/l09-071"),
        ("https://doi.org/10.1000/ABC%2Fd.", "10.1000/abc/d"),
        ("http://dx.doi.org/10.1002/aic.16423", "10.1002/aic.16423"),
        ("dx.doi.org/10.1002/aic.16423", "10.1002/aic.16423"),
        ("info:doi/10.1000/5", "10.1000/5"),
        ("http://hdl.handle.net/10.1000/5", "10.1000/5"),
        ("10.1000/x).", "10.1000/x"),
        ("https://doi.org/10.11482/KMJ-J26(1)007-012.2000.pdf", "10.11482/kmj-j26(1)007-012.2000.pdf"),
    ],
)
def test_a_doi_has_one_form(raw: str, doi: str) -> None:
    assert _kinds(raw) == [("doi", doi)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("ISBN 978-3-16-148410-0, 0-306-40615-2", [("isbn", "9783161484100"), ("isbn", "9780306406157")]),
        ("9783161484100", [("isbn", "9783161484100")]),
        ("urn:isbn:9783161484100", [("isbn", "9783161484100")]),
        ("ISBN 978-3-16-148410-1", [("other", "ISBN 978-3-16-148410-1")]),
        ("0306406152", [("other", "0306406152")]),
        ("ISSN: 1550-3607", [("issn", "1550-3607")]),
        ("2434-561x", [("issn", "2434-561X")]),
        ("2302-1616 (print), 2580-5029", [("issn", "2302-1616"), ("issn", "2580-5029")]),
        ("1550-3608", [("other", "1550-3608")]),
        ("1980-2005", [("other", "1980-2005")]),  # its check digit would be right
        ("ISSN 1980-2005", [("issn", "1980-2005")]),
        ("http://hdl.handle.net/1721.1/7582", [("handle", "1721.1/7582")]),
        ("hdl:2027.42/1", [("handle", "2027.42/1")]),
        ("http://hdl.handle.net/123456789/15", [("other", "123456789/15")]),
        ("http://localhost/jspui/handle/1/5", [("other", "http://localhost/jspui/handle/1/5")]),
        ("arXiv:1705.02333v2", [("arxiv", "1705.02333")]),
        ("http://arxiv.org/abs/math/0601435",
         [("url", "http://arxiv.org/abs/math/0601435"), ("arxiv", "math/0601435")]),
        ("http://www.ncbi.nlm.nih.gov/pubmed/25344849", [("pmid", "25344849")]),
        ("PMID: 123", [("pmid", "123")]),
        ("ark:/12148/bpt6k5834013m", [("ark", "ark:/12148/bpt6k5834013m")]),
        ("urn:urn:nbn:nl:ui:10-1", [("urn", "urn:nbn:nl:ui:10-1")]),
        ("oai:HAL:hal-00999952v1", [("oai", "oai:HAL:hal-00999952v1")]),
        ("NNT: 2013PA010653", [("other", "NNT: 2013PA010653")]),
        ("Phys. Rev. D 90, 124052 (2014)", [("citation", "Phys. Rev. D 90, 124052 (2014)")]),
        ("LWT, 2012, 49 (2), pp.221-228. &#x27E8;10.1016/j.lwt.2012.06.020&#x27E9;",
         [("doi", "10.1016/j.lwt.2012.06.020")]),
        ("Jurnal Ilmu Kelautan Nusantara, 3 (2), 11-20. https://doi.org/10.1234/abc.v1",
         [("doi", "10.1234/abc.v1"),
          ("citation", "Jurnal Ilmu Kelautan Nusantara, 3 (2), 11-20. https://doi.org/10.1234/abc.v1")]),
        (" \n", []),
    ],
)  # fmt: skip
def test_codes_and_citations_are_told_apart(raw: str, expected: list[tuple[str, str]]) -> None:
    assert _kinds(raw) == expected


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("https://digilib.itb.ac.id/gdl/view/36320", "url", None),
        ("http://127.0.0.1:8090/tirta-samudra/123/", "url", None),
        ("http://samples:8090/arunika/handle/123456789/4", "url", None),
        ("https://[::1]:8090/a", "url", None),
        ("http://perpustakaan.ac.id:80/index.php?p=show_detail&amp;id=7", "url",
         "http://perpustakaan.ac.id:80/index.php?p=show_detail&id=7"),
        ("https:/www.ncbi.nlm.nih.gov/pmc/articles/PMC4275844/", "url",
         "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC4275844/"),
        ("www.x.ac.id/koleksi", "url", "http://www.x.ac.id/koleksi"),
        ("HTTP://Example.org/A", "url", "http://Example.org/A"),
        ("http://eprints.ac.id/123/1/Nama%20Berkas.PDF", "file", None),
        ("http://nsuworks.edu/cgi/viewcontent.cgi?article=1268&amp;amp;context=news", "file",
         "http://nsuworks.edu/cgi/viewcontent.cgi?article=1268&context=news"),
        ("https://r.ac.id/bitstream/handle/1/2/x?sequence=1", "file", None),
        ("https://r.ac.id/bitstreams/0a1b2c/download", "file", None),
        ("https://ojs.ac.id/index.php/j/article/download/12/34", "file", None),
        ("https://digilib.itb.ac.id/gdl/download/47394", "file", None),
        ("http://cyberleninka.ru/article_covers/14856013.png", "image", None),
        ("https://ojs.ac.id/index.php/j/article/view/12", "url", None),
    ],
)  # fmt: skip
def test_links_are_mended_and_told_apart(raw: str, kind: str, value: str | None) -> None:
    assert _kinds(raw) == [(kind, value or raw)]


@pytest.mark.parametrize(
    "raw",
    ["javascript:alert(1)", "data:text/html,<b>x</b>", "file:///etc/passwd", "ftp://x.org/a.pdf", "http:///x", "http://",
     "http://user:secret@x.org/", "http://x.org/a b", "http://x.org/a\x00b", "http://x.org/\u202egpj.exe", "http://a..b/",
     "http://x:abc/", "http://x.org\\@evil.org/", 'http://x.org/"onload=', "http://x.org/" + "a" * LONGEST_URL],
)  # fmt: skip
def test_a_link_that_nobody_should_follow_is_no_link(raw: str) -> None:
    assert {kind for kind, _ in _kinds(raw)} == {"other"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("http://dx.doi.org/10.1002/aic.16423", [("related-doi", "10.1002/aic.16423")]),
        ("http://j.id/index.php/a/article/view/12/34", [("galley", "http://j.id/index.php/a/article/view/12/34")]),
        ("http://eprints.ucm.es/12217/", [("url", "http://eprints.ucm.es/12217/")]),
        ("http://hdl.handle.net/1721.1/7582", [("other", "1721.1/7582")]),
        ("ISSN: 1550-3607", [("other", "ISSN: 1550-3607")]),
        ("CSD refcode:BATLAJ01", [("other", "CSD refcode:BATLAJ01")]),
    ],
)
def test_a_relation_belongs_to_another_work(raw: str, expected: list[tuple[str, str]]) -> None:
    assert _kinds(raw, "relation") == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Jurnal Laut; Vol 3 (2019); 1-10; 2302-1616; 2580-5029", [("issn", "2302-1616"), ("issn", "2580-5029")]),
        ("EISSN: 1096-1127", [("issn", "1096-1127")]),
        ("https://archives-publications.inrae.fr/157992.pdf", [("file", "https://archives-publications.inrae.fr/157992.pdf")]),
        ("10.1016/j.ijrmms.2018.12.023", [("related-doi", "10.1016/j.ijrmms.2018.12.023")]),
        ("Wiley Blackwell", [("other", "Wiley Blackwell")]),
    ],
)  # fmt: skip
def test_a_source_tells_the_journal(raw: str, expected: list[tuple[str, str]]) -> None:
    assert _kinds(raw, "source") == expected


@pytest.mark.timeout(10)
def test_hostile_values_take_no_long_time() -> None:
    for part in ("a.", "http://", "10.1000/", "1234-", "9 ", "&", "("):
        classify(part * 20_000)
        classify("http://" + part * 900)


def test_real_identifiers_have_their_forms(real_values: dict[str, list[str]]) -> None:
    forms = {
        "doi": r"10\.\d{4,9}(\.\d+)*/[^\sA-Z]+",
        "related-doi": r"10\.\d{4,9}(\.\d+)*/[^\sA-Z]+",
        "isbn": r"97[89]\d{10}",
        "issn": r"\d{4}-\d{3}[\dX]",
        "handle": r"(?!123456789/)\d[\w.]*/\S+",
        "pmid": r"\d+",
        **dict.fromkeys(("url", "file", "image", "galley"), r"https?://[\w.:\[\]-]+([/?#]\S*)?"),
    }
    counts: dict[str, int] = {}
    for element in ("identifier", "relation", "source"):
        for raw in real_values[element]:
            for identifier in classify(raw, element):
                counts[identifier.kind] = counts.get(identifier.kind, 0) + 1
                form = forms.get(identifier.kind)
                assert form is None or re.fullmatch(form, identifier.value), identifier
    assert counts["doi"] > 5_000
    assert counts["file"] > 50_000
    assert counts["handle"] > 1_000
