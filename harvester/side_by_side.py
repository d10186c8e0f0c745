"""Many members at once: hosts side by side, the members of one host in turn, on two processors where that pays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from queue import SimpleQueue
from typing import Any, TypeAlias

import structlog

from harvester.archive import open_archive_of
from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import Run
from harvester.catalogue.members import Member
from harvester.errors import LumbungError
from harvester.logs import set_up_logging, told
from harvester.processes import use_many_threads
from harvester.run import HarvestContext, Progress
from harvester.settings import Settings
from harvester.turns import Turns

HOSTS_AT_ONCE = 16
# Python runs one thread at a time, and a page costs it several milliseconds: a second process helps as soon
# as there are more hosts than pay for its start (0.6 s).
_HOSTS_FOR_TWO = 8


@dataclass(frozen=True, slots=True)
class _Left:
    """A worker has nothing more to do, or died of an error of our own."""

    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Share:
    """What the other process is given at its start."""

    settings: Settings
    verbose: bool
    threads: int
    full: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The other process asks for a host's members."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """The other process is to stop."""


_Ended: TypeAlias = tuple[Member, Run]
_Take: TypeAlias = Callable[[], Sequence[Member] | None]
_Emit: TypeAlias = "Callable[[_Ended | Progress | _Left], None]"


def harvest_members(
    context: HarvestContext, members: Iterable[Member], *, full: bool = False, at_once: int = HOSTS_AT_ONCE
) -> Iterator[_Ended]:
    """Each member with its ended run, in the order in which they end.

    Members of different hosts are harvested side by side, `at_once` hosts at a time; those of one host in
    turn, once no other process asks it. What one member does never stops the others.

    Raises:
        LumbungError: an error of our own, after all others have ended.
    """
    use_many_threads()
    with Turns(context) as turns:
        yield from _harvest_members(context, turns, members, full=full, at_once=at_once)


def _harvest_members(
    context: HarvestContext, turns: Turns, members: Iterable[Member], *, full: bool, at_once: int
) -> Iterator[_Ended]:
    by_host: dict[str, list[Member]] = {}
    for member in members:
        by_host.setdefault(member.host, []).append(member)
    hosts = list(by_host.values())
    at_once = min(at_once, len(hosts))
    spread = len(hosts) >= _HOSTS_FOR_TWO and at_once > 1 and (os.cpu_count() or 1) > 1
    share = at_once // 2 if spread else 0
    waiting = iter(hosts)

    def take() -> Sequence[Member] | None:
        return next(waiting, None)

    events: SimpleQueue[_Ended | Progress | _Left] = SimpleQueue()
    # Daemons all: who interrupts this does not wait for servers.
    mine = (turns, take, full, events.put)
    workers = [threading.Thread(target=_work, args=mine, daemon=True) for _ in range(at_once - share)]
    if share:
        other = _Other(_Share(context.settings, context.verbose, share, full))
        workers.append(threading.Thread(target=other.relay, args=(take, events.put), daemon=True))
        threading.Thread(target=other.pass_on, args=(context.stop,), daemon=True).start()
    for worker in workers:
        worker.start()
    errors = []
    working = len(workers)
    while working:
        event = events.get()
        if isinstance(event, _Left):
            working -= 1
            errors += [event.error] if event.error else []
        elif isinstance(event, Progress):
            context.report(event)
        else:
            yield event
    if errors:
        raise errors[0]  # never of a member: it must be seen


def _work(turns: Turns, take: _Take, full: bool, emit: _Emit) -> None:
    """One host after the other, until none is left."""
    try:
        while (of_host := take()) and (turn := turns.wait_for(of_host[0].host)):
            with turns.kept(turn):
                for member in of_host:
                    if turn.stop.is_set():
                        break
                    emit((member, turns.harvest(turn, member, full=full, last=member is of_host[-1])))
    except Exception as error:  # noqa: BLE001 - whatever it is, the main thread raises it
        emit(_Left(error))
    else:
        emit(_Left())


class _Other:
    """The other process, as this one sees it. It ends when this one does, however that went.

    Neither forked, as it would inherit the open catalogue, nor started by `multiprocessing`, whose tracker is a
    third process of 8 MB.
    """

    def __init__(self, share: _Share) -> None:
        self._line, its = Pipe()
        self._sending = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [
                sys.executable,
                "-P",
                "-c",
                f"from harvester import side_by_side; side_by_side.work_apart({its.fileno()})",
            ],
            pass_fds=[its.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        its.close()  # so that the line ends with the process
        self._tell(share)

    def relay(self, take: _Take, emit: _Emit) -> None:
        """It is given hosts as it asks; what else it tells is told here. When it has gone, one worker has left."""
        try:
            while True:
                event = self._line.recv()
                if isinstance(event, _Wanted):
                    self._tell(take())
                else:
                    emit(event)
        except (EOFError, ConnectionError):
            status = self._process.wait()
        died = LumbungError("a harvesting process died; `lumbung harvest` goes on where it was")
        emit(_Left(died if status else None))

    def pass_on(self, stop: threading.Event) -> None:
        """It is told to stop when we are."""
        stop.wait()
        self._tell(_Stop())

    def _tell(self, message: object) -> None:
        with self._sending, suppress(ConnectionError):  # `relay` sees that it has gone
            self._line.send(message)


def work_apart(file: int) -> None:
    """The other process, whose line to the first is this open file: threads, a catalogue and an archive of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both of us; `_Stop` says what it means
    use_many_threads()
    line: Connection[Any, Any] = Connection(file)
    sending = threading.Lock()

    def emit(event: _Ended | Progress | _Wanted) -> None:
        with sending:
            line.send(event)

    share: _Share = line.recv()
    settings = share.settings
    set_up_logging(verbose=share.verbose, log_format=settings.log_format)
    stop = threading.Event()
    given: SimpleQueue[Sequence[Member] | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(line, stop, given.put), daemon=True).start()

    def take() -> Sequence[Member] | None:
        emit(_Wanted())
        return given.get()

    catalogue = open_catalogue(settings.catalogue_url)
    context = HarvestContext(settings, catalogue, open_archive_of(settings), stop, emit)
    events: SimpleQueue[_Ended | Progress | _Left] = SimpleQueue()
    with Turns(context) as turns:
        for _ in range(share.threads):
            threading.Thread(target=_work, args=(turns, take, share.full, events.put)).start()
        left = 0
        while left < share.threads:
            event = events.get()
            if not isinstance(event, _Left):
                emit(event)
                continue
            left += 1
            if event.error:
                structlog.get_logger("harvest").error("a harvest died", **told(event.error))
                raise SystemExit(1)
    catalogue.close()


def _listen(line: Connection[Any, Any], stop: threading.Event, give: Callable[[Sequence[Member] | None], None]) -> None:
    """What the first process says is heeded until it is gone: then so are we."""
    try:
        while True:
            message = line.recv()
            if isinstance(message, _Stop):
                stop.set()
            else:
                give(message)
    except (EOFError, ConnectionError):
        os._exit(1)
