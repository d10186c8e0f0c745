"""What a manner is: a repository arranged to behave badly, and what must come of a harvest all the same.

The manners themselves stand in `manners_transport` and `manners_lists`, in the order of the notes on what
members send. A source in square brackets says whose behaviour it is: [s] read in that project's source,
[i] told in an issue or pull request of that project, [spec N], [harv N] the protocol and its guidelines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from fakes.provider import FakeProvider, FakeRecord, Fault, Request
from fakes.wild import WildRepository, stamp

from harvester.catalogue.care import USUAL, Care
from harvester.catalogue.records import CataloguedRecord

ERROR_HTML = b"<!DOCTYPE html><html><body><p>Database error<br></body></html>"


@dataclass
class Stage:
    """One provider with one repository, and the base URL by which a harvester is sent there."""

    provider: FakeProvider
    repository: WildRepository
    url: str
    others: ExitStack  # whatever ends with the stage
    folder: Path


Records = Mapping[str, CataloguedRecord]
Arrange = Callable[[Stage], None]
Choose = Callable[[WildRepository, Request], bool]


@dataclass(frozen=True, slots=True)
class Wish:
    """What must be so after a harvest; where nothing else is said, all that the repository has is catalogued.

    Attributes:
        outcome: the run's outcome, or several with | between.
        error: a pattern that the run's error matches; empty: the run has none.
        missing: live records of the repository that the catalogue cannot have.
        unasked: live records of the repository that were not asked for.
        more: live records of the catalogue that the repository has no more.
        deleted: tombstones of the catalogue.
        titles: of records, where they differ from the repository's, as they stand in the payload.
        shown: of records, as a reader sees them, where that differs from the payload.
        problems: identifiers that a harvest lists as problems.
        requests: the run makes no more of them.
        also: whatever else must be true.
    """

    outcome: str = "complete"
    error: str = ""
    missing: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    requests: int = 10
    also: Callable[[Stage, Records], bool] = lambda _stage, _records: True


@dataclass(frozen=True, slots=True)
class Step:
    """A harvest after the first: what changes before it, how it is begun, the wish.

    `how` is harvest, full, or reconcile: a month later, and of all identifiers.
    """

    change: Arrange
    wish: Wish = Wish()
    how: str = "harvest"


@dataclass(frozen=True, slots=True)
class Manner:
    """One behaviour of real servers.

    Attributes:
        limits: constants of the transport or client that are other than usual, so that nothing takes minutes.
        max_wait: the longest pause, in seconds.
        care: what the member's operator has set for it.
    """

    name: str
    arrange: Arrange
    wish: Wish = Wish()
    later: tuple[Step, ...] = ()
    prefixes: tuple[str, ...] = ("oai_dc",)
    sets: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    max_wait: float = 0.05
    care: Care = USUAL


def ident(*numbers: int) -> tuple[str, ...]:
    """The identifiers of these of the twelve records."""
    return tuple(f"oai:a:{number:03}" for number in numbers)


def rest(first: int) -> tuple[str, ...]:
    """The identifiers of the records from this one on."""
    return ident(*range(first, 12))


# Which requests.


def every(_repository: WildRepository, _request: Request) -> bool:
    """Each one."""
    return True


def lists(_repository: WildRepository, request: Request) -> bool:
    """Of records."""
    return request.verb == "ListRecords"


def resumed(_repository: WildRepository, request: Request) -> bool:
    """Those with a token."""
    return request.resumes


def page(number: int) -> Choose:
    """For this page of a list of records."""
    return lambda repository, request: lists(repository, request) and repository.page_of(request) == number


def since_page(number: int) -> Choose:
    """Every one from the first for this page on: the server has broken down."""
    return lambda repository, _request: max(map(repository.page_of, repository.requests)) >= number


# How it is answered.


def once(on: Choose, *faults: Fault) -> Arrange:
    """The first such requests meet these faults in turn."""
    return lambda stage: stage.repository.fail(lambda request: on(stage.repository, request), *faults)


def always(on: Choose, fault: Fault) -> Arrange:
    """Every such request meets this fault."""
    return lambda stage: stage.repository.always(lambda request: on(stage.repository, request), fault)


def with_habits(**habits: Any) -> Arrange:
    """The repository has these habits."""

    def arrange(stage: Stage) -> None:
        for name, value in habits.items():
            setattr(stage.repository.habits, name, value)

    return arrange


def having(**attributes: Any) -> Arrange:
    """The repository has these attributes."""

    def arrange(stage: Stage) -> None:
        for name, value in attributes.items():
            setattr(stage.repository, name, value)

    return arrange


def both(*arranges: Arrange) -> Arrange:
    """One after the other."""

    def arrange(stage: Stage) -> None:
        for each in arranges:
            each(stage)

    return arrange


def put(*records: FakeRecord) -> Arrange:
    """These records are added, or stand in the place of others."""
    return lambda stage: stage.repository.put(*records)


def news(stage: Stage) -> None:
    """One record is new and one has changed, just now."""
    stage.repository.put(
        FakeRecord("oai:a:100", stamp(), "Baru é"), FakeRecord("oai:a:003", stamp(), "Berubah é", sets=("x",))
    )


def nothing(_stage: Stage) -> None:
    """All stays as it is."""


def edited(*changes: tuple[bytes, bytes]) -> Fault:
    """The right answer, in which these bytes stand in the place of others."""

    def edit(body: bytes) -> bytes:
        for old, new in changes:
            body = body.replace(old, new)
        return body

    return Fault(edit=edit)


def error(code: str, status: int = 200) -> Fault:
    """An OAI-PMH error."""

    def edit(body: bytes) -> bytes:
        head, mark, _ = body.partition(b"</request>")
        return head + mark + f'<error code="{code}">told so</error></OAI-PMH>'.encode()

    return Fault(status=status, edit=edit)


def some_payload_holds(words: bytes) -> Callable[[Stage, Records], bool]:
    """Whether the catalogue has a record whose payload holds the words."""
    return lambda _stage, records: any(words in form.xml for record in records.values() for form in record.forms)


def waited(seconds: float) -> Callable[[Stage, Records], bool]:
    """Whether there was so long a pause between two requests."""

    def look(stage: Stage, _records: Records) -> bool:
        began = [request.began for request in stage.repository.requests]
        return max(later - earlier for earlier, later in pairwise(began)) >= seconds

    return look


SIX = "oai:a:006"


def poisoned(fault: Fault) -> Arrange:
    """The seventh record spoils each answer that it is in."""
    return with_habits(poison=(SIX, fault))


# All is had around the damage, which is shown to the manager.
WITHOUT_SIX = Wish("complete-with-failures", missing=(SIX,), problems=(SIX,), requests=60)
