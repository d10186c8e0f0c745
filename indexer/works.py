"""Works: the same thing held by several members is joined by match keys, and kept apart by facts.

The rule is conservative: two different works under one roof are worse than one work under two. Only
records of different members are joined; a key that one member uses twice says nothing; and whatever a
key says, titles with other numbers, other levels or years far apart stay apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations, product
from typing import Literal
from zlib import crc32

from sqlalchemy import Connection

from harvester.catalogue import works
from indexer.document import Description

MOST_HOLDERS = 50  # a key of more records than this joins nothing
FACTS = "="  # the first letter of the key that holds a record's facts; it joins nothing

_FEWEST_WORDS = 5
_FEWEST_LETTERS = 25
_WORD = re.compile(r"[^\W_]+")
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")  # scripts that write a word in a letter or two
_SUBTITLE = re.compile(r"\s*:\s+|\s+[-–—]\s+")
_NUMBER = re.compile(r"\d+|(?=[ivxl])(?:x{0,3}|xl|l)(?:ix|iv|v?i{0,3})")
_SINGLE_NUMERALS = frozenset("ivxl")
_PART = frozenset("jilid volume vol bagian bag part seri series edisi edition book buku bab kelas no nomor".split())  # noqa: SIM905  # reads as the list it is
_ORDINALS = {
    word: str(number)
    for number, words in enumerate(
        (
            "satu pertama kesatu one first",
            "dua kedua two second",
            "tiga ketiga three third",
            "empat keempat four fourth",
        ),
        start=1,
    )
    for word in words.split()
}
_NO_DOI = re.compile(r"10\.(?:1234\d?|0+|x+)/|10\.\d+/(?:\W*|x+|0+|test.*|doi)$")
_NO_ISBN = re.compile(r"97[89](?:0{6}|1{6}|9{6}|123456)")

_Evidence = Literal["origin", "doi", "isbn", "title", "main"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What keeps records apart. `dois` and `words` (of the title) are checksums: they are only compared."""

    year: int | None
    type: str
    level: str
    numbers: str
    dois: frozenset[str]
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live record on its way to a work: its number, its member, and its match keys."""

    number: int
    member: int
    keys: tuple[str, ...]

    @property
    def facts(self) -> Facts:
        """What the record's keys say about it."""
        return _parse_facts(next(key for key in self.keys if key.startswith(FACTS)))


def match_keys(description: Description, *, origin: int | None = None) -> tuple[str, ...]:
    """The keys by which the record can be joined, and its facts as one more; empty where nothing can join it.

    Keys: `origin:` for the repository that first had it and its identifier there; `doi:`, `isbn:`; `title:` for a long
    title and the first author's family name; `main:` the same for the part of the title before its subtitle, which
    meets other records' `title:` only.
    """
    dois = [doi for doi in description.identifiers_of("doi") if not _NO_DOI.match(doi)]
    keys = [] if origin is None else [f"origin:{origin:x}"]
    keys += [f"doi:{doi if len(doi) < 160 else _digest(doi)}" for doi in dois]
    keys += (f"isbn:{isbn}" for isbn in description.identifiers_of("isbn") if not _NO_ISBN.match(isbn))
    title = description.title or ""
    family = _folded_words(description.creators[0].family)[-1:] if description.creators else ()
    if family:
        keys += (f"title:{_digest(key)}" for key in _title_keys((t.value for t in description.titles[:3]), family[0]))
        keys += (f"main:{_digest(key)}" for key in _title_keys([_SUBTITLE.split(title)[0]], family[0]))
        if keys and keys[-1].startswith("main:") and keys[-1].replace("main:", "title:") in keys:
            keys.pop()
    if not keys:
        return ()
    words = _folded_words(title)
    checks = "".join(map(_check, dict.fromkeys(words[:14])))
    facts = (
        str(description.year or ""),
        description.type.type,
        description.type.level or "",
        ",".join(_numbers(words))[:40],
        ",".join(f"{crc32(doi.encode()):08x}" for doi in dois[:3]),
        checks,
    )
    return (*dict.fromkeys(keys), FACTS + "|".join(facts))


