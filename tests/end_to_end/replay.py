"""A real HTTP server that answers as the members of the material once did, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from material import RealRecord, RealResponse

HOSTS = 16  # 127.0.0.1 and on: members of one host are harvested in turn, of different hosts side by side

IDENTIFY = b"""<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-01T00:00:00Z</responseDate>
<request verb="Identify">http://replay.example/oai</request>
<Identify><repositoryName>Replay</repositoryName><baseURL>http://replay.example/oai</baseURL>
<protocolVersion>2.0</protocolVersion><adminEmail>replay@example.org</adminEmail>
<earliestDatestamp>1990-01-01T00:00:00Z</earliestDatestamp><deletedRecord>persistent</deletedRecord>
<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify></OAI-PMH>"""
BAD_TOKEN = b"""<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-01T00:00:00Z</responseDate>
<request>http://replay.example/oai</request>
<error code="badResumptionToken">the next page is not in the material</error></OAI-PMH>"""


@dataclass(frozen=True)
class Endpoint:
    """One base URL: a response, and those that its tokens lead to, in order."""

    slug: str
    pages: tuple[RealResponse, ...]

    @property
    def path(self) -> str:
        """The path of its base URL."""
        return f"/{self.slug}/oai"

    @property
    def first(self) -> RealResponse:
        """What it answers to a list request without a token."""
        return self.pages[0]

    @property
    def records(self) -> tuple[RealRecord, ...]:
        """The records of all its pages."""
        return tuple(record for page in self.pages for record in page.records)

    @property
    def cut_off(self) -> bool:
        """True where the last page carries a token and its next page is not in the material."""
        return bool(self.pages[-1].token)


def endpoints_of(responses: Iterable[RealResponse]) -> tuple[Endpoint, ...]:
    """Every response under its own base URL; the later pages of a ListRecords chain under that of its first one."""
    everything = tuple(responses)
    following = {(r.host, r.asked_token): r for r in everything if r.asked_token and r.verb != "error"}
    chains = []
    for response in everything:
        chain = [response]
        # Some servers percent-encode the token that they write and understand either form.
        while nearest := next(
            (
                following[chain[-1].host, token]
                for token in (chain[-1].token, unquote(chain[-1].token))
                if token and (chain[-1].host, token) in following
            ),
            None,
        ):
            chain.append(nearest)
        chains.append(tuple(chain))
    later = {page.file for chain in chains for page in chain[1:] if page.verb == "ListRecords"}
    return tuple(
        Endpoint(
            slug=re.sub("[^a-z0-9]+", "-", f"r{n:03d} {chain[0].file.split('.')[0].lower()}")[:64].rstrip("-"),
            pages=chain,
        )
        for n, chain in enumerate(chains)
        if chain[0].file not in later
    )


class Replay:
    """A running replay of endpoints.

    Attributes:
        served: the path and query of each request so far, and the SHA-256 of what it was answered with.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self.served: list[tuple[str, str]] = []
        self.bases: tuple[str, ...] = ()
        self._by_path = {endpoint.path: endpoint for endpoint in self.endpoints}

    def url_of(self, endpoint: Endpoint) -> str:
        """The base URL of the endpoint."""
        return self.bases[self.endpoints.index(endpoint) % len(self.bases)] + endpoint.path

    def answer(self, target: str) -> tuple[int, str, bytes]:
        """Status, content type and body for one request."""
        url = urlsplit(target)
        arguments = parse_qs(url.query)
        found = self._find_page(self._by_path[url.path].pages, arguments)
        body = found if isinstance(found, bytes) else found.body
        self.served.append((target, sha256(body).hexdigest()))
        if isinstance(found, bytes):
            return 200, "text/xml; charset=UTF-8", found
        return found.status, found.content_type, found.body

    def _find_page(self, pages: tuple[RealResponse, ...], arguments: dict[str, list[str]]) -> RealResponse | bytes:
        if arguments["verb"] == ["Identify"]:
            return IDENTIFY
        if "resumptionToken" not in arguments:
            return pages[0]
        token = arguments["resumptionToken"]
        return next((later for page, later in pairwise(pages) if [page.token] == token), BAD_TOKEN)


@contextmanager
def replaying(responses: Iterable[RealResponse]) -> Iterator[Replay]:
    """The responses are served until the block ends."""
    replay = Replay(endpoints_of(responses))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status, content_type, body = replay.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
            """Nothing on stderr."""

    with ExitStack() as stack:
        servers = [stack.enter_context(ThreadingHTTPServer((f"127.0.0.{n}", 0), Handler)) for n in range(1, HOSTS + 1)]
        for server in servers:
            server.daemon_threads = True
            Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
        replay.bases = tuple(f"http://{server.server_address[0]}:{server.server_port}" for server in servers)
        yield replay
