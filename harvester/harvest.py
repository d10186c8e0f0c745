"""One harvest of each member asked for: every list from its watermark, or from where a killed run stopped.

A list is one metadata prefix and one set of a member; `harvester.listing` harvests one until it is proved
complete, and only then does its watermark move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from harvester.catalogue.harvests import (
    SUCCESSES,
    Outcome,
    Run,
    begin_harvest,
    finish_harvest,
    get_run,
    set_window,
)
from harvester.catalogue.lists import ListState, finish_pass, get_lists
from harvester.catalogue.members import Member, describe_member
from harvester.catalogue.reconciliations import set_next_reconciliation
from harvester.datestamps import DAY, SECONDS, Granularity, parse_datestamp, parse_granularity
from harvester.errors import (
    HarvestSupersededError,
    IncompleteListError,
    MalformedResponseError,
    MemberError,
    ProtocolError,
    TokenLoopError,
    UnreachableError,
)
from harvester.listing import TELLING, ListHarvest, Proof
from harvester.run import HarvestContext, MemberRun, Progress

# Earlier than any repository; many state the year 1 or 1970.
_FIRST_REPOSITORIES = datetime(1990, 1, 1, tzinfo=UTC)


def harvest_member(context: HarvestContext, member: Member, *, full: bool = False) -> Run:
    """The member's run, ended and on record; errors of the member are its outcome.

    Raises:
        CatalogueError, ArchiveError: ours; the run stays open and the next one goes on from its last page.
    """
    with context.catalogue.write() as connection:
        harvest_id = begin_harvest(connection, member, context.catalogue.now(), full=full)
    with MemberRun(context, member, harvest_id) as run:
        return _MemberHarvest(run).run_lists()


class _MemberHarvest:
    """The lists of one run."""

    def __init__(self, run: MemberRun) -> None:
        self.run = run
        self.granularity: Granularity = DAY
        self.earliest: datetime | None = None

    def run_lists(self) -> Run:
        """The run, ended."""
        run = self.run
        run.log.info("harvest begins", base_url=run.member.base_url)
        errors: list[str] = []
        proofs: list[Proof] = []
        asked: list[str | None] = []
        try:
            try:
                self._identify()
                for last, state in self._iter_lists(errors):
                    going_on = state.token or state.parts
                    asked.append(state.pass_from if going_on else None if run.quirk("full") else state.watermark)
                    try:
                        proofs.append(ListHarvest(run, state, self.granularity, self.earliest).harvest())
                    except (ProtocolError, IncompleteListError, MalformedResponseError, TokenLoopError) as error:
                        # The other lists may be well.
                        errors.append(self._list_name(state) + str(error))
                    else:
                        if not last:  # which ends with the run, in one transaction
                            with run.catalogue.write() as connection:
                                finish_pass(connection, run.id, state.id, proofs[-1].watermark)
            except MemberError as error:
                run.fail(error, answered=not isinstance(error, UnreachableError))
                errors.append(str(error))
            return self._finish(errors, asked, proofs)
        except HarvestSupersededError as error:
            run.log.warning("harvest superseded")
            with run.catalogue.read() as connection:
                return replace(get_run(connection, run.id), error=str(error), outcome="incomplete")

    def _iter_lists(self, errors: list[str]) -> Iterator[tuple[bool, ListState]]:
        """The member's lists, each with whether it is the last, until the operator stops."""
        with self.run.catalogue.read() as connection:
            lists = get_lists(connection, self.run.id)
        for state in lists:
            if self.run.stopped:
                errors.extend([] if errors else [self.run.stop_reason])
                return
            yield state is lists[-1], state

    def _finish(self, errors: list[str], asked: list[str | None], proofs: list[Proof]) -> Run:
        run = self.run
        outcome = self._outcome(asked, broken=bool(errors))
        error = "; ".join(errors) or None
        trace = replace(run.trace, retries=run.transport.retries)
        with run.catalogue.write() as connection:
            from_ = None if None in asked or not asked else min(filter(None, asked))
            reached = min((proof.reached for proof in proofs), default=None)
            set_window(connection, run.id, from_, None if errors else reached)
            run.write_notes(connection)
            if run.is_doubtful:
                set_next_reconciliation(connection, run.member, run.catalogue.now(), soon=True)
            for proof in proofs:
                finish_pass(connection, run.id, proof.list_id, proof.watermark)
            ended = finish_harvest(
                connection,
                run.id,
                outcome=outcome,
                error=error,
                requests=run.transport.requests,
                size=run.transport.bytes,
                now=run.catalogue.now(),
                trace=trace if errors else replace(trace, error_url=None, error_key=None),
            )
        level = run.log.info if outcome in SUCCESSES else run.log.warning
        level("harvest ends", outcome=outcome, records=ended.records, error=error)
        run.context.report(Progress(run.member.slug, ended.pages, ended.records, run=ended, rest=run.transport.rest))
        return ended

    def _outcome(self, asked: list[str | None], *, broken: bool) -> Outcome:
        counts = self.run.totals
        if broken:
            telling = counts.records >= (1 if None in asked else TELLING)
            return "failed" if (counts.failed == counts.records and telling) or not self.run.pages else "incomplete"
        if counts.failed:
            return "complete-with-failures"
        if counts.added + counts.changed + counts.deleted == 0:
            return "nothing-new"
        return "complete"

    def _list_name(self, state: ListState) -> str:
        several = len(self.run.member.prefixes) * max(1, len(self.run.member.sets)) > 1
        if not several:
            return ""
        return f"{state.prefix}{' ' + state.set_spec if state.set_spec else ''}: "

    def _identify(self) -> None:
        """What the member says of itself is known; one whose Identify is broken is asked in days, which all serve."""
        run = self.run
        known = run.quirk("granularity")
        try:
            response = run.client.harvest(verb="Identify")
        except (ProtocolError, MalformedResponseError) as error:
            run.log.warning("Identify cannot be read", error=str(error))
            run.record(error)
            run.note("protocol-error" if isinstance(error, ProtocolError) else "not-oai", str(error))
            self.granularity = SECONDS if known == "seconds" else DAY
            return
        root = response.xml
        run.trace = replace(run.trace, response_date=response.page.response_date[:40])
        told = parse_granularity(root.findtext(".//{*}granularity"))
        self.granularity = {"days": DAY, "seconds": SECONDS}.get(known, told)
        earliest = parse_datestamp(root.findtext(".//{*}earliestDatestamp") or "")
        if earliest and _FIRST_REPOSITORIES <= earliest < datetime.now(UTC):
            self.earliest = earliest
        with run.catalogue.write() as connection:
            describe_member(
                connection,
                run.member,
                name=_line(root.findtext(".//{*}repositoryName")),
                contact=_line(root.findtext(".//{*}adminEmail")),
                deletion=_line(root.findtext(".//{*}deletedRecord")).lower()[:16],
            )


def _line(text: str | None) -> str:
    return "".join(filter(str.isprintable, " ".join((text or "").split())))
