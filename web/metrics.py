"""The installation in numbers, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any, cast

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from harvester.catalogue.coverage import STATES as FULLTEXTS
from harvester.catalogue.coverage import count_states as count_fulltexts
from harvester.catalogue.coverage import count_texts
from harvester.catalogue.jobs import list_jobs
from harvester.catalogue.overview import count_states, list_largest
from harvester.catalogue.takedowns import count_takedowns
from harvester.catalogue.tallies import Tallier, count_due
from harvester.catalogue.works import count_work_changes, find_oldest_change, find_oldest_work_change, get_cursor
from harvester.errors import LumbungError
from indexer.build import CURSOR
from web.health import get_health
from web.tiers import get_tiers
from web.words import STATES

blueprint = Blueprint("metrics", __name__)

_NAME = "lumbung-metrics"
_MEASURED = 1000  # members by name: more would take seconds each time, here and in Prometheus
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Values = Mapping[Any, float]  # by a tuple of as many texts as there are labels


class Meters:
    """What one process of the site counts by itself, from its start on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "lumbung_request_seconds",
            "Time of a request in this process of the site, by the page's kind",
            ["page", "status"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.tallier = Tallier()


def use_metrics(app: Flask) -> None:
    """Every request is timed."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # or each number comes with its birthday
    meters = app.extensions[_NAME] = Meters()

    def begin() -> None:
        g.began = perf_counter()

    def end(answer: Response) -> Response:
        if "began" in g:
            page = request.endpoint or "nothing"
            meters.requests.labels(page, answer.status_code).observe(perf_counter() - g.began)
        return answer

    app.before_request(begin)
    app.after_request(end)


@blueprint.get("/metrics")
def metrics() -> Response:
    """What is known of each tier and of the requests so far, measured at the moment of asking."""
    meters = cast(Meters, current_app.extensions[_NAME])
    measured = CollectorRegistry()
    measured.register(_Measured(list(_measure(meters.tallier))))
    return Response(generate_latest(measured) + generate_latest(meters.registry), content_type=CONTENT_TYPE_LATEST)


class _Measured(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _measure(tallier: Tallier) -> Iterator[Metric]:
    found = get_health().look()
    yield _gauge("tier_up", "1 where the tier answers", {(t,): f.state != "away" for t, f in found.items()}, "tier")
    yield _gauge("tier_seconds", "How long the tier took", {(t,): f.seconds for t, f in found.items()}, "tier")
    tiers, watermark = get_tiers(), None
    try:
        if found["engine"].state != "away":
            yield _gauge("index_works", "Works in the index", {(): tiers.engine.count()})
            watermark = tiers.engine.watermark()
        if found["catalogue"].state != "away":
            with tiers.catalogue.read() as connection:
                now = tiers.catalogue.now()
                yield from _measure_members(connection, now)
                yield from _measure_runs(connection, tallier)
                yield from _measure_jobs(connection, now)
                yield from _measure_fulltexts(connection)
                if watermark is not None:
                    yield from _measure_index(connection, watermark, now)
    except LumbungError as error:  # it went away just now; what was measured stands
        structlog.get_logger("metrics").warning("not everything could be measured", error=str(error))


def _measure_members(connection: Connection, now: int) -> Iterator[Metric]:
    states, lines = count_states(connection), list_largest(connection, _MEASURED)
    yield _gauge("members", "Members by their state or last outcome", _by(states, STATES), "outcome")
    yield _gauge("queue", "Members that are due, those being harvested among them", {(): count_due(connection, now)})
    records = {(line.slug, "live"): float(line.records) for line in lines}
    records |= {(line.slug, "deleted"): float(line.deleted) for line in lines}
    yield _gauge("records", "Records of the largest members", records, "member", "state")
    ends = {line.slug: line.last_success and line.last_success.finished_at for line in lines}
    ages = {(slug,): float(now - end) for slug, end in ends.items() if end}
    yield _gauge("last_success_age_seconds", "Since the last good harvest of the member ended", ages, "member")
    # One that is due as soon as may be has no moment that it could be late after.
    late = {
        (line.slug,): float(max(0, now - line.next_run))
        for line in lines
        if line.next_run is not None and line.state != "paused"
    }
    yield _gauge("lag_seconds", "Since the member was due, 0 where it is not", late, "member")


def _measure_runs(connection: Connection, tallier: Tallier) -> Iterator[Metric]:
    tally = tallier.count(connection)
    yield _gauge("running", "Harvests and reconciliations that run now", {(): tally.running})
    runs = CounterMetricFamily("lumbung_runs", "Runs that ended so, since the beginning", labels=("kind", "outcome"))
    for (kind, outcome), count in sorted(tally.runs.items()):
        runs.add_metric((kind, outcome), count)
    yield runs
    found = CounterMetricFamily("lumbung_problems", "What runs found amiss, since the beginning", labels=("code",))
    for code, count in sorted(tally.problems.items()):
        found.add_metric((code,), count)
    yield found


def _measure_jobs(connection: Connection, now: int) -> Iterator[Metric]:
    jobs = list_jobs(connection)
    amiss = {(job.name,): job.error is not None for job in jobs}
    yield _gauge("job_failed", "1 where it failed, or the check found something", amiss, "job")
    yield _gauge("job_age_seconds", "Since the job was done", {(job.name,): now - job.last_run for job in jobs}, "job")


def _measure_fulltexts(connection: Connection) -> Iterator[Metric]:
    states: dict[tuple[str], float] = {(state,): 0.0 for state in FULLTEXTS}
    for counts in count_fulltexts(connection).values():
        for state, count in counts.items():
            states[state,] += count
    yield _gauge("fulltexts", "Live records by the state of their full text", states, "state")
    texts = {(state,): float(count) for state, count in count_texts(connection).items()}
    yield _gauge("files", "Kept files by the state of their text", {("unread",): 0.0} | texts, "text")
    yield _gauge("takedowns", "Takedowns in force", {(): count_takedowns(connection)})


def _measure_index(connection: Connection, watermark: int, now: int) -> Iterator[Metric]:
    unread = find_oldest_change(connection, get_cursor(connection, CURSOR))
    unwritten = find_oldest_work_change(connection, watermark)
    oldest = min((moment for moment in (unread, unwritten) if moment), default=None)
    waiting = count_work_changes(connection, watermark)
    yield _gauge(
        "index_age_seconds",
        "Of the oldest change that the index does not have yet, 0 where there is none",
        {(): max(0, now - oldest) if oldest else 0},
    )
    yield _gauge("index_waiting_works", "Works whose documents are not written yet", {(): waiting})


def _gauge(name: str, words: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(f"lumbung_{name}", words, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, float(value))
    return family


def _by(counts: Mapping[str, int], names: Iterable[str]) -> Values:
    return {(name,): float(counts.get(name, 0)) for name in names}
