"""Resumption tokens: where a list goes on, signed, with nothing kept here. They never expire. Spec: 3.5, [repo 5]."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from hashlib import blake2b
from hmac import compare_digest

from harvester.errors import OaiError

_SIGNATURE = 12  # bytes
_BETWEEN = "\n"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on: its arguments, the second up to which all was known when it began (`seen`), the place
    behind which the next part lies (of sets: `after_name`), how many came before, and how many there are in all, -1
    where that is not known."""

    verb: str
    prefix: str = ""
    set_spec: str = ""
    from_: int = 0
    until: int = 0
    seen: int = 0
    after_at: int = 0
    after_id: int = 0
    after_name: str = ""
    cursor: int = 0
    size: int = 0


def write_token(position: Position, keys: Sequence[str]) -> str:
    """The position as a token, of letters, digits, hyphens and underscores only."""
    text = _BETWEEN.join(map(str, astuple(position))).encode()
    return urlsafe_b64encode(_sign(text, keys[0]) + text).decode().rstrip("=")


def read_token(token: str, verb: str, keys: Sequence[str]) -> Position:
    """The position that a token of ours holds, signed with one of the keys.

    Raises:
        OaiError: badResumptionToken.
    """
    try:
        signed = b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
        signature, text = signed[:_SIGNATURE], signed[_SIGNATURE:]
    except (binascii.Error, UnicodeEncodeError):
        signature = text = b""
    if not any(compare_digest(_sign(text, key), signature) for key in keys):
        raise OaiError("badResumptionToken", "this token is not one of ours, or was cut; please start the list again")
    values = zip(fields(Position), text.decode().split(_BETWEEN), strict=True)
    position = Position(*(int(value) if field.type == "int" else value for field, value in values))  # type: ignore[arg-type]  # as written
    if position.verb != verb:
        raise OaiError("badResumptionToken", f"this token goes on with {position.verb}, not with {verb}")
    return position


def _sign(text: bytes, key: str) -> bytes:
    secret = blake2b(key.encode(), digest_size=32, person=b"oai token").digest()
    return blake2b(text, digest_size=_SIGNATURE, key=secret).digest()
