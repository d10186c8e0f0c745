"""Statements: what the readers of all formats yield, and how they look at XML."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lxml.etree import _Element

# Elements of text that stand within a word or line; all others part words.
_INLINE = frozenset({"i", "b", "em", "strong", "sub", "sup", "italic", "bold", "sc", "xref", "ext-link", "emph"})
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Statement(NamedTuple):
    """One value of a record, as sent.

    `field` is what it says: title, creator, contributor, date, language, type, subject, abstract,
    description, publisher, source, coverage, relation, format, identifier or rights; empty where it is
    only kept. `element` is what the member called it.
    """

    field: str
    element: str
    value: str
    language: str | None = None


@lru_cache(maxsize=4096)
def local_name(tag: object) -> str:
    """The local name of a tag in lower case; empty for what is no element."""
    return tag[tag.rfind("}") + 1 :].lower() if isinstance(tag, str) else ""


def text_of(element: _Element) -> str:
    """All text within the element, words of different blocks kept apart."""
    if not len(element):
        return element.text or ""
    parts = [element.text or ""]
    for child in element:
        border = "" if local_name(child.tag) in _INLINE else " "
        parts += (border, text_of(child), border, child.tail or "")
    return "".join(parts)


def language_of(element: _Element) -> str | None:
    """The element's declared language, as sent."""
    return element.get(_XML_LANG) or element.get("lang")
