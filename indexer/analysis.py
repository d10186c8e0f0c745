"""Text into tokens: the one analysis that every engine, the query and the highlighting share.

A token is a word of letters and digits in lower case without accents. Scripts that do not part their words
(Chinese, Japanese, Thai and their like) give one token per character, which a phrase then puts together.
An apostrophe inside a word joins (`Qur'an` is `quran`, `Jum'at` is `jumat`), but an elided article or an
English ending is a word of its own (`l'eau`, `farmer's`).

Stems carry the tag of their language (`id:teliti`, `en:studi`): a text is stemmed by its own language and a
query word by all of them, so a text is only ever matched through the rules of its language. A text in a
language without a stemmer, or in none that is known, has no stems and is found by its exact words.
"""

from __future__ import annotations

import codecs
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

from indexer import indonesian

# Raise it when a change here or in the stemmer changes any token: it is part of the index's schema.
VERSION = 4

_LONGEST_TOKEN = 64
_MOST_MEMOISED = 400_000

# Language codes and what stems them. Malay shares the affixes of Indonesian, and its tag.
_SNOWBALL = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_TAGS = {code: code for code in ("id", *_SNOWBALL)} | {"ms": "id", "nb": "no", "nn": "no"}
STEMMED_TAGS = tuple(sorted(set(_TAGS.values())))
# Languages whose rules know no accents (or that have none): their texts lose them before all else, which is faster.
_WITHOUT_ACCENTS = frozenset({"id", "en", None})

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Signs inside words that Python does not count among letters: vowel signs, accents, the soft hyphen.
_SIGNS = (
    "\u00ad\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
    "\u0f71-\u0f84\u1b00-\u1bad\ua980-\ua9c0"
)
_ELIDED = ("c", "d", "j", "l", "m", "n", "s", "t", "qu", "un", "all", "dell", "nell", "dall", "sull", "jusqu", "lorsqu")
_JOINT = "(?i:" + "".join(rf"(?<!\b{word})" for word in _ELIDED) + r"['’‘ʼʻ`](?!(?:d|ll|m|re|s|t|ve)\b))"
_APOSTROPHE = re.compile("['’‘ʼʻ`]")
_LETTERS = rf"(?:[a-zA-Z0-9À-ÖØ-öø-ɏ{_SIGNS}]++|(?![{_UNSPACED}ʼʻ])[^\W_])++"  # the frequent letters run faster
# By what a text holds: (is ASCII, has an apostrophe). Looking for joints triples the time.
_PATTERNS = {
    (True, False): re.compile("[a-z0-9]+"),
    (True, True): re.compile(rf"[a-z0-9]++(?:{_JOINT}[a-z0-9]++)*+"),
    (False, False): re.compile(rf"[{_UNSPACED}]|{_LETTERS}"),
    (False, True): re.compile(rf"[{_UNSPACED}]|{_LETTERS}(?:{_JOINT}{_LETTERS})*+"),
}
# The same for texts in ASCII alone: what is no letter and no digit parts words, but for a joint.
_QUOTE = re.compile("['`]")
_JOINED = re.compile(rf"(?<=[a-zA-Z0-9]){_JOINT}(?=[a-zA-Z0-9])")
_PARTED = bytes(ord(char.lower()) if char.isalnum() else ord(" ") for char in map(chr, range(128))).ljust(256)
_PARTED_BUT_JOINED = _PARTED[: ord("'")] + b"'" + _PARTED[ord("'") + 1 :]
_FOREIGN = re.compile(rf"[^\W_\x00-\x7f]|[{_SIGNS}{_UNSPACED}]")  # stands in words
_UNSPACED_ONE = re.compile(f"[{_UNSPACED}]")
_ALONE = re.compile(f"[{_UNSPACED}{_SIGNS}ʼʻ]")  # unlike what ASCII has where words begin and end
_SPELLED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ʼ": "", "ʻ": ""}
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text; `source` is what the text has from `start` to before `end`; lower case in texts of ASCII."""

    text: str
    source: str
    start: int
    end: int


def fold(word: str) -> str:
    """The word as tokens have it: lower case, no accents, letters and digits only; may be empty."""
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word.casefold())
        plain = "".join(c for c in parts if not _is_accent(c))
        # Again, and only now: mathematical capitals are letters, and an accented o with a stroke has lost its accent.
        word = unicodedata.normalize("NFC", plain.casefold().translate(_SPELLED))
    else:
        word = word.lower()
    if not word.isalnum():
        word = "".join(c for c in word if c.isalnum() or unicodedata.category(c)[0] == "M")
    return word[:_LONGEST_TOKEN]


def _is_accent(char: str) -> bool:
    """Marks above and below letters, Hebrew points and Arabic vowels; not the vowel signs of Asian scripts."""
    place = unicodedata.combining(char)
    return place >= 200 or 10 <= place <= 35


class _Plain(dict[str, str]):
    """Runs of characters beyond ASCII as they stand in plain text, themselves where only ASCII cannot say them."""

    def __missing__(self, run: str) -> str:
        if len(self) >= _MOST_MEMOISED:
            self.clear()
        said = "".join(map(self._say, run))
        plain = self[run] = said if said.isascii() else run
        return plain

    @staticmethod
    def _say(char: str) -> str:
        if is_unspaced(char):
            return f" {fold(char)} "
        return fold(char) if _FOREIGN.match(char) else "'" if _APOSTROPHE.match(char) else " "


class _Blanks(dict[str, str]):
    """Runs of characters beyond ASCII, those that part words as white space; themselves where one stands in a word."""

    def __missing__(self, run: str) -> str:
        if len(self) >= _MOST_MEMOISED:
            self.clear()
        signs = "".join("'" if _APOSTROPHE.match(char) else " " for char in run)
        blank = self[run] = run if _FOREIGN.search(run) or _ALONE.search(run) else signs
        return blank


class _Shape(dict[int, str | int]):
    """What stands for each character where only the places of words matter; itself where ASCII cannot say that."""

    def __missing__(self, code: int) -> str | int:
        char = chr(code)
        if code < 128:
            shape: str | int = char.lower()
        elif _ALONE.match(char):
            shape = code
        else:
            shape = "'" if _APOSTROPHE.match(char) else "z" if _FOREIGN.match(char) else " "
        self[code] = shape
        return shape


class _Folds(dict[str, str]):
    """The folds of words seen before."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_MEMOISED:
            self.clear()
        folded = self[word] = fold(word)
        return folded


