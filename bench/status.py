"""Pages that show the state of 30,000 members: the list, one member, the first page, the feed."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient
from sqlalchemy import insert

from bench.figures import Figure, Report
from harvester.catalogue.database import open_catalogue
from harvester.catalogue.tables import harvests, members
from harvester.settings import Settings
from web.app import create_app

_NOW = 1_795_000_000
_OUTCOMES = ("complete", "nothing-new", "nothing-new", "complete-with-failures", "incomplete", "failed")
_PAGES = {
    "first page of the members": "/members/",
    "last page of the members": "/members/?page={last}",
    "members by name": "/members/?name=universitas+1",
    "members by state": "/members/?state=failed",
    "members as JSON": "/members/.json",
    "one member": "/members/m-17",
    "feed of the network": "/members/.atom",
    "first page of the site": "/",
    "measurements": "/metrics",
}


def measure(*, quick: bool) -> Report:
    """Milliseconds of processor time of each page, where all members are harvested and where most are paused."""
    count, rounds = (3000, 3) if quick else (30_000, 15)
    figures = []
    for active, words in ((count, "all of them harvested 20 times"), (count // 60, "most of them paused")):
        with tempfile.TemporaryDirectory(prefix="lumbung-bench-") as home:
            settings = Settings(home=Path(home))
            _fill(settings, count, active)
            app = create_app(settings)
            client = app.test_client()
            for name, path in _PAGES.items():
                spent = _middle(client, path.format(last=count // 100), rounds)
                figures.append(Figure(f"{name}, {words}", spent, "ms", at_most=None if path == "/metrics" else 100))
            app.extensions["lumbung"].close()
    return Report(
        f"{count:,} members, with up to {count * 20:,} harvests. Processor time of a request, from the address to the "
        f"last byte, within the process: the middle of {rounds}. There is no index.",
        tuple(figures),
    )


def _middle(client: FlaskClient, path: str, rounds: int) -> float:
    return median(_spent(lambda: client.get(path).get_data()) for _ in range(rounds)) * 1000


def _spent(work: Callable[[], bytes]) -> float:
    begin = time.process_time()
    assert work()
    return time.process_time() - begin


def _fill(settings: Settings, count: int, active: int) -> None:
    dice = random.Random(7)
    catalogue = open_catalogue(settings.catalogue_url)
    rows = [
        {
            "slug": f"m-{number}",
            "name": f"{dice.choice('ABDIJKLMPRSU')}rsip universitas {dice.randrange(10**6)}",
            "base_url": f"https://m-{number}.example.ac.id/index.php/index/oai",
            "host": f"m-{number}.example.ac.id",
            "prefixes": ["oai_dc"],
            "sets": [],
            "fulltext": True,
            "added_at": _NOW,
            "live": dice.randrange(9000),
            "paused": number >= active,
        }
        for number in range(count)
    ]
    with catalogue.write() as connection:
        connection.execute(insert(members), rows)
        for day in range(20):
            begun = _NOW + day * 86_400
            runs = [
                {
                    "member_id": number + 1,
                    "started_at": begun + number,
                    "finished_at": begun + number + 60,
                    "outcome": dice.choice(_OUTCOMES),
                    "from_": "2026-11-01T00:00:00Z",
                    "records": dice.randrange(50),
                }
                for number in range(active)
            ]
            connection.execute(insert(harvests), runs)
    catalogue.close()
