"""Whatever a server does: no record is lost in silence, no text damaged, and each run ends with its true word."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fakes.manners import Manner
from fakes.manners_dates import DATES
from fakes.manners_lists import LISTS
from fakes.manners_transport import TRANSPORT
from fakes.manners_xml import XML
from fakes.playing import play


@pytest.mark.timeout(90)
@pytest.mark.parametrize("manner", [pytest.param(m, id=m.name) for m in (*TRANSPORT, *XML, *LISTS, *DATES)])
def test_what_was_wished_for_comes_of_each_bad_manner(manner: Manner, migrated: Path, tmp_path: Path) -> None:
    shutil.copy(migrated, tmp_path)
    assert [complaint.what for complaint in play(manner, tmp_path)] == []
