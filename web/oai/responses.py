"""Responses as XML. Pure: rows and texts in, bytes out. Written as text, since a list has no time for a tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import zstandard

from harvester.catalogue.feed import FeedRow, MetadataFormat, Shown
from harvester.catalogue.public_ids import encode_public_id
from harvester.datestamps import format_datestamp, from_epoch
from harvester.errors import OaiError
from indexer.feed import marc, qualified
from indexer.feed.dublin_core import parse, xml_text
from indexer.feed.payload import make_unpacker, split
from indexer.feed.provenance import namespace_in
from indexer.normalise.types import TYPES

OAI = "http://www.openarchives.org/OAI/2.0/"
_OAI_DC = f"{OAI}oai_dc/"
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
SOURCE = "source_"  # before a member's own prefix
OWN_FORMATS = {
    "oai_dc": MetadataFormat("oai_dc", _OAI_DC, f"{OAI}oai_dc.xsd"),
    "marcxml": MetadataFormat("marcxml", marc.NAMESPACE, marc.SCHEMA),
    "qdc": MetadataFormat("qdc", qualified.NAMESPACE, qualified.SCHEMA),
}
TYPE_NAMES = {kind: kind.capitalize() for kind in TYPES}

_HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="{OAI}" {_XSI} '
    f'xsi:schemaLocation="{OAI} {OAI}OAI-PMH.xsd">'
)
_DC_HEAD = (
    f'<metadata><oai_dc:dc xmlns:oai_dc="{_OAI_DC}" xmlns:dc="http://purl.org/dc/elements/1.1/" {_XSI} '
    f'xsi:schemaLocation="{_OAI_DC} {OAI}oai_dc.xsd">'
).encode()
_START_TAG = re.compile(rb"<[^\s/>]+(?:\s[^>]*)?>")
_NAMESPACE = re.compile(rb"<metadataNamespace>[^<]*")

Chunks = tuple[bytes, ...]  # of a response, joined once at its end: a part has a megabyte
Metadata = Callable[[Shown | FeedRow], Chunks]


class Names:
    """What headers are made with: our domain, and by their numbers the members' slugs and regions."""

    def __init__(self, domain: str, places: Mapping[int, tuple[str, str | None]]) -> None:
        self.domain = domain
        self._places = places
        self._starts = {number: f"oai:{domain}:{slug}/" for number, (slug, _) in places.items()}
        self._sets: dict[tuple[int, str, bool], str] = {}

    def identifier(self, row: Shown | FeedRow) -> str:
        """The record's identifier here, for ever."""
        return self._starts[row.member_id] + encode_public_id(row.public_id)

    def sets(self, row: Shown | FeedRow) -> str:
        """The elements of all sets that the record is in."""
        key = (row.member_id, row.type, row.open)
        found = self._sets.get(key)
        if found is None:
            slug, region = self._places[row.member_id]
            specs = (
                f"member:{slug}",
                f"type:{row.type}",
                "access:open" if row.open else "",
                region and f"region:{region}",
            )
            found = self._sets[key] = "".join(f"<setSpec>{spec}</setSpec>" for spec in specs if spec)
        return found


@lru_cache(maxsize=4096)
def stamp(seconds: int) -> str:
    """The second as a datestamp."""
    return format_datestamp(from_epoch(seconds))


def render_response(base_url: str, moment: int, arguments: Mapping[str, str], inside: Iterable[bytes]) -> bytes:
    """A whole response; `inside` is the verb's element, or errors."""
    attributes = "".join(f" {name}={quoteattr(text)}" for name, text in arguments.items())
    head = f"{_HEAD}<responseDate>{stamp(moment)}</responseDate><request{attributes}>{escape(base_url)}</request>"
    return b"".join((head.encode(), *inside, b"</OAI-PMH>\n"))


def render_errors(errors: Iterable[OaiError]) -> str:
    """An element each."""
    return "".join(f'<error code="{error.code}">{escape(xml_text(str(error)))}</error>' for error in errors)


def render_header(row: Shown | FeedRow, names: Names, before: str = "") -> str:
    """A header with all sets of the record, behind what stands `before` it; a deleted one has them, too."""
    return (
        f"{before}<header{_DELETED if row.deleted else ''}><identifier>{names.identifier(row)}</identifier>"
        f"<datestamp>{stamp(row.datestamp or 0)}</datestamp>{names.sets(row)}</header>"
    )


_DELETED = ' status="deleted"'


def render_records(rows: Iterable[Shown | FeedRow], names: Names, metadata: Metadata) -> list[bytes]:
    """Record elements; a deleted record has a header only."""
    found: list[bytes] = []
    for row in rows:
        found.append(render_header(row, names, "<record>").encode())
        if not row.deleted:
            found += metadata(row)
        found.append(b"</record>")
    return found


def make_metadata(known: MetadataFormat, names: Names, sources: Mapping[int, bytes]) -> Metadata:
    """Renders the metadata and about elements of live records in this format; `sources` has the members' own payloads,
    packed, by record."""
    unpack = make_unpacker()
    if known.prefix == "oai_dc":
        return partial(_dublin_core, unpack)
    if known.prefix == "marcxml":
        return partial(_marc, unpack, names)
    if known.prefix == "qdc":
        return partial(_qualified, unpack)
    return partial(_source, unpack, sources)


def _dublin_core(unpack: Callable[[bytes], bytes], row: Shown | FeedRow) -> Chunks:
    return (_DC_HEAD, unpack(row.payload or b""))


