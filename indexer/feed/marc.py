"""MARCXML of our normalised Dublin Core, by the Library of Congress's crosswalk. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple
from xml.sax.saxutils import escape

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from indexer.feed.dublin_core import GENRES, Statement

NAMESPACE = "http://www.loc.gov/MARC21/slim"
SCHEMA = "http://www.loc.gov/standards/marcxml/schema/MARC21slim.xsd"

_KINDS = {"image": "k", "audio": "i", "video": "g", "dataset": "m"}  # the sixth place of the leader; else text
_ISSN = re.compile(r"(?:urn:issn:)?(\d{4}-\d{3}[\dXx])\Z", re.IGNORECASE)
# What goes into one field whatever it says: element, then tag, indicators, code.
_PLAIN = {
    "subject": ("653", "  ", "a"),
    "description": ("520", "  ", "a"),
    "publisher": ("260", "  ", "b"),
    "date": ("260", "  ", "c"),
    "type": ("655", " 7", "a"),
    "format": ("856", "  ", "q"),
    "coverage": ("500", "  ", "a"),
}
_ROLES = {"creator": "author", "contributor": "contributor"}


class Field(NamedTuple):
    """A data field; `values` are (code, text) pairs."""

    tag: str
    indicators: str
    values: tuple[tuple[str, str], ...]


def render_marc(statements: Sequence[Statement], number: str, agency: str) -> str:
    """A record element; `number` is its control number with the `agency`."""
    texts = {line.element: line.text for line in reversed(statements)}  # the first of each
    leader = f"     n{_KINDS.get(texts.get('type', ''), 'a')}m a22     3u 4500"
    fields = [Field("042", "  ", (("a", "dc"),))]
    main = next((line for line in statements if line.element == "title"), None)
    fields += (_field(line, main=line is main) for line in statements)
    fields += _dissertation(statements, texts)
    fields.sort(key=lambda field: field.tag)
    return (
        f'<record xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
        f'"{NAMESPACE} {SCHEMA}"><leader>{leader}</leader><controlfield tag="001">{escape(number)}</controlfield>'
        f'<controlfield tag="003">{escape(agency)}</controlfield>{"".join(map(_render, fields))}</record>'
    )


def _render(field: Field) -> str:
    inside = "".join([f'<subfield code="{code}">{escape(text)}</subfield>' for code, text in field.values])
    one, other = field.indicators[0], field.indicators[1]
    return f'<datafield tag="{field.tag}" ind1="{one}" ind2="{other}">{inside}</datafield>'


def _field(line: Statement, *, main: bool) -> Field:
    element, text, _ = line
    code = "o" if text.startswith(("http://", "https://")) else "n"
    if element in _PLAIN:
        tag, indicators, name = _PLAIN[element]
        field = Field(tag, indicators, ((name, text), *((("2", "local"),) if element == "type" else ())))
    elif element == "title":
        field = Field(*(("245", "00") if main else ("246", "33")), (("a", text),))
    elif element in _ROLES:  # whose parts are known is a person, the family name first
        field = Field(*(("700", "1 ") if ", " in text else ("720", "  ")), (("a", text), ("e", _ROLES[element])))
    elif element == "identifier":
        field = _identifier(text)
    elif element == "language":
        known = _marc_language(text)
        field = Field("041", "0 ", (("a", known),)) if known else Field("546", "  ", (("a", text),))
    elif element == "source":
        issn = _ISSN.match(text)
        field = Field("786", "0 ", (("x", issn[1]) if issn else (code, text),))
    elif element == "relation":
        field = Field("787", "0 ", ((code, text),))
    else:
        field = Field("540", "  ", (("u" if code == "o" else "a", text),))
    return field


def _identifier(text: str) -> Field:
    for start, tag, indicators, scheme in (
        ("urn:isbn:", "020", "  ", ""),
        ("https://doi.org/", "024", "7 ", "doi"),
        ("https://hdl.handle.net/", "024", "7 ", "hdl"),
    ):
        if text.startswith(start):
            return Field(tag, indicators, (("a", text.removeprefix(start)), *((("2", scheme),) if scheme else ())))
    if text.startswith(("http://", "https://")):
        return Field("856", "40", (("u", text),))
    return Field("024", "8 ", (("a", text),))


def _dissertation(statements: Sequence[Statement], texts: dict[str, str]) -> Iterator[Field]:
    """The note of a thesis: its degree, where and when, as far as they are known."""
    if texts.get("type") != "thesis":
        return
    genres = {line.text for line in statements if line.element == "type"}
    degree = next((level.capitalize() for level, genre in GENRES.items() if genre in genres), "")
    parts = (("b", degree), ("c", texts.get("publisher", "")), ("d", texts.get("date", "")[:4]))
    found = tuple((code, text) for code, text in parts if text)
    yield Field("502", "  ", found or (("a", "Thesis"),))


@lru_cache(maxsize=512)
def _marc_language(code: str) -> str:
    """The three letters that libraries use; empty for what is no language."""
    try:
        return Language.get(code).to_alpha3(variant="B")
    except (LanguageTagError, LookupError):
        return ""
