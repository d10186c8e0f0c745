"""What every archive promises, whichever store is behind it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services.s3 import S3Server

from harvester.archive import Archive, get_page, open_archive, page_key, put_page
from harvester.errors import ArchiveError, ConfigError, ObjectNotFoundError

KEY = "pages/undip/00000001/000001.xml.zst"


@dataclass(frozen=True, slots=True)
class Store:
    """An archive, and the ways in which its store is taken away."""

    url: str
    archive: Archive
    vanish: Mapping[str, Callable[[], object]]
    s3_endpoint: str = ""

    def open(self) -> Archive:
        """As another process would."""
        return open_archive(self.url, self.s3_endpoint)


def local_store(request: pytest.FixtureRequest) -> Store:
    folder: Path = request.getfixturevalue("tmp_path")
    root = folder / "archive with # and é"

    def replace() -> None:
        shutil.rmtree(root)
        root.write_text("a file where the folder was")

    ways = {"removed": lambda: shutil.rmtree(root), "replaced": replace}
    return Store(root.as_uri(), open_archive(root.as_uri()), ways)


def s3_store(request: pytest.FixtureRequest) -> Store:
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.make_bucket()
    server.client.put_object(Bucket=bucket, Key="prefix", Body=b"not ours")
    server.client.put_object(Bucket=bucket, Key="prefix with # and é/")  # as consoles make folders
    server.client.put_object(Bucket=bucket, Key="prefix with # and é2/a", Body=b"not ours")
    whole = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    forbidden = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": whole}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [forbidden]})
    ways = {
        "removed": lambda: server.remove_bucket(bucket),
        "replaced": lambda: server.client.put_bucket_policy(Bucket=bucket, Policy=policy),
    }
    url = f"s3://{bucket}/prefix with # and é/"
    return Store(url, open_archive(url, server.endpoint), ways, server.endpoint)


@pytest.fixture(params=[local_store, pytest.param(s3_store, marks=pytest.mark.service)])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.param(request)
    return found


@pytest.fixture
def archive(store: Store) -> Archive:
    return store.archive


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 5000])
def test_an_object_comes_back_as_it_was_put_and_is_there_for_the_next_process(content: bytes, store: Store) -> None:
    store.archive.put(KEY, content)
    assert store.archive.get(KEY) == content
    assert store.open().get(KEY) == content


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=2000))
def test_a_page_comes_back_verbatim(body: bytes, archive: Archive) -> None:
    key = page_key("undip", 1, len(list(archive.iter_keys())) + 1)
    put_page(archive, key, body)
    assert get_page(archive, key) == body


def test_pages_lie_in_the_order_in_which_they_came() -> None:
    keys = [page_key("a", run, page) for run in (1, 9, 10, 123456) for page in (1, 9, 10, 100_000)]
    assert keys == sorted(keys)
    assert keys[0] == "pages/a/00000001/000001.xml.zst"


def test_putting_the_same_again_changes_nothing(archive: Archive) -> None:
    archive.put(KEY, b"one")
    archive.put(KEY, b"one")
    assert list(archive.iter_keys()) == [KEY]
    put_page(archive, KEY + "2", b"page" * 1000)
    put_page(archive, KEY + "2", b"page" * 1000)


@pytest.mark.parametrize("other", [b"two", b"", b"one "])
def test_other_bytes_under_a_key_in_use_are_refused(other: bytes, archive: Archive) -> None:
    archive.put(KEY, b"one")
    with pytest.raises(ArchiveError, match="other bytes under pages/undip"):
        archive.put(KEY, other)
    assert archive.get(KEY) == b"one"
    assert list(archive.iter_keys()) == [KEY]


@pytest.mark.parametrize("other", [b"two", b"", b"one"])
def test_what_is_replaced_stands_there_at_once_and_alone(other: bytes, archive: Archive) -> None:
    archive.replace(KEY, b"one")
    archive.replace(KEY, other)
    assert (archive.get(KEY), list(archive.iter_keys())) == (other, [KEY])
    archive.put(KEY, other)


@pytest.mark.parametrize("key", ["absent", "pages/undip", KEY + "/below", "pages/undip/x", "pages/undip/00000001"])
def test_an_absent_object_is_not_found(key: str, archive: Archive) -> None:
    archive.put(KEY, b"one")
    with pytest.raises(ObjectNotFoundError, match=key):
        archive.get(key)


@pytest.mark.parametrize("way", ["removed", "replaced"])
@pytest.mark.parametrize(
    "use",
    [
        lambda archive: archive.get(KEY),
        lambda archive: archive.put(KEY, b"x"),
        lambda archive: list(archive.iter_keys()),
        lambda archive: archive.check(),
    ],
)
def test_an_archive_that_cannot_be_reached_says_nothing_about_its_objects(
    use: Callable[[Archive], object], way: str, store: Store
) -> None:
    store.archive.put(KEY, b"x")
    store.archive.check()
    store.vanish[way]()
    with pytest.raises(ArchiveError) as caught:
        use(store.archive)
    assert not isinstance(caught.value, ObjectNotFoundError)


@pytest.mark.parametrize("body", [b"", b"no zstd", b"\x28\xb5\x2f\xfd\x00"])
def test_a_damaged_page_is_neither_absent_nor_believed(body: bytes, archive: Archive) -> None:
    archive.put(KEY, body)
    with pytest.raises(ArchiveError, match="damaged") as caught:
        get_page(archive, KEY)
    assert not isinstance(caught.value, ObjectNotFoundError)


def test_a_page_with_one_flipped_bit_is_damaged(archive: Archive) -> None:
    put_page(archive, KEY, bytes(range(256)) * 10)
    stored = bytearray(archive.get(KEY))
    stored[-10] ^= 1
    archive.put(KEY + "2", bytes(stored))
    with pytest.raises(ArchiveError, match="damaged"):
        get_page(archive, KEY + "2")


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../../x", "/etc/x", "", "a//b", "a/", "./a", "a/./b", ".hidden", "a/.b", "a\0b", "..", "x" * 5000],
)
def test_a_hostile_key_reaches_nothing(key: str, archive: Archive, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArchiveError):
        archive.put(key, b"x")
    with pytest.raises(ArchiveError):
        archive.get(key)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/etc/x").exists()


def test_keys_come_in_ascending_order_by_prefix(archive: Archive) -> None:
    keys = ["a-b/1", "a/10", "a/9", "a/b/c", "a.b", "ab", "b/1", "é/1"]
    for key in keys:
        archive.put(key, key.encode())
    for prefix in ("", "a", "a/", "a/b", "a/b/c", "b", "nothing", "a/1", "é"):
        assert list(archive.iter_keys(prefix)) == sorted(key for key in keys if key.startswith(prefix))


def put_all(store: Store, worker: int) -> None:
    archive = store.open()
    for number in range(30):
        archive.put(f"shared/{number % 7}/{number}", b"%d" % number * 1000)
        archive.put(f"own/{worker}/{number}", b"%d" % worker)


def test_several_processes_put_at_once(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=put_all, args=(store, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(list(store.archive.iter_keys())) == 30 + 90
    assert all(store.archive.get(f"shared/{n % 7}/{n}") == b"%d" % n * 1000 for n in range(30))


def test_of_two_puts_at_once_under_one_key_one_wins_and_the_other_knows(archive: Archive) -> None:
    def put(content: bytes) -> str:
        try:
            archive.put(KEY, content)
        except ArchiveError:
            return "refused"
        return "kept"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(put, [b"%d" % number * 10_000 for number in range(8)]))
    assert sorted(results) == ["kept"] + ["refused"] * 7
    winner = results.index("kept")
    assert archive.get(KEY) == b"%d" % winner * 10_000


def put_for_ever(store: Store) -> None:
    archive = store.open()
    for number in range(10**6):
        archive.put(f"killed/{os.getpid()}/{number}", b"%d" % number * 5000)


def test_a_killed_put_leaves_no_half_object_and_nothing_listed(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    for round_ in range(6):
        worker = context.Process(target=put_for_ever, args=(store,))
        worker.start()
        deadline = time.monotonic() + 20
        while sum(1 for _ in store.archive.iter_keys(f"killed/{worker.pid}/")) < 3 + round_:
            assert time.monotonic() < deadline
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    for key in store.archive.iter_keys():
        number = key.rsplit("/", 1)[1]
        assert number.isdecimal()
        assert store.archive.get(key) == number.encode() * 5000


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/y",
        "archive",
        "s3:",
        "file://",
        "file:",
        "file://host/path",
        "file:relative",
        "file://[/x",
        "s3://",
        "s3:///prefix",
        "s3://b",
        "s3://key:secret@bucket/x",
        "s3://bucket:9000/x",
        "S3://bucket",
    ],
)
def test_an_url_that_names_no_store_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="LUMBUNG_ARCHIVE"):
        open_archive(url)


def test_a_place_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be made"):
        open_archive((tmp_path / "file" / "archive").as_uri())


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 80_000])
def test_a_file_is_put_and_read_in_pieces(content: bytes, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    key = "files/ab/abc"
    for _ in range(2):  # the second time it is there
        store.archive.put_file(key, path)
    assert path.read_bytes() == content
    pieces = list(store.open().iter_bytes(key))
    assert b"".join(pieces) == content == store.archive.get(key)
    assert all(0 < len(piece) <= 2**20 for piece in pieces)
    for first, last in ((0, 0), (5, 9), (len(content) // 2, None), (len(content) - 1, len(content)), (10**9, None)):
        upto = len(content) if last is None else last + 1
        if first >= 0:
            assert b"".join(store.archive.iter_bytes(key, first, last)) == content[first:upto]
    path.write_bytes(content + b"more")
    with pytest.raises(ArchiveError, match="other bytes under files/ab/abc"):
        store.archive.put_file(key, path)
    assert store.archive.get(key) == content


def test_what_was_removed_is_absent_and_may_be_put_again(store: Store, tmp_path: Path) -> None:
    store.archive.put(KEY, b"damaged")
    store.archive.remove(KEY)
    store.archive.remove(KEY)
    assert list(store.archive.iter_keys()) == []
    for read in (store.archive.get, lambda key: next(store.archive.iter_bytes(key))):
        with pytest.raises(ObjectNotFoundError):
            read(KEY)
    store.archive.put(KEY, b"whole")
    assert b"".join(store.archive.iter_bytes(KEY)) == b"whole"


def test_a_store_that_is_away_says_so_of_files_too(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    store.vanish["removed"]()
    for use in (
        lambda: store.archive.put_file(KEY, path),
        lambda: next(store.archive.iter_bytes(KEY)),
        lambda: store.archive.remove(KEY),
    ):
        with pytest.raises(ArchiveError) as caught:
            use()
        assert not isinstance(caught.value, ObjectNotFoundError)
