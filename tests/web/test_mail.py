"""Members are told of their harvests by mail, through a real mail server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from sqlalchemy import insert, select, update
from structlog.testing import capture_logs

from harvester.catalogue.database import Catalogue, open_catalogue
from harvester.catalogue.harvests import KILLED
from harvester.catalogue.mails import Told
from harvester.catalogue.members import Member, add_member
from harvester.catalogue.tables import harvests, members, problems
from harvester.errors import ConfigError
from harvester.settings import Settings, load_settings
from web.mail import is_failure_news, send_due_mails

_DAY = 86_400
_BEGIN = 1_795_000_000  # 18 November 2026
_PASSWORD = "geheim/&@1"


@dataclass
class Postbox:
    """What a mail server takes, and what it says instead of taking it."""

    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    says: str = "250 OK"
    unknown: str = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: ARG002, N802 - the library's
        if address == self.unknown:
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - the library's
        if self.says.startswith("250"):
            letter = message_from_bytes(envelope.content, policy=default)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
            self.recipients.append(envelope.rcpt_tos)
        return self.says


class Server(Controller):
    """A mail server at a port of its own choice."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@dataclass
class Desk:
    """A catalogue whose clock is set by hand, with a mail server."""

    catalogue: Catalogue
    settings: Settings
    postbox: Postbox
    clock: list[int]

    def pass_days(self, days: float) -> None:
        self.clock[0] += int(days * _DAY)

    def join(self, slug: str, wish: str = "failure", **values: object) -> int:
        with self.catalogue.write() as connection:
            member = add_member(connection, Member(slug, f"Perpustakaan {slug}", f"https://{slug}.example/oai"), 0)
            values = {"mail": wish, "mail_to": f"{slug}@members.example", **values}
            connection.execute(update(members).where(members.c.id == member.id).values(**values))
        return member.id

    def run(self, member_id: int, outcome: str, code: str = "", **values: object) -> int:
        now = self.clock[0]
        with self.catalogue.write() as connection:
            row = {"member_id": member_id, "started_at": now - 60, "finished_at": now, "outcome": outcome, **values}
            number = int(connection.execute(insert(harvests).values(row)).inserted_primary_key[0])  # type: ignore[index]  # one row has one
            if code:
                told = {"harvest_id": number, "code": code, "identifier": "", "cause": "it did <not> answer"}
                connection.execute(insert(problems).values(told))
        return number

    def send(self) -> int:
        return send_due_mails(self.settings, self.catalogue, threading.Event())

    def told(self) -> list[bool | None]:
        """Of each run whether its member was told; None where that is still open."""
        with self.catalogue.read() as connection:
            return [
                None if moment is None else moment > 0
                for moment in connection.scalars(select(harvests.c.mailed_at).order_by(harvests.c.id))
            ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    postbox, clock = Postbox(), [_BEGIN]
    catalogue = open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}", lambda: clock[0])
    controller = Server(postbox, hostname="127.0.0.1", port=0)
    controller.start()
    settings = Settings(
        home=tmp_path, smtp=f"smtp://127.0.0.1:{controller.port}", mail_from="lumbung@network.example",
        base_url="https://network.example", network_name="Jaringan Pustaka",
    )  # fmt: skip
    try:
        yield Desk(catalogue, settings, postbox, clock)
    finally:
        controller.stop()
        catalogue.close()


def test_a_failure_is_told_in_two_languages_with_cause_fix_and_the_members_page(desk: Desk) -> None:
    alfa = desk.join("alfa")
    run = desk.run(
        alfa, "failed", "unreachable", error="alfa did <not> answer", error_url="https://alfa.example/oai?x=1"
    )
    assert desk.send() == 1
    (letter,) = desk.postbox.letters
    assert letter["To"] == "alfa@members.example"
    assert letter["From"] == "Jaringan Pustaka <lumbung@network.example>"
    assert letter["Subject"] == "Jaringan Pustaka: Perpustakaan alfa: Gagal"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"] == f"<lumbung-{alfa}-{run}@network.example>"
    assert letter["Date"].datetime.timestamp() == _BEGIN
    assert letter.get_content_type() == "text/plain"
    indonesian, english = letter.get_content().split("-" * 60)
    assert "Server tidak dapat dihubungi" in indonesian
    assert "Periksa server, namanya di DNS" in indonesian
    for words in (
        "Failed: 0 records", "The server cannot be reached", "Check the server, its name in the DNS",
        "OJS: PHP’s error log", "https://network.example/members/alfa", "alfa did <not> answer",
        "https://alfa.example/oai?x=1", "No page came that could be used",
    ):  # fmt: skip
        assert words in english
    assert "DSpace" not in english  # the address is that of an OJS


