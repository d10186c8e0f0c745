"""What a member's server does against the protocol, remembered with date and evidence, and how it is asked for it.

No host name stands in the code: the harvester finds a quirk itself where it can, or an operator sets it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from harvester.catalogue.members import Member
from harvester.catalogue.tables import quirks
from harvester.errors import ConfigError

# Each quirk, and the values that an operator may give it; None: any text.
QUIRKS: dict[str, tuple[str, frozenset[str] | None]] = {
    "granularity": (
        "dates are asked for in this form, whatever Identify says: days or seconds",
        frozenset({"days", "seconds"}),
    ),
    "full": ("`from` cannot be trusted: every harvest asks for everything", frozenset({"yes"})),
    "clock": ("the server's clock or datestamps are not UTC: `from` goes back one day more", None),
    "token-prefix": ("a resumptionToken is sent with metadataPrefix beside it", frozenset({"yes"})),
    "loops": ("a resumptionToken leads back to where it came from: lists are asked for in parts", frozenset({"yes"})),
    "leaves-set": ("lists leave the set that was asked for: records of other sets are left out", frozenset({"yes"})),
    "identity": ("the server's gzip is broken: it is asked for plain answers", frozenset({"yes"})),
    "size": ("completeListSize is wrong and is not believed; only an operator can say so", frozenset({"ignore"})),
    "moved": ("requests are redirected to this address", None),
    "repaired": ("pages were not clean XML, and what was mended in them", None),
}


@dataclass(frozen=True, slots=True)
class Quirk:
    """One quirk of a member. `set_by` is `harvester` or `operator`; `found_at` in seconds since 1970."""

    name: str
    value: str
    found_at: int
    evidence: str
    set_by: str = "harvester"

    def __post_init__(self) -> None:
        """Raises `ConfigError` for what is no quirk."""
        if self.name not in QUIRKS:
            raise ConfigError(f"there is no quirk {self.name!r}; known: {', '.join(QUIRKS)}")
        values = QUIRKS[self.name][1]
        if values is not None and self.value not in values:
            raise ConfigError(f"the quirk {self.name!r} takes {' or '.join(sorted(values))}, not {self.value!r}")


def get_quirks(connection: Connection, member: Member) -> dict[str, Quirk]:
    """The member's quirks by name."""
    rows = connection.execute(select(quirks).where(quirks.c.member_id == member.id).order_by(quirks.c.name))
    return {row.name: Quirk(row.name, row.value, row.found_at, row.evidence, row.set_by) for row in rows}


def put_quirk(connection: Connection, member: Member, quirk: Quirk) -> None:
    """The quirk is remembered; what an operator set is not overwritten by the harvester."""
    this = (quirks.c.member_id == member.id, quirks.c.name == quirk.name)
    mine = () if quirk.set_by == "operator" else (quirks.c.set_by == "harvester",)
    connection.execute(delete(quirks).where(*this, *mine))
    if connection.execute(select(quirks.c.name).where(*this)).first() is None:
        values = {name: getattr(quirk, name) for name in Quirk.__dataclass_fields__}
        connection.execute(insert(quirks).values(member_id=member.id, **values))


def forget_quirk(connection: Connection, member: Member, name: str) -> bool:
    """The quirk is forgotten; False where the member had none of this name."""
    this = (quirks.c.member_id == member.id, quirks.c.name == name)
    return bool(connection.execute(delete(quirks).where(*this)).rowcount)
