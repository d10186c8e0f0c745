"""Files that list members: TOML with every setting, or plain lists and tables of base URLs."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from harvester.catalogue.care import CARE_TYPES, change_care
from harvester.catalogue.members import Member, trim_base_url
from harvester.errors import ConfigError

# All of a list is held in memory, several times over.
MAX_BYTES = 16 * 2**20
MAX_LINES = 100_000

_TYPES: dict[str, tuple[type, ...]] = {
    "slug": (str,),
    "base_url": (str,),
    "name": (str,),
    "sets": (list,),
    "prefixes": (list,),
    "fulltext": (bool,),
}
_WORDS = {str: "a text", list: "a list of texts", bool: "true or false"}
_KNOWN = (*_TYPES, *CARE_TYPES)
# Of a base URL's path, what says nothing about whose it is.
_COMMON = re.compile(r"(index|oai|oai2|cgi|server|request|dspace-oai|home|www)(\.(php|pl|aspx?|jsp))?", re.IGNORECASE)
# Of a table, by its ending: what is tried first between two cells. Spreadsheets write `;` where the comma is decimal.
_DELIMITERS = {".csv": ",;\t", ".tsv": "\t,;"}

_Row: TypeAlias = Mapping[str, str]


@dataclass(slots=True)
class MemberList:
    """What a file lists: the members, and a sentence for each line that is none."""

    members: list[Member] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_members(file: Path, present: Iterable[Member], now: int) -> MemberList:
    """The members that the file lists; settings that it does not name are as in `present`.

    `.toml` has every setting and must be right as a whole. Of `.csv` and `.tsv`, with a line of titles, the columns
    `base_url` (or `url`), `slug` and `name` are read, of any other file each line is a base URL; a line that is no
    member is refused by itself. Who has no slug gets one from its address, always the same.

    Raises:
        ConfigError: the file cannot be read, is too large, or a member in TOML is wrong.
    """
    kind = file.suffix.lower()
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{file} is larger than {MAX_BYTES // 2**20} MB; divide it into several files")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not {'TOML' if kind == '.toml' else 'text'} in UTF-8: {error}") from error
    known = {member.slug: member for member in present}
    return _parse_toml(file, text, known, now) if kind == ".toml" else _parse_lines(file, text, known)


def _parse_toml(file: Path, text: str, known: Mapping[str, Member], now: int) -> MemberList:
    try:
        entries = tomllib.loads(text).get("members")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file} lists no [[members]]")
    if len(entries) > MAX_LINES:
        raise ConfigError(f"{file} lists more than {MAX_LINES} members; divide it into several files")
    found: dict[str, Member] = {}
    for number, entry in enumerate(entries, 1):
        try:
            member = _parse_entry(entry, known, now)
        except ConfigError as error:
            raise ConfigError(f"{file}, member {number}: {error}") from error
        if member.slug in found:
            raise ConfigError(f"{file}, member {number}: {member.slug!r} is listed twice")
        found[member.slug] = member
    return MemberList(list(found.values()))


def _parse_entry(entry: Any, known: Mapping[str, Member], now: int) -> Member:
    if not isinstance(entry, dict) or not {"slug", "base_url"} <= entry.keys():
        raise ConfigError("`slug` and `base_url` are needed")
    if unknown := sorted(entry.keys() - set(_KNOWN)):
        raise ConfigError(f"unknown {', '.join(unknown)}; known: {', '.join(_KNOWN)}")
    values: dict[str, Any] = {"name": entry["slug"]}
    for name in _TYPES.keys() & entry.keys():
        value, (kind,) = entry[name], _TYPES[name]
        if not isinstance(value, kind) or (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
            raise ConfigError(f"`{name}` must be {_WORDS[kind]}")
        values[name] = tuple(value) if isinstance(value, list) else value
    before = known.get(values["slug"])
    values["base_url"] = _address(trim_base_url(values["base_url"]), before)
    member = Member(**values)
    given = {name: entry[name] for name in CARE_TYPES if name in entry}
    return replace(member, care=change_care((before or member).care, given, now))


def _parse_lines(file: Path, text: str, known: Mapping[str, Member]) -> MemberList:
    # With `newline=None`, a line ends as text files end their lines, and nowhere else.
    lines = [(number, line) for number, line in enumerate(io.StringIO(text, newline=None), 1) if line.strip()]
    if len(lines) > MAX_LINES:
        raise ConfigError(f"{file} has more than {MAX_LINES} lines; divide it into several files")
    read: Callable[[str], _Row] = _read_address
    if delimiters := _DELIMITERS.get(file.suffix.lower()):
        read = _read_titles(file, delimiters, *(lines.pop(0) if lines else (1, "")))
    found, finder = MemberList(), _Finder(known)
    for number, line in lines:
        try:
            member = finder.find(read(line))
        except ConfigError as error:
            found.refused.append(f"line {number}: {error}")
        else:
            found.members += [member] if member else []
    return found


class _Finder:
    """Knows who is a member, and who was found so far in a file."""

    def __init__(self, known: Mapping[str, Member]) -> None:
        self._known = known
        self._by_url = {trim_base_url(member.base_url): member for member in known.values()}
        self._urls = {slug: trim_base_url(member.base_url) for slug, member in known.items()}  # by slug
        self._found: dict[str, str] = {}  # the slugs, by address
        self._slugs: set[str] = set()

    def find(self, row: _Row) -> Member | None:
        """The member that the row names; None where it names nobody, or the one that an earlier row names.

        Raises:
            ConfigError: it is no member, or at odds with an earlier row.
        """
        if not any(row.values()):
            return None
        if not row.get("base_url"):
            raise ConfigError("it has no base URL")
        url, given = trim_base_url(row["base_url"]), row.get("slug", "")
        if url in self._found:
            if given in {"", self._found[url]}:
                return None
            raise ConfigError(f"{given} has the address of {self._found[url]}, {url}, and is left out")
        slug = given or (self._by_url[url].slug if url in self._by_url else make_slug(url))
        if self._urls.get(slug, url) != url and not given:
            slug = _with_hash(slug, url)
        before = self._known.get(slug)
        member = Member(slug, row.get("name") or (before.name if before else slug), _address(url, before))
        if slug in self._slugs:
            raise ConfigError(f"{slug} is listed twice; {url} is left out")
        self._found[url] = slug
        self._slugs.add(slug)
        self._urls[slug] = url
        found = replace(before, base_url=member.base_url, name=member.name, id=0) if before else member
        region = "-".join(re.findall(r"[a-z0-9]+", row.get("region", "").lower()))
        return replace(found, care=replace(found.care, region=region)) if region else found


def _address(url: str, before: Member | None) -> str:
    """The member's base URL as it was before, where this one is no other: what it lists is not asked for anew."""
    return before.base_url if before and trim_base_url(before.base_url) == url else url


