"""One request and one list: tokens go back as they came, and the body is looked at before the status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvester.errors import MalformedResponseError, MemberError, ProtocolError, RefusedError, UnreachableError
from harvester.oai.client import READS, Client
from harvester.oai.transport import Answer, Transport

LIST = {"metadataPrefix": "oai_dc"}
ERROR = b'<OAI-PMH><responseDate>2024</responseDate><error code="noRecordsMatch">none</error></OAI-PMH>'


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository([FakeRecord(f"oai:x:{number}") for number in range(5)], page_size=2)


@pytest.fixture
def kept() -> list[Answer]:
    return []


@pytest.fixture
def client(provider: FakeProvider, repository: FakeRepository, kept: list[Answer]) -> Iterator[Client]:
    transport = Transport(user_agent="x", from_email="", max_wait=0.001)
    yield Client(provider.serve(repository), transport, kept.append)
    transport.close()


def walk(client: Client) -> list[list[str]]:
    return [[r.header.identifier for r in response.page.records] for response in client.iter_list(**LIST)]


def test_a_list_is_walked_to_its_end(client: Client, repository: FakeRepository) -> None:
    assert walk(client) == [["oai:x:0", "oai:x:1"], ["oai:x:2", "oai:x:3"], ["oai:x:4"]]
    assert [set(request.arguments) for request in repository.requests] == [
        {"verb", "metadataPrefix"},
        {"verb", "resumptionToken"},
        {"verb", "resumptionToken"},
    ]


def test_a_token_is_followed_only_when_the_next_page_is_asked_for(client: Client, repository: FakeRepository) -> None:
    pages = client.iter_list(**LIST)
    for number in (1, 2, 3):
        next(pages)
        assert len(repository.requests) == number


@pytest.mark.parametrize("tail", ["+/=&% ;#?x", "%2B%2F%3D%26%25%20", "a+b c", "é\N{GRINNING FACE}", "!", "%", "a%zz"])
def test_a_token_goes_back_exactly_as_it_came(tail: str, client: Client, repository: FakeRepository) -> None:
    repository.token_tail = tail
    assert len(walk(client)) == 3
    sent = repository.requests[1]
    assert sent.arguments["resumptionToken"].endswith(tail)
    raw = sent.raw_query.split("resumptionToken=")[1].split("&")[0]
    token = sent.arguments["resumptionToken"]
    assert raw.upper() in {quote_plus(token).upper(), quote(token, safe="").upper()}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Z"]), min_size=1, max_size=20))
def test_any_token_goes_back_exactly_as_it_came(tail: str, client: Client, repository: FakeRepository) -> None:
    repository.token_tail = tail
    assert len(walk(client)) == 3


def test_a_base_url_with_a_query_of_its_own_keeps_it(
    provider: FakeProvider, repository: FakeRepository, kept: list[Answer]
) -> None:
    transport = Transport(user_agent="x", from_email="", max_wait=1)
    Client(provider.serve(repository) + "?p=oai&x=%C3%A9", transport, kept.append).harvest(verb="Identify")
    transport.close()
    assert repository.requests[0].arguments == {"p": "oai", "x": "é", "verb": "Identify"}


@pytest.mark.parametrize("status", [200, 400, 403, 404, 422])
def test_an_oai_error_counts_whatever_the_status(status: int, client: Client, repository: FakeRepository) -> None:
    repository.fail("ListRecords", *[Fault(status=status, body=ERROR)] * 2)  # a whole list is asked for again
    with pytest.raises(ProtocolError, match="none") as caught:
        walk(client)
    assert (caught.value.code, caught.value.response_date) == ("noRecordsMatch", "2024")
    assert "ListRecords" in caught.value.url


def test_a_good_page_counts_whatever_the_status(client: Client, repository: FakeRepository) -> None:
    repository.fail("ListRecords", Fault(status=404))
    assert len(walk(client)) == 3


def test_an_error_beside_an_empty_answer_is_an_error(client: Client, repository: FakeRepository) -> None:
    both = ERROR.replace(b"noRecordsMatch", b"badResumptionToken").replace(b"</OAI", b"<ListRecords/></OAI")
    repository.fail(lambda request: request.resumes, Fault(body=both))
    with pytest.raises(ProtocolError, match="badResumptionToken"):
        walk(client)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            Fault(status=403, body=b"<!DOCTYPE html><br>no"),
            RefusedError,
            r"refuses us \(HTTP 403\).*/oai be harvested",
        ),
        (Fault(status=401, body=b""), RefusedError, "HTTP 401"),
        (Fault(status=404, body=b"<html/>"), UnreachableError, "HTTP 404"),
        (Fault(status=200, body=b"<!doctype html><br>"), MalformedResponseError, "HTML"),
        (Fault(status=200, body=b""), MalformedResponseError, "empty"),
        (Fault(body=b"<OAI-PMH><Identify/></OAI-PMH>"), MalformedResponseError, "asked for ListRecords.*Identify"),
        *((Fault(status=status, body=b"x"), UnreachableError, f"HTTP {status}") for status in (500, 503)),
    ],
)
def test_what_is_no_answer_tells_what_to_do(
    fault: Fault, kind: type[MemberError], words: str, client: Client, repository: FakeRepository
) -> None:
    repository.fail("ListRecords", *[fault] * 5)
    with pytest.raises(kind, match=words) as caught:
        walk(client)
    assert "verb=ListRecords" in caught.value.url


def test_a_page_that_stays_cut_is_read_as_far_as_it_is_whole(client: Client, repository: FakeRepository) -> None:
    repository.fail("ListRecords", *[Fault(edit=lambda body: body[:-200])] * READS)
    first = next(client.iter_list(**LIST))
    assert (first.reading.whole, len(repository.requests)) == (False, READS)
    assert 0 < len(first.page.records) < 5


def test_what_is_no_answer_is_asked_for_again(client: Client, repository: FakeRepository) -> None:
    html, empty = Fault(body=b"<html>down</html>"), Fault(body=b"")
    own_error = Fault(body=ERROR.replace(b"noRecordsMatch", b"InternalException"))
    repository.fail(lambda request: request.verb == "ListRecords" and not request.resumes, html, empty)
    repository.fail(lambda request: request.resumes, own_error)
    assert len(walk(client)) == 3
    assert len(repository.requests) == 3 + 3


def test_an_error_of_its_own_that_stays_is_told(client: Client, repository: FakeRepository) -> None:
    own_error = Fault(body=ERROR.replace(b"noRecordsMatch", b"InternalException"))
    repository.fail("ListRecords", *[own_error] * READS)
    with pytest.raises(ProtocolError, match="InternalException"):
        walk(client)
    assert len(repository.requests) == READS


def test_a_token_is_sent_with_its_prefix_where_the_server_wants_it(client: Client, repository: FakeRepository) -> None:
    wanting = ERROR.replace(b"noRecordsMatch", b"badArgument")
    repository.fail(lambda r: r.resumes and "metadataPrefix" not in r.arguments, *[Fault(body=wanting)] * 9)
    assert len(walk(client)) == 3
    assert client.token_prefix
    assert len(repository.requests) == 4


def test_every_answer_is_kept_before_it_is_judged(
    client: Client, repository: FakeRepository, kept: list[Answer]
) -> None:
    repository.fail("Identify", Fault(body=b"\xff\x00 rubbish"), Fault(status=403, body=b"no"), Fault(body=ERROR))
    for _ in range(2):  # the first of them is asked for again
        with pytest.raises(MemberError):
            client.harvest(verb="Identify")
    assert [answer.body for answer in kept] == [b"\xff\x00 rubbish", b"no", ERROR]
    assert [answer.status for answer in kept] == [200, 403, 200]


def test_what_cannot_be_kept_is_not_judged(provider: FakeProvider, repository: FakeRepository) -> None:
    def refuse(_answer: Answer) -> None:
        raise OSError("the disk is full")

    keep: Callable[[Answer], None] = refuse
    transport = Transport(user_agent="x", from_email="", max_wait=1)
    with pytest.raises(OSError, match="full"):
        Client(provider.serve(repository), transport, keep).harvest(verb="Identify")
    transport.close()
