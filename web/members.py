"""The members of the network and how their harvests went: pages for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, jsonify, render_template, request

from harvester.catalogue.findings import (
    FoundProblem,
    MemberReport,
    ProblemGroup,
    RunReport,
    count_found_problems,
    find_report,
    list_found_problems,
)
from harvester.catalogue.members import get_member
from harvester.catalogue.overview import MemberLine, count_states, list_lines, state_of
from harvester.datestamps import format_datestamp, from_epoch
from web.charts import plot_values
from web.coverage import count_fulltexts, fulltexts_json
from web.fixes import explain, find_platform, places
from web.links import full_url
from web.tiers import get_tiers
from web.words import STATES, outcome_of

blueprint = Blueprint("members", __name__, url_prefix="/members")

_AT_ONCE = 100
_PROBLEMS = 20
_MOMENTS = ("started_at", "finished_at", "heartbeat", "found_at", "missed_at", "due_at", "kept_at", "made_at")


@dataclass(frozen=True, slots=True)
class Roll:
    """One page of the members that were asked for: `page` of `pages`, `total` of the chosen state and name."""

    name: str
    state: str
    page: int
    counts: dict[str, int]
    lines: tuple[MemberLine, ...]

    @property
    def total(self) -> int:
        """How many members were asked for."""
        return self.counts.get(self.state, 0) if self.state else sum(self.counts.values())

    @property
    def pages(self) -> int:
        """On how many pages they stand."""
        return max(-(-self.total // _AT_ONCE), 1)

    def path(self, page: int = 1, state: str | None = None, end: str = "/members/") -> str:
        """The address of a page of these, or of another state's."""
        wanted = {"name": self.name, "state": self.state if state is None else state, "page": page if page > 1 else ""}
        given = urlencode({key: value for key, value in wanted.items() if value})
        return end + ("?" + given if given else "")


@blueprint.get("/")
def members() -> str:
    """A page of the members, with the number of each state."""
    return render_template("members.html", roll=_read_roll())


@blueprint.get("/.json")
def members_json() -> Response:
    """The same as JSON, with the address of the next page."""
    roll = _read_roll()
    following = roll.path(roll.page + 1, end="/members/.json") if roll.page < roll.pages else None
    return jsonify(
        total=roll.total,
        states=roll.counts,
        members=[_line(line) for line in roll.lines],
        next=full_url(following) if following else None,
    )


@blueprint.get("/<slug>")
def member(slug: str) -> str:
    """One member: its harvests in words, in a picture and in a table, and what is wrong with cause and fix."""
    report = read_report(slug)
    with get_tiers().catalogue.read() as connection:
        total = count_found_problems(connection, report.id)
        texts = count_fulltexts(connection, get_member(connection, slug))
    ended = [run for run in reversed(report.runs) if run.finished_at]
    sizes = sizes_after(ended, report.records)
    return render_template(
        "member.html",
        member=report,
        total=total,
        texts=texts,
        now=get_tiers().catalogue.now(),
        sizes=dict(zip((run.id for run in ended), sizes, strict=True)),
        advice=[(group, explain(group.code), places(group.code, platform_of(report))) for group in report.problems],
        ended=ended,
        plot=plot_values([run.finished_at or 0 for run in ended], sizes) if ended else None,
    )


@blueprint.get("/<slug>.json")
def member_json(slug: str) -> Response:
    """The same as JSON; causes and fixes in the reader's language."""
    report = read_report(slug)
    with get_tiers().catalogue.read() as connection:
        problems = list_found_problems(connection, report.id, _PROBLEMS)
        texts = count_fulltexts(connection, get_member(connection, slug))
    answer = jsonify(status_of(report, problems) | {"fulltext": fulltexts_json(texts)})
    answer.vary.update(("Accept-Language", "Cookie"))
    return answer


