"""What share of a member's records has a full text, why the others have none, and which links die: for its manager."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request
from sqlalchemy import Connection

from harvester.catalogue import Catalogue
from harvester.catalogue.coverage import (
    Coverage,
    Missing,
    count_coverage,
    list_dead_pages,
    list_lost,
    list_missing,
)
from harvester.catalogue.files import Rung, get_rungs
from harvester.catalogue.members import Member, find_member
from harvester.datestamps import format_datestamp, from_epoch
from web.links import full_url
from web.reasons import LOST, REASONS
from web.spreadsheets import harmless, to_csv
from web.tiers import get_tiers

blueprint = Blueprint("coverage", __name__, url_prefix="/members")

_AT_ONCE = 100
_STREAMED = 1000
_COLUMNS = ("identifier", "record", "state", "reason", "url", "checked_at", "since")

Rows = Callable[[Connection, int, int], tuple[Missing, ...]]  # so many behind a number


@dataclass(frozen=True, slots=True)
class FullTexts:
    """A member's full texts in numbers; `reasons` and `rungs` with the most frequent first."""

    coverage: Coverage
    reasons: tuple[tuple[str, int], ...]
    rungs: tuple[tuple[str, Rung], ...]

    @property
    def share(self) -> int:
        """Percent of the live records that have a text that can be searched."""
        return self.coverage.read * 100 // self.coverage.live if self.coverage.live else 0


def count_fulltexts(connection: Connection, member: Member) -> FullTexts:
    """The member's full texts in numbers."""
    coverage, rungs = count_coverage(connection, member), get_rungs(connection, member)
    reasons = sorted(coverage.reasons.items(), key=lambda each: (-each[1], each[0]))
    found = sorted(rungs.items(), key=lambda each: (-each[1].found, -each[1].tried, each[0]))
    return FullTexts(coverage, tuple(reasons), tuple(found))


def fulltexts_json(told: FullTexts) -> dict[str, object]:
    """The same for programs."""
    coverage = told.coverage
    return {
        "records": coverage.live,
        "held": coverage.held,
        "searchable": coverage.read,
        "source_away": coverage.lost,
        "reasons": dict(told.reasons),
        "found_by": {name: asdict(rung) for name, rung in told.rungs},
    }


@blueprint.get("/<slug>/fulltext")
def fulltext(slug: str) -> str:
    """The share, the reasons with their numbers, what led to files; below, the records of one reason or of all."""
    member, reason = _read_member(slug), _wanted_reason()
    with get_tiers().catalogue.read() as connection:
        told = count_fulltexts(connection, member)
        found = _list_missing(member, reason)(connection, _AT_ONCE + 1, _wanted_after())
    chosen = f"reason={reason}&" if reason else ""
    return render_template("fulltext.html", member=member, told=told, reason=reason, **_page_of(found, chosen))


@blueprint.get("/<slug>/fulltext.json")
def fulltext_json(slug: str) -> Response:
    """The numbers, and the records a thousand at a time."""
    member, reason = _read_member(slug), _wanted_reason()
    with get_tiers().catalogue.read() as connection:
        told = count_fulltexts(connection, member)
        found = _list_missing(member, reason)(connection, _STREAMED + 1, _wanted_after())
    more = f"/members/{slug}/fulltext.json?" + (f"reason={reason}&" if reason else "")
    return jsonify({"member": slug, **fulltexts_json(told), **_part(found, more, "missing")})


@blueprint.get("/<slug>/fulltext.csv")
def fulltext_csv(slug: str) -> Response:
    """Every record without a text, or those of one reason, sent as they are read."""
    member = _read_member(slug)
    return _csv(member, "fulltext", _list_missing(member, _wanted_reason()))


@blueprint.get("/<slug>/links")
def links(slug: str) -> str:
    """The links of records that died, with address and date."""
    member = _read_member(slug)
    with get_tiers().catalogue.read() as connection:
        found = _list_dead(member)(connection, _AT_ONCE + 1, _wanted_after())
    return render_template("links.html", member=member, **_page_of(found))


@blueprint.get("/<slug>/links.json")
def links_json(slug: str) -> Response:
    """The same, a thousand at a time."""
    member = _read_member(slug)
    with get_tiers().catalogue.read() as connection:
        found = _list_dead(member)(connection, _STREAMED + 1, _wanted_after())
    return jsonify({"member": slug, **_part(found, f"/members/{slug}/links.json?", "links")})


@blueprint.get("/<slug>/links.csv")
def links_csv(slug: str) -> Response:
    """All of them, sent as they are read."""
    member = _read_member(slug)
    return _csv(member, "links", _list_dead(member))


def _list_missing(member: Member, reason: str) -> Rows:
    if reason == LOST:
        return lambda connection, most, after: list_lost(connection, member, most, after)
    return lambda connection, most, after: list_missing(connection, member, most, after, reason)


def _list_dead(member: Member) -> Rows:
    return lambda connection, most, after: list_dead_pages(connection, member, most, after)


def _read_member(slug: str) -> Member:
    with get_tiers().catalogue.read() as connection:
        member = find_member(connection, slug)
    if member is None:
        abort(404)
    return member


def _wanted_reason() -> str:
    reason = request.args.get("reason", "")
    return reason if reason in REASONS else ""


def _wanted_after() -> int:
    after = request.args.get("after", "")
    return int(after) if after.isdecimal() and len(after) < 19 else 0


def _page_of(found: tuple[Missing, ...], arguments: str = "") -> dict[str, Any]:
    following = f"?{arguments}after={found[_AT_ONCE - 1].number}" if len(found) > _AT_ONCE else None
    return {"found": found[:_AT_ONCE], "following": following, "first": not _wanted_after()}


def _part(found: tuple[Missing, ...], more: str, name: str) -> dict[str, object]:
    following = full_url(f"{more}after={found[_STREAMED - 1].number}") if len(found) > _STREAMED else None
    return {
        name: [dict(zip(_COLUMNS, _values(each, full_url("")), strict=True)) for each in found[:_STREAMED]],
        "next": following,
    }


def _csv(member: Member, name: str, rows: Rows) -> Response:
    told = _iter_csv(get_tiers().catalogue, full_url(""), rows)
    answer = Response(told, content_type="text/csv; charset=utf-8; header=present")
    answer.headers["Content-Disposition"] = f'attachment; filename="{member.slug}-{name}.csv"'
    return answer


def _iter_csv(catalogue: Catalogue, root: str, rows: Rows) -> Iterator[str]:
    yield to_csv([_COLUMNS])
    after = 0
    while True:
        with catalogue.read() as connection:
            found = rows(connection, _STREAMED, after)
        if not found:
            return
        yield to_csv([tuple(harmless(each or "") for each in _values(one, root)) for one in found])
        after = found[-1].number


def _values(one: Missing, root: str) -> tuple[str | None, ...]:
    checked_at, since = (
        None if moment is None else format_datestamp(from_epoch(moment)) for moment in (one.checked_at, one.since)
    )
    record = f"{root}/record/{one.public_id}"
    return (one.identifier, record, one.state, one.reason, one.url, checked_at, since)
