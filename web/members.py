"""The members of the network and how their harvests went: pages for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise

from flask import Blueprint, Response, abort, jsonify, render_template

from harvester.catalogue.harvests import (
    MemberStatus,
    Problem,
    Run,
    get_status,
    list_problems,
    list_runs,
    list_statuses,
)
from harvester.catalogue.members import find_member
from harvester.datestamps import format_datestamp, from_epoch
from web.charts import plot_values
from web.tiers import get_tiers
from web.words import outcome_of

blueprint = Blueprint("members", __name__, url_prefix="/members")

_RUNS = 50
_PROBLEMS = 20


@blueprint.get("/")
def members() -> str:
    """Every member with its state."""
    with get_tiers().catalogue.read() as connection:
        statuses = list_statuses(connection)
    return render_template("members.html", statuses=statuses)


@blueprint.get("/<slug>")
def member(slug: str) -> str:
    """One member: its harvests in words, in a picture and in a table, and what was wrong with its records."""
    status, runs, problems = _read_member(slug)
    ended = [run for run in reversed(runs) if run.finished_at]
    sizes = sizes_after(ended, status.records)
    return render_template(
        "member.html",
        status=status,
        member=status.member,
        runs=runs,
        sizes=dict(zip((run.id for run in ended), sizes, strict=True)),
        problems=problems,
        ended=ended,
        plot=plot_values([run.finished_at or 0 for run in ended], sizes) if ended else None,
    )


@blueprint.get("/<slug>.json")
def member_json(slug: str) -> Response:
    """The same as JSON."""
    status, runs, problems = _read_member(slug)
    registered = status.member
    return jsonify(
        slug=registered.slug,
        name=registered.name,
        base_url=registered.base_url,
        prefixes=registered.prefixes,
        sets=registered.sets,
        outcome=outcome_of(status.last_attempt),
        records=status.records,
        deleted=status.deleted,
        last_attempt=_run(status.last_attempt),
        last_success=_run(status.last_success),
        runs=[_run(run) for run in runs],
        problems=[asdict(problem) for problem in problems],
    )


def sizes_after(runs: Sequence[Run], present: int) -> list[int]:
    """The number of live records after each run (oldest first), reckoned back from the present one."""
    sizes = [present]
    for _, later in reversed(list(pairwise(runs))):
        sizes.append(max(sizes[-1] - later.added + later.deleted, 0))
    return sizes[::-1] if runs else []


def _read_member(slug: str) -> tuple[MemberStatus, tuple[Run, ...], tuple[Problem, ...]]:
    with get_tiers().catalogue.read() as connection:
        registered = find_member(connection, slug)
        if registered is None:
            abort(404)
        runs = list_runs(connection, registered, _RUNS)
        troubled = next((run for run in runs if run.failed), None)
        problems = list_problems(connection, troubled.id, _PROBLEMS) if troubled else ()
        return get_status(connection, registered), runs, problems


def _run(run: Run | None) -> dict[str, object] | None:
    if run is None:
        return None
    values = asdict(run)
    values["from"] = values.pop("from_")
    for moment in ("started_at", "finished_at"):
        if values[moment] is not None:
            values[moment] = format_datestamp(from_epoch(values[moment]))
    return values
