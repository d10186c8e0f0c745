"""Questions to one index of a search server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harvester.errors import EngineUnavailableError
from indexer.document import Document
from indexer.engine.elastic_indices import Indices
from indexer.engine.elastic_query import Query
from indexer.engine.elastic_server import Server
from indexer.engine.schema import unpack

_JSON = {"accept": "application/json", "content-type": "application/json"}
WITH_DOCUMENTS: Query = {"stored_fields": ["document"]}


class Reader:
    """Reads the index, or the alias, `target`. An answer is whole, or it is an EngineError."""

    def __init__(self, server: Server, indices: Indices, target: str) -> None:
        self._server = server
        self._indices = indices
        self._target = target

    def search(self, body: Query, *, preference: str | None = None) -> Mapping[str, Any]:
        """The server's answer to a search."""
        asked = {"allow_partial_search_results": "false"}
        if preference:
            asked["preference"] = preference
        if self._server.address.shards > 1:
            asked["search_type"] = "dfs_query_then_fetch"  # the same scores in all
        with self._server.asked(self._indices.absent):
            answer = self._server.client.perform_request(  # as `search` does, without a look at each argument
                "POST", f"/{self._target}/_search", params=asked, headers=_JSON, body=body
            )
        found: Mapping[str, Any] = answer.body
        return found

    def search_each(self, bodies: Sequence[Query]) -> list[Mapping[str, Any]]:
        """The answers to several searches, in one request."""
        if not bodies:
            return []
        with self._server.asked(self._indices.absent):
            answer = self._server.client.msearch(
                index=self._target, searches=[part for body in bodies for part in ({}, body)]
            )
        found: list[Mapping[str, Any]] = answer["responses"]
        for each in found:
            if each["status"] == 404:
                raise self._indices.absent()
            if "error" in each:
                raise EngineUnavailableError(f"the search server answers: {each['error']}")
        return found

    def count(self, query: Query) -> int:
        """The number of documents that the query finds."""
        with self._server.asked(self._indices.absent):
            return int(self._server.client.count(index=self._target, query=query)["count"])

    def frequencies(self, field: str, tokens: Sequence[str]) -> dict[str, int]:
        """In how many documents each of these tokens stands in a field; on one shard, where there are several."""
        with self._server.asked(self._indices.absent):
            answer = self._server.client.termvectors(
                index=self._target,
                doc={field: " ".join(tokens)},
                fields=[field],
                term_statistics=True,
                field_statistics=False,
                offsets=False,
                positions=False,
            )
        terms = answer["term_vectors"].get(field, {"terms": {}})["terms"]
        return {token: each.get("doc_freq", 0) for token, each in terms.items()}


def documents_in(answer: Mapping[str, Any]) -> list[Document]:
    """The documents of the hits, in their order."""
    return [document_of(hit) for hit in answer["hits"]["hits"]]


def document_of(hit: Mapping[str, Any]) -> Document:
    """The document of one hit."""
    return unpack(hit["fields"]["document"][0])
