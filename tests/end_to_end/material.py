"""The real responses, read a second time by other means than ours: what a harvest must come to.

Nothing of `harvester` is used here, so that a mistake of our parser cannot hide in the expectation.
"""

from __future__ import annotations

import csv
import gzip
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

_VERBS = {"Identify", "ListMetadataFormats", "ListSets", "ListIdentifiers", "ListRecords", "GetRecord"}


@dataclass(frozen=True)
class RealRecord:
    """One record element. `identifier` is empty where there is none; `title` is as a reader would copy it."""

    identifier: str
    deleted: bool
    has_metadata: bool
    title: str

    @property
    def usable(self) -> bool:
        """A record that must be in the catalogue."""
        return bool(self.identifier) and self.has_metadata and not self.deleted

    @property
    def broken(self) -> bool:
        """A record that must be counted as failed."""
        return not self.identifier or not (self.has_metadata or self.deleted)


@dataclass(frozen=True)
class RealResponse:
    """One file of the material. `asked_token` is the resumptionToken of the request that it answered, if any."""

    file: str
    prefix: str
    status: int
    content_type: str
    asked_token: str
    body: bytes

    @property
    def host(self) -> str:
        """The folder: the host or the platform."""
        return self.file.split("/")[0]

    @property
    def digest(self) -> str:
        """SHA-256 of the body."""
        return sha256(self.body).hexdigest()

    @cached_property
    def root(self) -> ElementTree.Element | None:
        """The root element; None where the body is not well-formed, but for white space before it."""
        try:
            return ElementTree.fromstring(self.body.lstrip())  # noqa: S314 - files of our own choice
        except ElementTree.ParseError:
            return None

    @cached_property
    def verb(self) -> str:
        """The verb that is answered, `error` for an OAI-PMH error, empty for what is no OAI-PMH response."""
        if self.root is None or local(self.root) != "OAI-PMH":
            return ""
        names = {local(child) for child in self.root}
        return next(iter(names & _VERBS), "error" if "error" in names else "")

    @cached_property
    def error_codes(self) -> tuple[str, ...]:
        """The codes of its OAI-PMH errors."""
        return tuple(child.get("code", "") for child in self.root or () if local(child) == "error")

    @cached_property
    def token(self) -> str:
        """The resumptionToken that it carries."""
        found = [e for e in self.root.iter() if local(e) == "resumptionToken"] if self.root is not None else []
        return (found[0].text or "").strip() if found else ""

    @cached_property
    def promised(self) -> int:
        """The completeListSize that it states, 0 where it states none."""
        sizes = [e.get("completeListSize") for e in (self.root.iter() if self.root is not None else ())]
        return next((int(size) for size in sizes if size), 0)

    @cached_property
    def records(self) -> tuple[RealRecord, ...]:
        """The records of a ListRecords answer; none for any other."""
        if self.verb != "ListRecords":
            return ()
        return tuple(
            _record(element)
            for answer in self.root or ()
            if local(answer) == "ListRecords"
            for element in answer
            if local(element) == "record"
        )


def local(element: ElementTree.Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def read_responses(folder: Path) -> tuple[RealResponse, ...]:
    """Every response that index.tsv lists, unpacked."""
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = []
    for row in rows:
        body = (folder / row["file"]).read_bytes()
        query = parse_qs(urlsplit(row["request_url_or_base_url"]).query)
        found.append(
            RealResponse(
                file=row["file"],
                prefix=row["prefix"] or "oai_dc",
                status=int(row["http_status"] or 200),
                content_type=row["content_type"] or "text/xml",
                asked_token=query.get("resumptionToken", [""])[0],
                body=gzip.decompress(body) if row["file"].endswith(".gz") else body,
            )
        )
    return tuple(found)


def _record(element: ElementTree.Element) -> RealRecord:
    parts = {local(child): child for child in element}
    header, metadata = parts.get("header"), parts.get("metadata")
    identifiers = [child.text or "" for child in header or () if local(child) == "identifier"]
    titles = list(_titles(metadata)) if metadata is not None else []
    return RealRecord(
        identifier=identifiers[0].strip() if identifiers else "",
        deleted=header is not None and header.get("status", "").strip().lower() == "deleted",
        has_metadata=metadata is not None and len(metadata) > 0,
        # Some servers escape twice and send HTML; a reader sees the characters.
        title=" ".join(re.sub("</?[a-z]+>", "", html.unescape(titles[0])).split()) if titles else "",
    )


def _titles(metadata: ElementTree.Element) -> Iterator[str]:
    for element in metadata.iter():
        if local(element) == "title":
            yield "".join(element.itertext())
        elif local(element) == "datafield" and element.get("tag") == "245":
            yield " ".join(part.text or "" for part in element if part.get("code") in {"a", "b"})
