"""Members are cared for as the operator says, one by one or thousands at once from a list."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes.provider import FakeProvider, FakeRecord, FakeRepository

from harvester import member_files
from harvester.errors import ConfigError, UnreachableError
from harvester.member_files import make_slug, read_members
from web.cli import lumbung

Run = Callable[..., str]
NOW = 1_800_000_000
TODAY = datetime.now(UTC).date()
SOON = str(TODAY + timedelta(days=60))
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
        result: Result = CliRunner().invoke(lumbung, arguments, standalone_mode=False)
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
    run("members", "set", "b", "--insecure-until", SOON, "--mail-to", "x@b.example", "--mail", "monthly")
    run("members", "set", "b", "--reconcile-days", "7", "--pending-days", "0", "--max-drop", "100")
    changed = {
        "rule": "30 2 * * 1-5", "timezone": "Europe/Berlin", "paused": False, "insecure_until": SOON,
        "mail_to": "x@b.example", "mail": "monthly", "reconcile_days": 7, "pending_days": 0, "max_drop": 100,
    }  # fmt: skip
    assert care(run, "b") == USUAL | wishes | changed
    shown = run("members", "show", "b")
    for words in ("Bee (b)", "30 2 * * 1-5, 23:00-04:00 (Europe/Berlin)", "2.5 seconds", "not verified before 20"):
        assert words in shown
    run("members", "set", "b", "--mail-to", "x@b.example, y@b.example")
    assert care(run, "b")["mail_to"] == "x@b.example, y@b.example"
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
        (("--insecure-until", str(TODAY)), "`insecure_until` must be a date from tomorrow, .* in a year"),
        (("--insecure-until", "9999-12-31"), "`insecure_until` must be a date from tomorrow, .* in a year"),
        (("--mail-to", "nobody"), "`mail_to` must be a mail address"),
        (("--mail-to", "a@x.example,"), "`mail_to` must be a mail address"),
        (("--mail-to", "a@x.example, b@x.example c@x.example"), "`mail_to` must be a mail address"),
        (("--mail-to", ",".join(f"{n}@x.example" for n in range(6))), "`mail_to` must be 5 mail addresses at the most"),
        (("--set", "a", "--set", ""), "metadata prefix or set must not be empty"),
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
        '[[members]]\nslug = "a"\nbase_url = "http://a.example/oai"\nrule = "6h"\ninsecure_until = '
        f"{SOON}\n"
        'mail_to = "x@a.example"\nwindow = ""\n[[members]]\nslug = "b"\nbase_url = "http://b.example/oai"\ndelay = 1\n'
    )
    assert run("members", "import", str(file), "--paused") == "1 members added, 1 updated\n"
    told = {"rule": "6h", "insecure_until": SOON, "mail_to": "x@a.example", "delay": 3.0}
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


def region(run: Run, slug: str) -> str | None:
    found: str | None = json.loads(run("members", "show", slug, "--json"))["region"]
    return found


def test_a_member_has_a_region_by_command_and_by_list(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "slug,url,region\na,http://a.example/oai,D.I. Yogyakarta\nb,http://b.example/oai,\n"
    )
    run("members", "import", "m.csv")
    assert [region(run, slug) for slug in "ab"] == ["d-i-yogyakarta", None]
    assert "region     bali" in run("members", "set", "b", "--region", "bali")
    run("members", "import", "m.csv")  # what a list leaves open stays
    assert region(run, "b") == "bali"
    run("members", "set", "b", "--region", "")
    assert region(run, "b") is None
    with pytest.raises(ConfigError, match="`region` must be lower-case"):
        run("members", "set", "b", "--region", "Jawa Barat")


def imported(run: Run, tmp_path: Path, text: str, name: str = "m.csv") -> tuple[list[tuple[str, str, str]], str]:
    """The members that a list of this text gives (slug, name, address), and what the import says."""
    (tmp_path / name).write_text(text, newline="")
    told = run("members", "import", name)
    rows = map(json.loads, run("members", "list", "--json").splitlines())
    return sorted((row["member"], row["name"], row["base_url"]) for row in rows), told


A, B = ("a", "Satu", "http://a.example/oai"), ("b", "Dua", "http://b.example/oai")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x," + "n" * 140_000 + ",http://x.example/oai", "field larger than field limit"),
        ("x," + "n" * 501 + ",http://x.example/oai", "the name .* 500 characters at the most"),
        ("x," + "n" * 501 + ",http://x.example/oai", r"'n+'\.\.\. must"),
        ("x,a\x1b[31mb,http://x.example/oai", "the name .* one line"),
        ("x,a\u2028b,http://x.example/oai", "the name .* one line"),
        ('x,"Perpustakaan,http://x.example/oai', "a quotation mark is not closed"),
        ('x,"Per ""pus,http://x.example/oai', "a quotation mark is not closed"),
        ('x"y,"Perpustakaan,http://x.example/oai', "a quotation mark is not closed"),
        ('x,"Perpustakaan\nNasional",http://x.example/oai', "a quotation mark is not closed"),
        ("x,Perpustakaan", "no base URL"),
        ("x,X,http://x.example/" + "o" * 2000, "the base URL"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_with_its_number_and_the_others_are_read(
    line: str, words: str, run: Run, tmp_path: Path
) -> None:
    found, told = imported(run, tmp_path, f"slug,name,url\r\n{','.join(A)}\r\n\r\n{line}\r\n{','.join(B)}\r\n")
    assert found == [A, B]
    refused, *more, last = told.splitlines()
    assert re.search(f"^m.csv, line 4: .*{words}", refused)
    assert [each[:14] for each in more] == ["m.csv, line 5:"] * line.count("\n")
    assert last == f"2 members added, 0 updated, {1 + line.count(chr(10))} left out"
    assert all(len(each) < 400 for each in told.splitlines())


@pytest.mark.parametrize("name", ["m.csv", "m.TSV"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_apart_by_what_the_titles_are_apart_by(name: str, delimiter: str, run: Run, tmp_path: Path) -> None:
    lines = (("slug", '"name"', "URL"), (A[0], '"Satu, Dua; Tiga\tEmpat"'.replace("\t", " "), A[2]), ("", "", ""), B)
    found, told = imported(run, tmp_path, "\n".join(map(delimiter.join, lines)), name)
    assert found == [("a", "Satu, Dua; Tiga Empat", A[2]), B]
    assert told == "2 members added, 0 updated\n"


@pytest.mark.parametrize(
    ("titles", "words"),
    [
        ("", "no column `base_url` or `url`"),
        ("name,adres\n", "no column `base_url` or `url`"),
        ('"name,url\n', "m.csv, line 1: a quotation mark is not closed"),
        ("x" * 140_000 + ",url\n", "m.csv, line 1: it cannot be read: field larger"),
    ],
)
def test_a_table_whose_titles_cannot_be_read_is_refused(titles: str, words: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        imported(run, tmp_path, titles)


@pytest.mark.parametrize(
    ("name", "text", "left_out"),
    [("m.txt", "nonsense\nmore\n", 2), ("m.csv", "url\nftp://a.example/\n", 1), ("m.txt", "# none\n", 0)],
)
def test_a_list_of_which_no_line_can_be_used_is_a_failure(
    name: str, text: str, left_out: int, run: Run, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    result = CliRunner().invoke(lumbung, ["members", "import", name])
    assert result.exit_code == 1
    assert result.output.endswith(f"no line of {name} could be used; {left_out} left out\n")
    assert run("members", "list", "--json") == ""


def test_a_list_that_is_too_large_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_files, "MAX_BYTES", 2**20)
    monkeypatch.setattr(member_files, "MAX_LINES", 10)
    lines = [f"http://{number}.example/oai\n" for number in range(11)]
    with pytest.raises(ConfigError, match=r"m\.txt has more than 10 lines"):
        imported(run, tmp_path, "".join(lines), "m.txt")
    entries = "".join(f'[[members]]\nslug = "a{number}"\nbase_url = "http://a/"\n' for number in range(11))
    with pytest.raises(ConfigError, match=r"m\.toml lists more than 10 members"):
        imported(run, tmp_path, entries, "m.toml")
    for name in ("m.txt", "m.toml"):
        with pytest.raises(ConfigError, match=f"{name} is larger than 1 MB"):
            imported(run, tmp_path, "#" * (2**20 + 1), name)
    assert imported(run, tmp_path, "".join(lines[1:]) + " " * 2**19, "m.txt")[1] == "10 members added, 0 updated\n"


REQUESTS = (
    "http://x.example/oai?verb=Identify",
    "http://x.example/oai?verb=ListRecords&metadataPrefix=oai_dc&set=a%3Ab&from=2020-01-01",
    "http://x.example/oai?Verb=ListRecords&amp;metadataPrefix=oai_dc",
    "http://x.example/oai?",
)


def test_the_arguments_of_a_request_are_no_part_of_a_base_url(run: Run, tmp_path: Path) -> None:
    """And lines that come to one address are one member."""
    url = "http://x.example/oai"
    for number, request in enumerate(REQUESTS):
        run("members", "add", f"a{number}", request, "--no-check")
        assert json.loads(run("members", "show", f"a{number}", "--json"))["base_url"] == url
        run("members", "remove", f"a{number}", "--yes")
    kept = "http://x.example/oai?db=1&q=a%20b"
    lines = [*REQUESTS, f"{kept}&verb=Identify", "http://x.example/oai?verb=Identify&db=1&q=a%20b"]
    found, told = imported(run, tmp_path, "\n".join(lines), "m.txt")
    assert [address for _, _, address in found] == [url, kept]
    assert told == "2 members added, 0 updated\n"
    assert imported(run, tmp_path, "\n".join(lines[::-1]), "m.txt") == (found, "0 members added, 2 updated\n")
    table = f"slug,url\nx-example,{url}\nother,{REQUESTS[0]}\n"
    again, told = imported(run, tmp_path, table)
    assert again == found
    refused, summary = told.splitlines()
    assert refused == f"m.csv, line 3: other has the address of x-example, {url}, and is left out"
    assert summary == "0 members added, 1 updated, 1 left out"
    text = f'[[members]]\nslug = "toml"\nbase_url = "{REQUESTS[1]}"\n'
    assert ("toml", "toml", url) in imported(run, tmp_path, text, "m.toml")[0]


@pytest.mark.parametrize(
    "url", ["javascript:1", "mailto:1", "file:///etc/passwd", "data:text/html,x", "ftp://x.example"]
)
def test_what_is_no_web_address_is_not_checked(url: str, run: Run) -> None:
    with pytest.raises(ConfigError, match=r"^this is no web address; give one such as .*\Z"):
        run("members", "check", url)


def test_sets_prefixes_and_files_are_changed_and_taken_back(run: Run) -> None:
    run("members", "add", "a", "http://a.example/oai", "--set", "x")

    def shown() -> tuple[list[str], list[str], bool]:
        told = json.loads(run("members", "show", "a", "--json"))
        return told["sets"], told["prefixes"], told["fulltext"]

    for options, expected in (
        (("--name", "A"), (["x"], ["oai_dc"], True)),
        (("--set", "y", "--set", "z", "--no-fulltext"), (["y", "z"], ["oai_dc"], False)),
        (("--prefix", "marc", "--prefix", "oai_dc"), (["y", "z"], ["marc", "oai_dc"], False)),
        (("--set", "", "--fulltext"), ([], ["marc", "oai_dc"], True)),
        (("--prefix", ""), ([], ["oai_dc"], True)),
    ):
        told = run("members", "set", "a", *options)
        assert shown() == expected
        assert f"prefixes   {', '.join(expected[1])}\n" in told


def test_other_sets_are_fetched_whole_and_what_is_in_none_any_more_goes_and_may_come_back(
    run: Run, provider: FakeProvider
) -> None:
    repository = FakeRepository([FakeRecord(f"oai:{name}:{n}", sets=(name,)) for name in "xyz" for n in range(3)])

    def live() -> dict[str, int]:
        records = [json.loads(line) for line in run("records", "--json").splitlines()]
        return dict(Counter(record["identifier"][4] for record in records if not record["deleted"]))

    def asked() -> list[tuple[str | None, bool]]:
        """The set of each list that was begun in the last harvest, and whether it was asked for whole."""
        repository.requests.clear()
        run("harvest", "a")
        lists = [each for each in repository.lists("ListRecords") if not each.resumes]
        return [(each.arguments.get("set"), "from" not in each.arguments) for each in lists]

    url = provider.serve(repository, "/oai")
    run("members", "add", "a", url, "--no-check", "--set", "x", "--pending-days", "0", "--max-drop", "100")
    assert asked() == [("x", True)]
    run("members", "set", "a", "--set", "x", "--set", "y")
    assert asked() == [("x", False), ("y", True)]
    assert live() == {"x": 3, "y": 3}
    run("members", "set", "a", "--set", "y")
    assert asked() == [("y", False)]
    assert live() == {"x": 3, "y": 3}
    for _ in range(2):  # missed once, and once more
        run("reconcile", "a")
    assert live() == {"y": 3}
    run("members", "set", "a", "--set", "")
    assert asked() == [(None, True)]
    assert live() == {"x": 3, "y": 3, "z": 3}
    run("members", "set", "a", "--set", "x")
    assert asked() == [("x", True)]


def test_addresses_that_look_alike_get_slugs_of_their_own_and_keep_them(tmp_path: Path) -> None:
    file = tmp_path / "m.txt"
    urls = ["http://a.example/oai", "https://a.example/oai", "http://a.example/index.php/index/oai"]
    file.write_text("\n".join([*urls, urls[0]]))
    first = read_members(file, (), NOW).members
    assert [member.base_url for member in first] == urls
    assert len({member.slug for member in first}) == 3
    file.write_text("\n".join(urls[::-1]))
    assert sorted(member.slug for member in read_members(file, first, NOW).members) == sorted(m.slug for m in first)
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
