"""The commands keep to their contract: exit codes, JSON keys, and one clear sentence for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.provider import FakeProvider, FakeRecord, FakeRepository, Fault, Request

import web.cli
from harvester.catalogue import open_catalogue
from harvester.catalogue.records import iter_records

RUN_KEYS = [
    "member", "outcome", "requests", "pages", "records", "added", "changed", "unchanged", "deleted", "failed", "error",
    "from", "until",
]  # fmt: skip
HTML = Fault(body=b"<!DOCTYPE html><p>Login<br>")


class Result:
    """What a command did."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Lumbung = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def lumbung(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Lumbung]:
    monkeypatch.chdir(home.parent)
    monkeypatch.setenv("LUMBUNG_HOME", str(home))
    monkeypatch.setenv("LUMBUNG_MAX_WAIT", "0.001")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["lumbung", *arguments])
        capfd.readouterr()
        code: object = 0
        try:
            web.cli.main()
        except SystemExit as end:
            code = end.code
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def repository(provider: FakeProvider) -> FakeRepository:
    repository = FakeRepository([FakeRecord(f"oai:a:{n}", title=f"Buku {n}") for n in range(12)])
    provider.serve(repository)
    return repository


def ids(home: Path) -> dict[str, tuple[str, bool]]:
    catalogue = open_catalogue(f"sqlite:///{home}/catalogue.sqlite")
    found = {record.identifier: (record.id, record.deleted) for record in iter_records(catalogue)}
    catalogue.close()
    return found


def refused(result: Result, *words: str) -> None:
    """It failed as a wrong setting does: exit 2, one sentence on stderr, nothing on stdout."""
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("lumbung: ")
    assert result.err.count("\n") == 1
    assert all(word in result.err for word in words), result.err


def test_harvest_prints_one_object_a_member_and_exits_0_when_all_are_complete(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository
) -> None:
    assert lumbung("members", "add", "a", provider.base + "/oai").code == 0
    result = lumbung("harvest", "--json")
    assert (result.code, len(result.json)) == (0, 1)
    (run,) = result.json
    assert list(run) == RUN_KEYS
    assert run | {"member": "a", "outcome": "complete", "requests": 4, "pages": 3, "records": 12, "added": 12} == run
    assert (run["error"], run["from"], run["until"]) == (None, None, "2024-05-01T12:00:00Z")
    repository.put(*(FakeRecord(f"oai:a:9{n}", "2024-05-01T12:00:00Z", payload="") for n in range(20)))
    assert lumbung("harvest", "a", "a", "--json").json[0]["outcome"] == "failed"
    repository.put(FakeRecord("oai:a:new", "2024-05-01T12:00:00Z"))
    again = lumbung("harvest", "a", "--json")
    assert (again.code, again.json[0]["outcome"], again.json[0]["failed"]) == (0, "complete-with-failures", 20)
    assert again.json[0]["from"] == "2024-05-01T11:45:00Z"


def test_harvest_exits_1_when_a_member_failed_or_is_incomplete_and_harvests_the_others(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository
) -> None:
    broken = FakeRepository([FakeRecord(f"{n}") for n in range(9)])
    lumbung("members", "add", "good", provider.base + "/oai")
    lumbung("members", "add", "broken", provider.serve(broken, "/broken"))
    lumbung("members", "add", "nobody", "http://127.0.0.4:9/oai")
    broken.fail(lambda request: request.number >= 3, *[HTML] * 6)  # and nothing else, when it is asked how it is
    result = lumbung("harvest", "--json")
    assert result.code == 1
    outcomes = {str(run["member"]): run["outcome"] for run in result.json}
    assert outcomes == {"good": "complete", "broken": "incomplete", "nobody": "failed"}
    assert all(list(run) == RUN_KEYS for run in result.json)
    assert "HTML" in str(next(run["error"] for run in result.json if run["member"] == "broken"))
    told = lumbung("harvest", "good")
    assert (told.code, "nothing-new" in told.out) == (0, True)
    assert lumbung("harvest", "broken").code == 0


def test_harvest_exits_2_when_it_cannot_begin(lumbung: Lumbung, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(lumbung("harvest"), "no members yet")
    refused(lumbung("harvest", "ugm"), "no member 'ugm'")
    assert lumbung("harvest", "--at-once", "0").code == 2
    assert lumbung("harvest", "--nonsense").code == 2
    monkeypatch.setenv("LUMBUNG_MAX_WAIT", "soon")
    refused(lumbung("harvest"), "LUMBUNG_MAX_WAIT")
    monkeypatch.setenv("LUMBUNG_MAX_WAIT", "1")
    monkeypatch.setenv("LUMBUNG_CATALOGUE", "mysql://x/y")
    refused(lumbung("harvest"), "LUMBUNG_CATALOGUE")
    monkeypatch.delenv("LUMBUNG_CATALOGUE")
    monkeypatch.setenv("LUMBUNG_ARCHIVE", "ftp://x/y")
    refused(lumbung("harvest"), "LUMBUNG_ARCHIVE")


def test_full_harvests_from_the_beginning(lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    lumbung("harvest")
    (run,) = lumbung("harvest", "--full", "--json").json
    assert (run["outcome"], run["unchanged"], run["from"]) == ("nothing-new", 12, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("A", "http://x.example/"), "slug 'A'"),
        (("a", "x.example"), "base URL 'x.example'"),
        (("a", "http://[x"), "base URL"),
        (("a", "http://u:p@x.example/"), "user name or password"),
        (("a", "http://x.example/", "--prefix", ""), "must not be empty"),
        (("taken", "http://x.example/"), "is taken by taken (http://t.example/)"),
    ],
)
def test_a_member_that_cannot_be_is_refused(arguments: tuple[str, ...], words: str, lumbung: Lumbung) -> None:
    lumbung("members", "add", "taken", "http://t.example/")
    refused(lumbung("members", "add", *arguments), words)
    assert [member["member"] for member in lumbung("members", "list", "--json").json] == ["taken"]


