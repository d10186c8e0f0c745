"""A child process that reads, asked file by file; what kills it costs one file."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from harvester.reading.outcome import Limits, Problem, Reading, State, Unreadable
from harvester.reading.sniffing import HEAD, sniff

_FILES = 2_000  # that one child reads: what a library forgets to free does not add up
_LOOK = 0.02  # seconds between two looks at the child's memory
_GRACE = 2.0  # seconds until a child that does not end itself in time is ended
_BLOCK = 1 << 20
_FROM_OUTSIDE = frozenset(map(int.__neg__, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))


def read_file(path: Path, media_type: str = "", limits: Limits | None = None) -> Reading:
    """The file as a child of its own reads it; see `Reader`, which does for many files."""
    with Reader(limits) as reader:
        return reader.read(path, media_type)


class Reader:
    """Reads files one after the other in a child process, which is replaced after a crash and after many files.

    For one thread at a time. The child is there from the first file on, and gone with the `with` block.
    """

    def __init__(self, limits: Limits | None = None, *, files: int = _FILES) -> None:
        self._limits = limits or Limits()
        self._most = files
        self._read = 0
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that reads now, None where there is none."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """The child is gone; the next file starts another one."""
        if self._child:
            self._child.kill()
            self._child.communicate()
        self._child = None

    def read(self, path: Path, media_type: str = "") -> Reading:
        """The file's state, and its text where it has one.

        Whatever is wrong with the file is a state; a file that is not there or may not be read is an OSError.

        Args:
            media_type: as the server declared it; the content decides where it can.
        """
        if path.stat().st_size > self._limits.size:
            return Reading(state="too-big", media_type=_sniff_file(path))
        answer, doubtful = self._read_once(path, media_type)
        return self._read_once(path, media_type)[0] if doubtful else answer

    def _read_once(self, path: Path, media_type: str) -> tuple[Reading, bool]:
        """What came of it, and whether that may be no fault of the file, and a new child is to say.

        Memory is short, too, where files before have left little; and who stops us may end the child first.
        """
        child = self._get_child()
        used = self._read > 0
        question = {"path": str(path.absolute()), "media_type": media_type}
        try:
            answer = self._ask(child, json.dumps(question).encode() + b"\n")
        except Unreadable as why:
            problems: tuple[Problem, ...] = ("crashed",) if why.state == "damaged" else ()
            ended = child.poll() in _FROM_OUTSIDE
            self.close()
            reading = Reading(state=why.state, media_type=_sniff_file(path), problems=problems)
            return reading, ended or (used and why.state == "too-big")
        except BaseException:
            self.close()  # half an answer must not become part of the next one
            raise
        self._read += 1
        doubtful = used and answer.state == "too-big"
        if doubtful:
            self.close()
        return answer, doubtful

    def _get_child(self) -> subprocess.Popen[bytes]:
        if self._child and (self._read >= self._most or self._child.poll() is not None):
            self.close()
        if self._child is None:
            # nothing of the settings, with their keys and passwords, is where strangers' files are read
            environment = {"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"}
            self._child = subprocess.Popen(  # noqa: S603  # our own module, and nothing of the file
                [sys.executable, "-P", "-m", "harvester.reading.child", json.dumps(asdict(self._limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=environment,
                start_new_session=True,  # Ctrl+C is its parent's affair
            )
            self._read = 0
        return self._child

    def _ask(self, child: subprocess.Popen[bytes], question: bytes) -> Reading:
        if child.stdin is None or child.stdout is None:
            raise AssertionError("the child was started with pipes")
        end = time.monotonic() + self._limits.seconds + _GRACE
        try:
            child.stdin.write(question)
        except BrokenPipeError:
            raise Unreadable(_cause_of_death(child.wait())) from None
        received = bytearray()
        while (line := received.find(b"\n")) < 0:
            received += self._receive(child, child.stdout.fileno(), end)
        fields = json.loads(received[:line])
        size = fields["text"]
        del received[: line + 1]
        while len(received) < size:
            received += self._receive(child, child.stdout.fileno(), end)
        fields["text"] = received.decode()
        fields["page_starts"] = tuple(fields["page_starts"])
        fields["problems"] = tuple(fields["problems"])
        return Reading(**fields)

    def _receive(self, child: subprocess.Popen[bytes], pipe: int, end: float) -> bytes:
        """The next bytes of the answer.

        Raises:
            Unreadable: there will be none, as the child is dead or must die.
        """
        while not select.select([pipe], [], [], _LOOK)[0]:
            if _resident(child.pid) > self._limits.memory:
                raise Unreadable("too-big")
            if time.monotonic() > end:
                raise Unreadable("too-long")
        block = os.read(pipe, _BLOCK)
        if not block:
            raise Unreadable(_cause_of_death(child.wait()))
        return block


def _sniff_file(path: Path) -> str:
    with path.open("rb") as file:
        return sniff(file.read(HEAD))


def _cause_of_death(code: int) -> State:
    return "too-long" if code == -signal.SIGALRM else "damaged"  # the clock that it set itself


def _resident(pid: int) -> int:
    """Bytes of memory that the process has resident; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
