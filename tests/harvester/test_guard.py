"""What strangers name is asked only where it lies on the open internet."""

# ruff: noqa: S104 - 0.0.0.0 is asked here, never bound

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.provider import FakeProvider, FakeRepository, Fault
from fakes.raw import dripping, in_time, sending
from urllib3.exceptions import ReadTimeoutError

from harvester import guard
from harvester.guard import PrivateAddressError, guarded_session, is_public
from harvester.settings import Settings

Resolve = Callable[..., list[Any]]
_RESOLVE: Resolve = socket.getaddrinfo


@pytest.fixture
def session(tmp_path: Path) -> Iterator[requests.Session]:
    with guarded_session(Settings(home=tmp_path)) as session:
        yield session


@pytest.fixture
def repository(provider: FakeProvider) -> FakeRepository:
    repository = FakeRepository()
    provider.serve(repository)
    return repository


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("192.88.99.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "100::1", "4000::1"),
        *("192.0.0.8", "192.0.0.192", "3fff::1", "168.63.129.16", "::ffff:168.63.129.16"),
    ],
)
def test_an_address_off_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "103.10.62.1", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"]
)
def test_this_machine_is_never_asked_however_it_is_written(
    host: str, session: requests.Session, provider: FakeProvider, repository: FakeRepository
) -> None:
    with pytest.raises(PrivateAddressError, match="not on the open internet"):
        session.get(provider.base.replace("127.0.0.1", host) + "/oai", timeout=5)
    assert repository.requests == []


def test_private_addresses_are_asked_where_the_settings_allow_it(
    tmp_path: Path, provider: FakeProvider, repository: FakeRepository
) -> None:
    with guarded_session(Settings(home=tmp_path, allow_private=True)) as session:
        assert session.get(provider.base + "/oai", timeout=5).status_code == 200


def test_a_redirect_into_the_private_network_is_not_followed(
    session: requests.Session, provider: FakeProvider, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first hop counts as public here; the second is not."""
    monkeypatch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
    repository.fail(
        1, Fault(status=302, headers={"Location": provider.base.replace("127.0.0.1", "127.0.0.2") + "/oai"})
    )
    with pytest.raises(PrivateAddressError):
        session.get(provider.base + "/oai", timeout=5)
    assert len(repository.requests) == 1


def test_a_name_that_changes_its_meaning_after_the_look_is_not_believed(
    session: requests.Session, provider: FakeProvider, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public for the first question, this machine for every later one."""
    port = provider.base.rpartition(":")[2]
    asked: list[str] = []

    def resolve(host: str, *arguments: Any, **options: Any) -> list[Any]:
        if host != "rebinding.example":
            return _RESOLVE(host, *arguments, **options)
        asked.append(host)
        return _RESOLVE("203.0.113.9" if len(asked) == 1 else "127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(guard, "is_public", lambda address: address == "203.0.113.9" or is_public(address))
    with pytest.raises(requests.ConnectionError):
        session.get(f"http://rebinding.example:{port}/oai", timeout=0.3)
    with pytest.raises(PrivateAddressError):
        session.get(f"http://rebinding.example:{port}/oai", timeout=0.3)
    assert (len(asked), repository.requests) == (2, [])


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = _RESOLVE("8.8.8.8", 80, type=socket.SOCK_STREAM) + _RESOLVE("10.0.0.1", 80, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(PrivateAddressError):
        session.get("http://two.example/", timeout=0.3)


def test_proxies_of_the_environment_are_no_way_around(
    session: requests.Session, provider: FakeProvider, repository: FakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", provider.base)
    with pytest.raises(PrivateAddressError):
        session.get("http://10.0.0.1/oai", timeout=5)
    assert repository.requests == []


def test_a_head_that_drips_is_cut_off(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "is_public", lambda _: True)
    with dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x") as url, in_time(), pytest.raises(requests.Timeout):
        session.get(url, timeout=0.3)


@pytest.mark.parametrize("line", [b"1;", b"0\r\nX-Long: "], ids=["size", "trailer"])
def test_a_line_between_the_parts_of_a_body_that_drips_is_cut_off(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(guard, "is_public", lambda _: True)
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + line
    with (
        dripping(begin, b"x") as url,
        in_time(),
        session.get(url, timeout=0.3, stream=True) as response,
        pytest.raises(ReadTimeoutError),
    ):
        response.raw.read1(99)


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize(
    ("length", "drop", "pause"),
    [
        ("", b"x", 0.02),
        ("Content-Length: 99999999\r\n", b"x", 0.02),
        ("Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n", 0.02),
        ("Content-Encoding: gzip\r\n", b"x", 0.02),
        ("Content-Length: 9\r\n", b"", 0.02),  # which never come
        ("", b"x" * 2**16, 0.0),
    ],
    ids=["drips", "length", "chunked", "gzip", "silent", "endless"],
)
def test_the_body_of_a_redirect_is_neither_waited_for_nor_kept(
    length: str,
    drop: bytes,
    pause: float,
    follows: bool,
    tmp_path: Path,
    provider: FakeProvider,
    repository: FakeRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "SKIP_SECONDS", 0.3)
    head = f"HTTP/1.1 302 Found\r\nLocation: {provider.base}/oai\r\n{length}\r\n"
    with (
        guarded_session(Settings(home=tmp_path, allow_private=True)) as session,
        dripping(head.encode(), drop, pause) as url,
        in_time(),
        session.get(url, timeout=10, stream=True, allow_redirects=follows) as response,
    ):
        assert response.url == (provider.base + "/oai" if follows else url)
        assert session.get_redirect_target(response) == (None if follows else provider.base + "/oai")
        bodies = [each.content for each in (response, *response.history)]
    assert bodies == ([repository.sent[0], b""] if follows else [b""])


def test_what_is_no_answer_at_all_is_said_to_be_none(tmp_path: Path) -> None:
    with (
        guarded_session(Settings(home=tmp_path, allow_private=True)) as session,
        sending(b"\x00\xff" * 500) as url,
        pytest.raises(requests.ConnectionError),
    ):
        session.get(url, timeout=5)


def test_a_connection_is_used_again_after_the_short_body_of_a_redirect(tmp_path: Path) -> None:
    there = b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 2\r\n\r\nhi"
    with (
        guarded_session(Settings(home=tmp_path, allow_private=True)) as session,
        sending(there, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage") as url,
    ):
        assert session.get(url, timeout=5).content == b"page"
