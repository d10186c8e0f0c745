"""References in other programs' formats, read back by each format's own rules."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from lxml import etree

from indexer.document import Text
from indexer.normalise.dates import PublicationDate
from indexer.normalise.names import Name
from web.exports import render_bibtex, render_csl, render_dublin_core, render_ris
from web.reference import Reference, format_citation

DC = "{http://purl.org/dc/elements/1.1/}"
NASTY = 'A {brace} \\cmd $5 & 100% of_it #1 ~ ^ "q" <x>\r\nTY  - FAKE\nend 漢字'
ARTICLE = Reference(
    id="pw04ap00009f",
    url="https://alfa.example/a?b={1}&c=50%25#x",
    member="Perpustakaan Alfa",
    titles=(Text(NASTY, "id"), Text("In English", "en")),
    authors=(Name("Sembiring, Ulina", "Sembiring", "Ulina", ""), Name("Pusat and Co", "Pusat and Co", None, "")),
    contributors=(),
    issued=PublicationDate(2024, 12, None, "2024-12"),
    type="article",
    level=None,
    languages=("id",),
    subjects=("kopi", "padi & jagung"),
    abstracts=(Text("Baris satu.\nBaris dua.\x0b", "id"),),
    publisher="Universitas Alfa",
    container="Jurnal Kopi",
    volume="12",
    issue="2",
    pages="11-19",
    doi="10.5555/a_b",
    isbn="",
    issn="2908-4172",
)  # fmt: skip
EMPTY = replace(
    ARTICLE, titles=(), authors=(), issued=None, type="other", languages=(), subjects=(), abstracts=(), publisher="",
    container="", volume="", issue="", pages="", doi="", issn="",
)  # fmt: skip


def read_ris(body: bytes) -> list[tuple[str, str]]:
    lines = body.decode().split("\r\n")
    assert lines.pop() == ""
    found = [re.fullmatch(r"([A-Z][A-Z0-9])  - (.*)", line) for line in lines]
    assert all(found), lines
    return [(match[1], match[2]) for match in found if match]


def read_bibtex(body: bytes) -> tuple[str, str, dict[str, str]]:
    """Type, key and fields; braces must balance, counting none that is escaped."""
    match = re.fullmatch(r"@(\w+)\{([\w-]+),\n(.*)\n\}\n", body.decode(), re.DOTALL)
    assert match
    fields = {}
    for line in match[3].split("\n"):
        field = re.fullmatch(r"  (\w+) = \{(.*)\},?", line)
        assert field, line
        depth = 0
        for brace in re.findall(r"(?<!\\)[{}]", field[2]):
            depth += 1 if brace == "{" else -1
            assert depth >= 0
        assert depth == 0
        fields[field[1]] = field[2]
    return match[1], match[2], fields


def test_ris_has_one_value_a_line_and_no_line_of_the_records_making() -> None:
    tags = read_ris(render_ris(ARTICLE))
    assert tags[0] == ("TY", "JOUR")
    assert tags[-1] == ("ER", "")
    assert [tag for tag, _ in tags].count("TY") == 1
    values = dict(tags)
    assert values["TI"] == " ".join(NASTY.split())
    assert [value for tag, value in tags if tag == "AU"] == ["Sembiring, Ulina", "Pusat and Co"]
    assert (values["SP"], values["EP"], values["VL"], values["IS"]) == ("11", "19", "12", "2")
    assert (values["PY"], values["DA"]) == ("2024", "2024/12//")
    assert [value for tag, value in tags if tag == "KW"] == ["kopi", "padi & jagung"]


def test_bibtex_escapes_what_latex_would_obey() -> None:
    kind, key, fields = read_bibtex(render_bibtex(ARTICLE))
    assert (kind, key) == ("article", "sembiring2024_pw04ap00009f")
    assert fields["title"] == (
        r"{A \{brace\} \textbackslash{}cmd \$5 \& 100\% of\_it \#1 \textasciitilde{} \textasciicircum{} "
        r'"q" <x> TY - FAKE end 漢字}'
    )
    assert fields["author"] == "Sembiring, Ulina and {Pusat and Co}"
    assert fields["journal"] == "Jurnal Kopi"
    assert fields["pages"] == "11--19"
    assert fields["url"] == "https://alfa.example/a?b=%7B1%7D&c=50%25#x"
    assert fields["doi"] == "10.5555/a_b"


def test_a_doctoral_thesis_is_one_in_bibtex() -> None:
    kind, _, fields = read_bibtex(render_bibtex(replace(ARTICLE, type="thesis", level="doctoral", container="")))
    assert kind == "phdthesis"
    assert fields["school"] == "Universitas Alfa"


def test_csl_json_says_what_is_known_and_nothing_else() -> None:
    (item,) = json.loads(render_csl(ARTICLE))
    assert item["author"] == [{"family": "Sembiring", "given": "Ulina"}, {"literal": "Pusat and Co"}]
    assert item["issued"] == {"date-parts": [[2024, 12]]}
    assert (item["type"], item["container-title"], item["page"]) == ("article-journal", "Jurnal Kopi", "11-19")
    assert item["title"] == NASTY
    assert json.loads(render_csl(EMPTY)) == [
        {"id": EMPTY.id, "type": "document", "source": EMPTY.member, "URL": EMPTY.url}
    ]


def test_dublin_core_is_well_formed_with_languages() -> None:
    root = etree.fromstring(render_dublin_core(ARTICLE))
    titles = root.findall(f"{DC}title")
    assert [title.get("{http://www.w3.org/XML/1998/namespace}lang") for title in titles] == ["id", "en"]
    assert root.findtext(f"{DC}description") == "Baris satu.\nBaris dua."
    assert [e.text for e in root.findall(f"{DC}identifier")] == [ARTICLE.url, "https://doi.org/10.5555/a_b"]
    assert root.findtext(f"{DC}date") == "2024-12"


@pytest.mark.parametrize("render", [render_ris, render_bibtex, render_csl, render_dublin_core])
def test_a_record_that_says_nothing_can_be_exported(render: object) -> None:
    assert render(EMPTY)  # type: ignore[operator]  # each is a function of a reference


@pytest.mark.parametrize(
    ("reference", "locale", "kind", "citation"),
    [
        (replace(EMPTY, titles=(Text("Panen"),)), "id", "", f"(t.t.). Panen. {EMPTY.url}"),
        (
            replace(EMPTY, titles=(Text("Panen."),), authors=ARTICLE.authors[:1] * 2, publisher="Alfa"), "id",
            "Skripsi",
            f"Sembiring, U., dan Sembiring, U. (t.t.). Panen [Skripsi]. Alfa. {EMPTY.url}",
        ),
        (
            replace(ARTICLE, titles=(Text("Kopi"),)), "en", "",
            "Sembiring, U., & Pusat and Co (2024). Kopi. Jurnal Kopi, 12(2), 11-19. https://doi.org/10.5555/a_b",
        ),
    ],
)  # fmt: skip
def test_a_citation_is_whole_with_what_there_is(reference: Reference, locale: str, kind: str, citation: str) -> None:
    assert format_citation(reference, locale, kind) == citation
