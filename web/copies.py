"""The network's copies of members' files: which may be shown, and their bytes, in parts and with nothing that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from sqlalchemy import Connection
from werkzeug.datastructures import ContentRange
from werkzeug.http import http_date

from harvester.archive import file_key
from harvester.catalogue.files import Copy, list_copies, list_files
from harvester.catalogue.members import find_member
from harvester.catalogue.records import CataloguedRecord, find_record
from harvester.catalogue.takedowns import find_barred, find_records_down, is_file_down
from harvester.datestamps import from_epoch
from harvester.errors import ObjectNotFoundError
from harvester.fulltext.rights import find_bar
from indexer.crosswalks import describe
from indexer.document import Description
from web.failures import answer_failure
from web.links import safe_url
from web.locales import format_day
from web.tiers import Tiers, get_tiers

blueprint = Blueprint("copies", __name__)

_NAMED = 16  # digits of a checksum, which no two files of a record share
_HTML, _TEXT, _PDF = "text/html", "text/plain", "application/pdf"
# What is shown by itself; all else is saved by the reader's program. A web page is never one of ours.
_SHOWN = {_PDF: _PDF, _TEXT: "text/plain; charset=utf-8"}
_ENDINGS = {
    _PDF: "pdf",
    _TEXT: "txt",
    _HTML: "html",
    "application/epub+zip": "epub",
    "application/x-ole-storage": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
_OF_ADDRESSES = "!#$%&'()*+,/:;=?@[]~"
# Seen: Chromium shows PDFs that are sandboxed so, and lets them be saved.
_SANDBOX = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox allow-downloads"

# What a reader should know of a file before opening it, by the state of its text.
STATES: dict[str, Any] = {
    "scanned": _l("pictures of pages"),
    "encrypted": _l("opens with a password only"),
    "damaged": _l("damaged"),
}
_REFUSED: dict[str, Any] = {
    "embargoed": _l("It is under embargo. The member's own page says when it can be read."),
    "restricted": _l("The member restricts who may read it. Its own page says how it can be had."),
    "no-fulltext": _l("The member does not want copies of its files to be shown here. Its own page leads to them."),
}


# Answers with a copy that a process gives at once: slow readers of long files leave threads to all others.
_AT_ONCE = 20
_NAME = "lumbung.copies"


def use_copies(app: Flask) -> None:
    """The app gives so many copies at once."""
    app.extensions[_NAME] = threading.BoundedSemaphore(_AT_ONCE)


@dataclass(frozen=True, slots=True)
class ShownCopy:
    """A copy that may be shown now. `source` is where it came from, if that is a web address."""

    path: str
    name: str
    source: str | None
    copy: Copy

    @property
    def host(self) -> str:
        """The name of the server that it came from."""
        return urlsplit(self.copy.url).hostname or ""

    @property
    def warning(self) -> str:
        """What a reader should know before opening it; empty where it is as one would expect."""
        return str(STATES.get(self.copy.text, ""))


def copy_path(record_id: str, sha256: str) -> str:
    """Where a record's copy with this checksum is served."""
    return f"/record/{record_id}/files/{sha256[:_NAMED]}"


def list_shown(
    connection: Connection, described: list[tuple[CataloguedRecord, Description]], now: int
) -> dict[int, tuple[ShownCopy, ...]]:
    """The copies of these records that may be shown now, in reading order, by the record's number."""
    allowed = {
        record.number: record.id
        for record, description in described
        if not record.deleted and find_bar(description.rights.access, description.rights.embargo_until, now) is None
    }
    found = list_copies(connection, list(allowed))
    return {number: tuple(_shown(allowed[number], copy) for copy in some) for number, some in found.items()}


def _shown(record_id: str, copy: Copy) -> ShownCopy:
    name = unquote(urlsplit(copy.url).path).rpartition("/")[2].strip()
    ending = _ENDINGS.get(copy.media_type, "")
    if not (ending and name.lower().endswith(f".{ending}")):
        name = gettext("File %(number)s", number=copy.position + 1)
    return ShownCopy(copy_path(record_id, copy.sha256), name, safe_url(copy.url), copy)


