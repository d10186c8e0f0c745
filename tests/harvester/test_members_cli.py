"""Members are cared for as the operator says, one by one or thousands at once from a list."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes.provider import FakeProvider, FakeRecord, FakeRepository

from harvester.errors import ConfigError, UnreachableError
from harvester.member_files import make_slug, read_members
from web.cli import lumbung

Run = Callable[..., str]
USUAL = {
    "paused": False, "rule": "1d", "window": None, "timezone": "Asia/Jakarta", "delay": 0.0, "insecure_until": None,
    "mail_to": None, "mail": "failure", "reconcile_days": 30, "pending_days": 14, "max_drop": 10,
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; its output. What it raises, this raises."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUMBUNG_HOME", str(tmp_path / "home"))

    def invoke(*arguments: str) -> str:
        result: Result = CliRunner().invoke(lumbung, arguments, catch_exceptions=False, standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.output

    return invoke


def care(run: Run, slug: str) -> dict[str, object]:
    told = json.loads(run("members", "show", slug, "--json"))
    return {name: told[name] for name in USUAL}


def test_settings_are_given_when_a_member_is_added_and_changed_one_by_one(run: Run) -> None:
    run("members", "add", "a", "http://a.example/oai")
    assert care(run, "a") == USUAL
    run("members", "add", "b", "http://b.example/oai", "--window", "23:00-04:00", "--delay", "2.5", "--pause")
    wishes = {"window": "23:00-04:00", "delay": 2.5, "paused": True}
    assert care(run, "b") == USUAL | wishes
    run("members", "set", "b", "--rule", "30 2 * * 1-5", "--timezone", "Europe/Berlin", "--resume", "--name", "Bee")
    run("members", "set", "b", "--insecure-until", "2027-01-31", "--mail-to", "x@b.example", "--mail", "monthly")
    run("members", "set", "b", "--reconcile-days", "7", "--pending-days", "0", "--max-drop", "100")
    changed = {
        "rule": "30 2 * * 1-5", "timezone": "Europe/Berlin", "paused": False, "insecure_until": "2027-01-31",
        "mail_to": "x@b.example", "mail": "monthly", "reconcile_days": 7, "pending_days": 0, "max_drop": 100,
    }  # fmt: skip
    assert care(run, "b") == USUAL | wishes | changed
    shown = run("members", "show", "b")
    for words in ("Bee (b)", "30 2 * * 1-5, 23:00-04:00 (Europe/Berlin)", "2.5 seconds", "not verified before 2027-01"):
        assert words in shown
    run("members", "set", "b", "--window", "", "--insecure-until", "", "--mail-to", "")
    assert care(run, "b") == USUAL | changed | {"window": None, "insecure_until": None, "mail_to": None, "delay": 2.5}
    listed = [json.loads(line) for line in run("members", "list", "--json").splitlines()]
    assert [(row["member"], row["name"], row["rule"]) for row in listed] == [
        ("b", "Bee", "30 2 * * 1-5"),
        ("a", "a", "1d"),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to set"),
        (("--rule", "often"), "the rule 'often'"),
        (("--window", "night"), "the window 'night'"),
        (("--timezone", "WIB"), "time zone 'WIB'"),
        (("--delay", "-1"), "`delay` must be a number from 0 to 3600"),
        (("--delay", "nan"), "`delay`"),
        (("--insecure-until", "soon"), "`insecure_until` must be a date"),
        (("--mail-to", "nobody"), "`mail_to` must be one address"),
        (("--mail", "daily"), "`mail` must be one of never, failure, always, monthly"),
        (("--reconcile-days", "0"), "`reconcile_days`"),
        (("--max-drop", "101"), "`max_drop`"),
        (("--name", " "), "the name"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_and_nothing_changes(
    options: tuple[str, ...], words: str, run: Run
) -> None:
    run("members", "add", "a", "http://a.example/oai")
    with pytest.raises(ConfigError, match=words):
        run("members", "set", "a", "--pause", *options) if options else run("members", "set", "a")
    assert care(run, "a") == USUAL


def test_run_makes_a_member_due_and_status_says_when(run: Run) -> None:
    run("members", "add", "a", "http://a.example/oai")
    run("members", "add", "b", "http://b.example/oai", "--pause")
    assert run("members", "run", "a") == "a is due now\n"
    with pytest.raises(ConfigError, match="b is paused"):
        run("members", "run", "b")
    a, b = (json.loads(line) for line in run("status", "--json").splitlines())
    assert (a["member"], a["paused"], a["next_run"] is None) == ("a", False, False)
    assert (b["member"], b["paused"], b["next_run"]) == ("b", True, None)
    first, second = run("status").splitlines()
    assert f"next {a['next_run'][:13]}" in first
    assert second.endswith("paused)")


def test_toml_takes_every_setting_and_leaves_those_it_does_not_name(run: Run, tmp_path: Path) -> None:
    run("members", "add", "a", "http://a.example/oai", "--delay", "3", "--window", "23:00-04:00")
    file = tmp_path / "members.toml"
    file.write_text(
        '[[members]]\nslug = "a"\nbase_url = "http://a.example/oai"\nrule = "6h"\ninsecure_until = 2027-01-31\n'
        'mail_to = "x@a.example"\nwindow = ""\n[[members]]\nslug = "b"\nbase_url = "http://b.example/oai"\ndelay = 1\n'
    )
    assert run("members", "import", str(file), "--paused") == "1 members added, 1 updated\n"
    told = {"rule": "6h", "insecure_until": "2027-01-31", "mail_to": "x@a.example", "delay": 3.0}
    assert care(run, "a") == USUAL | told
    assert care(run, "b") == USUAL | {"delay": 1.0, "paused": True}
    for line, words in (
        ('delay = "1"', "`delay` must be a number"),
        ("max_drop = true", "`max_drop` must be a whole number"),
        ("paused = 1", "`paused` must be true or false"),
        ('rule = "never"', "the rule 'never'"),
        ("colour = 1", "unknown colour"),
    ):
        file.write_text(f'[[members]]\nslug = "c"\nbase_url = "http://c.example/"\n{line}\n')
        with pytest.raises(ConfigError, match=words):
            run("members", "import", str(file))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.txt", "# ours\nhttp://www.a.example/index.php/jurnal/oai\n\nhttp://b.example/cgi/oai2\nnonsense\n"),
        (
            "m.csv",
            'name,base_url\n"Jurnal, A",http://www.a.example/index.php/jurnal/oai\n,http://b.example/cgi/oai2\nx,no\n',
        ),
        ("m.tsv", "url\tkind\nhttp://www.a.example/index.php/jurnal/oai\tx\nhttp://b.example/cgi/oai2\ty\nno\tx\n"),
    ],
)
def test_a_list_of_addresses_is_imported_and_a_line_that_is_no_member_is_told(
    name: str, text: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("\ufeff" + text)
    out = run("members", "import", name, "--paused")
    assert out.endswith("2 members added, 0 updated, 1 left out\n")
    assert "the base URL" in out
    listed = {row["member"]: row for row in map(json.loads, run("members", "list", "--json").splitlines())}
    assert {slug: row["base_url"] for slug, row in listed.items()} == {
        "a-example-jurnal": "http://www.a.example/index.php/jurnal/oai",
        "b-example": "http://b.example/cgi/oai2",
    }
    assert listed["a-example-jurnal"]["name"] == ("Jurnal, A" if name == "m.csv" else "a-example-jurnal")
    run("members", "set", "b-example", "--resume", "--name", "Bee")
    assert run("members", "import", name, "--paused").endswith("0 members added, 2 updated, 1 left out\n")
    assert json.loads(run("members", "show", "b-example", "--json"))["name"] == "Bee"
    assert care(run, "b-example")["paused"] is False


def test_addresses_that_look_alike_get_slugs_of_their_own_and_keep_them(tmp_path: Path) -> None:
    file = tmp_path / "m.txt"
    urls = ["http://a.example/oai", "https://a.example/oai", "http://a.example/index.php/index/oai"]
    file.write_text("\n".join([*urls, urls[0]]))
    first = read_members(file, ()).members
    assert [member.base_url for member in first] == urls
    assert len({member.slug for member in first}) == 3
    file.write_text("\n".join(urls[::-1]))
    assert sorted(member.slug for member in read_members(file, first).members) == sorted(m.slug for m in first)
    assert 50 < len(make_slug("http://" + "long." * 30 + "example/oai")) <= 64


def test_the_indonesian_base_urls_are_imported_in_a_minute_and_read_by_the_page(
    run: Run, shared_data: Path, tmp_path: Path
) -> None:
    begin = time.process_time()
    first = run("members", "import", str(shared_data / "endpoints" / "indonesia-oai-endpoints.tsv"), "--paused")
    assert first.endswith("15391 members added, 452 updated, 2 left out\n") or "15843 members added" in first
    assert time.process_time() - begin < 60
    rows = run("status", "--json").splitlines()
    assert len(rows) == 15843
    assert json.loads(rows[0])["paused"] is True


def test_a_repository_is_looked_at_before_it_joins_and_its_base_url_is_found(run: Run, provider: FakeProvider) -> None:
    base_url = provider.serve(FakeRepository([FakeRecord("oai:x:1")]), "/cgi/oai2")
    run("members", "add", "a", provider.base, "--check")
    assert json.loads(run("members", "list", "--json"))["base_url"] == base_url
    with pytest.raises(UnreachableError, match="nothing was stored"):
        run("members", "add", "b", provider.base + "/nowhere/else", "--check", "--name", "B")
    assert len(run("members", "list", "--json").splitlines()) == 1


def test_a_quirk_is_set_shown_and_forgotten(run: Run) -> None:
    run("members", "add", "a", "http://a.example/oai")
    assert "no quirks" in run("members", "quirks", "a")
    run("members", "quirks", "a", "granularity", "days")
    told = json.loads(run("members", "quirks", "a", "--json"))
    assert (told["name"], told["value"], told["set_by"]) == ("granularity", "days", "operator")
    with pytest.raises(ConfigError, match="takes days or seconds"):
        run("members", "quirks", "a", "granularity", "weeks")
    with pytest.raises(ConfigError, match="no quirk 'speed'; known: granularity"):
        run("members", "quirks", "a", "speed", "low")
    run("members", "quirks", "a", "granularity", "--forget")
    assert run("members", "quirks", "a", "--json") == ""
