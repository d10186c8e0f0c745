"""The results of a search, with what narrows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flask import Blueprint, render_template, request
from flask_babel import gettext

from harvester.catalogue.overview import find_names
from harvester.errors import ArchiveError, CatalogueError, CatalogueUnavailableError, QueryRejectedError
from indexer.engine import Bucket, Engine, Fragment, Hit, Results
from indexer.highlight import Matcher, snippet
from indexer.parser import parse_query
from indexer.passages import Passage, find_passages
from indexer.query import Facet
from web import words
from web.charts import year_bars
from web.question import KEYS, SORTS, Question, format_years, parse_question
from web.tiers import Tiers, get_tiers

blueprint = Blueprint("search", __name__)

FACETS: tuple[Facet, ...] = ("member", "year", "type", "language", "subject")
_FEW = 3  # with so few hits another spelling is offered
_SHOWN = 7  # values of a facet before "more"


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet as a link that chooses it, or takes it back."""

    label: str
    path: str
    count: int | None = None
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class FacetView:
    """A facet on the page: the values that show at once, and the rest."""

    name: Facet
    first: tuple[Choice, ...]
    more: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """What else of a work matched, where neither its title nor its abstract did."""

    label: str
    text: Fragment


@dataclass(frozen=True, slots=True)
class Answer:
    """The engine's results for a question. `question` is without the cursor where that was not ours: `lost`."""

    question: Question
    results: Results
    lost: bool


def ask(engine: Engine, question: Question) -> Answer:
    """The engine's answer; one to the first page where the cursor cannot be read."""
    facets = (*FACETS, "author") if question.opened else FACETS
    try:
        return Answer(question, engine.search(question.request(facets)), lost=False)
    except QueryRejectedError:
        if question.cursor is None:
            raise
        question = replace(question, cursor=None)
        return Answer(question, engine.search(question.request(facets)), lost=True)


def member_names(tiers: Tiers, answer: Answer) -> dict[str, str]:
    """The names of the members that the answer shows, by their slugs; none while the catalogue is away."""
    found = answer.results
    slugs = {bucket.value for bucket in found.facets.get("member", ())} | set(answer.question.values("member"))
    slugs.update(slug for hit in found.hits for slug in hit.document.members)
    try:
        with tiers.catalogue.read() as connection:
            return find_names(connection, slugs)
    except CatalogueUnavailableError:  # slugs name them, too
        return {}


def passages_of(tiers: Tiers, answer: Answer) -> dict[str, Passage]:
    """Where the hits' full texts match that nothing else of them explains, by document; none while texts are away."""
    query, hits = parse_query(answer.question.text), answer.results.hits
    if not answer.question.text or not any(hit.document.fulltext for hit in hits):
        return {}
    try:
        return find_passages(tiers.catalogue, tiers.archive, query, [hit.document for hit in hits])
    except (CatalogueError, ArchiveError):  # the hits are right without
        return {}


@blueprint.get("/search")
def results() -> str:
    """The page of results."""
    tiers = get_tiers()
    answer = ask(tiers.engine, parse_question(request.args))
    names = member_names(tiers, answer)
    question, found = answer.question, answer.results
    correction = tiers.engine.correct(question.text) if question.text and found.total <= _FEW else None
    wider = tiers.engine.search(question.widened().request((), size=1)).total if _is_dead_end(answer) else 0
    return render_template(
        "search.html",
        question=question,
        results=found,
        lost=answer.lost,
        names=names,
        correction=replace(question, text=correction, cursor=None) if correction else None,
        wider=wider,
        facets=[_view(name, question, found, names) for name in KEYS if name in found.facets],
        bars=year_bars(found.facets.get("year", ()), question.years, [int(year) for year in question.values("year")]),
        chips=_chips(question, names),
        reasons=_reasons(question, found),
        passages=passages_of(tiers, answer),
        readable=_readable(tiers.engine, question),
        sorts=[
            (words.SORTS[sort], replace(question, sort=sort, cursor=None).path(), sort == question.sort)
            for sort in SORTS
            if question.text or sort != "relevance"
        ],
        authors_path=replace(question, opened=True, cursor=None).path(),
        first_path=replace(question, cursor=None).path(),
        next_path=replace(question, cursor=found.next_cursor).path() if found.next_cursor else None,
    )


def _is_dead_end(answer: Answer) -> bool:
    return not answer.results.total and answer.question.narrowed


def count_readable(engine: Engine, question: Question) -> int:
    """How many of the works that the question finds have a full text."""
    only = replace(question, fulltext=True, cursor=None)
    return engine.search(replace(only.request((), size=1), highlight=False)).total


def _readable(engine: Engine, question: Question) -> Choice:
    """The choice of works that have a full text, with their number."""
    only = replace(question, fulltext=True, cursor=None)
    count = count_readable(engine, question)
    other = replace(only, fulltext=not question.fulltext)
    return Choice(gettext("With full text"), other.path(), count, question.fulltext)


def _view(name: Facet, question: Question, found: Results, names: Mapping[str, str]) -> FacetView:
    chosen = question.values(name)
    counted = {bucket.value for bucket in found.facets[name]}
    # What is chosen stands first, even where it finds nothing any more.
    buckets = [Bucket(value, 0) for value in chosen if value not in counted]
    buckets += sorted(found.facets[name], key=lambda bucket: bucket.value not in chosen)
    choices = tuple(
        Choice(
            label=_label(name, bucket.value, names),
            path=question.toggled(name, bucket.value).path(),
            count=bucket.count,
            chosen=bucket.value in chosen,
        )
        for bucket in buckets
    )
    shown = max(_SHOWN, len(chosen))
    return FacetView(name, choices[:shown], choices[shown:])


def _reasons(question: Question, found: Results) -> dict[str, Reason]:
    """The reasons for hits without any mark, by document."""
    matcher = Matcher(parse_query(question.text))
    unmarked = (hit for hit in found.hits if not any(mark for _, mark in hit.title.parts + hit.snippet.parts))
    return {hit.document.id: reason for hit in unmarked if (reason := _find_reason(hit, matcher))}


def _find_reason(hit: Hit, matcher: Matcher) -> Reason | None:
    document = hit.document
    for label, values in (
        (words.SORTS["title"], [title.value for title in document.titles[1:]]),
        (words.FACETS["author"], [*document.creators, *document.contributors]),
        (words.FACETS["subject"], document.subjects),
        (gettext("Publisher"), document.publishers),
        (gettext("Published in"), document.sources),
    ):
        for value in values:
            text = snippet(value, matcher, document.text_language)
            if any(mark for _, mark in text.parts):
                return Reason(str(label), text)
    return None


def _chips(question: Question, names: Mapping[str, str]) -> list[Choice]:
    """The chosen filters; each one's link takes it back."""
    chips = [
        Choice(f"{words.FACETS[facet]}: {_label(facet, value, names)}", question.toggled(facet, value).path())
        for facet, values in question.chosen
        for value in values
    ]
    if question.years != (None, None):
        years = format_years(question.years).replace("-", "–")
        chips.append(Choice(f"{words.FACETS['year']}: {years}", question.with_years(None, None).path()))
    if question.fulltext:
        chips.append(Choice(gettext("With full text"), replace(question, fulltext=False, cursor=None).path()))
    return chips


def _label(facet: Facet, value: str, names: Mapping[str, str]) -> str:
    if facet == "member":
        return names.get(value, value)
    if facet == "type":
        return words.type_name(value)
    return words.language_name(value) if facet == "language" else value
