"""Sickle with our own transport and parse under it: its requests and iterators, our bytes and proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sickle import Sickle
from sickle.iterator import OAIResponseIterator
from sickle.response import OAIResponse

from harvester.errors import MalformedResponseError, ProtocolError, RefusedError, TokenLoopError, UnreachableError
from harvester.oai.page import LIST_VERBS, Page, ResumptionToken
from harvester.oai.repair import Reading, read_page
from harvester.oai.transport import Answer, BrokenAnswerError, Transport

# Pages in a row without a record that the list has not shown yet. Some servers send dozens of empty ones
# (HAL, LIBRIS: over 30), others one page for ever under ever new tokens.
MAX_FRUITLESS = 100
# Answers read before one that is no good is taken as it is: a database that is down now may be up in a moment.
READS = 3
# Spec: 3.6. Another code is the server's own trouble.
_CODES = frozenset(
    {
        "badArgument",
        "badResumptionToken",
        "badVerb",
        "cannotDisseminateFormat",
        "idDoesNotExist",
        "noRecordsMatch",
        "noMetadataFormats",
        "noSetHierarchy",
    }
)
# What servers say that want metadataPrefix beside a token.
_WANTS_PREFIX = frozenset({"badArgument", "cannotDisseminateFormat"})

if TYPE_CHECKING:
    from lxml.etree import _Element

Kept = TypeVar("Kept")


class PageResponse(OAIResponse, Generic[Kept]):  # type: ignore[misc]  # sickle has no types
    """A proved response. `url` is where it came from, `kept` says where its bytes are, `reading` what it took to read
    them. The bytes themselves are not kept: a list holds its newest response while the next one comes.
    """

    def __init__(self, url: str, kept: Kept, reading: Reading, params: dict[str, str]) -> None:
        super().__init__(None, params)
        self.url = url
        self.kept = kept
        self.reading = reading

    @property
    def page(self) -> Page:
        """What it says."""
        return self.reading.page

    @property
    def xml(self) -> _Element:
        """The root element of what is no list of records or headers."""
        assert self.page.root is not None  # noqa: S101 - parse_page sets it
        return self.page.root


class PageIterator(OAIResponseIterator):  # type: ignore[misc]  # sickle has no types
    """Walks a list page by page; a page's token is followed only when the next page is asked for."""

    sickle: Client[Any]
    resumption_token: ResumptionToken | None

    def _next_response(self) -> None:
        params = self.params
        if self.resumption_token:
            params = {"verb": self.verb, "resumptionToken": self.resumption_token.token}
        self.oai_response = self.sickle.follow(params)
        self.resumption_token = self.oai_response.page.token


