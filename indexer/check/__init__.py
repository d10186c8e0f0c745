"""The check of a repository before it joins: what is good, what hurts, what makes harvesting impossible.

About a dozen requests, one after the other: the base URL is looked for, then each verb is tried, a second page, an
incremental request and a deliberate error. Nothing is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from harvester.settings import Settings
from indexer.check.asking import Answer, Asker, base_url_of, find_base_url, parse_pasted, platform_of
from indexer.check.report import LEVELS, Finding, Report, finding_of, report_json, to_lines
from indexer.check.rules import Answers, get_identity, judge, list_texts

__all__ = ["LEVELS", "Finding", "Report", "check_base_url", "parse_pasted", "report_json", "to_lines"]


def check_base_url(
    url: str,
    settings: Settings,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[str], None] = lambda _request: None,
) -> Report:
    """The report on the repository behind an address: its base URL with or without arguments, or its site's address.

    Takes a minute at the most, and no private address unless the settings allow it. No failure of the server raises.

    Args:
        stop: ends the check before its next request.
        progress: told each request.

    Raises:
        ConfigError: this is no web address.
    """
    with Asker(settings, stop or threading.Event(), progress) as asker:
        identify, tried = find_base_url(asker, url)
        if identify is None or identify.page is None:
            report = Report(url, findings=_not_found(tried))
        else:
            answers = _ask_all(asker, identify)
            findings = sorted(judge(answers), key=lambda finding: LEVELS.index(finding.level))
            report = replace(_introduce(url, answers), findings=tuple(findings))
        return replace(report, requests=asker.requests, seconds=round(asker.seconds, 1), finished=asker.finished)


def _ask_all(asker: Asker, identify: Answer) -> Answers:
    base_url = base_url_of(identify.url)
    formats = asker.ask(base_url, verb="ListMetadataFormats")
    sets = asker.ask(base_url, verb="ListSets")
    first = asker.ask(base_url, verb="ListRecords", metadataPrefix="oai_dc")
    second = incremental = None
    days = []
    if first.page:
        if token := first.page.next_token:
            second = asker.ask(base_url, verb="ListRecords", resumptionToken=token)
        days = [record.header.datestamp[:10] for record in first.page.records if record.header.datestamp]
    if from_ := max(days, default=""):  # of the latest day: what an ignored `from` lets through is older
        incremental = asker.ask(base_url, verb="ListRecords", metadataPrefix="oai_dc", **{"from": from_})
    wrong = asker.ask(base_url, verb="NoSuchVerb")
    return Answers(identify, formats, sets, first, second, incremental, from_, wrong)


def _introduce(url: str, answers: Answers) -> Report:
    """The report with all but its findings."""
    assert answers.identify.page is not None  # noqa: S101 - the base URL was found by it
    said = get_identity(answers.identify.page)
    base_url = base_url_of(answers.identify.url)
    identifiers = " ".join(record.header.identifier for record in answers.records[:5])
    first = answers.first.page
    return Report(
        asked=url,
        base_url=base_url,
        name=said.get("repositoryName", ""),
        contact=", ".join(list_texts(answers.identify.page, "adminEmail")),
        granularity=said.get("granularity", ""),
        deleted_record=said.get("deletedRecord", ""),
        earliest_datestamp=said.get("earliestDatestamp", ""),
        platform=platform_of(base_url, f"{answers.identify.body[:100_000].decode('utf-8', 'replace')} {identifiers}"),
        formats=list_texts(answers.formats.page, "metadataPrefix"),
        sets=len(list_texts(answers.sets.page, "setSpec")),
        records=first.token.complete_list_size if first and first.token else first.size if first else None,
    )


def _not_found(tried: list[Answer]) -> tuple[Finding, ...]:
    """Why no base URL was found: the server says no to programs, or what each address answered."""
    refused = [f"{answer.asked}: HTTP {answer.status}" for answer in tried if answer.refused]
    came = [f"{answer.asked}: {answer.problem or 'no answer to Identify'}" for answer in tried]
    access = (finding_of("Access for harvesters", "fatal", refused, len(tried)),) if refused else ()
    return (*access, finding_of("Base URL", "fatal", came, len(tried)))
