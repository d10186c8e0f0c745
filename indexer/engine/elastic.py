"""The engine on a search server that several hosts share: Elasticsearch."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from zlib import crc32

import orjson

from harvester.errors import EngineBusyError, EngineError, QueryRejectedError, SchemaChangedError
from indexer.document import Document
from indexer.engine import Results, Suggestion
from indexer.engine.compile import Compiler, facet_groups
from indexer.engine.cursors import Cursor, parse_cursor
from indexer.engine.elastic_bulk import Operation, send
from indexer.engine.elastic_indices import Build, Indices
from indexer.engine.elastic_query import ElasticDialect, Query
from indexer.engine.elastic_reading import WITH_DOCUMENTS, Reader, document_of, documents_in
from indexer.engine.elastic_server import Server, ServerAddress
from indexer.engine.elastic_words import ElasticCounted, ElasticWords, Values
from indexer.engine.facets import count_facets, terms_of
from indexer.engine.schema import (
    SORT_FIELDS,
    Entry,
    make_entry,
    order_key,
    schema_checksum,
)
from indexer.engine.words import complete, mend, telling_words
from indexer.highlight import Matcher, make_hit
from indexer.parser import parse_words
from indexer.query import And, Node, Or, SearchRequest, Sort, Term, Typed, query_words

_WINDOW = 10_000  # no server gives more hits at once
_IDS_AT_ONCE = 5000
_PART = 32_000_000  # characters of documents that are in memory at once
_LONGEST_KEY = 512  # bytes that a server takes as an id
_TAGS_SECONDS = 30.0  # after which languages that another process has brought in are known here


class ElasticEngine:
    """An `Engine` over one index of a server; any number of processes read, and those that write are told apart.

    What a killed write had sent becomes visible with the next one, which sends it again.
    """

    def __init__(self, address: ServerAddress, *, build: str = "") -> None:
        self._server = Server(address)
        self._indices = Indices(self._server, schema_checksum())
        self._build = build  # the one that grows beside; else whichever is read
        self._reader = Reader(self._server, self._indices, build or self._indices.alias)
        self._writing = threading.Lock()
        self._seen: tuple[str, int] | None = None
        self._tags: tuple[float, frozenset[str]] = (0.0, frozenset())
        self._values: Values = {}

    def write(self, documents: Iterable[Document | Entry], deletions: Iterable[str], watermark: int) -> None:
        """Documents stand in the index, deletions do not, and all of it shows at once; an id in both stands.

        Of two processes that write the same work, the one with the higher watermark wins, whichever is later.
        """
        gone = {order_key(each) for each in deletions if each}
        with self._writing, self._server.asked(self._indices.absent):
            build = self._to_write()
            for entries in _in_parts(each if isinstance(each, Entry) else make_entry(each) for each in documents):
                gone -= entries.keys()
                tags = frozenset[str]().union(*(each.tags for each in entries.values()))
                if tags - build.tags:
                    build = replace(build, tags=build.tags | tags)
                    self._indices.note(build)
                self._send(build, (Operation(_key(key), body_of(each)) for key, each in entries.items()), watermark)
            self._send(build, (Operation(_key(key), None) for key in sorted(gone)), watermark)
            self._server.patient.indices.refresh(index=build.index)
            self._indices.note(replace(build, watermark=watermark))
            self._seen = build.index, watermark
            self._tags = time.monotonic(), build.tags

    def _send(self, build: Build, operations: Iterable[Operation], watermark: int) -> None:
        send(self._server.patient, build.index, operations, watermark, self._server.patience)

    def watermark(self) -> int:
        """The watermark of the index; 0 where there is none."""
        with self._server.asked(self._indices.absent):
            build = self._find()
        self._seen = (build.index, build.watermark) if build else ("", 0)
        return self._seen[1]

    def search(self, request: SearchRequest) -> Results:
        """The page and its facets, of one state of the index.

        Equal scores and equal titles come newest first; a commit between two pages changes scores a little.
        """
        compiler = Compiler(self._dialect())
        sort: Sort = request.sort
        if sort == "relevance" and not query_words(request.query):
            sort = "newest"
        cursor = parse_cursor(request.cursor, sort)
        size = max(1, min(request.size, _WINDOW - 1))
        order = _order(sort)
        groups = facet_groups(request)
        body: Query = {
            "query": compiler.compile(request.query) if any(groups) else compiler.narrowed(request),
            "size": size + 1,  # one more tells whether there are more
            "sort": order,
            "track_total_hits": True,
            **WITH_DOCUMENTS,
            **_place(cursor, order, size),
        }
        if any(groups):
            body["post_filter"] = _all_of(compiler.limits(request))
        if groups:
            body["aggs"] = {
                str(without): {
                    "filter": _all_of(compiler.limits(request, without) if any(groups) else ()),
                    "aggs": {facet: {"terms": terms} for facet, terms in terms_of(facets, request.facet_size).items()},
                }
                for without, facets in groups.items()
            }
        # The pages of one search come from one copy of the index: others may count deleted works differently.
        copy = f"q{crc32(repr(request.query).encode('utf-8', 'replace'))}"
        answer = self._reader.search(body, preference=copy)
        total, hits = answer["hits"]["total"]["value"], answer["hits"]["hits"]
        typed = request.query
        if not total and isinstance(typed, Typed) and not self._reader.count(compiler.compile(typed)):
            return self.search(replace(request, query=parse_words(typed.text), sort=sort))
        counted = ElasticCounted(self._reader, self._words(), compiler, request, answer.get("aggregations", {}))
        matcher = Matcher(request.query if request.highlight else And(()))
        shown = hits[:size]
        return Results(
            total=total,
            hits=tuple(
                make_hit(document_of(hit), hit["_score"] if sort == "relevance" else None, matcher) for hit in shown
            ),
            facets=count_facets(request, counted),
            next_cursor=_behind(sort, shown[-1]["sort"]) if len(hits) > size else None,
        )

    def get(self, document_id: str) -> Document | None:
        """The document, or None."""
        answer = self._reader.search({"query": {"term": {"id": order_key(document_id)}}, "size": 1, **WITH_DOCUMENTS})
        return next(iter(documents_in(answer)), None)

    def suggest(self, prefix: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """Titles with these words, the last one begun, then authors and subjects with such a word in them.

        Nothing for fewer than two letters; case and accents do not matter.
        """
        return complete(self._words(), prefix, limit)

    def correct(self, text: str) -> str | None:
        """The text with words that no document has replaced by the nearest, then most frequent, that one has."""
        return mend(self._words(), text)

    def similar(self, document_id: str, limit: int = 6) -> tuple[Document, ...]:
        """Works that share the rarer words of the title and subjects."""
        document = self.get(document_id)
        if document is None:
            return ()
        alike: Node = Or(tuple(Term(word, "described") for word in telling_words(self._words(), document)))
        itself = {"term": {"id": order_key(document_id)}}
        query = ElasticDialect(()).combined(must=[Compiler(self._dialect()).compile(alike)], must_not=[itself])
        answer = self._reader.search({"query": query, "size": max(1, min(limit, _WINDOW)), **WITH_DOCUMENTS})
        return tuple(documents_in(answer))

    def count(self) -> int:
        """The number of works in the index."""
        return self._reader.count({"match_all": {}})

    def iter_ids(self) -> Iterator[str]:
        """Every id in ascending order of its UTF-8 bytes; what is written meanwhile may or may not appear."""
        body: Query = {"query": {"match_all": {}}, "size": _IDS_AT_ONCE, "sort": ["id"], "stored_fields": "_none_"}
        body["track_total_hits"] = False
        while hits := self._reader.search(body)["hits"]["hits"]:
            for hit in hits:
                yield bytes.fromhex(hit["sort"][0]).decode("utf-8", "surrogatepass")
            body["search_after"] = hits[-1]["sort"]

    def beside(self, *, anew: bool = False) -> ElasticEngine:
        """An index that grows beside this one: where one was left unfinished that one, unless `anew`."""
        with self._server.asked(self._indices.absent):
            growing = self._indices.find_growing()
            if growing and anew:
                self._indices.delete([growing.index])
                growing = None
            build = growing or self._indices.create(growing=True)
        return ElasticEngine(self._server.address, build=build.index)

    def replace_with(self, other: ElasticEngine) -> None:
        """What `other` has built is read here from now on, all at once; the former index stays until the next time."""
        with self._writing, other._writing, self._server.asked(self._indices.absent):
            build = self._indices.find(other._build)
            if build is None:
                raise EngineError(f"the index {other._build} is gone: another process has replaced it")
            self._indices.activate(build)
            self._seen = None

    def close(self) -> None:
        """No connection is open; a later call opens again."""
        self._server.close()

    def _to_write(self) -> Build:
        """The build to write, made where there is none; no other than the one that the watermark was read of."""
        build = self._find() or self._indices.create()
        if self._seen not in {None, (build.index, build.watermark), ("", build.watermark)}:
            self._seen = None
            raise EngineBusyError("another process has written to the index meanwhile, or replaced it; try again")
        return build

    def _find(self) -> Build | None:
        """The build that is read or grows here; None where none was ever made."""
        build = self._indices.find(self._build)
        if build is None:
            error = self._indices.absent()
            if self._build or isinstance(error, SchemaChangedError):
                raise error
        return build

    def _dialect(self) -> ElasticDialect:
        """Stems are looked for in the languages that the index had less than a minute ago."""
        since, tags = self._tags
        if not tags or time.monotonic() - since > _TAGS_SECONDS:
            with self._server.asked(self._indices.absent):
                build = self._indices.find(self._build)
            tags = build.tags if build else tags
            self._tags = time.monotonic(), tags
        return ElasticDialect(tags)

    def _words(self) -> ElasticWords:
        return ElasticWords(self._reader, self._dialect(), self._values)


def _in_parts(entries: Iterable[Entry]) -> Iterator[dict[str, Entry]]:
    """The entries by their ids, so many characters of them at a time; of one id the last one."""
    part: dict[str, Entry] = {}
    size = 0
    for entry in entries:
        part[entry.id] = entry
        size += entry.size
        if size > _PART:
            yield part
            part, size = {}, 0
    if part:
        yield part


def body_of(entry: Entry) -> str:
    """What the server is given: the document as text, and something in every field of streams, as BM25 counts here,
    other than in tantivy, only documents that have the field."""
    nothing = "".join([f',"{name}":"-"' for name in entry.lacking])  # which is no token
    return entry.with_document(orjson.dumps(entry.document).decode(), nothing)


def _key(key: str) -> str:
    """The server's id of a document; its own where that is not too long."""
    return key if len(key) <= _LONGEST_KEY else sha256(key.encode()).hexdigest()


def _order(sort: Sort) -> list[dict[str, str]]:
    """What hits are sorted by: no two have the same."""
    first = {"_score": "desc"} if sort == "relevance" else {SORT_FIELDS[sort]: "asc"}
    return [first, {SORT_FIELDS["newest"]: "asc"}, {"id": "asc"}]


def _behind(sort: Sort, place: list[object]) -> str:
    """The cursor behind a hit with these sort values."""
    return str(Cursor(sort, after=json.dumps(place).encode().hex()))


def _place(cursor: Cursor, order: list[dict[str, str]], size: int) -> Query:
    """Where a page begins. A mere number of hits is not ours: as far as servers count, it is obeyed."""
    if not cursor.after:
        return {"from": cursor.offset} if cursor.offset + size < _WINDOW else {"size": 0}
    try:
        place = json.loads(bytes.fromhex(cursor.after))
    except ValueError:
        place = None
    if not (isinstance(place, list) and len(place) == len(order)):
        raise QueryRejectedError("this place belongs to another list of results: begin at its first page")
    return {"search_after": place}


def _all_of(limits: Iterable[Query]) -> Query:
    return {"bool": {"filter": list(limits)}}