def status_of(report: MemberReport, problems: Sequence[FoundProblem]) -> dict[str, object]:
    """The report as the public sees it."""
    state = state_of(paused=report.paused, halted=report.halted, attempt=report.last_attempt)
    platform = platform_of(report)
    return {
        "slug": report.slug,
        "name": report.name,
        "base_url": report.base_url,
        "platform": platform,
        "prefixes": report.prefixes,
        "sets": report.sets,
        "state": state,
        "outcome": outcome_of(report.last_attempt),
        "halted": report.halted,
        "records": report.records,
        "deleted": report.deleted,
        "rule": report.rule,
        "window": report.window,
        "timezone": report.timezone,
        "next_run": None if report.paused else _moment(report.next_run),
        "failures": report.failures,
        "insecure_until": _moment(report.insecure_until),
        "deletion": report.deletion,
        "running": _run(report.running),
        "last_attempt": _run(report.last_attempt),
        "last_success": _run(report.last_success),
        "runs": [_run(run) for run in report.runs],
        "findings": [_finding(group, platform) for group in report.problems],
        "problems": [_plain(asdict(problem)) for problem in problems],
        "quirks": [_plain(asdict(quirk)) for quirk in report.quirks],
        "links": _plain(asdict(report.links)) if report.links else None,
        "vanished": {"count": report.missing_count, "first": [_plain(asdict(one)) for one in report.missing]},
    }


def read_report(slug: str) -> MemberReport:
    """The report of the member of this slug; answers 404 where there is none."""
    with get_tiers().catalogue.read() as connection:
        report = find_report(connection, slug)
    if report is None:
        abort(404)
    return report


def platform_of(report: MemberReport) -> str | None:
    """The platform that the member seems to run."""
    return find_platform(report.base_url, [text for group in report.problems for text in group.identifiers])


def sizes_after(runs: Sequence[RunReport], present: int) -> list[int]:
    """The number of live records after each run (oldest first), reckoned back from the present one."""
    sizes = [present]
    for _, later in reversed(list(pairwise(runs))):
        sizes.append(max(sizes[-1] - later.added + later.deleted, 0))
    return sizes[::-1] if runs else []


def _read_roll() -> Roll:
    name = " ".join(request.args.get("name", "")[:100].split())
    state = request.args.get("state", "")
    with get_tiers().catalogue.read() as connection:
        counts = count_states(connection, name)
        roll = Roll(
            name, state if state in STATES else "", 1, {key: counts[key] for key in STATES if key in counts}, ()
        )
        wanted = request.args.get("page", "1")
        page = min(int(wanted) if wanted.isdecimal() and len(wanted) < 7 else 1, roll.pages) or 1
        lines = list_lines(connection, name=name, state=roll.state, limit=_AT_ONCE, offset=(page - 1) * _AT_ONCE)
    return Roll(name, roll.state, page, roll.counts, lines)


def _line(line: MemberLine) -> dict[str, object]:
    run = line.last_attempt
    return {
        "slug": line.slug,
        "name": line.name,
        "state": line.state,
        "outcome": outcome_of(run),
        "records": line.records,
        "deleted": line.deleted,
        "last_attempt": _moment(run.started_at) if run else None,
        "last_success": _moment(line.last_success.finished_at) if line.last_success else None,
        "next_run": None if line.state == "paused" else _moment(line.next_run),
        "error": run.error if run else None,
    }


def _finding(group: ProblemGroup, platform: str | None) -> dict[str, object]:
    words = explain(group.code)
    return {
        "code": group.code,
        "count": group.count,
        "title": str(words.title),
        "cause": str(words.cause),
        "fix": str(words.fix),
        "places": places(group.code, platform),
        "seen": group.cause,
        "identifiers": group.identifiers,
    }


def _run(run: RunReport | None) -> dict[str, object] | None:
    if run is None:
        return None
    values = _plain(asdict(run))
    return {"from" if name == "from_" else name: value for name, value in values.items()}


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """The values with each moment written out."""
    return {
        name: _moment(value) if name in _MOMENTS and isinstance(value, int) else value for name, value in values.items()
    }


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else format_datestamp(from_epoch(seconds))
