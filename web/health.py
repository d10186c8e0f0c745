"""What watches the site: liveness with each tier's state, and measurements for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Connection

from harvester.catalogue.jobs import list_jobs
from harvester.catalogue.overview import count_states, list_largest
from harvester.errors import ArchiveError, LumbungError
from web.tiers import Tiers, get_tiers
from web.words import STATES

blueprint = Blueprint("health", __name__)

_MEASURED = 1000  # members by name: more would take seconds each time, here and in Prometheus

# What the public reads of a tier that is down; the cause, which may name paths and commands, goes into the log.
_DOWN = {
    "catalogue": "cannot be reached",
    "archive": "cannot be reached",
    "engine": "the index is being built or cannot be reached",
}


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """200 where every tier answers, 503 naming those that do not."""
    states = check_tiers(get_tiers())
    well = all(state == "ok" for state in states.values())
    answer = jsonify(status="ok" if well else "degraded", tiers=states)
    answer.headers["Cache-Control"] = "no-store"
    return answer, 200 if well else 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """The installation in numbers, measured at the moment of asking."""
    registry = CollectorRegistry()
    tiers = get_tiers()
    states = check_tiers(tiers)
    up = Gauge("lumbung_tier_up", "1 where the tier answers", ["tier"], registry=registry)
    for tier, state in states.items():
        up.labels(tier).set(state == "ok")
    if states["engine"] == "ok":
        Gauge("lumbung_index_works", "Works in the index", registry=registry).set(tiers.engine.count())
    if states["catalogue"] == "ok":
        with tiers.catalogue.read() as connection:
            _measure_members(registry, connection, tiers.catalogue.now())
            _measure_jobs(registry, connection, tiers.catalogue.now())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def check_tiers(tiers: Tiers) -> dict[str, str]:
    """`ok`, or what is wrong, for each tier."""
    checks: dict[str, Callable[[], object]] = {
        "catalogue": lambda: _check_catalogue(tiers),
        "archive": lambda: _check_archive(tiers),
        "engine": lambda: _check_engine(tiers),
    }
    states = {}
    for tier, check in checks.items():
        try:
            check()
            states[tier] = "ok"
        except LumbungError as error:
            current_app.logger.warning("%s: %s", tier, error)
            states[tier] = _DOWN[tier]
    return states


def _check_catalogue(tiers: Tiers) -> None:
    with tiers.catalogue.read() as connection:
        connection.exec_driver_sql("SELECT 1")


def _check_engine(tiers: Tiers) -> None:
    tiers.engine.count()


def _check_archive(tiers: Tiers) -> None:
    url = tiers.settings.archive_url
    if not url.startswith("file:"):
        tiers.archive.check()
        return
    folder = Path(unquote(urlsplit(url).path))
    # The folder is made by the first harvest: before it, the place where it will be must be there.
    if not folder.is_dir() and not folder.parent.is_dir():
        raise ArchiveError("the archive's folder is not there")


def _measure_members(registry: CollectorRegistry, connection: Connection, now: int) -> None:
    records = Gauge("lumbung_records", "Records of the largest members", ["member", "state"], registry=registry)
    outcomes = Gauge("lumbung_members", "Members by their state or last outcome", ["outcome"], registry=registry)
    age = Gauge("lumbung_last_success_age_seconds", "Since the last good harvest ended", ["member"], registry=registry)
    counted = count_states(connection)
    for state in STATES:
        outcomes.labels(state).set(counted.get(state, 0))
    for line in list_largest(connection, _MEASURED):
        records.labels(line.slug, "live").set(line.records)
        records.labels(line.slug, "deleted").set(line.deleted)
        if line.last_success and line.last_success.finished_at:
            age.labels(line.slug).set(now - line.last_success.finished_at)


def _measure_jobs(registry: CollectorRegistry, connection: Connection, now: int) -> None:
    amiss = Gauge("lumbung_job_failed", "1 where it failed, or the check found something", ["job"], registry=registry)
    age = Gauge("lumbung_job_age_seconds", "Since the job was done", ["job"], registry=registry)
    for job in list_jobs(connection):
        amiss.labels(job.name).set(job.error is not None)
        age.labels(job.name).set(now - job.last_run)
