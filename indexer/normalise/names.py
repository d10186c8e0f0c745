"""Names of people and bodies: what is shown, and the family name to compare by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from indexer.normalise.text import clean, is_blank, unescape

LONGEST_NAME = 300

# What stands before or after a name in the same field, most of it seen at ITB Bandung.
_NUMBER = r"(?:[\dA-Z]{0,3}\d[\d. /]{4,}\d[A-Z]?|0[\d ]+)"
_STUDENT_NUMBER = re.compile(
    rf"[\s,/-]*[(\[]?\s*\b(?:NIM|NPM|NRP|NIP|NIDN|NM|Student ID)\b\s*[:.-]*\s*[\d. /A-Z-]*[)\]]?.*$"
    rf"|\s*[(\[]\s*(?:{_NUMBER}|-)\s*[)\]].*$|[\s,/-]+{_NUMBER}$|\s*[(\[]\s*NIM.*$",
    re.IGNORECASE,
)
_SECOND_ROLE = re.compile(
    r"[\s,;.(]*\b(?:(?:dosen |co-?|tim )?(?:pem?n?bi\w?mb[iu]?ng|promotor|supervisor)[\w .]{0,25}:"
    r"|(?:ketua|koordinator|anggota)\b[^:]{0,60}:|s?scann?(?:er)?\b\s*:|scan\b.{0,3}ed\b"
    r"|(?:upload|e-?mail|cell)\s*:).*$"
    r"|(?<=[a-z.)])\s*s?scann?(?:er)?\s*:.*$",
    re.IGNORECASE | re.DOTALL,
)
_ROLE_LABEL = re.compile(
    r"^[\W_]*(?:(?:dosen|tim|ketua|anggota|komisi)\s+)*"
    r"(?:p?em?n?bi\w?mb[iu]?ng\b(?:[^:,]{0,25}:+|\s+(?:utama|pendamping|[ivx\d]+)\b)?[\s:]*"
    r"|(?:(?:ko-?)?promotor|(?:thesis )?advis[eo]r|supervisors?|penguji|penulis|editor|pengarang"
    r"|(?:academic|final project) counsell?or)\b[^:,]{0,25}:+\s*)",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_ORCID = re.compile(
    r"[\s;,(]*(?:https?://)?orcid\S*.*$|[\s,;(<\[]*\b[\w.+-]+@[\w.-]+\.\w+\b[\s)>\]]*",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    r"[ns]\.?n\.?|(?:dr|prof|ir|drs|dra)\.?|anonim\w*|anonymous|unknown|undefined|tidak diketahui"
    r"|tim (?:pembimbing|dosen|penyusun|penulis)"
    r"|(?:dosen )?pembimbing(?: [i1-3]+)?|penulis|author|s?scann?(?:er)?\b.*|et al\.?|dkk\.?",
    re.IGNORECASE,
)

_TITLE_BEFORE = re.compile(
    r"^(?:assoc(?:iate)?\.?\s*|asst\.?\s*)?"
    r"(?:(?:prof|dr|drs|dra|drh|drg|ir|apt|ns|bdn|capt|mr|mrs|ms)\.[\s,-]*"
    r"(?:(?:hj?|kh|rer|nat|habil|techn?|eng|ing|dipl|phil|ec)[.-]+[\s,-]*)*"
    r"|(?:professor|profesor|prof|dr|drs|dra|ir)\s+|dr-ing\.?\s*)+",
    re.IGNORECASE,
)
# Fields of Indonesian degrees that are more than initials, as in S.Kep, M.Par, A.Md.Keb and S.Tr.Pel.
_LONG_FIELD = (
    r"(?:Acc|Ag|Agr|Ak|Akt|Akun|Ant|Arch|Ars|Bio|Biomed|Biotek|Bns|Bus|Dent|Des|Dev|Div|Ds|Ec|Eng|Env|Epid|Fam|Farm|Fil"
    r"|Fis|Ft|Geo|Gz|Han|Hub|Hum|Hut|Ikom|Imun|Int|IPust|Kar|Keb|Ked|Kel|Kep|Kes|Kg|Klin|Kn|Kom|Kons|Kp|Krim|Li|Ling|Log|Mar"
    r"|Mat|Md|Mgt|Mus|Or|Par|Pd|Pel|Pet|Phil|Pi|Pol|Psi|Pt|Ptk|Pust|Rad|Sas|Sc|Si|Sn|Sos|Stat|Tek|Teol|Th|Tr|Trop|Vet)"
)
_FIELD = rf"(?:{_LONG_FIELD}|[A-Z]{{1,3}})(?!\w)"
# What is found is not tried another way (?>): "S.S.S.S." can be parted in more ways than there is time for.
_DEGREE = (
    r"(?>(?:(?:Dipl|Dr)\.?\s?-?(?:Ing|Eng)|Dr\.?\s?(?:rer\.?\s?nat|scient)|Drs?|Dra|dr"
    rf"|[SDM]\.?\s?{_FIELD}(?:\.\s?{_FIELD})*|Ph\.?\s?,?\s?D|MBA|DEA|DBA|Ir|Prof|[Aa]pt|Ns|Bdn|Ak|CA"
    rf"|A\.?\s?M[dD][a-z]*(?:\.\s?{_FIELD})*|B\.?(?:A|Sc|Eng)"
    r"|Sp\.?\s?[A-Z]\w*(?:[.-][A-Z]\w*)*(?:\s?\(K\))?"
    r"|Lc|LL\.?[BM]|Jr|IP[MU]|CFA|PMP|CPA|Ed\.?D|Psikolog|Kons)(?!\w))"
)
_TITLES_AFTER = re.compile(rf"\s*,[\s,.]*{_DEGREE}(?:[\s,.]+{_DEGREE})*+[\s,.]*$")
_DEGREE_AT_END = re.compile(
    r"(?>[\s,]*\s(?:[SM]\.\s?(?:Kom|Si|Sc|Eng|Pd|Farm|Hum|Sn)"
    rf"|(?:[SM]|A\.Md|S\.Tr|M\.Tr)\.{_LONG_FIELD}"
    r"|(?:M\.[TMHASP]|S\.[TEHPS])(?:\.[A-Z])?|[SM][TEMHA]|MBA|Ph\.?\s?D"
    r"|M(?:Sc|Eng|Kom|Si|Pd)|S(?:Kom|Si|Pd))(?!\w)\.?)++[\s,]*$"
)
# "Kim, S. H." and "Diaz, MA" are a family name and initials, "Budi Santoso, S.H." is a lawyer.
_INITIALS = re.compile(r"\s*(?:[^\W\d_a-z]\.?[\s-]*){1,4}")
_LIFE = re.compile(
    r"[\s,]+(?:(?:b\.|d\.|ca\.|active|fl\.|born)\s*)*\(?\d{4}\??\s*(?:-\s*(?:ca\.\s*)?(?:\d{4}\??)?)?\)?[\s,.]*(?=$|\w+\.?$)"
)
_OCCUPATION = re.compile(
    r"[\s,]+(?:photographer|artist|author|editor|publisher|compiler|composer|performer|engraver|lithographer)\.?$",
    re.IGNORECASE,
)
_ROLE_IN_BRACKETS = re.compile(r"\s*\((?:[A-Z][a-z]+(?: [a-z]+)?|eds?\.?|PhD|[a-z]{2,12})\)$")
_BODIES = frozenset(
    (
        *("sekolah", "fakultas", "dept", "badan", "dinas", "kementerian", "balai", "pusat", "lembaga", "perpustakaan"),
        *("yayasan", "himpunan", "kelompok", "jurusan", "direktorat", "pemerintah", "bank", "pt", "cv", "tbk", "ltd"),
        *("inc", "co", "company", "corporation", "gmbh", "council", "committee", "commission", "society", "library"),
        *("center", "centre", "bureau", "board", "college", "school", "office", "ministry", "agency", "group", "army"),
        *("academy", "museum", "trust", "studio", "studios", "publishing", "government", "service", "services", "navy"),
        *("collaboration", "team", "foundation", "polytechnic", "politeknik", "akademi", "states", "britain", "club"),
        *("union", "federation", "prodi", "kampus", "dewan", "komisi", "panitia"),
        *("sanggar", "paguyuban", "komunitas", "ikatan", "majelis"),
    )
)
# In the first place only: Tim is a given name as well.
_BODY_FIRST = frozenset(("tim", "unit", "women"))
_BODY_STARTS = ("universi", "institut", "depart", "asosias", "associat", "laborator", "organis", "organiz")
_WORD = re.compile(r"\w+")
_FAMILY_FIRST = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # Japanese, Chinese, Korean
_PARTICLES = re.compile(
    r"van|von|vom|zu|de|der|den|del|della|di|da|dos|du|la|le|bin|binti|al|el|ter|ten", re.IGNORECASE
)
_NEXT_PERSON = re.compile(r";|\n[^\S\n]*\n|(?<=\S)\s+(?:dan|and|&)\s+(?=(?:Prof|Dr|Drs|Dra|Ir)\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A creator or contributor. A body has its whole name as `family` and no `given`."""

    display: str
    family: str
    given: str | None
    raw: str


