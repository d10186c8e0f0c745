"""What Prometheus is told: in its own format, and true."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sample_network import Network
from services.postgresql import NewCatalogue
from sqlalchemy import func, select, update

from harvester.catalogue import Catalogue, open_catalogue
from harvester.catalogue.harvests import begin_harvest, finish_harvest, note_problem
from harvester.catalogue.members import Member, add_member, set_next_run
from harvester.catalogue.tables import records, work_changes
from harvester.catalogue.tallies import Tallier, Tally, count_due
from web.app import create_app

_NAME = re.compile(r"lumbung_[a-z]+(_[a-z]+)*")


def read_metrics(client: FlaskClient) -> dict[str, dict[tuple[str, ...], float]]:
    """The values by name and by the values of the labels, as Prometheus reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.text.endswith("\n")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    families = list(text_string_to_metric_families(answer.text))
    assert max(Counter(family.name for family in families).values()) == 1
    for family in families:
        assert family.documentation
        assert family.type in {"gauge", "counter", "histogram"}
        for sample in family.samples:
            assert _NAME.fullmatch(sample.name)
            values = tuple(sample.labels[name] for name in sorted(sample.labels))
            assert values not in found.setdefault(sample.name, {})
            found[sample.name][values] = sample.value
    return found


def test_the_measurements_are_the_networks(client: FlaskClient) -> None:
    found = read_metrics(client)
    assert found["lumbung_records"]["alfa", "live"] == 57
    assert found["lumbung_records"]["alfa", "deleted"] == 1
    assert found["lumbung_members"]["failed",] == 1
    assert found["lumbung_index_works"] == {(): 58}
    assert found["lumbung_tier_up"] == {("catalogue",): 1, ("archive",): 1, ("engine",): 1}
    assert found["lumbung_last_success_age_seconds"].keys() == {("alfa",), ("beta",)}
    assert found["lumbung_queue"] == {(): 3}  # who was never asked is due, too
    assert found["lumbung_running"] == {(): 0}
    assert found["lumbung_runs_total"] == {
        ("harvest", "complete"): 2,
        ("harvest", "complete-with-failures"): 1,
        ("harvest", "failed"): 1,
    }
    assert found["lumbung_problems_total"] == {("no-metadata",): 1}
    assert found["lumbung_index_waiting_works"] == {(): 0}
    assert found["lumbung_index_age_seconds"] == {(): 0}


def test_the_index_is_as_old_as_what_it_lacks(client: FlaskClient, network: Network) -> None:
    changes = select(work_changes.c.work_id, work_changes.c.change)
    with closing(open_catalogue(network.settings.catalogue_url)) as catalogue:
        with catalogue.write() as connection:
            before = connection.execute(changes.order_by(work_changes.c.change.desc()).limit(2)).all()
            last = before[0].change
            late = work_changes.c.change >= before[1].change
            connection.execute(update(work_changes).where(late).values(change=last + 9))
            ahead = connection.scalar(select(func.max(records.c.datestamp))) - catalogue.now() + 500
            connection.execute(update(records).values(datestamp=records.c.datestamp - ahead))
        found = read_metrics(client)
        assert found["lumbung_index_waiting_works"] == {(): 2}
        assert found["lumbung_index_age_seconds"][()] >= 500
        with catalogue.write() as connection:
            connection.execute(update(records).values(datestamp=records.c.datestamp + ahead))
            for row in before:
                this = work_changes.c.work_id == row.work_id
                connection.execute(update(work_changes).where(this).values(change=row.change))


def test_requests_are_timed_by_the_kind_of_page(network: Network) -> None:
    app = create_app(network.settings)
    client = app.test_client()
    for path in ("/members/alfa", "/members/beta", "/members/none", "/nothing/here"):
        client.get(path)
    found = read_metrics(client)
    assert found["lumbung_request_seconds_count"] == {
        ("members.member", "200"): 2,
        ("members.member", "404"): 1,
        ("nothing", "404"): 1,
    }
    assert found["lumbung_request_seconds_bucket"]["+Inf", "members.member", "200"] == 2
    assert 0 < found["lumbung_request_seconds_sum"]["members.member", "200"] < 10
    app.extensions["lumbung"].close()


@pytest.fixture
def catalogue(new_catalogue: NewCatalogue) -> Iterator[Catalogue]:
    opened = open_catalogue(new_catalogue())
    yield opened
    opened.close()


def test_runs_are_counted_once_however_often_one_asks(catalogue: Catalogue) -> None:
    tallier, now = Tallier(), int(time.time())

    def count() -> Tally:
        with catalogue.read() as connection:
            assert tallier.count(connection) == Tallier().count(connection)
            return tallier.count(connection)

    assert count() == Tally({}, 0, {})
    with catalogue.write() as connection:
        members = [
            add_member(connection, Member(slug, slug, f"https://{slug}.example/oai"), now) for slug in ("alfa", "beta")
        ]
        slow = begin_harvest(connection, members[0], now)
    for _ in range(150):  # more than are counted anew each time
        with catalogue.write() as connection:
            run = begin_harvest(connection, members[1], now)
            note_problem(connection, run, "http-error", "it says 500")
            finish_harvest(connection, run, outcome="failed", error="x", requests=1, size=0, now=now)
    assert count() == Tally({("harvest", "failed"): 150}, 1, {"http-error": 150})
    with catalogue.write() as connection:
        finish_harvest(connection, slow, outcome="complete", error=None, requests=1, size=0, now=now)
        again = begin_harvest(connection, members[0], now)
    expected = {("harvest", "failed"): 150, ("harvest", "complete"): 1}
    assert count() == Tally(expected, 1, {"http-error": 150})
    with catalogue.write() as connection:
        finish_harvest(connection, again, outcome="complete", error=None, requests=1, size=0, now=now)
    assert count() == Tally({**expected, ("harvest", "complete"): 2}, 0, {"http-error": 150})
    with catalogue.write() as connection:
        set_next_run(connection, members[0], now + 60)
        assert count_due(connection, now) == 1
        assert count_due(connection, now + 60) == 2
