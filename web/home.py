"""The first page, and what machines look for beside it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request

from harvester.catalogue.harvests import list_statuses
from harvester.errors import EngineError
from indexer.document import Document
from indexer.engine import Engine
from indexer.query import SearchRequest
from web.links import full_url
from web.tiers import get_tiers

blueprint = Blueprint("home", __name__)

_NEWEST = 6


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
    """The search box, and what there is to search. Without the engine, the members alone."""
    tiers = get_tiers()
    with tiers.catalogue.read() as connection:
        statuses = list_statuses(connection)
    try:
        holdings = find_holdings(tiers.engine)
    except EngineError:
        holdings = None
    names = {status.member.slug: status.member.name for status in statuses}
    return render_template("home.html", holdings=holdings, statuses=statuses, names=names)


@blueprint.get("/robots.txt")
def robots() -> Response:
    """Crawlers may read records and members, and leave the endless room of searches alone."""
    return Response("User-agent: *\nDisallow: /search\nDisallow: /api/\n", mimetype="text/plain")


@blueprint.get("/opensearch.xml")
def opensearch() -> Response:
    """The description by which a browser offers this site as a search engine."""
    body = render_template("opensearch.xml", root=full_url(""), host=request.host)
    return Response(body, content_type="application/opensearchdescription+xml; charset=utf-8")
