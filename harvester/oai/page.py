"""One response of a member, parsed strictly and proved to be what it claims. Pure: bytes in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from lxml import etree

from harvester.errors import MalformedResponseError

if TYPE_CHECKING:
    from lxml.etree import _Element

LIST_VERBS = {"ListRecords": "record", "GetRecord": "record", "ListIdentifiers": "header"}
VERBS = frozenset({*LIST_VERBS, "Identify", "ListSets", "ListMetadataFormats"})


# What a page has hundreds of is a tuple, which is made in a third of the time.
class Header(NamedTuple):
    """A record's header. `datestamp` is verbatim, empty where the member sends none. Spec: 2.5."""

    identifier: str
    datestamp: str
    set_specs: tuple[str, ...] = ()
    deleted: bool = False


class Record(NamedTuple):
    """One record of a page.

    `metadata` is the payload element as UTF-8 XML that stands on its own; None for a deleted record.
    `hash` (16 bytes) is of that payload. `abouts` are the about containers' payloads, alike.
    """

    header: Header
    metadata: bytes | None = None
    hash: bytes = b""
    abouts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ResumptionToken:
    """The token of a page; `token` is empty at the end of a list in parts. Spec: 3.5."""

    token: str
    cursor: int | None = None
    complete_list_size: int | None = None


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A record of the page that cannot be used, and why; its page stays. `code` is of `harvester.problems`."""

    identifier: str
    cause: str
    code: str = "broken-record"


@dataclass(frozen=True, slots=True)
class Page:
    """A response that is proved to be OAI-PMH. `verb` is the answered verb, empty where there are only errors.

    `errors` are (code, message) pairs. `token` is None where the list has no resumptionToken element. `root` takes
    ten times the memory of the bytes: whoever keeps a page may leave it out.
    """

    verb: str
    response_date: str
    records: tuple[Record, ...] = ()
    failed: tuple[FailedRecord, ...] = ()
    token: ResumptionToken | None = None
    errors: tuple[tuple[str, str], ...] = ()
    root: _Element | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """How many records the page lists, usable or not."""
        return len(self.records) + len(self.failed)

    @property
    def next_token(self) -> str:
        """The token to follow; empty at the end of the list."""
        return self.token.token if self.token else ""


def make_parser(*, huge: bool = False, bare: bool = False) -> etree.XMLParser:
    """A parser for a stranger's XML: no entity is expanded and nothing is fetched.

    With `huge`, texts of more than 10 MB pass, whose size something else must bound. With `bare`, comments and
    processing instructions are left out.
    """
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=huge,
        remove_comments=bare,
        remove_pis=bare,
    )


def parse_page(body: bytes, *, url: str = "") -> Page:
    """The page that these bytes are.

    Element names are matched by local name: members leave namespaces out.

    Raises:
        MalformedResponseError: not well-formed, has a document type with declarations, or not an OAI-PMH
            response. Nothing is repaired here.
    """
    try:
        root = etree.fromstring(body, make_parser())  # it holds state, so each call has its own
    except etree.XMLSyntaxError as error:
        raise MalformedResponseError(_not_xml(body, error.msg), url=url) from error
    internal = root.getroottree().docinfo.internalDTD
    if internal is not None and (
        next(internal.iterentities(), None) is not None  # type: ignore[union-attr]  # the stubs lack it
        or next(root.iter(etree.Entity), None) is not None  # declared elsewhere, perhaps: its text is not here
    ):
        raise MalformedResponseError("the response uses XML entities of its own, which is not allowed", url=url)
    if _local(root.tag) != "OAI-PMH":
        raise MalformedResponseError(
            f"the response is well-formed XML but not OAI-PMH: its root is <{_local(root.tag)}>", url=url
        )
    return _read_root(root, url)


def _read_root(root: _Element, url: str) -> Page:
    response_date = ""
    errors: list[tuple[str, str]] = []
    answer: _Element | None = None
    for child in root:
        name = _local(child.tag)
        if name == "responseDate":
            response_date = _text(child)
        elif name == "error":
            errors.append((child.get("code") or "unknown", " ".join(_text(child).split())))
        elif name in VERBS:
            if answer is not None:
                raise MalformedResponseError("the response answers twice", url=url)
            answer = child
    if answer is None:
        if not errors:
            raise MalformedResponseError("the response holds neither an answer nor an OAI-PMH error", url=url)
        return Page("", response_date, errors=tuple(errors), root=root)
    verb = _local(answer.tag)
    records: list[Record] = []
    failed: list[FailedRecord] = []
    token: ResumptionToken | None = None
    item_name = LIST_VERBS.get(verb)
    for child in answer:
        name = _local(child.tag)
        if name == item_name:
            record = _read_record(child) if name == "record" else Record(_read_header(child))
            if failure := _find_failure(record, verb):
                failed.append(failure)
            else:
                records.append(record)
        elif name == "resumptionToken":
            token = _read_token(child)
    return Page(verb, response_date, tuple(records), tuple(failed), token, tuple(errors), root)


_MAX_IDENTIFIER = 2000  # bytes: what the databases' indexes take
_MAX_NUMBER = 2**31 - 1  # what their columns take; nobody has as many records


def _find_failure(record: Record, verb: str) -> FailedRecord | None:
    identifier = record.header.identifier
    if not identifier:
        return FailedRecord("", "the record has no identifier", "no-identifier")
    if len(identifier) > _MAX_IDENTIFIER // 4 and len(identifier.encode()) > _MAX_IDENTIFIER:
        return FailedRecord(identifier[:200], f"its identifier is longer than {_MAX_IDENTIFIER} bytes")
    if record.metadata is None and not record.header.deleted and verb != "ListIdentifiers":
        return FailedRecord(identifier, "the record is not deleted and has no metadata", "no-metadata")
    return None


def _read_record(element: _Element) -> Record:
    header = Header("", "")
    metadata: bytes | None = None
    abouts: list[bytes] = []
    for child in element:
        name = _local(child.tag)
        if name == "header":
            header = _read_header(child)
        elif name == "metadata":
            metadata = next(_serialised(child), None)
        elif name == "about":
            abouts.extend(_serialised(child))
    if header.deleted or metadata is None:
        return Record(header, abouts=tuple(abouts))
    return Record(header, metadata, blake2b(metadata, digest_size=16).digest(), tuple(abouts))


def _read_header(element: _Element) -> Header:
    identifier = datestamp = ""
    set_specs: list[str] = []
    for child in element:
        name = _local(child.tag)
        if name == "identifier":
            identifier = _text(child)
        elif name == "datestamp":
            datestamp = _text(child)
        elif name == "setSpec":
            set_specs.append(_text(child))
    deleted = (element.get("status") or "").strip().lower() == "deleted"
    return Header(identifier, datestamp, tuple(set_specs), deleted)


def _read_token(element: _Element) -> ResumptionToken:
    return ResumptionToken(
        token=_text(element),
        cursor=_number(element.get("cursor")),
        complete_list_size=_number(element.get("completeListSize")),
    )


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return min(int(text), _MAX_NUMBER) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _serialised(parent: _Element) -> Iterator[bytes]:
    """The elements in it, each as XML that stands on its own."""
    for child in parent:
        if isinstance(child.tag, str):
            yield etree.tostring(child, encoding="utf-8", xml_declaration=False, with_tail=False)


@lru_cache(maxsize=4096)
def _local(tag: object) -> str:
    """The local name of a tag; empty for comments and processing instructions, whose tag is no text."""
    return tag[tag.rfind("}") + 1 :] if isinstance(tag, str) else ""


def _text(element: _Element) -> str:
    text = element.text or ""
    if len(element):  # a comment, mostly: the text goes on behind it
        text += "".join(child.tail or "" for child in element)
    return text.strip()


def _not_xml(body: bytes, cause: str) -> str:
    start = body[:2000].lstrip().lower()
    if not start:
        return "the response is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "the response is an HTML page, not OAI-PMH"
    return f"the response is not well-formed XML: {cause}"
