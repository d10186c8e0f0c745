"""A server is asked patiently, politely, and within bounds."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fakes.provider import FakeProvider, FakeRepository, Fault
from fakes.raw import dripping, in_time, sending
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import InsecureRequestWarning

from harvester import guard
from harvester.errors import ThrottledError, UnreachableError
from harvester.oai import transport as module
from harvester.oai.transport import TRIES, BrokenAnswerError, Transport

IDENTIFY = {"verb": "Identify"}
TOKEN = {"verb": "ListRecords", "resumptionToken": "a b/5"}
WITH_TOKEN = "/oai?verb=ListRecords&resumptionToken=a+b%2F5"
GZIP = {"Content-Encoding": "gzip"}
MakeTransport = Callable[..., Transport]


@pytest.fixture
def make_transport() -> Iterator[MakeTransport]:
    made: list[Transport] = []

    def make(max_wait: float = 0.01, **options: Any) -> Transport:
        made.append(Transport(user_agent="Lumbung/test", from_email="op@x.id", max_wait=max_wait, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def repository(provider: FakeProvider) -> FakeRepository:
    repository = FakeRepository()
    provider.serve(repository)
    return repository


def is_identify(body: bytes) -> bool:
    return b"<Identify>" in body


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, body=b"busy") for status in (429, 500, 502, 503, 504)),
        Fault(cut=0),
        Fault(cut=30),
        Fault(status=503, body=b"", headers={"Retry-After": "0"}),
        Fault(status=503, body=b"", headers={"Retry-After": formatdate(0, usegmt=True)}),
        *(
            Fault(status=503, body=b"", headers={"Retry-After": strange})
            for strange in ("soon", "-1", "\u00b2", "", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
        ),
        Fault(body=gzip.compress(b"<Identify>" * 99)[:-9], headers={"Content-Encoding": "gzip"}),
        Fault(headers={"Transfer-Encoding": "chunked"}),
    ],
)
def test_failures_that_pass_are_tried_again(
    fault: Fault, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", fault, fault)
    transport = make_transport()
    answer = transport.fetch(provider.base + "/oai", IDENTIFY)
    assert (answer.status, is_identify(answer.body)) == (200, True)
    assert transport.requests == len(repository.requests) == 3
    assert transport.bytes >= len(answer.body)


def test_the_last_answer_of_a_server_in_trouble_is_handed_over(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", *[Fault(status=500, body=b"broken")] * 9)
    answer = make_transport().fetch(provider.base + "/oai", IDENTIFY)
    assert (answer.status, answer.body) == (500, b"broken")
    assert len(repository.requests) == TRIES


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422])
def test_other_answers_are_not_asked_for_again(
    status: int, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", Fault(status=status, body=b"x"))
    answer = make_transport().fetch(provider.base + "/oai", IDENTIFY)
    assert (answer.status, answer.body, len(repository.requests)) == (status, b"x", 1)


@pytest.mark.parametrize("as_date", [False, True])
def test_a_pause_longer_than_allowed_ends_the_request(
    as_date: bool, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    retry_after = formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    repository.fail("Identify", Fault(status=503, headers={"Retry-After": retry_after}))
    with pytest.raises(ThrottledError, match=r"wait 3[56]") as caught:
        make_transport(max_wait=60).fetch(provider.base + "/oai", IDENTIFY)
    assert 3500 < caught.value.retry_after <= 3600
    assert len(repository.requests) == 1


def test_a_pause_is_as_long_as_the_server_asks_and_grows_where_it_does_not(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", waited.append)
    asked = Fault(status=503, body=b"", headers={"Retry-After": "7"})
    repository.fail("Identify", asked, *[Fault(status=502, body=b"")] * 3)
    make_transport(max_wait=9, stop=stop).fetch(provider.base + "/oai", IDENTIFY)
    assert 7 <= waited[0] <= 9
    assert 4 <= waited[1] <= 5
    assert waited[2:] == [pytest.approx(8.5, abs=0.5), 9]


def test_a_pause_ends_when_the_operator_stops(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    stop = threading.Event()
    repository.on_request = lambda _request: stop.set()
    repository.fail("Identify", *[Fault(status=503, body=b"", headers={"Retry-After": "50"})] * 9)
    began = time.monotonic()
    answer = make_transport(max_wait=60, stop=stop).fetch(provider.base + "/oai", IDENTIFY)
    assert answer.status == 503
    assert time.monotonic() - began < 5
    assert len(repository.requests) == 1


def test_an_answer_that_is_too_big_is_not_read_to_its_end(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", 2**20)
    bomb = gzip.compress(b"x" * 2**24)
    for fault in (Fault(body=b"x" * (2**20 + 1)), Fault(body=bomb, headers={"Content-Encoding": "gzip"})):
        repository.fail("Identify", fault)
        with pytest.raises(UnreachableError, match="larger than 1 MB"):
            make_transport().fetch(provider.base + "/oai", IDENTIFY)
    assert len(repository.requests) == 2
    repository.fail("Identify", Fault(body=b"x" * 2**20))
    assert len(make_transport().fetch(provider.base + "/oai", IDENTIFY).body) == 2**20


def test_an_answer_that_takes_too_long_is_given_up(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", -1.0)
    with pytest.raises(UnreachableError, match="not complete after"):
        make_transport().fetch(provider.base + "/oai", IDENTIFY)


@pytest.mark.parametrize("length", ["Content-Length: 99999\r\n", "Transfer-Encoding: chunked\r\n", ""])
@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"])
def test_an_answer_that_drips_is_given_up(
    length: str, encoding: str, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name in the head of a gzip file has no end: nothing of it is ever unpacked."""
    monkeypatch.setattr(module, "MAX_SECONDS", 0.3)
    monkeypatch.setattr(module, "READ_TIMEOUT", 3)
    begin = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" if encoding else b"<"
    chunked = "chunked" in length
    begin = b"%x\r\n%b\r\n" % (len(begin), begin) if chunked else begin
    head = f"HTTP/1.1 200 OK\r\n{length}{encoding}\r\n".encode()
    with (
        dripping(head + begin, b"1\r\nx\r\n" if chunked else b"x") as url,
        in_time(),
        pytest.raises(UnreachableError, match="not complete after"),
    ):
        make_transport().fetch(url, IDENTIFY)


