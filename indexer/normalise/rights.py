"""Rights: the licence, who may read, and from when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from indexer.normalise.dates import find_embargo_end
from indexer.normalise.text import clean, is_blank

_CC_URL = re.compile(r"creativecommons\.org/(licen[cs]es|publicdomain)/([a-z-]+)(?:/(\d\.\d))?", re.IGNORECASE)
_CC_CODE = re.compile(
    r"\b(?:cc|creative commons)[\s_:(-]*(0|zero|by(?:[\s_/-]*(?:nc|nd|sa))*)(?![a-z0-9])"
    r"[\s_/-]*(?:v(?:ersion)?\.?\s*)?(\d(?:\.\d)?(?!\d))?",
    re.IGNORECASE,
)
# Up to the word "licence": "Attribution – Non Commercial (unported, v3.0) License"
_CC_WORDS = re.compile(r"\battribution\b(.{0,90}?)(?:licen[cs]e|[.;:](?!\d)|$)(.{0,30})", re.IGNORECASE)
_VERSION = re.compile(r"(?<![\d.])([1-4]\.\d)(?![\d.]*\d)")
_CONDITIONS = (
    ("NC", re.compile(r"(?<![a-z])nc(?![a-z])|non[\s–-]*commercial", re.IGNORECASE)),
    ("ND", re.compile(r"nd(?![a-z])|no[\s–-]*deriv", re.IGNORECASE)),
    ("SA", re.compile(r"(?<![a-z])sa(?![a-z])|share[\s–-]*alike", re.IGNORECASE)),
)
_OTHER_LICENCES = tuple(
    (re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"\bmit licen[cs]e\b|^mit$|opensource\.org/licenses/mit\b", "MIT"),
        (r"\bapache[\s-]*(?:licen[cs]e)?[\s,-]*(?:version )?2\.0|apache\.org/licenses/license-2\.0", "Apache-2.0"),
        (r"\bgnu (?:general public licen[cs]e|gpl)[\s,v]*(?:version )?3|gnu\.org/licenses/gpl-3", "GPL-3.0"),
        (r"opendatacommons\.org/licenses/odbl|\bodbl\b", "ODbL-1.0"),
        (r"creativecommons\.org/publicdomain/mark", "PDM-1.0"),
    )
)
_URLS = {
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "GPL-3.0": "https://www.gnu.org/licenses/gpl-3.0.html",
    "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
    "PDM-1.0": "https://creativecommons.org/publicdomain/mark/1.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}

_ACCESS = tuple(
    (re.compile(pattern, re.IGNORECASE), access)
    for pattern, access in (
        (r"(?:under )?embargo(?:ed)?(?:[\s_-]?access)?(?![^\W_]).{0,80}|.*/embargoedaccess|.*c_f1cf/?", "embargoed"),
        (
            r"closed[\s_-]?access|metadata only(?: access)?|closed|.*/closedaccess|.*c_14cb/?|(?:akses )?tertutup",
            "closed",
        ),
        (r"(?:access:? )?restricted(?:[\s_-]?access)?(?![^\W_]).{0,80}|.*/restrictedaccess|.*c_16ec/?", "restricted"),
        (
            r"(?:on[\s-])?campus(?: access)?[\s-]only|(?:repository )?staff only|registered users only|izinsiz",
            "restricted",
        ),
        (r"(?:akses )?terbatas\b.{0,80}", "restricted"),
        (r"open[\s-]?access|open|izinli|free|public|.*/openaccess|.*c_abf2/?|(?:akses )?terbuka", "open"),
    )
)
_STRICTEST = ("closed", "restricted", "embargoed", "open")
_ENDLESS = re.compile(r"info:eu-repo/date/embargoEnd/", re.IGNORECASE)
_ACCESS_PREFIX = re.compile(r"^info:eu-repo/semantics/", re.IGNORECASE)
_OPEN_ARTICLE = re.compile(
    r"\bopen[\s-]access(?:this)?\s?(?:article|paper|journal)?\b.{0,60}\bdistributed\b", re.IGNORECASE
)
_ONLY_LICENCE = re.compile(r"(?:\S+|(?:cc\b|creative commons|attribution|mit |apache|gnu ).{0,80})$", re.IGNORECASE)
_SAYS_NOTHING = re.compile(r"default|none stated|indexnofollow|no_restriction|\*|info:eu-repo/\S*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of a work: licence as a short code ("CC-BY-4.0", without a version where none is told).

    `access` is open, embargoed, restricted or closed; `embargo_until` an ISO date; `statements` the prose.
    """

    licence: str | None = None
    access: str | None = None
    embargo_until: str | None = None
    statements: tuple[str, ...] = ()


