"""The site while its PostgreSQL is away: plain words, and the pages again as soon as it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient
from sample_network import Network, build_network
from services.postgresql import OwnServer, running

from web.app import create_app

pytestmark = pytest.mark.service
PATHS = ("/", "/members/", "/members/alfa", "/members/alfa/problems", "/members/alfa.json")


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with running("fsync=off") as own:
        yield own


@pytest.fixture(scope="module")
def network(server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Network:
    return build_network(tmp_path_factory.mktemp("network"), catalogue=server.new_catalogue())


@pytest.fixture
def client(network: Network) -> Iterator[FlaskClient]:
    app = create_app(network.settings)
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    yield client
    app.extensions["lumbung"].close()


def check_away(client: FlaskClient, paths: Sequence[str] = PATHS) -> None:
    for path in paths:
        begun = time.monotonic()
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), path
        assert "The catalogue cannot be reached" in answer.text
        assert not {"psycopg", "Traceback", "lumbung_"} & set(answer.text.split())
        assert time.monotonic() - begun < 20
    health = client.get("/healthz")
    assert health.status_code == 503
    assert health.get_json()["tiers"] == {"catalogue": "away", "archive": "ok", "engine": "ok"}
    assert health.headers["Retry-After"] == "30"
    for path in ("/about", "/api/search?q=padi", "/search?q=padi"):  # which go on without it
        assert client.get(path).status_code == 200


def check_well(client: FlaskClient) -> None:
    deadline = time.monotonic() + 20
    while client.get("/members/").status_code != 200:  # it rests for two seconds after the last failure
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {path: client.get(path).status_code for path in PATHS} == dict.fromkeys(PATHS, 200)
    assert client.get("/healthz").status_code == 200


def test_the_site_says_that_its_stopped_catalogue_is_away_and_goes_on_when_it_is_back(
    server: OwnServer, client: FlaskClient
) -> None:
    check_well(client)
    server.stop()
    check_away(client)
    server.start()
    check_well(client)


def test_the_site_says_so_within_seconds_where_the_server_stands_still(server: OwnServer, client: FlaskClient) -> None:
    check_well(client)
    with server.paused():
        check_away(client, PATHS[2:3])
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as readers:
            answers = readers.map(
                lambda _: client.application.test_client().get("/members/alfa").status_code, range(80)
            )
            assert set(answers) == {503}
        assert time.monotonic() - begun < 20  # they do not wait one after the other
    check_well(client)


def test_a_site_that_starts_without_its_catalogue_has_it_later(server: OwnServer, client: FlaskClient) -> None:
    server.stop()
    check_away(client)
    server.start()
    check_well(client)
