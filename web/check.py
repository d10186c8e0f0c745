"""The check of a repository for anybody, before it joins: limited in rate, and never of a private address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_babel import lazy_gettext as _l

from harvester.errors import ConfigError, LumbungError
from harvester.settings import Settings
from indexer.check import Report, check_base_url, parse_pasted, report_json
from indexer.check.report import Level
from indexer.check.texts import TEXTS
from web.tiers import get_tiers

blueprint = Blueprint("check", __name__)

_WINDOW = 600.0  # seconds, over which checks are counted
_PER_CLIENT = 6
_IN_ALL = 30
_AT_ONCE = 2  # a check holds one of the few threads that answer readers
_KEPT = 50  # reports; a reader who reloads, or wants the JSON, gets the same one
_NAME = "lumbung.checks"

# A level's heading, and how its dot looks.
LEVELS: dict[Level, tuple[Any, str]] = {
    "fatal": (_l("Makes harvesting impossible"), "bad"),
    "hurts": (_l("Hurts"), "bad"),
    "hint": (_l("Could be better"), "fair"),
    "good": (_l("Good"), "good"),
}


class TooManyChecksError(LumbungError):
    """No check can begin now; `retry_after` seconds later one may."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many checks")
        self.retry_after = retry_after


class Checks:
    """The checks of one process: few at once, one for each host, and so many for each client and in all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: deque[tuple[float, str]] = deque()
        self._running: set[str] = set()
        self._reports: OrderedDict[str, tuple[float, Report]] = OrderedDict()

    def check(self, url: str, client: str, settings: Settings) -> Report:
        """The report, a fresh one or one of the last minutes.

        Raises:
            ConfigError: this is no web address.
            TooManyChecksError: the client, or all together, ask for too much.
        """
        address = parse_pasted(url)[0]
        host = urlsplit(address).hostname or ""
        with self._lock:
            kept = self._enter(address, host, client)
        if kept:
            return kept
        try:
            report = check_base_url(url, settings)
        finally:
            with self._lock:
                self._running.discard(host)
        with self._lock:
            self._reports[address] = time.monotonic(), report
            if len(self._reports) > _KEPT:
                self._reports.popitem(last=False)
        return report

    def _enter(self, address: str, host: str, client: str) -> Report | None:
        now = time.monotonic()
        while self._begun and self._begun[0][0] < now - _WINDOW:
            self._begun.popleft()
        made, report = self._reports.get(address, (0.0, None))
        if report and made > now - _WINDOW:
            return report
        if host in self._running or len(self._running) >= _AT_ONCE:
            raise TooManyChecksError(20)
        own = [began for began, asking in self._begun if asking == client]
        for begun, limit in ((own, _PER_CLIENT), ([began for began, _ in self._begun], _IN_ALL)):
            if len(begun) >= limit:
                raise TooManyChecksError(int(begun[0] + _WINDOW - now) + 1)
        self._begun.append((now, client))
        self._running.add(host)
        return None


@blueprint.record_once
def _attach(state: BlueprintSetupState) -> None:
    state.app.extensions[_NAME] = Checks()


@blueprint.get("/check")
def check() -> ResponseReturnValue:
    """The form, and the report where an address is given."""
    if request.args.get("format") == "json":
        return check_json()
    url = _url()
    found = _run(url) if url else None
    report, refusal = (found, None) if isinstance(found, Report) else (None, found)
    page = render_template("check.html", url=url, report=report, refusal=refusal, levels=LEVELS, texts=TEXTS)
    return _refused(make_response(page), refusal)


@blueprint.get("/check.json")
def check_json() -> Response:
    """The report for programs."""
    found = _run(_url())
    if isinstance(found, Report):
        return jsonify(report_json(found, gettext))
    return _refused(jsonify(error=found.sentence), found)


@dataclass(frozen=True, slots=True)
class _Refusal:
    sentence: str
    status: int
    retry_after: int = 0


def _url() -> str:
    return request.args.get("url", "").strip()


def _run(url: str) -> Report | _Refusal:
    checks = cast(Checks, current_app.extensions[_NAME])
    try:
        return checks.check(url, _client(), get_tiers().settings)
    except ConfigError:
        return _Refusal(gettext("This is no web address. Give one such as https://library.example/oai"), 400)
    except TooManyChecksError as error:
        sentence = gettext(
            "Too many checks are under way or were made just now. Please try again in %(n)s seconds.",
            n=error.retry_after,
        )
        return _Refusal(sentence, 429, error.retry_after)


def _refused(answer: Response, refusal: _Refusal | None) -> Response:
    if refusal:
        answer.status_code = refusal.status
        if refusal.retry_after:
            answer.headers["Retry-After"] = str(refusal.retry_after)
    return answer


def _client() -> str:
    """The reader's address: behind a proxy of the own network the one that the proxy saw, which none can forge."""
    direct = request.remote_addr or ""
    seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        return seen if seen and ip_address(direct).is_private else direct
    except ValueError:
        return direct
