"""Filling a catalogue with records of several members, as harvests would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from xml.sax.saxutils import escape

from harvester.catalogue import Catalogue
from harvester.catalogue.commit import Fetched, commit_page
from harvester.catalogue.harvests import begin_harvest
from harvester.catalogue.lists import get_lists
from harvester.catalogue.members import Member, add_member, find_member
from harvester.oai.page import Header, Page, Record

Values = Mapping[str, Sequence[str]]

_OAI_DC = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/">{}</oai_dc:dc>'
)


def dublin_core(values: Values) -> bytes:
    """The oai_dc payload with these values."""
    elements = [f"<dc:{name}>{escape(text)}</dc:{name}>" for name, texts in values.items() for text in texts]
    legal = "".join(c for c in "".join(elements) if c >= " " or c in "\n\t")
    return _OAI_DC.format(legal).encode("utf-8", "replace")


def fill(catalogue: Catalogue, slug: str, records: Iterable[tuple[str, Values | None]], page_size: int = 500) -> None:
    """The records stand in the catalogue."""
    with catalogue.write() as connection:
        member = find_member(connection, slug) or add_member(
            connection, Member(slug, slug, f"http://{slug}.example/oai"), catalogue.now()
        )
        harvest_id = begin_harvest(connection, member, catalogue.now())
        (only,) = get_lists(connection, harvest_id)
    arrivals = [_record(identifier, values) for identifier, values in records]
    for start in range(0, len(arrivals), page_size):
        commit_page(
            catalogue,
            harvest_id=harvest_id,
            member=member,
            list_id=only.id,
            prefix="oai_dc",
            page=Page("ListRecords", "2026-01-01T00:00:00Z", tuple(arrivals[start : start + page_size])),
            fetched=Fetched("key", "http://x.example/", 200, 1, catalogue.now()),
        )


def _record(identifier: str, values: Values | None) -> Record:
    header = Header(identifier, "2026-01-01T00:00:00Z", (), values is None)
    if values is None:
        return Record(header)
    xml = dublin_core(values)
    return Record(header, xml, blake2b(xml, digest_size=16).digest())
