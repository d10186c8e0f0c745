"""Pages that are not clean XML: read strictly, else mended and read strictly, else what is whole in them. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from lxml import etree

from harvester.errors import MalformedResponseError, RefusedError
from harvester.oai.mends import (
    DECLARATION,
    ONE_BYTE,
    PREFIX,
    decode,
    encode,
    find_codec,
    find_fault,
    iter_mended,
    iter_pieces,
)
from harvester.oai.page import LIST_VERBS, FailedRecord, Page, _read_root, make_parser, parse_page
from harvester.oai.transport import MAX_PAGE_BYTES

_ROOT = re.compile(rf"<({PREFIX})OAI-PMH(?=[\s/>])[^<>]*+>")
_HTML = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s*+<(?:!doctype\s++)?html[\s>]")
_CHALLENGE = re.compile(
    rb"just a moment\.\.\.|attention required!|cf[-_]chl|enable javascript and cookies|incapsula|imperva"
    rb"|making sure you(?:'|\xe2\x80\x99|&#39;|&#x27;|&apos;|&rsquo;)re not a bot"
)
_LIST = re.compile(rf"<({PREFIX})({'|'.join(LIST_VERBS)})(?:\s[^<>]*+)?>")
_DATE = re.compile(rf"<({PREFIX}responseDate)>[\w:.+-]*+</\1>")
_ITEM = {
    "record": re.compile(rf"<{PREFIX}record(?:\s[^<>]*+)?>\s*+<{PREFIX}header[\s/>]"),  # MARC has records as well
    "header": re.compile(rf"<{PREFIX}header[\s/>]"),
}
_TOKEN = re.compile(rf"<({PREFIX}resumptionToken)(?:[\s/][^<>]*+)?(?:(?<=/)>|>[^<]*+</\1>)")
_HEADER_END = re.compile(rf"</{PREFIX}header")
_IDENTIFIER = re.compile(rf"<{PREFIX}identifier(?:\s[^<>]*+)?>([^<]*+)</")
_MAX_CONTEXT = 4096  # characters of the tags around the records, which each of them is read within


@dataclass(frozen=True, slots=True)
class Reading:
    """A page and what it took to read it.

    `repairs` names what was mended, in that order; empty for a clean page. The words: encoding, prolog, doctype,
    surroundings, control-characters, entities, bare-ampersand, bare-less-than, namespace-prefix, huge-text.
    `whole` is False for a page that stays broken: `records` are those that are certainly whole, `failed` the
    others as far as they can be seen, and the token is there only if it came whole.
    """

    page: Page
    repairs: tuple[str, ...]
    whole: bool


def read_page(body: bytes, *, url: str = "", recover: bool = False) -> Reading:
    """The page that these bytes are, or were meant to be.

    With `recover`, a list that no repair makes well-formed is read record by record.

    Raises:
        MalformedResponseError: not OAI-PMH, with entities of its own, or broken beyond repair.
        RefusedError: a challenge for browsers came instead.
    """
    try:
        page = parse_page(body, url=url)
    except MalformedResponseError as error:
        return _repair(body, error, url, recover=recover)
    return _relabel(body, url) or Reading(page, (), whole=True)


def _relabel(body: bytes, url: str) -> Reading | None:
    """The page in its true encoding, where it declares one in which any bytes pass as text."""
    if find_codec(body).startswith(ONE_BYTE):
        text, mislabelled = decode(body)
        if mislabelled:
            with suppress(MalformedResponseError):
                bare = DECLARATION.sub("", text.lstrip("\ufeff"), count=1)
                return Reading(parse_page(encode(bare), url=url), ("encoding",), whole=True)
    return None


def _repair(body: bytes, error: MalformedResponseError, url: str, *, recover: bool) -> Reading:
    text, mislabelled = decode(body)
    root = _ROOT.search(text)
    if root is None or _HTML.match(body):
        if _CHALLENGE.search(body[: 2**16].lower()):
            raise RefusedError("the server answers with a challenge for browsers; its operator must let us in", url=url)
        raise error
    head, text = text[: root.start()], text[root.start() :]
    if "<!ENTITY" in head:
        raise error
    inner, end, tail = text.rpartition(f"</{root[1]}OAI-PMH>")
    text, tail = (inner + end, tail) if end else (text, "")
    names = dict.fromkeys(_find_outer_faults(head, tail, mislabelled=mislabelled))
    for name, mended in chain([("", text)], iter_mended(text)):
        text = mended
        names |= {name: None} if name else {}
        with suppress(MalformedResponseError):
            return Reading(parse_page(encode(text), url=url), tuple(names) or ("prolog",), whole=True)
    if find_fault(text) is None:
        raise error  # well-formed, and yet no answer
    huge = _find_huge(text, url) if "<!DOCTYPE" not in head else None
    if huge:
        return Reading(huge, (*names, "huge-text"), whole=True)
    recovered = _find_whole(text, url) if recover else None
    if recovered is None:
        raise error
    return Reading(recovered, tuple(names), whole=False)


def _find_outer_faults(head: str, tail: str, *, mislabelled: bool) -> Iterator[str]:
    """What is wrong around the root; lxml is the judge, by an empty root."""
    if mislabelled:
        yield "encoding"
    head = head.removeprefix("\ufeff")
    declaration = DECLARATION.match(head)
    if find_fault(head[declaration.end() if declaration else 0 :] + "<a/>"):
        rest = DECLARATION.sub("", head).replace("\ufeff", "")
        if not find_fault(rest + "<a/>"):
            yield "prolog"
        else:
            yield "doctype" if "<!DOCTYPE" in rest else "surroundings"
    if find_fault("<a/>" + tail):
        yield "surroundings"


def _find_huge(text: str, url: str) -> Page | None:
    """The page with a text longer than lxml takes from strangers; the transport's limit bounds it, and no entity."""
    body = encode(text)
    if not 10_000_000 < len(body) <= MAX_PAGE_BYTES:
        return None
    try:
        return _read_root(etree.fromstring(body, make_parser(huge=True)), url)
    except etree.XMLSyntaxError:
        return None


