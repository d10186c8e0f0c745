"""`python oai_peers.py NAME RECORDS.JSONL PART`, run where the peers are installed: records a second of a whole list.

The records are in memory, in the form that the peer gives them from most quickly. Prints records a second of processor
time; every part is made into bytes, as a server would send it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

_BASE = "http://network.example/oai"
_TOKEN = re.compile(rb"<resumptionToken[^>]*>([^<]+)<")
_Ask = Callable[[dict[str, str]], bytes]


def make_pyoai(records: list[Any], part: int) -> _Ask:
    """A `BatchingServer`: the quicker of the two that pyoai has."""
    import cgi

    cgi.parse_qs = parse_qs  # type: ignore[attr-defined]  # pyoai asks for it where Python has it no more
    from oaipmh.common import Header, Identify, Metadata
    from oaipmh.metadata import MetadataRegistry
    from oaipmh.server import BatchingServer, oai_dc_writer

    known = []
    for identifier, stamp, sets, statements, _ in records:  # it has no place for containers about a record
        values: dict[str, list[str]] = {}
        for element, text in statements:
            values.setdefault(element, []).append(text)
        moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - pyoai's times have no zone
        known.append((Header(None, identifier, moment, sets, False), Metadata(None, values), None))
    earliest = known[0][0].datestamp()
    identity = Identify(
        "peer", _BASE, "2.0", ["a@network.example"], earliest, "persistent", "YYYY-MM-DDThh:mm:ssZ", ["identity"]
    )

    class Source:
        def identify(self) -> Any:
            return identity

        def listRecords(self, *, cursor: int, batch_size: int, **_: Any) -> list[Any]:  # noqa: N802 - pyoai's name
            return known[cursor : cursor + batch_size]

    registry = MetadataRegistry()
    registry.registerWriter("oai_dc", oai_dc_writer)
    server = BatchingServer(Source(), registry, resumption_batch_size=part)
    return lambda arguments: bytes(server.handleRequest(arguments))


def make_oai_repo(records: list[Any], part: int) -> _Ask:
    """An `OAIRepository`: it takes trees of each record, which are quickest parsed from text."""
    import oai_repo
    from lxml import etree

    identity = oai_repo.Identify("peer", _BASE, ["a@network.example"], records[0][1], "no", "YYYY-MM-DDThh:mm:ssZ")
    formats = [
        oai_repo.MetadataFormat(
            "oai_dc",
            "http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
            "http://www.openarchives.org/OAI/2.0/oai_dc/",
        )
    ]
    names = [record[0] for record in records]
    headers = {record[0]: oai_repo.RecordHeader(*record[:3]) for record in records}
    texts = {record[0]: _tree_text(etree, record[3]) for record in records}
    abouts = {record[0]: [text.encode() for text in record[4]] for record in records}
    count = len(records)

    class Data(oai_repo.DataInterface):  # type: ignore[misc]  # untyped
        limit = part

        def get_identify(self) -> Any:
            return identity

        def get_metadata_formats(self, identifier: str | None = None) -> Any:  # noqa: ARG002 - all have the same
            return formats

        def get_record_header(self, identifier: str) -> Any:
            return headers[identifier]

        def get_record_metadata(self, identifier: str, metadataprefix: str) -> Any:  # noqa: ARG002 - there is one
            return etree.fromstring(texts[identifier])

        def get_record_abouts(self, identifier: str) -> list[Any]:
            return [etree.fromstring(text) for text in abouts[identifier]]

        def list_identifiers(self, *arguments: Any, cursor: int = 0) -> tuple[Any, ...]:
            at = arguments[4] if len(arguments) > 4 else cursor
            return names[at : at + part], count, None

    server = oai_repo.OAIRepository(Data())
    return lambda arguments: bytes(server.process(arguments))


def _tree_text(etree: Any, statements: list[tuple[str, str]]) -> bytes:
    oai_dc, dc = "http://www.openarchives.org/OAI/2.0/oai_dc/", "http://purl.org/dc/elements/1.1/"
    root = etree.Element(f"{{{oai_dc}}}dc", nsmap={"oai_dc": oai_dc, "dc": dc})
    for element, text in statements:
        etree.SubElement(root, f"{{{dc}}}{element}").text = text
    return bytes(etree.tostring(root))


def walk(ask: _Ask, expected: int) -> float:
    """Records a second over the whole list."""
    begin, found = time.process_time(), 0
    arguments = {"verb": "ListRecords", "metadataPrefix": "oai_dc"}
    while True:
        body = ask(arguments)
        found += body.count(b"<metadata>")
        token = _TOKEN.search(body)
        if token is None:
            break
        arguments = {"verb": "ListRecords", "resumptionToken": token[1].decode().replace("&amp;", "&")}
    worked = time.process_time() - begin
    assert found == expected, (found, body[:500])
    return found / worked


def main() -> None:
    """One walk warms up, one counts."""
    name, path, part = sys.argv[1:]
    records = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    ask = {"pyoai": make_pyoai, "oai_repo": make_oai_repo}[name](records, int(part))
    walk(ask, len(records))
    print(walk(ask, len(records)))


if __name__ == "__main__":
    main()
