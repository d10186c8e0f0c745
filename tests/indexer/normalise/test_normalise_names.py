"""Names are shown without numbers, roles and titles, and have a family name to compare by."""

from __future__ import annotations

from itertools import chain

import pytest

from harvester.samples.entries import get_entries
from indexer.normalise.names import Name, parse_name, split_names


@pytest.mark.parametrize(
    ("raw", "display", "family", "given"),
    [
        ("Gereluk, Winston", "Gereluk, Winston", "Gereluk", "Winston"),
        ("Rubtsov, A. N.", "Rubtsov, A. N.", "Rubtsov", "A. N."),
        ("Li, M.S.", "Li, M.S.", "Li", "M.S."),
        ("Diaz, MA", "Diaz, MA", "Diaz", "MA"),
        ("Schune, M. -H.", "Schune, M. -H.", "Schune", "M. -H."),
        ("van der Berg, Jan", "van der Berg, Jan", "van der Berg", "Jan"),
        ("Vieten, Alex Gustav.", "Vieten, Alex Gustav", "Vieten", "Alex Gustav"),
        ("Budi Santoso", "Budi Santoso", "Santoso", "Budi"),
        ("Ludwig van Beethoven", "Ludwig van Beethoven", "van Beethoven", "Ludwig"),
        ("Sukarno", "Sukarno", "Sukarno", None),
        ("ВОДОЕВИЧ В.П.", "ВОДОЕВИЧ В.П.", "ВОДОЕВИЧ", "В.П."),
        ("森 耕平", "森 耕平", "森", "耕平"),
        ("H. C. Kapteyn", "H. C. Kapteyn", "Kapteyn", "H. C."),
        ("HENDRA SISBADIATO (NIM 00000000)", "HENDRA SISBADIATO", "SISBADIATO", "HENDRA"),
        ("Faried Caesar Nugroho (NIM:000 00 000)", "Faried Caesar Nugroho", "Nugroho", "Faried Caesar"),
        ("Julhenry Sinaga ( NM :234 92 504)", "Julhenry Sinaga", "Sinaga", "Julhenry"),
        ("Dewi Nurftri - Nim: 13313034", "Dewi Nurftri", "Nurftri", "Dewi"),
        ("VIVIAN ISABELLA NIM - 00000000", "VIVIAN ISABELLA", "ISABELLA", "VIVIAN"),
        ("TEGUH HARRY PRABOWO/ 29116124", "TEGUH HARRY PRABOWO", "PRABOWO", "TEGUH HARRY"),
        ("Santoso, Budi, 15103040", "Santoso, Budi", "Santoso", "Budi"),
        ("Yudistira Santosa [13105056]", "Yudistira Santosa", "Santosa", "Yudistira"),
        ("Sunho Park [-]", "Sunho Park", "Park", "Sunho"),
        ("Nimrod Sitorus", "Nimrod Sitorus", "Sitorus", "Nimrod"),
        ("WILCHE HENRY (NIM: 00000000) Pembimbing : Leo Aldianto, MSAE, MBA", "WILCHE HENRY", "HENRY", "WILCHE"),
        ("Pembimbing : Leo Aldianto, MSAE, MBA", "Leo Aldianto", "Aldianto", "Leo"),
        ("PEMBIMBING : Prof. Dr. Pudji Astuti, MS", "Pudji Astuti", "Astuti", "Pudji"),
        ("Pembimbing Dr. Ir. Iwan Inrawan Wiratmadja", "Iwan Inrawan Wiratmadja", "Wiratmadja", "Iwan Inrawan"),
        ("Tim Pembimbing : Ir. Armein Z.R. Langi M.Sc., Ph.D.", "Armein Z.R. Langi", "Langi", "Armein Z.R."),
        ("Dradjat Hoedajanto  Scanner : kory", "Dradjat Hoedajanto", "Hoedajanto", "Dradjat"),
        ("Dr. Ir. Zulfakriza, S.Si., M.T.", "Zulfakriza", "Zulfakriza", None),
        ("Dr.rer.nat. Wiwin Windupranata, S.T., M.Si.", "Wiwin Windupranata", "Windupranata", "Wiwin"),
        ("Prof. Dr.-Ing. Ir. Himasari Hanan, MAE", "Himasari Hanan", "Hanan", "Himasari"),
        ("Budi Santoso, S.H.", "Budi Santoso", "Santoso", "Budi"),
        ("De Jaegere, S. A.", "De Jaegere, S. A.", "De Jaegere", "S. A."),
        ("Budi Setyono M.T", "Budi Setyono", "Setyono", "Budi"),
        ("Suyono S.E, M.S.M", "Suyono", "Suyono", None),
        ("Faidal SE, MM", "Faidal", "Faidal", None),
        ("Edy Soewono, Prof. Dr.", "Edy Soewono", "Soewono", "Edy"),
        ("Bhekti Pratiwi, S.Farm.M.Si.,", "Bhekti Pratiwi", "Pratiwi", "Bhekti"),
        ("Drs. Gunarto, M.Par.", "Gunarto", "Gunarto", None),
        ("Sri Lestari Hardjana, S.Kar., M.Hum.", "Sri Lestari Hardjana", "Hardjana", "Sri Lestari"),
        ("Ns. Siti Khodijah, M.Kep., Sp.Kep.J.", "Siti Khodijah", "Khodijah", "Siti"),
        ("apt. Lia Amalia, S.Farm., M.Farm.Klin.", "Lia Amalia", "Amalia", "Lia"),
        ("Bdn. Rina Wati, A.Md.Keb., S.Tr.Keb., M.Tr.Keb.", "Rina Wati", "Wati", "Rina"),
        ("Capt. Hadi Utomo, S.Tr.Pel., M.Mar.E", "Hadi Utomo", "Utomo", "Hadi"),
        ("dr. Jofizal Jannt, Sp.S(K).", "Jofizal Jannt", "Jannt", "Jofizal"),
        ("Dr. dr Afiatin, Sp.PD-KGH", "Afiatin", "Afiatin", None),
        ("Maya Sofiana, S.E., M.Ak., Ak.", "Maya Sofiana", "Sofiana", "Maya"),
        ("Prof. Ingrid Brandvold, Dr.scient.", "Ingrid Brandvold", "Brandvold", "Ingrid"),
        ("Yogie Candra Bhumi M.Ds.", "Yogie Candra Bhumi", "Bhumi", "Yogie Candra"),
        ("Caldwell, Colin, d. 1986?, photographer.", "Caldwell, Colin", "Caldwell", "Colin"),
        ("Gandevia, Bryan, 1925-", "Gandevia, Bryan", "Gandevia", "Bryan"),
        ("Fitzpatrick, Carole (Performer)", "Fitzpatrick, Carole", "Fitzpatrick", "Carole"),
        ("Bank, Dov", "Bank, Dov", "Bank", "Dov"),
        ("Budi Santoso (budi@ugm.ac.id)", "Budi Santoso", "Santoso", "Budi"),
        ("Lee, Tim", "Lee, Tim", "Lee", "Tim"),
        ("Universitas Gadjah Mada", "Universitas Gadjah Mada", "Universitas Gadjah Mada", None),
        ("Badan Pusat Statistik, Jakarta", "Badan Pusat Statistik, Jakarta", "Badan Pusat Statistik, Jakarta", None),
        ("Victoria. Dept. of Crown Lands", "Victoria. Dept. of Crown Lands", "Victoria. Dept. of Crown Lands", None),
    ],
)  # fmt: skip
def test_a_name_is_read(raw: str, display: str, family: str, given: str | None) -> None:
    found = parse_name(raw)
    assert found is not None
    assert (found.display, found.family, found.given, found.raw) == (display, family, given, raw)


