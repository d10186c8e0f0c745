"""A network in trouble: members in every state, one of them with problems of many kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, update

from harvester.catalogue.database import open_catalogue
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import forms, harvests, lists, members, pages, problems, quirks, records, vanished
from harvester.settings import Settings

NOW = 1_795_000_000  # 18 November 2026
DAY = 86_400
EVIL = "=cmd|' /C calc'!A0"
OF_ALFA = {
    "halted": "1,200 of 5,000 records would go, 24 percent",
    "rule": "1d",
    "window": "23:00-04:00",
    "next_run": NOW + DAY,
    "failures": 3,
    "insecure_until": NOW + 36_500 * DAY,
    "deletion": "transient",
    "live": 4984,
    "tombstones": 16,
    "mail_to": "rahasia@members.example",
}


def put(connection: Connection, table: Any, **values: object) -> int:
    """The row is there; its number."""
    key = connection.execute(insert(table).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def put_run(connection: Connection, member: int, outcome: str | None, at: int, **values: object) -> int:
    """A run that began at this time; one with an outcome has ended a minute later."""
    ended = at + 60 if outcome else None
    return put(connection, harvests, member_id=member, started_at=at, finished_at=ended, outcome=outcome, **values)


def build_troubled(home: Path) -> Settings:
    """Alfa: a first run with three bad records, of which one was mended since, then a day's failure; others beside."""
    settings = Settings(home=home, base_url="http://library.test", network_name="Jaringan", secret_key="x")
    catalogue = open_catalogue(settings.catalogue_url, lambda: NOW)
    with catalogue.write() as connection:
        ids = {
            slug: add_member(connection, Member(slug, name, f"https://{slug}.example/cgi/oai2"), NOW).id
            for slug, name in (
                ("alfa", "Repositori <Alfa> & Rekan"),
                ("beta", "Perpustakaan Beta"),
                ("gama", "Arsip Gama 100%"),
                ("delta", "Jurnal Delta"),
            )
        }
        connection.execute(update(members).where(members.c.id == ids["alfa"]).values(OF_ALFA))
        connection.execute(update(members).where(members.c.id == ids["gama"]).values(paused=True))
        put_run(connection, ids["delta"], None, NOW - 600, records=7, pages=1, heartbeat=NOW - 60)
        put_run(connection, ids["beta"], "complete", NOW - DAY, records=3, added=3)
        _fill(connection, ids["alfa"])
    catalogue.close()
    return settings


def _fill(connection: Connection, alfa: int) -> None:
    listed = put(
        connection, lists, member_id=alfa, prefix="oai_dc", set_spec="", base_url="https://alfa.example/cgi/oai2"
    )
    first = put_run(connection, alfa, "complete-with-failures", NOW - 9 * DAY, records=60, added=57, failed=3, pages=2)
    page = {
        "list_id": listed,
        "archive_key": "pages/1",
        "fetched_at": NOW - 9 * DAY,
        "response_date": "",
        "status": 200,
    }
    page |= {"size": 1, "records": 60}
    old = put(connection, pages, harvest_id=first, url="https://alfa.example/cgi/oai2?verb=ListRecords&x=1", **page)
    for code, identifier in (
        ("broken-record", "oai:alfa:1"),
        ("broken-record", EVIL),
        ("no-metadata", "oai:alfa:3"),
        ("repaired-xml", ""),
    ):
        cause = f"what was wrong with <{identifier}>"
        put(connection, problems, harvest_id=first, page_id=old, code=code, identifier=identifier, cause=cause)
    second = put_run(connection, alfa, "complete", NOW - 5 * DAY, from_="2026-11-08", records=1, changed=1)
    new = put(connection, pages, harvest_id=second, url="https://alfa.example/cgi/oai2?x=2", **page)
    for number, (name, at) in enumerate((("oai:alfa:1", new), ("oai:alfa:9", old)), start=1):
        put(
            connection, records, id=number, public_id=number, member_id=alfa, identifier=name, work_id=number,
            datestamp=NOW, added=NOW, source_datestamp="2026-01-01", deleted=False,
        )  # fmt: skip
        values = {"page_id": at, "hash": b"", "deleted": False, "set_specs": ""}
        connection.execute(insert(forms).values(record_id=number, prefix="oai_dc", **values))
    last = put_run(
        connection, alfa, "incomplete", NOW - DAY, from_="2026-11-12", records=100, pages=1, unchanged=100, retries=4,
        bytes=123_456, error="alfa sent a <html> page", first_url="https://alfa.example/cgi/oai2?verb=Identify",
        last_url="https://alfa.example/cgi/oai2?resumptionToken=abc", response_date="2026-11-17T01:02:03Z",
        error_url="https://alfa.example/cgi/oai2?resumptionToken=def", error_key="alfa/3/2.xml.zst",
    )  # fmt: skip
    put(connection, problems, harvest_id=last, code="not-oai", identifier="", cause="the root element is html")
    put_run(connection, alfa, "failed", NOW - DAY // 2, kind="reconcile", error="halted")
    connection.execute(
        insert(vanished).values(
            record_id=2, prefix="oai_dc", member_id=alfa, missed_at=NOW - 2 * DAY, times=1, due_at=NOW + 12 * DAY
        )
    )
    connection.execute(
        insert(quirks).values(
            member_id=alfa, name="granularity", value="YYYY-MM-DD", found_at=NOW - 9 * DAY,
            evidence="badArgument for 2026-11-08T00:00:00Z", set_by="harvester",
        )
    )  # fmt: skip