def _read_address(line: str) -> _Row:
    return {} if line.startswith("#") else {"base_url": line.strip()}


def _read_titles(file: Path, delimiters: str, number: int, line: str) -> Callable[[str], _Row]:
    """What reads the lines below this one; the delimiter is the one by which this one has the most titles.

    Raises:
        ConfigError: none of them is the base URL's.
    """
    best: list[str] = []
    between = ""
    for delimiter in delimiters:
        try:
            titles = [title.lower() for title in _split(line, delimiter)]
        except ConfigError as error:
            raise ConfigError(f"{file}, line {number}: {error}") from error
        if "base_url" not in titles:
            titles = ["base_url" if title == "url" else title for title in titles]
        if "base_url" in titles and len(titles) > len(best):
            best, between = titles, delimiter
    if not best:
        raise ConfigError(f"{file} has no column `base_url` or `url` in its first line")
    return lambda line: dict(zip(best, _split(line, between), strict=False))


def _split(line: str, delimiter: str) -> list[str]:
    """The cells of the line.

    Raises:
        ConfigError: it has none, as a quotation mark is not closed within it, or as one is too long.
    """
    rows = csv.reader([line.rstrip("\n"), ""], delimiter=delimiter)
    try:
        cells = next(rows)
    except csv.Error as error:
        raise ConfigError(f"it cannot be read: {error}") from error
    if rows.line_num > 1 or line.count('"') % 2:
        raise ConfigError("a quotation mark is not closed within the line")
    return [cell.strip() for cell in cells]


def make_slug(base_url: str) -> str:
    """A slug from an address: its host and what of its path is its own; shortened where it is long."""
    try:
        parts = urlsplit(base_url)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return ""
    own = [segment for segment in parts.path.split("/") if not _COMMON.fullmatch(segment)]
    slug = "-".join(re.findall(r"[a-z0-9]+", "-".join([host, *own]).lower()))
    return slug if len(slug) <= 64 else _with_hash(slug, base_url)


def _with_hash(slug: str, base_url: str) -> str:
    return f"{slug[:55].strip('-')}-{blake2b(base_url.encode(), digest_size=4).hexdigest()}"
