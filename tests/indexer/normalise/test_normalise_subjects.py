"""Subjects come out one by one, and headings stay whole."""

from __future__ import annotations

import pytest

from indexer.normalise.subjects import LONGEST_SUBJECT, split_subjects


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Social media; privacy; academic freedom", ("Social media", "privacy", "academic freedom")),
        ("bedrijfskunde;bedrijfseconomie;\norganisatieleer", ("bedrijfskunde", "bedrijfseconomie", "organisatieleer")),
        ("Air, caisim, ESP32, evapotranspirasi.", ("Air", "caisim", "ESP32", "evapotranspirasi")),
        ("Kata kunci: batik, kriya, Lombok", ("batik", "kriya", "Lombok")),
        ("graf bintang, graf kipas, graf roda; star, fan, wheel",
         ("graf bintang", "graf kipas", "graf roda", "star", "fan", "wheel")),
        ("HD28 Management. Industrial Management", ("HD28 Management. Industrial Management",)),
        ("330 Economics, labor, land, energy", ("330 Economics, labor, land, energy",)),
        ("[SDV.BBM]Life Sciences [q-bio]/Biochemistry, Molecular Biology",
         ("[SDV.BBM]Life Sciences [q-bio]/Biochemistry, Molecular Biology",)),
        ("Batik--Indonesia--History, Modern, Java", ("Batik--Indonesia--History, Modern, Java",)),
        ("World War, 1914-1918 Addresses, sermons, etc.", ("World War, 1914-1918 Addresses, sermons, etc.",)),
        ("Lang, John Dunmore, 1799-1878.", ("Lang, John Dunmore, 1799-1878.",)),
        ("Ypres, 2nd Battle of, Ieper, Belgium, 1915.", ("Ypres, 2nd Battle of, Ieper, Belgium, 1915.",)),
        ("Social Control, Law, Crime, and Deviance", ("Social Control, Law, Crime, and Deviance",)),
        ("Santoso, Budi", ("Santoso, Budi",)),
        ("high pour point oil, pour point", ("high pour point oil, pour point",)),
        ("Intoduced organisms;", ("Intoduced organisms",)),
        ("Buildings.", ("Buildings.",)),
        ("C++", ("C++",)),
        ("R&amp;D", ("R&D",)),
        ("-", ()),
        ("x" * (LONGEST_SUBJECT + 1), ()),
    ],
)  # fmt: skip
def test_subjects_of_one_value(raw: str, expected: tuple[str, ...]) -> None:
    assert split_subjects([raw]) == expected


def test_a_subject_comes_once_as_first_written() -> None:
    assert split_subjects(["Batik", "batik; Tenun", "TENUN", "Kriya"]) == ("Batik", "Tenun", "Kriya")


@pytest.mark.timeout(10)
def test_hostile_subjects_take_no_long_time() -> None:
    for part in (",", " ", "; ", "--", "[", "1983-"):
        split_subjects([part * 20_000, "A" + part * 20_000 + "!"])


def test_real_subjects_are_short_and_single(real_values: dict[str, list[str]]) -> None:
    for raw in real_values["subject"]:
        for subject in split_subjects([raw]):
            assert 0 < len(subject) <= LONGEST_SUBJECT
            assert ";" not in subject
            assert subject == " ".join(subject.split())
