"""The closed list of what can be wrong with a member's harvest; the site tells cause and fix of each."""

from __future__ import annotations

from harvester.errors import (
    IncompleteListError,
    LumbungError,
    MalformedResponseError,
    ProtocolError,
    RefusedError,
    ThrottledError,
    TokenLoopError,
    UnreachableError,
)

CODES = frozenset(
    {
        # One record; its page stays.
        "unusable-record",
        "no-identifier",
        "no-metadata",
        "broken-record",  # not well-formed where the rest of its page is
        "unreadable-record",  # listed, and not to be had by GetRecord either
        # One page.
        "repaired-xml",
        "broken-page",
        "not-oai",
        "protocol-error",
        # One list.
        "token-refused",
        "token-loop",
        "short-list",
        "filters-ignored",
        "stopped",
        # The server.
        "unreachable",
        "server-error",
        "throttled",
        "refused",
        "certificate",
        "redirected",
        "clock",
        "granularity",
        "datestamps",
        # Deletions.
        "vanished",
        "big-drop",
        # Links of records, which are no part of a harvest.
        "dead-link",
    }
)


_BY_ERROR: tuple[tuple[type[LumbungError], str], ...] = (
    (ThrottledError, "throttled"),
    (RefusedError, "refused"),
    (UnreachableError, "unreachable"),
    (TokenLoopError, "token-loop"),
    (IncompleteListError, "short-list"),
    (ProtocolError, "protocol-error"),
    (MalformedResponseError, "not-oai"),
)


def code_of(error: LumbungError) -> str:
    """The problem that this error of a member is.

    An error that knows better says so itself, by a `problem` of its own.
    """
    return getattr(error, "problem", "") or next(code for kind, code in _BY_ERROR if isinstance(error, kind))