def test_the_body_of_a_redirect_that_drips_is_given_up_and_not_the_redirect(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SKIP_SECONDS", 0.2)
    head = f"HTTP/1.1 302 Found\r\nLocation: {provider.base}/oai?verb=Identify\r\n\r\n"
    with dripping(head.encode(), b"x") as url, in_time():
        assert is_identify(make_transport().fetch(url, IDENTIFY).body)


@pytest.mark.parametrize("begin", ["", "HTTP/1.1 200 OK\r\nX-Long: ", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 "])
def test_a_head_that_drips_is_given_up(
    begin: str, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(module, "TRIES", 1)
    with (
        dripping(begin.encode(), b"x") as url,
        in_time(),
        pytest.raises(UnreachableError, match="did not answer in time"),
    ):
        make_transport().fetch(url, IDENTIFY)


@pytest.mark.parametrize(
    "pieces",
    [
        ("H", "TTP/1.1 200 OK\r\nContent-Length: 4\r", "\n", "\r\npa", "ge"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"),
        ("HTTP/1.1 200 OK\n", f"X-Long: {'x' * 60000}\nContent-Length: 4\n\npage"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: ", "chunked\r\n\r\n4\r\npage\r\n", "0\r\n\r\n"),
        ("HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 2\r\n\r\nhi", "", "HTTP/1.0 200 OK\r\n\r\npage"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /new\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "",
            "HTTP/1.0 200 OK\r\n\r\npage",
        ),
    ],
    ids=["split", "1xx", "long", "chunked", "redirect", "chunked-redirect"],
)
def test_an_answer_is_read_however_it_comes_and_one_connection_does(
    pieces: tuple[str, ...], make_transport: MakeTransport
) -> None:
    with sending(*map(str.encode, pieces)) as url:
        assert make_transport().fetch(url, IDENTIFY).body == b"page"


def test_a_gzip_answer_is_unpacked(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", Fault(body=gzip.compress(b"page"), headers={"Content-Encoding": "gzip"}))
    assert make_transport().fetch(provider.base + "/oai", IDENTIFY).body == b"page"


@pytest.mark.parametrize(
    ("headers", "body"), [({}, gzip.compress(b"page")), ({"Content-Encoding": "gzip"}, b"page")], ids=["un", "mis"]
)
def test_gzip_that_is_not_labelled_as_what_it_is_is_seen(
    headers: dict[str, str],
    body: bytes,
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
) -> None:
    repository.fail("Identify", Fault(body=body, headers=headers))
    assert make_transport().fetch(provider.base + "/oai", IDENTIFY).body == b"page"


def test_a_server_whose_gzip_is_broken_is_asked_without(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    broken = gzip.compress(b"page" * 999)
    repository.fail("Identify", Fault(body=broken[:20] + b"\xff" * 9 + broken[29:]))
    assert is_identify(make_transport().fetch(provider.base + "/oai", IDENTIFY).body)
    assert [request.headers["Accept-Encoding"] for request in repository.requests] == ["gzip", "identity"]


LONG = gzip.compress(bytes(range(256)) * 90)


@pytest.mark.parametrize(
    ("fault", "came", "words"),
    [
        (Fault(body=b"<OAI-PMH>" * 9999, cut=12_345), (b"<OAI-PMH>" * 9999)[:12_345], "was cut after 12,345 bytes"),
        (Fault(body=LONG, headers=GZIP, cut=40), LONG[:40], "the connection was cut after 40 bytes"),
        (Fault(body=b"<OAI-PMH>", cut=0), b"", "the connection was cut after 0 bytes"),
        (Fault(body=LONG[:-9], headers=GZIP), LONG[:-9], "the packed answer ends early"),
        (Fault(body=LONG[:20] + b"\xff" * 9 + LONG[29:]), LONG[:20] + b"\xff" * 9 + LONG[29:], "answer is damaged"),
        (Fault(body=LONG[:-8] + bytes(8)), LONG[:-8] + bytes(8), "the packed answer is damaged"),
    ],
    ids=["plain", "packed", "nothing", "early", "damaged", "checksum"],
)
def test_of_an_answer_that_breaks_off_whatever_came_is_handed_over_with_the_reason(
    fault: Fault,
    came: bytes,
    words: str,
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
) -> None:
    repository.fail("ListRecords", *[fault] * TRIES)
    with pytest.raises(BrokenAnswerError, match=words) as caught:
        make_transport().fetch(provider.base + "/oai", TOKEN)
    answer = caught.value.answer
    assert (answer.body, answer.status, answer.url) == (came, 200, provider.base + WITH_TOKEN)
    assert (caught.value.url, len(repository.requests)) == (answer.url, TRIES)
    assert "Error" not in str(caught.value)


@pytest.mark.parametrize(
    ("begin", "drop", "words"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<OAI\r\n8\r\nx",
            b"",
            "in time; it has sent 5 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n<OAIx", b"x", "not complete after"),
    ],
    ids=["silent", "dripping"],
)
def test_of_an_answer_that_takes_too_long_whatever_came_is_handed_over(
    begin: bytes, drop: bytes, words: str, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 2 if not drop else 0.3)
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(module, "TRIES", 1)
    with dripping(begin, drop) as url, in_time(), pytest.raises(BrokenAnswerError, match=words) as caught:
        make_transport().fetch(url, TOKEN)
    assert caught.value.answer.body.startswith(b"<OAIx")
    assert caught.value.url == url + WITH_TOKEN.removeprefix("/oai")


def test_a_busy_server_is_given_its_pause_also_where_its_answer_breaks_off(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", Fault(status=503, body=b"busy", cut=2, headers={"Retry-After": "3600"}))
    with pytest.raises(ThrottledError, match="wait 3600"):
        make_transport(max_wait=60).fetch(provider.base + "/oai", IDENTIFY)


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (gzip.compress(b"one, ") + gzip.compress(b"") + gzip.compress(b"two"), b"one, two"),
        (gzip.compress(b"one") + bytes(512), b"one"),
        (b"".join(gzip.compress(b"%d," % n) for n in range(9999)), b"".join(b"%d," % n for n in range(9999))),
    ],
    ids=["three", "padded", "many"],
)
def test_gzip_of_several_members_is_unpacked_to_its_end(
    body: bytes, page: bytes, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", Fault(body=body, headers=GZIP))
    assert make_transport().fetch(provider.base + "/oai", IDENTIFY).body == page
    assert len(repository.requests) == 1


def test_gzip_of_several_members_is_damaged_where_one_is_and_too_big_where_all_are(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository.fail("Identify", *[Fault(body=LONG + LONG[:-9])] * TRIES)
    with pytest.raises(BrokenAnswerError, match="ends early"):
        make_transport().fetch(provider.base + "/oai", IDENTIFY)
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", 2**20)
    half = gzip.compress(b"x" * 2**19)
    repository.fail("Identify", Fault(body=half * 2), Fault(body=half * 2 + gzip.compress(b"x" * 2**24)))
    assert len(make_transport().fetch(provider.base + "/oai", IDENTIFY).body) == 2**20
    with pytest.raises(UnreachableError, match="larger than 1 MB"):
        make_transport().fetch(provider.base + "/oai", IDENTIFY)


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (Fault(), True),
        (Fault(status=404, body=b"no"), False),
        (Fault(body=gzip.compress(b"page"), headers=GZIP), False),
    ],
    ids=["well", "trouble", "packed"],
)
def test_that_only_plain_answers_are_well_is_known_when_one_was(
    then: Fault, told: bool, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", Fault(body=LONG[:-9], headers=GZIP), Fault(cut=9), then)
    transport = make_transport()
    assert transport.only_plain == ""
    transport.fetch(provider.base + "/oai", IDENTIFY)
    words = f"the packed answer ends early, and a plain one is well: {provider.base}/oai?verb=Identify"
    assert transport.only_plain == (words if told else "")


def test_a_packed_answer_that_a_cut_connection_may_have_damaged_says_nothing_of_the_server(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a length, whoever reads it cannot tell its end from a cut."""
    monkeypatch.setattr(module, "TRIES", 1)
    transport = make_transport()
    with (
        sending(b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + LONG[:-9]) as url,
        pytest.raises(BrokenAnswerError, match="ends early"),
    ):
        transport.fetch(url, IDENTIFY)
    assert is_identify(transport.fetch(provider.base + "/oai", IDENTIFY).body)
    assert repository.requests[0].headers["Accept-Encoding"] == "identity"
    assert transport.only_plain == ""


def test_a_pause_is_kept_between_requests(provider: FakeProvider, repository: FakeRepository) -> None:
    transport = Transport(user_agent="x", from_email="", max_wait=1, delay=0.2)
    for _ in range(3):
        transport.fetch(provider.base + "/oai", IDENTIFY)
    transport.close()
    begins = [began for began, _ in repository.intervals]
    ends = [ended for _, ended in repository.intervals]
    assert all(begin - end >= 0.19 for begin, end in zip(begins[1:], ends, strict=False))


def test_bytes_are_never_decoded_as_text(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    body = bytes(range(256))
    repository.fail("Identify", Fault(body=body, headers={"Content-Type": "text/xml; charset=utf-16"}))
    assert make_transport().fetch(provider.base + "/oai", IDENTIFY).body == body


def test_we_say_who_we_are_and_what_we_read(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    make_transport().fetch(provider.base + "/oai", IDENTIFY)
    headers = repository.requests[0].headers
    assert (headers["User-Agent"], headers["From"]) == ("Lumbung/test", "op@x.id")
    assert headers["Accept"].startswith("text/xml")
    assert "gzip" in headers["Accept-Encoding"]


def test_no_from_header_is_sent_without_an_address(provider: FakeProvider, repository: FakeRepository) -> None:
    transport = Transport(user_agent="x", from_email="", max_wait=1)
    transport.fetch(provider.base + "/oai", IDENTIFY)
    transport.close()
    assert "From" not in repository.requests[0].headers


def test_redirects_are_followed_and_the_last_address_is_known(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    moved = FakeRepository()
    provider.serve(moved, "/new")
    repository.fail("Identify", Fault(status=301, headers={"Location": "/new?verb=Identify"}))
    answer = make_transport().fetch(provider.base + "/oai", IDENTIFY)
    assert is_identify(answer.body)
    assert answer.url == provider.base + "/new?verb=Identify"
    assert len(moved.requests) == 1


@pytest.mark.parametrize(
    "location", ["{elsewhere}", "{base}@127.0.0.2:{port}/oai", "//127.0.0.2:{port}", "http://[::1]:1/"]
)
def test_a_redirect_into_the_private_network_is_not_followed(
    location: str, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    inner = FakeRepository()
    with FakeProvider("127.0.0.2") as elsewhere:
        url, port = elsewhere.serve(inner), elsewhere.base.rpartition(":")[2]
        target = location.format(elsewhere=url, base=provider.base, port=port)
        repository.fail("Identify", Fault(status=302, headers={"Location": target}))
        with pytest.raises(UnreachableError, match="and private networks are not asked") as caught:
            make_transport().fetch(provider.base + "/oai", IDENTIFY)
    assert (caught.value.url, caught.value.problem) == (provider.base + "/oai?verb=Identify", "redirected")
    assert target in str(caught.value)
    assert inner.requests == []


def test_a_private_server_may_redirect_within_itself_and_everywhere_where_the_settings_allow_it(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    for host, allowed in (("127.0.0.1", False), ("127.0.0.2", True)):
        with FakeProvider(host) as other:
            url = other.serve(FakeRepository())
            repository.fail("Identify", Fault(status=301, headers={"Location": f"{url}?verb=Identify"}))
            answer = make_transport(allow_private=allowed).fetch(provider.base + "/oai", IDENTIFY)
        assert is_identify(answer.body)
        assert answer.url == f"{url}?verb=Identify"


def test_a_proxy_of_the_environment_asks_the_server_and_nobody_else(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", provider.base.replace("//", "//me:secret@"))
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    transport = make_transport()
    assert is_identify(transport.fetch("http://repository.example/oai", IDENTIFY).body)
    assert "Proxy-Authorization" in repository.requests[0].headers
    repository.fail("Identify", Fault(status=302, headers={"Location": "http://10.0.0.1/oai"}))
    with pytest.raises(UnreachableError, match=r"redirects to http://10\.0\.0\.1/oai"):
        transport.fetch("http://repository.example/oai", IDENTIFY)
    assert len(repository.requests) == 2


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/oai?verb=Identify", "redirects without end"),
        ("ftp://x.example/", "redirects to ftp://x.example/, which is no web address"),
        ("file:///etc/passwd", "redirects to file:///etc/passwd, which is no web address"),
        ("http://[::1", "no web address"),
        ("http://x.example:port/", "no web address"),
        ("http:///oai?verb=Identify", "no web address|without end|cannot be reached"),
        ("http://%", "no web address"),
        ("http://a..b/", "no web address|cannot be reached"),
        ("http://\u00e9\u00ff:1/", "no web address|cannot be reached"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_the_servers_failure(
    location: str, words: str, provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport
) -> None:
    repository.fail("Identify", *[Fault(status=302, headers={"Location": location})] * 200)
    with pytest.raises(UnreachableError, match=words):
        make_transport().fetch(provider.base + "/oai", IDENTIFY)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_there_is_said_so(make_transport: MakeTransport) -> None:
    url = f"http://127.0.0.1:{closed_port()}/oai"
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        make_transport().fetch(url, IDENTIFY)
    assert caught.value.url == url + "?verb=Identify"


def test_silence_is_said_so(
    provider: FakeProvider,
    repository: FakeRepository,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.02)
    repository.fail("ListRecords", *[Fault(delay=30)] * 9)
    with pytest.raises(UnreachableError, match="did not answer in time") as caught:
        make_transport().fetch(provider.base + "/oai", TOKEN)
    assert caught.value.url == provider.base + WITH_TOKEN
    assert len(repository.requests) == TRIES


def test_no_tls_where_tls_is_expected_is_said_so(provider: FakeProvider, make_transport: MakeTransport) -> None:
    with pytest.raises(UnreachableError, match=r"certificate|reached"):
        make_transport().fetch(provider.base.replace("http:", "https:"), IDENTIFY)


def test_who_knows_that_a_certificate_is_not_verified_is_not_told_at_each_request(
    provider: FakeProvider, repository: FakeRepository, make_transport: MakeTransport, tmp_path: Path
) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=a -keyout k -out c"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "c", tmp_path / "k")
    provider._http.socket = tls.wrap_socket(provider._http.socket, server_side=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = make_transport(verify=False).fetch(provider.base.replace("http:", "https:") + "/oai", IDENTIFY)
    assert is_identify(answer.body)
    assert [warning for warning in told if warning.category is InsecureRequestWarning] == []


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d{1,2} \w{3} \d{1,20} \d\d:\d\d:\d\d ([+-]\d{4,9}|GMT)"))
def test_any_retry_after_is_seconds_or_unknown(value: str) -> None:
    seconds = module.parse_retry_after(value)
    assert seconds is None or seconds >= 0
