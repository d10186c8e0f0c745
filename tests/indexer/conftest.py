"""What the indexer's tests may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest
from filling import Values, fill

from harvester.catalogue import Catalogue, open_catalogue

Harvest = Callable[[str, Iterable[tuple[str, Values | None]]], None]


@pytest.fixture
def catalogue(catalogue_url: str) -> Iterator[Catalogue]:
    """An empty catalogue."""
    opened = open_catalogue(catalogue_url)
    yield opened
    opened.close()


@pytest.fixture
def harvest(catalogue: Catalogue) -> Harvest:
    """Commits records (identifier, Dublin Core values; None for a deleted one) of a member, by its slug."""
    return partial(fill, catalogue)
