"""Every command, setting and address that others may rely on stands in README.md or docs/."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from harvester.settings import Settings
from web.app import create_app
from web.cli import lumbung

_ROOT = Path(__file__).resolve().parents[1]
_TEXT = "\n".join(path.read_text(encoding="utf-8") for path in [_ROOT / "README.md", *(_ROOT / "docs").glob("*.md")])

# The agreed names, also those of what is not built yet.
_CONTRACT = (
    *("make run", "make test", "lumbung members add SLUG BASE_URL", "lumbung members list", "lumbung members show"),
    *("lumbung members remove", "lumbung members import FILE.toml", "lumbung members check BASE_URL"),
    *("--name T", "--set S", "--prefix P", "--no-fulltext", "--full", "--json", "--repair"),
    *("lumbung harvest [SLUG...]", "lumbung fulltext [SLUG...]", "lumbung index", "lumbung reindex", "lumbung check"),
    *(
        "lumbung records [SLUG...]",
        "lumbung work",
        "lumbung serve",
        "lumbung up",
        "lumbung status",
        "--host H",
        "--port P",
    ),
    *("LUMBUNG_HOME", "LUMBUNG_CATALOGUE", "LUMBUNG_ARCHIVE", "LUMBUNG_S3_ENDPOINT", "LUMBUNG_ENGINE"),
    *("LUMBUNG_BASE_URL", "LUMBUNG_ADMIN_EMAIL", "LUMBUNG_SECRET_KEY", "LUMBUNG_MAX_WAIT", "LUMBUNG_ALLOW_PRIVATE"),
    *("/search?q=...&member=...&year=...&type=...&language=...&sort=...", "/record/<id>", ".ris", ".bib", ".json"),
    *(".xml", ".mrc", "/members/", "/members/<slug>", ".atom", "/oai", "/api/search?q=...", "/healthz", "/metrics"),
    *("complete", "complete-with-failures", "nothing-new", "incomplete", "failed"),
)


@pytest.mark.parametrize("name", _CONTRACT)
def test_the_contract_is_documented(name: str) -> None:
    assert name in _TEXT


def _commands(group: click.Group, prefix: str) -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{prefix} {name}"
        found += _commands(command, path) if isinstance(command, click.Group) else [(path, command)]
    return found


def test_every_command_is_documented_and_teaches() -> None:
    for path, command in _commands(lumbung, "lumbung"):
        assert path in _TEXT, f"{path} is missing from README.md and docs/"
        assert command.help, f"{path} has no help"
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.opts[0]} has no help"


def test_every_setting_is_documented() -> None:
    missing = [name for name in Settings.model_fields if f"`LUMBUNG_{name.upper()}`" not in _TEXT]
    assert not missing


def test_every_documented_setting_exists_or_is_kept_for_later() -> None:
    later = set(re.findall(r"Kept for later: `(LUMBUNG_\w+)`", _TEXT))
    known = {f"LUMBUNG_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"LUMBUNG_[A-Z_0-9]+", _TEXT)) == known | later


def test_every_address_of_the_site_is_documented(tmp_path: Path) -> None:
    app = create_app(Settings(home=tmp_path))
    documented = [re.escape(path) for path in re.findall(r"`(/[^`?]*)", _TEXT)]
    patterns = [re.compile(re.sub(r"<\w+>", "[^/]+", path).replace(r"\.\.\.", ".*") + "$") for path in documented]
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:>]+:)?(\w+)>", r"<\1>", rule.rule)
        bare = re.sub(r"\.<\w+>$", "", path)  # the forms of a record stand as .ris, .bib, ...
        assert any(pattern.match(path) or pattern.match(bare) for pattern in patterns), f"{rule.rule} is not documented"


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    for path in [*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name} links to {link}, which is not there"
