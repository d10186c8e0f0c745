"""From a record's statements to its `Description`: cleaned, normalised, and honest about what could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from indexer.crosswalks.statements import Statement
from indexer.document import Description, Text, Unread
from indexer.normalise.dates import choose_issued
from indexer.normalise.identifiers import Identifier, classify
from indexer.normalise.languages import guess, parse_languages
from indexer.normalise.names import Name, parse_name, split_names
from indexer.normalise.rights import Rights, parse_rights
from indexer.normalise.subjects import split_subjects
from indexer.normalise.text import clean, is_blank
from indexer.normalise.types import TypeOfWork, parse_types

_SHORT = 120  # letters; a description below that is rather a note than an abstract
# What an identifier outside dc:identifier may tell about this work; the rest belongs to others.
_KEPT = {"relation": frozenset({"file", "galley", "image", "related-doi"}), "source": frozenset({"file", "issn"})}
_NO_RIGHTS = Rights()
_NO_TYPE = TypeOfWork()
_LONGEST = 100_000  # characters of a value, and of all values of a record: a book's text is no description
_MOST = 1_000_000
_OFTEN_SENT = 60  # letters; values below that (types, publishers, subjects) come again and again


class _Value(NamedTuple):
    text: str  # cleaned
    sent: str
    language: str | None


def assemble(statements: Iterable[Statement], *, host: str, this_year: int) -> Description:
    """The description that these statements make together; `host` is the repository's own, empty if unknown.

    Dates up to the end of the next year are believed.
    """
    raw: list[tuple[str, str]] = []
    fields: dict[str, list[_Value]] = {}
    room = _MOST
    for field, element, sent, language in statements:
        if sent := sent.strip()[: min(_LONGEST, room)]:
            room -= len(sent)
            raw.append((element, sent))
            if field and (text := _known(sent) if len(sent) < _OFTEN_SENT else _cleaned(sent)):
                fields.setdefault(field, []).append(_Value(text, sent, language))
    unread: list[Unread] = []
    dates = [value.text for value in fields.get("date", ())]
    issued, unread_dates = choose_issued(dates, latest_year=this_year + 1) if dates else (None, ())
    unread += (Unread("date", value) for value in unread_dates)
    languages: dict[str, None] = {}
    for value in fields.get("language", ()):
        found = parse_languages(value.text)
        languages.update(dict.fromkeys(found))
        if not found:
            unread.append(Unread("language", value.sent))
    kind = parse_types(_texts(fields, "type")) if "type" in fields else _NO_TYPE
    unread += (Unread("type", value) for value in kind.unread)
    titles = _titles(fields.get("title", ()), next(iter(languages), None))
    abstracts = _abstracts(fields)
    guessed = None
    if not languages and titles:
        guessed = guess(" ".join([titles[0].value, *(abstract.value for abstract in abstracts[:1])]))
    rights = _texts(fields, "rights")
    return Description(
        titles=titles,
        creators=_names(fields.get("creator", ())),
        contributors=_names(fields.get("contributor", ())),
        issued=issued,
        languages=(guessed,) if guessed else tuple(languages),
        language_guessed=guessed is not None,
        type=kind,
        subjects=split_subjects(_texts(fields, "subject")) if "subject" in fields else (),
        abstracts=abstracts,
        publishers=_texts(fields, "publisher"),
        sources=_texts(fields, "source"),
        coverages=_texts(fields, "coverage"),
        relations=_texts(fields, "relation"),
        formats=_texts(fields, "format"),
        identifiers=_identifiers(fields, host),
        rights=parse_rights(rights, dates=dates) if rights or dates else _NO_RIGHTS,
        unread=tuple(unread),
        raw=tuple(raw),
    )


def _cleaned(sent: str) -> str:
    """The value cleaned; empty where it stands for nothing."""
    text = clean(sent)
    return "" if is_blank(text) else text


_known = lru_cache(maxsize=16_384)(_cleaned)


def _texts(fields: dict[str, list[_Value]], field: str) -> tuple[str, ...]:
    values = fields.get(field, ())
    return (
        tuple(dict.fromkeys([value.text for value in values])) if len(values) > 1 else tuple([v.text for v in values])
    )


@lru_cache(maxsize=512)
def _declared(language: str) -> str | None:
    # seen: xml:lang="0" (old OMP), "en-US"; what is no language is dropped
    return next(iter(parse_languages(language)), None)


def _tagged(value: _Value) -> Text:
    return Text(value.text, _declared(value.language) if value.language else None)


def _titles(values: Sequence[_Value], language: str | None) -> tuple[Text, ...]:
    """The titles, each once: the first is the main one unless it is declared to be in another language than
    the work's and one in the work's language is there too."""
    titles = tuple(dict.fromkeys(map(_tagged, values)))
    if len(titles) < 2 or language is None or titles[0].language in {None, language}:
        return titles
    return tuple(sorted(titles, key=lambda title: title.language != language))


def _abstracts(fields: dict[str, list[_Value]]) -> tuple[Text, ...]:
    """Abstracts, then descriptions long enough to be one, then notes; each in the record's order."""
    texts = [_tagged(value) for value in fields.get("abstract", ())]
    described = [_tagged(value) for value in fields.get("description", ())]
    return tuple(dict.fromkeys(texts + sorted(described, key=lambda text: len(text.value) < _SHORT)))


def _names(values: Iterable[_Value]) -> tuple[Name, ...]:
    names: dict[str, Name] = {}
    for value in values:
        for part in split_names(value.text):
            name = parse_name(part)
            if name is not None:
                names.setdefault(name.display, name)
    return tuple(names.values())


def _identifiers(fields: dict[str, list[_Value]], host: str) -> tuple[Identifier, ...]:
    """The work's identifiers, its landing page first among the URLs.

    That is the first URL of the repository's own host, else the first URL; in EPrints, which sends files
    and a citation as identifiers, the first URL of dc:relation, and a DOI beside it is the work's own; in
    DSpace the handle, which leads to the repository where a DOI leads to the publisher.
    """
    own = [found for value in fields.get("identifier", ()) for found in classify(value.text, "identifier")]
    kinds = {identifier.kind for identifier in own}
    urls = [identifier for identifier in own if identifier.kind == "url"]
    related = [found for value in fields.get("relation", ()) for found in classify(value.text, "relation")]
    if len(urls) > 1 and host:
        urls.sort(key=lambda identifier: urlsplit(identifier.value).hostname != host)
    elif not urls:
        page = next((i for i in related if i.kind == "url"), None)
        hosts = {host} | {urlsplit(i.value).hostname for i in own if i.kind == "file"}
        if page and (urlsplit(page.value).hostname in hosts or not kinds & {"doi", "handle"}):
            urls.append(page)
            if "doi" not in kinds and urlsplit(page.value).hostname in hosts:
                dois = [i for i in related if i.kind == "related-doi"]
                urls += (Identifier("doi", i.value, i.raw) for i in dois if len(dois) == 1)
        elif "handle" in kinds:
            handle = next(i for i in own if i.kind == "handle")
            urls.append(Identifier("url", f"https://hdl.handle.net/{handle.value}", handle.raw))
    rest = [identifier for identifier in own if identifier.kind != "url"]
    rest += (identifier for identifier in related if identifier.kind in _KEPT["relation"])
    for value in fields.get("source", ()):
        rest += (found for found in classify(value.text, "source") if found.kind in _KEPT["source"])
    return tuple(dict.fromkeys(urls + rest))
