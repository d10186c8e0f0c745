"""The search engine that the settings name, and the place where a new index grows."""

from __future__ import annotations

import shutil

from harvester.settings import Settings
from indexer.engine.embedded import EmbeddedEngine


def open_engine(settings: Settings) -> EmbeddedEngine:
    """The engine of this installation; whether there is an index shows when it is used."""
    return EmbeddedEngine(settings.index_path)


def open_empty_engine(settings: Settings) -> EmbeddedEngine:
    """An engine with no index, on the file system of the present one; what a killed rebuild left there is gone."""
    path = settings.index_path.with_name(f"{settings.index_path.name}-new")
    shutil.rmtree(path, ignore_errors=True)
    return EmbeddedEngine(path)
