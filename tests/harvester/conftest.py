"""A member, its catalogue and its archive, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.network import Network
from fakes.provider import FakeProvider

from harvester.archive import Archive, open_archive
from harvester.catalogue import Catalogue, open_catalogue
from harvester.samples.platforms import sample_repositories
from harvester.samples.provider import SampleServer, serve


@pytest.fixture
def catalogue(catalogue_url: str) -> Iterator[Catalogue]:
    """A fresh catalogue."""
    opened = open_catalogue(catalogue_url)
    yield opened
    opened.close()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A fresh archive in a folder."""
    return open_archive((tmp_path / "archive").as_uri())


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A server for fake repositories."""
    with FakeProvider() as running:
        yield running


@pytest.fixture
def network(provider: FakeProvider, catalogue: Catalogue, archive: Archive) -> Network:
    return Network(provider, catalogue, archive)


@pytest.fixture(scope="module")
def members() -> Iterator[SampleServer]:
    """The sample members, served."""
    with serve(()) as server:
        for repository in sample_repositories(server.base):
            server.replace(repository)
        yield server