def test_a_lasting_failure_is_told_once_a_day_and_its_end_once(desk: Desk) -> None:
    alfa = desk.join("alfa")
    sent = []
    for outcome, code in (
        ("failed", "unreachable"),
        ("failed", "unreachable"),  # six hours later
        ("failed", "certificate"),  # another failure
        ("failed", "unreachable"),
        ("failed", "unreachable"),  # a day after the first
        ("nothing-new", ""),
        ("complete", ""),
    ):
        desk.run(alfa, outcome, code)
        sent.append(desk.send())
        desk.pass_days(0.25)
    assert sent == [1, 0, 1, 0, 1, 1, 0]
    assert desk.told() == [True, False, True, False, True, True, False]
    assert desk.postbox.letters[-1]["Subject"].endswith("Tidak ada yang baru")


def test_a_failure_that_is_over_before_the_mail_goes_out_is_not_told(desk: Desk) -> None:
    alfa = desk.join("alfa")
    desk.run(alfa, "failed", "unreachable")
    desk.run(alfa, "complete")
    assert desk.send() == 0
    assert desk.told() == [False, False]


def test_what_we_stopped_ourselves_is_no_failure_of_the_member(desk: Desk) -> None:
    alfa = desk.join("alfa")
    desk.run(alfa, "incomplete", "stopped")
    desk.run(alfa, "incomplete", error=KILLED)
    assert desk.send() == 0


def test_a_reconciliation_neither_ends_nor_repeats_the_failure_of_a_harvest(desk: Desk) -> None:
    alfa = desk.join("alfa")
    desk.run(alfa, "failed", "unreachable")
    assert desk.send() == 1
    desk.run(alfa, "complete", kind="reconcile")
    assert desk.send() == 0


def test_always_tells_each_run_and_never_tells_none(desk: Desk) -> None:
    alfa, beta = desk.join("alfa", "always"), desk.join("beta", "never")
    gama = desk.join("gama", "always", mail_to=None)
    for member in (alfa, beta, gama):
        desk.run(member, "complete", records=1204, added=12)
        desk.run(member, "nothing-new")
        desk.run(member, None)  # type: ignore[arg-type]  # it has not ended
    assert desk.send() == 2
    assert [letter["To"] for letter in desk.postbox.letters] == ["alfa@members.example"] * 2
    assert "Received: 1,204 (New 12," in desk.postbox.letters[0].get_content()
    assert "Diterima: 1.204 (Baru 12," in desk.postbox.letters[0].get_content()
    assert desk.send() == 0


def test_monthly_is_one_summary_of_all_runs_of_the_month(desk: Desk) -> None:
    alfa = desk.join("alfa", "monthly")
    sent = []
    for _ in range(25):  # from 18 November to 12 December
        desk.run(alfa, "complete", records=1, added=1)
        sent.append(desk.send())
        desk.pass_days(1)
    assert sum(sent) == 1
    assert sent[13] == 1  # on 1 December
    (letter,) = desk.postbox.letters
    assert "harvests from 18 November 2026 to 1 December 2026" in letter.get_content()
    assert "- Complete: 14" in letter.get_content()
    assert "(New 14," in letter.get_content()
    desk.pass_days(20)
    desk.run(alfa, "complete")
    assert desk.send() == 1


def test_a_run_is_told_only_when_the_server_has_accepted_the_mail(desk: Desk) -> None:
    alfa = desk.join("alfa")
    desk.run(alfa, "failed", "unreachable")
    desk.postbox.says = "451 try again later"
    with capture_logs() as logs:
        assert desk.send() == 0
    assert [entry["event"] for entry in logs] == ["mails wait"]
    assert desk.told() == [None]
    desk.postbox.says = "250 OK"
    assert desk.send() == 1
    assert desk.told() == [True]


def test_an_address_that_does_not_exist_stops_no_other(desk: Desk) -> None:
    for slug in ("alfa", "beta"):
        desk.run(desk.join(slug), "failed", "unreachable")
    desk.postbox.unknown = "alfa@members.example"
    assert desk.send() == 1
    assert desk.postbox.recipients == [["beta@members.example"]]
    assert desk.told() == [None, True]


def test_without_a_server_nothing_fails_and_nothing_is_forgotten(desk: Desk) -> None:
    alfa = desk.join("alfa")
    desk.run(alfa, "failed", "unreachable")
    silent = desk.settings.model_copy(update={"smtp": ""})
    down = desk.settings.model_copy(update={"smtp": f"smtp://pustaka:{_PASSWORD}@127.0.0.1:1".replace("/&@1", "")})
    assert send_due_mails(silent, desk.catalogue, threading.Event()) == 0
    with capture_logs() as logs:
        assert send_due_mails(down, desk.catalogue, threading.Event()) == 0
    assert logs[0]["waiting"] == 1
    assert "geheim" not in str(logs)
    assert desk.told() == [None]


