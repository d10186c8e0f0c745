"""Requests to addresses that strangers name: never to this machine's own network, whatever a name resolves to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util.connection import create_connection

from harvester.errors import UnreachableError
from harvester.settings import Settings

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # the last four bytes are an IPv4 address
_DEAD = (IPv6Network("2002::/16"), IPv6Network("2001::/32"), IPv4Network("192.88.99.0/24"))  # 6to4, Teredo, their relay

_TRIED = 3  # addresses of one name
_LONGEST_HEAD = 300.0  # seconds, where the request sets no timeout


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


def guarded_session(settings: Settings) -> requests.Session:
    """A session that opens no connection to an address that is not public, at any redirect, unless the settings
    allow private ones. It takes no proxy, password or certificate from the environment.

    The read timeout of a request counts for the whole head of its answer. A request may also raise
    `PrivateAddressError`.
    """
    session = requests.Session()
    session.trust_env = False
    if not settings.allow_private:
        for scheme in ("http://", "https://"):
            session.mount(scheme, _GuardedAdapter())
    return session


class _Guarded(HTTPConnection):
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

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3's own
        """A head that drips byte by byte would never meet the timeout of a socket."""
        ends = time.monotonic() + (self.timeout or _LONGEST_HEAD)
        clock = threading.Timer(ends - time.monotonic(), _hang_up, (self.sock,))
        clock.daemon = True
        clock.start()
        try:
            answer = super().getresponse()
        finally:
            clock.cancel()
        if time.monotonic() >= ends:
            answer.close()
            raise TimeoutError("the head of the answer was not complete in time")
        return answer


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class _GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself meanwhile
        sock.shutdown(socket.SHUT_RDWR)
