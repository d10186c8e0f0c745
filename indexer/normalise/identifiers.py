"""Identifiers: each value sorted into its kind, in the form in which equals compare equal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier: its kind, its normalised value and what the member sent."""

    kind: str
    value: str
    raw: str


def classify(raw: str, element: str = "identifier") -> tuple[Identifier, ...]:
    """The identifiers that a value of `element` ("identifier", "relation" or "source") holds."""
    value = raw.strip()
    if not value or not element:
        return ()
    if value.startswith(("http://", "https://")):
        return (Identifier("url", value, raw),)
    return (Identifier("other", value, raw),)
