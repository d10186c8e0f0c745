"""Of several formats and of what stands about a record, the endpoint gives what each member says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from oai_client import Answer

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member
from harvester.oai.page import parse_page
from harvester.settings import Settings
from web import tiers
from web.app import create_app


class Net:
    """Members that give records as the test writes them, and the endpoint over it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tiers, "open_catalogue", partial(open_catalogue, now=lambda: self.seconds))
        settings = Settings(home=home, base_url="http://hub.test")
        self.seconds = 1_000_000
        self.app = create_app(settings)
        self.catalogue: Catalogue = self.app.extensions["lumbung"].catalogue
        self.client: FlaskClient = self.app.test_client()
        self.members: dict[str, Member] = {}

    def give(self, slug: str, prefix: str, *records: str) -> None:
        """What is inside of the member's record elements 1, 2, ... behind their headers; empty: deleted."""
        self.seconds += 10
        listed = "".join(
            f"<record><header{'' if inside else _DELETED}><identifier>oai:{slug}:{number}</identifier>"
            f"<datestamp>2025-01-01</datestamp></header>{inside}</record>"
            for number, inside in enumerate(records, 1)
        )
        page = parse_page(
            f"<OAI-PMH><responseDate>2025-02-01T00:00:00Z</responseDate><ListRecords>{listed}</ListRecords></OAI-PMH>".encode()
        )
        with self.catalogue.write() as connection:
            if slug not in self.members:
                member = Member(slug, slug, f"http://{slug}.test/oai", ("oai_dc", "rich"))
                self.members[slug] = add_member(connection, member, 1)
            run = begin_harvest(connection, self.members[slug], self.seconds)
            list_id = next(each.id for each in get_lists(connection, run) if each.prefix == prefix)
        commit_page(
            self.catalogue,
            harvest_id=run,
            member=self.members[slug],
            list_id=list_id,
            prefix=prefix,
            page=page,
            fetched=Fetched("k", "u", 200, 1, self.seconds),
        )

    def ask(self, verb: str, **arguments: str) -> Answer:
        self.seconds += 10
        return Answer(self.client, verb=verb, **arguments)


_DELETED = ' status="deleted"'


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    net = Net(tmp_path, monkeypatch)
    yield net
    net.app.extensions["lumbung"].close()


def dublin_core(title: str) -> str:
    return f'<metadata><dc><title xmlns="http://purl.org/dc/elements/1.1/">{title}</title></dc></metadata>'


def test_terms_are_passed_on_in_the_member_s_own_words(net: Net) -> None:
    def rights(inside: str) -> str:
        about = f'<about><rights xmlns="http://www.openarchives.org/OAI/2.0/rights/">{inside}</rights></about>'
        return dublin_core("One") + about

    words = (
        '<rightsDefinition><p:terms xmlns:p="urn:p" p:at="1">Words &amp; <p:b>more</p:b></p:terms></rightsDefinition>'
    )
    net.give(
        "x",
        "oai_dc",
        rights(words),
        rights('<rightsReference ref="http://x.test/terms?a=1&amp;b=2"/>'),
        rights("<rightsDefinition>bare words</rightsDefinition>"),
        rights("<rightsDefinition/>"),
    )
    for prefix in ("oai_dc", "qdc", "marcxml", "source_oai_dc"):
        found = net.ask("ListRecords", metadataPrefix=prefix)
        assert len(found.headers) == 4
        (terms,) = found.root.xpath("//*[local-name()='rightsDefinition']/*")
        assert (terms.tag, dict(terms.attrib)) == ("{urn:p}terms", {"{urn:p}at": "1"})
        assert "".join(terms.itertext()) == "Words & more"
        assert found.all("//@ref") == ["http://x.test/terms?a=1&b=2"]
        assert (
            len(found.root.xpath("//*[local-name()='rights' and namespace-uri()!='http://purl.org/dc/elements/1.1/']"))
            == 2
        )


def test_a_record_that_is_deleted_in_one_format_lives_in_the_others(net: Net) -> None:
    for prefix in ("oai_dc", "rich"):
        net.give("x", prefix, dublin_core("One"), dublin_core("Two"))
    before = net.ask("ListIdentifiers", metadataPrefix="source_rich").headers
    assert [deleted for _, _, deleted in before] == [False, False]
    net.give("x", "rich", dublin_core("One"), "")
    for verb in ("ListIdentifiers", "ListRecords"):
        alive = net.ask(verb, metadataPrefix="oai_dc").headers
        assert [deleted for _, _, deleted in alive] == [False, False]
        assert net.ask(verb, metadataPrefix="source_oai_dc").headers == alive
        found = net.ask(verb, metadataPrefix="source_rich")
        assert found.headers == [before[0], (*alive[1][:2], True)]
        assert len(found.all("//o:metadata")) == (verb == "ListRecords")
    assert alive[1][1] > before[1][1]
    for number, deleted in enumerate((False, True)):
        name = alive[number][0]
        found = net.ask("GetRecord", metadataPrefix="source_rich", identifier=name)
        assert [each[2] for each in found.headers] == [deleted]
        assert len(found.all("//o:metadata")) == (not deleted)
        assert [each[2] for each in net.ask("GetRecord", metadataPrefix="oai_dc", identifier=name).headers] == [False]
    later = net.ask("ListRecords", metadataPrefix="source_rich", from_=alive[1][1])
    assert later.headers == [(*alive[1][:2], True)]
    net.give("x", "rich", dublin_core("One"), dublin_core("Two"))
    assert [each[2] for each in net.ask("ListRecords", metadataPrefix="source_rich").headers] == [False, False]


def test_each_record_is_told_in_its_own_namespace(net: Net) -> None:
    payloads = {
        '<m xmlns="urn:one">a</m>': "urn:one",
        '<m xmlns="urn:two"/>': "urn:two",
        '<y:m xmlns:y="urn:t?a&amp;b" xmlns="urn:other"><z/></y:m>': "urn:t?a&b",
        "<m>none</m>": "",
    }
    for at, payload in enumerate(payloads):
        net.give(f"x{at}", "rich", f"<metadata>{payload}</metadata>")
    given = net.ask("ListRecords", metadataPrefix="source_rich")
    assert given.all("//p:metadataNamespace") == list(payloads.values())
    for (name, _, _), namespace in zip(given.headers, payloads.values(), strict=True):
        told = net.ask("ListMetadataFormats", identifier=name)
        assert told.all("//o:metadataFormat[o:metadataPrefix='source_rich']/o:metadataNamespace") == [namespace]
        alone = net.ask("GetRecord", metadataPrefix="source_rich", identifier=name)
        assert alone.one("//p:metadataNamespace") == namespace
