"""A small network in a real catalogue and a real index, and the site's pages over it, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from flask.testing import FlaskClient
from lxml import html

from harvester.catalogue.care import Care
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.database import Catalogue, open_catalogue
from harvester.catalogue.harvests import Outcome, begin_harvest, finish_harvest, set_window
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member, get_member
from harvester.catalogue.records import iter_records
from harvester.oai.page import parse_page
from harvester.settings import Settings
from indexer.build import advance
from indexer.engine.opening import open_engine

NOW = 1_795_000_000  # 18 November 2026
_DAY = 86_400

Values = tuple[tuple[str, str], ...]  # Dublin Core elements and their texts

BATIK: Values = (
    ("title", "Batik Pesisir: Sejarah & Makna <Motif>"),
    ("title", "Coastal Batik: History and Meaning"),
    ("creator", "Widjaja, Siti Nur"),
    ("creator", "Santoso, Budi"),
    ("date", "2019-03-12"),
    ("type", "info:eu-repo/semantics/article"),
    ("language", "id"),
    ("subject", "batik"),
    ("subject", "sejarah"),
    ("description", "Penelitian ini menelusuri sejarah batik pesisir & maknanya. " * 4),
    ("source", "Jurnal Budaya; Vol. 5 No. 2 (2019): Batik; 123-130"),
    ("publisher", "Universitas Alfa"),
    ("identifier", "https://alfa.example/batik/1"),
    ("identifier", "10.5555/alfa.2019_1"),
    ("rights", "https://creativecommons.org/licenses/by/4.0/"),
)
HOSTILE: dict[str, Values] = {
    "script": (
        ("title", "<script>alert('padi')</script> & \"aneh\""),
        ("creator", "<b onload=x>Peretas</b>, Si"),
        ("identifier", "javascript:alert(1)"),
        ("subject", "'><img src=x onerror=alert(1)>"),
        ("description", "</p><script>alert(2)</script> aneh sekali"),
    ),
    "huge": (("title", "Kata " * 2000 + "Raksasa" * 300), ("identifier", "https://alfa.example/huge")),
    "untitled": (("creator", "Anonim, Tanpa"), ("date", "2001"), ("identifier", "https://alfa.example/untitled")),
    "arabic": (("title", "تاريخ الأرز في جاوة"), ("creator", "الحسن, علي"), ("date", "2010")),
    "chinese": (("title", "爪哇稻米的歷史"), ("creator", "陳, 大文"), ("date", "2011")),
    "data-url": (("title", "Tautan data"), ("identifier", "data:text/html,<script>1</script>")),
}


@dataclass(frozen=True)
class Network:
    """The network's settings, and its public record ids by OAI identifier."""

    settings: Settings
    ids: dict[str, str]

    def id_of(self, name: str) -> str:
        return self.ids[f"oai:{name}"]


_JAVA = Care(region="jawa-tengah")


class _Clock:
    def __init__(self) -> None:
        self.seconds = NOW - 40 * _DAY

    def __call__(self) -> float:
        return self.seconds


def _record(identifier: str, values: Values | None, *, deleted: bool = False) -> str:
    status = ' status="deleted"' if deleted else ""
    header = f"<header{status}><identifier>{identifier}</identifier><datestamp>2026-01-01</datestamp></header>"
    if values is None:
        return f"<record>{header}</record>"
    body = "".join(f"<dc:{name}>{escape(text)}</dc:{name}>" for name, text in values)
    dc = "http://purl.org/dc/elements/1.1/"
    return f'<record>{header}<metadata><oai:dc xmlns:oai="x" xmlns:dc="{dc}">{body}</oai:dc></metadata></record>'


def _harvest(
    catalogue: Catalogue,
    member: Member,
    records: list[str],
    outcome: Outcome,
    error: str | None = None,
    from_: str | None = None,
) -> None:
    xml = f"<OAI-PMH><responseDate>2026-11-01T00:00:00Z</responseDate><ListRecords>{''.join(records)}</ListRecords>"
    with catalogue.write() as connection:
        harvest_id = begin_harvest(connection, member, catalogue.now())
        pass_ = get_lists(connection, harvest_id)[0]
    if records:
        commit_page(
            catalogue,
            harvest_id=harvest_id,
            member=member,
            list_id=pass_.id,
            prefix="oai_dc",
            page=parse_page((xml + "</OAI-PMH>").encode()),
            fetched=Fetched("pages/1", member.base_url, 200, len(xml), catalogue.now()),
        )
    with catalogue.write() as connection:
        set_window(connection, harvest_id, from_, None)
        finish_harvest(
            connection,
            harvest_id,
            outcome=outcome,
            error=error,
            requests=1,
            size=len(xml),
            now=catalogue.now() + 90,
        )


