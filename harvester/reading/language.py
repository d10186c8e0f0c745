"""The language of a long text, by its script and by the words that none of its pages does without."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_COMMON = {
    "id": "yang dan untuk dengan dari pada dalam ini adalah tidak oleh dapat akan sebagai telah atau karena juga",
    "en": "the of and to is that for was with are this by which from be have not were",
    "nl": "de het een van en dat niet voor zijn met wordt ook deze door naar bij",
    "de": "der die das und ist nicht von mit den dem auf eine werden durch für sich",
    "fr": "les des une est dans pour que qui sur par avec pas sont cette aux du",
    "es": "el los las una por con para que del como más pero esta sus entre fue",
    "pt": "os uma não para com que mais dos das pelo pela são foi entre como ao",
    "it": "il che di una per non sono con della dei nel alla gli anche più delle",
    "jv": "ing lan sing kang iku saka marang ora wis iki karo kanggo dadi menyang ana kaya",
    "tr": "ve bir bu için ile olarak olan daha çok gibi kadar sonra ancak göre değil her",
}
_TELLS = {code: frozenset(words.split()) for code, words in _COMMON.items()}
_SCRIPTS = {
    "ARABIC": "ar",
    "CYRILLIC": "ru",
    "HANGUL": "ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "CJK": "zh",
    "THAI": "th",
    "HEBREW": "he",
    "GREEK": "el",
    "DEVANAGARI": "hi",
}
_FOREIGN = re.compile("[\u0370-\uffdc]")  # letters that are not Latin ones
_SAMPLE = 2_000  # characters: some 300 words, and twice as many from the middle
_FEWEST = 6  # words that tell


def guess_language(text: str) -> str | None:
    """The language that the text is written in, None where it is short, mixed or of another language.

    Words are taken from the middle too, as a thesis begins with a page in each of its languages.
    """
    middle = len(text) // 2
    sample = text if len(text) < 3 * _SAMPLE else text[:_SAMPLE] + text[middle : middle + 2 * _SAMPLE]
    if script := _find_script(sample):
        return script
    words = Counter(sample.lower().split())
    found = sorted((sum(words[word] for word in tells), code) for code, tells in _TELLS.items())
    (next_best, _), (best, code) = found[-2:]
    total = words.total()
    return code if best >= _FEWEST and best >= 2 * next_best and best * 20 >= total else None


def _find_script(text: str) -> str | None:
    """The language of the script that most of the letters have, None for Latin ones."""
    foreign = [] if text.isascii() else list(filter(str.isalpha, _FOREIGN.findall(text)))
    if len(foreign) < 20 or len(foreign) * 2 <= sum(map(str.isalpha, text)):
        return None
    scripts = Counter(
        _SCRIPTS.get(unicodedata.name(letter, "?").split(maxsplit=1)[0].split("-")[0]) for letter in foreign
    )
    if scripts["ja"] * 10 >= len(foreign):
        return "ja"  # written in Chinese characters for the most part
    return scripts.most_common(1)[0][0]
