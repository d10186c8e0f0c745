"""What the tiers may differ in, said and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harvester.catalogue.inventory import StoredForm, StoredRecord
from indexer.reading import Reading

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the tiers differ.

    `kind` is of `KINDS`; `what` an archive key, the identifier of a record of `member`, or the public id of a work.
    `mended`: the repair has put it right.
    """

    kind: str
    member: str
    what: str
    detail: str = ""
    mended: bool = False


class Found(NamedTuple):
    """A difference, and what a repair needs to know: the number of a record or work, 0 for none, and how it stands."""

    difference: Difference
    number: int = 0
    record: StoredRecord | None = None
    form: StoredForm | None = None
    reading: Reading | None = None


# Each kind in words, and what a repair does about it. Those of HARMLESS are told and do not count.
KINDS: dict[str, tuple[str, str]] = {
    "page-missing": (
        "pages that the catalogue names and the archive does not have",
        "none: what they brought is in the catalogue; only a backup of the archive has the bytes",
    ),
    "page-damaged": (
        "pages whose bytes in the archive are damaged",
        "none: what they brought is in the catalogue; only a backup of the archive has the bytes",
    ),
    "object-unnamed": (
        "lists in the archive that no page names, as kills and second requests leave them: harmless, never deleted",
        "none is needed",
    ),
    "payload-damaged": (
        "stored payloads that cannot be unpacked, or are not what came",
        "taken from the archived page, else fetched again: the member's next harvest is a full one",
    ),
    "payload-missing": ("live records without a payload", "fetched again: the member's next harvest is a full one"),
    "state-wrong": (
        "records that are deleted where a payload lives, or live where none does",
        "set by the payloads, under a new datestamp",
    ),
    "record-missing": (
        "payloads or match keys of records that are not there",
        "taken away; the member's next harvest is a full one and may bring the record back",
    ),
    "count-wrong": ("members whose count of records is not what they have", "counted anew"),
    "keys-wrong": ("records whose match keys are not what their payload says", "made and joined anew"),
    "work-wrong": ("records in another work than their match keys say", "joined anew"),
    "work-unlisted": ("works that a new index would leave out", "listed for the index"),
    "index-unusable": ("the index cannot be used", "built anew"),
    "work-unindexed": ("works that the index does not have", "written"),
    "work-gone": ("works in the index that are no more", "taken out"),
    "document-differs": ("works that the index has in another form than the catalogue gives", "written"),
}
HARMLESS = frozenset({"object-unnamed"})


@dataclass(slots=True)
class Summary:
    """The differences of one check, counted; of each kind the first few are kept."""

    counts: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[Difference]] = field(default_factory=dict)

    def add(self, difference: Difference) -> None:
        """It is counted."""
        self.counts[difference.kind] += 1
        self.mended[difference.kind] += difference.mended
        first = self.first.setdefault(difference.kind, [])
        if len(first) < _SHOWN:
            first.append(difference)

    @property
    def differ(self) -> bool:
        """Whether there is anything but what is harmless."""
        return any(kind not in HARMLESS for kind in self.counts)

    def __str__(self) -> str:
        """Each kind with its count in one line; empty where nothing differs."""
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items() if kind not in HARMLESS)

    def iter_lines(self, *, repaired: bool) -> Iterator[str]:
        """Each kind in words with its first examples; at the end how it stands with all."""
        for kind, count in self.counts.items():
            what, remedy = KINDS[kind]
            yield f"{kind}: {count} {what}"
            for each in self.first[kind]:
                yield f"    {' '.join(filter(None, (each.member, each.what)))}{each.detail and f': {each.detail}'}"
            if count > _SHOWN:
                yield f"    and {count - _SHOWN} more, which --json shows"
            if kind not in HARMLESS:
                yield f"    {self.mended[kind]} mended" if repaired else f"    repair: {remedy}"
        total = sum(count for kind, count in self.counts.items() if kind not in HARMLESS)
        if not total:
            yield "nothing differs"
        elif repaired:
            yield f"{total} things differed, {self.mended.total()} of them are mended"
        else:
            yield f"{total} things differ; `lumbung check --repair` mends what can be mended"
