"""The query model: a small immutable tree that each engine compiles, and the request around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from indexer.analysis import iter_tokens, words

# The fields a reader can name in a query; each engine knows how it stores them.
# `any` is all of them, `described` all but the full text.
Field: TypeAlias = Literal["any", "described", "title", "author", "subject", "abstract", "publisher", "source", "text"]
KeyField: TypeAlias = Literal[
    "doi", "isbn", "issn", "member", "type", "language", "subject", "author", "access", "level", "fulltext"
]
Facet: TypeAlias = Literal["member", "year", "type", "language", "subject", "author"]
Sort: TypeAlias = Literal["relevance", "newest", "oldest", "title", "added"]


@dataclass(frozen=True, slots=True)
class All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word as the reader wrote it; the engine analyses it (exact form and stems)."""

    text: str
    field: Field = "any"
    boost: float = 1.0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand side by side, in exact forms."""

    text: str
    field: Field = "any"
    boost: float = 1.0


@dataclass(frozen=True, slots=True)
class Prefix:
    """Words that begin so."""

    text: str
    field: Field = "any"


@dataclass(frozen=True, slots=True)
class Range:
    """Years from `lower` to `upper`, both included; None is open."""

    lower: int | None
    upper: int | None


@dataclass(frozen=True, slots=True)
class In:
    """One of these exact values in a field of keys."""

    field: KeyField
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them; more score higher."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """None of it."""

    node: Node


@dataclass(frozen=True, slots=True)
class Typed:
    """What a reader typed, and how it is read. Works whose title is the text are found too, and come first.

    Where a request for it finds nothing, whatever the filters, its words are looked for without operators.
    """

    text: str
    node: Node


Node: TypeAlias = "All | Term | Phrase | Prefix | Range | In | And | Or | Not | Typed"


def query_words(node: Node) -> tuple[str, ...]:
    """The words that a match of the query has, each once; a prefix ends in "*". What is excluded is left out."""
    match node:
        case Term() | Phrase():
            return tuple(dict.fromkeys(token.source for token in iter_tokens(node.text)))
        case Prefix():
            return tuple(f"{word}*" for word in words(node.text))
        case Typed():
            return query_words(node.node)
        case And() | Or():
            return tuple(dict.fromkeys(word for part in node.nodes for word in query_words(part)))
        case _:
            return ()


def query_phrases(node: Node) -> tuple[tuple[str, ...], ...]:
    """The exact tokens of what stands side by side in a match of the query: its phrases, and words such as "e-learning"
    that are several."""
    match node:
        case Term() | Phrase():
            found = tuple(words(node.text))
            return (found,) if len(found) > 1 else ()
        case Typed():
            return query_phrases(node.node)
        case And() | Or():
            return tuple(dict.fromkeys(phrase for part in node.nodes for phrase in query_phrases(part)))
        case _:
            return ()


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One question to an engine.
    `filters` narrow by facet values: values of one facet are alternatives, facets add up; `years` is a
    range (both included, None is open). Counts of a facet ignore that facet's own filter, so that a
    reader can add a second value; an empty choice of values is no filter. `cursor` is what
    `Results.next_cursor` gave; None is the first page. Relevance of a query without words is the newest
    first; works without a year or title come last in the orders by them.
    """

    query: Node = field(default_factory=All)
    filters: tuple[tuple[Facet, tuple[str, ...]], ...] = ()
    years: tuple[int | None, int | None] = (None, None)
    fulltext: bool | None = None
    facets: tuple[Facet, ...] = ()
    facet_size: int = 20
    sort: Sort = "relevance"
    cursor: str | None = None
    size: int = 20
    highlight: bool = True
