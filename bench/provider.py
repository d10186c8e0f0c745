"""Many repositories on one machine, each on its own loopback address: quick to answer after a fixed latency.

`python -m bench.provider PORT MEMBERS PAGES` prints "ready" and serves until it is ended. The path names how
many pages a list has: http://127.0.0.7:PORT/20/oai. Pages are made beforehand; an answer is three joined pieces.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from urllib.parse import parse_qs, urlsplit

from bench.material import iter_made, list_records_xml, record_xml, response_xml

RECORDS = 100
LATENCY = 0.05
_TOKEN, _HOST = "~token~", "~host~"


def base_url(number: int, port: int, pages: int) -> str:
    """The address of one repository, from 1."""
    return f"http://127.0.0.{number}:{port}/{pages}/oai"


class Repositories:
    """The answers, ready but for the host's name and the token."""

    def __init__(self, pages: int) -> None:
        records = iter_made()
        self._pages = []
        for page in range(pages):
            some = enumerate(islice(records, RECORDS), page * RECORDS + 1)
            body = list_records_xml((record_xml(f"oai:{_HOST}:{number}", made) for number, made in some), _TOKEN)
            head, _, tail = body.partition(_TOKEN.encode())
            self._pages.append((head, tail))
        self._identify = response_xml(
            "<Identify><repositoryName>Repositori</repositoryName><baseURL>http://repository.example.ac.id/oai</baseURL>"
            "<protocolVersion>2.0</protocolVersion><adminEmail>a@example.ac.id</adminEmail>"
            "<earliestDatestamp>2000-01-01T00:00:00Z</earliestDatestamp><deletedRecord>no</deletedRecord>"
            "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
        )

    def answer(self, target: str, host: str) -> bytes:
        """The whole HTTP response."""
        parts = urlsplit(target)
        arguments = parse_qs(parts.query)
        if arguments["verb"] == ["Identify"]:
            body = self._identify
        else:
            page = int(arguments.get("resumptionToken", ["0"])[0])
            head, tail = self._pages[page]
            last = page + 1 == int(parts.path.split("/")[1])
            token = b"" if last else str(page + 1).encode()
            body = b"".join((head.replace(_HOST.encode(), host.encode()), token, tail))
        top = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        return top.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, repositories: Repositories, loop: asyncio.AbstractEventLoop) -> None:
        self._repositories = repositories
        self._loop = loop
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._host = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            target = self._received.split(b" ", 2)[1].decode()
            self._received = b""
            self._loop.call_later(LATENCY, self._write, target)

    def _write(self, target: str) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._repositories.answer(target, self._host))


async def _serve(port: int, members: int, pages: int) -> None:
    repositories = Repositories(pages)
    loop = asyncio.get_running_loop()
    hosts = [f"127.0.0.{number}" for number in range(1, members + 1)]
    server = await loop.create_server(lambda: _Connection(repositories, loop), hosts, port, backlog=256)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*(int(argument) for argument in sys.argv[1:4])))
