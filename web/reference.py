"""A record as a bibliography has it: the value that every export and the citation are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexer.document import Description, Text
from indexer.normalise.dates import PublicationDate
from indexer.normalise.names import Name

# "Jurnal Tani; Vol. 5 No. 2 (2019): Beras; 123-130", as journal systems write where an article stands.
_CONTAINER = re.compile(r"^(.*?)(?:\s*[;,]\s*|\s+)(?=vol|no\b|\()", re.IGNORECASE)
_VOLUME = re.compile(r"\bvol(?:ume)?\b\.?\s*(\d+)", re.IGNORECASE)
_ISSUE = re.compile(r"\b(?:no|nomor|issue|iss)\b\.?\s*(\d+(?:[-/]\d+)?)", re.IGNORECASE)
_PAGES = re.compile(r"[;:,]\s*(?:pp?\.|hal\.?)?\s*([A-Za-z]?\d+\s*[-–]\s*[A-Za-z]?\d+)\s*\.?$")

# "2301-1234", "e-ISSN: 2301-1234", "urn:issn:2301-1234 (online)": an identifier, which has a line of its own.
_ONLY_ISSN = re.compile(
    r"(?:urn:)?(?:[ep]-?)?(?:issn)?[\s:.]*\d{4}-\d{3}[\dx]\s*(?:\(?(?:print|online|cetak)\)?)?", re.IGNORECASE
)

_JOIN = {"id": (", dan ", "t.t."), "en": (", & ", "n.d.")}


@dataclass(frozen=True, slots=True)
class Reference:
    """One record to cite. `id` is the public record id, `url` where to read it, `member` who holds it."""

    id: str
    url: str
    member: str
    titles: tuple[Text, ...]
    authors: tuple[Name, ...]
    contributors: tuple[Name, ...]
    issued: PublicationDate | None
    type: str
    level: str | None
    languages: tuple[str, ...]
    subjects: tuple[str, ...]
    abstracts: tuple[Text, ...]
    publisher: str
    container: str
    volume: str
    issue: str
    pages: str
    doi: str
    isbn: str
    issn: str

    @property
    def title(self) -> str:
        """The main title; empty where there is none."""
        return self.titles[0].value if self.titles else ""

    @property
    def year(self) -> str:
        """The year of issue; empty where it is unknown."""
        return str(self.issued.year) if self.issued else ""

    @property
    def key(self) -> str:
        """A key for citing in LaTeX: family name, year, and the record's id, which makes it unique."""
        family = self.authors[0].family if self.authors else "anon"
        return f"{''.join(c for c in family.lower() if c.isascii() and c.isalnum()) or 'anon'}{self.year}_{self.id}"


def telling_sources(description: Description) -> tuple[str, ...]:
    """The sources that say more than an ISSN."""
    return tuple(source for source in description.sources if not _ONLY_ISSN.fullmatch(source.strip()))


def make_reference(record_id: str, url: str, member: str, description: Description) -> Reference:
    """The reference of a described record."""
    source = next(iter(telling_sources(description)), "")
    placed = description.type.type in {"article", "conference", "chapter"} and not source.startswith("http")
    container = _CONTAINER.match(source)
    return Reference(
        id=record_id,
        url=url,
        member=member,
        titles=description.titles,
        authors=description.creators,
        contributors=description.contributors,
        issued=description.issued,
        type=description.type.type,
        level=description.type.level,
        languages=description.languages,
        subjects=description.subjects,
        abstracts=description.abstracts,
        publisher=description.publishers[0] if description.publishers else "",
        container=(container[1] if container else source).strip(" ;,") if placed else "",
        volume=_first(_VOLUME, source) if placed else "",
        issue=_first(_ISSUE, source) if placed else "",
        pages=_first(_PAGES, source).replace(" ", "").replace("–", "-") if placed else "",
        doi=next(iter(description.identifiers_of("doi")), ""),
        isbn=next(iter(description.identifiers_of("isbn")), ""),
        issn=next(iter(description.identifiers_of("issn")), ""),
    )


def format_citation(reference: Reference, locale: str, kind: str = "") -> str:
    """One line for a bibliography: people, year, title, where it appeared, a link that lasts.

    `kind` stands in brackets after the title: what the work is, where that is no article.
    """
    conjunction, undated = _JOIN[locale]
    people = [_inverted(name) for name in reference.authors]
    if len(people) > 7:
        who = ", ".join(people[:6]) + ", … " + people[-1]
    elif len(people) > 1:
        who = ", ".join(people[:-1]) + conjunction + people[-1]
    else:
        who = "".join(people)
    title = reference.title.rstrip(". ") + (f" [{kind}]" if kind else "")
    volume = reference.volume + (f"({reference.issue})" if reference.issue else "")
    place = ", ".join(part for part in (reference.container or reference.publisher, volume, reference.pages) if part)
    link = f"https://doi.org/{reference.doi}" if reference.doi else reference.url
    head = f"{who} ({reference.year or undated})." if who else f"({reference.year or undated})."
    return " ".join(part for part in (head, f"{title}.", place and f"{place}.", link) if part)


def _inverted(name: Name) -> str:
    initials = " ".join(f"{part[0]}." for part in (name.given or "").replace("-", " ").split() if part[0].isalpha())
    return f"{name.family}, {initials}" if initials else name.family


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
