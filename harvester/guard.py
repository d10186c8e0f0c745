"""Requests to addresses that strangers name: never to this machine's own network, whatever a name resolves to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from io import BufferedReader
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, ClassVar, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from harvester.errors import UnreachableError
from harvester.settings import Settings

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # the last four bytes are an IPv4 address
_DEAD = (
    *(IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv4Network("192.88.99.0/24")),  # 6to4, Teredo, their relay
    # For protocols and examples, which not every release of Python says. Spec: RFC 6890, 9637.
    *(IPv4Network("192.0.0.0/24"), IPv6Network("3fff::/20")),
    IPv4Network("168.63.129.16"),  # where Azure answers its own machines
)

_TRIED = 3  # addresses of one name
_PIECE = 2**17  # bytes
_LONGEST_HEAD = 300.0  # seconds, where the request sets no timeout
# A body that nobody needs is read so far, that its connection can be used again.
SKIP_SECONDS = 2.0
_SKIP_BYTES = 2**16
# Of a head that no other follows, as one does after 1xx.
_BEGINNINGS = tuple(f"HTTP/1.{minor} {kind}".encode() for minor in (0, 1) for kind in (2, 3, 4, 5))


class PrivateAddressError(UnreachableError):
    """The address leads into a private network, to this machine, or nowhere; nothing was sent there."""


def is_public(address: str) -> bool:
    """True for the address of one host on the open internet; an IPv4 address inside an IPv6 one counts as itself."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if inner is None and ip not in _GLOBAL_UNICAST:
            return False
        ip = inner or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in network for network in _DEAD))


def is_this_machine(host: str) -> bool:
    """Whether the host, as an address writes it, is a loopback address or the name of it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def guarded_session(settings: Settings) -> requests.Session:
    """A session that opens no connection to an address that is not public, at any redirect, unless the settings
    allow private ones. It takes no proxy, password or certificate from the environment.

    The read timeout of a request counts for the whole head of its answer. A request may also raise
    `PrivateAddressError`.
    """
    session = BoundedSession()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter() if settings.allow_private else GuardedAdapter())
    return session


class BoundedSession(requests.Session):
    """Waits for no body of a redirect: requests reads each to its end, also where it is not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where the answer leads to, if it does; nothing of its body is left to be read."""
        if resp.is_redirect and not resp.raw.closed:
            _skip(resp)
        return super().get_redirect_target(resp)


def _skip(response: requests.Response) -> None:
    left = _SKIP_BYTES
    with suppress(HTTPError), hung_up_after(SKIP_SECONDS, response):
        while left > 0 and (chunk := response.raw.read1(left, decode_content=False)):
            left -= len(chunk)
    response.close()


@contextmanager
def hung_up_after(seconds: float, response: requests.Response) -> Iterator[None]:
    """Whoever reads the body here meets its end by then: one that drips never meets the timeout of a socket."""
    clock = threading.Timer(max(seconds, 0.1), _hang_up, (response,))
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def read_within(response: requests.Response, most: int, seconds: float) -> bytes:
    """So much of the body at the most, as far as it comes in so many seconds."""
    body = bytearray()
    ends = time.monotonic() + seconds
    with hung_up_after(seconds, response):
        while len(body) < most and time.monotonic() < ends:
            piece = response.raw.read1(min(most - len(body), _PIECE), decode_content=True)
            if not piece:
                break
            body += piece
    return bytes(body)


def _hang_up(response: requests.Response) -> None:
    with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself meanwhile
        response.raw.shutdown()


class _Lines:
    """Lines of a head, none of them later than a moment of the monotonic clock."""

    def __init__(self, fp: BufferedReader, sock: socket.socket, ends: float) -> None:
        self._fp = fp
        self._sock = sock
        self._ends = ends

    def readline(self, limit: int) -> bytes:
        line = b""
        while len(line) < limit and not line.endswith(b"\n"):
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("the head of the answer was not complete in time")
            self._sock.settimeout(left)
            come = self._fp.peek()[: limit - len(line)]  # what is there, or the next that comes
            if not come:
                break
            line += self._fp.read(come.find(b"\n") + 1 or len(come))
        return line

    def close(self) -> None:
        self._fp.close()


class _Response(HTTPResponse):
    """An answer whose head must be complete within the timeout, and so must each line between the parts of its body:
    one that drips never meets that of a socket."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._sock = sock

    def begin(self) -> None:
        come = self.fp.peek()
        if b"\r\n\r\n" in come and come.startswith(_BEGINNINGS):  # nearly always: there is nothing to wait for
            super().begin()
            return
        with self._by_lines():
            super().begin()

    def _read_next_chunk_size(self) -> int:
        with self._by_lines():
            size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # of the library, whose stubs lack it
            return size

    def _read_and_discard_trailer(self) -> None:
        with self._by_lines():
            super()._read_and_discard_trailer()  # type: ignore[misc]  # as above

    @contextmanager
    def _by_lines(self) -> Iterator[None]:
        sock, fp = self._sock, self.fp
        timeout = sock.gettimeout()
        self.fp = cast("BufferedReader", _Lines(fp, sock, time.monotonic() + (timeout or _LONGEST_HEAD)))
        try:
            yield
        finally:
            self.fp = self.fp and fp  # none where the library has closed it
            sock.settimeout(timeout)


class _Bounded(HTTPConnection):
    response_class = _Response


class _BoundedTls(HTTPSConnection):
    response_class = _Response


class _Guarded(_Bounded):
    def _new_conn(self) -> socket.socket:
        """Connected to an address that was looked at, not to what the name may mean a moment later."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not all(map(is_public, addresses)):
            raise PrivateAddressError(f"{self.host} is not on the open internet, and private networks are not asked")
        for address in addresses[:_TRIED]:
            with suppress(OSError):
                return create_connection((address, self.port), self.timeout, self.source_address, self.socket_options)
        raise NewConnectionError(self, f"{self.host} cannot be reached")


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _GuardedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class BoundedAdapter(HTTPAdapter):
    """Connects to any address. The read timeout of a request counts for the whole head of its answer."""

    _pools: ClassVar = {"http": _Pool, "https": _TlsPool}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The pools of those that are asked directly are ours."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """The pools of those that are asked through a proxy are ours, but for SOCKS."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # which has its own way to connect
            manager.pool_classes_by_scheme = self._pools
        return manager


class GuardedAdapter(BoundedAdapter):
    """Connects to public addresses only, else raises `PrivateAddressError`. No proxy is used: it would resolve names
    itself, and behind our back."""

    _pools: ClassVar = {"http": _GuardedPool, "https": _GuardedTlsPool}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """The answer, from the very host."""
        request.headers.pop("Proxy-Authorization", None)
        return super().send(request, *args, **(kwargs | {"proxies": None}))
