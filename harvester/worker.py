"""The worker: it harvests who is due, hosts side by side, and does the network's jobs, until it is stopped.

Any number of workers may run on one catalogue, and each may be killed at any moment: what they do is in rows with
leases, and the next one goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy import Connection

from harvester.catalogue.harvests import SUCCESSES
from harvester.catalogue.jobs import claim_jobs, finish_job, renew_job
from harvester.catalogue.members import Member
from harvester.catalogue.reconciliations import is_reconcile_due, plan_reconciliations
from harvester.errors import ArchiveError, CatalogueError, CatalogueUnavailableError
from harvester.logs import told
from harvester.owners import new_owner
from harvester.run import HarvestContext
from harvester.schedule import Schedule
from harvester.side_by_side import HOSTS_AT_ONCE
from harvester.turns import Turn, Turns

_LOOK_SECONDS = 2
_MORE_AT_A_LOOK = 4  # hosts at most that a worker takes on beside those it has: so that others get theirs


@dataclass(frozen=True, slots=True)
class Job:
    """Something done for the whole network, so many seconds after it was done last, or by a rule such as a member's.

    It may be killed and run again. What `run` returns is amiss, and kept with the job for the operator. With `once`,
    those of an earlier `wave` have ended before it begins: it shows what they bring.
    """

    name: str
    every_seconds: int
    run: Callable[[HarvestContext], str | None]
    rule: str = ""
    wave: int = 0

    def next_run(self, now: int) -> int:
        """When it is due, once done."""
        return Schedule(self.rule).next_run(now) if self.rule else now + self.every_seconds


def work(
    context: HarvestContext, *, at_once: int = HOSTS_AT_ONCE, once: bool = False, jobs: Sequence[Job] = ()
) -> None:
    """Members were harvested as they were due, and jobs done, until `context.stop`; harvests ended at a page then.

    With `once`, until nobody is due, and each job that is due was done after that. What a member or a job does never
    stops the others.
    """
    with Turns(context) as turns:
        _Worker(context, turns, at_once, jobs).run(once=once)


def _plan(context: HarvestContext) -> None:
    with context.catalogue.write() as connection:
        plan_reconciliations(connection, context.catalogue.now())


_PLAN = Job("plan-reconciliations", 3600, _plan)


class _Worker:
    def __init__(self, context: HarvestContext, turns: Turns, at_once: int, jobs: Sequence[Job]) -> None:
        self._context = context
        self._catalogue = context.catalogue
        self._turns = turns
        self._at_once = at_once
        self._jobs = {job.name: job for job in (_PLAN, *jobs)}
        self._log = structlog.get_logger("worker")
        self._ended: SimpleQueue[object] = SimpleQueue()
        self._harvests: set[Turn] = set()
        self._most = 0  # harvests for now, and when that was said
        self._said_at = -float(_LOOK_SECONDS)
        self._working = 0  # jobs
        self._archive_away = threading.Event()

    def run(self, *, once: bool) -> None:
        threading.Thread(target=self._wake, daemon=True).start()
        waves = sorted({job.wave for job in self._jobs.values()})
        while True:
            stopped = self._context.stop.is_set()
            if not stopped:
                looked = self._look(self._claim)
                if not once:
                    self._look(lambda: self._start_jobs(self._jobs))
                elif looked and not self._harvests and not self._working and waves:
                    of_wave = [name for name, job in self._jobs.items() if job.wave == waves[0]]
                    if self._look(lambda: self._start_jobs(of_wave)):  # noqa: B023 - called at once
                        waves.pop(0)
            if not self._harvests and not self._working and (stopped or (once and not waves)):
                return
            self._wait()

    def _look(self, at: Callable[[], None]) -> bool:
        """Whether the catalogue is not away; else it is looked at again in a while."""
        try:
            at()
        except CatalogueError as error:
            self._log.error("the catalogue does not answer", error=str(error))
            return not isinstance(error, CatalogueUnavailableError)
        return True

    def _claim(self) -> None:
        if time.monotonic() - self._said_at >= _LOOK_SECONDS:
            self._said_at = time.monotonic()
            self._most = min(len(self._harvests) + _MORE_AT_A_LOOK, self._at_once)
        while len(self._harvests) < self._most and not (self._context.stop.is_set() or self._archive_away.is_set()):
            claimed = self._turns.claim_due()
            if claimed is None:
                return
            member, turn = claimed
            self._harvests.add(turn)
            # A daemon: who interrupts us does not wait for servers.
            threading.Thread(target=self._harvest, args=(member, turn), daemon=True).start()

    def _harvest(self, member: Member, turn: Turn) -> None:
        try:
            with self._turns.kept(turn):
                with self._catalogue.read() as connection:
                    to_reconcile = is_reconcile_due(connection, member, self._catalogue.now())
                run = self._turns.harvest(turn, member, last=not to_reconcile)
                if to_reconcile and run.outcome in SUCCESSES and not turn.stop.is_set():
                    self._turns.reconcile(turn, member)
        except CatalogueUnavailableError as error:  # it is due as before
            self._log.error("a harvest was left", member=member.slug, error=str(error))
        except ArchiveError as error:
            self._log.error("a harvest was ended", member=member.slug, error=str(error))
            self._archive_away.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._log.error("a harvest died", member=member.slug, exc_info=error)
        finally:
            self._ended.put(turn)
        if self._archive_away.is_set():
            self._wait_for_archive()

    def _wait_for_archive(self) -> None:
        """Until it answers again; nobody is asked meanwhile for what could not be kept."""
        while not self._context.stop.is_set():
            try:
                self._context.archive.check()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing could be kept
                self._log.warning("waiting for the archive", error=str(error) or type(error).__name__)
                self._context.stop.wait(_LOOK_SECONDS)
            else:
                self._archive_away.clear()
                return

    def _start_jobs(self, names: Iterable[str]) -> None:
        owner, now = new_owner(), self._catalogue.now()
        with self._catalogue.write(beside=True) as connection:
            claimed = claim_jobs(connection, names, owner, now)
        for name in claimed:
            self._working += 1
            threading.Thread(target=self._do, args=(self._jobs[name], owner), daemon=True).start()

    def _do(self, job: Job, owner: str) -> None:
        error: str | None = None
        try:
            with self._turns.renewing(lambda connection, now: renew_job(connection, job.name, owner, now)):
                error = job.run(self._context)
        except Exception as died:  # noqa: BLE001 - as above; it is kept, logged, and tried again
            error = str(died) or type(died).__name__
            self._log.error("a job failed", job=job.name, **told(died))
        try:
            self._turns.insist(lambda connection: self._finish(connection, job, owner, error), beside=True)
        except CatalogueError as refused:  # its lease runs out
            self._log.error("the catalogue does not answer", job=job.name, error=str(refused))
        finally:
            self._ended.put(job)

    def _finish(self, connection: Connection, job: Job, owner: str, error: str | None) -> None:
        now = self._catalogue.now()
        finish_job(connection, job.name, owner, now, next_run=job.next_run(now), error=error)

    def _wait(self) -> None:
        """Until something has ended, or for a while; a stuck thread whose turn others have now is not waited for."""
        try:
            ended = self._ended.get(timeout=_LOOK_SECONDS)
        except Empty:
            ended = None
        if isinstance(ended, Job):
            self._working -= 1
        self._harvests = {turn for turn in self._harvests if turn is not ended and turn.ending != "lost"}

    def _wake(self) -> None:
        self._context.stop.wait()
        self._ended.put(None)
