"""Public record ids: short, url-safe, and the same after a full re-harvest from nothing."""

from __future__ import annotations

from hashlib import blake2b

# Crockford's base 32: no i, l, o, u, so that an id can be read aloud and never spells a word.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH = 12
_BITS = 5 * _LENGTH


def make_public_id(slug: str, identifier: str, salt: int = 0) -> int:
    """The number behind a record's public id, from what names the record for ever.

    60 bits: among five million records two collide with a chance of about 1 in 100,000; then `salt`
    makes another.
    """
    digest = blake2b(f"{slug}\0{identifier}\0{salt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)


def encode_public_id(number: int) -> str:
    """Twelve characters for the number."""
    return "".join(_DIGITS[(number >> shift) & 31] for shift in range(_BITS - 5, -1, -5))


def decode_public_id(text: str) -> int | None:
    """The number of a public id, or None for a text that is not one."""
    if len(text) != _LENGTH or not all(digit in _VALUES for digit in text):
        return None
    number = 0
    for digit in text:
        number = number << 5 | _VALUES[digit]
    return number
