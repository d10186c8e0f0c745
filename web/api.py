"""Search for programs: the same question, answered in JSON. The shape is a promise to other people's scripts."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, jsonify, request

from indexer.engine import Hit
from indexer.passages import Passage
from web.links import full_url, safe_url
from web.question import parse_question
from web.search import ask, count_readable, passages_of
from web.tiers import get_tiers

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.get("/search")
def search() -> Response:
    """A page of hits, the facets' counts, and the address of the next page."""
    tiers = get_tiers()
    answer = ask(tiers.engine, parse_question(request.args))
    question, found = answer.question, answer.results
    found_in = passages_of(tiers, answer)
    readable = count_readable(tiers.engine, question)
    following = replace(question, cursor=found.next_cursor).path("/api/search") if found.next_cursor else None
    return _shared(
        jsonify(
            total=found.total,
            hits=[_hit(hit, found_in.get(hit.document.id)) for hit in found.hits],
            facets={
                name: [{"value": bucket.value, "count": bucket.count} for bucket in buckets]
                for name, buckets in found.facets.items()
            }
            | {"fulltext": [{"value": "1", "count": readable}] if readable else []},
            next=full_url(following) if following else None,
        )
    )


@blueprint.get("/suggest")
def suggest() -> Response:
    """Completions of what is being typed."""
    typed = " ".join(request.args.get("q", "")[:100].split())
    found = get_tiers().engine.suggest(typed) if len(typed) > 1 else ()
    return _shared(jsonify([{"text": suggestion.text, "kind": suggestion.kind} for suggestion in found]))


def _hit(hit: Hit, passage: Passage | None) -> dict[str, object]:
    document = hit.document
    holder = document.holders[0]
    return {
        "id": holder.record,
        "title": document.title,
        "creators": document.creators,
        "year": document.year,
        "type": document.type,
        "language": document.languages[0] if document.languages else None,
        "member": holder.member,
        "members": document.members,
        "url": safe_url(holder.url) or full_url(f"/record/{holder.record}"),
        "fulltext": document.fulltext,
        "snippet": str(passage.text if passage else hit.snippet),
        "page": passage.page if passage else None,
        "file": passage.file if passage else None,
    }


def _shared(answer: Response) -> Response:
    answer.headers["Access-Control-Allow-Origin"] = "*"  # nothing here belongs to one reader
    return answer
