"""Handing letters to a mail server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from harvester.errors import MailError

MAX_ADDRESSES = 5
_PATIENCE = 30.0  # seconds, for each answer of the server
_PORTS = {"smtp": 587, "smtps": 465}

# Hands in one letter; how many of its recipients were not taken, while others were.
Send = Callable[[EmailMessage], int]


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where letters are handed in. With `tls` the connection is encrypted from its beginning."""

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)


def parse_server(url: str) -> MailServer:
    """The server of an address such as smtp://user:password@host:port.

    Raises:
        ValueError: it is none; the text shows nothing of it, as it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        host = None
    if not host:
        raise ValueError("must be like smtp://user:password@host:587 or smtps://host, special characters as %40")
    return MailServer(host, port, parts.scheme == "smtps", unquote(parts.username or ""), unquote(parts.password or ""))


def parse_address(text: str) -> Address:
    """The mail address.

    Raises:
        ValueError: it is none, or more than one.
    """
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError) as error:
        raise ValueError("must be a mail address such as pustaka@library.example") from error
    if not (address.domain and text.isascii() and text.isprintable()):
        raise ValueError("must be a mail address such as pustaka@library.example")
    return address


def parse_addresses(text: str) -> tuple[Address, ...]:
    """The mail addresses, apart by commas; each once.

    Raises:
        ValueError: one of them is none, or there are too many.
    """
    found = tuple(parse_address(one) for one in dict.fromkeys(one.strip() for one in text.split(",")))
    if len(found) > MAX_ADDRESSES:
        raise ValueError(f"must be {MAX_ADDRESSES} mail addresses at the most")
    return found


@contextmanager
def open_mail(server: MailServer) -> Iterator[Send]:
    """What sends a letter, in one session for all; it returns once the server has accepted the letter.

    Raises:
        MailError: the server cannot be reached, or does not take the letter.
    """
    with _named_errors(server):
        session = _connect(server)
    try:
        yield lambda letter: _send(server, session, letter)
    finally:
        with suppress(smtplib.SMTPException, OSError):  # what was accepted stays accepted
            session.quit()
        session.close()


def _connect(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    session: smtplib.SMTP
    if server.tls:
        session = smtplib.SMTP_SSL(server.host, server.port, timeout=_PATIENCE, context=context)
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=_PATIENCE)
        session.ehlo_or_helo_if_needed()
        if session.has_extn("starttls"):
            session.starttls(context=context)
            session.ehlo()
    if server.user:
        session.login(server.user, server.password)
    return session


def _send(server: MailServer, session: smtplib.SMTP, letter: EmailMessage) -> int:
    with _named_errors(server):
        return len(session.send_message(letter))


@contextmanager
def _named_errors(server: MailServer) -> Iterator[None]:
    where = f"the mail server {server.host}:{server.port}"
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise MailError(f"{where} does not take this recipient ({min(codes)})", refused=min(codes) >= 500) from error
    except smtplib.SMTPResponseException as error:
        # Its text is not ours to show: some servers repeat what they were sent.
        raise MailError(f"{where} answers {error.smtp_code}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"{where} cannot be used: {type(error).__name__}") from error
