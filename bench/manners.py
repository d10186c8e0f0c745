"""Every bad manner that the tests' provider has, met by Lumbung and by bare sickle: what comes of each."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from lxml.etree import LxmlError
from requests import RequestException
from sickle import Sickle, oaiexceptions

from bench.figures import Figure, Report, say
from harvester.catalogue import open_catalogue

if TYPE_CHECKING:
    from fakes.manners import Manner, Stage, Wish

_TESTS = Path(__file__).parents[1] / "tests"
_LIMIT = 20.0
_VERDICTS = ("kept", "text damaged", "raised", "lost silently", "never ended")
# What sickle's users see: OAI errors, those of HTTP and XML, and its own where an element is not where it looks.
_PROTOCOL = (each for each in vars(oaiexceptions).values() if isinstance(each, type) and issubclass(each, Exception))
_RAISED: tuple[type[Exception], ...] = (
    *_PROTOCOL,
    RequestException,
    LxmlError,
    AttributeError,
    IndexError,
    TypeError,
    ValueError,
)


def measure(*, quick: bool) -> Report:
    """How many manners of either end well, and how the others end."""
    sys.path.insert(0, str(_TESTS))
    from fakes.manners_dates import DATES
    from fakes.manners_lists import LISTS
    from fakes.manners_transport import TRANSPORT
    from fakes.manners_xml import XML

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("sickle").setLevel(logging.CRITICAL)
    manners = (*TRANSPORT, *XML, *LISTS, *DATES)[:: 10 if quick else 1]
    ours: Counter[str] = Counter()
    sickles: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="lumbung-bench-") as folder:
        template = Path(folder) / "catalogue.sqlite"
        open_catalogue(f"sqlite:///{template}").close()
        for number, manner in enumerate(manners):
            place = Path(folder) / str(number)
            place.mkdir()
            shutil.copy(template, place)
            one, other = _meet(manner, place), _meet_with_sickle(manner, place)
            ours[one] += 1
            sickles[other] += 1
            say([f"  {manner.name}: {one}; sickle: {other}"])
    total = f"of {len(manners)}"
    return Report(
        "Each manner is one behaviour of a real server (`tests/fakes/manners_*.py`, with its source), played in one or "
        "several harvests. Kept: afterwards all records and deletions that can be had are there, with the titles "
        "that were meant, and whoever asked was told where some cannot be had. Peer: `sickle` as it is, its "
        "iterator over ListRecords, from our clock's time of the last harvest on in the form that Identify states; "
        f"what it yielded before an exception counts. {_LIMIT:.0f} seconds for each.",
        (
            Figure("Lumbung: kept", ours["kept"], total, at_least=len(manners)),
            *(Figure(f"Lumbung: {verdict}", ours[verdict], total) for verdict in _VERDICTS[1:]),
            *(Figure(f"sickle: {verdict}", sickles[verdict], total) for verdict in _VERDICTS),
        ),
    )


def _within_limit(work: Callable[[], str]) -> str:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(_LIMIT)
    return done[0] if done else "never ended"


def _meet(manner: Manner, folder: Path) -> str:
    from fakes.playing import play

    def work() -> str:
        kinds = {complaint.kind for complaint in play(manner, folder)}
        if "outcome" in kinds:
            return "raised"
        if kinds & {"lost", "kept"}:
            return "lost silently"
        return "text damaged" if "text" in kinds else "kept"

    return _within_limit(work)


def _meet_with_sickle(manner: Manner, folder: Path) -> str:
    from fakes.playing import expected, iter_steps, open_stage

    with ExitStack() as others:
        stage = open_stage(manner, folder, others)
        user = _Sickle(manner, stage)

        def work() -> str:
            found = []
            for step in iter_steps(manner):
                step.change(stage)
                raised = user.harvest(full=step.how == "full")
                wanted = expected(stage, manner, step.wish)
                found.append(user.judge(wanted, step.wish, raised=raised))
            return max(found, key=_VERDICTS.index)

        return _within_limit(work)


class _Sickle:
    """Somebody who harvests with sickle, and keeps titles by prefix and identifier; None for a deleted record."""

    def __init__(self, manner: Manner, stage: Stage) -> None:
        self._manner = manner
        self._stage = stage
        self._from: str | None = None
        self._titles: dict[tuple[str, str], tuple[str | None] | None] = {}

    def harvest(self, *, full: bool) -> bool:
        """What was received before the end, or before an exception; whether there was one."""
        client = Sickle(self._stage.url)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        since = {} if full or self._from is None else {"from": self._from}
        try:
            granularity = client.Identify().granularity
            for prefix in self._manner.prefixes:
                for set_spec in self._manner.sets or ("",):
                    self._list(client, prefix, {**since, **({"set": set_spec} if set_spec else {})})
        except _RAISED:
            return True
        self._from = now[:10] if len(granularity or "") == 10 else now
        return False

    def _list(self, client: Sickle, prefix: str, arguments: dict[str, str]) -> None:
        try:
            for record in client.ListRecords(metadataPrefix=prefix, **arguments):
                title = None if record.deleted else (record.metadata.get("title", [None])[0],)
                self._titles[prefix, record.header.identifier] = title
        except oaiexceptions.NoRecordsMatch:
            pass

    def judge(self, wanted: set[str], wish: Wish, *, raised: bool) -> str:
        """The verdict. More than can be had by rights is as good."""
        live = {name: title for (_, name), title in self._titles.items() if title is not None}
        all_there = wanted <= live.keys() <= wanted | set(wish.missing)
        if raised:
            return "kept" if all_there and wish.outcome not in {"complete", "nothing-new"} else "raised"
        untold = wish.missing and wish.outcome in {"failed", "incomplete"} and not live.keys() >= set(wish.missing)
        if not all_there or untold:
            return "lost silently"
        records = self._stage.repository.records
        for name, (title,) in live.items():
            sent = records[name].title if name in records and not records[name].deleted_in else title
            if title != wish.titles.get(name, sent):
                return "text damaged"
        return "kept"
