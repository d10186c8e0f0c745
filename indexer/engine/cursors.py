"""Where the next page of a search begins, as text that a URL can carry."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from harvester.errors import QueryRejectedError
from indexer.query import Sort

_SPELLING = re.compile(r"([a-z]+) (\d{1,9}) ((?:[0-9a-f]{2})*)")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place behind the last hit of a page. Except by relevance, `offset` counts from the key `after` on."""

    sort: Sort
    offset: int = 0
    after: str = ""

    def behind(self, keys: Sequence[str | int]) -> Cursor:
        """The place behind the last hit of the page that begins here; the keys of its hits are ascending."""
        if not keys:
            return self
        last, same = _spelled(keys[-1]), keys.count(keys[-1])
        return Cursor(self.sort, same + self.offset if last == self.after else same, last)

    def __str__(self) -> str:
        spelled = f"{self.sort} {self.offset} {self.after}"
        return urlsafe_b64encode(spelled.encode()).decode().rstrip("=")


def _spelled(key: str | int) -> str:
    return key.encode().hex() if isinstance(key, str) else f"{key:016x}"


def parse_cursor(text: str | None, sort: Sort) -> Cursor:
    """The cursor that `text` spells; the beginning for None. Raises QueryRejectedError for any other text."""
    if text is None:
        return Cursor(sort)
    try:
        spelled = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError as error:
        raise QueryRejectedError("this is not a place in a list of results: begin at its first page") from error
    match = _SPELLING.fullmatch(spelled)
    if match is None or match[1] != sort:
        raise QueryRejectedError("this place belongs to another list of results: begin at its first page")
    return Cursor(sort, int(match[2]), match[3])