@pytest.mark.parametrize(
    "start",
    ["Sanggar", "Paguyuban", "Komunitas", "Tim", "Kelompok", "Dinas", "Badan", "Balai", "Universitas", "Yayasan",
     "Pusat", "Unit", "Lembaga", "Perpustakaan", "Institut", "Sekolah", "Fakultas", "Jurusan", "Kementerian",
     "Himpunan", "Ikatan", "Majelis"],
)  # fmt: skip
def test_a_body_keeps_its_name_whole(start: str) -> None:
    name = f"{start} Tirto Laras"
    assert parse_name(name) == Name(name, name, None, name)


@pytest.mark.parametrize("slug", ["tirta-samudra", "arunika", "kembang-nusa", "wanasari"])
def test_advisers_of_the_sample_members_come_out_without_titles(slug: str) -> None:
    for raw in chain.from_iterable(entry.advisers for entry in get_entries(slug)):
        name = parse_name(raw)
        assert name is not None
        shown = name.display.removeprefix("Rr. ")  # Raden Roro is part of the name
        assert not set(shown) & set(",."), raw
        assert not {word.lower() for word in shown.split()} & {"prof", "dr", "drs", "dra", "ir", "ns", "apt"}, raw


@pytest.mark.parametrize(
    "raw",
    ["", "-", "#CONTRIBUTOR#", "#", "P", "1", "̅", "NN", "N.N.", "Anonim89", "Unknown", "Tim Pembimbing", "Pembimbing :",
     "mahmudin@lib.itb.ac.id 08122000786", "081 821 8272", "2008-02-13.", "Dr.", "Scanner : kory",
     "Scan: Ena Sukmana, S.Sos. (2007-03-13) ena506@yahoo.co.id", "ORCID ID: 0000-0003-1904-5885"],
)  # fmt: skip
def test_nobody_is_no_name(raw: str) -> None:
    assert parse_name(raw) is None


def test_several_names_in_one_value_are_parted_but_never_by_commas() -> None:
    assert split_names("Santoso, Budi; Lestari, Sri ;") == ("Santoso, Budi", "Lestari, Sri")
    assert split_names("O&apos;Neil, Nance") == ("O'Neil, Nance",)
    assert split_names("Chun-Min Chang, Inna Ponomareva") == ("Chun-Min Chang, Inna Ponomareva",)
    assert split_names("Pembimbing :  \n \n\nDr. A. Satu, M.T.\n\nDr. B. Dua") == ("Dr. A. Satu, M.T.", "Dr. B. Dua")
    assert split_names("Ir. D. Hakim, M.Sc., dan Ir. D. Sari, MT.") == ("Ir. D. Hakim, M.Sc.,", "Ir. D. Sari, MT.")


@pytest.mark.timeout(10)
def test_hostile_names_take_no_long_time() -> None:
    for part in (",", " ", "a.", "Dr. ", "NIM ", "(", "S.S,", "S.S.", "S.T., ", "M.Par ", "Sp.S.", "Pembimbing "):
        parse_name(part * 20_000)
        split_names(part * 20_000)
        for start in ("A ", "Ab, "):
            parse_name(start + part * (280 // len(part)) + "!")


def test_real_names_have_a_display_and_a_family(real_values: dict[str, list[str]]) -> None:
    named = 0
    for element in ("creator", "contributor"):
        for raw in real_values[element]:
            for part in split_names(raw):
                name = parse_name(part)
                if name is None:
                    continue
                named += 1
                assert name.display
                assert name.display == " ".join(name.display.split())
                assert name.family in name.display
                assert "NIM" not in name.display.split()
                assert not name.display.lower().startswith("pembimbing"), raw
    assert named > 75_000