def _marc(unpack: Callable[[bytes], bytes], names: Names, row: Shown | FeedRow) -> Chunks:
    core, abouts = split(unpack(row.payload or b""))
    record = marc.render_marc(parse(core.decode()), encode_public_id(row.public_id), names.domain).encode()
    return (b"<metadata>", record, b"</metadata>", abouts)


def _qualified(unpack: Callable[[bytes], bytes], row: Shown | FeedRow) -> Chunks:
    core, abouts = split(unpack(row.payload or b""))
    record = qualified.render_qualified(parse(core.decode())).encode()
    return (b"<metadata>", record, b"</metadata>", abouts)


def _source(unpack: Callable[[bytes], bytes], sources: Mapping[int, bytes], row: Shown | FeedRow) -> Chunks:
    """What the member sent, unaltered. Under one prefix members have namespaces of their own."""
    _, abouts = split(unpack(row.payload or b""))
    xml = zstandard.decompress(sources[row.record_id])
    abouts = abouts.replace(b'altered="true"', b'altered="false"', 1)
    start = _START_TAG.search(xml)
    namespace = namespace_in(start[0]).encode() if start else b""
    abouts = _NAMESPACE.sub(lambda _: b"<metadataNamespace>" + namespace, abouts, count=1)
    if start and b" xmlns=" not in start[0]:  # or what has no namespace would get that of the response
        at = start.end() - (2 if start[0].endswith(b"/>") else 1)
        xml = xml[:at] + b' xmlns=""' + xml[at:]
    return (b"<metadata>", xml, b"</metadata>", abouts)


def render_token(token: str, cursor: int, size: int) -> str:
    """The element at the end of a part; with an empty token it ends the list. A negative size is not known."""
    known = f'completeListSize="{size}" ' if size >= 0 else ""
    return f'<resumptionToken {known}cursor="{cursor}">{token}</resumptionToken>'


def render_format(known: MetadataFormat) -> str:
    """A format as ListMetadataFormats tells it."""
    return (
        f"<metadataFormat><metadataPrefix>{known.prefix}</metadataPrefix><schema>{escape(known.schema)}</schema>"
        f"<metadataNamespace>{escape(known.namespace)}</metadataNamespace></metadataFormat>"
    )


def render_set(spec: str, name: str) -> str:
    """A set as ListSets tells it."""
    return f"<set><setSpec>{spec}</setSpec><setName>{escape(xml_text(name))}</setName></set>"


class Identity(NamedTuple):
    """What the repository says of itself. `friends` are the base URLs of the members."""

    name: str
    site: str
    email: str
    domain: str
    earliest: int
    sample: str
    friends: tuple[str, ...]


def render_identify(identity: Identity, base_url: str) -> str:
    """What is in the Identify element, with all descriptions."""
    about, site = escape(f"{identity.site}/about/oai"), escape(identity.site)
    scheme = f"<scheme>oai</scheme><repositoryIdentifier>{identity.domain}</repositoryIdentifier>"
    scheme += f"<delimiter>:</delimiter><sampleIdentifier>{identity.sample}</sampleIdentifier>"
    policies = (f"<{name}><URL>{about}</URL><text>{text}</text></{name}>" for name, text in _POLICIES.items())
    icon = f"<collectionIcon><url>{site}/favicon.svg</url><link>{site}/</link>"
    icon += f"<title>{escape(xml_text(identity.name))}</title></collectionIcon>"
    descriptions = (
        ("oai-identifier", f"{OAI}oai-identifier", scheme),
        ("eprints", "http://www.openarchives.org/OAI/1.1/eprints", "".join(policies)),
        ("friends", f"{OAI}friends/", "".join(f"<baseURL>{escape(url)}</baseURL>" for url in identity.friends)),
        ("branding", f"{OAI}branding/", icon),
        ("rightsManifest", f"{OAI}rights/", f'<rights><rightsReference ref="{about}#terms"/></rights>'),
    )
    return (
        f"<repositoryName>{escape(xml_text(identity.name))}</repositoryName>"
        f"<baseURL>{escape(base_url)}</baseURL><protocolVersion>2.0</protocolVersion>"
        f"<adminEmail>{escape(identity.email)}</adminEmail><earliestDatestamp>{stamp(identity.earliest)}"
        "</earliestDatestamp><deletedRecord>persistent</deletedRecord><granularity>YYYY-MM-DDThh:mm:ssZ</granularity>"
        f"<compression>gzip</compression>{''.join(_describe(*each) for each in descriptions if each[2])}"
    )


_POLICIES = {
    "content": "Descriptions of what the libraries and repositories of the network hold.",
    "metadataPolicy": "Every record names the member that it came from and keeps that member's statements of rights.",
    "dataPolicy": "The works themselves are with the members, under the terms that each record states.",
}
_SCHEMAS = {"eprints": "http://www.openarchives.org/OAI/1.1/eprints.xsd"}


def _describe(root: str, namespace: str, inside: str) -> str:
    applies = f' appliesTo="{OAI}entity#metadata"' if root == "rightsManifest" else ""
    schema = _SCHEMAS.get(root, f"{OAI}{root}.xsd")
    return (
        f'<description><{root} xmlns="{namespace}" {_XSI} xsi:schemaLocation="{namespace} {schema}"{applies}>'
        f"{inside}</{root}></description>"
    )
