"""A repository with all six verbs and offset paging that can be told to do any of it as badly as real ones do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from fakes.provider import DAY, SECONDS, FakeRecord, FakeRepository, Fault, Request

_HEADER = re.compile(r"<header.*?</header>", re.DOTALL)
_LISTED = {"ListRecords", "ListIdentifiers"}
_FORM = {10: DAY, 20: SECONDS}  # of a date, by its length


def numbered(count: int = 12) -> list[FakeRecord]:
    """So many records, one a day of January 2024, with a title of their own that is not all ASCII."""
    return [FakeRecord(f"oai:a:{n:03}", f"2024-01-{n + 1:02}T10:00:00Z", f"Judul {n:03} é") for n in range(count)]


def stamp(**ahead: float) -> str:
    """The present moment, or one so far ahead of it, as a datestamp."""
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a token leads: the arguments of the list, an offset, and how many empty pages come first."""

    asked: Mapping[str, str]
    offset: int = 0
    blanks: int = 0


@dataclass
class Habits:
    """How a repository differs from a good one; as made here, it does not.

    Attributes:
        clock: hours that the server's clock is ahead of the world's.
        identify: what Identify says, by element.
        accepts: the forms of dates that from and until may have; empty: as its granularity says.
        filed: the datestamp by which from and until choose.
        order: by which a list is sorted.
        until_excludes: whether records of the moment `until` are left out.
        doubles: further copies of records, which only lists show.
        shape: changes a record's XML.
        empty: whether a list without records is an empty list, rather than noRecordsMatch.
        blanks: empty pages before each part of a list but the first.
        stuck: whether every new token leads to the page that it stands on.
        forget: arguments that tokens lose.
        refuse: the error code for arguments, if any, before anything else.
        poison: every answer that holds this record's XML meets this fault.
    """

    clock: float = 0.0
    identify: dict[str, str] = field(default_factory=dict)
    accepts: tuple[str, ...] = ()
    filed: Callable[[FakeRecord], str] = lambda record: record.datestamp
    order: Callable[[FakeRecord], object] = lambda record: record.key
    newest_first: bool = False
    until_excludes: bool = False
    doubles: tuple[FakeRecord, ...] = ()
    shape: Callable[[FakeRecord, str], str] = lambda _record, xml: xml
    empty: bool = False
    blanks: int = 0
    stuck: bool = False
    forget: tuple[str, ...] = ()
    refuse: Callable[[Mapping[str, str]], str] = lambda _arguments: ""
    poison: tuple[str, Fault] | None = None


