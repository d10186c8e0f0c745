"""An archive on a real S3 server, in all its troubles: what was put is there, and an outage is never an absence."""

from __future__ import annotations

import logging
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.s3_proxy import FAULTS, FaultyProxy
from services.s3 import S3Server

from harvester.archive import Archive, open_archive, s3
from harvester.archive.s3 import S3Archive
from harvester.errors import ArchiveError, ConfigError, ObjectNotFoundError

pytestmark = pytest.mark.service
PART = 5 * 2**20  # the least that S3 takes
BIG = bytes(range(256)) * (PART // 128) + b"rest"  # three parts
USES: dict[str, Callable[[Archive], object]] = {
    "get": lambda archive: archive.get("a/there"),
    "put": lambda archive: archive.put("a/new", b"new" * 1000),
    "list": lambda archive: list(archive.iter_keys()),
}


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.make_bucket()


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_server.endpoint) as running:
        yield running


@pytest.fixture
def archive(bucket: str, prefix: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> S3Archive:
    """One behind the proxy, that is not patient, and holds one object."""
    monkeypatch.setattr(s3, "_PART_BYTES", PART)
    monkeypatch.setattr(s3, "_READ_SECONDS", 0.7)
    monkeypatch.setattr(s3, "_PROBE_SECONDS", 0.7)
    opened = S3Archive(bucket, prefix, proxy.endpoint, patience=3)
    opened.put("a/there", b"there" * 1000)
    proxy.seen.clear()
    return opened


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("nth", [0, 1])
def test_what_breaks_once_is_done_again(use: str, nth: int, fault: str, archive: S3Archive, proxy: FaultyProxy) -> None:
    proxy.planned = [""] * nth + [fault]
    found = USES[use](archive)
    assert found == {"get": b"there" * 1000, "list": ["a/there"]}.get(use)
    assert len(proxy.seen) > 1 or nth
    if use == "put":
        assert archive.get("a/new") == b"new" * 1000
        assert list(archive.iter_keys()) == ["a/new", "a/there"]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_is_never_an_absence(
    fault: str, archive: S3Archive, proxy: FaultyProxy, bucket: str, prefix: str
) -> None:
    impatient = S3Archive(bucket, prefix, proxy.endpoint, patience=0.3)
    more: dict[str, Callable[[Archive], object]] = {
        "check": lambda archive: archive.check(),
        "get absent": lambda archive: archive.get("a/absent"),
        "put again": lambda archive: archive.put("a/there", b"there" * 1000),
    }
    proxy.always = fault
    for use in (USES | more).values():
        with pytest.raises(ArchiveError, match=r"the S3 server 127\.0\.0\.1:\d+: it") as caught:
            use(impatient)
        assert not isinstance(caught.value, ObjectNotFoundError)
    proxy.always = ""
    assert archive.get("a/there") == b"there" * 1000
    assert set(archive.iter_keys()) <= {"a/there", "a/new"}
    archive.put("a/new", b"new" * 1000)
    assert archive.get("a/new") == b"new" * 1000


def test_of_an_object_that_did_not_come_whole_nothing_is_seen(archive: S3Archive, proxy: FaultyProxy) -> None:
    for content in (b"new" * 1000, BIG):
        proxy.planned = ["", "half up", *["503"] * 99]  # that there is nothing is still told
        with pytest.raises(ArchiveError):
            archive.put("a/new", content)
        proxy.planned.clear()
        assert list(archive.iter_keys()) == ["a/there"]
        with pytest.raises(ObjectNotFoundError):
            archive.get("a/new")


@pytest.mark.parametrize("fault", ["503", "503 after", "cut", "cut after", "half up"])
@pytest.mark.parametrize("nth", range(1, 6))  # begins, sends three parts, ends
def test_a_big_object_goes_in_parts_and_is_seen_when_all_are_there(
    fault: str, nth: int, archive: S3Archive, proxy: FaultyProxy
) -> None:
    proxy.planned = [""] * nth + [fault]
    archive.put("big", BIG)
    assert proxy.seen[: nth + 1] == ["GET", "POST", "PUT", "PUT", "PUT", "POST"][: nth + 1]
    assert archive.get("big") == BIG
    archive.put("big", BIG)
    with pytest.raises(ArchiveError, match="other bytes"):
        archive.put("big", BIG[:-1])


def test_an_object_takes_two_requests_and_no_leave_is_asked(archive: S3Archive, proxy: FaultyProxy) -> None:
    archive.put("a/new", b"new" * 10_000)
    assert proxy.seen == ["GET", "PUT"]
    assert proxy.expected == 0
    archive.put("a/new", b"new" * 10_000)
    assert proxy.seen == ["GET", "PUT", "GET"]


def test_a_server_that_says_nothing_for_a_while_is_waited_for(bucket: str, prefix: str, s3_server: S3Server) -> None:
    archive = S3Archive(bucket, prefix, s3_server.endpoint)
    archive.put("a", b"a")
    s3_server.gateway.pause()
    threading.Timer(1.5, s3_server.gateway.resume).start()
    begun = time.monotonic()
    archive.put("b", b"b")
    assert time.monotonic() - begun > 1
    assert list(archive.iter_keys()) == ["a", "b"]


def test_a_server_that_says_nothing_is_an_outage(
    bucket: str, prefix: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_READ_SECONDS", 0.5)
    monkeypatch.setattr(s3, "_PROBE_SECONDS", 0.5)
    archive = S3Archive(bucket, prefix, s3_server.endpoint, patience=1)
    archive.put("a", b"a")
    s3_server.gateway.pause()
    try:
        for use in (archive.check, lambda: archive.get("a"), lambda: archive.put("b", b"b")):
            with pytest.raises(ArchiveError, match="ReadTimeoutError"):
                use()
    finally:
        s3_server.gateway.resume()
    archive.check()
    archive.put("b", b"b")
    assert (archive.get("a"), archive.get("b")) == (b"a", b"b")


def test_a_server_that_dies_and_comes_back_loses_nothing_of_what_was_put(
    bucket: str, prefix: str, s3_server: S3Server
) -> None:
    archive = S3Archive(bucket, prefix, s3_server.endpoint)
    gateway, kept = s3_server.gateway, [threading.Event() for _ in range(4)]

    def put(worker: int) -> None:
        for number in range(150):
            archive.put(f"{worker}/{number:03}", b"%d" % number * 3000)
            if number == 40:
                kept[worker].set()

    with ThreadPoolExecutor(4) as pool:
        putting = [pool.submit(put, worker) for worker in range(4)]
        for event in kept:
            assert event.wait(60)
        gateway.kill()
        with pytest.raises(ArchiveError):
            archive.check()
        gateway.start()
        for each in putting:
            each.result()
    assert list(archive.iter_keys()) == [f"{worker}/{number:03}" for worker in range(4) for number in range(150)]
    assert all(archive.get(key) == key.partition("/")[2].lstrip("0").encode() * 3000 for key in ("1/041", "3/149"))


def test_more_keys_than_one_answer_holds_come_in_order_and_none_twice(
    archive: S3Archive, proxy: FaultyProxy, bucket: str, prefix: str, s3_server: S3Server
) -> None:
    direct = S3Archive(bucket, prefix, s3_server.endpoint)

    def keys(prefix: str) -> list[str]:
        return [f"{prefix}{number}" for number in range(1300)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: direct.put(key, b""), keys("é+ %&/")))
    proxy.seen.clear()
    proxy.planned = ["half down", "", "cut after"]
    assert list(archive.iter_keys()) == ["a/there", *sorted(keys("é+ %&/"))]
    assert len(proxy.seen) == 4
    assert list(archive.iter_keys("é+ %&/129")) == sorted(key for key in keys("é+ %&/") if "/129" in key)


def test_a_server_that_does_not_list_in_order_is_not_believed(archive: S3Archive, proxy: FaultyProxy) -> None:
    archive.put("a/two", b"")
    proxy.change = lambda body: body.replace(b"there<", b"zzzzz<")
    with pytest.raises(ArchiveError, match="ascending order"):
        list(archive.iter_keys())
    proxy.change = lambda body: body.replace(b"<IsTruncated>false", b"<IsTruncated>true")
    with pytest.raises(ArchiveError, match="ascending order"):
        list(archive.iter_keys())


@pytest.mark.parametrize(
    ("key", "secret", "missing", "words"),
    [
        ("UNKNOWNKEY", "s3cr3t", False, "does not know the access key; look at AWS_ACCESS_KEY_ID"),
        ("", "s3cr3t", False, "look at AWS_SECRET_ACCESS_KEY"),
        ("", "", True, "there is no bucket lumbung-absent; create it, or name another in LUMBUNG_ARCHIVE"),
    ],
)
def test_wrong_settings_are_told_in_plain_words_and_no_secret_with_them(
    key: str, secret: str, missing: bool, words: str, bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
        if value:
            monkeypatch.setenv(name, value)
    archive = open_archive(f"s3://{'lumbung-absent' if missing else bucket}/x", s3_server.endpoint)
    for use in (*USES.values(), lambda archive: archive.check()):
        with pytest.raises(ArchiveError) as caught:
            use(archive)
        assert words in str(caught.value)
        told = "".join(traceback.format_exception(caught.value)) + repr(archive)
        assert not any(hidden in told for hidden in ("s3cr3t", "lumbung-test-secret", "Signature="))


def test_no_access_key_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/absent")
    with pytest.raises(ConfigError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_archive("s3://bucket/x", "http://127.0.0.1:1")


def test_many_threads_put_side_by_side_over_connections_that_are_kept(
    bucket: str, prefix: str, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    archive = S3Archive(bucket, prefix, s3_server.endpoint)
    start = threading.Barrier(32)

    def put(worker: int) -> None:
        start.wait()
        for number in range(8):
            archive.put(f"{worker:02}/{number}", b"x" * 20_000)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, range(32)))
    assert len(list(archive.iter_keys())) == 32 * 8
    messages = [record.getMessage() for record in caplog.records]
    assert not [message for message in messages if "discarding" in message]
    assert sum("Starting new HTTP connection" in message for message in messages) <= 33
