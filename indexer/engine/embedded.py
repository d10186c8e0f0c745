"""The engine inside our own process: tantivy over one folder."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tantivy
from tantivy import Occur, Query

from harvester.errors import EngineBusyError, EngineError, EngineUnavailableError, QueryRejectedError
from indexer.document import Document
from indexer.engine import Results, Suggestion
from indexer.engine.compile import Compiler
from indexer.engine.cursors import Cursor, parse_cursor
from indexer.engine.facets import count_facets
from indexer.engine.folder import IndexFolder, write_durably
from indexer.engine.schema import SORT_FIELDS, TITLE_ORDER, Entry, make_entry, order_key, schema_checksum
from indexer.engine.store import body_of, create_index, load, open_index, unavailable
from indexer.engine.tantivy_query import TantivyDialect, top
from indexer.engine.tantivy_words import TantivyCounted, TantivyWords
from indexer.engine.words import complete, mend, telling_words
from indexer.highlight import Matcher, make_hit
from indexer.parser import parse_words
from indexer.query import And, Node, Or, SearchRequest, Sort, Term, Typed, query_words

_WRITER_BYTES = 150_000_000
_MOST_WRITER_THREADS = 4
_IDS_AT_ONCE = 5000
_TITLE_KEY = re.compile(r"[^\s\x00-\x2d\x2f\x3a-\x60\x7b-\x7f]+")  # of ASCII a period, digits and small letters


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One committed state of one build, for reading."""

    stamp: tuple[object, ...]
    build: Path
    index: tantivy.Index
    searcher: tantivy.Searcher

    @property
    def dialect(self) -> TantivyDialect:
        return TantivyDialect(self.index.schema, self.searcher)

    @property
    def words(self) -> TantivyWords:
        return TantivyWords(self.dialect, self.searcher)


