"""The endpoint over HTTP, and its answers out of the feed. Spec: 3 and 4."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import zstandard
from flask import Blueprint, Response, current_app, render_template, request
from lxml import etree
from sqlalchemy import Connection
from zstandard import frame_content_size

from harvester.catalogue import feed
from harvester.catalogue.feed import FeedRow, MetadataFormat, Selection, Shown
from harvester.errors import CatalogueError, OaiError
from indexer.feed.prepare import advance, is_behind
from indexer.feed.provenance import namespace_of
from web.failures import RETRY_AFTER
from web.oai import responses
from web.oai.responses import OWN_FORMATS, SOURCE, Identity, Names
from web.oai.tokens import Position, read_token, write_token
from web.oai.verbs import MOST_BYTES, OaiRequest, parse_pairs, parse_request, shown, tellable
from web.tiers import Tiers, get_tiers

blueprint = Blueprint("oai", __name__)

MAINTENANCE = "maintenance"  # a file of the home folder
_MAINTAINED = "600"  # seconds
_LONGEST_NOTICE = 1000
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_LIST_SECONDS = 20.0  # that a list waits for what was harvested just now; what is later comes in the next list
_OTHER_SECONDS = 0.5
_MOST_BYTES = 10_000_000  # of payloads in a part, unpacked
_MOST_FRIENDS = 500
_TURN = threading.Lock()
_SETS = {
    "access": "By access",
    "access:open": "Open access",
    "member": "By member",
    "region": "By region",
    "type": "By type of work",
    **{f"type:{kind}": name for kind, name in sorted(responses.TYPE_NAMES.items())},
}


@blueprint.route("/oai", methods=_METHODS, provide_automatic_options=False)
def answer() -> Response:
    """The answer to an OAI-PMH request; a page where a browser asks for one to show."""
    if request.method == "OPTIONS":
        response = Response(status=204)
        response.allow.update(_METHODS)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(_METHODS)
        response.headers["Access-Control-Allow-Headers"] = "*"
    else:
        response = _answer()
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.vary.add("Sec-Fetch-Dest")
    return response


def _answer() -> Response:
    tiers = get_tiers()
    if (notice := _find_notice(tiers.settings.home / MAINTENANCE)) is not None:
        return _say_later(notice or "This repository is being maintained. Please come back later.", _MAINTAINED)
    form = request.stream.read(MOST_BYTES) if request.method == "POST" else b""
    try:
        body = Repository(tiers).respond(request.query_string, form)
    except CatalogueError as error:
        current_app.logger.warning("%s", error)
        return _say_later(
            f"The catalogue does not answer just now. Please ask again in {RETRY_AFTER} seconds.", RETRY_AFTER
        )
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return Response(_render_page(body))
    return Response(body, content_type="text/xml; charset=UTF-8")


def _render_page(body: bytes) -> str:
    """The answer for people. It is walked, as members' records may be nested deeper than calls may."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
    )
    tree = etree.fromstring(body, parser)
    verb = tree[1].get("verb", "")  # of the request, which stands behind the responseDate
    walk = etree.iterwalk(tree, events=("start", "end"))
    return render_template("oai.html", walk=walk, root=tree, verb=verb, verbs=_EXAMPLES)


def _say_later(text: str, seconds: str) -> Response:
    return Response(f"{text}\n", 503, {"Retry-After": seconds}, content_type="text/plain; charset=UTF-8")


def _find_notice(path: Path) -> str | None:
    """What operators have to say while they maintain; None while they do not."""
    try:
        return path.read_text("utf-8", "replace")[:_LONGEST_NOTICE].strip()
    except OSError:
        return None


_EXAMPLES = ("Identify", "ListMetadataFormats", "ListSets", "ListRecords&metadataPrefix=oai_dc")


