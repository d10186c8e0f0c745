"""The first page, and what machines look for beside it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request

from harvester.catalogue.overview import count_members, find_names, list_largest
from harvester.errors import EngineError
from indexer.document import Document
from indexer.engine import Engine
from indexer.query import SearchRequest
from web.links import full_url
from web.tiers import get_tiers

blueprint = Blueprint("home", __name__)

_NEWEST = 6
_MEMBERS = 12


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the index holds: works, those with a full text, and the latest arrivals."""

    works: int
    readable: int
    newest: tuple[Document, ...]


def find_holdings(engine: Engine) -> Holdings:
    """The present holdings."""
    added = engine.search(SearchRequest(sort="added", size=_NEWEST, highlight=False))
    readable = engine.search(SearchRequest(fulltext=True, size=1, highlight=False)).total
    return Holdings(added.total, readable, tuple(hit.document for hit in added.hits))


@blueprint.get("/")
def home() -> str:
    """The search box, what there is to search, and the largest members. Without the engine, these alone."""
    tiers = get_tiers()
    try:
        holdings = find_holdings(tiers.engine)
    except EngineError:
        holdings = None
    with tiers.catalogue.read() as connection:
        lines = list_largest(connection, _MEMBERS)
        total = count_members(connection)
        names = find_names(connection, _shown(holdings))
    return render_template("home.html", holdings=holdings, lines=lines, total=total, names=names)


def _shown(holdings: Holdings | None) -> set[str]:
    return {slug for document in (holdings.newest if holdings else ()) for slug in document.members}


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Crawlers may read records and members, and leave the endless room of searches and checks alone."""
    return Response("User-agent: *\nDisallow: /search\nDisallow: /check\nDisallow: /api/\n", mimetype="text/plain")


@blueprint.get("/opensearch.xml")
def opensearch() -> Response:
    """The description by which a browser offers this site as a search engine."""
    body = render_template("opensearch.xml", root=full_url(""), host=request.host)
    return Response(body, content_type="application/opensearchdescription+xml; charset=utf-8")
