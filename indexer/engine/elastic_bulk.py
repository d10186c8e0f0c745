"""Many documents sent at once: in parallel, no faster than the server takes them, each one answered for."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import structlog
from elasticsearch import ApiError, Elasticsearch

from harvester.errors import EngineError, EngineUnavailableError

_AT_ONCE = 500  # of one request, or as many as have
_BYTES = 5_000_000
_THREADS = 2
_BUSY = frozenset({429, 503})
_SHORTEST_WAIT, _LONGEST_WAIT = 0.2, 10.0  # seconds; doubled each time


class Operation(NamedTuple):
    """A document to stand under a key, or with no body, not to."""

    key: str
    body: str | None


def send(client: Elasticsearch, index: str, operations: Iterable[Operation], version: int, patience: float) -> None:
    """Every operation is durable, if not yet visible; what a later version has written already stays.

    Those that a busy server turns away are sent again, and only those.

    Raises:
        EngineUnavailableError: the server was too busy for `patience` seconds; some operations may have been done.
        EngineError: the server will never take one of them.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="bulk") as pool:
        begun: deque[Future[None]] = deque()
        try:
            for some in _parts(operations):
                if len(begun) == 2 * _THREADS:
                    begun.popleft().result()
                begun.append(pool.submit(_send, client, index, some, version, patience))
            while begun:
                begun.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _parts(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    part: list[Operation] = []
    size = 0
    for operation in operations:
        length = len(operation.body or "")
        if part and (len(part) == _AT_ONCE or size + length > _BYTES):
            yield part
            part, size = [], 0
        part.append(operation)
        size += length
    if part:
        yield part


def _send(client: Elasticsearch, index: str, part: list[Operation], version: int, patience: float) -> None:
    deadline, wait = time.monotonic() + patience, _SHORTEST_WAIT
    while part := _turned_away(client, index, part, version):
        if time.monotonic() + wait > deadline:
            which = f"the work {part[0].key}" if len(part) == 1 else f"{len(part)} works"
            raise EngineUnavailableError(f"the search server was too busy for {which} in {patience:.0f} s")
        structlog.get_logger("index").info("the search server is busy", works=len(part), wait=wait)
        time.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 - so that not all senders come back at once
        wait = min(2 * wait, _LONGEST_WAIT)


def _turned_away(client: Elasticsearch, index: str, part: list[Operation], version: int) -> list[Operation]:
    """The operations were sent; those that are left to be sent again."""
    try:
        answer = client.bulk(
            index=index, operations=_lines(part, version), filter_path="errors,items.*.status,items.*.error"
        )
    except ApiError as error:
        if error.meta.status in _BUSY:
            return part
        raise
    if not answer["errors"]:
        return []
    left = []
    for operation, item in zip(part, answer["items"], strict=True):
        (outcome,) = item.values()
        if outcome["status"] in _BUSY:
            left.append(operation)
        elif not _is_done(operation, outcome):
            raise EngineError(f"the search server refuses the work {operation.key}: {outcome.get('error')}")
    return left


def _is_done(operation: Operation, outcome: Mapping[str, Any]) -> bool:
    """Also where a later version stands there, or where there was nothing to delete."""
    return outcome["status"] in {200, 201, 409} or (operation.body is None and outcome["status"] == 404)


def _lines(part: Iterable[Operation], version: int) -> list[Any]:
    """What a request says; the bodies go as they are, which the client takes but does not declare."""
    lines = []
    for key, body in part:
        action = "delete" if body is None else "index"
        lines.append(f'{{"{action}":{{"_id":"{key}","version":{version},"version_type":"external_gte"}}}}')
        if body is not None:
            lines.append(body)
    return lines
