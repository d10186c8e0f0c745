"""Names of processes, by which others on the same machine see whether one still lives."""

from __future__ import annotations

import os
import secrets
import socket
from hashlib import blake2b
from pathlib import Path


def new_owner() -> str:
    """A name that no other turn of this or another process has: `host:pid:...`."""
    pid = os.getpid()
    return f"{socket.gethostname()[:48]}:{pid}:{_place()}-{_started(pid)}-{secrets.token_hex(4)}"


def is_gone(owner: str) -> bool:
    """Whether the process of this name has ended for sure; False also where that cannot be known from here."""
    _, pid, rest = owner.rsplit(":", 2)
    place, started, _ = rest.split("-")
    return bool(place) and place == _place() and not _is_running(int(pid), started)


def _place() -> str:
    """One boot of one machine, and one space of process ids in it; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return blake2b((boot + space).encode(), digest_size=6).hexdigest()


def _is_running(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return _started(pid) in {started, ""}


def _started(pid: int) -> str:
    """When the process began, in ticks since the boot: a pid is given again. `dead` for one that only waits to be
    buried by its parent; empty where that cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the program's name before it may hold anything
    return "dead" if fields[0] in "ZX" else fields[19]
