"""The rules of a check, applied to the answers that its requests brought. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from urllib.parse import urlsplit

from lxml import etree

from harvester.datestamps import from_epoch, parse_datestamp
from harvester.oai.page import Header, Page, Record
from indexer.check.asking import Answer, base_url_of, iter_elements
from indexer.check.metadata import judge_metadata
from indexer.check.report import EXAMPLES, Finding, Level, finding_of

OAI = "http://www.openarchives.org/OAI/2.0/"
_CLOCK = 300  # seconds
_SLOW, _TOO_SLOW = 5.0, 20.0  # seconds
_SHORT_LIVED = 3600  # seconds
_EMAIL = re.compile(r"[^@\s]+@(?!localhost|example\.|slims\.)[\w-]+(?:\.[\w-]+)+")
_IDENTIFIER = re.compile(r"oai:[A-Za-z][\w-]*(?:\.[\w-]+)+:\S+", re.ASCII)
_SHARED_IDENTIFIER = re.compile(r"oai:(?:localhost|generic\.eprints\.org|slims/|[\w.-]*example\.|ojs\.pkp\.sfu\.ca)")

# Children of these elements, in the order of the protocol's schema.
_ORDER = {
    "OAI-PMH": "responseDate request error Identify ListMetadataFormats ListSets ListRecords",
    "Identify": "repositoryName baseURL protocolVersion adminEmail earliestDatestamp deletedRecord granularity "
    "compression description",
    "metadataFormat": "metadataPrefix schema metadataNamespace",
    "set": "setSpec setName setDescription",
    "ListRecords": "record resumptionToken",
    "record": "header metadata about",
    "header": "identifier datestamp setSpec",
}
_ORDERS = {name: children.split() for name, children in _ORDER.items()}
_IDENTIFY = _ORDERS["Identify"][:7]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the requests of a check brought; None for a request that was not made.

    `from_` is the day that `incremental` was asked from.
    """

    identify: Answer
    formats: Answer
    sets: Answer
    first: Answer
    second: Answer | None
    incremental: Answer | None
    from_: str
    wrong: Answer

    @property
    def asked(self) -> list[Answer]:
        """The answers to the requests that were made."""
        all_ = (self.identify, self.formats, self.sets, self.first, self.second, self.incremental, self.wrong)
        return [answer for answer in all_ if answer and answer.sent]

    @property
    def made(self) -> list[Answer]:
        """Those that the server answered."""
        return [answer for answer in self.asked if answer.status]

    @property
    def listed(self) -> list[Page]:
        """The pages of records that came, in order."""
        return [answer.page for answer in (self.first, self.second) if answer and answer.page]

    @property
    def records(self) -> list[Record]:
        """Their records."""
        return [record for page in self.listed for record in page.records]


def judge(answers: Answers) -> tuple[Finding, ...]:
    """What the answers say under each rule, each rule once at the most."""
    rules = (_server, _xml, _identify, _formats, _lists, _headers, _incremental)
    year = from_epoch(int(answers.first.fetched_at)).year
    return (*chain.from_iterable(rule(answers) for rule in rules), *judge_metadata(answers.records, this_year=year))


def get_identity(identify: Page) -> dict[str, str]:
    """What Identify says, by element; an element that is missing or empty is not there."""
    found = {etree.QName(each).localname: (each.text or "").strip() for each in iter_elements(identify, *_IDENTIFY)}
    return {name: text for name, text in found.items() if text}


def list_texts(page: Page | None, name: str) -> tuple[str, ...]:
    """The texts of the page's elements of this name."""
    return tuple((each.text or "").strip() for each in iter_elements(page, name)) if page else ()


def _server(answers: Answers) -> Iterator[Finding]:
    identify, made = answers.identify, answers.made
    base_url = base_url_of(identify.url)
    stated = get_identity(identify.page).get("baseURL", "") if identify.page else ""
    differs = stated.rstrip("/") != base_url.rstrip("/")
    yield finding_of("Base URL", "hint", [f"{base_url} ≠ {stated or '(none)'}"] if differs else [], seen=base_url)
    yield finding_of("TLS", "hint", [base_url] if urlsplit(base_url).scheme != "https" else [])
    moved = identify.asked != base_url
    yield finding_of("Redirects", "hint", [f"{identify.asked} → {base_url}"] if moved else [])
    silent = [answer.problem for answer in answers.asked if not answer.status]
    level: Level = "fatal" if answers.first.sent and not answers.first.status else "hurts"
    yield finding_of("Availability", level, silent, len(answers.asked))
    refused = [f"HTTP {answer.status}" for answer in made if answer.refused]
    yield finding_of("Access for harvesters", "hurts", refused, len(made))
    slowest = max(answer.seconds for answer in made)
    slow = [f"{answer.seconds:.0f} s" for answer in made if answer.seconds >= _SLOW]
    yield finding_of("Response time", "hurts" if slowest >= _TOO_SLOW else "hint", slow, len(made), f"{slowest:.1f} s")
    odd = [each.content_type or "(none)" for each in made if each.page and "xml" not in each.content_type.lower()]
    yield finding_of("Content type", "hint", odd, len(made))
    wrong = []
    for answer in made:
        stamp = answer.page.response_date if answer.page else ""
        moment = parse_datestamp(stamp)
        if answer.page and (moment is None or abs(moment.timestamp() - answer.fetched_at) > _CLOCK):
            wrong.append(stamp or "(none)")
    yield finding_of("Server clock", "hurts", wrong, len(made))


