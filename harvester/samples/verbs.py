"""The six verbs of OAI-PMH 2.0 over a sample repository. Spec: 3 and 4."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from lxml import etree

from harvester.datestamps import DAY, SECONDS, format_datestamp, parse_datestamp
from harvester.errors import OaiError
from harvester.samples.repository import SampleRecord, SampleRepository
from harvester.samples.tokens import ListState, find_state, format_token
from harvester.xml_chars import NOT_XML

OAI = "http://www.openarchives.org/OAI/2.0/"
OAI_DC = "http://www.openarchives.org/OAI/2.0/oai_dc/"
DC = "http://purl.org/dc/elements/1.1/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
PREFIX = "oai_dc"

_ROOT: dict[Any, str] = {None: OAI, "xsi": XSI}  # Any: lxml's stubs do not know the default namespace's None
_DUBLIN_CORE = {"oai_dc": OAI_DC, "dc": DC, "xsi": XSI}

_WINDOW = frozenset({"from", "until", "set"})
# verb: the arguments it needs, those it may have, and whether a resumptionToken may take the place of all
_ARGUMENTS: dict[str, tuple[frozenset[str], frozenset[str], bool]] = {
    "Identify": (frozenset(), frozenset(), False),
    "ListMetadataFormats": (frozenset(), frozenset({"identifier"}), False),
    "ListSets": (frozenset(), frozenset(), True),
    "GetRecord": (frozenset({"identifier", "metadataPrefix"}), frozenset(), False),
    "ListIdentifiers": (frozenset({"metadataPrefix"}), _WINDOW, True),
    "ListRecords": (frozenset({"metadataPrefix"}), _WINDOW, True),
}
_DATE = {DAY: re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII), SECONDS: re.compile(r"[-\d]{10}T[:\d]{8}Z\Z", re.ASCII)}


def answer(repository: SampleRepository, base_url: str, arguments: list[tuple[str, str]], now: datetime) -> bytes:
    """The response to one request, in UTF-8; what is wrong with the request is told, all of it, as errors.

    Args:
        base_url: of the endpoint, as it stands in the response.
        arguments: decoded, in the order and as often as they came.
        now: the responseDate.
    """
    root = etree.Element(_name(OAI, "OAI-PMH"), nsmap=_ROOT)
    root.set(_name(XSI, "schemaLocation"), f"{OAI} {OAI}OAI-PMH.xsd")
    _add(root, "responseDate", format_datestamp(now))
    request = _add(root, "request", base_url)
    given = dict(arguments)
    errors = _verb_errors(arguments)
    if not errors:
        errors = _argument_errors(arguments, given) + _date_errors(repository, given)
        if not errors:
            for name, text in given.items():
                request.set(name, text)
        errors += _value_errors(repository, given)
    if not errors:
        body = etree.Element(_name(OAI, given["verb"]), nsmap=_ROOT)
        try:
            _fill(body, repository, base_url, given)
            root.append(body)
        except OaiError as refusal:
            errors = [refusal]
    for error in errors:
        _add(root, "error", str(error)).set("code", error.code)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _verb_errors(arguments: list[tuple[str, str]]) -> list[OaiError]:
    verbs = [text for name, text in arguments if name == "verb"]
    if len(verbs) != 1:
        return [OaiError("badVerb", "a request has exactly one verb")]
    return [] if verbs[0] in _ARGUMENTS else [OaiError("badVerb", f"{verbs[0]!r} is not a verb")]


def _argument_errors(arguments: list[tuple[str, str]], given: dict[str, str]) -> list[OaiError]:
    verb = given["verb"]
    needed, allowed, resumable = _ARGUMENTS[verb]
    names = sorted(given.keys() - {"verb"})
    counts = Counter(name for name, _ in arguments)
    messages = [f"{name} is given more than once" for name in names if counts[name] > 1]
    messages += [f"{name} has characters that XML cannot hold" for name in names if NOT_XML.search(given[name])]
    if resumable and "resumptionToken" in given:
        if len(names) > 1:
            messages.append("resumptionToken excludes all other arguments")
    else:
        messages += [f"{verb} needs {name}" for name in sorted(needed - given.keys())]
        messages += [f"{verb} has no argument {name!r}" for name in names if name not in needed | allowed]
    return [OaiError("badArgument", message) for message in messages]


def _date_errors(repository: SampleRepository, given: dict[str, str]) -> list[OaiError]:
    dates = {name: given[name] for name in ("from", "until") if name in given}
    wrong = [name for name, text in dates.items() if not _is_date(repository, text)]
    if wrong:
        return [
            OaiError("badArgument", f"{name} is not a UTC date as {repository.granularity} or coarser")
            for name in wrong
        ]
    if len({len(text) for text in dates.values()}) > 1:
        return [OaiError("badArgument", "from and until differ in granularity")]
    if len(dates) == 2 and dates["from"] > dates["until"]:
        return [OaiError("badArgument", "from is later than until")]
    return []


def _is_date(repository: SampleRepository, text: str) -> bool:
    forms = {DAY, repository.granularity}
    return any(_DATE[form].match(text) for form in forms) and parse_datestamp(text) is not None


def _value_errors(repository: SampleRepository, given: dict[str, str]) -> list[OaiError]:
    errors = []
    if given.get("metadataPrefix", PREFIX) != PREFIX:
        errors.append(OaiError("cannotDisseminateFormat", f"the only metadataPrefix here is {PREFIX}"))
    if "identifier" in given and given["identifier"] not in _by_identifier(repository):
        errors.append(OaiError("idDoesNotExist", "there is no record of this identifier"))
    if not repository.sets and ("set" in given or given["verb"] == "ListSets"):
        errors.append(OaiError("noSetHierarchy", "this repository has no sets"))
    return errors


def _fill(parent: etree._Element, repository: SampleRepository, base_url: str, given: dict[str, str]) -> None:
    verb = given["verb"]
    if verb == "Identify":
        _identify(parent, repository, base_url)
    elif verb == "ListMetadataFormats":
        form = _add(parent, "metadataFormat")
        _add(form, "metadataPrefix", PREFIX)
        _add(form, "schema", "http://www.openarchives.org/OAI/2.0/oai_dc.xsd")
        _add(form, "metadataNamespace", OAI_DC)
    elif verb == "GetRecord":
        _record(parent, _by_identifier(repository)[given["identifier"]])
    else:
        _list(parent, repository, given)


def _identify(parent: etree._Element, repository: SampleRepository, base_url: str) -> None:
    earliest = min((record.datestamp for record in repository.records), default="1970-01-01T00:00:00Z")
    _add(parent, "repositoryName", repository.name)
    _add(parent, "baseURL", base_url)
    _add(parent, "protocolVersion", "2.0")
    _add(parent, "adminEmail", repository.admin_email)
    _add(parent, "earliestDatestamp", earliest[: len(repository.granularity)])
    _add(parent, "deletedRecord", repository.deleted_record)
    _add(parent, "granularity", repository.granularity)


@dataclass(frozen=True, slots=True)
class _Part:
    """A list, of sets or of records, and where the part that is asked for begins."""

    state: ListState
    start: int
    sets: tuple[tuple[str, str], ...] = ()
    records: tuple[SampleRecord, ...] = ()

    @property
    def total(self) -> int:
        return len(self.sets) + len(self.records)


def _list(parent: etree._Element, repository: SampleRepository, given: dict[str, str]) -> None:
    part = _get_part(repository, given)
    end = min(part.start + repository.page_size, part.total)
    for spec, name in part.sets[part.start : end]:
        member = _add(parent, "set")
        _add(member, "setSpec", spec)
        _add(member, "setName", name)
    send = _record if given["verb"] == "ListRecords" else _header
    for record in part.records[part.start : end]:
        send(parent, record)
    if part.start or end < part.total:
        by_number = repository.platform == "eprints" and part.records
        position = _number(part.records[end - 1]) if by_number else end
        rest = format_token(repository.platform, replace(part.state, position=position))
        token = _add(parent, "resumptionToken", rest if end < part.total else "")
        token.set("completeListSize", str(part.total))
        # as the platforms count: DSpace in pages, EPrints by the number of the last record sent
        pages = part.start // repository.page_size
        cursors = {"dspace": pages, "eprints": part.state.position}
        token.set("cursor", str(cursors.get(repository.platform, part.start)))


def _get_part(repository: SampleRepository, given: dict[str, str]) -> _Part:
    """The list and its next part, which is never empty.

    Raises:
        OaiError: noRecordsMatch, or badResumptionToken where the token leads to no part.
    """
    sets = given["verb"] == "ListSets"
    token = given.get("resumptionToken")
    if token is None:
        prefix, from_, until, spec = (given.get(name, "") for name in ("metadataPrefix", "from", "until", "set"))
        state = ListState(prefix, from_, until, spec)
    else:
        found = find_state(repository.platform, token)
        if found is None or found.position < 1 or found.prefix != ("" if sets else PREFIX):
            raise OaiError("badResumptionToken", "this repository has written no such token for this verb")
        state = found
    if sets:
        part = _Part(state, state.position, sets=repository.sets)
    else:
        records = _matching(repository, state.from_, state.until, state.set_spec)
        by_number = repository.platform == "eprints"
        start = bisect_right(records, state.position, key=_number) if by_number else state.position
        part = _Part(state, start, records=records)
    if part.start >= part.total:
        if token is None:
            raise OaiError("noRecordsMatch", "no record is in this set and between these dates")
        raise OaiError("badResumptionToken", "this list has no such part any more; start it again")
    return part


@lru_cache(maxsize=32)
def _matching(repository: SampleRepository, from_: str, until: str, set_spec: str) -> tuple[SampleRecord, ...]:
    """The records between two inclusive dates and in the set or in one below it."""
    last = until
    if repository.granularity == SECONDS and len(until) == 10:
        last = f"{until}T23:59:59Z"
    return tuple(
        record
        for record in repository.records
        if record.datestamp >= from_
        and (not last or record.datestamp <= last)
        and (not set_spec or any(f"{spec}:".startswith(f"{set_spec}:") for spec in record.sets))
    )


@lru_cache(maxsize=8)
def _by_identifier(repository: SampleRepository) -> dict[str, SampleRecord]:
    return {record.identifier: record for record in repository.records}


def _number(record: SampleRecord) -> int:
    return int(record.identifier.rpartition(":")[2])


def _header(parent: etree._Element, record: SampleRecord) -> None:
    header = _add(parent, "header")
    if record.deleted:
        header.set("status", "deleted")
    _add(header, "identifier", record.identifier)
    _add(header, "datestamp", record.datestamp)
    for spec in record.sets:
        _add(header, "setSpec", spec)


def _record(parent: etree._Element, record: SampleRecord) -> None:
    element = _add(parent, "record")
    _header(element, record)
    if record.deleted:
        return
    dublin_core = etree.SubElement(_add(element, "metadata"), _name(OAI_DC, "dc"), nsmap=_DUBLIN_CORE)
    dublin_core.set(_name(XSI, "schemaLocation"), f"{OAI_DC} http://www.openarchives.org/OAI/2.0/oai_dc.xsd")
    for name, text, language in record.dc:
        value = etree.SubElement(dublin_core, _name(DC, name))
        value.text = NOT_XML.sub("", text)
        if language is not None:
            value.set(XML_LANG, language)


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, _name(OAI, name))
    child.text = None if text is None else NOT_XML.sub("", text)
    return child


def _name(namespace: str, local: str) -> str:
    return f"{{{namespace}}}{local}"