class EmbeddedEngine:
    """An `Engine` over the folder `path`, which one process writes and any number read.

    Opening happens at the first use, so an engine for a folder of another schema can be made and replaced.
    Readers, in this process or another, see each commit and each `replace_with` at their next call.

    Args:
        threads: that write; 0: as many as this machine has cores for.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._folder = IndexFolder(path, schema_checksum())
        self._threads = threads or _writer_threads()
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        self._snapshot: _Snapshot | None = None
        self._writer: tantivy.IndexWriter | None = None
        self._seen: tuple[str, int] | None = None

    def write(self, documents: Iterable[Document | Entry], deletions: Iterable[str], watermark: int) -> None:
        """Documents stand in the index, deletions do not, in one commit; an id in both stands.

        When this raises, or the process dies, the index is as before, or as after with the former watermark.
        """
        with self._writing:
            writer = self._open_writer()
            try:
                for document_id in deletions:
                    writer.delete_documents_by_term("id", order_key(document_id))
                for document in documents:
                    entry = document if isinstance(document, Entry) else make_entry(document)
                    with unavailable("written"):
                        writer.delete_documents_by_term("id", entry.id)
                        writer.add_json(body_of(entry))
                with unavailable("written"):
                    writer.commit()
            except BaseException:
                self._abandon(writer)
                raise
            write_durably(self._active() / "watermark", str(watermark))
            self._seen = None  # the lock is ours: nobody else writes until it is closed

    def watermark(self) -> int:
        """The watermark of the active build; 0 where there is none."""
        self._seen = self._written()
        return self._seen[1]

    def _written(self) -> tuple[str, int]:
        """The name of the active build and its watermark."""
        build = self._folder.find_active()
        try:
            return (build.name, int((build / "watermark").read_text(encoding="utf-8"))) if build else ("", 0)
        except FileNotFoundError:
            return (build.name if build else "", 0)

    def search(self, request: SearchRequest) -> Results:
        """The page, its facets and its marks, all of one state of the index.

        Equal scores and equal titles keep the order of the index; a commit between two pages can move such
        works across the border of the pages, while all others go on exactly where they were.
        """
        now = self._read()
        compiler = Compiler(now.dialect)
        query = compiler.narrowed(request)
        sort: Sort = request.sort
        if sort == "relevance" and not query_words(request.query):
            sort = "newest"
        cursor = parse_cursor(request.cursor, sort)
        size = max(1, min(request.size, now.searcher.num_docs))  # tantivy makes room for as many as it is asked for
        with unavailable("searched"):
            if sort == "relevance":
                total, hits = top(now.searcher, query, size)
                if cursor.offset:
                    beyond = cursor.offset >= total
                    hits = [] if beyond else top(now.searcher, query, size, offset=cursor.offset)[1]
                more = cursor.offset + len(hits) < total
                following = Cursor(sort, offset=cursor.offset + len(hits))
            else:
                left, hits = _in_order(now, query, cursor, size)
                total = top(now.searcher, query, 1)[0] if cursor.after else left
                more = left > len(hits)
                following = cursor.behind([key for key, _ in hits])
            typed = request.query
            if not total and isinstance(typed, Typed) and not top(now.searcher, compiler.compile(typed), 1)[0]:
                return self.search(replace(request, query=parse_words(typed.text), sort=sort))
            facets = count_facets(request, TantivyCounted(compiler, now.searcher, request))
        matcher = Matcher(request.query if request.highlight else And(()))
        return Results(
            total=total,
            hits=tuple(
                make_hit(load(now.searcher, address), score if sort == "relevance" else None, matcher)
                for score, address in hits
            ),
            facets=facets,
            next_cursor=str(following) if hits and more else None,
        )

    def get(self, document_id: str) -> Document | None:
        """The document, or None."""
        now = self._read()
        query = Query.term_query(now.index.schema, "id", order_key(document_id), "basic")
        with unavailable("read"):
            hits = now.searcher.search(query, 1, count=False).hits
            return load(now.searcher, hits[0][1]) if hits else None

    def suggest(self, prefix: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """Titles with these words, the last one begun, then authors and subjects with such a word in them.

        Nothing for fewer than two letters; case and accents do not matter.
        """
        return complete(self._read().words, prefix, limit)

    def correct(self, text: str) -> str | None:
        """The text with words that no document has replaced by the nearest, then most frequent, that one has."""
        return mend(self._read().words, text)

    def similar(self, document_id: str, limit: int = 6) -> tuple[Document, ...]:
        """Works that share the rarer words of the title and subjects."""
        document = self.get(document_id)
        if document is None:
            return ()
        now = self._read()
        alike: Node = Or(tuple(Term(word, "described") for word in telling_words(now.words, document)))
        itself = Query.term_query(now.index.schema, "id", order_key(document_id), "basic")
        query = Query.boolean_query([(Occur.Must, Compiler(now.dialect).compile(alike)), (Occur.MustNot, itself)])
        hits = now.searcher.search(query, max(1, limit), count=False).hits
        return tuple(load(now.searcher, address) for _, address in hits)

    def count(self) -> int:
        """The number of works in the index."""
        return self._read().searcher.num_docs

    def iter_ids(self) -> Iterator[str]:
        """Every id in ascending order of its UTF-8 bytes; what is written meanwhile may or may not appear."""
        last = ""
        while ids := _ids_behind(self._read(), last):
            for found in ids:
                yield bytes.fromhex(found).decode("utf-8", "surrogatepass")
            last = ids[-1]

    def beside(self, *, anew: bool = False) -> EmbeddedEngine:
        """An engine whose index grows in a folder beside this one: where one was left unfinished that, unless `anew`.

        Raises EngineBusyError where another process lets one grow there.
        """
        root = self._folder.root
        other = EmbeddedEngine(root.with_name(f"{root.name}-new"), threads=self._threads)
        other._folder.lock()
        try:
            usable = not anew and other.watermark() > 0 and other.count() >= 0
        except EngineError:  # of another schema, or damaged
            usable = False
        if not usable:
            other._folder.clear()
        return other

    def replace_with(self, other: EmbeddedEngine) -> None:
        """This engine's folder holds the other's build, and its watermark; the other is left empty.

        The former build stays in the folder until the next time.

        Works whatever stood here, also an index of another schema. Both folders are on one file system.
        Readers of this folder follow at their next call.
        """
        with self._writing, other._writing:
            self._close_writer()
            other._close_writer()
            self._folder.lock()
            other._folder.lock()
            try:
                build = self._folder.new_build()
                other._active().rename(build)
                self._folder.activate(build)
                self._seen = None
            finally:
                other._folder.unlock()
                self._folder.unlock()

    def close(self) -> None:
        """The lock is free and nothing is open; a later call opens again."""
        with self._writing:
            self._close_writer()
        with self._reading:
            self._snapshot = None

    def _active(self) -> Path:
        build = self._folder.find_active()
        if build is None:
            raise EngineUnavailableError("the index has not been built yet; run `lumbung index`")
        return build

    def _read(self) -> _Snapshot:
        """The newest committed state; two looks at the file system where nothing has changed."""
        known = self._snapshot
        if known is not None and known.stamp == self._stamp(known.build):
            return known
        with self._reading:
            try:
                return self._reopened()
            except EngineUnavailableError:
                # The build may have been replaced and removed while it was being opened.
                return self._reopened()

    def _reopened(self) -> _Snapshot:
        build = self._active()
        stamp = self._stamp(build)
        known = self._snapshot
        with unavailable("opened"):
            if known is None or known.build != build:
                index = open_index(build)
                index.config_reader("manual")
            else:
                index = known.index
            index.reload()
            self._snapshot = _Snapshot(stamp, build, index, index.searcher())
        return self._snapshot

    def _stamp(self, build: Path) -> tuple[object, ...]:
        """What changes with every swap and every commit: both files are replaced, never rewritten."""
        try:
            seen = (self._folder.pointer.stat(), (build / "meta.json").stat())
        except FileNotFoundError:
            return ()
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in seen)

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            self._folder.lock()
            try:
                self._meet_what_was_seen()
                with unavailable("written"):
                    self._writer = self._to_write().writer(_WRITER_BYTES, self._threads)
            finally:
                if self._writer is None:
                    self._folder.unlock()
        return self._writer

    def _meet_what_was_seen(self) -> None:
        """The watermark is still the one that was read; else changes between the two would never be written."""
        seen, self._seen = self._seen, None
        if seen not in {None, self._written()}:
            raise EngineBusyError("another process has written to the index meanwhile, or replaced it; try again")

    def _to_write(self) -> tantivy.Index:
        """The active build, made where there is none."""
        if (build := self._folder.find_active()) is not None:
            return open_index(build)
        build = self._folder.new_build()
        index = create_index(build)
        self._folder.activate(build)
        return index

    def _abandon(self, writer: tantivy.IndexWriter) -> None:
        """What was added since the last commit is forgotten, and so is a writer that cannot even do that."""
        try:
            writer.rollback()
        except (ValueError, OSError):
            self._writer = None
            self._folder.unlock()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                with unavailable("written"):
                    writer.wait_merging_threads()
        finally:
            self._folder.unlock()


def _writer_threads() -> int:
    """Half of the cores, as entries are made in the others: each thread writes a segment of its own at each commit,
    with a dictionary of its own, and all of them have to be merged."""
    return max(1, min(_MOST_WRITER_THREADS, (os.cpu_count() or 1) // 2))


def _in_order(
    now: _Snapshot, query: Query, cursor: Cursor, size: int
) -> tuple[int, list[tuple[Any, tantivy.DocAddress]]]:
    """The number of matches behind the cursor, and the first of these by the keys of its order."""
    name = SORT_FIELDS[cursor.sort]
    if cursor.after and name == TITLE_ORDER:
        # Only tantivy's query language has ranges of text; it takes the keys as they are.
        rest = now.index.parse_query(f"{name}:[{_title_place(cursor)} TO *]")
    elif cursor.after:
        least = min(int(cursor.after, 16), 2**62)
        rest = Query.range_query(now.index.schema, name, tantivy.FieldType.Integer, least, None)
    else:
        return top(now.searcher, query, size, order=name)
    query = Query.boolean_query([(Occur.Must, query), (Occur.Must, rest)])
    found, hits = top(now.searcher, query, size, offset=min(cursor.offset, now.searcher.num_docs), order=name)
    return max(0, found - cursor.offset), hits


def _title_place(cursor: Cursor) -> str:
    """The key of a title that the cursor spells; nothing that would mean more than itself in a query."""
    with suppress(UnicodeDecodeError):
        place = bytes.fromhex(cursor.after).decode()
        if _TITLE_KEY.fullmatch(place):
            return place
    raise QueryRejectedError("this is not a place in a list of results: begin at its first page")


def _ids_behind(now: _Snapshot, place: str) -> list[str]:
    """The next keys of ids in order, by an aggregation: it reads them fifty times as fast as a sorted search."""
    terms = {"field": "id", "size": _IDS_AT_ONCE, "segment_size": _IDS_AT_ONCE, "order": {"_key": "asc"}}
    rest = now.index.parse_query(f"id:{{{place} TO *}}") if place else Query.all_query()
    answer = now.searcher.aggregate(rest, {"ids": {"terms": terms}})
    return [bucket["key"] for bucket in answer["ids"]["buckets"]]
