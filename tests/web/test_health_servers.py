"""The health of a site on real servers that stand still, are slow, and come back: told in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from threading import Event

import pytest
from fakes.s3_proxy import FaultyProxy
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from services.postgresql import OwnServer, running
from services.s3 import S3Server

from harvester.settings import Settings
from indexer.engine.opening import open_engine
from web.app import create_app

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[OwnServer]:
    with running("fsync=off") as own:
        yield own


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def client(
    postgresql_server: OwnServer, s3_server: S3Server, s3: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        catalogue=postgresql_server.new_catalogue(),
        archive=f"s3://{s3_server.make_bucket()}/archive",
        s3_endpoint=s3.endpoint,
    )
    with closing(open_engine(settings)) as engine:
        engine.write([], [], engine.watermark())
    app = create_app(settings)
    yield app.test_client()
    app.extensions["lumbung"].close()


def ask(client: FlaskClient) -> tuple[int, dict[str, str]]:
    """Status and states; the answer came in bounded time, as the measurements did."""
    began = time.monotonic()
    answer = client.get("/healthz")
    assert time.monotonic() - began < 5
    return answer.status_code, answer.get_json()["tiers"]


def up(client: FlaskClient) -> dict[str, float]:
    """Which tiers answer, as Prometheus is told."""
    began = time.monotonic()
    text = client.get("/metrics").text
    assert time.monotonic() - began < 5
    [found] = [each for each in text_string_to_metric_families(text) if each.name == "lumbung_tier_up"]
    return {sample.labels["tier"]: sample.value for sample in found.samples}


WELL = {"catalogue": "ok", "archive": "ok", "engine": "ok"}


def wait_until_well(client: FlaskClient) -> None:
    for _ in range(20):
        if ask(client) == (200, WELL):
            return
    pytest.fail("it is back and not well")


def test_a_catalogue_that_stands_still_is_away_and_the_site_is_down(
    postgresql_server: OwnServer, client: FlaskClient
) -> None:
    wait_until_well(client)
    with postgresql_server.paused():
        assert ask(client) == (503, {**WELL, "catalogue": "away"})
        assert up(client) == {"catalogue": 0, "archive": 1, "engine": 1}
    wait_until_well(client)
    assert up(client) == {"catalogue": 1, "archive": 1, "engine": 1}


def test_an_archive_that_stands_still_or_is_slow_is_told_and_the_site_goes_on(
    s3: FaultyProxy, client: FlaskClient
) -> None:
    wait_until_well(client)
    s3.always = "silence"
    assert ask(client) == (200, {**WELL, "archive": "away"})
    s3.always = ""
    s3.over.set()
    wait_until_well(client)

    def take_time(body: bytes) -> bytes:
        Event().wait(1.2)
        return body

    s3.change = take_time
    assert ask(client) == (200, {**WELL, "archive": "slow"})
