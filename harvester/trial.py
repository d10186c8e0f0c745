"""A harvest on trial: what a member would give, and what would come of it; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import zstandard
from sqlalchemy import and_, select

from harvester.catalogue import Catalogue
from harvester.catalogue.abouts import is_news, pack_abouts
from harvester.catalogue.lists import find_watermark
from harvester.catalogue.members import Member
from harvester.catalogue.tables import forms, records
from harvester.datestamps import format_datestamp, parse_datestamp, parse_granularity
from harvester.oai.client import Client
from harvester.oai.page import Record
from harvester.oai.transport import Answer, Transport
from harvester.settings import Settings

_AT_ONCE = 500  # identifiers that a database takes as parameters


@dataclass(frozen=True, slots=True)
class Trial:
    """One record that was given, and what a harvest would make of it."""

    prefix: str
    record: Record
    becomes: Literal["added", "changed", "unchanged", "deleted"]


def iter_trial(settings: Settings, catalogue: Catalogue, member: Member, count: int) -> Iterator[Trial]:
    """The first `count` records that a harvest of the member would ask for now.

    Raises:
        MemberError: the member does not give them.
    """
    transport = Transport(
        user_agent=settings.user_agent,
        from_email=settings.admin_email,
        max_wait=settings.max_wait,
        delay=member.care.delay,
        allow_private=settings.allow_private,
    )
    try:
        yield from islice(_iter_all(catalogue, member, transport), count)
    finally:
        transport.close()


def _iter_all(catalogue: Catalogue, member: Member, transport: Transport) -> Iterator[Trial]:
    client: Client[Answer] = Client(member.base_url, transport, lambda answer: answer)
    granularity = parse_granularity(client.harvest(verb="Identify").xml.findtext(".//{*}granularity"))
    for prefix in member.prefixes:
        for set_spec in member.sets or ("",):
            arguments = {"metadataPrefix": prefix} | ({"set": set_spec} if set_spec else {})
            with catalogue.read() as connection:
                watermark = parse_datestamp(find_watermark(connection, member, prefix, set_spec) or "")
            if watermark:
                arguments["from"] = format_datestamp(watermark, granularity)
            for response in client.iter_list(**arguments):
                given = response.page.records
                for start in range(0, len(given), _AT_ONCE):
                    yield from _judge(catalogue, member, prefix, given[start : start + _AT_ONCE])


def _judge(catalogue: Catalogue, member: Member, prefix: str, given: tuple[Record, ...]) -> Iterator[Trial]:
    query = (
        select(records.c.identifier, forms.c.hash, forms.c.abouts, forms.c.deleted)
        .join(forms, and_(forms.c.record_id == records.c.id, forms.c.prefix == prefix))
        .where(records.c.member_id == member.id)
        .where(records.c.identifier.in_([record.header.identifier for record in given]))
    )
    with catalogue.read() as connection:
        present = {row.identifier: row for row in connection.execute(query)}
    compressor = zstandard.ZstdCompressor()
    for record in given:
        known = present.get(record.header.identifier)
        alive = known is not None and not known.deleted
        if record.header.deleted:
            yield Trial(prefix, record, "deleted" if alive else "unchanged")
        elif known is None:
            yield Trial(prefix, record, "added")
        else:
            same = alive and known.hash == record.hash
            same = same and not is_news(pack_abouts(record.abouts, compressor), known.abouts)
            yield Trial(prefix, record, "unchanged" if same else "changed")