def _xml(answers: Answers) -> Iterator[Finding]:
    made = answers.made
    broken = [answer.problem for answer in made if answer.page is None and not answer.refused]
    broken += [", ".join(answer.mended) for answer in made if answer.mended]
    yield finding_of("XML validity", "hurts", broken, len(made))
    pages = [answer.page for answer in made if answer.page]
    yield finding_of("Schema order", "hint", chain.from_iterable(map(_disorder, pages)))
    page = answers.wrong.page
    refuses = page is not None and bool(page.errors) and answers.wrong.status == 200
    if answers.wrong.status:
        came = page.verb or ", ".join(code for code, _ in page.errors) if page else answers.wrong.problem
        came = came if answers.wrong.status == 200 else f"HTTP {answers.wrong.status} {came}"
        yield finding_of("Error handling (badVerb)", "hint", [] if refuses else [came], seen=came)


def _disorder(page: Page) -> Iterator[str]:
    """What stands elsewhere than the schema has it."""
    for element in iter_elements(page, *_ORDERS):
        name = etree.QName(element)
        if name.localname == "OAI-PMH" and name.namespace != OAI:
            yield f"OAI-PMH: {name.namespace or '(none)'}"
        if name.namespace != OAI:
            continue  # of another format, inside the metadata
        children = [etree.QName(child).localname for child in element.iterchildren("*")]
        order = _ORDERS[name.localname]
        places = [order.index(child) if child in order else -1 for child in children]
        for place, following, child in zip(places, [*places[1:], 99], children, strict=True):
            if place < 0 or place > following >= 0:
                yield f"{name.localname}/{child}"


def _identify(answers: Answers) -> Iterator[Finding]:
    assert answers.identify.page is not None  # noqa: S101 - the base URL was found by it
    said = get_identity(answers.identify.page)
    missing = [name for name in _IDENTIFY if name not in said]
    missing += ["protocolVersion"] if said.get("protocolVersion", "2.0") != "2.0" else []
    yield finding_of("Identify", "hint", missing, len(_IDENTIFY))
    contacts = list_texts(answers.identify.page, "adminEmail")
    right = [contact for contact in contacts if _EMAIL.fullmatch(contact.removeprefix("mailto:"))]
    yield finding_of(
        "Contact address", "hint", [] if right else [", ".join(contacts) or "(none)"], seen=", ".join(right)
    )
    policy = said.get("deletedRecord", "no")
    level: Level = "hint" if policy == "transient" else "hurts"
    yield finding_of("Deletion policy", level, [] if policy == "persistent" else [policy], seen=policy)
    earliest = parse_datestamp(said.get("earliestDatestamp", ""))
    stamps = [stamp for record in answers.records if (stamp := record.header.datestamp)]
    older = [stamp for stamp in stamps if earliest and (moment := parse_datestamp(stamp)) and moment < earliest]
    shown = said.get("earliestDatestamp", "(none)")
    wrong = [shown] if earliest is None or earliest.year < 1971 else [f"{stamp} < {shown}" for stamp in older]
    yield finding_of("Earliest datestamp", "hint", wrong, seen=shown)


def _formats(answers: Answers) -> Iterator[Finding]:
    formats = list_texts(answers.formats.page, "metadataPrefix")
    codes = [code for code, _ in answers.first.page.errors] if answers.first.page else []
    broken = (
        [] if "oai_dc" in formats or not answers.formats.status else [", ".join(formats) or answers.formats.problem]
    )
    level: Level = "hint"
    if answers.first.status and not answers.records:
        broken.append(", ".join(codes) or answers.first.problem or "ListRecords: 0")
        level = "fatal"
    yield finding_of("Metadata format (oai_dc)", level, broken, seen=", ".join(formats))
    if answers.sets.status:
        page = answers.sets.page
        told = [code for code, _ in page.errors] if page else [answers.sets.problem]
        fine = page is not None and (page.verb == "ListSets" or "noSetHierarchy" in told)
        names = ", ".join(list_texts(page, "setSpec")[:EXAMPLES]) or "noSetHierarchy"
        yield finding_of("Sets", "hint", [] if fine else [", ".join(told)], seen=names)


