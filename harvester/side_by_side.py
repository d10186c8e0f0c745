"""Many members at once: hosts side by side, the members of one host in turn, on two processors where that pays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from queue import SimpleQueue
from typing import TypeAlias, cast

import structlog

from harvester.archive import open_archive_of
from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import Run
from harvester.catalogue.members import Member
from harvester.errors import LumbungError
from harvester.logs import set_up_logging, told
from harvester.processes import end_with_parent, share_memory
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
    """What the other process is given. `sender` takes what it has to tell."""

    settings: Settings
    verbose: bool
    threads: int
    full: bool
    stop: threading.Event
    sender: Connection


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
    share_memory()
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
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit the open catalogue
    # What processes share takes another process to look after it: not where there is one alone.
    counter = spawn.Value("i", 0) if share else None
    waiting = iter(hosts)

    def take() -> Sequence[Member] | None:
        return next(waiting, None) if counter is None else _take(hosts, counter)

    events: SimpleQueue[_Ended | Progress | _Left] = SimpleQueue()
    # Daemons all: who interrupts this does not wait for servers.
    mine = (turns, take, full, events.put)
    workers = [threading.Thread(target=_work, args=mine, daemon=True) for _ in range(at_once - share)]
    if share:
        receiver, sender = spawn.Pipe(duplex=False)
        stop = cast("threading.Event", spawn.Event())  # it has the same methods
        its = _Share(context.settings, context.verbose, share, full, stop, sender)
        process = spawn.Process(target=_work_apart, args=(its, hosts, counter), daemon=True)
        process.start()
        sender.close()  # so that the other end closes when the process is gone, however it went
        workers.append(threading.Thread(target=_relay, args=(process, receiver, events.put), daemon=True))
        threading.Thread(target=_pass_on, args=(context.stop, stop), daemon=True).start()
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


def _pass_on(stop: threading.Event, to: threading.Event) -> None:
    stop.wait()
    to.set()


def _take(hosts: Sequence[Sequence[Member]], counter: Synchronized[int]) -> Sequence[Member] | None:
    """The next host's members; None where none is left."""
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    return hosts[number] if number < len(hosts) else None


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


def _relay(process: BaseProcess, receiver: Connection, emit: _Emit) -> None:
    """What the other process tells is told here; when it has gone, one worker has left."""
    try:
        while True:
            emit(receiver.recv())
    except EOFError:
        process.join()
    if process.exitcode == 0:
        emit(_Left())
    else:
        emit(_Left(LumbungError("a harvesting process died; `lumbung harvest` goes on where it was")))


def _work_apart(share: _Share, hosts: Sequence[Sequence[Member]], counter: Synchronized[int]) -> None:
    """The other process: threads, a catalogue and an archive of its own, and the same hosts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both of us; `stop` says what it means
    end_with_parent()
    share_memory()
    set_up_logging(verbose=share.verbose, log_format=share.settings.log_format)
    sending = threading.Lock()

    def emit(event: _Ended | Progress | _Left) -> None:
        with sending:
            share.sender.send(event)

    settings = share.settings
    catalogue = open_catalogue(settings.catalogue_url)
    context = HarvestContext(settings, catalogue, open_archive_of(settings), share.stop, emit)
    events: SimpleQueue[_Ended | Progress | _Left] = SimpleQueue()
    with Turns(context) as turns:
        for _ in range(share.threads):
            arguments = (turns, lambda: _take(hosts, counter), share.full, events.put)
            threading.Thread(target=_work, args=arguments).start()
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
