"""The search engine that the settings name."""

from __future__ import annotations

from contextlib import closing

import structlog

from harvester.errors import EngineUnavailableError
from harvester.settings import Settings
from indexer.engine import Engine


def open_engine(settings: Settings) -> Engine:
    """The engine of this installation; whether there is an index, and a server, shows when it is used."""
    if settings.engine == "embedded:":
        from indexer.engine.embedded import EmbeddedEngine  # noqa: PLC0415 - only one of the engines is needed

        return EmbeddedEngine(settings.index_path)
    from indexer.engine.elastic import ElasticEngine  # noqa: PLC0415 - as above
    from indexer.engine.elastic_server import parse_address  # noqa: PLC0415 - as above

    return ElasticEngine(
        parse_address(
            settings.engine,
            api_key=settings.engine_api_key,
            ca=settings.engine_ca,
            shards=settings.engine_shards,
            replicas=settings.engine_replicas,
            timeout=settings.engine_timeout,
        )
    )


def check_schema(settings: Settings) -> None:
    """Returns where the index fits this version, was not built yet, or cannot be reached just now.

    Raises:
        SchemaChangedError: it was built for another version.
    """
    with closing(open_engine(settings)) as engine:
        try:
            engine.watermark()
        except EngineUnavailableError as error:
            structlog.get_logger("index").warning("begun without the index", reason=str(error))