def test_members_are_added_listed_and_shown(lumbung: Lumbung, provider: FakeProvider) -> None:
    assert "no members yet" in lumbung("members", "list").err
    lumbung("members", "add", "b", "http://b.example/oai")
    options = ("--name", "Perpustakaan é", "--set", "x:y", "--set", "z", "--prefix", "marc", "--no-fulltext")
    assert "lumbung harvest a" in lumbung("members", "add", "a", provider.base, *options).out
    first, second = lumbung("members", "list", "--json").json
    assert first == {
        "member": "a", "name": "Perpustakaan é", "base_url": provider.base, "prefixes": ["marc"], "sets": ["x:y", "z"],
        "fulltext": False, "paused": False, "rule": "1d", "window": None, "timezone": "Asia/Jakarta", "delay": 0.0,
        "insecure_until": None, "mail_to": None, "mail": "failure", "reconcile_days": 30, "pending_days": 14,
        "max_drop": 10, "region": None,
    }  # fmt: skip
    assert (second["name"], second["prefixes"], second["sets"], second["fulltext"]) == ("b", ["oai_dc"], [], True)
    assert [line.split()[0] for line in lumbung("members", "list").out.splitlines()] == ["a", "b"]
    shown = lumbung("members", "show", "a")
    assert "x:y, z" in shown.out
    assert "never harvested" in shown.out
    (told,) = lumbung("members", "show", "a", "--json").json
    assert told | first == told
    assert (told["outcome"], told["live"]) == (None, 0)
    refused(lumbung("members", "show", "c"), "no member 'c'; members: a, b")


def test_status_tells_last_attempt_and_last_success_apart(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository
) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    assert "never harvested" in lumbung("status").out
    lumbung("harvest")
    repository.put(FakeRecord("oai:a:1", "2024-06-01T00:00:00Z", deleted_in=("oai_dc",)))
    lumbung("harvest")
    identified = len(repository.requests) + 1
    repository.fail(lambda request: request.number > identified, *[HTML] * 6)
    lumbung("harvest")
    (told,) = lumbung("status", "--json").json
    assert (told["member"], told["outcome"], told["live"], told["tombstones"]) == ("a", "failed", 11, 1)
    assert told["last_success"] is not None
    assert "HTML" in str(told["error"])
    assert "failed" in lumbung("status").out
    assert lumbung("members", "show", "a").out.count("records") == 1 + 3


def test_a_removed_member_comes_back_under_its_old_addresses(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository, home: Path
) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    lumbung("harvest")
    before = ids(home)
    assert len(before) == 12
    refused(lumbung("members", "remove", "b", "--yes"), "no member 'b'")
    assert "12 records are tombstones" in lumbung("members", "remove", "a", "--yes").out
    assert {name: deleted for name, (_, deleted) in ids(home).items()} == dict.fromkeys(before, True)
    refused(lumbung("harvest", "a"), "no member 'a'")
    assert lumbung("status", "--json").json == []
    lumbung("members", "add", "a", provider.base + "/oai")
    (run,) = lumbung("harvest", "--json").json
    assert (run["outcome"], run["changed"], run["added"]) == ("complete", 12, 0)
    assert ids(home) == before