def parse_rights(raws: Iterable[str], *, dates: Sequence[str] = ()) -> Rights:
    """The rights that the values of one record state; `dates` may hold the end of an embargo.

    The most exact licence counts (one with a version before one without), then the first; of the access
    the strictest stated. A licence alone says nothing about access; an embargo whose end cannot be read has none.
    """
    values = tuple(raws)
    read = [_read(value) for value in values]
    licences = [licence for licence, _, _ in read if licence]
    ends = find_embargo_end((*values, *dates))
    found = {access for _, access, _ in read}
    access = next((access for access in _STRICTEST if access in found), None)
    is_barred = ends or any(map(_ENDLESS.match, (*values, *dates)))
    return Rights(
        licence=next((code for code in licences if code[-1].isdigit()), licences[0] if licences else None),
        access=access or ("embargoed" if is_barred else None),
        embargo_until=ends,
        statements=tuple(dict.fromkeys(statement for _, _, statement in read if statement)),
    )


def licence_url(code: str) -> str | None:
    """The address of a licence's text; of a Creative Commons licence without a version its latest."""
    if code in _URLS:
        return _URLS[code]
    match = re.fullmatch(r"CC-(BY(?:-NC)?(?:-ND|-SA)?)(?:-(\d\.\d))?", code)
    return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2] or '4.0'}/" if match else None


@lru_cache(maxsize=4096)
def _read(raw: str) -> tuple[str | None, str | None, str | None]:
    """Licence, access and prose of one value."""
    text = clean(raw)
    if is_blank(text):
        return None, None, None
    licence = _licence(text)
    bare = _ACCESS_PREFIX.sub("", text).strip(" .()[]\"'")
    access = next((access for pattern, access in _ACCESS if pattern.fullmatch(bare)), None)
    if not access and _OPEN_ARTICLE.search(text):
        access = "open"
    is_said = (licence and _ONLY_LICENCE.match(text)) or (access and " " not in text) or _SAYS_NOTHING.fullmatch(text)
    return licence, access, None if is_said else text


def _licence(text: str) -> str | None:
    if match := _CC_URL.search(text):
        name, version = match[2].lower(), match[3]
        if match[1].lower() == "publicdomain":
            return {"zero": "CC0-1.0", "mark": "PDM-1.0"}.get(name)
        return _cc(name, version) if name.startswith("by") else None
    if match := _CC_CODE.search(text):
        version = match[2] if not match[2] or "." in match[2] else f"{match[2]}.0"  # seen: EPrints, cc_by_nc_4
        return "CC0-1.0" if match[1].lower() in {"0", "zero"} else _cc(match[1], version)
    if match := _CC_WORDS.search(text):
        version_found = _VERSION.search(match[1]) or _VERSION.search(match[2])
        licence = _cc(match[1], version_found[1] if version_found else None)
        if version_found or licence != "CC-BY" or "creative commons" in text.lower():
            return licence
    return next((code for pattern, code in _OTHER_LICENCES if pattern.search(text)), None)


def _cc(conditions: str, version: str | None) -> str:
    """The code of a Creative Commons licence, its conditions in their usual order."""
    codes = [code for code, pattern in _CONDITIONS if pattern.search(conditions)]
    return "-".join(["CC-BY", *codes, *([version] if version else [])])
