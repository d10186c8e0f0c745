"""What is done to the text of a page that is not well-formed, one fault at a time. Pure: text in, text out.

A mend changes nothing that is well-formed, so that what it changed was broken. Every pattern stops at the next "<"
or "&", or never steps back: a hostile page costs linear time.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from html.entities import html5

from lxml import etree

from harvester.xml_chars import NOT_XML

PREFIX = r"(?:[\w.-]++:)?"
DECLARATION = re.compile(r"<\?xml\s[^<>?]*+\?>")
_ENCODING = re.compile(rb"<\?xml\s[^<>]{0,200}?encoding\s*+=\s*+[\"']([\w.:-]{1,40})")
_WIDE = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
ONE_BYTE = ("iso8859", "cp125")
_LEGACY = (*ONE_BYTE, "koi8", "gb", "big5", "euc_", "shift_jis")
_NOT_UTF8 = re.compile("[\udc80-\udcff]+")  # what surrogateescape makes of such bytes
_ILLEGAL = re.compile(f"{NOT_XML.pattern}+")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NUMERIC = re.compile(r"&#(?:([0-9]++)|x([0-9A-Fa-f]++));")
_NAMED = re.compile(r"&(#X[0-9A-Fa-f]{1,8}|(?!(?:lt|gt|amp|quot|apos);)[A-Za-z][A-Za-z0-9]*+);")
_BARE_AMPERSAND = re.compile(r"&(?!(?:#[0-9]++|#x[0-9A-Fa-f]++|lt|gt|amp|quot|apos);)")
# A tag of the protocol's own is never taken for text, however badly it is written, nor is one that the page's end cut.
_OWN = r"(?:OAI-PMH|List\w++|GetRecord|record|header|identifier|datestamp|setSpec|metadata|about|resumptionToken)\b"
_ATTRIBUTE = r"""\s++[\w.:-]++\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+')"""
_BARE_LESS = re.compile(rf"<(?![^<>]*+\Z|/?{PREFIX}{_OWN}|/?[^\W\d][\w.:-]*+(?:{_ATTRIBUTE})*+\s*+/?>)")
_UNCLOSED_HTML = ("br", "hr", "img", "wbr", "p", "li")
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "oai_dc": "http://www.openarchives.org/OAI/2.0/oai_dc/",
    "xlink": "http://www.w3.org/1999/xlink",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_PROTECTED = re.compile(r"<!\[CDATA\[|<!--|<\?(?!xml\s)")
_PROTECTED_END = {"<![CDATA[": "]]>", "<!--": "-->", "<?": "?>"}


def encode(text: str) -> bytes:
    """The text as UTF-8; bytes that `decode` could not read are again what they were."""
    return text.encode("utf-8", "surrogateescape")


def find_codec(body: bytes, *, within: int = 200) -> str:
    """Python's name of the encoding that the XML declaration states; UTF-8 where it states none."""
    declared = _ENCODING.search(body, 0, within)
    try:
        return codecs.lookup(declared[1].decode()).name if declared else "utf-8"
    except LookupError:
        return "unknown"


def decode(body: bytes) -> tuple[str, bool]:
    """The text, and whether it is in another encoding than it says.

    Where it is meant to be UTF-8, bytes that are none are escaped, for the mend of that name.
    """
    for start, codec in _WIDE:
        if body.startswith(start):
            return _decode_as(body, codec)
    codec = find_codec(body, within=max(200, body.find(b"OAI-PMH")))
    text = body.decode("utf-8", "surrogateescape")
    if codec.startswith(_LEGACY) and _NOT_UTF8.search(text):
        # Whoever says ISO-8859-1 and sends 0x80 to 0x9f means the quotes and dashes of Windows.
        latin = codec == "iso8859-1"
        text, broken = _decode_as(body, "cp1252" if latin else codec)
        return text, broken or (latin and re.search(rb"[\x80-\x9f]", body) is not None)
    return text, codec != "utf-8" and not (body.isascii() and codec.startswith((*_LEGACY, "ascii")))


