"""Plays a manner to the harvester, and says how what came of it differs from the wish."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from fakes.manners import Manner, Records, Stage, Step, Wish
from fakes.provider import FakeProvider
from fakes.wild import WildRepository
from lxml import etree

from harvester.archive import Archive, get_page, open_archive
from harvester.catalogue import open_catalogue
from harvester.catalogue.harvests import SUCCESSES, Run, list_problems
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.records import CataloguedRecord, iter_records
from harvester.harvest import harvest_member
from harvester.oai import client, transport
from harvester.reconcile import reconcile_member
from harvester.run import HarvestContext
from harvester.settings import load_settings
from indexer.crosswalks import describe

_MONTH = 31 * 86400.0


@dataclass(frozen=True, slots=True)
class Complaint:
    """One difference: of which kind (lost, kept, text, outcome, problems, requests, archive, also), and what."""

    kind: str
    what: str


def iter_steps(manner: Manner) -> Iterator[Step]:
    """All of a manner's harvests, the first one too."""
    yield Step(lambda _stage: None, manner.wish)
    yield from manner.later


def open_stage(manner: Manner, folder: Path, others: ExitStack) -> Stage:
    """The manner's provider answers until `others` is closed."""
    provider = others.enter_context(FakeProvider())
    repository = WildRepository()
    stage = Stage(provider, repository, provider.serve(repository), others, folder)
    manner.arrange(stage)
    return stage


def expected(stage: Stage, manner: Manner, wish: Wish) -> set[str]:
    """The identifiers that must be live in the catalogue."""
    live = {
        record.identifier
        for record in stage.repository.records.values()
        if not set(manner.prefixes) <= set(record.deleted_in)
    }
    return live - set(wish.missing) - set(wish.unasked) | set(wish.more)


def play(manner: Manner, folder: Path) -> list[Complaint]:
    """The differences between the wishes and what came, in the order of the manner's harvests; best none.

    Catalogue and archive are in the folder, the catalogue perhaps already: migrating a fresh one takes time.
    """
    later = [0.0]
    with ExitStack() as others:
        catalogue = open_catalogue(f"sqlite:///{folder / 'catalogue.sqlite'}", lambda: time.time() + later[0])
        others.callback(catalogue.close)
        archive = open_archive((folder / "archive").as_uri())
        for name, value in manner.limits.items():
            others.enter_context(patch.object(transport if hasattr(transport, name) else client, name, value))
        stage = open_stage(manner, folder, others)
        with catalogue.write() as connection:
            given = Member("a", "a", stage.url, manner.prefixes, manner.sets, care=manner.care)
            member = add_member(connection, given, catalogue.now())
        settings = load_settings(home=folder, max_wait=manner.max_wait, admin_email="op@x.id", allow_private=True)
        context = HarvestContext(settings, catalogue, archive, threading.Event())
        found: list[Complaint] = []
        for number, step in enumerate(iter_steps(manner), 1):
            step.change(stage)
            if step.how == "reconcile":
                later[0] += _MONTH
                run = reconcile_member(context, member)
            else:
                run = harvest_member(context, member, full=step.how == "full")
            records = {record.identifier: record for record in iter_records(catalogue)}
            with catalogue.read() as connection:
                problems = {problem.identifier for problem in list_problems(connection, run.id)} - {""}
            complaints = [
                *_judge_run(run, problems, step),
                *_judge_records(records, expected(stage, manner, step.wish), step.wish),
                *_judge_titles(records, stage, step.wish),
            ]
            if not step.wish.also(stage, records):
                complaints.append(Complaint("also", "what else was wished for is not so"))
            found += [Complaint(each.kind, f"harvest {number}: {each.what}") for each in complaints]
        return [*found, *_judge_archive(archive, stage, manner)]


def _judge_run(run: Run, problems: Collection[str], step: Step) -> Iterator[Complaint]:
    wish = step.wish
    if not re.fullmatch(wish.outcome, run.outcome or "none"):
        yield Complaint("outcome", f"{run.outcome} ({run.error}), not {wish.outcome}")
    elif not re.search(wish.error, run.error or "") or (run.error and not wish.error):
        yield Complaint("outcome", f"its error is {run.error!r}")
    elif step.how != "reconcile" and (run.outcome in SUCCESSES) is not (run.until is not None):
        yield Complaint("outcome", f"{run.outcome}, and it reaches {run.until}")
    if step.how != "reconcile" and problems != set(wish.problems):
        yield Complaint("problems", f"listed as problems: {sorted(problems)}")
    if run.requests > wish.requests:
        yield Complaint("requests", f"{run.requests} requests")


def _judge_records(records: Records, wanted: set[str], wish: Wish) -> Iterator[Complaint]:
    live = {name for name, record in records.items() if not record.deleted}
    if lost := wanted - live:
        yield Complaint("lost", f"not there: {sorted(lost)[:13]}")
    if kept := live - wanted:
        yield Complaint("kept", f"still or wrongly there: {sorted(kept)[:13]}")
    if (dead := set(records) - live) != set(wish.deleted):
        yield Complaint("kept", f"tombstones: {sorted(dead)[:13]}")


def _judge_titles(records: Records, stage: Stage, wish: Wish) -> Iterator[Complaint]:
    for name, record in records.items():
        if record.deleted:
            continue
        sent = stage.repository.records.get(name)
        title = find_title(record)
        if title != wish.titles.get(name, sent.title if sent and not sent.deleted_in else title):
            yield Complaint("text", f"the title of {name} is {title!r}")
        shown = describe(record, this_year=2026).title
        if shown != wish.shown.get(name, title):
            yield Complaint("text", f"the title of {name} is shown as {shown!r}")


def find_title(record: CataloguedRecord) -> str | None:
    """The title in the first of a record's payloads, as it was sent."""
    root = etree.fromstring(record.forms[0].xml, etree.XMLParser(huge_tree=True))
    return root.findtext("{*}title") if root.find("{*}title") is not None else root.findtext("title")


def _judge_archive(archive: Archive, stage: Stage, manner: Manner) -> Iterator[Complaint]:
    kept = {get_page(archive, key) for key in archive.iter_keys()}
    limit = manner.limits.get("MAX_PAGE_BYTES", 2**40)
    for body in map(_unpacked, stage.repository.owed):
        if body is not None and body not in kept and len(body) <= limit:
            yield Complaint("archive", f"not in the archive: {body[:200]!r}")
            return


def _unpacked(body: bytes) -> bytes | None:
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return gzip.decompress(body)
    except EOFError:
        return None