@lru_cache(maxsize=32_768)
def parse_name(raw: str) -> Name | None:
    """The name in a value; None where it names nobody.

    Student numbers, roles, e-mail addresses and academic titles are dropped, "Last, First" keeps its form.
    Without a comma the last word (with its particles) is the family name; a name of one word is a family
    name; a body's name, and what is too long for one person's, stays whole.
    """
    text = clean(raw)
    if len(text) > LONGEST_NAME:
        return Name(text, text, None, raw)
    text = _without_notes(text)
    if is_blank(text) or _NOBODY.fullmatch(text) or sum(map(str.isalpha, text)) < 2:
        return None
    if _is_body(text):
        return Name(text, text, None, raw)
    text = _without_titles(text)
    if is_blank(text) or sum(map(str.isalpha, text)) < 2:
        return None
    family, given = _divided(text)
    return Name(text, family, given, raw)


def split_names(raw: str) -> tuple[str, ...]:
    """The single names of a value that lists several: parted by semicolons, blank lines or "dan Dr.".

    Never by commas: these part family and given names, and names and degrees.
    """
    # seen: ITB Bandung, advisers under each other with "Pembimbing :" alone in the first line
    parts = (part.strip() for part in _NEXT_PERSON.split(unescape(raw)))
    return tuple(part for part in parts if part and not part.endswith(":"))


