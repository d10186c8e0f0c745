"""Every word of the site is there in Indonesian."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

_WEB = Path(__file__).resolve().parents[2] / "web"
_PO = _WEB / "translations" / "id" / "LC_MESSAGES" / "messages.po"
_KEYWORDS = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}


@pytest.fixture(scope="module")
def translated() -> Catalog:
    with _PO.open("rb") as file:
        return read_po(file, locale="id")


def extracted() -> Catalog:
    catalog = Catalog()
    with (_WEB / "babel.cfg").open() as file:
        methods, _ = parse_mapping_cfg(file)
    for folder in (_WEB, _WEB.parent / "indexer" / "check"):  # whose texts the site shows
        for _, _, message, _, _ in extract_from_dir(folder, methods, keywords=_KEYWORDS):
            catalog.add(message)
    return catalog


def test_every_string_has_an_indonesian_translation_and_none_is_left_over(translated: Catalog) -> None:
    wanted = {message.id for message in extracted() if message.id}
    given = {message.id for message in translated if message.id and message.string and all(message.string)}
    assert len(wanted) > 100
    assert wanted - given == set()
    assert given - wanted == set()


def test_translations_use_the_placeholders_of_their_strings(translated: Catalog) -> None:
    assert [(message.id, errors) for message, errors in translated.check()] == []


def test_the_compiled_catalogue_is_the_present_one(translated: Catalog) -> None:
    compiled = BytesIO()
    write_mo(compiled, translated)
    assert _PO.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run: pybabel compile -d web/translations"
