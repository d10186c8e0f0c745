"""A run of one member: how its server is asked, where each answer is kept, and what is told of it on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType

import structlog
from sqlalchemy import Connection

from harvester.archive import Archive, find_last_page, page_key, put_page
from harvester.catalogue import Catalogue
from harvester.catalogue.commit import Counts, Fetched, commit_failed_page, commit_page
from harvester.catalogue.harvests import Run, Trace, note_problem
from harvester.catalogue.lists import ListState
from harvester.catalogue.members import Member
from harvester.catalogue.quirks import Quirk, get_quirks, put_quirk
from harvester.errors import MemberError
from harvester.oai.client import Client
from harvester.oai.page import Page
from harvester.oai.transport import Answer, BrokenAnswerError, Transport
from harvester.problems import code_of
from harvester.settings import Settings

# Problems of one kind that a run puts on record.
MOST_CAUSES = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a member's harvest is: pages and records of this run so far, `expected` records of the present list.

    `rest`: for how many seconds the server does not want to be asked, said at the end.
    """

    member: str
    pages: int
    records: int
    expected: int | None = None
    run: Run | None = None  # set at the end
    rest: float = 0.0


@dataclass(frozen=True, slots=True)
class HarvestContext:
    """What every member's harvest shares. `why` says why `stop` was set, `verbose` that each step is logged."""

    settings: Settings
    catalogue: Catalogue
    archive: Archive
    stop: threading.Event = field(default_factory=threading.Event)
    report: Callable[[Progress], None] = lambda _progress: None
    verbose: bool = False
    why: Callable[[], str] = lambda: "stopped by the operator"


class MemberRun:
    """One run of one member, from its first request to its last; `with` closes its connections.

    Attributes:
        client: asks the member; each answer is in the archive before it is looked at.
        kept: where the newest answer is; None before the first.
        pages, totals: what was committed so far.
        is_doubtful: whether a list moved so much while it was walked that a comparison should follow soon.
    """

    def __init__(self, context: HarvestContext, member: Member, run_id: int) -> None:
        self.context = context
        self.catalogue = context.catalogue
        self.member = member
        self.id = run_id
        with self.catalogue.read() as connection:
            self._quirks = get_quirks(connection, member)
        settings = context.settings
        insecure = member.care.insecure_until
        trusting = insecure is not None and self.catalogue.now() < insecure
        self.transport = Transport(
            user_agent=settings.user_agent,
            from_email=settings.admin_email,
            max_wait=settings.max_wait,
            stop=context.stop,
            delay=member.care.delay,
            verify=not trusting,
            packed=not self.quirk("identity"),
            allow_private=settings.allow_private,
        )
        self.client: Client[Fetched] = Client(member.base_url, self.transport, self._keep)
        self.client.token_prefix = bool(self.quirk("token-prefix"))
        self.log = structlog.get_logger("harvest").bind(member=member.slug, harvest=run_id)
        if trusting:
            self.log.warning("the certificate is not verified", until=insecure)
        self.kept: Fetched | None = None
        self.pages = 0
        self.is_doubtful = False
        self.totals = Counts()
        self.trace = Trace()
        self._sequence = 0
        self._broken: dict[str, Fetched] = {}  # by address, what came of answers that broke off
        self._noted: dict[tuple[str, str], None] = {}

    def __enter__(self) -> MemberRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    @property
    def stopped(self) -> bool:
        """Whether it is to end at the next opportunity."""
        return self.context.stop.is_set()

    @property
    def stop_reason(self) -> str:
        """Why it is to end, and that nothing is lost."""
        return f"{self.context.why()}; the next harvest goes on from here"

    def quirk(self, name: str) -> str:
        """The value of the member's quirk; empty where it has none of this name."""
        return self._quirks[name].value if name in self._quirks else ""

    def find(self, name: str, value: str, evidence: str) -> None:
        """The quirk is remembered; at once and for the next runs."""
        if self.quirk(name) == value:
            return
        quirk = Quirk(name, value, self.catalogue.now(), evidence)
        self.log.info("quirk found", quirk=name, value=value, evidence=evidence)
        with self.catalogue.write() as connection:
            put_quirk(connection, self.member, quirk)
            self._quirks = get_quirks(connection, self.member)

    def note(self, code: str, cause: str, *, most: int = 1) -> None:
        """The problem will be on record for the member's manager when the run ends, with at `most` so many causes."""
        if (code, cause) not in self._noted and sum(each == code for each, _ in self._noted) < most:
            self._noted[code, cause] = None
            self.log.info("problem", code=code, cause=cause)

    def write_notes(self, connection: Connection) -> None:
        """What was noted is on record."""
        for code, cause in self._noted:
            note_problem(connection, self.id, code, cause)

    def record(self, error: MemberError, list_id: int | None = None) -> None:
        """The newest answer, which held no records because of this error, is on record with its bytes' place."""
        if self.kept is not None:
            text = f"{type(error).__name__}: {error}"
            commit_failed_page(self.catalogue, harvest_id=self.id, list_id=list_id, fetched=self.kept, error=text)

    def fail(self, error: MemberError, *, answered: bool = True) -> None:
        """The error is the run's newest, and a problem of its member; `answered`: it is about the newest answer."""
        about = self.kept if answered else None
        if isinstance(error, BrokenAnswerError):
            about = self._broken.get(error.url)
        self.trace = replace(
            self.trace,
            error_url=error.url or (self.kept.url if self.kept else None),
            error_key=about.archive_key if about else None,
        )
        self.note(code_of(error), str(error), most=MOST_CAUSES)

    def store(
        self,
        state: ListState,
        page: Page,
        kept: Fetched,
        *,
        moves: bool,
        new: int | None = None,
        reached: str | None = None,
        resumed: bool = False,
    ) -> Counts:
        """The page is catalogued, see `commit_page`."""
        counts = commit_page(
            self.catalogue,
            harvest_id=self.id,
            member=self.member,
            list_id=state.id,
            prefix=state.prefix,
            page=page,
            fetched=kept,
            moves=moves,
            new=new,
            reached=reached,
            resumed=resumed,
        )
        self.pages += 1
        self.totals = self.totals + counts
        size = page.token.complete_list_size if page.token else None
        self.context.report(Progress(self.member.slug, self.pages, self.totals.records, size))
        return counts

    def _keep(self, answer: Answer) -> Fetched:
        """The answer's bytes are in the archive, before anybody looks at them; one that broke off is on record, too."""
        if not self._sequence:
            self._sequence = find_last_page(self.context.archive, self.member.slug, self.id)
        self._sequence += 1
        key = page_key(self.member.slug, self.id, self._sequence)
        put_page(self.context.archive, key, answer.body)
        self.kept = Fetched(key, answer.url, answer.status, len(answer.body), answer.fetched_at)
        self.trace = replace(self.trace, first_url=self.trace.first_url or answer.url, last_url=answer.url)
        if answer.redirected and not self.quirk("moved"):
            self.find("moved", answer.url.partition("?")[0], f"{self.member.base_url} leads to {answer.url}")
            self.note("redirected", f"{self.member.base_url} is redirected to {answer.url.partition('?')[0]}")
        if self.transport.only_plain:
            self.find("identity", "yes", self.transport.only_plain)
        if answer.broken:
            self._broken[answer.url] = self.kept
            self.record(BrokenAnswerError(answer))
        return self.kept