def _find_whole(text: str, url: str) -> Page | None:
    """What is certainly whole in a broken list: each record is read strictly, alone within the root's tags."""
    markup = "".join(" " * len(piece) if protected else piece for piece, protected in iter_pieces(text))
    root, verb, date = _ROOT.match(text), _LIST.search(markup), _DATE.search(markup)
    if root is None or verb is None or len(root[0] + verb[0]) > _MAX_CONTEXT:
        return None
    before = f"{root[0]}{date[0] if date else ''}{verb[0]}"
    after = f"</{verb[1]}{verb[2]}></{root[1]}OAI-PMH>"

    def read(inner: str) -> Page:
        return parse_page(encode(before + inner + after), url=url)

    item = LIST_VERBS[verb[2]]
    closing = f"</{verb[1]}{item}>"
    whole: list[str] = []
    failed: list[FailedRecord] = []
    end = verb.end()
    for start, following in pairwise([*(each.start() for each in _ITEM[item].finditer(markup, end)), len(text)]):
        end = max(start, markup.rfind(closing, start, following) + len(closing))
        fault = find_fault(before + text[start:end] + after) if end > start else "the page breaks off within it"
        if fault:
            cause = f"the record is broken: {fault}".partition(", line")[0]
            failed.append(FailedRecord(_find_identifier(text[start:following]), cause))
        else:
            whole.append(text[start:end])
    if not whole and not failed:
        return None
    page = read("".join(whole))
    token = None
    for found in _TOKEN.finditer(markup, end):
        with suppress(MalformedResponseError):
            token = read(found[0]).token
    return replace(page, failed=(*page.failed, *failed), token=token)


def _find_identifier(record: str) -> str:
    end = _HEADER_END.search(record)
    found = _IDENTIFIER.search(record, 0, end.start() if end else len(record))
    return html.unescape(found[1]).strip() if found else ""