@blueprint.get("/record/<record_id>/files/<checksum>")
def file(record_id: str, checksum: str) -> ResponseReturnValue:
    """The copy, or the part of it that is asked for; where it may not be shown, a page that says why."""
    tiers = get_tiers()
    now = tiers.catalogue.now()
    if len(checksum) != _NAMED:
        abort(404)
    with tiers.catalogue.read() as connection:
        record = find_record(connection, record_id)
        if record is None:
            abort(404)
        files = list_files(connection, [record.number]).get(record.number, ())
        known = [each for each in files if (each.sha256 or "").startswith(checksum)]
        down = record.number in find_records_down(connection, [record.number])
        barred = {url for _, url in find_barred(connection, [record.number])}
        down = down or any(is_file_down(connection, each.sha256) for each in known if each.sha256)
        down = down or any(barred & {each.url, each.led_to} for each in known)
        member = find_member(connection, record.member)
        description = describe(record, this_year=from_epoch(now).year)
        shown = list_shown(connection, [(record, description)], now).get(record.number, ())
    for each in shown:
        if each.copy.sha256.startswith(checksum):
            return _answer_copy(tiers, record_id, each.copy)
    if down:
        heading, sentence = gettext("This copy was taken down"), gettext("It is not shown any more, by request.")
        return answer_failure(451, heading, sentence)
    if not known or record.deleted or member is None:
        abort(404)
    bar = find_bar(description.rights.access, description.rights.embargo_until, now)
    reason = bar.reason if bar and bar.reason else "" if member.fulltext else "no-fulltext"
    if not reason:
        abort(404)
    sentence = str(_REFUSED[reason])
    if bar and bar.until:
        sentence = gettext("It is under embargo until %(day)s.", day=format_day(bar.until))
    return answer_failure(403, gettext("This copy may not be shown"), sentence)


def _answer_copy(tiers: Tiers, record_id: str, copy: Copy) -> ResponseReturnValue:
    """The bytes. Nothing is kept by others without asking again: a takedown counts at once."""
    is_shown = copy.media_type in _SHOWN
    answer = Response(content_type=_SHOWN.get(copy.media_type, "application/octet-stream"))
    name = f"{record_id}-{copy.position + 1}.{_ENDINGS.get(copy.media_type, 'bin')}"
    answer.headers["Content-Disposition"] = f'{"inline" if is_shown else "attachment"}; filename="{name}"'
    answer.headers["Content-Security-Policy"] = _SANDBOX
    answer.headers["Accept-Ranges"] = "bytes"
    answer.headers["X-Robots-Tag"] = "noindex"  # what is found by others is the member's own
    if source := safe_url(copy.url):
        answer.headers["Link"] = f'<{quote(source, safe=_OF_ADDRESSES)}>; rel="canonical"'
    answer.set_etag(copy.sha256)
    answer.last_modified = from_epoch(copy.fetched_at)
    if answer.make_conditional(request.environ).status_code == 304:
        return answer
    span = _wanted_span(copy)
    first, behind = span or (0, copy.size)
    if first == behind:
        answer.status_code = 416
        answer.content_range = ContentRange("bytes", None, None, copy.size)
        return answer
    if span:
        answer.status_code = 206
        answer.content_range = ContentRange("bytes", first, behind, copy.size)
    try:
        pieces = _begun(tiers.archive.iter_bytes(file_key(copy.sha256), first, behind - 1))
    except ObjectNotFoundError:
        heading = gettext("This copy is not there just now")
        return answer_failure(404, heading, gettext("It was damaged or lost, and will be fetched again."))
    answer.content_length = behind - first
    if request.method == "HEAD":
        return answer
    places = cast(threading.BoundedSemaphore, current_app.extensions[_NAME])
    if not places.acquire(blocking=False):
        heading = gettext("Many copies are being read just now")
        return answer_failure(503, heading, gettext("Please try again in half a minute, or read it at the member."))
    answer.call_on_close(places.release)
    answer.response = pieces
    return answer


def _wanted_span(copy: Copy) -> tuple[int, int] | None:
    """The part that is asked for, its end left out, empty where there is no such part; None for all of it.

    Spec: RFC 9110, 14.2: several parts in one answer are nobody's right.
    """
    wanted, known = request.range, request.if_range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    if known is not None and (known.etag or known.date):
        same = known.etag == copy.sha256 or (
            known.date is not None and http_date(known.date) == http_date(from_epoch(copy.fetched_at))
        )
        if not same:
            return None
    if -wanted.ranges[0][0] >= copy.size > 0:  # its last bytes, and no less than all
        return 0, copy.size
    return wanted.range_for_length(copy.size) or (0, 0)


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first of which is here. Raises as it does."""
    first = next(pieces, b"")
    return chain([first], pieces)