class Repository:
    """Answers requests about one installation."""

    def __init__(self, tiers: Tiers) -> None:
        self.catalogue = tiers.catalogue
        self.settings = tiers.settings
        self.base_url = f"{tiers.settings.base_url}/oai"
        self.domain = tiers.settings.repository_domain
        self.moment = self.catalogue.now()  # the responseDate: up to then, a list told everything

    def respond(self, query: bytes, form: bytes) -> bytes:
        """The response to a request with these arguments."""
        asked, inside = OaiRequest("", {}), list[bytes]()
        errors: list[OaiError] = []
        try:
            asked, errors = parse_request(parse_pairs(query, form))
            if asked.verb and not errors:
                inside = self._fill(asked)
        except OaiError as error:
            errors = [error]
        except _SeveralError as several:
            errors = several.errors
        told = {} if any(error.code in {"badVerb", "badArgument"} for error in errors) else tellable(asked.arguments)
        if errors:
            inside = [responses.render_errors(errors).encode()]
        return responses.render_response(self.base_url, self.moment, told, inside)

    def _fill(self, asked: OaiRequest) -> list[bytes]:
        if asked.verb.startswith("List") and "metadataPrefix" in asked.arguments:
            self.moment = self._advance(_LIST_SECONDS)
        elif not asked.get("resumptionToken") and is_behind(self.catalogue):
            self._advance(_OTHER_SECONDS)
        verbs: dict[str, Callable[[Connection, OaiRequest], list[bytes]]] = {
            "Identify": self._identify,
            "ListMetadataFormats": self._list_formats,
            "ListSets": self._list_sets,
            "GetRecord": self._get_record,
        }
        with self.catalogue.read() as connection:
            inside = verbs.get(asked.verb, self._list_records)(connection, asked)
        name = asked.verb.encode()
        return [b"<%b>" % name, *inside, b"</%b>" % name]

    def _advance(self, seconds: float) -> int:
        """The second up to which the feed is ready; of the requests at one time one prepares it for all."""
        deadline = time.monotonic() + seconds
        alone = _TURN.acquire(timeout=seconds)
        try:
            return advance(self.catalogue, self.domain, seconds=deadline - time.monotonic())
        finally:
            if alone:
                _TURN.release()

    def _identify(self, connection: Connection, _asked: OaiRequest) -> list[bytes]:
        sources = feed.list_sources(connection, limit=_MOST_FRIENDS)
        identity = Identity(
            name=self.settings.network_name,
            site=self.settings.base_url,
            email=self.settings.admin_email or f"nobody@{self.domain}",
            domain=self.domain,
            earliest=feed.find_earliest(connection),
            sample=f"oai:{self.domain}:{sources[0].slug if sources else 'member'}/0123456789ab",
            friends=tuple(dict.fromkeys(source.base_url for source in sources if not source.removed)),
        )
        return [responses.render_identify(identity, self.base_url).encode()]

    def _list_formats(self, connection: Connection, asked: OaiRequest) -> list[bytes]:
        known = self._formats(connection)
        if asked.get("identifier"):
            row = self._get_row(connection, asked.get("identifier"))
            given = feed.find_given(connection, row.record_id)
            known = OWN_FORMATS | {name: _format_of(name, each.xml) for name, each in given.items()}
        return [responses.render_format(each).encode() for each in known.values()]

    def _list_sets(self, connection: Connection, asked: OaiRequest) -> list[bytes]:
        token, size = asked.get("resumptionToken"), self.settings.oai_part
        position = read_token(token, "ListSets", self._keys()) if token else Position("ListSets")
        if not token:
            total = len(_SETS) + feed.count_sources(connection) + len(feed.list_regions(connection))
            position = replace(position, size=total)
        # Those that there always are come first, then the members by slug, then the regions.
        found = list(_SETS.items())[position.cursor :][: size + 1]
        after = position.after_name
        if not after.startswith("region:"):
            members = feed.list_sources(connection, after, size + 1 - len(found))
            found += [(f"member:{source.slug}", source.name) for source in members]
        regions = feed.list_regions(connection, after.partition("region:")[2], size + 1 - len(found))
        found += [(f"region:{region}", region.replace("-", " ").title()) for region in regions]
        rest = ""
        if len(found) > size:
            found.pop()
            name = found[-1][0].removeprefix("member:") if found[-1][0] not in _SETS else ""
            rest = self._token(replace(position, after_name=name, cursor=position.cursor + size))
        return [*(responses.render_set(*each).encode() for each in found), self._end(position, rest).encode()]

    def _get_record(self, connection: Connection, asked: OaiRequest) -> list[bytes]:
        errors: list[OaiError] = []
        row, known = None, self._find_format(connection, asked.get("metadataPrefix"))
        try:
            row = self._get_row(connection, asked.get("identifier"))
        except OaiError as error:
            errors.append(error)
        if known is None:
            errors.append(self._no_format(asked.get("metadataPrefix")))
        if row is None or known is None:
            raise _SeveralError(errors)
        xml: dict[int, bytes] = {}
        if known.prefix.startswith(SOURCE):
            given = feed.find_given(connection, row.record_id).get(known.prefix.removeprefix(SOURCE))
            if given is None:
                raise OaiError("cannotDisseminateFormat", f"the member gives no {known.prefix} of this record")
            xml[row.record_id] = given.xml
            row = replace(row, deleted=row.deleted or given.deleted)
        names = self._names(connection, [row])
        return responses.render_records([row], names, responses.make_metadata(known, names, xml))

    def _list_records(self, connection: Connection, asked: OaiRequest) -> list[bytes]:
        token, whole = asked.get("resumptionToken"), asked.verb == "ListRecords"
        position = read_token(token, asked.verb, self._keys()) if token else self._begin(asked)
        self.moment = position.seen
        errors: list[OaiError] = []
        known = self._find_format(connection, position.prefix)
        if known is None:
            errors.append(self._no_format(position.prefix))
        chosen = self._select(connection, position)
        if chosen is None:
            message = f"there is no set {shown(position.set_spec)}; ListSets tells those that there are"
            errors.append(OaiError("noRecordsMatch", message))
        if known is None or chosen is None:
            raise _SeveralError(errors)
        if not token:
            count = feed.count_rows(connection, chosen)
            position = replace(position, size=-1 if count is None else count)
        after = (position.after_at, position.after_id)
        rows = feed.list_rows(connection, chosen, after, self.settings.oai_part + 1, payloads=whole)
        if token and not rows:  # all that was to come has changed since: one that came already ends the list
            rows = feed.list_rows(connection, chosen, (chosen.from_, 0), 1, payloads=whole)
            rows = rows or feed.list_record(connection, chosen, position.after_id, payloads=whole)
        if not rows:
            raise OaiError("noRecordsMatch", "no record is in this set, between these dates and in this format")
        part = rows[: self._fitting(rows)]
        rest = ""
        if len(part) < len(rows):
            done = position.cursor + len(part)
            last = part[-1]
            rest = self._token(replace(position, cursor=done, after_at=last.datestamp, after_id=last.record_id))
        names = self._names(connection, part)
        if whole:
            xml = {row.record_id: row.xml for row in part if row.xml is not None}
            inside = responses.render_records(part, names, responses.make_metadata(known, names, xml))
        else:
            inside = [responses.render_header(row, names).encode() for row in part]
        return [*inside, self._end(position, rest).encode()]

    def _begin(self, asked: OaiRequest) -> Position:
        until = min(asked.until, self.moment)
        return Position(
            asked.verb,
            asked.get("metadataPrefix"),
            asked.get("set") if "set" in asked.arguments else "",
            from_=max(asked.from_, 0),
            until=until,
            seen=self.moment,
            after_at=max(asked.from_, 0),
        )

    def _select(self, connection: Connection, position: Position) -> Selection | None:
        """What the list holds; None where there is no such set. A list that has begun had it."""
        kind, colon, value = position.set_spec.partition(":")
        found: str | int = "open" if kind == "access" else value
        if kind == "region" and value:
            if not position.cursor and value not in feed.list_regions(connection):
                return None
        elif position.set_spec and position.set_spec not in _SETS:
            source = feed.find_source(connection, value) if kind == "member" and colon else None
            if source is None:
                return None
            found = source.id
        source_prefix = position.prefix.removeprefix(SOURCE) if position.prefix.startswith(SOURCE) else ""
        return Selection(position.from_, position.until, kind, found, source_prefix)

    def _fitting(self, rows: list[Shown]) -> int:
        """How many of the rows make a part."""
        size = 0
        for at, row in enumerate(rows[: self.settings.oai_part]):
            # Of a source's format the payload gives the containers alone; that is little.
            size += frame_content_size(row.xml or row.payload) if row.payload else 0
            if size > _MOST_BYTES and at:
                return at
        return min(len(rows), self.settings.oai_part)

    def _get_row(self, connection: Connection, identifier: str) -> FeedRow:
        row = feed.find_row(connection, identifier.rpartition("/")[2])
        if row is None or identifier != self._names(connection, [row]).identifier(row):
            message = f"no record here has the identifier {shown(identifier)}; ours begin with oai:{self.domain}:"
            raise OaiError("idDoesNotExist", message)
        return row

    def _find_format(self, connection: Connection, prefix: str) -> MetadataFormat | None:
        return OWN_FORMATS.get(prefix) or self._formats(connection).get(prefix)

    def _formats(self, connection: Connection) -> dict[str, MetadataFormat]:
        own = (each._replace(prefix=SOURCE + each.prefix) for each in feed.get_formats(connection).values())
        return OWN_FORMATS | {each.prefix: each for each in own}

    def _no_format(self, prefix: str) -> OaiError:
        message = f"there is no format {shown(prefix)} here; ListMetadataFormats tells those that there are"
        return OaiError("cannotDisseminateFormat", message)

    def _names(self, connection: Connection, rows: list[Shown] | list[FeedRow]) -> Names:
        return Names(self.domain, feed.get_places(connection, {row.member_id for row in rows}))

    def _keys(self) -> list[str]:
        return self.settings.get_secret_keys()

    def _token(self, position: Position) -> str:
        return write_token(position, self._keys())

    def _end(self, position: Position, rest: str) -> str:
        """What ends a part: nothing, where it is the whole list."""
        return responses.render_token(rest, position.cursor, position.size) if rest or position.cursor else ""


class _SeveralError(Exception):
    """A request with several errors."""

    def __init__(self, errors: list[OaiError]) -> None:
        super().__init__(errors)
        self.errors = errors


def _format_of(prefix: str, packed: bytes) -> MetadataFormat:
    """The format of a member as this payload of it says."""
    return MetadataFormat(SOURCE + prefix, *namespace_of(zstandard.decompress(packed)))
