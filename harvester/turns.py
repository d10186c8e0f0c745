"""Harvests in turn: one at a time of each host, whoever wants it, under a lease that lives while there is progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from types import TracebackType
from typing import Literal, TypeVar

import structlog
from sqlalchemy import Connection, update

from harvester.catalogue import leases
from harvester.catalogue.harvests import SUCCESSES, Run
from harvester.catalogue.members import Member, find_due, get_present, set_next_run
from harvester.catalogue.tables import harvests
from harvester.datestamps import format_datestamp, from_epoch
from harvester.errors import ArchiveError, CatalogueError, CatalogueUnavailableError, HarvestSupersededError
from harvester.harvest import harvest_member
from harvester.owners import new_owner
from harvester.reconcile import reconcile_member
from harvester.run import HarvestContext, Progress
from harvester.schedule import DAY, spread_of

RENEW_SECONDS = 20
_LOOK_SECONDS = 1
_LONGEST_PAUSE = 30  # before the catalogue is tried again

Value = TypeVar("Value")


@dataclass(eq=False, slots=True)
class Turn:
    """The right to ask a host, ours until it ends. `closes`: when the member's window does; None: never.

    `ending` says why it was asked to end at the next page.
    """

    host: str
    owner: str
    closes: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    ending: Literal["", "stopped", "closed", "paused", "lost"] = ""
    member: Member | None = None  # who is asked now
    was_due: int | None = None  # when that one was due, as its harvest began
    rest: int = 0  # seconds in which its server does not want to be asked, a day at most

    def end(self, why: Literal["stopped", "closed", "paused", "lost"]) -> None:
        """The harvest is asked to end at its next page."""
        self.ending = why
        self.stop.set()

    def why(self) -> str:
        """What it was asked to end for, in words."""
        window = self.member.care.window if self.member else ""
        return {
            "closed": f"its window {window} has closed",
            "paused": "the member was paused",
            "lost": "its host's turn was given to another process",
        }.get(self.ending, "stopped by the operator")


class Turns:
    """This process's turns. While it is entered, a thread renews their leases, ends those whose window closes, and
    fails the runs of anybody that make no progress."""

    def __init__(self, context: HarvestContext) -> None:
        self._context = context
        self._catalogue = context.catalogue
        self._stall = context.settings.stall_minutes * 60
        self._log = structlog.get_logger("turns")
        self._lock = threading.Lock()
        self._turns: set[Turn] = set()
        self._renewals: set[Callable[[Connection, int], None]] = set()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Turns:
        self._keeper.start()
        threading.Thread(target=self._pass_stop_on, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._keeper.join()

    def claim_due(self) -> tuple[Member, Turn] | None:
        """The member that is due, and its host's turn; None where nobody is."""
        owner = new_owner()
        now = self._catalogue.now()
        with self._catalogue.write(beside=True) as connection:
            member = leases.claim_due(connection, owner, now)
        if member is None:
            return None
        window = member.care.schedule.find_window(now)
        turn = Turn(member.host, owner, window[1] if window else None)
        wish = f"{member.care.window} {member.care.timezone}" if window else "always"
        until = format_datestamp(from_epoch(window[1])) if window else None
        self._log.info("claimed", member=member.slug, host=member.host, window=wish, open_until=until)
        return member, turn

    def wait_for(self, host: str) -> Turn | None:
        """The host's turn, when nobody else has it any more; None if we were stopped before."""
        turn, waiting = Turn(host, new_owner()), False
        while not self._context.stop.is_set():
            holder = self.insist(
                lambda connection: leases.claim_host(connection, turn.owner, host, self._catalogue.now()), beside=True
            )
            if holder in {None, turn.owner}:  # ours already, where the catalogue went away as it gave it to us
                return turn
            if not waiting:
                waiting = True
                name = ":".join(holder.split(":")[:2])
                self._log.warning("another process asks this host; waiting for it to end", host=host, process=name)
            self._context.stop.wait(_LOOK_SECONDS)
        return None

    @contextmanager
    def kept(self, turn: Turn) -> Iterator[None]:
        """The turn's lease is renewed, and given back at the end."""
        with self._lock:
            self._turns.add(turn)
        if self._context.stop.is_set():
            turn.end("stopped")
        try:
            yield
        finally:
            with self._lock:
                self._turns.discard(turn)
            self.insist(lambda connection: leases.release(connection, turn.owner, turn.host), beside=True)

    def insist(self, write: Callable[[Connection], Value], *, beside: bool = False) -> Value:
        """What `write` returned of its transaction, which is begun again until the catalogue can be reached.

        It may have been done once already, where the connection broke as it was committed.

        Raises:
            CatalogueError: the catalogue refuses, or cannot be reached and we are told to stop.
        """
        pause = 1
        while True:
            try:
                with self._catalogue.write(beside=beside) as connection:
                    return write(connection)
            except CatalogueUnavailableError as error:
                if self._context.stop.is_set():
                    raise
                self._log.warning("waiting for the catalogue", error=str(error))
            self._context.stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @contextmanager
    def renewing(self, renew: Callable[[Connection, int], None]) -> Iterator[None]:
        """Whatever lease this renews is kept, too."""
        with self._lock:
            self._renewals.add(renew)
        try:
            yield
        finally:
            with self._lock:
                self._renewals.discard(renew)

    def harvest(self, turn: Turn, member: Member, *, full: bool = False, last: bool = False) -> Run:
        """The member's run, ended, and on record with when it is due next; with `last`, the turn is given back.

        Where the catalogue is away for a while, this is a later run, which went on from where that left the member.

        Raises:
            CatalogueError, ArchiveError: ours; the member is tried again after a pause, as after a failure of its own,
                or stays due where the whole archive is away.
        """
        turn.member = member
        turn.was_due = self.insist(lambda connection: find_due(connection, member), beside=True)

        def harvest_once(begun: bool) -> Run:
            return harvest_member(self._context_of(turn), member, full=full and not begun)

        try:
            run = self._outlive(turn, member, harvest_once)
        except Exception as error:
            self._end_open_run(turn, member, error, failed=not self._is_outage(error))
            raise

        def settle(connection: Connection) -> Run:
            settled = self._settle(connection, turn, member, run)
            if last:
                leases.release(connection, turn.owner, turn.host)
            return settled

        return self.insist(settle)

    def _outlive(self, turn: Turn, member: Member, attempt: Callable[[bool], Run]) -> Run:
        """The run of an attempt that the catalogue was there for; each is told whether one before it had begun."""
        begun, pause = False, 1
        while True:
            try:
                return attempt(begun)
            except CatalogueUnavailableError as error:
                self._log.warning("waiting for the catalogue", member=member.slug, error=str(error))
                away = str(error)
            self._context.stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            begun = self.insist(lambda connection: self._end_cut_off(connection, turn, member, away)) or begun  # noqa: B023 - called at once

    def _end_cut_off(self, connection: Connection, turn: Turn, member: Member, away: str) -> bool:
        """The run that the catalogue was not there for has ended; whether there was one.

        Raises:
            HarvestSupersededError: others have the host's turn by now, and see to the run.
        """
        now = self._catalogue.now()
        leases.renew(connection, turn.owner, turn.host, now)
        run_id = leases.find_open_run(connection, member)
        if run_id:
            leases.end_run(connection, member, run_id, "incomplete", f"{away}; it went on from its last page", now)
        return run_id is not None

    def reconcile(self, turn: Turn, member: Member) -> Run:
        """The member's reconciliation, ended; when the next one is due is its own affair, but for its server's rest.

        Raises:
            CatalogueError, ArchiveError: ours; the run is ended, and a later one goes on.
        """
        try:
            run = self._outlive(turn, member, lambda _begun: reconcile_member(self._context_of(turn), member))
        except Exception as error:
            self._end_open_run(turn, member, error)
            raise
        if turn.rest:
            self.insist(lambda connection: self._rest(connection, turn, member))
        return run

    def _rest(self, connection: Connection, turn: Turn, member: Member) -> None:
        """The member is not due before its server has rested."""
        now = self._catalogue.now()
        if self._is_ours(connection, turn, now):
            schedule = get_present(connection, member).care.schedule
            rested = schedule.open_from(now + turn.rest, spread_of(member.slug))
            set_next_run(connection, member, max(rested, find_due(connection, member)))

    def _context_of(self, turn: Turn) -> HarvestContext:
        return replace(
            self._context, stop=turn.stop, why=turn.why, report=lambda progress: self._report(turn, progress)
        )

    def _settle(self, connection: Connection, turn: Turn, member: Member, run: Run) -> Run:
        now = self._catalogue.now()
        if not self._is_ours(connection, turn, now):
            return run
        member = get_present(connection, member)
        schedule, spread = member.care.schedule, spread_of(member.slug)
        if run.outcome in SUCCESSES:
            moment = schedule.next_run(run.started_at, spread=spread)
            next_run = set_next_run(connection, member, moment, failures=0, was_due=turn.was_due)
        elif turn.ending == "closed":
            next_run = set_next_run(connection, member, schedule.open_from(now + turn.rest, spread))
            run = replace(run, error=f"its window {member.care.window} has closed; goes on at {_time(next_run)}")
            connection.execute(update(harvests).where(harvests.c.id == run.id).values(error=run.error))
        elif turn.ending in {"stopped", "paused"}:
            return run  # it stays due
        else:
            next_run = leases.settle_failure(connection, member, now, turn.was_due, rest=turn.rest)
        self._log.info("settled", member=member.slug, harvest=run.id, outcome=run.outcome, next_run=_time(next_run))
        return run

    def _end_open_run(self, turn: Turn, member: Member, error: Exception, *, failed: bool = False) -> None:
        with self._catalogue.write() as connection:
            now = self._catalogue.now()
            if self._is_ours(connection, turn, now):
                if run_id := leases.find_open_run(connection, member):
                    leases.end_run(connection, member, run_id, "incomplete", str(error), now)
                if failed:
                    leases.settle_failure(connection, member, now, turn.was_due)

    def _is_outage(self, error: Exception) -> bool:
        """Whether it is the whole archive's, so that the member has no part in it."""
        if isinstance(error, ArchiveError):
            try:
                self._context.archive.check()
            except ArchiveError:
                return True
        return False

    def _is_ours(self, connection: Connection, turn: Turn, now: int) -> bool:
        """Whoever has the turn now settles the member."""
        try:
            leases.renew(connection, turn.owner, turn.host, now)
        except HarvestSupersededError:
            return False
        return True

    def _report(self, turn: Turn, progress: Progress) -> None:
        turn.rest = min(ceil(progress.rest), DAY)
        self._end_closed(turn, self._catalogue.now())
        self._context.report(progress)

    def _end_closed(self, turn: Turn, now: int) -> None:
        if turn.closes is not None and now >= turn.closes and not turn.ending:
            self._log.info("the window has closed", host=turn.host)
            turn.end("closed")

    def _pass_stop_on(self) -> None:
        self._context.stop.wait()
        with self._lock:
            for turn in self._turns:
                turn.end("stopped")

    def _keep(self) -> None:
        renewed = self._catalogue.now()
        every = min(RENEW_SECONDS, self._stall / 4)
        while not self._over.wait(min(_LOOK_SECONDS, every)):
            now = self._catalogue.now()
            with self._lock:
                turns, renewals = tuple(self._turns), tuple(self._renewals)
            for turn in turns:
                self._end_closed(turn, now)
            if now >= renewed + every and (turns or renewals):
                renewed = now
                try:
                    self._renew(turns, renewals, now)
                except CatalogueError as error:  # the leases live for a while yet
                    self._log.warning("the leases could not be renewed", error=str(error))

    def _renew(
        self, turns: tuple[Turn, ...], renewals: tuple[Callable[[Connection, int], None], ...], now: int
    ) -> None:
        with self._catalogue.write() as connection:
            for member in leases.end_stalled(connection, now, self._stall):
                self._log.warning("a harvest made no progress and was ended", member=member.slug, host=member.host)
            for turn in turns:
                if not self._is_ours(connection, turn, now):
                    turn.end("lost")
                elif turn.member and not turn.member.care.paused and get_present(connection, turn.member).care.paused:
                    self._log.info("the member was paused", member=turn.member.slug)
                    turn.end("paused")
            for renew in renewals:
                renew(connection, now)


def _time(moment: int) -> str:
    return format_datestamp(from_epoch(moment))
