"""Types of work: one small vocabulary out of the many that members use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

TYPES = ("article", "thesis", "book", "chapter", "conference", "report", "dataset", "image", "audio", "video", "other")

# From the most telling to the least: a record that is "Image" and "Thesis" is a thesis.
_PRECEDENCE = ("thesis", "chapter", "conference", "report", "dataset", "book", "article", "video", "audio", "image")

# Read from the top, the first that fits. A value is folded before: lower case, no accents, words parted.
_VOCABULARY = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), kind, level or None)
    for kind, level, pattern in (
        ("article", "", r"book ?reviews?|resensi|case reports?|laporan kasus|review articles?"),
        ("thesis", "doctoral", r"doctora\w+|disertasi|doktora\w*|s3|ph ?d|(?:these|tese) de dou?tora\w+"),
        ("thesis", "doctoral", r"doutorado|habilitation\w*|doktorarbeit|edd"),
        ("thesis", "bachelor", r"skripsi|s1|sarjana|tugas akhir|proyek akhir|karya tulis ilmiah|lisans tezi"),
        ("thesis", "bachelor", r"bachelor\w*|undergraduate thes[ie]s|thes[ie]s undergraduate|thesis b ?[as]c?"),
        ("thesis", "bachelor", r"honou?rs thes[ie]s|licenciatura|diploma thesis"),
        ("thesis", "master", r"masters?|master ?thes[ie]s|magister|s2|tesis|yuksek lisans\w*|mestrado|maestria"),
        ("thesis", "master", r"thesis m ?[as]c?|masterarbeit"),
        ("thesis", "", r"thes[ie]s|dissertations?|memoire|etd|tez|hochschulschrift|graduate student work"),
        ("chapter", "", r"book ?(?:part|chapter|section|item)s?|chapters?|bab buku|capitulos?|chapitres?"),
        ("chapter", "", r"contribution to book|part of book|kitap bolumu"),
        ("conference", "", r"conference\w*|proceedings?|prosiding|presentations?|posters?|seminar|symposium"),
        ("conference", "", r"workshop|colloque|ponencia|lecture|kongre bildirisi|communication dans un congres"),
        ("report", "", r"reports?|laporan|working papers?|kerja praktek|rapports?|informe|rapor|deliverable"),
        ("dataset", "", r"data ?sets?|research ?data|survey data|data(?: paper| file)?|database"),
        ("book", "", r"e ?books?|books?|buku|monograph\w*|modul|diktat|kitap|libro|livre|ouvrage|textbook"),
        ("article", "", r"articles?|artikel\w*|jurnal\w*|journals?|makale|makalah|articulos?|artigos?|aufsatz"),
        ("article", "", r"preprints?|e prints?|contribution to (?:periodical|journal)|review|editorial|letter"),
        ("article", "", r"karya ilmiah|kliping\w*|majalah|newspaper|periodical|serial|en serie|revue|paper"),
        ("video", "", r"videos?|moving ?images?|films?|audio ?visual"),
        ("audio", "", r"audios?|sounds?|music\w*|rekaman suara|podcast|oral histor\w+|interview|kaset"),
        ("image", "", r"images?|still ?images?|photo\w*|foto\w*|gambar|pictures?|drawings?|lukisan"),
        ("image", "", r"maps?|peta|cartographic\w*|kartograf\w*"),
    )
)

# What is no type of work, although it is sent as one: known, and silent.
_SILENT = re.compile(
    r"|texts?|texte|teks|others?|lainnya|lain lain|misc\w*|unspecified|document|dokumen\w*|publications?|default"
    r"|collection|koleksi\w*|physical object|object|application .*"
    r"|(?:image|text|video|audio) (?:plain|html|xml|csv|jpe?g|png|tiff?|gif|mpeg|mp[34])"
    r"|literatur kelabu|organisasi|direktori pakar|interactive ?(?:simulation|resource)|instructional material"
    r"|software|web ?page.*|until ?article ?appears|performance|learning (?:object|material)|event|service"
    r"|autre other|publikasi|txt|notated music|musical score|partitur"
)
_PEER = re.compile(
    r"(non? |not )?(?:peer ?review\w*|refereed)|revisado por pares|revisee par les pairs|revisada? por pares"
)
_VERSION = re.compile(r"\b(published|accepted|submitted|updated|draft) ?version\b|^(draft)$|\b(post ?print)\b")

# The last segments of the URIs of COAR's vocabulary of resource types.
_COAR = {
    code: kind
    for kind, codes in (
        ("thesis", "c_46ec"),
        ("doctoral thesis", "c_db06"),
        ("master thesis", "c_bdcc"),
        ("bachelor thesis", "c_7a1f"),
        ("article", "c_6501 c_2df8fbb1 c_3e5a c_dcae04bc c_816b c_ba08"),
        ("book", "c_2f33"),
        ("chapter", "c_3248"),
        ("conference", "c_c94f c_5794 c_6670 c_f744"),
        ("report", "c_93fc c_18gh c_18ws c_8042"),
        ("dataset", "c_ddb1"),
        ("image", "c_c513 c_ecc8"),
        ("sound", "c_18cc"),
        ("video", "c_8a7e c_12ce"),
        ("text", "c_18cf c_1843"),
    )
    for code in codes.split()
}
_LAST_SEGMENT = re.compile(r"[/#:]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class TypeOfWork:
    """What a work is: `type` one of `TYPES`; `level`, of a thesis, bachelor, master or doctoral.

    `version` is published, accepted, submitted, updated or draft. `unread` are the values outside the
    vocabulary, as sent.
    """

    type: str = "other"
    level: str | None = None
    peer_reviewed: bool | None = None
    version: str | None = None
    raw: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one value says; `known` also where it says nothing about the type."""

    known: bool = False
    controlled: bool = False
    type: str | None = None
    level: str | None = None
    peer_reviewed: bool | None = None
    version: str | None = None


