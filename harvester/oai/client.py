"""Sickle with our own transport and parse under it: its requests and iterators, our bytes and proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sickle import Sickle
from sickle.iterator import OAIResponseIterator
from sickle.response import OAIResponse

from harvester.errors import MalformedResponseError, ProtocolError, RefusedError, TokenLoopError, UnreachableError
from harvester.oai.page import Page, ResumptionToken, parse_page
from harvester.oai.transport import Answer, Transport

# Pages in a row without a record that the list has not shown yet. Some servers send dozens of empty ones
# (HAL, LIBRIS: over 30), others one page for ever under ever new tokens.
MAX_FRUITLESS = 100

if TYPE_CHECKING:
    from lxml.etree import _Element


class PageResponse(OAIResponse):  # type: ignore[misc]  # sickle has no types
    """A response that was parsed strictly, once. `answer` holds its bytes."""

    def __init__(self, answer: Answer, page: Page, params: dict[str, str]) -> None:
        super().__init__(None, params)
        self.answer = answer
        self.page = page

    @property
    def xml(self) -> _Element:
        """The root element, for sickle's own models."""
        assert self.page.root is not None  # noqa: S101 - parse_page sets it
        return self.page.root


class PageIterator(OAIResponseIterator):  # type: ignore[misc]  # sickle has no types
    """Walks a list page by page; a page's token is followed only when the next page is asked for."""

    sickle: Client
    resumption_token: ResumptionToken | None

    def _next_response(self) -> None:
        params = self.params
        if self.resumption_token:
            params = {"verb": self.verb, "resumptionToken": self.resumption_token.token}
        self.oai_response = self.sickle.harvest(**params)
        self.resumption_token = self.oai_response.page.token


class Client(Sickle):  # type: ignore[misc]  # sickle has no types
    """An OAI-PMH client for one member.

    Args:
        base_url: the member's base URL.
        transport: how it is asked.
        keep: called with every answer before it is judged, so that its bytes outlive any mistake.
    """

    def __init__(self, base_url: str, transport: Transport, keep: Callable[[Answer], None]) -> None:
        super().__init__(base_url, iterator=PageIterator)
        self._transport = transport
        self._keep = keep

    def harvest(self, **kwargs: str) -> PageResponse:
        """The proved answer to one request.

        Raises:
            MalformedResponseError: the answer is not OAI-PMH.
            ProtocolError: the answer is an OAI-PMH error.
            RefusedError: the server says no. UnreachableError, ThrottledError: see `Transport.fetch`.
        """
        answer = self._transport.fetch(self.endpoint, kwargs)
        self._keep(answer)
        try:
            page = parse_page(answer.body, url=answer.url)
        except MalformedResponseError:
            # The body is looked at before the status: Zenodo and Europe PMC send OAI-PMH errors
            # with 422 and 404.
            _check_status(answer)
            raise
        if page.errors and not page.size:  # an empty list beside an error is no empty list
            code, message = page.errors[0]
            raise ProtocolError(code, message, url=answer.url, response_date=page.response_date)
        if page.verb != kwargs["verb"]:
            raise MalformedResponseError(f"asked for {kwargs['verb']}, the server answered {page.verb}", url=answer.url)
        return PageResponse(answer, page, kwargs)

    def iter_list(self, **arguments: str) -> Iterator[PageResponse]:
        """The pages of a ListRecords request, or of the rest of one given its resumptionToken.

        Raises:
            TokenLoopError: a token came twice, or nothing new comes any more; the page that shows it came before.
        """
        tokens = {arguments.get("resumptionToken")}
        shown: set[int] = set()
        fruitless = 0
        pages: Any = self.ListRecords(**arguments)
        for response in pages:
            yield response
            token = response.page.next_token
            if token and token in tokens:
                raise TokenLoopError("the same resumptionToken came twice", url=response.answer.url)
            tokens.add(token)
            identifiers = hash(tuple(record.header.identifier for record in response.page.records))
            fruitless = fruitless + 1 if identifiers in shown or not response.page.records else 0
            shown.add(identifiers)
            if token and fruitless >= MAX_FRUITLESS:
                raise TokenLoopError(f"the last {fruitless} pages held nothing new", url=response.answer.url)


def _check_status(answer: Answer) -> None:
    if answer.status in {401, 403}:
        raise RefusedError(
            f"the server refuses us (HTTP {answer.status}); its operator must let {answer.url.split('?')[0]} "
            "be harvested",
            url=answer.url,
        )
    if answer.status >= 400:
        raise UnreachableError(f"the server answers HTTP {answer.status}", url=answer.url)
