"""How the sample members' server answers for pages and files: headers, conditions and parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus

from harvester.datestamps import parse_datestamp
from harvester.samples.papers import write_paper
from harvester.samples.repository import SampleFile

HTML = "text/html; charset=UTF-8"
TEXT = "text/plain; charset=UTF-8"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Answer:
    """Of HTTP; the length of the body is told by whoever sends it."""

    body: bytes
    content_type: str = HTML
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


NOTHING = Answer(b"There is nothing here.\n", TEXT, HTTPStatus.NOT_FOUND)


def answer_file(file: SampleFile, asked: Message) -> Answer:
    """The file, the part of it that is asked for, or that it is what the client has already. Spec: RFC 9110, 13 and 14.

    Args:
        asked: the request's headers.
    """
    body = write_paper(file)
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    changed = parse_datestamp(file.updated)
    headers = [("ETag", tag), ("Accept-Ranges", "bytes")]
    if changed:
        headers.append(("Last-Modified", format_datetime(changed, usegmt=True)))
    # what stands for a PDF and is a web page says that it is a PDF; a login page is honest
    content_type = HTML if file.shape == "login" else "application/pdf"
    known = asked.get("If-None-Match")
    since = _date(asked.get("If-Modified-Since", ""))
    if known == tag or (known is None and since and changed and changed.timestamp() <= since):
        return Answer(b"", content_type, HTTPStatus.NOT_MODIFIED, tuple(headers))
    part = _RANGE.fullmatch(asked.get("Range", ""))
    if part and asked.get("If-Range", tag) == tag:
        first, last = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
        if first > last:
            headers.append(("Content-Range", f"bytes */{len(body)}"))
            return Answer(b"", content_type, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, tuple(headers))
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return Answer(body[first : last + 1], content_type, HTTPStatus.PARTIAL_CONTENT, tuple(headers))
    return Answer(body, content_type, HTTPStatus.OK, tuple(headers))


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