def parse_types(raws: Iterable[str]) -> TypeOfWork:
    """The type that the values of one record name: a controlled vocabulary before free text, then the
    more specific; level, review and version come from whichever value tells them.
    """
    return _parse(tuple(raws))


@lru_cache(maxsize=4096)
def _parse(raws: tuple[str, ...]) -> TypeOfWork:
    readings = [_read(raw) for raw in raws]
    typed = [reading for reading in readings if reading.type]
    best = min(typed, key=lambda r: (not r.controlled, _PRECEDENCE.index(r.type or "image")), default=None)
    kind = best.type or "other" if best else "other"
    levels = (reading.level for reading in typed if reading.type == kind and reading.level)
    reviews = [reading.peer_reviewed for reading in readings if reading.peer_reviewed is not None]
    return TypeOfWork(
        type=kind,
        level=next(levels, None),
        peer_reviewed=reviews[0] if reviews else None,
        version=next((reading.version for reading in readings if reading.version), None),
        raw=raws,
        unread=tuple(raw for raw, reading in zip(raws, readings, strict=True) if not reading.known),
    )


@lru_cache(maxsize=4096)
def _read(raw: str) -> _Reading:
    value = raw.strip()
    controlled = value.startswith(("info:", "http://", "https://", "doc-type:"))
    if controlled:
        value = _LAST_SEGMENT.split(value.rstrip("/"))[-1]
        value = _COAR.get(value, value)
    text = _folded(value)
    peer = _PEER.search(text)
    version = _VERSION.search(text)
    kind, level = None, None
    if not _SILENT.fullmatch(text):
        rest = _PEER.sub(" ", text) if peer else text
        kind, level = next(((k, n) for pattern, k, n in _VOCABULARY if pattern.search(rest)), (None, None))
    return _Reading(
        known=bool(kind or peer or version or _SILENT.fullmatch(text)),
        controlled=controlled,
        type=kind,
        level=level,
        peer_reviewed=peer[1] is None if peer else None,
        version=(version[1] or version[2] or "accepted") if version else None,
    )


def _folded(value: str) -> str:
    parts = unicodedata.normalize("NFKD", _CAMEL.sub(" ", value[:200]))
    plain = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
    return _NOT_WORD.sub(" ", plain.replace("ı", "i")).strip()
