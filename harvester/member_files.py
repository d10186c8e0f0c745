"""Files that list members: TOML with every setting, or plain lists and tables of base URLs."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harvester.catalogue.care import CARE_TYPES, change_care
from harvester.catalogue.members import Member
from harvester.errors import ConfigError

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


@dataclass(slots=True)
class MemberList:
    """What a file lists: the members, and a sentence for each line that is none."""

    members: list[Member] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_members(file: Path, present: Iterable[Member]) -> MemberList:
    """The members that the file lists; settings that it does not name are as in `present`.

    `.toml` has every setting and must be right as a whole. Of `.csv` and `.tsv`, with a line of titles, the columns
    `base_url` (or `url`), `slug` and `name` are read, of any other file each line is a base URL; a line that is no
    member is refused by itself. Who has no slug gets one from its address, always the same.

    Raises:
        ConfigError: the file cannot be read, or a member in TOML is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "TOML" if file.suffix == ".toml" else "text"
        raise ConfigError(f"{file} is not {kind} in UTF-8: {error}") from error
    known = {member.slug: member for member in present}
    return _parse_toml(file, text, known) if file.suffix == ".toml" else _parse_lines(file, text, known)


def _parse_toml(file: Path, text: str, known: Mapping[str, Member]) -> MemberList:
    try:
        entries = tomllib.loads(text).get("members")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{file} lists no [[members]]")
    found: dict[str, Member] = {}
    for number, entry in enumerate(entries, 1):
        try:
            member = _parse_entry(entry, known)
        except ConfigError as error:
            raise ConfigError(f"{file}, member {number}: {error}") from error
        if member.slug in found:
            raise ConfigError(f"{file}, member {number}: {member.slug!r} is listed twice")
        found[member.slug] = member
    return MemberList(list(found.values()))


def _parse_entry(entry: Any, known: Mapping[str, Member]) -> Member:
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
    member = Member(**values)
    care = known[member.slug].care if member.slug in known else member.care
    return replace(member, care=change_care(care, {name: entry[name] for name in CARE_TYPES if name in entry}))


def _parse_lines(file: Path, text: str, known: Mapping[str, Member]) -> MemberList:
    by_url = {member.base_url: member for member in known.values()}
    taken = {slug: member.base_url for slug, member in known.items()}
    found = MemberList()
    for number, row in _iter_rows(file, text):
        url = row["base_url"]
        before = by_url.get(url)
        slug = row.get("slug") or (before.slug if before else make_slug(url))
        if taken.setdefault(slug, url) != url and not row.get("slug"):
            slug = _with_hash(slug, url)
        try:
            member = Member(slug, row.get("name") or slug, url)
        except ConfigError as error:
            found.refused.append(f"line {number}: {error}")
            continue
        if before := known.get(slug):
            member = replace(before, base_url=url, name=row.get("name") or before.name, id=0)
        found.members.append(member)
    return _without_twins(found)


def _without_twins(found: MemberList) -> MemberList:
    unique: dict[str, Member] = {}
    for member in found.members:
        if unique.setdefault(member.slug, member).base_url != member.base_url:
            found.refused.append(f"{member.slug} is listed twice; {member.base_url} is left out")
    return MemberList(list(unique.values()), found.refused)


def _iter_rows(file: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line that is not empty with its number; `base_url` is in all of them."""
    if file.suffix not in {".csv", ".tsv"}:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                yield number, {"base_url": line.strip()}
        return
    rows = csv.reader(text.splitlines(), delimiter="\t" if file.suffix == ".tsv" else ",")
    titles = [title.strip().lower() for title in next(rows, [])]
    titles = ["base_url" if title == "url" else title for title in titles]
    if "base_url" not in titles:
        raise ConfigError(f"{file} has no column `base_url` or `url` in its first line")
    for cells in rows:
        row = dict(zip(titles, (cell.strip() for cell in cells), strict=False))
        if row.get("base_url"):
            yield rows.line_num, row


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