def _without_notes(text: str) -> str:
    text = _ROLE_LABEL.sub("", text)
    if ":" in text or "scan" in text.lower():
        text = _SECOND_ROLE.sub("", text)
    if "[" in text or _DIGIT.search(text) or "NIM" in text:
        text = _STUDENT_NUMBER.sub("", text)
    if "@" in text or "orcid" in text.lower():
        text = _ORCID.sub(" ", text)
    return text.strip(" \t,;:/-'\"[]")


def _is_body(text: str) -> bool:
    """True of an organisation's name; "Bank, Dov" is a person."""
    words = _WORD.findall(text.lower())
    if text[len(words[0]) : len(words[0]) + 1] == ",":
        words = words[1:]
    elif words[0] in _BODY_FIRST:
        return True
    return any(word in _BODIES or word.startswith(_BODY_STARTS) for word in words)


def _without_titles(text: str) -> str:
    """The name without what stands around it; initials are told from degrees as well as can be."""
    if text.endswith(")"):
        text = _ROLE_IN_BRACKETS.sub("", text)
    if "," in text:
        text = _OCCUPATION.sub("", text)
    if _DIGIT.search(text):
        text = _LIFE.sub("", text)
    bare = _TITLE_BEFORE.sub("", text)
    is_titled = bare != text
    head, comma, tail = bare.partition(",")
    if comma and (is_titled or _DEGREE_AT_END.search(head) or not _INITIALS.fullmatch(tail)):
        bare = _TITLES_AFTER.sub("", bare)
        is_titled = is_titled or "," not in bare
    shorter = _DEGREE_AT_END.sub("", bare)
    if is_titled or " " in shorter or any(map(str.islower, bare[len(shorter) :])):
        bare = shorter
    bare = bare.strip(" ,;:-")
    # the period belongs to an initial, not to a word
    return bare[:-1] if bare[-4:-1].isalpha() and bare.endswith(".") else bare


def _divided(text: str) -> tuple[str, str | None]:
    """Family and given name."""
    family, comma, given = text.partition(",")
    if comma:
        return family.strip(), given.strip(" ,") or None
    words = text.split()
    if len(words) > 5:
        return text, None
    if len(words) > 1 and (_FAMILY_FIRST.match(text) or _is_initials(words[-1])):
        return words[0], " ".join(words[1:])
    start = len(words) - 1
    while start > 1 and _PARTICLES.fullmatch(words[start - 1]):
        start -= 1
    return " ".join(words[start:]), " ".join(words[:start]) or None


def _is_initials(word: str) -> bool:
    return word.isupper() and bool(_INITIALS.fullmatch(word)) and ("." in word or len(word) < 3)