class _Stems(dict[str, str]):
    """The tagged stems of one language for words seen before."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self._prefix = f"{tag}:"
        self._plain = tag in _WITHOUT_ACCENTS
        self._stemmer = Stemmer.Stemmer(_SNOWBALL[tag], 0) if tag in _SNOWBALL else None
        self._lock = threading.Lock()  # a Snowball stemmer has one buffer

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_MEMOISED:
            self.clear()
        if self._stemmer is None:
            stem = indonesian.stem(fold(word))
        else:
            source = fold(word) if self._plain else word.lower()[:_LONGEST_TOKEN]
            with self._lock:
                stem = self._stemmer.stemWord(source)
            stem = stem if self._plain else fold(stem)
        tagged = self[word] = self._prefix + stem if stem else ""
        return tagged


@lru_cache(maxsize=2)
def _spelling(kind: type[_Plain] | type[_Blanks]) -> str:
    """The name by which `str.encode` knows what to write for runs beyond ASCII."""
    name, spelled = f"lumbung{kind.__name__}", kind()

    def spell(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return spelled[error.object[error.start : error.end]], error.end

    codecs.register_error(name, spell)
    return name


def _in_ascii(text: str, kind: type[_Plain] | type[_Blanks]) -> str | None:
    """The text with its runs beyond ASCII spelled so; None where ASCII cannot say one."""
    try:
        return text.encode("ascii", _spelling(kind)).decode()  # six times as fast as a regular expression
    except UnicodeEncodeError:
        return None


@lru_cache(maxsize=1)
def _shape() -> _Shape:
    return _Shape()


@lru_cache(maxsize=1)
def folds() -> Mapping[str, str]:
    """The fold of every word, remembered; asked for by its subscript."""
    return _Folds()


@lru_cache(maxsize=len(STEMMED_TAGS))
def _stems_of(tag: str) -> _Stems:
    return _Stems(tag)


def _prepared(text: str) -> tuple[re.Pattern[str], str]:
    """The pattern that finds the words of a text, and the text to run it on, of the same length."""
    plain = text.isascii()
    pattern = _PATTERNS[plain, _APOSTROPHE.search(text) is not None]
    return pattern, text.lower() if plain else text


def _parted(text: str) -> str | None:
    """The exact tokens with white space between them, in a fifth of the time; None where ASCII cannot say them."""
    if not text.isascii():
        if _APOSTROPHE.search(text) and _FOREIGN.search(text):
            return None  # whether an apostrophe joins is to be seen before letters lose their accents
        plain = _in_ascii(text, _Plain)
        if plain is None:
            return None
        text = plain
    if "'" in text or "`" in text:
        whole = text
        text = _QUOTE.sub(lambda quote: "" if _JOINED.match(whole, quote.start()) else " ", text)
    return _translated(text, _PARTED)


def tokenize(text: str) -> list[Token]:
    """The tokens of a text in order, with their places in it."""
    return list(iter_tokens(text))


def iter_tokens(text: str) -> Iterator[Token]:
    """The tokens of a text, one after the other, with their places in it."""
    folded_as, plain = folds(), text.isascii()
    for match in iter_places(text):
        start, end = match.span()
        source = match.group() if plain else text[start:end]
        if folded := folded_as[source]:
            yield Token(folded, source, start, end)


def iter_places(text: str) -> Iterator[re.Match[str]]:
    """The places of the text that may be tokens, before folding; ten times as fast as the tokens."""
    # Where all letters are spelled with ASCII ones, patterns of ASCII find the same places in half the time.
    shape = text.lower() if text.isascii() else text.translate(_shape())
    plain = shape.isascii()
    return _PATTERNS[plain, _APOSTROPHE.search(shape) is not None].finditer(shape if plain else text)


def aligned(text: str) -> str | None:
    """The text in lower case with a space for each character that parts words; None where ASCII cannot say that.

    What stands between spaces is at its place, and is what `iter_places` finds, ten times as fast.
    """
    if not text.isascii():
        blanked = _in_ascii(text, _Blanks)
        if blanked is None:
            return None
        text = blanked
    if "'" not in text and "`" not in text:
        return _translated(text, _PARTED)
    whole = text
    joined = _QUOTE.sub(lambda quote: "'" if _JOINED.match(whole, quote.start()) else " ", whole)
    return _translated(joined, _PARTED_BUT_JOINED)


def _translated(text: str, table: bytes) -> str:
    """The text in ASCII with other characters by the table: as bytes in a third of the time."""
    return text.encode("ascii").translate(table).decode("ascii")


def words(text: str) -> list[str]:
    """The exact tokens of a text, in order."""
    return exact_stream(text).split()


def exact_stream(text: str) -> str:
    """The exact tokens, with spaces between them."""
    return streams(text, None)[0]


def streams(text: str, language: str | None) -> tuple[str, str]:
    """The exact tokens of a text, and their tagged stems; spaces between them. No stems without a stemmer."""
    tag = tag_of(language)
    easy = tag in _WITHOUT_ACCENTS or (text.isascii() and not _APOSTROPHE.search(text))
    parted = _parted(text) if easy else None
    if parted is None:
        pattern, source = _prepared(text)
        found = pattern.findall(source)
        exact = " ".join(filter(None, map(folds().__getitem__, found)))
    else:
        found = parted.split()
        if found and len(max(found, key=len)) > _LONGEST_TOKEN:
            found = [word[:_LONGEST_TOKEN] for word in found]
        exact = " ".join(found)
    return exact, " ".join(filter(None, map(_stems_of(tag).__getitem__, found))) if tag else ""


def stem_of(word: str, tag: str | None) -> str:
    """The tagged stem of a text's word, remembered; empty where it has none."""
    return _stems_of(tag)[word] if tag else ""


