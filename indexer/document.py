"""What the indexer knows: `Description` says one record, `Document` says one work for an engine to store."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexer.normalise.dates import PublicationDate
from indexer.normalise.identifiers import Identifier
from indexer.normalise.names import Name
from indexer.normalise.rights import Rights
from indexer.normalise.types import TypeOfWork


@dataclass(frozen=True, slots=True)
class Text:
    """A cleaned text and its language (ISO 639-1 code, or 639-3 where there is none; None is unknown)."""

    value: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """A value that no normaliser could read: counted for the member's manager, never guessed."""

    element: str
    raw: str


@dataclass(frozen=True, slots=True)
class Description:
    """One record in the network's own terms, made from its XML by a crosswalk; a pure value.

    Sequences keep the order of the record. Every field may be empty: members send all kinds of gaps.
    `language` is the language of the work; `language_guessed` says that it was not declared but guessed
    from the text. `raw` keeps the values as the member sent them, by element name.
    """

    titles: tuple[Text, ...] = ()
    creators: tuple[Name, ...] = ()
    contributors: tuple[Name, ...] = ()
    issued: PublicationDate | None = None
    languages: tuple[str, ...] = ()
    language_guessed: bool = False
    type: TypeOfWork = field(default_factory=TypeOfWork)
    subjects: tuple[str, ...] = ()
    abstracts: tuple[Text, ...] = ()
    publishers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    coverages: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    rights: Rights = field(default_factory=Rights)
    unread: tuple[Unread, ...] = ()
    raw: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str | None:
        """The main title: the first one."""
        return self.titles[0].value if self.titles else None

    @property
    def year(self) -> int | None:
        """The year of issue."""
        return self.issued.year if self.issued else None

    @property
    def language(self) -> str | None:
        """The first language of the work."""
        return self.languages[0] if self.languages else None

    def identifiers_of(self, kind: str) -> tuple[str, ...]:
        """The normalised values of one kind of identifier, in order, each once."""
        return tuple(dict.fromkeys([i.value for i in self.identifiers if i.kind == kind]))

    @property
    def landing_page(self) -> str | None:
        """The URL of the member's own page about the work, else a resolver's URL, else None."""
        for kind, prefix in (
            ("url", ""),
            ("doi", "https://doi.org/"),
            ("handle", "https://hdl.handle.net/"),
        ):
            for value in self.identifiers_of(kind):
                return prefix + value
        return None


@dataclass(frozen=True, slots=True)
class Holder:
    """One member's record of a work. `record` is the public record id, `member` the slug."""

    record: str
    member: str
    url: str | None = None
    fulltext: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One work, ready for an engine. `id` is the work's public id; `titles[0]` is what a hit shows.

    `text_language` is the language whose stemmer fits title and abstract: the language of the record that
    the work is shown by. `added` is the datestamp (seconds since 1970) at which the work's first record
    came to the network. Facet values: `members` are slugs, `languages` codes, `type` one of
    `indexer.normalise.types.TYPES`, `subjects` and `creators` as displayed.
    """

    id: str
    holders: tuple[Holder, ...]
    titles: tuple[Text, ...] = ()
    creators: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    year: int | None = None
    type: str = "other"
    level: str | None = None
    languages: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    abstracts: tuple[Text, ...] = ()
    publishers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    dois: tuple[str, ...] = ()
    isbns: tuple[str, ...] = ()
    issns: tuple[str, ...] = ()
    access: str | None = None
    licence: str | None = None
    added: int = 0

    @property
    def title(self) -> str:
        """What a list shows as the title; empty where no record has one."""
        return self.titles[0].value if self.titles else ""

    @property
    def text_language(self) -> str | None:
        """The language to stem by: the title's own, else the work's first."""
        if self.titles and self.titles[0].language:
            return self.titles[0].language
        return self.languages[0] if self.languages else None

    @property
    def members(self) -> tuple[str, ...]:
        """The slugs of the members that hold the work, each once."""
        return tuple(dict.fromkeys(holder.member for holder in self.holders))

    @property
    def fulltext(self) -> bool:
        """True where the network has a readable text of the work."""
        return any(holder.fulltext for holder in self.holders)
