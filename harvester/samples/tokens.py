"""resumptionTokens in the forms of four platforms; all hold the whole state of their list. Spec: 3.5."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

from harvester.samples.repository import Platform


@dataclass(frozen=True, slots=True)
class ListState:
    """The arguments of a list request and how far the list was sent.

    Attributes:
        prefix: empty for a list of sets.
        position: items sent so far; for records of EPrints the number of the last record sent.
    """

    prefix: str = ""
    from_: str = ""
    until: str = ""
    set_spec: str = ""
    position: int = 0


_ENCODERS: dict[Platform, tuple[Callable[[str], str], Callable[[str], str]]] = {
    # EPrints percent-encodes its token before it writes it; a client that sends it as it stands is right, too.
    "eprints": (lambda query: quote(query, safe=""), unquote),
    "ojs": (lambda query: query.encode().hex(), lambda token: bytes.fromhex(token).decode()),
    "slims": (
        lambda query: base64.b64encode(query.encode()).decode(),
        lambda token: base64.b64decode(token, validate=True).decode(),
    ),
}


def format_token(platform: Platform, state: ListState) -> str:
    """The token that leads to the rest of the list."""
    if platform == "dspace":
        return f"{state.prefix}/{state.from_}/{state.until}/{state.set_spec}/{state.position}"
    return _ENCODERS[platform][0](_query(state))


def find_state(platform: Platform, token: str) -> ListState | None:
    """The state that the token holds, or None where no repository on this platform has written it."""
    try:
        if platform == "dspace":
            prefix, from_, until, set_spec, position = token.split("/")
            state = ListState(prefix, from_, until, set_spec, int(position))
            return state if format_token(platform, state) == token else None
        query = _ENCODERS[platform][1](token)
        fields = dict(parse_qsl(query, strict_parsing=True))
        state = ListState(
            prefix=fields.get("metadataPrefix", ""),
            from_=fields.get("from", ""),
            until=fields.get("until", ""),
            set_spec=fields.get("set", ""),
            position=int(fields.get("offset", "")),
        )
    except (TypeError, ValueError):  # too many or too few parts, or not the encoding
        return None
    return state if _query(state) == query else None


def _query(state: ListState) -> str:
    fields = {
        "metadataPrefix": state.prefix,
        "from": state.from_,
        "until": state.until,
        "set": state.set_spec,
        "offset": str(state.position),
    }
    return urlencode({name: text for name, text in fields.items() if text})
