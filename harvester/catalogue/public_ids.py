"""Public record ids: short, url-safe, and the same after a full re-harvest from nothing."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

# Crockford's base 32: no i, l, o, u, so that an id can be read aloud and never spells a word.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH = 12
_BITS = 5 * _LENGTH
_PAIRS = tuple(one + other for one in _DIGITS for other in _DIGITS)

_TAIL = re.compile(r"[1-9][0-9]{0,8}$")
_TAIL_BITS = 28


def make_public_id(slug: str, identifier: str, salt: int = 0) -> int:
    """The number behind a record's public id, from what names the record for ever.

    Identifiers that differ only in the number they end in (nearly all do) get neighbouring ids: a page
    of new records then touches one place of the index instead of a hundred. The rest is a hash. Two
    records seldom get the same; then `salt` makes another for the later one.
    """
    tail = _TAIL.search(identifier)
    if tail is None or int(tail[0]) >> _TAIL_BITS:
        return _hash(f"{slug}\0{identifier}\0{salt}", _BITS)
    stem = _hash(f"{slug}\0{identifier[: tail.start()]}\0{salt}", _BITS - _TAIL_BITS)
    return stem << _TAIL_BITS | int(tail[0])


@lru_cache(maxsize=1024)
def _hash(text: str, bits: int) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big") >> (64 - bits)


def encode_public_id(number: int) -> str:
    """Twelve characters for the number."""
    # Two at a time, written out: a list has hundreds of them.
    return (
        f"{_PAIRS[number >> 50 & 1023]}{_PAIRS[number >> 40 & 1023]}{_PAIRS[number >> 30 & 1023]}"
        f"{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"
    )


def decode_public_id(text: str) -> int | None:
    """The number of a public id, or None for a text that is not one."""
    if len(text) != _LENGTH or not all(digit in _VALUES for digit in text):
        return None
    number = 0
    for digit in text:
        number = number << 5 | _VALUES[digit]
    return number