class WildRepository(FakeRepository):
    """Twelve records in three pages, unless told otherwise.

    Attributes:
        habits: see there.
        owed: every body that was sent whole, at once and with 200: the archive must hold it.
    """

    def __init__(self, records: Iterable[FakeRecord] = (), *, page_size: int = 5) -> None:
        super().__init__(records or numbered(), page_size=page_size)
        self.habits = Habits()
        self.now = lambda: stamp(hours=self.habits.clock)
        self.owed: list[bytes] = []
        self._places: dict[str, Place] = {}
        self._always: list[tuple[Callable[[Request], bool], Fault]] = []

    def always(self, on: Callable[[Request], bool], fault: Fault) -> None:
        """Every request that `on` chooses meets this fault, unless one of `fail` comes before it."""
        self._always.append((on, fault))

    def page_of(self, request: Request) -> int:
        """Which page of a list is asked for, from 1; 0 where it is no list or its token was never given."""
        token = request.arguments.get("resumptionToken")
        if request.verb not in _LISTED or (token and token not in self._places):
            return 0
        return self._places[token].offset // self.page_size + 1 if token else 1

    def remove(self, *identifiers: str) -> None:
        """These records are gone without a trace."""
        self.records = {name: record for name, record in self.records.items() if name not in identifiers}

    def take(self, query: str, headers: Mapping[str, str]) -> tuple[Request, bytes, Fault]:
        """As in every fake repository; `owed` grows."""
        request, body, fault = super().take(query, headers)
        if self.habits.poison and request.verb in {"ListRecords", "GetRecord"}:
            name, poison = self.habits.poison
            if f"<identifier>{name}<".encode() in body:
                fault = poison
                body = poison.body if poison.body is not None else (poison.edit or bytes)(body)
        if fault.status == 200 and fault.cut is None and not fault.delay:
            self.owed.append(body)
        return request, body, fault

    def answer(self, arguments: Mapping[str, str]) -> bytes:
        """The answer that its habits make."""
        verb = arguments.get("verb", "")
        if code := self.habits.refuse(arguments):
            return self._error(code)
        if verb in _LISTED:
            return self._list(verb, arguments)
        if verb == "GetRecord":
            record = self.records.get(arguments.get("identifier", ""))
            if record is None:
                return self._error("idDoesNotExist")
            inner = self._record(record, arguments["metadataPrefix"])
        elif verb == "Identify":
            said = {
                "repositoryName": self.name,
                "baseURL": "http://fake.example/oai",
                "protocolVersion": "2.0",
                "adminEmail": "a@fake.example",
                "earliestDatestamp": "2023-01-01T00:00:00Z",
                "deletedRecord": "persistent",
                "granularity": self.granularity,
                **self.habits.identify,
            }
            inner = "".join(f"<{name}>{text}</{name}>" for name, text in said.items())
        elif verb == "ListMetadataFormats":
            inner = "".join(
                f"<metadataFormat><metadataPrefix>{prefix}</metadataPrefix><schema>urn:{prefix}</schema>"
                f"<metadataNamespace>urn:{prefix}</metadataNamespace></metadataFormat>"
                for prefix in self.prefixes
            )
        else:
            return self._error("noSetHierarchy" if verb == "ListSets" else "badVerb")
        return self._wrap(f"<{verb}>{inner}</{verb}>")

    def _list(self, verb: str, arguments: Mapping[str, str]) -> bytes:
        token = arguments.get("resumptionToken")
        place = Place({name: value for name, value in arguments.items() if name != "verb"})
        if token is not None:
            if token not in self._places:
                return self._error("badResumptionToken")
            place = self._places[token]
        elif not self._dates_fit(arguments):
            return self._error("badArgument")
        if place.asked.get("metadataPrefix") not in self.prefixes:
            return self._error("cannotDisseminateFormat")
        found = [*self.records.values(), *self.habits.doubles]
        found = [record for record in found if self._is_asked(record, place.asked)]
        found.sort(key=self.habits.order, reverse=self.habits.newest_first)  # type: ignore[arg-type]  # sortable
        part = [] if place.blanks else found[place.offset : place.offset + self.page_size]
        if not (part or place.blanks or self.habits.empty):
            return self._error("noRecordsMatch")
        text = "".join(self._record(record, place.asked["metadataPrefix"]) for record in part)
        if verb == "ListIdentifiers":
            text = "".join(_HEADER.findall(text))
        return self._wrap(f"<{verb}>{text}{self._token(verb, place, len(part), len(found))}</{verb}>")

    def _token(self, verb: str, place: Place, shown: int, total: int) -> str:
        end = place.offset + shown
        more = end < total
        if not (more or place.offset or (self.last_token and shown)):
            return ""
        token = ""
        if more or (self.last_token and shown):
            asked = {name: value for name, value in place.asked.items() if name not in self.habits.forget}
            offset = place.offset if self.habits.stuck else end
            blanks = place.blanks - 1 if place.blanks else self.habits.blanks
            serial = len(self._places) if self.habits.stuck else ""
            token = f"{verb}|{'|'.join(asked.values())}|{offset}|{blanks}|{serial}{self.token_tail}"
            self._places[token] = Place(asked, offset, blanks)
        size = total if self.state_size is True else self.state_size
        stated = f" completeListSize={quoteattr(str(size))}" if self.state_size is not False else ""
        return f'<resumptionToken cursor="{place.offset}"{stated}>{escape(token)}</resumptionToken>'

    def _dates_fit(self, arguments: Mapping[str, str]) -> bool:
        forms = self.habits.accepts or ((DAY,) if self.granularity == DAY else (DAY, SECONDS))
        return all(_FORM.get(len(arguments[name])) in forms for name in ("from", "until") if name in arguments)

    def _is_asked(self, record: FakeRecord, asked: Mapping[str, str]) -> bool:
        filed, until = self.habits.filed(record), asked.get("until", "9")
        early = filed[: len(until)] < until if self.habits.until_excludes else filed[: len(until)] <= until
        wanted = asked.get("set")
        return filed >= asked.get("from", "") and early and (wanted is None or wanted in record.sets)

    def _record(self, record: FakeRecord, prefix: str) -> str:
        return self.habits.shape(record, super()._record(record, prefix))

    def _find_fault(self, request: Request) -> Fault:
        fault = super()._find_fault(request)
        if fault == Fault():
            fault = next((fault for on, fault in self._always if on(request)), fault)
        return fault
