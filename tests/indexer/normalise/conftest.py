"""The real records, read once for all tests of the normalisers."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

DC = "{http://purl.org/dc/elements/1.1/}"
Values = dict[str, list[str]]


def _iter_pages(folder: Path) -> Iterator[Values]:
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
    for path in sorted(folder.rglob("*.xml*")):
        page = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        root = etree.fromstring(page, parser)
        for record in [] if root is None else root.iter("{*}record"):
            values: Values = defaultdict(list)
            for element in record.iter(f"{DC}*"):
                values[etree.QName(element).localname].append(element.text or "")
            yield values


def _iter_lines(folder: Path) -> Iterator[Values]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                dc = json.loads(line).get("dc", {})
                yield {name: [held] if isinstance(held, str) else held for name, held in dc.items()}


@pytest.fixture(scope="session")
def real_records(shared_data: Path) -> list[Values]:
    """Every real record's values by Dublin Core element."""
    return [*_iter_pages(shared_data / "oai"), *_iter_lines(shared_data / "records")]


@pytest.fixture(scope="session")
def real_values(real_records: list[Values]) -> dict[str, list[str]]:
    """Every different real value by Dublin Core element."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for record in real_records:
        for name, held in record.items():
            found[name].update(dict.fromkeys(held))
    return {name: list(values) for name, values in found.items()}
