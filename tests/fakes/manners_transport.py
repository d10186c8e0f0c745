"""Bad manners of servers: part B.1 of the notes on what members send."""

from __future__ import annotations

import gzip
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from fakes.manners import (
    ERROR_HTML,
    WITHOUT_SIX,
    Arrange,
    Manner,
    Stage,
    Step,
    Wish,
    always,
    edited,
    error,
    every,
    lists,
    nothing,
    once,
    page,
    poisoned,
    rest,
    since_page,
    waited,
    with_habits,
)
from fakes.provider import FakeProvider, Fault, Request
from fakes.wild import WildRepository

from harvester.catalogue.care import Care


def busy(retry_after: str = "", status: int = 503) -> Fault:
    """Not now."""
    return Fault(status=status, body=b"busy", headers={"Retry-After": retry_after} if retry_after else {})


def _challenge(status: int) -> Fault:
    body = (
        b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>"
        b"Enable JavaScript and cookies to continue<script>window._cf_chl_opt={}</script></body></html>"
    )
    return Fault(status=status, body=body, headers={"Content-Type": "text/html"})


def _until_date(stage: Stage) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    once(page(2), busy(moment))(stage)


def _hang_up(stage: Stage) -> None:
    """The connection to the first request for page 2 ends before a byte of an answer."""
    done: list[Request] = []

    def look(request: Request) -> None:
        if stage.repository.page_of(request) == 2 and not done:
            done.append(request)
            raise ConnectionAbortedError

    stage.repository.on_request = look


class _Front(WildRepository):
    """Sends everybody elsewhere, with the same query."""

    def __init__(self, target: str, status: int) -> None:
        super().__init__()
        self._target, self._status = target, status

    def _find_fault(self, request: Request) -> Fault:
        return Fault(self._status, b"", {"Location": f"{self._target}?{request.raw_query}"})


def _redirects(status: int) -> Arrange:
    def arrange(stage: Stage) -> None:
        elsewhere = stage.others.enter_context(FakeProvider("127.0.0.2"))
        target = elsewhere.serve(stage.repository, "/moved")
        stage.url = stage.provider.serve(_Front(target, status), "/front")

    return arrange


def _redirects_for_ever(stage: Stage) -> None:
    stage.provider.serve(_Front(stage.url, 302))


def _signs_itself(stage: Stage) -> None:
    """The provider talks TLS, with a certificate that nobody vouches for."""
    secure = stage.others.enter_context(FakeProvider())
    key, certificate = (str(stage.folder / f"own.{kind}") for kind in ("key", "crt"))
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure._http.socket = context.wrap_socket(secure._http.socket, server_side=True)
    stage.url = secure.serve(stage.repository).replace("http:", "https:")


def _hasty(repository: WildRepository, request: Request) -> bool:
    """Whether it comes less than a fifth of a second after the one before."""
    began = [other.began for other in repository.requests if other.number == request.number - 1]
    return bool(began) and request.began - began[0] < 0.2


def _asks_for_gzip(_repository: WildRepository, request: Request) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


def _gzipped(cut: int | None = None) -> Fault:
    return Fault(edit=lambda body: gzip.compress(body)[:cut], headers=_LABEL)


_LABEL = {"Content-Encoding": "gzip"}
_NOTICE = b"<br />\n<b>Notice</b>: Undefined index: set in <b>/var/www/oai.php</b> on line <b>12</b><br />\n"
_SLOW = {"READ_TIMEOUT": 0.5}
_NOBODY = rest(0)
_BLOCKED = "refus|block|challenge"

