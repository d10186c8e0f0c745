"""Every problem of a member's latest runs: a page for its manager, and a table for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, render_template, request

from harvester.catalogue import Catalogue
from harvester.catalogue.findings import FoundProblem, count_found_problems, list_found_problems
from harvester.catalogue.links import DeadLink, list_dead
from harvester.datestamps import format_datestamp, from_epoch
from web.fixes import explain
from web.members import read_report
from web.spreadsheets import harmless, to_csv
from web.tiers import get_tiers

blueprint = Blueprint("problems", __name__, url_prefix="/members")

_AT_ONCE = 100
_STREAMED = 1000  # rows read at once: no slow reader keeps the catalogue's state of long ago alive
_COLUMNS = ("run", "when", "code", "cause", "identifier", "url", "state")


@blueprint.get("/<slug>/problems")
def problems(slug: str) -> str:
    """A page of the problems, newest first."""
    report = read_report(slug)
    before = request.args.get("before", "")
    with get_tiers().catalogue.read() as connection:
        total = count_found_problems(connection, report.id)
        last = int(before) if before.isdecimal() and len(before) < 19 else None
        found = list_found_problems(connection, report.id, _AT_ONCE + 1, last)
    return render_template(
        "problems.html",
        member=report,
        total=total,
        found=[(problem, explain(problem.code)) for problem in found[:_AT_ONCE]],
        first=last is None,
        following=found[_AT_ONCE - 1].id if len(found) > _AT_ONCE else None,
    )


@blueprint.get("/<slug>/problems.csv")
def problems_csv(slug: str) -> Response:
    """All of them as CSV, sent as they are read."""
    report = read_report(slug)
    answer = Response(
        iter_csv(get_tiers().catalogue, report.id), content_type="text/csv; charset=utf-8; header=present"
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="{report.slug}-problems.csv"'
    return answer


def iter_csv(catalogue: Catalogue, member_id: int) -> Iterator[str]:
    """The rows of the table in pieces: the column names, the problems of runs, the dead links."""
    yield to_csv([_COLUMNS])
    before: int | None = None
    while True:
        with catalogue.read() as connection:
            found = list_found_problems(connection, member_id, _STREAMED, before)
        if not found:
            break
        yield to_csv([_row(problem) for problem in found])
        before = found[-1].id
    last: int | None = None
    while True:
        with catalogue.read() as connection:
            dead = list_dead(connection, member_id, _STREAMED, last)
        if not dead:
            return
        yield to_csv([_link_row(link) for link in dead])
        last = dead[-1].record_id


def _row(problem: FoundProblem) -> tuple[str, ...]:
    when = format_datestamp(from_epoch(problem.found_at))
    texts = (problem.code, problem.cause, problem.identifier, problem.url or "")
    return (str(problem.run), when, *map(harmless, texts), "open" if problem.stands else "mended")


def _link_row(link: DeadLink) -> tuple[str, ...]:
    when = format_datestamp(from_epoch(link.checked_at))
    return ("", when, "dead-link", *map(harmless, (link.cause, link.identifier, link.url)), "open")
