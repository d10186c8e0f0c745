"""What is measured on: real material where it lies beside the project, made records from a seed where it does not."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate, chain, islice, product
from pathlib import Path
from tempfile import gettempdir
from typing import TypeAlias
from xml.sax.saxutils import escape

from harvester.catalogue.records import CataloguedRecord
from harvester.samples.entries import get_entries
from harvester.samples.platforms import sample_repositories
from harvester.xml_chars import NOT_XML
from indexer.crosswalks import describe_xml
from indexer.document import Document, Holder, Text
from indexer.unite import document_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CACHE = Path(gettempdir()) / "lumbung-bench"  # what takes long to prepare, kept from run to run
MEMBERS = 50

# (Dublin Core element, value), in the order of the record.
Statements: TypeAlias = tuple[tuple[str, str], ...]

_SEED = 2026
_FAMILIES = ("Wijaya", "Siregar")  # so that there are three times as many people as records
_RECORD = CataloguedRecord(1, "000000000001", "member-00", "oai:r:1", 1, 1, 1, "2025-03-14", deleted=False)


def iter_made() -> Iterator[Statements]:
    """Records without end, of about two kilobytes of XML each: the same ones in every run."""
    source = random.Random(_SEED)
    words, weights = _vocabulary()

    def some(count: int) -> str:
        return " ".join(source.choices(words, cum_weights=weights, k=count)).capitalize()

    people = [f"{some(1)} {some(1)}" for _ in range(20_000)]
    topics = [some(source.randint(1, 2)).lower() for _ in range(4_000)]
    number = 0
    while True:
        number += 1
        creators = source.sample(people, source.randint(2, 3))
        abstract = ". ".join(some(20) for _ in range(6)) + "."
        yield (
            ("title", some(source.randint(7, 14))),
            *(("creator", ", ".join(reversed(name.split(" ")))) for name in creators),
            *(("subject", topic) for topic in source.sample(topics, 3)),
            ("description", abstract),
            ("publisher", f"Universitas {some(1)}"),
            ("date", f"{source.randint(1990, 2025)}-{source.randint(1, 12):02}"),
            ("type", source.choice(("Thesis", "Article", "Book", "Conference paper"))),
            ("format", "application/pdf"),
            ("identifier", f"https://repository.example.ac.id/id/eprint/{number}/"),
            ("identifier", f"https://repository.example.ac.id/id/eprint/{number}/1/document.pdf"),
            ("language", source.choice(("id", "en"))),
            ("rights", "http://creativecommons.org/licenses/by/4.0/"),
        )


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[list[str], list[int]]:
    """The words of the sample members in their own frequencies, and a long tail of invented ones."""
    texts = (
        f"{entry.title} {entry.abstract} {entry.abstract_other}"
        for repository in sample_repositories("http://127.0.0.1")
        for entry in get_entries(repository.slug)
    )
    known = Counter(re.findall(r"[a-z]{2,}", " ".join(texts).lower()))
    syllables = [consonant + vowel for consonant, vowel in product("bdgjklmnprst", "aeiou")]
    rare = ("".join(parts) for parts in product(syllables, repeat=3))
    for word in islice(rare, 0, None, 11):
        known[word] += 1
    return list(known), list(accumulate(known.values()))


def read_real() -> list[Statements]:
    """The 20,000 theses and articles of an Indonesian repository, as it sent them; empty where they are not here."""
    path = SHARED / "records" / "itb-digilib-a.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [
            tuple(
                (element, NOT_XML.sub(" ", value))
                for element, values in json.loads(line)["dc"].items()
                for value in values
            )
            for line in lines
        ]


def read_or_make(count: int) -> tuple[str, list[Statements]]:
    """So many records, real ones first, and what they are in a word."""
    real = read_real()[:count]
    made = islice(iter_made(), count - len(real))
    return ("real records" if len(real) == count else f"{len(real)} real and made records"), [*real, *made]


def dublin_core(statements: Statements) -> str:
    """The payload of a record in oai_dc."""
    inside = "".join(f"<dc:{element}>{escape(value)}</dc:{element}>\n" for element, value in statements)
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ '
        f'http://www.openarchives.org/OAI/2.0/oai_dc.xsd">\n{inside}</oai_dc:dc>'
    )


def record_xml(identifier: str, statements: Statements) -> str:
    """A record element as a member sends it."""
    return (
        f"<record><header><identifier>{identifier}</identifier><datestamp>2025-03-14T08:09:10Z</datestamp>"
        "<setSpec>7374617475733D707562</setSpec><setSpec>74797065733D746865736973</setSpec></header>"
        f"<metadata>{dublin_core(statements)}</metadata></record>\n"
    )


def response_xml(inside: str) -> bytes:
    """A response with this answer in it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/'
        'OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd"><responseDate>2025-04-01T00:00:00Z</responseDate>'
        f'<request verb="ListRecords">http://repository.example.ac.id/oai</request>{inside}</OAI-PMH>\n'
    ).encode()


def list_records_xml(records: Iterable[str], token: str = "") -> bytes:
    """A page of a list."""
    return response_xml(f"<ListRecords>{''.join(records)}<resumptionToken>{token}</resumptionToken></ListRecords>")


def prepared(name: str, key: str, fill: Callable[[Path], None]) -> Path:
    """The folder that `fill` fills, kept from an earlier run with the same key; those of other keys are gone."""
    folder = CACHE / f"{name}-{key}"
    if not folder.is_dir():
        print(f"  preparing {folder} ...", file=sys.stderr, flush=True)
        draft = CACHE / f"draft-{os.getpid()}"
        draft.mkdir(parents=True)
        try:
            fill(draft)
            for former in CACHE.glob(f"{name}-*"):
                shutil.rmtree(former)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def iter_documents(count: int) -> Iterator[Document]:
    """So many documents as an engine gets them; where there are fewer records, with their texts mixed anew."""
    _, records = read_or_make(min(count, 20_000))
    source = random.Random(_SEED)
    year = datetime.now(UTC).year
    base = [_document(statements, year) for statements in records]
    sentences = [re.split(r"(?<=[.])\s+", document.abstracts[0].value) for document in base if document.abstracts]
    for number in range(count):
        first, other = base[number % len(base)], source.choice(base)
        document = replace(
            first,
            id=f"{number:012}",
            holders=(Holder(f"{number:012}", f"member-{source.randrange(MEMBERS):02}", "https://example.org/", False),),
            year=source.randint(1985, 2025),
            added=1_700_000_000 + number,
        )
        if number >= len(base):
            parts = [*source.choice(sentences), *source.choice(sentences)]
            source.shuffle(parts)
            family = _FAMILIES[number // len(base) % len(_FAMILIES)]
            document = replace(
                document,
                titles=(Text(_halves(first.title, other.title), first.text_language),),
                creators=tuple(f"{name} {family}" for name in first.creators),
                abstracts=(Text(" ".join(parts)[:1800], first.text_language),),
                subjects=other.subjects,
            )
        yield document


def _halves(one: str, other: str) -> str:
    left, right = one.split(), other.split()
    return " ".join(chain(left[: (len(left) + 1) // 2], right[len(right) // 2 :]))


def _document(statements: Statements, year: int) -> Document:
    described = describe_xml(dublin_core(statements).encode(), this_year=year)
    return document_of([(_RECORD, described)], public_id=_RECORD.id)
