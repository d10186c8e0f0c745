"""What members are told by mail of their harvests: when, and in which words, in Indonesian and in English."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from itertools import takewhile

import structlog
from flask import Flask, render_template
from flask_babel import force_locale, gettext
from sqlalchemy import Connection

from harvester.catalogue import Catalogue
from harvester.catalogue.findings import ProblemGroup, RunReport, find_report, list_groups
from harvester.catalogue.harvests import KILLED, SUCCESSES
from harvester.catalogue.mails import (
    NO_MAIL,
    Addressee,
    Told,
    find_code,
    list_told,
    list_untold,
    mark_told,
)
from harvester.datestamps import from_epoch
from harvester.errors import MailError
from harvester.mail import Send, open_mail, parse_address, parse_addresses, parse_server
from harvester.settings import Settings
from web import words
from web.fixes import explain, find_platform, places
from web.locales import LOCALES, format_number, use_locales

_DAY = 86_400
# Runs that ended so long ago are no news: mail was switched on later, or no server took it.
_STALE = {"failure": 7 * _DAY, "always": 7 * _DAY, "monthly": 62 * _DAY}
_COUNTS = ("requests", "records", "added", "changed", "unchanged", "deleted", "failed")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is due: about the newest of `runs`, or about all of them where it is a summary."""

    to: Addressee
    runs: tuple[RunReport, ...]
    summary: bool
    base_url: str
    problems: tuple[ProblemGroup, ...]

    @property
    def run(self) -> RunReport:
        """The newest run."""
        return self.runs[-1]


def send_due_mails(settings: Settings, catalogue: Catalogue, stop: threading.Event) -> int:
    """Whoever wants to know of ended runs has been written to; the number of mails.

    A run counts as told only when the server has accepted its mail; what it did not take is tried again by the
    next call. Nobody is written to where no server is set. Failures are logged.
    """
    if not settings.smtp:
        return 0
    log = structlog.get_logger("mail")
    with catalogue.read() as connection:
        letters, needless = choose_letters(connection, catalogue.now())
    if needless:
        with catalogue.write() as connection:
            mark_told(connection, needless, NO_MAIL)
    sent = 0
    if letters:
        try:
            with make_composer(settings).app_context(), open_mail(parse_server(settings.smtp)) as send:
                for letter in letters:
                    if stop.is_set():
                        break
                    sent += _send(settings, catalogue, letter, send)
        except MailError as error:
            log.warning("mails wait", error=str(error), waiting=len(letters) - sent)
    return sent


def _send(settings: Settings, catalogue: Catalogue, letter: Letter, send: Send) -> bool:
    log = structlog.get_logger("mail").bind(member=letter.to.slug, harvest=letter.run.id)
    try:
        refused = send(compose(settings, letter, catalogue.now()))
    except ValueError as error:
        log.warning("no mail: the member's address cannot be used", error=str(error))
        return False
    except MailError as error:
        if not error.refused:
            raise
        log.warning("no mail: the member's address is refused", error=str(error))
        return False
    with catalogue.write() as connection:
        mark_told(connection, letter.runs, catalogue.now(), letter.to.id)
    log.info("mail sent")
    if refused:
        log.warning("some of the member's addresses are refused", refused=refused)
    return True


def choose_letters(connection: Connection, now: int) -> tuple[list[Letter], list[RunReport]]:
    """The mails that are due, and the runs that need none."""
    letters: list[Letter] = []
    needless: list[RunReport] = []
    for who, ended in list_untold(connection):
        fresh = tuple(run for run in ended if now - (run.finished_at or 0) < _STALE[who.wish])
        chosen = _choose(connection, who, fresh, now)
        waiting = {run.id for runs in chosen for run in runs}
        if who.wish == "monthly" and not chosen:
            waiting = {run.id for run in fresh}  # they wait for the end of the month
        needless += [run for run in ended if run.id not in waiting]
        letters += [_letter(connection, who, runs) for runs in chosen]
    return letters, needless


def _choose(
    connection: Connection, who: Addressee, runs: tuple[RunReport, ...], now: int
) -> list[tuple[RunReport, ...]]:
    """The runs that a mail is due for, one mail each or, for a summary, one for all."""
    if who.wish == "monthly":
        since = who.mailed_at or (runs[0].finished_at if runs else None) or now
        return [runs] if runs and _month(since) != _month(now) else []
    if who.wish == "always":
        return [(run,) for run in runs]
    newest = {run.kind: run for run in runs if not _is_ours(run, find_code(connection, run.id))}
    return [
        (run,)
        for run in newest.values()
        if is_failure_news(run, find_code(connection, run.id), list_told(connection, who.id, run.kind), now)
    ]


def is_failure_news(run: RunReport, code: str | None, told: Sequence[Told], now: int) -> bool:
    """Whether who wants to know of failures is told of this run, after all that was `told` before (newest first).

    A failure is told when it begins, once a day while it stays the same, and when it is over.
    """
    if run.outcome in SUCCESSES:
        return bool(told) and told[0].outcome not in SUCCESSES
    lasting = takewhile(lambda one: one.outcome not in SUCCESSES, told)
    return all(one.code != (code or run.outcome) or now - one.mailed_at >= _DAY for one in lasting)


def _is_ours(run: RunReport, code: str | None) -> bool:
    """A run that we ended ourselves is no failure of the member."""
    return code == "stopped" or run.error == KILLED


def _letter(connection: Connection, who: Addressee, runs: tuple[RunReport, ...]) -> Letter:
    report = find_report(connection, who.slug)
    assert report is not None  # noqa: S101 - `list_untold` gives registered members only
    summary = who.wish == "monthly"
    problems = report.problems if summary else list_groups(connection, who.id, runs[-1].id)
    return Letter(who, runs, summary, report.base_url, problems)


def make_composer(settings: Settings) -> Flask:
    """An app that renders letters and serves nothing."""
    app = Flask("web", static_folder=None)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(words=words, explain=explain, places=places, network_name=settings.network_name)
    use_locales(app)
    return app


def compose(settings: Settings, letter: Letter, now: int) -> EmailMessage:
    """The letter, Indonesian first.

    Raises:
        ValueError: an address is none.
    """
    to = parse_addresses(letter.to.mail_to)
    sender = parse_address(settings.mail_from)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(_line(settings.network_name), addr_spec=sender.addr_spec)
    message["To"] = to
    message["Date"] = from_epoch(now)
    message["Message-ID"] = f"<lumbung-{letter.to.id}-{letter.run.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    platform = find_platform(letter.base_url, [text for group in letter.problems for text in group.identifiers])
    counted = {name: sum(getattr(run, name) for run in letter.runs) for name in _COUNTS}
    texts = []
    for locale in LOCALES:
        with force_locale(locale):
            told = gettext("summary") if letter.summary else words.outcome_word(letter.run)
            if "Subject" not in message:
                message["Subject"] = _line(f"{settings.network_name}: {letter.to.name}: {told}")
            texts.append(
                render_template(
                    "mail.txt",
                    letter=letter,
                    platform=platform,
                    page=f"{settings.base_url}/members/{letter.to.slug}",
                    outcomes=Counter(run.outcome for run in letter.runs),
                    counts={name: format_number(count) for name, count in counted.items()},
                ).strip()
            )
    message.set_content(("\n\n" + "-" * 60 + "\n\n").join(texts) + "\n", cte="quoted-printable")
    return message


def _line(text: str) -> str:
    """The text on one line, for a header."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _month(seconds: int) -> tuple[int, int]:
    moment = from_epoch(seconds)
    return moment.year, moment.month