class Client(Sickle, Generic[Kept]):  # type: ignore[misc]  # sickle has no types
    """An OAI-PMH client for one member.

    Args:
        base_url: the member's base URL.
        transport: how it is asked.
        keep: called with every answer before it is judged, and with what came of one that broke off, so that the
            bytes outlive any mistake; says where they are.

    Attributes:
        prefix: the metadata prefix of the list that is walked.
        token_prefix: whether it is sent beside a token, against the protocol; set where a server turns out to
            want it. Spec: 3.5.
    """

    def __init__(self, base_url: str, transport: Transport, keep: Callable[[Answer], Kept]) -> None:
        super().__init__(base_url, iterator=PageIterator)
        self._transport = transport
        self._keep = keep
        self.prefix = ""
        self.token_prefix = False

    def harvest(self, **kwargs: str) -> PageResponse[Kept]:
        """The proved answer to one request.

        What is no OAI-PMH is asked for again, since most of it passes; what stays broken is read as far as its
        records are whole (`reading.whole`).

        Raises:
            MalformedResponseError: the answer is not OAI-PMH.
            ProtocolError: the answer is an OAI-PMH error.
            RefusedError: the server says no. UnreachableError, ThrottledError: see `Transport.fetch`.
        """
        if self.token_prefix and "resumptionToken" in kwargs:
            kwargs = {**kwargs, "metadataPrefix": self.prefix}
        for read in range(1, READS + 1):
            last = read == READS or self._transport.stopped
            try:
                answer = self._transport.fetch(self.endpoint, kwargs)
            except BrokenAnswerError as error:
                self._keep(error.answer)
                raise
            kept = self._keep(answer)
            try:
                response = self._judge(answer, kept, kwargs, last=last)
            except ProtocolError as error:
                if read > 1 or last or error.code != "noRecordsMatch" or not _is_doubtful_end(kwargs):
                    raise
            except MalformedResponseError:
                # The body is looked at before the status: Zenodo and Europe PMC send OAI-PMH errors
                # with 422 and 404.
                _check_status(answer)
                if last:
                    raise
            else:
                if last or not _is_doubtful(response, read):
                    return response
            self._transport.pause(read)
        raise AssertionError("unreachable: the last read returns or raises")

    def _judge(self, answer: Answer, kept: Kept, asked: dict[str, str], *, last: bool) -> PageResponse[Kept]:
        reading = read_page(answer.body, url=answer.url, recover=last)
        page = reading.page
        if page.errors and not page.size:  # an empty list beside an error is no empty list
            code, message = page.errors[0]
            if code not in _CODES and not last:
                raise MalformedResponseError(f"{code}: {message}", url=answer.url)
            raise ProtocolError(code, message, url=answer.url, response_date=page.response_date)
        if page.verb != asked["verb"]:
            what = f"asked for {asked['verb']}, the server answered {page.verb}"
            raise MalformedResponseError(what, url=answer.url, problem="protocol-error")
        if page.verb in LIST_VERBS:
            reading = replace(reading, page=replace(page, root=None))
        return PageResponse(answer.url, kept, reading, asked)

    def follow(self, params: dict[str, str]) -> PageResponse[Kept]:
        """The answer to a request of a list, with its metadataPrefix beside the token where nothing else helps."""
        try:
            return self.harvest(**params)
        except ProtocolError as error:
            if "resumptionToken" not in params or self.token_prefix or error.code not in _WANTS_PREFIX:
                raise
            self.token_prefix = True
            try:
                return self.harvest(**params)
            except ProtocolError:
                self.token_prefix = False
                raise error from None

    def iter_list(self, verb: str = "ListRecords", **arguments: str) -> Iterator[PageResponse[Kept]]:
        """The pages of a list, or of the rest of one given its resumptionToken.

        Raises:
            TokenLoopError: a token came twice, or nothing new comes any more; the page that shows it came before.
        """
        self.prefix = arguments.get("metadataPrefix", self.prefix)
        tokens = {arguments.get("resumptionToken")}
        shown: set[int] = set()
        fruitless = 0
        pages: Any = PageIterator(self, {"verb": verb, **arguments})
        for response in pages:
            yield response
            token = response.page.next_token
            if token and token in tokens:
                raise TokenLoopError("the same resumptionToken came twice", url=response.url)
            tokens.add(token)
            identifiers = hash(tuple(record.header.identifier for record in response.page.records))
            fruitless = fruitless + 1 if identifiers in shown or not response.page.records else 0
            shown.add(identifiers)
            if token and fruitless >= MAX_FRUITLESS:
                raise TokenLoopError(f"the last {fruitless} pages held nothing new", url=response.url)


def _is_doubtful(response: PageResponse[Kept], read: int) -> bool:
    """Whether the answer may be better next time: broken, or an end of a list that nothing proves."""
    if not response.reading.whole:
        return True
    page = response.page
    if read > 1 or page.verb not in LIST_VERBS or page.next_token:
        return False
    resumed = "resumptionToken" in response.params
    return page.token is None if resumed else not page.size


def _is_doubtful_end(asked: dict[str, str]) -> bool:
    """Whether noRecordsMatch is a strange answer: of a whole list, or behind a token."""
    return asked["verb"] in LIST_VERBS and not {"from", "until"} & asked.keys()


def _check_status(answer: Answer) -> None:
    if answer.status in {401, 403}:
        raise RefusedError(
            f"the server refuses us (HTTP {answer.status}); its operator must let {answer.url.split('?')[0]} "
            "be harvested",
            url=answer.url,
        )
    if answer.status >= 400:
        raise UnreachableError(f"the server answers HTTP {answer.status}", url=answer.url, problem="server-error")
