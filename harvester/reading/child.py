"""The process that reads files for another one, and dies of those that kill it: `python -m harvester.reading.child`.

Questions come on stdin, a line of JSON each; an answer is a line of JSON with the length of the text, then the text.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
from pathlib import Path

from harvester.reading.language import guess_language
from harvester.reading.outcome import Limits, Problem, Raw, Reading, State, Unreadable
from harvester.reading.pdf import read_pdf
from harvester.reading.printed import drop_running_lines, join_words
from harvester.reading.sniffing import DOCX, EPUB, HEAD, HTML, PDF, TEXT, ZIP, sniff

_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\xad": ""}
_CHANGED = re.compile("[\ufb00-\ufb04\xad]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]+")
_SCANNED = 0.9  # share of the pages that are pictures


def main() -> None:
    """Every question on stdin has its answer on stdout; nothing that a library prints comes between."""
    limits = Limits(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _limit_itself(limits)
    for line in sys.stdin.buffer:
        question = json.loads(line)
        # The kernel's own clock: it ends this process even in the midst of a library, and with no parent left.
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        reading = _read(Path(question["path"]), question["media_type"], limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        text = reading.text.encode()
        header = {name: getattr(reading, name) for name in Reading.__slots__} | {"text": len(text)}
        answers.write(json.dumps(header).encode() + b"\n" + text)
        answers.flush()


def _limit_itself(limits: Limits) -> None:
    """It writes no file and no core; more memory than it may have resident twice over is refused to it at once."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return  # not Linux: there the parent alone watches
    most = pages * resource.getpagesize() + 2 * limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _read(path: Path, declared: str, limits: Limits) -> Reading:
    with path.open("rb") as file:
        media_type = sniff(file.read(HEAD))
    if media_type == TEXT and declared == HTML:
        media_type = HTML  # a page that begins in its midst
    try:
        if media_type in {ZIP, DOCX, EPUB}:
            media_type, raw = _read_package(path, media_type, limits)
        elif media_type == PDF:
            raw = read_pdf(path, limits)
        else:
            raw = _read_page(path, media_type, limits)
    except Unreadable as why:
        return Reading(state=why.state, media_type=media_type)
    except MemoryError:
        return Reading(state="too-big", media_type=media_type)
    return _judge(media_type, raw, limits)


def _read_package(path: Path, media_type: str, limits: Limits) -> tuple[str, Raw]:
    from harvester.reading.packages import find_package, read_docx, read_epub  # noqa: PLC0415  # lxml, for few files

    kind = find_package(path)
    if kind is None:
        return media_type, _unsupported()
    return (DOCX, read_docx(path, limits)) if kind == "docx" else (EPUB, read_epub(path, limits))


def _read_page(path: Path, media_type: str, limits: Limits) -> Raw:
    if path.stat().st_size == 0:
        raise Unreadable("empty")
    if media_type == TEXT:
        with path.open("rb") as file:
            pages = _decode(file.read(4 * limits.characters)).split("\f")
        return Raw(pages[: limits.pages], len(pages))
    if media_type != HTML:
        return _unsupported(path)
    from harvester.reading.web_page import main_text  # noqa: PLC0415  # lxml, for few files

    if path.stat().st_size > limits.page_size:
        raise Unreadable("too-big")
    return Raw([main_text(path.read_bytes())], 1)


def _unsupported(path: Path | None = None) -> Raw:
    """Never returns: a Word file with a password is an old container with this part in it."""
    if path is not None:
        with path.open("rb") as file:
            if "EncryptedPackage".encode("utf-16-le") in file.read(1_000_000):
                raise Unreadable("encrypted")
    raise Unreadable("unsupported")


def _decode(text: bytes) -> str:
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return text.decode("utf-16", "replace")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _judge(media_type: str, raw: Raw, limits: Limits) -> Reading:
    pages = raw.pages
    if raw.printed:
        pages = drop_running_lines(join_words(pages))
    text, starts = _put_together(pages, limits.characters)
    problems: tuple[Problem, ...] = raw.problems
    if raw.total > len(starts) or len(text) >= limits.characters:
        problems = (*problems, "cut")
    return Reading(
        state=_state(raw, text),
        media_type=media_type,
        language=guess_language(text),
        text=text,
        page_starts=tuple(starts),
        pages=raw.total,
        problems=problems,
    )


def _state(raw: Raw, text: str) -> State:
    if raw.pictures and raw.pictures >= _SCANNED * len(raw.pages):
        return "scanned"
    if any(map(str.isalnum, text)):
        return "text"
    if "pages-unreadable" in raw.problems:
        return "damaged"
    return "scanned" if raw.pictures else "empty"


def _put_together(pages: list[str], most: int) -> tuple[str, list[int]]:
    """The pages as one text of at most so many characters, and where each begins."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in pages:
        if length >= most:
            break
        starts.append(length)
        plain = page if page.isascii() else _CHANGED.sub(lambda found: _LIGATURES[found[0]], page)
        plain = _CONTROL.sub(" ", plain.replace("\r\n", "\n")).strip()
        if plain:
            parts.append(plain[: most - length - 1] + "\n")
            length += len(parts[-1])
    return "".join(parts), starts


if __name__ == "__main__":
    main()
