"""Which records are one work: the rules one by one, then precision and recall over a labelled set of real titles."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest
from filling import dublin_core

from indexer.crosswalks import describe_xml
from indexer.works import FACTS, Candidate, join_records, match_keys

Values = dict[str, list[str]]

TITLE = "Pengelolaan air tanah di kawasan pesisir utara Jawa"
BASE: Values = {"title": [TITLE], "creator": ["Santoso, Budi"], "date": ["2019"]}


def keys(**values: str | list[str]) -> tuple[str, ...]:
    """The match keys of a record with these values."""
    lists = {name: [value] if isinstance(value, str) else value for name, value in values.items()}
    return match_keys(describe_xml(dublin_core(lists), this_year=2026))


def joined(*records: Values, members: tuple[int, ...] | None = None) -> bool:
    """True where all of the records, each of another member, are one work."""
    places = members or tuple(range(1, len(records) + 1))
    candidates = [
        Candidate(number, member, keys(**record))
        for number, (member, record) in enumerate(zip(places, records, strict=True), start=1)
    ]
    return set(join_records([c for c in candidates if c.keys]).values()) == {1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({}, {"title": [TITLE.upper() + " ."]}),
        ({}, {"title": ["Pengelolaan  Air-Tanah di kawasan “pesisir” utara Jawa"]}),
        ({}, {"creator": ["Budi Santoso"]}),
        ({}, {"creator": ["SANTOSO, B. (NIM 15103040)"]}),
        ({}, {"date": ["2020"]}),
        ({}, {"date": []}),
        ({}, {"title": [f"{TITLE}: studi kasus Kabupaten Demak"]}),
        ({}, {"title": [f"{TITLE} - suatu tinjauan"]}),
        ({"title": ["Kota"], "identifier": ["10.5555/ab.1"]}, {"title": ["City"], "identifier": ["10.5555/AB.1"]}),
        (
            {"title": ["Kota tua"], "identifier": ["ISBN 978-602-8519-93-9"]},
            {"title": ["Kota tua: tinjauan"], "identifier": ["9786028519939"], "creator": ["Dewi"]},
        ),
    ],
)
def test_records_that_say_the_same_are_one_work(one: Values, other: Values) -> None:
    assert joined(BASE | one, BASE | other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"creator": ["Widodo, Joko"]}, {}),
        ({"creator": []}, {"creator": []}),
        ({"date": ["2015"]}, {}),
        ({"title": [f"{TITLE} Jilid 1"]}, {"title": [f"{TITLE} Jilid 2"]}),
        ({"title": [f"{TITLE}: Jilid II"]}, {}),
        ({"title": [f"{TITLE}: bagian kedua"]}, {}),
        ({"title": [f"{TITLE}: Demak"]}, {"title": [f"{TITLE}: Jepara"]}),
        ({"title": ["Analisis sistem informasi"]}, {"title": ["Analisis sistem informasi"]}),
        ({"type": ["Skripsi"]}, {"type": ["Tesis"]}),
        ({"type": ["Thesis"]}, {"type": ["Article"]}),
        ({"identifier": ["doi:10.5555/a.1"]}, {"identifier": ["doi:10.5555/a.2"]}),
        ({"title": ["Kota"], "identifier": ["10.1234/567"]}, {"title": ["Desa"], "identifier": ["10.1234/567"]}),
        ({"title": ["Kota"], "identifier": ["9780000000002"]}, {"title": ["Kota"], "identifier": ["9780000000002"]}),
        (
            {"title": ["Ensiklopedia alam: flora"], "identifier": ["9786028519939"]},
            {"title": ["Ensiklopedia alam: fauna"], "identifier": ["9786028519939"]},
        ),
        (
            {"title": ["Biologi 1"], "identifier": ["9786028519939"]},
            {"title": ["Biologi 2"], "identifier": ["9786028519939"]},
        ),
        (
            {"title": ["Kota dan airnya"], "type": ["Book chapter"], "identifier": ["9786028519939"]},
            {"title": ["Kota dan airnya"], "type": ["Book"], "identifier": ["9786028519939"]},
        ),
    ],
)
def test_records_that_something_speaks_against_stay_apart(one: Values, other: Values) -> None:
    assert not joined(BASE | one, BASE | other)


def test_a_record_that_came_by_two_ways_is_one_work_whatever_it_says() -> None:
    def candidate(number: int, member: int, origin: int, **values: list[str]) -> Candidate:
        described = describe_xml(dublin_core(values), this_year=2026)
        return Candidate(number, member, match_keys(described, origin=origin))

    direct, copy = candidate(1, 1, 7, title=["Kota"], date=["2001"]), candidate(2, 2, 7, title=["Kota lama"])
    assert join_records([direct, copy]) == {1: 1, 2: 1}
    assert join_records([direct, candidate(2, 2, 8, title=["Kota"], date=["2001"])]) == {1: 1, 2: 2}
    assert join_records([direct, candidate(2, 1, 7, title=["Kota"])]) == {1: 1, 2: 2}
    # An aggregator that gives one origin to many, or to works with other DOIs, is not believed.
    assert set(join_records([direct, copy, candidate(3, 2, 7, title=["Desa"])]).values()) == {1, 2, 3}
    dois = [candidate(n, n, 7, identifier=[f"10.5555/x.{n}"]) for n in (1, 2)]
    assert join_records(dois) == {1: 1, 2: 2}


def test_a_key_that_one_member_uses_twice_joins_nothing() -> None:
    chapter = {"title": ["Bab"], "identifier": ["9786028519939"]}
    assert not joined(chapter, chapter, chapter, members=(1, 1, 2))
    found = join_records(
        [Candidate(number, member, keys(**chapter)) for number, member in ((1, 1), (2, 1), (3, 2), (4, 3))]
    )
    assert found == {1: 1, 2: 2, 3: 3, 4: 4}


def test_a_main_title_that_two_subtitles_share_joins_nothing() -> None:
    titles = (f"{TITLE}: Demak", f"{TITLE}: Jepara", TITLE)
    records = [keys(**BASE | {"title": [title]}) for title in titles]
    assert join_records([Candidate(n, n, each) for n, each in enumerate(records)]) == {0: 0, 1: 1, 2: 2}


def test_two_records_of_one_member_never_meet_through_a_third() -> None:
    first = keys(**BASE | {"identifier": ["10.5555/a.1"]})
    second = keys(**BASE | {"title": ["Kota"], "identifier": ["9786028519939"]})
    between = keys(**BASE | {"title": ["Kota"], "identifier": ["10.5555/a.1", "9786028519939"]})
    assert join_records([Candidate(1, 1, first), Candidate(2, 1, second), Candidate(3, 2, between)]) == {
        1: 1,
        2: 2,
        3: 1,
    }


def test_the_outcome_does_not_depend_on_the_order_of_the_records() -> None:
    records = [
        Candidate(1, 1, keys(**BASE | {"identifier": ["10.5555/a.1"]})),
        Candidate(2, 2, keys(**BASE | {"title": [TITLE + ": kasus"]})),
        Candidate(3, 3, keys(**BASE | {"identifier": ["10.5555/a.2"]})),
        Candidate(4, 4, keys(**BASE | {"date": ["2020"]})),
        Candidate(5, 5, keys(**BASE | {"date": ["2018"]})),
    ]
    outcomes = {tuple(sorted(join_records(order).items())) for order in permutations(records)}
    assert len(outcomes) == 1


def test_keys_fit_their_column_and_an_undescribed_record_has_none() -> None:
    assert keys() == ()
    long = keys(**BASE | {"identifier": ["10.5555/" + "x" * 500], "title": [f"{TITLE} {'1 2 3 ' * 200}"]})
    assert max(map(len, long)) <= 200
    assert [key for key in long if key.startswith(FACTS)] == [long[-1]]


# The labelled set: real records, varied as members vary them (true pairs) or changed into another work (near misses).


def _swap_names(record: Values, random_: random.Random) -> Values:
    family, _, given = record["creator"][0].partition(", ")
    return record | {"creator": [f"{given} {family}"]}


def _initials(record: Values, random_: random.Random) -> Values:
    family, _, given = record["creator"][0].partition(", ")
    return record | {"creator": [f"{family}, {' '.join(part[0] + '.' for part in given.split())}"]}


def _punctuation(record: Values, random_: random.Random) -> Values:
    return record | {"title": [record["title"][0].replace("-", " ").replace(",", "").replace("'", "’") + " ."]}


def _accents(record: Values, random_: random.Random) -> Values:
    return record | {"title": [record["title"][0].replace("e", "é", 2)]}


SAME: tuple[Callable[[Values, random.Random], Values], ...] = (
    lambda record, _: record | {"title": [record["title"][0].upper()]},
    lambda record, _: record | {"title": [record["title"][0].capitalize()]},
    lambda record, _: record | {"title": [record["title"][0].replace(" ", "  ")]},
    lambda record, r: record | {"creator": [f"{record['creator'][0]} (NIM {r.randrange(10**7, 10**8)})"]},
    lambda record, r: record | {"date": [str(int(year) + r.choice((-1, 1))) for year in record["date"]]},
    lambda record, _: record | {"date": []},
    lambda record, _: record | {"title": [re.split(r": | - ", record["title"][0])[0]]},
    lambda record, _: record | {"type": []},
    lambda record, _: record | {"creator": [record["creator"][0].upper()]},
    lambda record, _: record | {"creator": [*record["creator"], "Sulastri, Dewi"]},
    _swap_names,
    _initials,
    _punctuation,
    _accents,
)


def _one_word(record: Values, random_: random.Random) -> Values:
    words = record["title"][0].split()
    words[random_.randrange(len(words))] = random_.choice(("gender", "batik", "kalimantan", "sekunder", "beton"))
    return record | {"title": [" ".join(words)]}


OTHER: tuple[Callable[[Values, random.Random], tuple[Values, Values]], ...] = (
    lambda record, _: (_retitled(record, "{} Jilid 1"), _retitled(record, "{} Jilid 2")),
    lambda record, _: (_retitled(record, "{}: Volume II"), record),
    lambda record, _: (_retitled(record, "{} 2018"), _retitled(record, "{} 2019")),
    lambda record, _: (_retitled(record, "{}: studi di Demak"), _retitled(record, "{}: studi di Jepara")),
    lambda record, _: (record, record | {"creator": ["Wulandari, Ratna"]}),
    lambda record, r: (record, _one_word(record, r)),
    lambda record, _: (record | {"type": ["Skripsi"]}, record | {"type": ["Tesis"]}),
    lambda record, _: (record | {"type": ["Thesis"]}, record | {"type": ["Article"]}),
    lambda record, _: (record, record | {"date": [str(int(record["date"][0]) - 4)]}),
    lambda record, _: (_retitled(record, "Laporan Tahunan"), _retitled(record, "Laporan Tahunan")),
)


def _retitled(record: Values, pattern: str) -> Values:
    return record | {"title": [pattern.format(record["title"][0])]}


def _real_records(shared_data: Path, random_: random.Random) -> Iterator[Values]:
    """Records with a title and an author of their own, as many of each collection."""
    seen: set[str] = set()
    for name in ("itb-digilib-a", "arxiv-a", "j-ptiik-a", "pta-trunojoyo-a"):
        with gzip.open(shared_data / "records" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found = [json.loads(line)["dc"] for line in lines]
        random_.shuffle(found)
        for record in found[:1200]:
            title = " ".join(" ".join(record.get("title", [""])).split())
            words = re.sub(r"\(.*|\[.*", "", " ".join(record.get("creator", [""])[:1])).split()
            if not 6 <= len(title.split()) <= 30 or title.lower() in seen or not 2 <= len(words) <= 4:
                continue
            seen.add(title.lower())
            year = str(random_.randrange(1990, 2024))
            yield {"title": [title], "creator": [f"{words[-1]}, {' '.join(words[:-1])}"], "date": [year]}


def test_over_a_labelled_set_joins_are_right_and_few_are_missed(shared_data: Path) -> None:
    random_ = random.Random(20261121)
    records = list(_real_records(shared_data, random_))
    random_.shuffle(records)
    pairs: list[tuple[Values, Values, bool]] = []
    for at, record in enumerate(records[:2400]):
        if at % 2:
            varied = record
            for change in random_.sample(SAME, 2):
                varied = change(varied, random_)
            pairs.append((record, varied, True))
        else:
            one, other = random_.choice(OTHER)(record, random_)
            pairs.append((one, other, False))
    candidates = [
        Candidate(2 * at + side, side, found)
        for at, pair in enumerate(pairs)
        for side, found in enumerate((keys(**pair[0]), keys(**pair[1])))
        if found
    ]
    works = join_records(candidates)
    together = {number: work for number, work in works.items() if number != work}
    right = sum(1 for number, work in together.items() if number // 2 == work // 2 and pairs[work // 2][2])
    precision, recall = right / len(together), right / sum(true for *_, true in pairs)
    print(f"\n{len(pairs)} pairs: precision {precision:.4f}, recall {recall:.4f}")  # noqa: T201  # the figures are wanted
    wrong = [pairs[work // 2][:2] for number, work in together.items() if number // 2 != work // 2]
    wrong += [pairs[n // 2][:2] for n, w in together.items() if n // 2 == w // 2 and not pairs[n // 2][2]]
    assert min(sum(true for *_, true in pairs), sum(not true for *_, true in pairs)) >= 300
    assert precision >= 0.99, wrong[:10]
    assert recall >= 0.9, [
        pair[:2] for at, pair in enumerate(pairs) if pair[2] and works.get(2 * at + 1) != works.get(2 * at)
    ][:10]
