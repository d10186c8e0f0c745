"""What a reader types into the tree of `indexer.query`. Every text is a query; none raises.

Words are joined by AND; AND binds tighter than OR. Operators are written in capitals, in English or
Indonesian; a longer text that is all capitals is a pasted title and has none. What makes no sense as syntax
(an operator at the end, a lone quote, a label that is no field) is read as words or left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from stdnum import isbn, issn

from indexer.analysis import words
from indexer.query import All, And, Field, In, KeyField, Node, Not, Or, Phrase, Prefix, Range, Term, Typed

_MOST_CHARACTERS = 4000
_MOST_WORDS = 64
_DEEPEST = 16
_TITLE_WORDS = 4  # more words than these, all in capitals, are a title and not operators

_FIELDS: dict[str, Field] = {
    "title": "title", "judul": "title", "author": "author", "penulis": "author", "pengarang": "author",
    "creator": "author", "subject": "subject", "subjek": "subject", "topik": "subject", "abstract": "abstract",
    "abstrak": "abstract", "publisher": "publisher", "penerbit": "publisher", "journal": "source",
    "jurnal": "source", "source": "source", "text": "text", "teks": "text",
}  # fmt: skip
_KEYS: dict[str, KeyField] = {
    "type": "type", "jenis": "type", "language": "language", "bahasa": "language", "member": "member",
    "anggota": "member",
}  # fmt: skip
_OPERATORS = {"AND": "and", "DAN": "and", "OR": "or", "ATAU": "or", "NOT": "not", "BUKAN": "not"}
_QUOTES = str.maketrans("“”„«»", '"' * 5)

# What a text is made of, the first that fits.
_ITEMS = (
    r"(?P<doi>(?:https?://(?:dx\.)?doi\.org/|(?<!\w)doi:\s*)?(?<![\w.])10\.\d{4,9}/[^\s\"]+)",
    r"(?P<isbn>(?:isbn(?:-1[03])?:?\s*)?(?<!\w)(?:97[89](?:[ -]?\d){10}|\d(?:[ -]?\d){8}[ -]?[\dx])(?![\w-]))",
    r"(?P<issn>(?:issn:?\s*)?(?<![\w-])\d{4}-\d{3}[\dx](?![\w-]))",
    r"(?P<readable>(?:fulltext|teks-lengkap):\s*(?:(?P<has>yes|ya|1)|no|tidak|0)(?![\w-]))",
    r"(?P<year>(?:year|tahun):\s*(?P<from>\d{4})?\s*(?P<to>(?:-|–|\.\.)\s*(?:\d{4})?)?(?![\w-]))",
    rf"(?P<key>{'|'.join(_KEYS)}):(?:\"(?P<quoted>[^\"]*)\"?|(?P<value>[^\s\"()]+))",
    # A space after the label: only at the beginning, for titles have colons too.
    rf"(?P<field>(?:^(?:{'|'.join(_FIELDS)}):\s+|(?<!\w)(?:{'|'.join(_FIELDS)}):)(?=[^\s:)]))",
    r"(?P<minus>(?<![^\s(-])-(?=[^\s)-]))",
    r"(?P<open>\()",
    r"(?P<close>\))",
    r"\"(?P<phrase>[^\"]*)\"?",
    r"(?P<word>(?:[^\s\"()]|(?<=\w)[()](?=\w))+)",
)
_ITEM = re.compile(rf"\s*(?:{'|'.join(_ITEMS)})", re.IGNORECASE | re.ASCII)


def parse_query(text: str) -> Typed:
    """The meaning of what a reader typed or pasted.

    Long texts are cut after 64 words, parentheses deeper than 16 are ignored. A DOI, ISBN or ISSN, bare or
    with its label or resolver, is looked for among the identifiers and as words.
    """
    # Runs of space become one: the patterns would try each of their beginnings.
    spaced = " ".join(text.encode("utf-8", "replace").decode().translate(_QUOTES).split())
    cut = spaced[:_MOST_CHARACTERS]
    return Typed(cut, _Parser(cut).parse())


def parse_words(text: str) -> Node:
    """All the words of a text, as many as a query may have; nothing in it is an operator or a label."""
    found = words(text)[:_MOST_WORDS]
    return Term(_cut(text, found)) if found else All()


class _Parser:
    """One reading of one text, from left to right."""

    def __init__(self, text: str) -> None:
        self._items = list(_ITEM.finditer(text))
        self._at = 0
        self._words_left = _MOST_WORDS
        parts = text.split()
        self._has_operators = not (text.isupper() and len(parts) > _TITLE_WORDS)

    def parse(self) -> Node:
        nodes = []
        while self._at < len(self._items):
            if (node := self._alternatives("any", 0)) is not None:
                nodes.append(node)
            self._at += 1  # a closing parenthesis that nothing opened
        return _standing(_joined(And, nodes) or All())

    def _alternatives(self, field: Field, depth: int) -> Node | None:
        nodes: list[Node] = []
        while True:
            node = self._conjunction(field, depth)
            if node is not None:
                nodes.append(node)
            if self._operator() != "or":
                return _joined(Or, [_standing(n) for n in nodes] if len(nodes) > 1 else nodes)
            self._at += 1

    def _conjunction(self, field: Field, depth: int) -> Node | None:
        nodes: list[Node] = []
        while self._at < len(self._items):
            operator = self._operator()
            if operator == "or" or self._peek("close"):
                break
            if operator == "and":
                self._at += 1
            elif (node := self._item(field, depth)) is not None:
                nodes.append(node)
        return _joined(And, nodes)

    def _item(self, field: Field, depth: int) -> Node | None:
        """The node of the next item; None where it holds nothing to look for."""
        negative = False
        while self._operator() == "not" or self._peek("minus"):
            negative = not negative
            self._at += 1
        while self._peek("field"):
            field = _FIELDS[self._take()["field"].strip(": ").lower()]
        node: Node | None = None
        if self._peek("open"):
            self._at += 1
            if depth < _DEEPEST:
                node = self._alternatives(field, depth + 1)
                self._at += self._peek("close")
        elif self._at < len(self._items) and not self._operator() and not self._peek("close"):
            match = self._take()
            node = _READERS.get(match.lastgroup or "", _read_words)(self, match, field)
        if node is None or not negative:
            return node
        return node.node if isinstance(node, Not) else Not(node)

    def _take(self) -> re.Match[str]:
        self._at += 1
        return self._items[self._at - 1]

    def _peek(self, kind: str) -> bool:
        return self._at < len(self._items) and self._items[self._at][kind] is not None

    def _operator(self) -> str | None:
        if not self._has_operators or self._at >= len(self._items):
            return None
        return _OPERATORS.get(self._items[self._at]["word"] or "")

    def spend(self, text: str) -> list[str]:
        """The exact words of a text, as many as this query may still have."""
        found = words(text)[: self._words_left]
        self._words_left -= len(found)
        return found


def _joined(kind: type[And] | type[Or], nodes: Sequence[Node]) -> Node | None:
    return kind(tuple(nodes)) if len(nodes) > 1 else nodes[0] if nodes else None


def _standing(node: Node) -> Node:
    """A node that finds something by itself: what only excludes gets everything to exclude it from."""
    if isinstance(node, Not):
        return And((All(), node))
    if isinstance(node, And) and all(isinstance(part, Not) for part in node.nodes):
        return And((All(), *node.nodes))
    return node


def _read_words(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    """A word, a prefix, or a run of words that punctuation holds together."""
    text = match.group().strip()
    found = parser.spend(text)
    if not found:
        return None
    if text.endswith("*") and len(found[-1]) > 1:
        return _joined(And, [*(Term(word, field) for word in found[:-1]), Prefix(found[-1], field)])
    return Term(_cut(text, found), field)


def _cut(text: str, found: list[str]) -> str:
    """The text as it was typed, or only its first words where it has more than a query may have."""
    return text if len(words(text)) == len(found) else " ".join(found)


def _read_phrase(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    found = parser.spend(match["phrase"])
    return Phrase(_cut(match["phrase"], found), field) if found else None


def _read_key(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    value = (match["quoted"] or match["value"] or "").strip().lower()
    if not value:
        return _read_words(parser, match, field)
    return In(_KEYS[match["key"].lower()], (value,)) if parser.spend(value) else None


def _read_year(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    lower = int(match["from"]) if match["from"] else None
    digits = re.sub(r"\D", "", match["to"] or "")
    upper = int(digits) if digits else None if match["to"] else lower
    if lower is None and upper is None:
        return _read_words(parser, match, field)
    if not parser.spend(match.group()):
        return None
    return Range(upper, lower) if lower and upper and lower > upper else Range(lower, upper)


def _read_readable(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:  # noqa: ARG001 - one shape for all
    readable = In("fulltext", ("yes",))
    return (readable if match["has"] else Not(readable)) if parser.spend(match.group()) else None


def _identifier(parser: _Parser, key: KeyField, value: str, typed: str) -> Node | None:
    found = parser.spend(typed)
    return Or((In(key, (value,)), Phrase(" ".join(found)))) if found else None


def _read_doi(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:  # noqa: ARG001 - one shape for all
    doi = match["doi"][match["doi"].index("10.") :].rstrip(".,;:'!?*>")
    while doi.endswith((")", "]")) and doi.count("(") + doi.count("[") < doi.count(")") + doi.count("]"):
        doi = doi[:-1]
    return _identifier(parser, "doi", doi.lower(), doi)


def _read_isbn(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    number = re.sub(r"(?i)^isbn(-1[03])?:?\s*", "", match["isbn"])
    if not isbn.is_valid(number):
        return _read_words(parser, match, field)
    return _identifier(parser, "isbn", isbn.compact(number, convert=True), number)


def _read_issn(parser: _Parser, match: re.Match[str], field: Field) -> Node | None:
    number = match["issn"][-9:].upper()
    if not issn.is_valid(number):
        return _read_words(parser, match, field)
    return _identifier(parser, "issn", number, number)


# By the last group that matched.
_READERS: dict[str, Callable[[_Parser, re.Match[str], Field], Node | None]] = {
    "phrase": _read_phrase,
    "doi": _read_doi,
    "isbn": _read_isbn,
    "issn": _read_issn,
    "readable": _read_readable,
    "year": _read_year,
    "quoted": _read_key,
    "value": _read_key,
}
