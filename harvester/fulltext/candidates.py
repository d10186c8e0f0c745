"""What may be a file of a record: its address, its role, and its place among the others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote, urldefrag, urljoin, urlsplit

MOST_FILES = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be: where, what it is called, of which type and role it seems to be.

    Roles: text, front (cover, title page, abstract, contents), back (references, appendices); supplement, licence and
    thumbnail are not fetched. `instead` is another address of the same file.
    """

    url: str
    rung: str
    label: str = ""
    media_type: str = ""
    role: str = "text"
    instead: str = ""

    @property
    def is_wanted(self) -> bool:
        """Whether it can hold text of the work."""
        return self.role in {"text", "front", "back"}


_THUMBNAIL = re.compile(
    r"thumb(?:nail)?|lightbox|preview\.|small\.jpe?g|\bicon\b|\.(?:jpe?g|png|gif|webp|svg|tiff?|bmp)\b|cover[\w-]*\.(?:jpe?g|png)",
    re.IGNORECASE,
)
_LICENCE = re.compile(
    r"(?:cc[_-]?)?licen[cs]e(?:[_-]\w+)?(?:\.\w+)?|.*(?:pernyataan|persetujuan|form)\W*publikasi.*", re.IGNORECASE
)
# Made from other files by the platform: text layers of DSpace, words for the index of EPrints.
_DERIVED = re.compile(r"indexcodes\.txt|\.(?:pdf|docx?|pptx?)\.(?:txt|jpe?g)$", re.IGNORECASE)
_SUPPLEMENT = re.compile(
    r"\.(?:zip|rar|7z|t?gz|tar|csv|xlsx?|ods|sav|pptx?|odp|mp[34]|wav|avi|mov|mkv|exe|apk|iso)\b|downloadsuppfile|"
    r"\bsupplement(?:ary|al)[\W_](?:files?|data|materials?)",
    re.IGNORECASE,
)
_FRONT = (
    (0, r"cover|sampul|jilid|kulit"),
    (1, r"halaman.?(?:judul|depan|awal)|title.?page|hal.?judul|front.?matter|bagian.?(?:awal|depan)|preliminar|awal"),
    (
        2,
        r"pengesahan|persetujuan|pernyataan|orisinalitas|approval|motto|persembahan|kata.?pengantar|preface|acknowledg",
    ),
    (3, r"abstra[ck]t?|ringkasan|summary|intisari|sari"),
    (4, r"daftar.?(?:isi|tabel|gambar|singkatan)|table.?of.?contents?|toc|contents"),
)
_BACK = (
    (7, r"daftar.?pustaka|dapus|dafpus|pustaka|references?|bibliograph\w*|referensi"),
    (8, r"lampiran|appendi(?:x|ces)|annex"),
    (9, r"riwayat.?hidup|biodata|curriculum.?vitae|cv"),
)
_PARTS = tuple(
    (rank, role, re.compile(rf"(?<![^\W_])(?:{words})(?![^\W\d_])", re.IGNORECASE))
    for role, ranks in (("front", _FRONT), ("back", _BACK))
    for rank, words in ranks
)
_CHAPTER = re.compile(
    r"(?<![^\W_])(?:bab|chapter|chap|ch|part|bagian)[\W_]*(\d{1,2}|[ivx]{1,5})(?![^\W_])", re.IGNORECASE
)
_WHOLE = re.compile(r"full.?text|fulltext|full.?paper|(?<![^\W_])full(?![^\W_])|lengkap|complete", re.IGNORECASE)
_ROMAN = {"i": 1, "v": 5, "x": 10}


def role_of(name: str, label: str = "", media_type: str = "", group: str = "") -> str:
    """The role that a file's name, label, type and group (a bundle of DSpace, a fileGrp of METS) speak of."""
    group, both = group.upper(), f"{name} {label}"
    called = label.partition(" ")[0]  # a size may follow: `license.txt (1.7 kB)`
    is_licence = _LICENCE.fullmatch(name) or (re.search("[._]", called) and _LICENCE.fullmatch(called))
    is_picture = _THUMBNAIL.search(both) and ".pdf" not in name.lower()
    for role, speaks in (
        ("thumbnail", group in {"THUMBNAIL", "BRANDED_PREVIEW", "IIIF"} or media_type.startswith("image/")),
        ("licence", group in {"LICENSE", "CC-LICENSE", "METADATA"} or is_licence),
        ("supplement", group == "TEXT" or _DERIVED.search(name) or _SUPPLEMENT.search(both)),
        ("supplement", media_type.startswith(("audio/", "video/"))),
        ("thumbnail", is_picture),
        ("text", _WHOLE.search(both) or _CHAPTER.search(both)),
    ):
        if speaks:
            return role
    return next((role for _, role, pattern in _PARTS if pattern.search(both)), "text")