def join_records(candidates: Iterable[Candidate]) -> dict[int, int]:
    """The work of each record: the smallest number among the records that it is joined with.

    The outcome depends on the set of candidates alone, not on their order.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.number)
    parts = {candidate.number: [candidate] for candidate in ordered}
    for evidence, one, other in _edges(ordered):
        left, right = parts[one.number], parts[other.number]
        if left is not right and all(_agree(evidence, a, b) for a, b in product(left, right)):
            left.extend(right)
            for candidate in right:
                parts[candidate.number] = left
    return {number: number if len(part) == 1 else min(each.number for each in part) for number, part in parts.items()}


def assign(connection: Connection, wanted: Mapping[int, tuple[str, ...]]) -> None:
    """Every record stands in the right work after these changed, which have these match keys now.

    Deleted records have none. The works whose records or contents changed are marked for the index. No
    datestamp changes.
    """
    former = works.get_match_keys(connection, wanted)
    works.replace_match_keys(connection, former, wanted)
    places, moved = _find_moves(connection, wanted, former)
    works.set_works(connection, moved)
    touched = set(moved.values())
    touched.update(place.work for place in places if place.number in moved or place.number in wanted)
    works.touch_works(connection, touched)


def find_moves(connection: Connection, wanted: Mapping[int, tuple[str, ...]]) -> dict[int, int]:
    """The work of each record, among those linked with these, that stands in another; nothing is written."""
    return _find_moves(connection, wanted, works.get_match_keys(connection, wanted))[1]


def _find_moves(
    connection: Connection, wanted: Mapping[int, tuple[str, ...]], former: Mapping[int, tuple[str, ...]]
) -> tuple[Collection[works.Place], dict[int, int]]:
    """Every linked record, and the works of those that do not stand in them."""
    places, joined = _join_anew(connection, wanted, former)
    wanted_works = ((place, joined.get(place.number, place.number)) for place in places)
    return places, {place.number: work for place, work in wanted_works if place.work != work}


def _join_anew(
    connection: Connection, wanted: Mapping[int, tuple[str, ...]], former: Mapping[int, tuple[str, ...]]
) -> tuple[Collection[works.Place], dict[int, int]]:
    """Every record that is linked with these over any number of keys and works, and the works that follow."""
    keys_of = dict(wanted)
    places: dict[int, works.Place] = {}
    crowded: set[str] = set()
    asked: set[str] = set()
    ask = {key for keys in (*wanted.values(), *former.values()) for key in keys}
    found = set(wanted)
    while found:
        places |= {place.number: place for place in works.get_places(connection, found - places.keys())}
        new = works.get_match_keys(connection, places.keys() - keys_of.keys())
        keys_of |= new
        ask |= {key for keys in new.values() for key in keys}
        ask = set(_with_twins(ask)) - asked
        found, too_many = works.find_holders(connection, ask, MOST_HOLDERS)
        found -= places.keys()
        crowded |= too_many
        asked |= ask
    candidates = (
        Candidate(place.number, place.member, tuple(key for key in keys_of[place.number] if key not in crowded))
        for place in places.values()
        if keys_of.get(place.number)
    )
    return places.values(), join_records(candidates)


def _with_twins(keys: Iterable[str]) -> Iterator[str]:
    """The keys that these can meet: a main title meets whole titles and the other way round; facts meet nothing."""
    for key in keys:
        if key.startswith(("title:", "main:")):
            _, _, value = key.partition(":")
            yield f"title:{value}"
            yield f"main:{value}"
        elif key[0] != FACTS:
            yield key


def _edges(ordered: Sequence[Candidate]) -> Iterator[tuple[_Evidence, Candidate, Candidate]]:
    holders: dict[str, list[Candidate]] = {}
    for candidate in ordered:
        for key in candidate.keys:
            holders.setdefault(key, []).append(candidate)
    shared = sorted(key for key, held in holders.items() if len(held) > 1)  # few are
    evidence: _Evidence
    for evidence in ("origin", "doi", "isbn", "title"):
        for key in shared:
            if key.startswith(f"{evidence}:") and _tells(holders[key]):
                yield from ((evidence, one, other) for one, other in combinations(holders[key], 2))
    for key in sorted(key for key in holders if key.startswith("main:")):
        with_subtitle, without = holders[key], holders.get(f"title:{key[5:]}", [])
        if not _tells(with_subtitle + without):
            continue
        whole = {tuple(k for k in candidate.keys if k.startswith("title:"))[:1] for candidate in with_subtitle}
        if len(whole) == 1:
            yield from (("main", one, other) for one, other in product(with_subtitle, without))


def _tells(holders: Sequence[Candidate]) -> bool:
    """A key joins where few enough hold it and no member holds it twice."""
    return 2 <= len(holders) <= MOST_HOLDERS and len({each.member for each in holders}) == len(holders)


def _agree(evidence: _Evidence, one: Candidate, other: Candidate) -> bool:
    """True where nothing speaks against the two being one work."""
    a, b = one.facts, other.facts
    if one.member == other.member:
        return False
    if evidence == "origin":  # one record, as it came by two ways
        return not a.dois or not b.dois or bool(a.dois & b.dois)
    return _alike_in_facts(evidence, a, b)


def _alike_in_facts(evidence: _Evidence, a: Facts, b: Facts) -> bool:
    known = {a.type, b.type} - {"other"}
    if a.level and b.level and a.level != b.level:
        return False
    if len(known) == 2 and (evidence != "doi" or "thesis" in known or known == {"book", "chapter"}):
        return False
    if evidence == "doi":
        return True
    if a.year and b.year and abs(a.year - b.year) > 1:
        return False
    if a.numbers != b.numbers or (a.dois and b.dois and not a.dois & b.dois):
        return False
    return evidence != "isbn" or _alike(a.words, b.words)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """One title's words are among the other's, but for one in six: volumes of a set share its ISBN."""
    fewer, more = sorted((one, other), key=len)
    return bool(fewer) and len(fewer - more) <= len(fewer) // 6


def _title_keys(titles: Iterable[str], family: str) -> Iterator[str]:
    for title in titles:
        words = _folded_words(title)
        whole = "".join(words)
        wide = 0 if whole.isascii() else len(_WIDE.findall(whole))
        if len(words) + wide >= _FEWEST_WORDS and len(whole) + 2 * wide >= _FEWEST_LETTERS:
            yield f"{whole}|{family}"  # without spaces: "e-learning", "e learning" and "elearning" are one


def _numbers(words: Sequence[str]) -> list[str]:
    """Numbers in the order of the title; numerals of one letter and numbers in words only after "Jilid" or its like."""
    numbers = []
    for before, word in zip(("", *words), words, strict=False):
        part = before in _PART
        if part and word in _ORDINALS:
            numbers.append(_ORDINALS[word])
        elif _NUMBER.fullmatch(word) and (part or word not in _SINGLE_NUMERALS):
            numbers.append(word if word.isdigit() else str(_roman(word)))
    return numbers


def _roman(word: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10, "l": 50}[letter] for letter in word]
    return sum(-v if any(v < w for w in values[at + 1 : at + 2]) else v for at, v in enumerate(values))


@lru_cache(maxsize=64)  # a record's title is asked for three times
def _folded_words(text: str) -> tuple[str, ...]:
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return tuple(_WORD.findall(text.replace("'", "").replace("’", "").replace("`", "").casefold()))


@lru_cache(maxsize=32_768)
def _check(word: str) -> str:
    return f"{crc32(word.encode()) & 0xFFFF:04x}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=16_384)
def _parse_facts(key: str) -> Facts:
    year, kind, level, numbers, dois, words = key[1:].split("|")
    checks = frozenset(words[at : at + 4] for at in range(0, len(words), 4))
    return Facts(int(year) if year else None, kind, level, numbers, frozenset(filter(None, dois.split(","))), checks)
