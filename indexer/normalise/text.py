"""Clean text: what a person meant to write, without the marks of the systems it passed through."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

# A semicolon is asked for: `&copy=2` in a link and "bi-&multi-gravity" in a title are no entities.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# The first letters of UTF-8 read as Latin-1 or cp1252, followed by what a second byte becomes there.
_MOJIBAKE = re.compile(r"[ÂÃÄÅÐÑØÙàáâãä][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œŸŽž]|ï¿½")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
    "|(?<![\u0600-\u0dff])[\u200c\u200d]"  # joiners carry meaning after Arabic and Indic letters only
)
_HIDDEN = re.compile(
    r"<!--(?:(?!<!--).)*?-->|<(script|style)\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>", re.IGNORECASE | re.DOTALL
)
# Attributes must look like attributes: "$i_1<i_2<\dots <i$" and "a <b and c> d" are mathematics.
_TAG = re.compile(
    r"""<(/?)(?:[a-z]{1,9}:)?([a-z][a-z0-9-]*)"""
    r"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*\s*/?>""",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"p|br|div|[uod]l|li|d[dt]|t[drh]|table|tbody|thead|h[1-6r]|blockquote|pre|section|article|title|sec"
    r"|abstract|list|list-item|disp-formula|img|figure"
)
_INLINE = re.compile(
    r"[abiusq]|em|strong|su[bp]|inf|span|font|small|big|tt|code|cite|abbr|strike|del|ins|mark|center|italic|bold"
    r"|sc|monospace|underline|ext-link|xref|inline-formula|tex-math|html|body|math|m[inos]|mrow|mtext|msu[bp]"
    r"|msubsup|mfrac|mover|munder|mspace|mstyle|msqrt|semantics|annotation"
)
_BLANK = re.compile(
    r"[\W_]*(?:n/a|na|none(?: stated)?|null|nil|undefined|abstract|abstrak|no abstract(?: available)?|not available"
    r"|abstract (?:is )?not available|(?:abstrak )?(?:tidak|belum) (?:ada|tersedia)|tidak ada abstrak)?[\W_]*"
    r"|#[a-z_]*#",
    re.IGNORECASE,
)


def unescape(text: str) -> str:
    """The text without HTML entities, also where they were escaped two or three times over."""
    for _ in range(3):
        if "&" not in text:
            break
        unescaped = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
        if unescaped == text:
            break
        text = unescaped
    return text


def clean(raw: str) -> str:
    """The text without entities, markup, control characters or needless white space, in NFC."""
    text = unescape(raw)
    if "<" in text:
        text = _without_tags(text)
    if not text.isascii() and _MOJIBAKE.search(text):
        text = _NOT_ASCII.sub(_repaired, text)
    if not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " ":
        text = " ".join(text.split())
        if not text.isprintable():
            text = " ".join(_UNSEEN.sub("", text).split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_blank(text: str) -> bool:
    """True where a cleaned text stands for nothing: a lone sign or letter, "N/A", "(Abstrak tidak tersedia)"."""
    # seen: ITB Bandung, abstracts of one letter
    return len(text) < 41 and ((len(text) < 2 and text.isascii()) or bool(_BLANK.fullmatch(text)))


def _without_tags(text: str) -> str:
    text = _HIDDEN.sub(" ", text)

    def replaced(match: re.Match[str]) -> str:
        name = match[2].lower()
        if _BLOCK.fullmatch(name):
            return " "
        # "<x>" and "<a>" may be a group's generator: one letter is a tag only where it is closed too.
        if _INLINE.fullmatch(name) and (len(name) > 1 or match[1] or f"</{name}>" in lowered):
            return ""
        return match[0]

    lowered = text.lower()
    return _TAG.sub(replaced, text)


def _repaired(match: re.Match[str]) -> str:
    return _fixed(match[0]) if _MOJIBAKE.search(match[0]) else match[0]


@lru_cache(maxsize=4096)
def _fixed(run: str) -> str:
    """A run of characters beyond ASCII as its writer meant it: all bytes of a broken one are in the run."""
    import ftfy  # noqa: PLC0415  # a tenth of a second to import, needed by few records

    return str(ftfy.fix_encoding(run))
