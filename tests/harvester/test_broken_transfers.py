"""An answer that breaks off is on record with what came of it; a server whose gzip is damaged is remembered."""

from __future__ import annotations

import gzip

import pytest
from fakes.network import Network, numbered
from fakes.provider import FakeRepository, Fault, Request
from sqlalchemy import select

from harvester.archive import get_page
from harvester.catalogue.harvests import list_runs
from harvester.catalogue.members import get_member
from harvester.catalogue.quirks import Quirk, get_quirks
from harvester.catalogue.tables import harvests, pages
from harvester.oai.transport import TRIES
from harvester.reconcile import reconcile_member


@pytest.fixture
def repository(network: Network) -> FakeRepository:
    """Twelve records in three pages, of the member `a`."""
    repository = FakeRepository(numbered(12))
    network.add("a", repository)
    return repository


def quirks(network: Network) -> dict[str, Quirk]:
    with network.catalogue.read() as connection:
        return get_quirks(connection, get_member(connection, "a"))


def wants_gzip(request: Request) -> bool:
    return "gzip" in request.headers["Accept-Encoding"]


def packed(cut: int | None = None) -> Fault:
    return Fault(edit=lambda body: gzip.compress(body)[:cut], headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(cut=50), "the connection was cut after 50 bytes"),
        (packed(-20), "the packed answer ends early"),
    ],
    ids=["cut", "packed"],
)
@pytest.mark.parametrize("first", [1, 2, 3])
def test_what_came_of_an_answer_that_broke_off_is_kept_and_on_record(
    first: int, fault: Fault, words: str, network: Network, repository: FakeRepository
) -> None:
    repository.fail(lambda request: request.number >= first, *[fault] * 99)
    run = network.harvest()
    sent = {body[: fault.cut] for body in repository.sent[first - 1 :]}
    failed = repository.requests[first - 1]
    assert run.error is not None
    assert words in run.error
    assert f"?{failed.raw_query}]" in run.error
    with network.catalogue.read() as connection:
        rows = connection.execute(select(pages).where(pages.c.error.is_not(None)).order_by(pages.c.id)).all()
        (ended,) = connection.execute(select(harvests.c.error_url, harvests.c.error_key)).all()
        (listed,) = list_runs(connection, get_member(connection, "a"))
    assert len(rows) == len(repository.requests[first - 1 :]) / TRIES
    assert rows[0].url.endswith(failed.raw_query)
    for row in rows:
        assert words in row.error
        assert get_page(network.archive, row.archive_key) in sent
        assert (row.status, row.records) == (200, 0)
    assert tuple(ended) == (rows[0].url, rows[0].archive_key)
    assert listed.pages == len(rows) + max(0, first - 2)


def test_what_came_of_a_broken_list_of_identifiers_is_kept_and_on_record(
    network: Network, repository: FakeRepository
) -> None:
    network.harvest()
    repository.fail("ListIdentifiers", *[Fault(cut=50)] * 99)
    with network.catalogue.read() as connection:
        member = get_member(connection, "a")
    run = reconcile_member(network.context, member)
    with network.catalogue.read() as connection:
        (row,) = connection.execute(select(pages).where(pages.c.error.is_not(None))).all()
        ended = connection.execute(select(harvests.c.error_key).where(harvests.c.id == run.id)).scalar_one()
    assert get_page(network.archive, row.archive_key) == repository.sent[-1][:50]
    assert ended == row.archive_key
    assert "verb=ListIdentifiers" in row.url


def test_a_server_whose_gzip_is_damaged_is_remembered_with_evidence_and_asked_for_plain_answers_from_then_on(
    network: Network, repository: FakeRepository
) -> None:
    repository.fail(wants_gzip, *[packed(-20)] * 99)
    assert network.harvest().outcome == "complete"
    quirk = quirks(network)["identity"]
    assert (quirk.value, quirk.set_by) == ("yes", "harvester")
    assert quirk.evidence.startswith("the packed answer ends early, and a plain one is well: ")
    assert "verb=Identify" in quirk.evidence
    before = len(repository.requests)
    assert network.harvest(full=True).outcome == "nothing-new"
    assert not any(map(wants_gzip, repository.requests[before:]))


def test_a_connection_that_was_cut_once_is_no_quirk(network: Network, repository: FakeRepository) -> None:
    repository.fail(3, Fault(edit=gzip.compress, headers={"Content-Encoding": "gzip"}, cut=50))
    assert network.harvest().outcome == "complete"
    assert quirks(network) == {}