def common_letters(tagged: str) -> str | None:
    """What every word with this stem has in it, if it is written in ASCII letters and digits alone; a space stands
    where the word begins or ends. None where the stemmer's rules are too many to say it."""
    tag, _, stem = tagged.partition(":")
    match tag:
        case "id":
            return indonesian.common(stem)
        case "en":  # at most two letters at the end of a stem are other than in the word, and never the first
            return f" {stem[:-2] or stem[:1]}"
        case _:
            return None


def whole_word(token: str) -> str:
    """The same for a token: the word is the token, but for what is cut off."""
    return f" {token}" if len(token) == _LONGEST_TOKEN else f" {token} "


class SeenWords:
    """Words as texts of one language have them, by what finds them: their token, and their tagged stem."""

    def __init__(self, tag: str | None) -> None:
        self._stems = _stems_of(tag) if tag else None
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._by_form: dict[str, set[str]] = {}

    def by_form(self, found: set[str]) -> Mapping[str, set[str]]:
        """The words whose token or tagged stem this is, those of `found` among them; no word that is its own token."""
        if found <= self._seen:
            return self._by_form
        with self._lock:
            if len(self._seen) >= _MOST_MEMOISED:
                self._seen, self._by_form = set(), {}
            new = found - self._seen
            for word in new:
                for form in (folds()[word], self._stems[word] if self._stems is not None else ""):
                    if form and form != word:
                        self._by_form.setdefault(form, set()).add(word)
            self._seen |= new
            return self._by_form


def tag_of(language: str | None) -> str | None:
    """What the stems of texts in this language are tagged with; None where they have none."""
    return _TAGS.get(language or "")


@lru_cache(maxsize=len(STEMMED_TAGS) + 1)
def seen_words(tag: str | None) -> SeenWords:
    """The words that texts with this tag have shown to this process so far."""
    return SeenWords(tag)


@lru_cache(maxsize=20_000)
def query_stems(word: str) -> tuple[str, ...]:
    """The tagged stems of a reader's word under every language that is stemmed."""
    return tuple(tagged for tag in STEMMED_TAGS if (tagged := _stems_of(tag)[word]))


def is_unspaced(word: str) -> bool:
    """True for a token of a script that does not part its words: one character is not a word there."""
    return bool(_UNSPACED_ONE.match(word))
