"""Requests: the six verbs, their arguments, and all that is wrong with one, told at once. Pure. Spec: 3.1, 3.6."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from harvester.datestamps import parse_datestamp
from harvester.errors import OaiError
from harvester.xml_chars import NOT_XML

MOST_BYTES = 1_000_000  # of a request that is read
_MOST_ARGUMENTS = 50
_LONGEST = 2000  # characters: no value that we give out is as long
_WINDOW = ("from", "until", "set")
_FILLED = {"identifier", "resumptionToken"}
# Verb: the arguments it needs, those it may have, and whether a resumptionToken may take the place of all.
VERBS: dict[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    "Identify": ((), (), False),
    "ListMetadataFormats": ((), ("identifier",), False),
    "ListSets": ((), (), True),
    "GetRecord": (("identifier", "metadataPrefix"), (), False),
    "ListIdentifiers": (("metadataPrefix",), _WINDOW, True),
    "ListRecords": (("metadataPrefix",), _WINDOW, True),
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?\Z", re.ASCII)
_NAME = r"[A-Za-z0-9\-_.!~*'()]+"
_GRAMMAR = {"metadataPrefix": re.compile(_NAME), "set": re.compile(f"{_NAME}(:{_NAME})*")}
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?://[A-Za-z0-9.-]+(?::\d+)?(?=/)|(?!//))(?:[\w\-.~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+",
    re.ASCII,
)
_DAY = 86_400
FOREVER = 1 << 50


@dataclass(frozen=True, slots=True)
class OaiRequest:
    """A request with nothing wrong in its form. `from_` and `until` in seconds since 1970, inclusive; `arguments` as
    they came."""

    verb: str
    arguments: dict[str, str]
    from_: int = 0
    until: int = FOREVER

    def get(self, name: str) -> str:
        """The argument, empty where it is absent."""
        return self.arguments.get(name, "")


def parse_pairs(query: bytes, form: bytes) -> list[tuple[str, str]]:
    """The arguments, as often as they came; bytes that are no UTF-8 become surrogates, which no valid value has.

    Raises:
        OaiError: badArgument, there are too many.
    """
    text = b"&".join(filter(None, (query, form))).decode("utf-8", "surrogateescape")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST_ARGUMENTS)
    except ValueError as error:
        raise OaiError("badArgument", f"a request has at most {_MOST_ARGUMENTS} arguments") from error


def parse_request(pairs: Sequence[tuple[str, str]]) -> tuple[OaiRequest, list[OaiError]]:
    """The request, and what is wrong with its form; where there is anything, only the verb is to be relied on."""
    given = dict(reversed(pairs))  # the first of each
    verbs = [text for name, text in pairs if name == "verb"]
    known = ", ".join(VERBS)
    if len(verbs) != 1 or verbs[0] not in VERBS:
        why = {0: "the argument verb is missing", 1: f"there is no verb {shown(verbs[0]) if verbs else ''}"}
        message = why.get(len(verbs), "the argument verb is given more than once")
        return OaiRequest("", {}), [OaiError("badVerb", f"{message}; a request has one of {known}")]
    errors = _argument_errors(verbs[0], pairs, given)
    dates, wrong = _read_dates(given)
    return OaiRequest(verbs[0], given, *dates), [OaiError("badArgument", why) for why in (*errors, *wrong)]


def tellable(arguments: dict[str, str]) -> dict[str, str]:
    """The arguments that a response may repeat: its schema takes no identifier that is no URI."""
    return {name: text for name, text in arguments.items() if name != "identifier" or _URI.fullmatch(text)}


def shown(text: str) -> str:
    """A value of a stranger's for a message: short, in quotes, without what XML cannot hold."""
    text = NOT_XML.sub("\ufffd", text)
    return f'"{text[:80]}..."' if len(text) > 80 else f'"{text}"'


def _argument_errors(verb: str, pairs: Sequence[tuple[str, str]], given: dict[str, str]) -> list[str]:
    needed, allowed, resumable = VERBS[verb]
    names = [name for name in given if name != "verb"]
    counts = Counter(name for name, _ in pairs)
    found = [f"{shown(name)} is given {counts[name]} times; once is enough" for name in names if counts[name] > 1]
    found += [
        f"the value of {shown(name)} holds bytes that are no UTF-8, or characters that XML cannot hold"
        for name in names
        if NOT_XML.search(given[name])
    ]
    found += [f"the value of {shown(name)} is too long" for name in names if len(given[name]) > _LONGEST]
    found += [
        f"the value of {shown(name)} is empty" for name in names if name in _FILLED - set(needed) and not given[name]
    ]
    if resumable and "resumptionToken" in given:
        others = ", ".join(shown(name) for name in names if name != "resumptionToken")
        return found + ([f"a resumptionToken stands alone with the verb; leave out {others}"] if others else [])
    found += [f"{verb} needs the argument {name}" for name in needed if not given.get(name)]
    found += [
        f"the {name} {shown(given[name])} has characters that none may have: letters, digits and -_.!~*'() stand in it"
        for name in names
        if name in _GRAMMAR and (given[name] or name not in needed) and not _GRAMMAR[name].fullmatch(given[name])
    ]
    known = (*needed, *allowed, *(("resumptionToken",) if resumable else ()))
    told = f"it takes {', '.join(known)}" if known else "it takes none"
    return found + [f"{verb} has no argument {shown(name)}; {told}" for name in names if name not in known]


def _read_dates(given: dict[str, str]) -> tuple[tuple[int, int], list[str]]:
    """The window in seconds, and what is wrong with the dates."""
    found: list[str] = []
    seconds = {"from": 0, "until": FOREVER}
    texts = {name: given[name] for name in seconds if name in given}
    for name, text in texts.items():
        moment = parse_datestamp(text) if _DATE.match(text) else None
        if moment is None:
            found.append(
                f"{name} is {shown(text)}; it must be a day or second of UTC, 2026-11-21 or 2026-11-21T08:30:00Z"
            )
        else:
            seconds[name] = int(moment.timestamp()) + (_DAY - 1 if name == "until" and len(text) == 10 else 0)
    if not found and len({len(text) for text in texts.values()}) > 1:
        found.append("from and until must be of the same granularity: both days or both seconds")
    if not found and len(texts) > 1 and seconds["from"] > seconds["until"]:
        found.append("from is later than until; no record can be between them")
    return (seconds["from"], seconds["until"]), found
