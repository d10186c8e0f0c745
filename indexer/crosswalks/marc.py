"""MARC 21 in XML, as libraries catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.crosswalks.statements import Statement, local_name

if TYPE_CHECKING:
    from lxml.etree import _Element

# What a datafield says: field, subfields in their own order, and what stands between them.
_FIELDS = {
    tag: (field, codes, between)
    for tags, field, codes, between in (
        ("245", "title", "abnp", " "),
        ("130 210 222 240 246 247", "title", "abnp", " "),
        ("100 110 111", "creator", "ab", " "),
        ("260 264", "publisher", "b", " "),
        ("250 300", "format", "abc", " "),
        ("490 830 440", "relation", "av", " "),
        ("020", "identifier", "a", " "),
        ("041", "language", "a", " "),
        ("502", "type", "abc", " "),
        ("500 505 504", "description", "atr", " "),
        ("520", "abstract", "ab", " "),
        ("506 540 542", "rights", "afu", " "),
        ("522 651 662", "coverage", "ax", " -- "),
        ("600 610 611 630 647 648 650 653 655", "subject", "abcdtvxyz", " -- "),
        ("773", "source", "tpgvnc", ", "),
        ("776 780 785 787", "relation", "tx", " "),
    )
    for tag in tags.split()
}
_AUTHORS = frozenset({"aut", "cre", "author", "creator", "joint author", "pengarang", "penulis", ""})
_KINDS = {"am": "book", "ab": "article", "aa": "chapter", "e": "map", "g": "video", "i": "audio", "k": "image"}
_NO_LANGUAGE = frozenset({"und", "zxx", "mul", "mis"})
_PUNCTUATION = re.compile(r"[\s/:;,=]+$")
_RESPONSIBILITY = re.compile(r"\s+/\s+\S")


def read(root: _Element) -> Iterator[Statement]:
    """The statements of a record: titles first, then the fields in their order."""
    statements = list(_read_fields(root))
    yield from (s for s in statements if s.element == "245")
    yield from (s for s in statements if s.element != "245")


def _read_fields(root: _Element) -> Iterator[Statement]:
    seen_control: set[str] = set()
    for element in root:
        name, tag = local_name(element.tag), element.get("tag") or ""
        if name == "leader":
            kind = (element.text or "").ljust(8)[6:8]
            yield Statement("type", "leader", _KINDS.get(kind) or _KINDS.get(kind[0], ""))
        elif name in {"controlfield", "datafield"} and tag < "010":
            # seen: Inlislite sends each control field again as a datafield with the subfield "$"
            value = (element.text if name == "controlfield" else _value(element, "$", " ")) or ""
            if value.strip() and tag not in seen_control:
                seen_control.add(tag)
                yield from _read_control(tag, value)
        elif name == "datafield":
            yield from _read_datafield(tag, element)


def _read_control(tag: str, value: str) -> Iterator[Statement]:
    yield Statement("", tag, value)
    if tag == "008" and len(value) >= 38:
        if value[7:11].isdigit():
            yield Statement("date", tag, value[7:11])
        if value[35:38].isalpha() and value[35:38] not in _NO_LANGUAGE:
            yield Statement("language", tag, value[35:38])


def _read_datafield(tag: str, element: _Element) -> Iterator[Statement]:
    if tag in {"700", "710", "711"}:
        role = (_value(element, "4", " ") or _value(element, "e", " ")).strip(" .,()[]").lower()
        yield Statement("creator" if role in _AUTHORS else "contributor", tag, _value(element, "ab", " "))
        return
    if tag == "856":
        for url in _values(element, "u"):
            yield Statement("relation" if element.get("ind2") == "2" else "identifier", tag, url)
        return
    if tag in {"022", "024"}:
        scheme = "issn" if tag == "022" else _value(element, "2", " ").strip().lower()
        for value in _values(element, "a"):
            yield Statement("identifier", tag, f"{scheme}:{value}" if scheme in {"issn", "doi"} else value)
        return
    field, codes, between = _FIELDS.get(tag, ("", "", " "))
    if tag in {"260", "264"}:
        yield from (Statement("date", tag, value) for value in _values(element, "c"))
    value = _value(element, codes, between)
    if tag == "245":
        value = _RESPONSIBILITY.split(value)[0]
        # seen: Inlislite puts the statement of responsibility into $a
    if tag == "502":
        yield Statement("description", tag, value)
        value = f"thesis {value}"
    if tag == "041":
        # seen: codes run together, as "engfre", before 2001's change of the rule
        yield from (Statement(field, tag, code) for code in re.findall(r"[A-Za-z]{3}", value))
    else:
        yield Statement(field, tag, value)


def _values(element: _Element, codes: str) -> list[str]:
    return [
        _PUNCTUATION.sub("", subfield.text)
        for subfield in element
        if subfield.text and (not codes or subfield.get("code") in tuple(codes))
    ]


def _value(element: _Element, codes: str, between: str) -> str:
    """The subfields of these codes joined, all of them where no codes are named; a subtitle gets its colon."""
    parts = [
        (subfield.get("code"), subfield.text)
        for subfield in element
        if subfield.text and (not codes or subfield.get("code") in tuple(codes))
    ]
    if codes != "abnp":
        return between.join(_PUNCTUATION.sub("", text) for _, text in parts)
    text = ""
    for code, part in parts:
        mark = ": " if code == "b" else ". " if code in {"n", "p"} else " "
        text += (mark if text else "") + _PUNCTUATION.sub("", part)
    return text
