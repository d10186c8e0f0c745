"""A member, its catalogue and its archive, fresh for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.network import Network
from fakes.provider import FakeProvider

from harvester.archive import Archive, open_archive
from harvester.catalogue import Catalogue, open_catalogue


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a fresh catalogue, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "catalogue.sqlite"
    open_catalogue(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def catalogue(tmp_path: Path, migrated: Path) -> Iterator[Catalogue]:
    """A fresh catalogue in a file."""
    shutil.copy(migrated, tmp_path)
    opened = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
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