def test_removing_asks_first(lumbung: Lumbung, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lumbung("members", "add", "a", "http://x.example/")
    (tmp_path / "answer").write_text("n\n")
    with (tmp_path / "answer").open() as answer:
        monkeypatch.setattr(sys, "stdin", answer)
        assert lumbung("members", "remove", "a").code == 130
    assert len(lumbung("members", "list", "--json").json) == 1


GOOD = '[[members]]\nslug = "good"\nbase_url = "http://g.example/oai"\n'


def test_an_import_adds_and_updates(lumbung: Lumbung, tmp_path: Path) -> None:
    lumbung("members", "add", "good", "http://old.example/")
    file = tmp_path / "members.toml"
    file.write_text(
        GOOD + '[[members]]\nslug = "b"\nbase_url = "http://b.example/"\nname = "é"\nsets = ["x"]\n'
        'prefixes = ["marc", "oai_dc"]\nfulltext = false\n'
    )
    assert "1 members added, 1 updated" in lumbung("members", "import", str(file)).out
    found = {str(member["member"]): member for member in lumbung("members", "list", "--json").json}
    assert found["good"]["base_url"] == "http://g.example/oai"
    assert (found["b"]["prefixes"], found["b"]["sets"], found["b"]["fulltext"]) == (["marc", "oai_dc"], ["x"], False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lists no [[members]]"),
        ("members = []", "lists no [[members]]"),
        ("members = 5", "lists no [[members]]"),
        ("members = [5]", "member 1: `slug` and `base_url`"),
        ("[members]\nslug = 'x'", "lists no [[members]]"),
        ("[[members]]\nslug =", "is not TOML"),
        ("\xff", "is not TOML"),
        (GOOD + '[[members]]\nslug = "b"', "member 2: `slug` and `base_url`"),
        (GOOD + 'colour = "red"', "unknown colour"),
        (GOOD + "name = 5", "`name` must be a text"),
        (GOOD + 'sets = "abc"', "`sets` must be a list of texts"),
        (GOOD + "sets = 5", "`sets` must be a list of texts"),
        (GOOD + "prefixes = [1]", "`prefixes` must be a list of texts"),
        (GOOD + "prefixes = []", "metadata prefix"),
        (GOOD + 'fulltext = "no"', "`fulltext` must be true or false"),
        (GOOD + GOOD, "member 2: 'good' is listed twice"),
        (GOOD + GOOD.replace("good", "Bad"), "member 2: the slug 'Bad'"),
        (GOOD + GOOD.replace("good", "b").replace("http:", "ftp:"), "member 2: b: the base URL"),
    ],
)
def test_a_wrong_import_adds_nobody(content: str, words: str, lumbung: Lumbung, tmp_path: Path) -> None:
    file = tmp_path / "members.toml"
    file.write_text(content, encoding="latin-1")
    refused(lumbung("members", "import", str(file)), "members.toml", words)
    assert lumbung("members", "list", "--json").json == []


def test_an_import_of_no_file_is_refused(lumbung: Lumbung, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        assert lumbung("members", "import", str(path)).code == 2


def test_an_archive_that_is_lost_is_one_sentence_and_exit_1(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository, home: Path
) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    (home / "archive").write_text("no folder")
    result = lumbung("harvest")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("lumbung: the archive folder")
    assert result.err.count("\n") == 1


def test_the_program_stops_at_the_next_page_and_goes_on_later(
    provider: FakeProvider, repository: FakeRepository, home: Path, tmp_path: Path, lumbung: Lumbung
) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    reached, released = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.number == 3:
            reached.set()
            released.wait(60)

    repository.on_request = hold
    command = [str(Path(sys.executable).with_name("lumbung")), "harvest", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert reached.wait(60)
        os.kill(program.pid, signal.SIGINT)
        assert program.stderr is not None
        assert "stopping at the next page" in program.stderr.readline()
        released.set()
        out, _ = program.communicate(timeout=60)
    run = json.loads(out)
    assert (program.returncode, run["outcome"], run["records"]) == (1, "incomplete", 10)
    assert "stopped by the operator" in run["error"]
    (rest,) = lumbung("harvest", "--json").json
    assert (rest["outcome"], rest["added"]) == ("complete", 2)
    assert len(ids(home)) == 12


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("hosts", [1, 9])
def test_a_second_signal_ends_the_program_at_once(
    number: int, hosts: int, repository: FakeRepository, home: Path, tmp_path: Path, lumbung: Lumbung
) -> None:
    reached, released = threading.Event(), threading.Event()

    def hold(_request: Request) -> None:
        reached.set()
        released.wait(60)

    repository.on_request = hold
    with ExitStack() as stack:
        for each in range(hosts):
            provider = stack.enter_context(FakeProvider(f"127.0.2.{each + 1}"))
            lumbung("members", "add", f"a{each}", provider.serve(repository))
        stack.callback(released.set)
        command = [str(Path(sys.executable).with_name("lumbung")), "harvest"]
        program = stack.enter_context(
            subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        assert reached.wait(60)
        program.send_signal(number)
        assert program.stderr is not None
        assert "stopping at the next page" in program.stderr.readline()
        program.send_signal(number)
        out, err = program.communicate(timeout=30)
    assert (program.returncode, out, err.strip()) == (130, "", "stopped")


def test_a_dry_run_shows_what_would_come_and_stores_nothing(
    lumbung: Lumbung, provider: FakeProvider, repository: FakeRepository
) -> None:
    lumbung("members", "add", "a", provider.base + "/oai")
    shown = lumbung("harvest", "a", "--dry-run", "3", "--json").json
    assert [each["becomes"] for each in shown] == ["added"] * 3
    assert lumbung("records", "--json").json == []
    lumbung("harvest", "a")
    newer = "2030-01-01T00:00:00Z"
    first, second, *_ = repository.records.values()
    repository.put(
        replace(first, title="New", datestamp=newer), replace(second, datestamp=newer, deleted_in=("oai_dc",))
    )
    shown = lumbung("harvest", "a", "--dry-run", "9", "--json").json
    assert [each["becomes"] for each in shown] == ["changed", "deleted"]
    assert lumbung("harvest", "--dry-run", "9").code == 2
