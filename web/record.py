"""The page of one record, its exports, and the tombstone that is left of a removed one."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from harvester.catalogue.links import find_dead
from harvester.catalogue.overview import find_names, find_silent
from harvester.catalogue.records import CataloguedRecord, find_record, get_works, public_ids
from harvester.catalogue.tables import members
from harvester.catalogue.takedowns import find_records_down
from harvester.datestamps import from_epoch
from harvester.errors import EngineError
from indexer.crosswalks import describe
from indexer.document import Description, Document
from indexer.normalise.rights import licence_url
from web import words
from web.copies import ShownCopy, list_shown
from web.exports import EXPORTS, Export
from web.links import full_url, safe_url
from web.locales import present_locale
from web.reference import Reference, format_citation, make_reference, telling_sources
from web.tiers import Tiers, get_tiers

blueprint = Blueprint("record", __name__)

_HTML = "text/html"
_SIMILAR = 6
# What programs ask for beside each format's own media type.
_ALSO = {"application/json": "json", "text/x-bibtex": "bib", "text/xml": "xml"}


@dataclass(frozen=True, slots=True)
class Held:
    """A record of the work with the member that holds it. `url` leads to the member's own page, if anywhere; it did not
    answer since `dead_since`, or does as far as is known; the member's whole server did not since `silent_since`.
    `copies` are those of its files that may be shown."""

    record: CataloguedRecord
    member: str
    url: str | None
    dead_since: int | None
    silent_since: int | None
    copies: tuple[ShownCopy, ...]


@dataclass(frozen=True, slots=True)
class RecordView:
    """A live record, described, with everyone who holds the same work; the record itself is among them."""

    record: CataloguedRecord
    description: Description
    held: Held
    others: tuple[Held, ...]
    work: str


@blueprint.get("/record/<name>")
def record(name: str) -> ResponseReturnValue:
    """The record as a page, or as what the address's ending or the reader's program asks for."""
    record_id, dot, suffix = name.partition(".")
    if dot and suffix.lower() not in EXPORTS:
        abort(404)
    tiers = get_tiers()
    with tiers.catalogue.read() as connection:
        found = find_record(connection, record_id.lower())
        if found is None:
            abort(404)
        names = find_names(connection, [found.member])
        if found.deleted:  # its member may be registered no more, but has its name still
            down = bool(find_records_down(connection, [found.number]))
            former = connection.scalar(select(members.c.name).where(members.c.slug == found.member))
    if name != name.lower():  # read aloud, typed in capitals
        return redirect(url_for("record.record", name=name.lower()), 301)
    if found.deleted:
        gone = make_response(render_template("gone.html", record=found, names=names, former=former, down=down), 410)
        return gone if dot else _negotiable(gone)
    view = view_record(tiers, found)
    export = EXPORTS[suffix] if dot else _wanted_export()
    answer = _export(export, view) if export else _page(tiers, view)
    return answer if dot else _negotiable(answer)


def view_record(tiers: Tiers, record: CataloguedRecord) -> RecordView:
    """The record with its description and the work's other records."""
    this_year = from_epoch(tiers.catalogue.now()).year
    with tiers.catalogue.read() as connection:
        siblings = [other for other in get_works(connection, [record.work]) if other.id != record.id]
        work = public_ids(connection, [record.work]).get(record.work, record.id)
        described = [(one, describe(one, this_year=this_year)) for one in (record, *siblings)]
        slugs = {one.member for one, _ in described}
        names, silent = find_names(connection, slugs), find_silent(connection, slugs)
        dead = find_dead(connection, [one.number for one, _ in described])
        copies = list_shown(connection, described, tiers.catalogue.now())

    def held(one: CataloguedRecord, description: Description) -> Held:
        link = dead.get(one.number)
        since = link.since if link and link.url == description.landing_page else None
        return Held(
            one,
            names.get(one.member, one.member),
            safe_url(description.landing_page),
            since,
            silent.get(one.member),
            copies.get(one.number, ()),
        )

    own, *others = (held(*each) for each in described)
    return RecordView(record, described[0][1], own, tuple(others), work)


def _page(tiers: Tiers, view: RecordView) -> Response:
    reference = _reference(view)
    description = view.description
    similar = _similar(tiers, view)
    with tiers.catalogue.read() as connection:
        names = find_names(connection, {slug for document in similar for slug in document.members})
    kind = "" if reference.type in {"article", "other"} else words.type_name(reference.type, reference.level)
    page = render_template(
        "record.html",
        view=view,
        record=view.record,
        description=description,
        identifiers=_identifiers(description),
        sources=telling_sources(description),
        exports=EXPORTS.values(),
        citation=format_citation(reference, present_locale(), kind),
        people=_people(tiers, view),
        similar=similar,
        names=names,
        language_names=", ".join(words.language_name(code) for code in description.languages),
        licence_url=safe_url(licence_url(description.rights.licence)) if description.rights.licence else None,
        page_url=full_url(f"/record/{view.record.id}"),
    )
    return make_response(page)


def _people(tiers: Tiers, view: RecordView) -> list[tuple[str, str]]:
    """Each creator's name, and a search that finds this work by it.

    A work shows one spelling of a person; where this record has another, the family name leads there.
    """
    try:
        document = tiers.engine.get(view.work)
    except EngineError:
        document = None
    shown = document.creators if document else ()
    return [
        (name.display, url_for("search.results", author=name.display))
        if name.display in shown
        else (name.display, url_for("search.results", q=f'author:"{name.family}"'))
        for name in view.description.creators
    ]


def _similar(tiers: Tiers, view: RecordView) -> list[Document]:
    """Similar works, those of other members first; none while the engine is away."""
    try:
        found = tiers.engine.similar(view.work, 2 * _SIMILAR)
    except EngineError:
        return []
    return sorted(found, key=lambda document: view.record.member in document.members)[:_SIMILAR]


def _identifiers(description: Description) -> list[tuple[str, str, str | None]]:
    """The identifiers that a reader knows: (name, value, address)."""
    links = {"doi": "https://doi.org/", "handle": "https://hdl.handle.net/", "arxiv": "https://arxiv.org/abs/"}
    kinds = {"doi": "DOI", "isbn": "ISBN", "issn": "ISSN", "handle": "Handle", "arxiv": "arXiv", "urn": "URN"}
    return [
        (label, value, safe_url(links[kind] + value) if kind in links else None)
        for kind, label in kinds.items()
        for value in description.identifiers_of(kind)
    ]


def _reference(view: RecordView) -> Reference:
    url = view.held.url or full_url(f"/record/{view.record.id}")
    return make_reference(view.record.id, url, view.held.member, view.description)


def _export(export: Export, view: RecordView) -> Response:
    answer = Response(export.render(_reference(view)), content_type=f"{export.media_type}; charset=utf-8")
    answer.headers["Content-Disposition"] = f'inline; filename="{view.record.id}.{export.suffix}"'
    return answer


def _wanted_export() -> Export | None:
    """The export that the Accept header prefers to a page."""
    offered = {export.media_type: export.suffix for export in EXPORTS.values()} | _ALSO
    best = request.accept_mimetypes.best_match([_HTML, *offered], default=_HTML)
    return EXPORTS[offered[best]] if best != _HTML else None


def _negotiable(answer: Response) -> Response:
    answer.vary.add("Accept")
    return answer