def _decode_as(body: bytes, codec: str) -> tuple[str, bool]:
    try:
        return body.decode(codec), False
    except UnicodeDecodeError:
        return body.decode(codec, "replace"), True


def find_fault(text: str) -> etree.XMLSyntaxError | None:
    """The first thing for which a strict parser refuses this document; None where it is well-formed."""
    try:
        etree.fromstring(encode(text), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        return error
    return None


def iter_mended(text: str) -> Iterator[tuple[str, str]]:
    """Each mend that changes something, by name, and the text after it and those before; the least invasive first."""
    for name, mend in _MENDS:
        mended = mend(text)
        if mended != text:
            text = mended
            yield name, text


def iter_pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether each is a CDATA section, comment or instruction, in which nothing is markup."""
    at = 0
    endless = set()
    for opening in _PROTECTED.finditer(text):
        mark = _PROTECTED_END[opening[0]]
        if opening.start() < at or mark in endless:
            continue
        end = text.find(mark, opening.end())
        if end < 0:
            endless.add(mark)
            continue
        yield text[at : opening.start()], False
        at = end + len(mark)
        yield text[opening.start() : at], True
    yield text[at:], False


def _edit(change: Callable[[str], str], text: str) -> str:
    return "".join(piece if protected else change(piece) for piece, protected in iter_pieces(text))


def _read_bytes(run: re.Match[str]) -> str:
    raw = encode(run[0])
    try:  # Oracle and Java write a character beyond U+FFFF as two surrogates of three bytes each
        return _join(raw.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _join(surrogates: str) -> str:
    return surrogates.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mend_characters(text: str) -> str:
    text = _edit(partial(_NUMERIC.sub, _check_reference), text)
    return _ILLEGAL.sub("", _SURROGATES.sub(lambda pair: _join(pair[0]), text))


def _check_reference(reference: re.Match[str]) -> str:
    digits = (reference[1] or reference[2]).lstrip("0")
    code = int(digits or "0", 10 if reference[1] else 16) if len(digits) < 9 else 0
    if 0xD800 <= code < 0xE000:
        return chr(code)  # half of a character, perhaps; the other half may follow
    return "" if code > 0x10FFFF or _ILLEGAL.match(chr(code)) else reference[0]


def _read_entity(reference: re.Match[str]) -> str:
    known = reference[1].startswith("#") or f"{reference[1]};" in html5
    return html.escape(html.unescape(reference[0])) if known else reference[0]


def _mend_less_than(text: str) -> str:
    text = _edit(partial(_BARE_LESS.sub, "&lt;"), text)
    unclosed = [name for name in _UNCLOSED_HTML if not re.search(rf"(?i)</{name}\s*+>", text)]
    if unclosed:
        tag = re.compile(rf"(?i)<(?=(?:{'|'.join(unclosed)})(?:\s[^<>]*+)?(?<!/)>)")
        text = _edit(partial(tag.sub, "&lt;"), text)
    return text


def _declare_prefixes(text: str) -> str:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    with suppress(etree.XMLSyntaxError):
        etree.fromstring(encode(text), parser)
    undeclared = set(re.findall(r"Namespace prefix (\S+) ", str(parser.error_log)))
    added = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items() if prefix in undeclared)
    return text.replace("OAI-PMH", f"OAI-PMH{added}", 1)


_MENDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("encoding", partial(_NOT_UTF8.sub, _read_bytes)),
    ("control-characters", _mend_characters),
    ("prolog", partial(_edit, partial(DECLARATION.sub, ""))),
    ("entities", partial(_edit, partial(_NAMED.sub, _read_entity))),
    ("bare-ampersand", partial(_edit, partial(_BARE_AMPERSAND.sub, "&amp;"))),
    ("bare-less-than", _mend_less_than),
    ("namespace-prefix", _declare_prefixes),
)