def _lists(answers: Answers) -> Iterator[Finding]:
    if not answers.records:
        return
    first = answers.listed[0]
    failed = [f"{each.identifier or '?'}: {each.cause}" for page in answers.listed for each in page.failed]
    yield finding_of("Complete records", "hurts", failed, sum(page.size for page in answers.listed))
    size = first.size
    outside = size > 500 or (size < 100 and bool(first.next_token))
    level: Level = "hurts" if size < 20 or size > 2000 else "hint"
    yield finding_of("Size of the first batch", level, [str(size)] if outside else [], seen=str(size))
    if not first.next_token or not answers.second:
        return
    yield from _tokens(answers, answers.second)


def _tokens(answers: Answers, second: Answer) -> Iterator[Finding]:
    first, page = answers.listed[0], second.page
    wrong = []
    if page is None:
        wrong = [second.problem]
    elif page.errors and not page.size:
        wrong = [code for code, _ in page.errors]
    elif _identifiers(first) >= _identifiers(page):
        wrong = ["the same records again" if page.size else "no records"]
    if second.status:
        yield finding_of("Resumption token", "fatal", wrong)
    token = next(iter_elements(first, "resumptionToken"), None)
    expires = (token.get("expirationDate") or "") if token is not None else ""
    ends = parse_datestamp(expires)
    lives = ends.timestamp() - answers.first.fetched_at if ends else 0
    unsaid = [f"{lives / 60:.0f} min" if ends else expires or "(none)"] if lives < _SHORT_LIVED else []
    yield finding_of("Resumption token expiration", "hurts" if ends else "hint", unsaid, seen=expires)
    size = first.token.complete_list_size if first.token else None
    short = size is not None and size < sum(each.size for each in answers.listed)
    level: Level = "hurts" if short else "hint"
    told = "(none)" if size is None else str(size)
    yield finding_of("Resumption token list size", level, [told] if size is None or short else [], seen=told)


def _identifiers(page: Page) -> set[str]:
    return {record.header.identifier for record in page.records}


def _headers(answers: Answers) -> Iterator[Finding]:
    headers = [record.header for record in answers.records]
    if not headers:
        return
    total = len(headers)
    stated = get_identity(answers.identify.page).get("granularity", "") if answers.identify.page else ""
    length = 20 if "ss" in stated.lower() else 10
    other = [header.datestamp for header in headers if header.datestamp and len(header.datestamp) != length]
    yield finding_of("Granularity", "hurts", [f"{stated or '(none)'} ≠ {stamp}" for stamp in other], total, stated)
    yield finding_of("Datestamps", "hurts", _odd_datestamps(headers, answers.first.fetched_at), total)
    names = [header.identifier for header in headers]
    shared = [name for name in names if _SHARED_IDENTIFIER.match(name)]
    other = shared or [name for name in names if not _IDENTIFIER.fullmatch(name)]
    yield finding_of("Record identifiers (oai: scheme)", "hurts" if shared else "hint", other, total, names[0])
    twice = [name for name, count in Counter(names).items() if count > 1]
    yield finding_of("Unique record identifiers", "hurts", twice, total)


def _odd_datestamps(headers: list[Header], now: float) -> Iterator[str]:
    for header in headers:
        moment = parse_datestamp(header.datestamp)
        if moment is None or moment.timestamp() > now + _CLOCK:
            yield f"{header.identifier}: {header.datestamp or '(none)'}"
    if len(headers) >= 20 and len({header.datestamp for header in headers}) == 1 and headers[0].datestamp:
        yield from (f"{len(headers)} × {header.datestamp}" for header in headers)


def _incremental(answers: Answers) -> Iterator[Finding]:
    answer = answers.incremental
    if not answer or not answer.status:
        return
    page, from_ = answer.page, answers.from_
    if page is None:
        wrong = [answer.problem]
    elif page.errors and not page.size:
        wrong = [f"from={from_}: {code}" for code, _ in page.errors]
    else:
        stamps = (record.header.datestamp for record in page.records)
        wrong = [f"from={from_}: {stamp}" for stamp in stamps if stamp and stamp < from_]
        wrong = wrong or ([] if page.size else [f"from={from_}: 0"])
    total = page.size if page else 0
    yield finding_of("Incremental harvesting (day granularity)", "hurts", wrong, total, f"from={from_}")
