"""The index on disk as tantivy has it: its schema, its documents, its errors."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tantivy

from harvester.errors import EngineUnavailableError
from indexer.document import Document
from indexer.engine.schema import (
    EXACT_WEIGHTS,
    NUMBER_FIELDS,
    OWN_KEYS,
    SHARED_KEYS,
    SORT_FIELDS,
    STEM_WEIGHTS,
    TITLE_ORDER,
    Entry,
    unpack,
)


@contextmanager
def unavailable(done: str) -> Iterator[None]:
    """Tantivy's errors, which are plain ValueErrors, are EngineUnavailableErrors that say what could not be done."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise EngineUnavailableError(f"the index cannot be {done}: {error}") from error


def create_index(build: Path) -> tantivy.Index:
    """An empty index in a new folder."""
    builder = tantivy.SchemaBuilder()
    builder.add_bytes_field("document", stored=True)
    builder.add_integer_field("year", indexed=True, fast=True)
    for name in (*NUMBER_FIELDS.values(), *(set(SORT_FIELDS.values()) - {TITLE_ORDER})):
        builder.add_integer_field(name, fast=True)
    for name in EXACT_WEIGHTS:
        builder.add_text_field(name, tokenizer_name="stream", index_option="position")
    for name in STEM_WEIGHTS:
        builder.add_text_field(name, tokenizer_name="stream", index_option="freq")
    for name in ("id", TITLE_ORDER, *OWN_KEYS.values(), SHARED_KEYS):
        builder.add_text_field(name, fast=name != SHARED_KEYS, tokenizer_name="raw", index_option="basic")
    build.mkdir(parents=True)
    return _with_streams(tantivy.Index(builder.build(), str(build)))


def open_index(build: Path) -> tantivy.Index:
    """The index in a folder."""
    return _with_streams(tantivy.Index.open(str(build)))


def _with_streams(index: tantivy.Index) -> tantivy.Index:
    """Tantivy does not keep analyzers on disk; ours only parts ready tokens at their spaces."""
    index.register_tokenizer("stream", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    return index


def body_of(entry: Entry) -> str:
    """What tantivy is given: the document as bytes, which it stores without looking for words in them."""
    return entry.with_document(f'"{b64encode(entry.document.encode()).decode()}"')


def load(searcher: tantivy.Searcher, address: tantivy.DocAddress) -> Document:
    """The document that stands at an address."""
    return unpack(searcher.doc(address)["document"][0])
