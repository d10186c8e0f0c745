"""The tiers a request may need, each opened when it is first asked for."""

from __future__ import annotations

import threading
from typing import cast

from flask import Flask, current_app

from harvester.archive import Archive, open_archive_of
from harvester.catalogue.database import Catalogue, Rest, open_catalogue
from harvester.settings import Settings
from indexer.engine import Engine
from indexer.engine.opening import open_engine

_NAME = "lumbung"
_PATIENCE = 8.0  # seconds: readers would rather hear that the catalogue is away
_REST = 2.0  # seconds in which nobody waits for a catalogue that has just not answered


class Tiers:
    """The tiers of one installation. One that cannot be opened is tried again by the next request, and keeps nobody
    from the others."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opening = {name: threading.Lock() for name in ("catalogue", "archive", "engine")}
        self._catalogue: Catalogue | None = None
        self._rest = Rest(_REST)
        self._archive: Archive | None = None
        self._engine: Engine | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue. Raises `CatalogueError` where it cannot be opened."""
        with self._opening["catalogue"]:
            if self._catalogue is None:
                with self._rest.spared():
                    self._catalogue = open_catalogue(self.settings.catalogue_url, patience=_PATIENCE, rest=_REST)
            return self._catalogue

    @property
    def archive(self) -> Archive:
        """The archive. Raises `ArchiveError` where it cannot be opened."""
        with self._opening["archive"]:
            if self._archive is None:
                self._archive = open_archive_of(self.settings)
            return self._archive

    @property
    def engine(self) -> Engine:
        """The search engine. Raises `EngineUnavailableError` where it cannot be opened."""
        with self._opening["engine"]:
            if self._engine is None:
                self._engine = open_engine(self.settings)
            return self._engine

    def close(self) -> None:
        """Whatever was opened is closed."""
        with self._opening["catalogue"], self._opening["engine"]:
            if self._engine is not None:
                self._engine.close()
            if self._catalogue is not None:
                self._catalogue.close()
            self._engine = self._catalogue = None


def attach_tiers(app: Flask, tiers: Tiers) -> None:
    """Requests to the app find these tiers."""
    app.extensions[_NAME] = tiers


def get_tiers() -> Tiers:
    """The tiers of the app that answers the present request."""
    return cast(Tiers, current_app.extensions[_NAME])
