"""The quality of the metadata that came, judged by what the network can make of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from harvester.oai.page import Record
from indexer.check.report import Finding, Level, finding_of
from indexer.crosswalks import describe_xml
from indexer.document import Description

_FEW = 0.1  # of the records: what only so many lack is a hint
_DOUBLE = re.compile(r"[ÂÃ][\u0080-\u00bf]|â€")  # UTF-8 taken for Latin-1 and encoded once more


def _unread(description: Description, element: str) -> str:
    return next((each.raw for each in description.unread if each.element == element), "")


def _lacks_language(description: Description) -> str | None:
    declared = description.languages and not description.language_guessed
    return _unread(description, "language") or (None if declared else "(none)")


def _lacks_type(description: Description) -> str | None:
    kind = description.type
    return None if kind.type != "other" else next(iter((*kind.unread, *kind.raw)), "(none)")


def _lacks_link(description: Description) -> str | None:
    kinds = {identifier.kind for identifier in description.identifiers}
    odd = (raw for element, raw in description.raw if element.startswith("identifier"))
    return None if kinds & {"url", "doi", "handle", "file"} else next(odd, "(none)")


def _lacks_file(description: Description) -> str | None:
    return None if any(each.kind in {"file", "galley"} for each in description.identifiers) else "(none)"


def _double_encoded(description: Description) -> str | None:
    found = ((raw, _DOUBLE.search(raw)) for _, raw in description.raw if not raw.isascii())
    return next((raw[max(0, match.start() - 20) :] for raw, match in found if match), None)


def _has(wanted: Callable[[Description], object]) -> Callable[[Description], str | None]:
    return lambda description: None if wanted(description) else "(none)"


# Rule, its level where more than a few records break it, and what it is broken by: None where it is kept.
_RULES: tuple[tuple[str, Level, Callable[[Description], str | None]], ...] = (
    ("Double-encoded UTF-8", "hurts", _double_encoded),
    ("dc:title", "hurts", _has(lambda description: description.title)),
    ("dc:creator", "hint", _has(lambda description: description.creators)),
    ("dc:date (ISO 8601)", "hurts", lambda each: None if each.issued else _unread(each, "date") or "(none)"),
    ("dc:type", "hurts", _lacks_type),
    ("dc:language (ISO 639)", "hurts", _lacks_language),
    ("dc:identifier (web link)", "hurts", _lacks_link),
    ("Link to the full text", "hint", _lacks_file),
    ("dc:rights (licence)", "hint", _has(lambda description: description.rights.licence)),
    ("Access right", "hint", _has(lambda description: description.rights.access)),
)


def judge_metadata(records: Iterable[Record], *, this_year: int) -> Iterator[Finding]:
    """A finding for each rule about the contents of records; none where no live record came."""
    described = []
    for record in records:
        if record.metadata and not record.header.deleted:
            parts = record.header.identifier.split(":")
            host = parts[1] if parts[0] == "oai" and len(parts) > 2 else ""
            described.append((record.header.identifier, describe_xml(record.metadata, host=host, this_year=this_year)))
    for rule, level, lacks in _RULES if described else ():
        broken = [f"{name}: {what[:80]}".removesuffix(": (none)") for name, each in described if (what := lacks(each))]
        few = len(broken) <= _FEW * len(described)
        yield finding_of(rule, "hint" if few else level, broken, len(described))
