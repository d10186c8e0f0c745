"""What the feed keeps of a live record: its Dublin Core and the containers about it, packed. Pure.

It is the text that a list of `oai_dc` shows from the first element on, so that nothing has to be put together there.
"""

from __future__ import annotations

from collections.abc import Callable

import zstandard

_NAMESPACE = "http://www.openarchives.org/OAI/2.0/provenance"
_BETWEEN = b"</oai_dc:dc></metadata>"
_HEAD = (
    f'<about><provenance xmlns="{_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{_NAMESPACE} {_NAMESPACE}.xsd">'
).encode()
_TAIL = b"</provenance></about>"
_FORMER = b"\0"  # stood between the parts, which had nothing around them
# What all payloads have in common. It is part of the form: a payload is read with the one that it was packed with.
_COMMON = zstandard.ZstdCompressionDict(
    b'http://creativecommons.org/licenses/by/4.0/</dc:rights><dc:rights xml:lang="id">info:eu-repo/semantics/openAccess'
    b'</dc:rights></dc:subject><dc:subject xml:lang="en"></dc:description><dc:publisher></dc:publisher><dc:date>20'
    b"</dc:date><dc:type>article</dc:type><dc:type>thesis</dc:type><dc:type>Text</dc:type><dc:format>application/pdf"
    b'</dc:format><dc:identifier>https://</dc:identifier><dc:language>id</dc:language><dc:title xml:lang="id">'
    b'</dc:title><dc:creator></dc:creator><dc:description xml:lang="id">'
    + _BETWEEN
    + _HEAD
    + b'<originDescription harvestDate="2026-01-01T00:00:00Z" altered="true"><baseURL>https://</baseURL><identifier>oai:'
    b"</identifier><datestamp>2026-01-01T00:00:00Z</datestamp><metadataNamespace>http://www.openarchives.org/OAI/2.0/"
    b"oai_dc/</metadataNamespace></originDescription>" + _TAIL,
    dict_type=zstandard.DICT_TYPE_RAWCONTENT,
)


def make_packer() -> Callable[[str, str, str], bytes]:
    """Packs Dublin Core elements, origins and further about containers; for one thread."""
    # At this level it is read in half the time of the usual one.
    compress = zstandard.ZstdCompressor(level=-1, dict_data=_COMMON).compress
    return lambda core, origins, more: compress(
        b"".join((core.encode(), _BETWEEN, _HEAD, origins.encode(), _TAIL, more.encode()))
    )


def make_unpacker() -> Callable[[bytes], bytes]:
    """Unpacks a payload to what stands in a record of `oai_dc` behind the first tag of its metadata; for one thread."""
    decompress = zstandard.ZstdDecompressor(dict_data=_COMMON).decompress

    def unpack(payload: bytes) -> bytes:
        text = decompress(payload)
        return _renewed(text) if _FORMER in text else text

    return unpack


def split(text: bytes) -> tuple[bytes, bytes]:
    """Of what was unpacked, the Dublin Core elements, and all about containers."""
    core, _, abouts = text.partition(_BETWEEN)
    return core, abouts


def _renewed(text: bytes) -> bytes:
    core, origins, more = text.split(_FORMER)
    return b"".join((core, _BETWEEN, _HEAD, origins, _TAIL, more))
