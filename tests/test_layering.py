"""The three packages know each other in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_MAY_IMPORT = {
    "harvester": {"harvester"},
    "indexer": {"harvester", "indexer"},
    "web": {"harvester", "indexer", "web"},
}


def forbidden_imports(package: str, source: str, path: str) -> list[str]:
    """Each import of `source` that the package must not have, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if not node.level else []
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            if top in _MAY_IMPORT.keys() - _MAY_IMPORT[package] | {"tests", "bench"}:
                found.append(f"{path}:{node.lineno}: {package} must not import {name}")
    return found


@pytest.mark.parametrize("package", _MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    found = [
        line
        for path in sorted((_ROOT / package).rglob("*.py"))
        for line in forbidden_imports(package, path.read_text(encoding="utf-8"), str(path.relative_to(_ROOT)))
    ]
    assert not found, "\n".join(found)


def test_an_import_of_a_higher_package_is_found_with_its_line() -> None:
    source = "import os\n\ndef f():\n    from web.app import create_app\n"
    assert forbidden_imports("indexer", source, "x.py") == ["x.py:4: indexer must not import web.app"]


def test_there_is_no_drawer_for_everything() -> None:
    names = {path.stem for package in _MAY_IMPORT for path in (_ROOT / package).rglob("*")}
    assert not names & {"common", "utils", "util", "helpers", "helper", "misc"}
