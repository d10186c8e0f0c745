"""A page parsed, proved and taken apart, against lxml parsing the same bytes and no more."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import islice

from lxml import etree

from bench.figures import Figure, Report, medians, seconds
from bench.material import SHARED, iter_made, list_records_xml, record_xml
from harvester.errors import MalformedResponseError
from harvester.oai.page import parse_page


def measure(*, quick: bool) -> Report:
    """Both over real pages of many platforms, and over made ones."""
    rounds = 3 if quick else 15
    made = _made_pages(5 if quick else 20)
    real = _real_pages()
    figures = []
    for name, pages, target in (("real pages", real, 0.4), ("made pages", made, None if real else 0.4)):
        if pages:
            ours, peer = medians(rounds, _times(parse_page, pages), _times(etree.fromstring, pages))
            size = sum(map(len, pages)) / 1e6
            figures += [
                Figure(f"{len(pages)} {name}: parse_page against lxml", peer / ours, "x", at_least=target),
                Figure(f"{name}: parse_page", size / ours, "MB/s"),
                Figure(f"{name}: lxml.etree.fromstring", size / peer, "MB/s"),
            ]
    return Report(
        "`harvester.oai.page.parse_page` (headers, payloads as XML of their own, hashes, token) against "
        f"`lxml.etree.fromstring` of the same bytes. Median of {rounds}, by turns.",
        tuple(figures),
    )


def _times(parse: Callable[[bytes], object], pages: list[bytes]) -> Callable[[], float]:
    return lambda: seconds(lambda: [parse(page) for page in pages])


def _made_pages(count: int) -> list[bytes]:
    records = iter_made()
    return [
        list_records_xml(record_xml(f"oai:made:{number}", made) for number, made in enumerate(islice(records, 100)))
        for _ in range(count)
    ]


def _real_pages() -> list[bytes]:
    """Every real response with records that is OAI-PMH."""
    found = []
    for path in sorted((SHARED / "oai").rglob("*.xml*")):
        body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            if parse_page(body).records:
                found.append(body)
        except MalformedResponseError:
            continue
    return found
