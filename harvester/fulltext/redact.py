"""What archived pages say of a record that was taken down: cut out, kept apart, and put back once that is lifted.

A page stays the page that came, but for these pieces: its record is a deleted one, as `check --repair` would read it
again, with a mark where something was. The pieces lie under `withheld/`, which nothing shows. It may be killed at any
moment and begun again.
"""

from __future__ import annotations

import html
import json
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog
import zstandard

from harvester.archive import Archive, get_page, pack_page, page_key
from harvester.catalogue import Catalogue
from harvester.catalogue.inventory import get_records, list_runs, resize_page
from harvester.catalogue.takedowns import Takedown, list_unsettled, mark_redacted
from harvester.errors import ArchiveError, MemberError, ObjectNotFoundError
from harvester.oai.mends import PREFIX
from harvester.oai.repair import read_page

_RECORD = re.compile(rf"<{PREFIX}record(?:\s[^<>]*+)?>\s*+(?=<{PREFIX}header[\s/>])")  # MARC has records as well
_ANY = re.compile(rf"<{PREFIX}record(?:\s[^<>]*+)?+(?<!/)>")
_END = re.compile(rf"</{PREFIX}record\s*+>")
_HEADER = re.compile(rf"(<{PREFIX}header)((?:\s[^<>]*+)?>.*?</{PREFIX}header\s*+>)", re.DOTALL)
_IDENTIFIER = re.compile(rf"<{PREFIX}identifier(?:\s[^<>]*+)?>(.*?)</{PREFIX}identifier", re.DOTALL)
_WRAPPING = re.compile(r"<!--.*?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
_PLAIN = re.compile(r"[\w:./@+-]+", re.ASCII)  # as no page writes otherwise
_MARK = re.compile(r"<!--lumbung-withheld \d+\.\d+-->")
_NOTED = 500  # pages, after which it is noted how far it came


@dataclass(frozen=True, slots=True)
class Redacted:
    """How many pages were changed, which ones still say something that could not be cut out, and whether all were
    looked at."""

    pages: int = 0
    left: tuple[str, ...] = ()
    complete: bool = True


def cut_record(body: bytes, identifier: str, mark: str) -> tuple[bytes, tuple[bytes, ...]]:
    """The page without what it says of the record, but for its header, and the pieces that were cut out, in order.

    `mark` goes where something was; a page that has it already, or nothing of the record, is as it was.
    """
    text, codec = _open(body)
    starts = list(_RECORD.finditer(text))
    parts: list[str] = []
    pieces: list[bytes] = []
    at = 0
    for place, start in enumerate(starts):
        behind = starts[place + 1].start() if place + 1 < len(starts) else len(text)
        ends = list(_END.finditer(text, start.end(), behind))
        if len(ends) <= len(_ANY.findall(text, start.end(), behind)):  # its own end did not come
            ends = []
        end, closing = (ends[-1].end(), ends[-1][0]) if ends else (behind, "")
        header = _HEADER.match(text, start.end(), end)
        if not header or _told(header[2], codec) != identifier:
            continue
        rest = text[header.end() : end - len(closing)]
        if not _MARK.sub("", rest).strip():
            continue
        deleted = header[0] if re.search(r"\sstatus\s*=", header[2].partition(">")[0]) else _deleted(header)
        parts += [text[at : header.start()], deleted, f"<!--{mark}.{len(pieces)}-->", closing]
        pieces.append(text[header.start() : end].encode(codec, "surrogatepass"))
        at = end
    if not pieces:
        return body, ()
    return _close("".join([*parts, text[at:]]), codec, body), tuple(pieces)


def put_back(body: bytes, mark: str, pieces: Sequence[bytes]) -> bytes:
    """The page with these pieces where they were cut out."""
    text, codec = _open(body)
    for number, piece in enumerate(pieces):
        there = text.find(f"<!--{mark}.{number}-->")
        starts = [found for found in _RECORD.finditer(text) if found.end() <= there]
        if there < 0 or not starts:
            continue
        behind = there + len(f"<!--{mark}.{number}-->")
        closing = _END.match(text, behind)
        end = closing.end() if closing else behind
        text = text[: starts[-1].end()] + piece.decode(codec, "surrogatepass") + text[end:]
    return _close(text, codec, body)


def settle_takedowns(catalogue: Catalogue, archive: Archive, stop: threading.Event | None = None) -> Redacted:
    """The archived pages say nothing of records that are down, and all of those whose takedown was lifted.

    Pages that came since it was called last are looked at, all of them for a new takedown.

    Raises:
        ArchiveError: the archive cannot be reached; what was done stands.
    """
    with catalogue.read() as connection:
        unsettled = list_unsettled(connection)
    changed, left, complete = 0, list[str](), True
    for member, some in groupby(unsettled, key=lambda each: each.member_id):
        takedowns = tuple(some)
        for lifted in (each.takedown for each in takedowns if each.takedown.lifted_at is not None):
            changed += _restore(catalogue, archive, lifted)
        in_force = tuple(each.takedown for each in takedowns if each.takedown.lifted_at is None)
        if in_force:
            told = _redact(catalogue, archive, member, in_force, stop or threading.Event())
            changed += told.pages
            left += told.left
            complete = complete and told.complete
    return Redacted(changed, tuple(left), complete)


def _redact(
    catalogue: Catalogue, archive: Archive, member: int, takedowns: Sequence[Takedown], stop: threading.Event
) -> Redacted:
    with catalogue.read() as connection:
        numbers = [each.record_id for each in takedowns if each.record_id is not None]
        identifiers = {record.number: record.identifier for record in get_records(connection, numbers=numbers)}
    last, seen, changed, left = min(each.redacted_upto for each in takedowns), 0, 0, list[str]()
    complete = True
    for key in _iter_pages(catalogue, archive, member, last):
        if stop.is_set():
            complete = False
            break
        wanted = [(each, identifiers[each.record_id or 0]) for each in takedowns if each.redacted_upto < key]
        told = _redact_page(catalogue, archive, key, wanted)
        changed += told.pages
        left += told.left
        last, seen = key, seen + 1
        if not seen % _NOTED:
            _note(catalogue, takedowns, last)
    _note(catalogue, takedowns, last)
    return Redacted(changed, tuple(left), complete)


def _note(catalogue: Catalogue, takedowns: Sequence[Takedown], last: str) -> None:
    with catalogue.write(beside=True) as connection:
        for each in takedowns:
            mark_redacted(connection, each, max(each.redacted_upto, last))


def _iter_pages(catalogue: Catalogue, archive: Archive, member: int, after: str) -> Iterator[str]:
    """The keys of the member's archived answers behind this one, those that no page names, too."""
    with catalogue.read() as connection:
        slug, runs = list_runs(connection, member)
    for run in runs:
        folder = page_key(slug, run, 0).rpartition("/")[0] + "/"
        if folder >= after.rpartition("/")[0]:
            yield from (key for key in archive.iter_keys(folder) if key > after)


def _redact_page(catalogue: Catalogue, archive: Archive, key: str, wanted: Sequence[tuple[Takedown, str]]) -> Redacted:
    try:
        body = before = get_page(archive, key)
    except ObjectNotFoundError:
        return Redacted()
    except ArchiveError as error:
        archive.check()
        structlog.get_logger("takedown").error("a page cannot be read, and is as it was", key=key, error=str(error))
        return Redacted(left=(key,))
    wanted = [each for each in wanted if _may_name(body, each[1])]
    for takedown, identifier in wanted:
        body, pieces = cut_record(body, identifier, _mark(takedown))
        if pieces:
            _keep(archive, _withheld_key(takedown, key), pieces)
    if body != before:
        archive.replace(key, pack_page(body))
    if body != before or any(f"<!--{_mark(each)}.".encode() in body for each, _ in wanted):
        with catalogue.write(beside=True) as connection:
            resize_page(connection, key, len(body))
    left = any(_still_says(body, identifier) for _, identifier in wanted)
    if left:
        structlog.get_logger("takedown").error("a page could not be redacted", key=key)
    return Redacted(int(body != before), (key,) if left else ())


def _may_name(body: bytes, identifier: str) -> bool:
    """Whether the page may be about the record: false only where it certainly is not, told in no time."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or any(sign in body for sign in (b"&#", b"<![CDATA[", b"<!--")):
        return True
    return not _PLAIN.fullmatch(identifier) or identifier.encode() in body


def _still_says(body: bytes, identifier: str) -> bool:
    """Whether the page, read as leniently as ever, still describes the record."""
    if b"<metadata" not in body and b":metadata" not in body:
        return False
    try:
        page = read_page(body, recover=True).page
    except MemberError:
        return False
    return any(each.header.identifier == identifier and each.metadata is not None for each in page.records)


def _restore(catalogue: Catalogue, archive: Archive, takedown: Takedown) -> int:
    folder, done = _withheld_key(takedown, ""), 0
    for kept in list(archive.iter_keys(folder)):
        key = kept.removeprefix(folder)
        pieces = [b64decode(each) for each in json.loads(zstandard.ZstdDecompressor().decompress(archive.get(kept)))]
        body = put_back(get_page(archive, key), _mark(takedown), pieces)
        archive.replace(key, pack_page(body))
        with catalogue.write(beside=True) as connection:
            resize_page(connection, key, len(body))
        archive.remove(kept)
        done += 1
    with catalogue.write(beside=True) as connection:
        mark_redacted(connection, takedown, "")
    return done


def _keep(archive: Archive, key: str, pieces: Sequence[bytes]) -> None:
    told = json.dumps([b64encode(each).decode() for each in pieces]).encode()
    archive.replace(key, pack_page(told))


def _withheld_key(takedown: Takedown, key: str) -> str:
    return f"withheld/{takedown.id:08d}/{key}"


def _mark(takedown: Takedown) -> str:
    return f"lumbung-withheld {takedown.id}"


def _told(header: str, codec: str) -> str:
    """The identifier that a header tells, as the catalogue has it."""
    found = _IDENTIFIER.search(header)
    text = _WRAPPING.sub("", found[1]) if found else ""
    if codec == "latin-1":
        text = text.encode("latin-1").decode("utf-8", "replace")
    return html.unescape(text).strip()


def _deleted(header: re.Match[str]) -> str:
    return f'{header[1]} status="deleted"{header[2]}'


def _open(body: bytes) -> tuple[str, str]:
    """The page as characters whose tags can be seen, and by what they become the same bytes again."""
    for mark, codec in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if body.startswith(mark):
            return body[2:].decode(codec, "surrogatepass"), codec
    return body.decode("latin-1"), "latin-1"


def _close(text: str, codec: str, like: bytes) -> bytes:
    return (like[:2] if codec != "latin-1" else b"") + text.encode(codec, "surrogatepass")