def bring(catalogue: Catalogue, slug: str, identifier: str, values: Values) -> None:
    """A harvest of the member brought this record."""
    with catalogue.read() as connection:
        member = get_member(connection, slug)
    _harvest(catalogue, member, [_record(identifier, values)], "complete", from_="2026-11-01")


def build_network(home: Path, *, indexed: bool = True, catalogue: str = "") -> Network:
    """Three members (good, failed, never harvested) with 61 records, some of them hostile, and their index."""
    settings = Settings(
        home=home,
        catalogue=catalogue,
        base_url="http://library.test",
        admin_email="pustaka@library.test",
        secret_key="x",
    )
    clock = _Clock()
    opened = open_catalogue(settings.catalogue_url, clock)
    with opened.write() as connection:
        alfa = add_member(connection, Member("alfa", "Perpustakaan Alfa", "https://alfa.example/oai", care=_JAVA), NOW)
        beta = add_member(connection, Member("beta", "Repositori Beta", "https://beta.example/oai", care=_JAVA), NOW)
        add_member(connection, Member("gama", "Arsip Gama", "https://gama.example/oai"), NOW)
    plain = [
        _record(
            f"oai:padi-{n}",
            (
                ("title", f"Panen padi nomor {n} di desa {'Sukamaju' if n % 2 else 'Mekarsari'}"),
                ("creator", f"Petani, Nama{n}"),
                ("date", str(1998 + n // 2)),
                ("type", "Skripsi" if n % 3 else "Buku"),
                ("language", "Indonesian" if n % 4 else "English"),
                ("subject", "padi"),
                ("subject", f"pokok {n % 12}"),
                ("description", f"Meneliti panen padi nomor {n} dengan irigasi. " * 3),
                ("identifier", f"https://alfa.example/padi/{n}"),
            ),
        )
        for n in range(50)
    ]
    hostile = [_record(f"oai:{name}", values) for name, values in HOSTILE.items()]
    gone = _record("oai:gone", (("title", "Rahasia yang dihapus"), ("identifier", "https://alfa.example/gone")))
    broken = _record("oai:broken", None)
    _harvest(opened, alfa, [*plain, *hostile, gone, _record("oai:batik", BATIK), broken], "complete-with-failures")
    clock.seconds += 10 * _DAY
    _harvest(opened, alfa, [_record("oai:gone", None, deleted=True)], "complete", from_="2026-10-08")
    also = tuple((name, "https://beta.example/b/7" if "alfa.example" in text else text) for name, text in BATIK)
    lasem: Values = (
        ("title", "Makna motif batik Lasem"),
        ("date", "2015"),
        ("subject", "batik"),
        ("identifier", "https://beta.example/b/8"),
    )
    _harvest(opened, beta, [_record("oai:batik-beta", also), _record("oai:lasem", lasem)], "complete")
    clock.seconds += 5 * _DAY
    _harvest(opened, beta, [], "failed", "beta did not answer <within> 60 s")
    clock.seconds += 3600
    ids = {record.identifier: record.id for record in iter_records(opened)}
    if indexed:
        engine = open_engine(settings)
        advance(opened, engine)
        work = engine.get(ids["oai:padi-1"])
        assert work is not None
        readable = replace(work, holders=tuple(replace(holder, fulltext=True) for holder in work.holders))
        engine.write([readable], [], engine.watermark())
        engine.close()
    opened.close()
    return Network(settings, ids)


class Page:
    """An answer of the site, parsed."""

    def __init__(self, client: FlaskClient, path: str, *, status: int = 200, **headers: str) -> None:
        self.answer = client.get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        assert self.answer.status_code == status, self.answer.text[:2000]
        self.tree = html.document_fromstring(self.answer.text)

    def texts(self, xpath: str) -> list[str]:
        """The text of each element, white space folded."""
        return [" ".join(element.text_content().split()) for element in self.tree.xpath(xpath)]

    def text(self, xpath: str) -> str:
        (only,) = self.texts(xpath)
        return only

    def links(self, xpath: str = "//a") -> dict[str, str]:
        """Addresses by the words of their links."""
        found = self.tree.xpath(xpath)
        return {" ".join(link.text_content().split()): link.get("href") for link in found}

    def titles(self) -> list[str]:
        return self.texts('//ol[contains(@class, "hits")]/li//h2')

    def total(self) -> int:
        (total,) = re.findall(r"^[\d.,]+", self.text('//p[@class="total"]'))
        return int(re.sub(r"\D", "", total))
