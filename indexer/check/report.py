"""What a check found: findings under stable rule names, and the repository's own words about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from indexer.check.texts import TEXTS

Level = Literal["fatal", "hurts", "hint", "good"]
LEVELS: tuple[Level, ...] = ("fatal", "hurts", "hint", "good")  # the worst first
EXAMPLES = 3
_LONGEST = 300  # characters of an example


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule and how the repository keeps it.

    `rule` is a key of `texts.TEXTS` and stays as it is. `count` of `total` things break the rule; `examples` are a few
    of them, or what was seen where the rule is kept.
    """

    rule: str
    level: Level
    count: int = 0
    examples: tuple[str, ...] = ()
    total: int = 0


def finding_of(rule: str, level: Level, broken: Iterable[str], total: int = 0, seen: str = "") -> Finding:
    """Of this level where anything breaks the rule, else good, with what was seen instead."""
    examples = [example[:_LONGEST] for example in broken]
    if not examples:
        return Finding(rule, "good", 0, (seen[:_LONGEST],) if seen else (), total)
    return Finding(rule, level, len(examples), tuple(dict.fromkeys(examples))[:EXAMPLES], total)


@dataclass(frozen=True, slots=True)
class Report:
    """A checked repository. `base_url` is empty where none was found; texts are the repository's own, empty if unsaid.

    `records` is the size that it states for the whole list; `platform` is a guess. `finished` is False where the check
    was stopped or ran out of time. `findings` come with the worst first.
    """

    asked: str
    base_url: str = ""
    name: str = ""
    contact: str = ""
    granularity: str = ""
    deleted_record: str = ""
    earliest_datestamp: str = ""
    platform: str = ""
    formats: tuple[str, ...] = ()
    sets: int = 0
    records: int | None = None
    requests: int = 0
    seconds: float = 0.0
    finished: bool = True
    findings: tuple[Finding, ...] = ()

    @property
    def usable(self) -> bool:
        """True where nothing was found that makes harvesting impossible."""
        return not any(finding.level == "fatal" for finding in self.findings)

    def of_level(self, level: Level) -> tuple[Finding, ...]:
        """The findings of this level, in order."""
        return tuple(finding for finding in self.findings if finding.level == level)


def report_json(report: Report, translate: Callable[[str], str] = str) -> dict[str, Any]:
    """The report for programs, each finding with its texts."""
    findings = [
        asdict(finding) | {part: translate(text) for part, text in asdict(TEXTS[finding.rule]).items()}
        for finding in report.findings
    ]
    return asdict(report) | {"usable": report.usable, "findings": findings}


def to_lines(report: Report) -> Iterator[str]:
    """The report for a terminal, in English."""
    facts = {
        "base URL": report.base_url or f"none found at {report.asked}",
        "name": report.name,
        "contact": report.contact,
        "platform": report.platform,
        "granularity": report.granularity,
        "deletions": report.deleted_record,
        "earliest": report.earliest_datestamp,
        "formats": ", ".join(report.formats),
        "records": "" if report.records is None else str(report.records),
    }
    yield from (f"{name:<12} {value}" for name, value in facts.items() if value)
    for finding in report.findings:
        share = f" ({finding.count} of {finding.total})" if finding.count and finding.total else ""
        examples = "; ".join(finding.examples)
        if finding.level == "good":
            yield f"{finding.level:<6} {finding.rule}" + (f": {examples}" if examples else "")
            continue
        text = TEXTS[finding.rule]
        yield f"{finding.level:<6} {finding.rule}{share}: {text.what}"
        yield from (f"       {line}" for line in (text.why, text.mend) if line)
        if examples:
            yield f"       Seen: {examples}"
    if not report.finished:
        yield "The check ended before all requests were made."
