"""The site over a small network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sample_network import Network, build_network

from web.app import create_app


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return build_network(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def app(network: Network) -> Iterator[Flask]:
    app = create_app(network.settings)
    yield app
    app.extensions["lumbung"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A reader whose browser asks for English."""
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return client


@pytest.fixture
def pembaca(app: Flask) -> FlaskClient:
    """A reader whose browser names no language."""
    return app.test_client()
