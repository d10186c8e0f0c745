"""What only a search server can do to us: refuse, be busy, be slow, be away and be back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filling import fill
from services.elasticsearch import Server, own_server
from structlog.testing import capture_logs

from harvester.archive import open_archive
from harvester.catalogue import Catalogue
from harvester.errors import ConfigError, EngineError, EngineUnavailableError, SchemaChangedError
from harvester.run import HarvestContext
from harvester.settings import Settings
from harvester.worker import Job, work
from indexer.build import advance, rebuild
from indexer.document import Document, Holder, Text
from indexer.engine import Engine, elastic_bulk
from indexer.engine.elastic import ElasticEngine
from indexer.engine.elastic_indices import Indices
from indexer.engine.elastic_server import Server as Client
from indexer.engine.elastic_server import parse_address
from indexer.engine.opening import open_engine
from indexer.engine.schema import Entry, order_key
from indexer.query import SearchRequest, Term
from web.app import create_app
from web.work_cli import _index

pytestmark = pytest.mark.service


def document(number: int, title: str = "batik") -> Document:
    return Document(f"w{number:04}", (Holder(f"r{number}", "itb"),), (Text(title, "id"),), added=number)


def soon(condition: Callable[[], bool], seconds: float = 40) -> None:
    """Returns when the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.1)


@pytest.fixture
def database() -> str:
    """The index is what matters here, not the kind of catalogue."""
    return "sqlite"


