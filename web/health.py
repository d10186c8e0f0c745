"""Whether the site and its tiers are well, told in bounded time whatever a tier does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

import structlog
from flask import Blueprint, Flask, Response, current_app, jsonify

from harvester.errors import ArchiveError, LumbungError
from web.tiers import Tiers

blueprint = Blueprint("health", __name__)

_NAME = "lumbung-health"
_SLOW_SECONDS = 1.0
_AWAY_SECONDS = 3.0  # within the patience of those who ask: Docker, load balancers, Prometheus

State = Literal["ok", "slow", "away"]


@dataclass(frozen=True, slots=True)
class TierState:
    """How a tier is: `slow` after a second, `away` where it refuses or says nothing for three."""

    state: State
    seconds: float


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Each tier's state; 503 where hardly a page can be had, as without the catalogue."""
    tiers = {tier: found.state for tier, found in get_health().look().items()}
    down = tiers["catalogue"] == "away"
    well = all(state == "ok" for state in tiers.values())
    answer = jsonify(status="down" if down else "ok" if well else "degraded", tiers=tiers)
    answer.headers["Cache-Control"] = "no-store"
    if down:
        answer.headers["Retry-After"] = "30"
    return answer, 503 if down else 200


class Health:
    """Asks the tiers side by side, each once at a time: who looks meanwhile shares the answer."""

    def __init__(self, tiers: Tiers) -> None:
        self._probes = {
            "catalogue": _Probe("catalogue", lambda: _ask_catalogue(tiers)),
            "archive": _Probe("archive", lambda: _ask_archive(tiers)),
            "engine": _Probe("engine", lambda: _ask_engine(tiers)),
        }

    def look(self) -> dict[str, TierState]:
        """How each tier is, within the seconds after which one is away."""
        asked = {tier: probe.ask() for tier, probe in self._probes.items()}
        wait(asked.values(), _AWAY_SECONDS)
        late = TierState("away", _AWAY_SECONDS)
        return {tier: answer.result() if answer.done() else late for tier, answer in asked.items()}


class _Probe:
    """One tier's question, in a thread that nobody waits for when the process ends."""

    def __init__(self, tier: str, question: Callable[[], object]) -> None:
        self._tier = tier
        self._question = question
        self._lock = threading.Lock()
        self._answer: Future[TierState] | None = None

    def ask(self) -> Future[TierState]:
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer = Future()
                threading.Thread(target=self._run, args=(self._answer,), daemon=True).start()
            return self._answer

    def _run(self, answer: Future[TierState]) -> None:
        began = monotonic()
        state: State = "away"
        try:
            self._question()
        except LumbungError as error:  # it may name paths and servers, which are not for the public
            structlog.get_logger("health").warning("a tier is away", tier=self._tier, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the tier is no use; who waits must hear of it
            structlog.get_logger("health").error("a tier cannot be asked", tier=self._tier, exc_info=error)
        else:
            state = "ok" if monotonic() - began < _SLOW_SECONDS else "slow"
        answer.set_result(TierState(state, monotonic() - began))


def use_health(app: Flask, tiers: Tiers) -> None:
    """The app's health is that of these tiers."""
    app.extensions[_NAME] = Health(tiers)


def get_health() -> Health:
    """The health of the app that answers the present request."""
    return cast(Health, current_app.extensions[_NAME])


def _ask_catalogue(tiers: Tiers) -> None:
    with tiers.catalogue.read() as connection:
        connection.exec_driver_sql("SELECT 1")


def _ask_engine(tiers: Tiers) -> None:
    tiers.engine.count()


def _ask_archive(tiers: Tiers) -> None:
    url = tiers.settings.archive_url
    if not url.startswith("file:"):
        tiers.archive.check()
        return
    folder = Path(unquote(urlsplit(url).path))
    # The folder is made by the first harvest: before it, the place where it will be must be there.
    if not folder.is_dir() and not folder.parent.is_dir():
        raise ArchiveError("the archive's folder is not there")