def test_news_of_last_week_is_no_news(desk: Desk) -> None:
    alfa = desk.join("alfa", "always")
    desk.run(alfa, "failed", "unreachable")
    desk.pass_days(8)
    assert desk.send() == 0
    assert desk.told() == [False]


def test_a_stop_ends_between_two_mails(desk: Desk) -> None:
    desk.run(desk.join("alfa"), "failed", "unreachable")
    stop = threading.Event()
    stop.set()
    assert send_due_mails(desk.settings, desk.catalogue, stop) == 0
    assert desk.told() == [None]


def test_all_addresses_of_a_member_get_one_letter_and_one_that_is_refused_is_logged(desk: Desk) -> None:
    desk.postbox.unknown = "b@x.example"
    to = ["a@x.example", "b@x.example", "c@x.example"]
    desk.run(desk.join("alfa", mail_to=", ".join([*to, to[0]])), "failed", "unreachable")
    with capture_logs() as logs:
        assert desk.send() == 1
    assert desk.postbox.recipients == [["a@x.example", "c@x.example"]]
    assert desk.postbox.letters[0]["To"] == ", ".join(to)
    assert [log["refused"] for log in logs if log["log_level"] == "warning"] == [1]
    assert desk.told() == [True]


def test_names_and_addresses_add_no_header_and_no_recipient(desk: Desk) -> None:
    evil = "Alfa\r\nBcc: korban@x.example\r\n\r\nIsi lain"
    desk.run(desk.join("alfa", name=evil), "failed", "unreachable")
    desk.run(desk.join("beta", mail_to="beta@x.example\r\nBcc: korban@x.example"), "failed", "unreachable")
    crowd = ",".join(f"korban{n}@x.example" for n in range(6))
    desk.run(desk.join("gama", mail_to=crowd), "failed", "unreachable")
    assert desk.send() == 1
    assert desk.postbox.recipients == [["alfa@members.example"]]
    assert "Bcc" not in desk.postbox.letters[0]
    assert desk.postbox.letters[0]["Subject"] == "Jaringan Pustaka: Alfa Bcc: korban@x.example Isi lain: Gagal"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it is all on this machine
def test_the_server_is_told_who_we_are(desk: Desk) -> None:
    given = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        given.append((data.login, data.password))
        return AuthResult(success=True)

    controller = Server(
        desk.postbox,
        hostname="127.0.0.1",
        port=0,
        authenticator=authenticate,
        auth_require_tls=False,
        auth_required=True,
    )
    controller.start()
    try:
        settings = desk.settings.model_copy(
            update={"smtp": f"smtp://pustaka:geheim%2F%26%401@127.0.0.1:{controller.port}"}
        )
        desk.run(desk.join("alfa"), "failed", "unreachable")
        assert send_due_mails(settings, desk.catalogue, threading.Event()) == 1
    finally:
        controller.stop()
    assert given == [(b"pustaka", _PASSWORD.encode())]


@pytest.mark.parametrize(
    "url", ["smtp://u:geheim@", "http://u:geheim@mail.example", "smtp://u:geheim@x:port", "geheim"]
)
def test_a_wrong_server_is_named_without_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMBUNG_SMTP", url)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "LUMBUNG_SMTP" in str(caught.value)
    assert "geheim" not in str(caught.value) + str(caught.value.__cause__)
    assert "geheim" not in repr(Settings.model_construct(smtp=url))


def test_mail_needs_a_sender_and_takes_the_operator_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMBUNG_SMTP", "smtps://mail.example")
    with pytest.raises(ConfigError, match="LUMBUNG_MAIL_FROM: must be a mail address"):
        load_settings()
    assert load_settings(admin_email="op@x.example").mail_from == "op@x.example"


def test_a_failure_told_before_the_last_success_counts_no_more(desk: Desk) -> None:
    run = desk.run(desk.join("alfa"), "failed")
    with desk.catalogue.read() as connection:
        row = connection.execute(select(harvests).where(harvests.c.id == run)).one()
    told = [Told("complete", "complete", _BEGIN - 100), Told("unreachable", "failed", _BEGIN - 200)]
    assert is_failure_news(row, "unreachable", told, _BEGIN)  # type: ignore[arg-type]  # the row has the run's names
    assert not is_failure_news(row, "unreachable", told[1:], _BEGIN)  # type: ignore[arg-type]  # likewise
