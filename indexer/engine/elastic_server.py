"""The search server: where it is, how it is asked, and what its refusals mean."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from elastic_transport import ConnectionTimeout, TransportError
from elasticsearch import ApiError, Elasticsearch, NotFoundError
from elasticsearch.serializer import JsonSerializer, OrjsonSerializer

from harvester.errors import ConfigError, EngineAwayError, EngineError, QueryRejectedError

_REST = 5.0  # seconds in which nobody else waits for a server that has just not answered in time
_LONGER = 6  # times as long may a write take
_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server and our indices there. Printed, it tells no secret.

    `name` begins the names of our indices; `timeout` in seconds; `ca` is a file of certificates to trust.
    """

    url: str
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    ca: str = ""
    shards: int = 1
    replicas: int = 1
    timeout: float = 10.0


def parse_address(url: str, **settings: Any) -> ServerAddress:
    """The address in `http(s)://user:password@host:port/name`; login and name may be left out."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return ServerAddress(
        url=f"{parts.scheme}://{host}:{parts.port or 9200}",
        name=parts.path.strip("/") or "lumbung",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        **settings,
    )


class Server:
    """One server, asked by many threads. Every failure of it is an EngineError."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self.patience = address.timeout * _LONGER
        self._lock = threading.Lock()
        self._client: Elasticsearch | None = None
        self._resting_until = 0.0

    @property
    def client(self) -> Elasticsearch:
        """The client, for what is quickly answered."""
        with self._lock:
            if self._client is None:
                self._client = _connect(self.address)
            return self._client

    @property
    def patient(self) -> Elasticsearch:
        """The same, for what may take its time."""
        return self.client.options(request_timeout=self.patience)

    @contextmanager
    def asked(self, absent: Callable[[], EngineError]) -> Iterator[None]:
        """What the server refuses or does not answer is an EngineError; a missing index is what `absent` says."""
        if time.monotonic() < self._resting_until:
            raise EngineAwayError(f"the search server {self.address.url} did not answer just now")
        try:
            yield
        except NotFoundError as error:
            raise absent() from error
        except ApiError as error:
            raise self._refusal(error) from error
        except TransportError as error:
            if isinstance(error, ConnectionTimeout):
                self._resting_until = time.monotonic() + _REST
            raise EngineAwayError(f"the search server {self.address.url} cannot be reached: {error.message}") from error
        else:
            self._resting_until = 0.0

    def _refusal(self, error: ApiError) -> EngineError:
        said = f"the search server {self.address.url} answers {error.meta.status}: {error.message}"
        match error.meta.status:
            case 401 | 403:
                return EngineAwayError(f"{said}; check LUMBUNG_ENGINE and LUMBUNG_ENGINE_API_KEY")
            case 400:
                return QueryRejectedError(f"{said} ({_cause(error)})")
        return EngineAwayError(f"{said} ({_cause(error)})")

    def close(self) -> None:
        """No connection is open; the next question opens one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None


class _Json(OrjsonSerializer):
    """In a third of the time; what it is too strict for (half a surrogate pair, large numbers) goes the usual way."""

    def json_dumps(self, data: Any) -> bytes:
        """The bytes of a request."""
        try:
            return super().json_dumps(data)
        except TypeError:
            return JsonSerializer.json_dumps(self, data)

    def json_loads(self, data: bytes) -> Any:
        """What an answer says."""
        try:
            return super().json_loads(data)
        except ValueError:
            return JsonSerializer.json_loads(self, data)


def _connect(address: ServerAddress) -> Elasticsearch:
    login = {"basic_auth": (address.user, address.password)} if address.user else {}
    try:
        trusted = {"ssl_context": ssl.create_default_context(cafile=address.ca)} if address.ca else {}
    except OSError as error:
        raise ConfigError(f"LUMBUNG_ENGINE_CA must be a file of certificates: {error}") from error
    return Elasticsearch(
        [address.url],
        request_timeout=address.timeout,
        max_retries=0,
        connections_per_node=_CONNECTIONS,
        serializer=_Json(),
        **({"api_key": address.api_key} if address.api_key else login),
        **trusted,  # type: ignore[arg-type]  # each is what its name says
    )


def _cause(error: ApiError) -> str:
    """The server's own first word on the matter."""
    body = error.body if isinstance(error.body, dict) else {}
    causes = body.get("error", {}).get("root_cause") if isinstance(body.get("error"), dict) else None
    return str(causes[0].get("reason", ""))[:300] if causes else ""
