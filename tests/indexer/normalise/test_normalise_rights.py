"""Rights come out as a licence's code, a word on access and the prose."""

from __future__ import annotations

import re

import pytest

from indexer.normalise.rights import Rights, licence_url, parse_rights


@pytest.mark.parametrize(
    ("raw", "licence"),
    [
        ("http://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/licences/by-nc-sa/3.0", "CC-BY-NC-SA-3.0"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("http://creativecommons.org/licenses/by/2.0/uk/", "CC-BY-2.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "PDM-1.0"),
        ("CC-BY ; http://creativecommons.org/licenses/by/3.0/", "CC-BY-3.0"),
        ("cc_by", "CC-BY"),
        ("cc_by_nc_sa_4", "CC-BY-NC-SA-4.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC0", "CC0-1.0"),
        ("Attribution 4.0", "CC-BY-4.0"),
        ("Attribution-NonCommercial 4.0 International", "CC-BY-NC-4.0"),
        ("Attribution-NonCommercial", "CC-BY-NC"),
        ("Attribution-NonCommercial-ShareAlike 2.0 UK: England & Wales", "CC-BY-NC-SA-2.0"),
        ("Creative Commons Attribution", "CC-BY"),
        ("Creative Commons Attribution-Noncommercial-Share Alike", "CC-BY-NC-SA"),
        ("Copyright owned by A. B. Some re-use permitted (Creative Commons BY-NC-ND).", "CC-BY-NC-ND"),
        ("licensed under Creative Commons Attribution – Non Commercial (unported, v3.0) License", "CC-BY-NC-3.0"),
        ("the Creative\nCommons Attribution Non-Commercial No Derivatives (by-nc-nd) License.", "CC-BY-NC-ND"),
        ("MIT License", "MIT"),
        ("Attribution", None),
        ("This attribution to Rembrandt is wrong", None),
        ("Mitra Summit", None),
        ("© Ly et al.; licensee BioMed Central Ltd. 2014", None),
    ],
)
def test_a_licence_is_read(raw: str, licence: str | None) -> None:
    assert parse_rights([raw]).licence == licence


@pytest.mark.parametrize(
    ("raw", "access"),
    [
        ("info:eu-repo/semantics/openAccess", "open"),
        ("info:eu-repo/semantics/OpenAccess", "open"),
        ("openAccess", "open"),
        ("open", "open"),
        ("İzinli", "open"),
        ("http://purl.org/coar/access_right/c_abf2", "open"),
        ("info:eu-repo/semantics/restrictedAccess", "restricted"),
        ("İzinsiz", "restricted"),
        ("http://purl.org/coar/access_right/c_16ec", "restricted"),
        ("info:eu-repo/semantics/embargoedAccess", "embargoed"),
        ("http://purl.org/eprint/accessRights/EmbargoedAccess", "embargoed"),
        ("embargo_12_months", "embargoed"),
        ("Under embargo until its publication", "embargoed"),
        ("embargoes and boycotts", None),
        ("closed_access", "closed"),
        ("restricted_access", "restricted"),
        ("[Access: restricted]", "restricted"),
        ("Repository staff only", "restricted"),
        ("Registered users only", "restricted"),
        ("On-campus only", "restricted"),
        ("restrictedness", None),
        ("info:eu-repo/semantics/closedAccess", "closed"),
        ("http://purl.org/coar/access_right/c_f1cf", "embargoed"),
        ("https://vocabularies.coar-repositories.org/access_rights/c_f1cf/", "embargoed"),
        ("Embargo until 2099-05-01", "embargoed"),
        ("embargoed access until 2099", "embargoed"),
        ("info:eu-repo/date/embargoEnd/2099-13-45", "embargoed"),
        ("Akses Tertutup", "closed"),
        ("http://purl.org/eprint/accessRights/ClosedAccess", "closed"),
        ("http://purl.org/eprint/accessRights/RestrictedAccess", "restricted"),
        ("Restricted to registered users only", "restricted"),
        ("Restricted Access (repository staff only)", "restricted"),
        ("campus only", "restricted"),
        ("The collection is open for research.", None),
        ("default", None),
        ("http://creativecommons.org/licenses/by/4.0/", None),
    ],
)
def test_access_is_read(raw: str, access: str | None) -> None:
    assert parse_rights([raw]).access == access


def test_values_of_one_record_complete_each_other() -> None:
    assert parse_rights(
        ["Copyright (c) 2019 Budi Santoso", "CC-BY", "info:eu-repo/semantics/openAccess",
         "https://creativecommons.org/licenses/by/4.0", "", "default"]
    ) == Rights("CC-BY-4.0", "open", None, ("Copyright (c) 2019 Budi Santoso",))  # fmt: skip


def test_an_embargo_is_read_from_rights_or_dates() -> None:
    assert parse_rights(["info:eu-repo/date/embargoEnd/2030-01-01"]) == Rights(None, "embargoed", "2030-01-01")
    rights = parse_rights(["info:eu-repo/semantics/openAccess"], dates=["info:eu-repo/date/embargoEnd/2018-05-27"])
    assert (rights.access, rights.embargo_until) == ("open", "2018-05-27")

    assert parse_rights(["Embargoed until 2099-05-01"]).embargo_until == "2099-05-01"


def test_the_strictest_of_several_counts() -> None:
    assert parse_rights(["open access", "info:eu-repo/semantics/restrictedAccess"]).access == "restricted"
    assert parse_rights(["Restricted to registered users only", "closed"]).access == "closed"


def test_a_licence_has_an_address() -> None:
    assert licence_url("CC-BY-NC-SA-3.0") == "https://creativecommons.org/licenses/by-nc-sa/3.0/"
    assert licence_url("CC-BY") == "https://creativecommons.org/licenses/by/4.0/"
    assert licence_url("CC0-1.0") == "https://creativecommons.org/publicdomain/zero/1.0/"
    assert licence_url("All rights reserved") is None


@pytest.mark.timeout(10)
def test_hostile_rights_take_no_long_time() -> None:
    for part in ("cc by", "attribution ", "creative commons ", "open access ", "embargo ", "restricted ", "-"):
        parse_rights([part * 20_000])


def test_real_rights_keep_to_the_vocabulary(real_records: list[dict[str, list[str]]]) -> None:
    licensed = 0
    for record in real_records:
        rights = parse_rights(record.get("rights", ()), dates=record.get("date", ()))
        assert rights.access in {None, "open", "embargoed", "restricted", "closed"}
        assert rights.embargo_until is None or re.fullmatch(r"\d{4}-\d\d-\d\d", rights.embargo_until)
        if rights.licence:
            licensed += 1
            assert licence_url(rights.licence), rights
    assert licensed > 3_000