@pytest.fixture
def engine(elasticsearch_index: str) -> Iterator[ElasticEngine]:
    """An engine with no index, on the server that tests share."""
    with closing(ElasticEngine(parse_address(elasticsearch_index, replicas=0))) as opened:
        yield opened


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that the tests of this module may pause and stop; it has room for two writes at once."""
    with own_server("thread_pool.write.size: 1", "thread_pool.write.queue_size: 1") as own:
        yield own


# Writing


def test_a_work_that_the_server_will_never_take_is_named_and_the_watermark_stays(engine: ElasticEngine) -> None:
    engine.write([document(1)], (), 1)
    with pytest.raises(EngineError, match=f"{order_key('w9')}.*strict_dynamic"):
        engine.write([Entry(order_key("w9"), '{"id":["00"],"weight":[3]}', "[]")], (), 2)
    assert (engine.watermark(), engine.count()) == (1, 1)


def test_what_a_busy_server_turns_away_is_sent_again_and_only_that(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic_bulk, "_AT_ONCE", 5)
    monkeypatch.setattr(elastic_bulk, "_LONGEST_WAIT", 0.3)
    with (
        server.new_index() as address,
        closing(ElasticEngine(parse_address(address, replicas=0))) as engine,
        server.new_index() as crowded,
        closing(ElasticEngine(parse_address(crowded, replicas=0))) as crowd,
    ):
        crowd.write([document(0)], (), 1)
        stop = threading.Event()

        def push() -> None:
            """What fills the server's queue: these may be refused."""
            client = crowd._server.client
            while not stop.is_set():
                client.options(ignore_status=429).bulk(
                    index=crowd._indices.alias,
                    operations=[line for n in range(200) for line in ({"delete": {"_id": f"{n}"}},)],
                )

        threads = [threading.Thread(target=push) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            with capture_logs() as logs:
                engine.write([document(n) for n in range(60)], ("w0059", "w9999"), 7)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        again = [each["works"] for each in logs if each["event"] == "the search server is busy"]
        assert again
        assert max(again) <= 5
        assert (engine.count(), engine.watermark()) == (60, 7)


def test_of_two_writers_the_one_with_the_higher_watermark_wins_though_the_other_is_later(
    elasticsearch_index: str, engine: ElasticEngine
) -> None:
    with closing(ElasticEngine(parse_address(elasticsearch_index, replicas=0))) as other:
        engine.write([document(1, "lama")], (), 1)
        engine.write([document(1, "baru"), document(2)], (), 5)
        other.write([document(1, "ketinggalan"), document(3)], ("w0002",), 4)
        found = {hit.document.id: str(hit.title) for hit in engine.search(SearchRequest()).hits}
        assert found == {"w0001": "baru", "w0002": "batik", "w0003": "batik"}


def test_nothing_of_a_write_shows_before_all_of_it_does(engine: ElasticEngine) -> None:
    engine.write([document(n, "lama") for n in range(300)], (), 1)
    seen: set[tuple[int, int]] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(tuple(engine.search(SearchRequest(Term(word), size=1)).total for word in ("lama", "baru")))  # type: ignore[arg-type]  # two numbers

    looking = threading.Thread(target=look)
    looking.start()
    engine.write([document(n, "baru") for n in range(300)], (), 2)
    done.set()
    looking.join()
    assert {lama for lama, _ in seen} | {baru for _, baru in seen} <= {0, 300}


def test_shards_and_replicas_are_as_set_and_several_shards_answer_as_one(elasticsearch: Server) -> None:
    with (
        elasticsearch.new_index() as address,
        closing(ElasticEngine(parse_address(address, shards=3, replicas=2))) as engine,
    ):
        motifs = ("kawung", "parang", "truntum", "sidomukti", "megamendung")
        engine.write([document(n, f"batik {motifs[n // 2 % 5]}") for n in range(200)], (), 1)
        index = engine._indices.find()
        assert index is not None
        settings = engine._server.client.indices.get_settings(index=index.index)[index.index]["settings"]["index"]
        assert (settings["number_of_shards"], settings["number_of_replicas"]) == ("3", "2")
        hits = engine.search(SearchRequest(Term("batik"), size=200, facets=("member",))).hits
        assert len({hit.document.id for hit in hits}) == 200
        assert len({hit.score for hit in hits}) == 1
        assert {each.title for each in engine.similar("w0001", 3)} == {"batik kawung"}
        beside = engine.beside()
        growing = engine._indices.find_growing()
        assert growing is not None
        settings = engine._server.client.indices.get_settings(index=growing.index)[growing.index]["settings"]["index"]
        assert (settings["number_of_replicas"], settings["refresh_interval"]) == ("0", "-1")
        beside.close()


def test_documents_are_sent_in_parts_and_the_last_of_one_id_stands_all_the_same(
    engine: ElasticEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.engine.elastic._PART", 1500)  # two or three documents
    engine.write([document(5, "lama"), *(document(n, "kawung") for n in range(9))], ["w0003", "w0999"], 1)
    assert engine.count() == 9
    assert engine.search(SearchRequest(Term("kawung"))).total == 9


# Another schema


def test_an_index_of_another_schema_is_refused_until_a_rebuild_and_then_kept(
    elasticsearch_index: str, engine: ElasticEngine, catalogue: Catalogue
) -> None:
    fill(catalogue, "a", [("1", {"title": ["Kota"]})])
    with closing(Client(parse_address(elasticsearch_index, replicas=0))) as client:
        former = Indices(client, "0123456789ab").create().index
        for use in (engine.count, engine.watermark, lambda: engine.write([document(1)], (), 1)):
            with pytest.raises(SchemaChangedError, match="lumbung reindex"):
                use()
        rebuild(catalogue, engine)
        assert engine.count() == 1
        assert client.client.indices.exists(index=former)
        rebuild(catalogue, engine)
        assert not client.client.indices.exists(index=former)


# Away, slow, and back


def test_a_server_that_answers_nothing_is_unavailable_in_bounded_time_and_is_back_at_once(server: Server) -> None:
    with (
        server.new_index() as address,
        closing(ElasticEngine(parse_address(address, replicas=0, timeout=0.5))) as engine,
    ):
        soon(lambda: written(engine, 1))
        server.pause()
        try:
            for most in (2.0, 0.1):  # nobody waits for it twice
                begin = time.monotonic()
                with pytest.raises(EngineUnavailableError):
                    engine.count()
                assert time.monotonic() - begin < most
        finally:
            server.resume()
        soon(lambda: answers(engine))
        assert (engine.count(), engine.watermark()) == (1, 1)


def test_a_write_that_gets_no_answer_ends_and_is_done_again_when_the_server_is_back(server: Server) -> None:
    with (
        server.new_index() as address,
        closing(ElasticEngine(parse_address(address, replicas=0, timeout=0.5))) as engine,
    ):
        soon(lambda: written(engine, 1))
        server.pause()
        try:
            begin = time.monotonic()
            with pytest.raises(EngineUnavailableError):
                engine.write([document(2)], (), 2)
            assert time.monotonic() - begin < 8
        finally:
            server.resume()
        soon(lambda: answers(engine))
        engine.write([document(2)], (), 2)
        assert (engine.count(), engine.watermark()) == (2, 2)


def test_the_site_says_503_while_the_server_is_away_and_what_needs_no_search_goes_on(
    server: Server, tmp_path: Path, catalogue: Catalogue
) -> None:
    fill(catalogue, "a", [("1", {"title": ["Kota"]})])
    with server.new_index() as address:
        settings = Settings(home=tmp_path, engine=address, engine_timeout=1, engine_replicas=0)
        with closing(open_engine(settings)) as engine:
            soon(lambda: bool(advance(catalogue, engine)))
        app = create_app(settings)
        client = app.test_client()
        soon(lambda: client.get("/search?q=kota").status_code == 200)

        def feed() -> bytes:
            answer = client.get("/oai?verb=ListRecords&metadataPrefix=oai_dc")
            assert b"<metadata>" in answer.data
            return answer.data.partition(b"<request")[2]

        shown = feed()
        for away, back in ((server.pause, server.resume), (server.stop, server.start)):
            away()
            try:
                assert feed() == shown
                answer = client.get("/search?q=kota", headers={"Accept-Language": "en"})
                assert (answer.status_code, "Search is resting" in answer.text) == (503, True)
                assert int(answer.headers["Retry-After"]) > 0
                assert client.get("/api/search?q=kota").status_code == 503
                assert [client.get(path).status_code for path in ("/", "/members/a", "/about")] == [200, 200, 200]
                assert client.get("/healthz").get_json()["tiers"]["engine"] == "away"
            finally:
                back()
            soon(lambda: client.get("/search?q=kota").status_code == 200)
            soon(lambda: client.get("/healthz").get_json()["tiers"]["engine"] != "away")
        app.extensions["lumbung"].close()


def test_the_worker_waits_for_a_server_that_is_away_and_goes_on(
    server: Server, tmp_path: Path, catalogue: Catalogue
) -> None:
    fill(catalogue, "a", [(str(number), {"title": [f"Kota {number}"]}) for number in range(50)])
    with server.new_index() as address:
        settings = Settings(home=tmp_path, engine=address, engine_timeout=1, engine_replicas=0)
        context = HarvestContext(settings, catalogue, open_archive(settings.archive_url), threading.Event())
        tried: list[str] = []
        failed = threading.Event()

        def index(context: HarvestContext) -> None:
            tried.append("")
            try:
                _index(context)
            except EngineUnavailableError:
                failed.set()
                raise

        server.stop()
        working = threading.Thread(target=work, args=(context,), kwargs={"jobs": [Job("index", 1, index)]})
        working.start()
        try:
            assert failed.wait(30)
        finally:
            server.start()
        with closing(open_engine(settings)) as engine:
            soon(lambda: answers(engine) and engine.count() == 50)
        context.stop.set()
        working.join(30)
        assert not working.is_alive()


def written(engine: Engine, watermark: int) -> bool:
    """True where a work could be written; right after a start the server may need a moment."""
    try:
        engine.write([document(1)], (), watermark)
    except EngineUnavailableError:
        return False
    return True


def answers(engine: Engine) -> bool:
    try:
        engine.count()
    except EngineUnavailableError:
        return False
    return True


# Who may


def test_a_server_is_known_by_its_certificate_and_takes_the_right_password_which_is_never_shown(tmp_path: Path) -> None:
    password = "rahasia-/9@"
    with own_server(password=password) as secured:
        address = f"{secured.url}/pustaka"
        settings = Settings(home=tmp_path, engine=address, engine_ca=secured.ca, engine_replicas=0)
        with closing(open_engine(settings)) as engine:
            soon(lambda: written(engine, 3))
            assert (engine.count(), engine.watermark()) == (1, 3)
        without = address.replace(address[8 : address.index("@127") + 1], "")
        wrong = settings.model_copy(update={"engine": without.replace("://", "://elastic:salah@")})
        key = settings.model_copy(update={"engine": without, "engine_api_key": "c2FsYWg="})
        for refused in (wrong, key):
            with closing(open_engine(refused)) as engine, pytest.raises(EngineUnavailableError, match="401") as error:
                engine.count()
            assert "salah" not in str(error.value)
            assert "LUMBUNG_ENGINE_API_KEY" in str(error.value)
        unknown = settings.model_copy(update={"engine_ca": ""})
        with closing(open_engine(unknown)) as engine, pytest.raises(EngineUnavailableError, match="certificate"):
            engine.count()
        broken = settings.model_copy(update={"engine_ca": __file__})
        with closing(open_engine(broken)) as engine, pytest.raises(ConfigError, match="LUMBUNG_ENGINE_CA"):
            engine.count()
        for shown in (repr(settings), repr(parse_address(address))):
            assert "rahasia" not in shown