def in_order(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The files of one work in reading order, each once: front matter, chapters by their numbers, references,
    appendices; those of unknown place as they were listed."""
    once: dict[str, Candidate] = {}
    for candidate in found:
        once.setdefault(_same(candidate.url), candidate)

    def place(candidate: Candidate) -> tuple[int, int]:
        name = name_of(candidate)
        if not candidate.is_wanted:
            return 10, 0
        if match := _CHAPTER.search(name):
            return 5, _number(match[1])
        if _WHOLE.search(name) or candidate.role not in {"front", "back"}:
            return 5, 0
        return next((rank, 0) for rank, _, pattern in (*_PARTS, (6, "", re.compile(""))) if pattern.search(name))

    return tuple(sorted(once.values(), key=place)[:MOST_FILES])


def _number(text: str) -> int:
    if text.isdigit():
        return int(text)
    values = [_ROMAN[letter] for letter in text.lower()]
    return sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))


def _same(url: str) -> str:
    return re.sub(r";jsessionid=[^?]*", "", unquote(urldefrag(url)[0])).removesuffix("/").replace("https://", "http://")


def name_of(candidate: Candidate) -> str:
    """All that says what it is."""
    return f"{file_name(candidate.url)} {candidate.label}"


def file_name(url: str) -> str:
    """What the file at the address is called, as far as that tells."""
    parts = urlsplit(url)
    named = [value for key, value in parse_qsl(parts.query) if key.lower() in {"filename", "file", "name"}]
    segments = [segment for segment in parts.path.split("/") if segment]
    return unquote(named[0] if named else segments[-1] if segments else "")


def join(base: str, url: str) -> str | None:
    """The address that a stranger's text leads to from a page; None where it is none."""
    try:
        whole = urljoin(base, url.strip()).replace(" ", "%20")
        urlsplit(whole)
    except ValueError:
        return None
    return whole


def find_candidate(
    url: str, rung: str, base: str = "", label: str = "", media_type: str = "", group: str = ""
) -> Candidate | None:
    """The candidate at the address; None where that leads nowhere in the web."""
    whole = urldefrag(join(base, url) or "")[0]
    parts = urlsplit(whole)
    if parts.scheme not in {"http", "https"} or not parts.hostname or len(whole) > 2000 or not whole.isprintable():
        return None
    media_type = media_type.partition(";")[0].strip().lower()
    found = Candidate(whole, rung, label[:200], media_type, "text", "")
    if "ThumbnailVersion/" in whole:  # seen: EPrints, whose pictures of a file have its name
        return replace(found, role="thumbnail")
    return _on_platform(replace(found, role=role_of(file_name(found.url), found.label, media_type, group)))


_OJS_VIEW = re.compile(r"(/(?:article|issue|preprint|catalog/book)/)view(/[\w.-]+/[\w.-]+/?)$")


def _on_platform(candidate: Candidate) -> Candidate:
    """The address at which the platform gives the file itself, where the one named is that of a viewer."""
    url = candidate.url
    if match := _OJS_VIEW.search(url):  # seen: OJS 2 and 3, whose `view` shows a PDF in a frame
        return replace(candidate, url=url[: match.start()] + f"{match[1]}download{match[2]}", instead=url)
    if "p=fstream&" in url:  # seen: SLiMS 8 and 9, whose `fstream` is a viewer
        return replace(candidate, url=url.replace("p=fstream&", "p=fstream-pdf&"), instead=url)
    return candidate


def gather(found: Iterable[Candidate | None]) -> tuple[Candidate, ...]:
    """Those that lead somewhere, in reading order."""
    return in_order(each for each in found if each)