TRANSPORT: tuple[Manner, ...] = (
    # [harv 5]; vufindharvest asks for ever [s]
    Manner("503, Retry-After in seconds", once(page(2), busy("1")), Wish(also=waited(1)), max_wait=5),
    Manner("503, Retry-After as a date", _until_date, Wish(also=waited(0.9)), max_wait=5),
    Manner("503, Retry-After in the past", once(page(2), busy("Mon, 01 Jan 2024 00:00:00 GMT"))),
    Manner("503 without Retry-After", once(page(2), busy(), busy())),
    Manner("503 for ever", always(every, busy()), Wish("failed", "503", _NOBODY)),
    Manner("503 for hours", always(since_page(2), busy("7200")), Wish("incomplete", "7200|503", rest(5), requests=20)),
    # metha harvest.go shouldRetry [s]; [harv 6.2]
    *(Manner(f"{status} once", once(page(2), busy(status=status))) for status in (429, 500, 502, 504)),
    Manner("429 to the hasty", always(_hasty, busy(status=429)), Wish(requests=12), max_wait=0.3),
    Manner("no answer, once", once(page(2), Fault(delay=3)), limits=_SLOW),
    Manner(
        "no answer any more", always(since_page(2), Fault(delay=3)),
        Wish("incomplete", "in time|reached", rest(5), requests=20), limits=_SLOW,
    ),
    Manner("a connection cut in the answer", once(page(2), Fault(cut=300))),
    Manner("a connection cut before the answer", _hang_up),
    Manner(
        "connections cut for ever", always(since_page(2), Fault(cut=300)),
        Wish("incomplete", "cut|broke|reached", rest(5), requests=20),
    ),
    # [i regluit#1154 (DOAB), dspace-angular#5478]: no storm of tries at a locked door
    *(
        Manner(
            f"a browser challenge with {status}", always(every, _challenge(status)),
            Wish("failed", _BLOCKED, _NOBODY, requests=3),
        ) for status in (403, 200)
    ),
    Manner(
        "a browser challenge in mid list", always(since_page(2), _challenge(403)),
        Wish("incomplete", _BLOCKED, rest(5), requests=6),
    ),
    Manner(
        "a firewall's 403 with no body", always(every, Fault(status=403, body=b"")),
        Wish("failed", _BLOCKED, _NOBODY, requests=3),
    ),
    Manner("a firewall's 200 with no body", always(every, Fault(body=b"")), Wish("failed", "empty", _NOBODY)),
    # PHP applications: database down, login, maintenance
    Manner("an HTML page once", once(page(2), Fault(body=ERROR_HTML))),
    Manner(
        "HTML pages from then on", always(since_page(2), Fault(body=ERROR_HTML)),
        Wish("incomplete", "HTML", rest(5), requests=20),
    ),
    Manner("HTML pages only", always(every, Fault(body=ERROR_HTML)), Wish("failed", "HTML", _NOBODY)),
    # Europe PMC: oadoi EuropePMCSickle [s]; Zenodo sends 422
    *(
        Manner(
            f"{status} with noRecordsMatch inside", nothing,
            later=(Step(always(lists, error("noRecordsMatch", status)), Wish("nothing-new")),),
        ) for status in (404, 422)
    ),
    Manner("404 with the right page inside", always(lists, Fault(status=404))),
    # [i findsorguk#843]
    Manner("PHP notices before the declaration", always(every, Fault(edit=lambda body: _NOTICE + body))),
    Manner("PHP notices behind the end", always(every, Fault(edit=lambda body: body + b"\n" + _NOTICE))),
    # [i dpla/ingestion3#778]
    Manner("an empty body once", once(page(2), Fault(body=b""))),
    Manner(
        "an empty list once",
        once(page(1), Fault(edit=lambda body: body.partition(b"<ListRecords>")[0] + b"<ListRecords/></OAI-PMH>")),
    ),
    Manner(
        "a list that is suddenly empty", nothing,
        later=(Step(always(lists, error("noRecordsMatch")), Wish("nothing-new|incomplete|failed", ".*"), "full"),),
    ),
    # [i dataverse#4831, openwis#239, HydraNorth#1007]; nothing here answers POST
    *(Manner(f"{status} to another host", _redirects(status)) for status in (301, 302, 307)),
    Manner("redirects without end", _redirects_for_ever, Wish("failed", "redirect", _NOBODY)),
    # SLiMS writes host:80 [s]
    Manner("baseURL on an inner host", with_habits(identify={"baseURL": "http://opac.inner:80/oai2.php"})),
    # oadoi verifies nothing for two hosts [s]; [i dataverse.harvard.edu#259]
    Manner("a certificate of its own", _signs_itself, Wish("failed", "certificate", _NOBODY)),
    Manner("a certificate of its own, excepted", _signs_itself, care=Care(insecure_until=2**33)),
    Manner(
        "a certificate of its own, excepted until yesterday", _signs_itself, Wish("failed", "certificate", _NOBODY),
        care=Care(insecure_until=1_000_000_000),
    ),
    # metha maybeCompressed, Accept-Encoding workaround [s]
    Manner("gzip, asked for or not", always(every, _gzipped())),
    Manner("gzip without a label", always(every, Fault(edit=gzip.compress))),
    Manner("a label without gzip", always(_asks_for_gzip, Fault(headers=_LABEL)), Wish(requests=16)),
    Manner("gzip cut short", always(_asks_for_gzip, _gzipped(-200)), Wish(requests=16)),
    # metha issue 35 in client.go [s]; OVAL gives up after 20 s
    Manner("a slow first byte", always(lists, Fault(delay=0.6)), limits={"CONNECT_TIMEOUT": 0.3, "READ_TIMEOUT": 20}),
    Manner(
        "a page beyond all measure", poisoned(edited(("Judul 006 é".encode(), b"x" * 300_000))), WITHOUT_SIX,
        limits={"MAX_PAGE_BYTES": 100_000},
    ),
)  # fmt: skip
