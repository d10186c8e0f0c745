"""What stands in the files of the sample members: invented, about what their records say, and in no record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from importlib.resources import files
from random import Random

from harvester.samples.pdf_writer import HEIGHT, WIDTH, Line, write_pdf, write_scan
from harvester.samples.repository import SampleFile

_SENTENCES = {
    "id": (
        "Bagian ini menguraikan {topic} di Kecamatan {place} sebagaimana ditemui pada bulan {month} {year}.",
        "Sebanyak {number} responden diwawancarai di {place}, dan {less} di antaranya bersedia ditemui kembali.",
        "Lembar pengamatan nomor {code} mencatat perubahan sebesar {share} persen dibandingkan musim sebelumnya.",
        "Pengukuran diulang {few} kali agar kesalahan alat tidak terbawa ke dalam perhitungan berikutnya.",
        "Menurut penuturan {person}, kebiasaan tersebut telah berlangsung sejak tahun {past}.",
        "Perbedaan antara {place} dan {other} tidak dapat dijelaskan oleh {topic} semata.",
        "Oleh karena itu pembahasan selanjutnya dibatasi pada data yang dikumpulkan sendiri oleh penulis.",
        "Hasil tersebut sejalan dengan dugaan awal, meskipun keragamannya lebih besar daripada yang diperkirakan.",
        "Keterbatasan utama terletak pada pendeknya waktu pengamatan, yaitu hanya {few} minggu di {other}.",
    ),
    "en": (
        "This part describes {topic} in the district of {place} as it was found in {month} {year}.",
        "Altogether {number} respondents were interviewed in {place}, and {less} of them agreed to a second visit.",
        "Observation sheet {code} notes a change of {share} per cent when compared with the season before.",
        "Every measurement was repeated {few} times, so that no error of the instrument entered the calculation.",
        "According to {person}, the practice has been known in the neighbourhood since {past}.",
        "The difference between {place} and {other} cannot be explained by {topic} alone.",
        "For this reason the discussion which follows is limited to data that were collected by the author.",
        "The outcome agrees with the first assumption, although its variation is larger than had been expected.",
        "The principal limitation is the short time of observation, which was only {few} weeks in {other}.",
    ),
}
_MONTHS = {
    "id": ("Januari", "Maret", "Mei", "Juli", "September", "November"),
    "en": ("January", "March", "May", "July", "September", "November"),
}
_PLACES = (
    "Muara Bening",
    "Tanjung Lawas",
    "Karang Sekar",
    "Wanareja Kidul",
    "Pulau Terasi",
    "Bukit Randu",
    "Sungai Nipah",
)
_PEOPLE = ("Ibu Sarinah", "Pak Wirya", "Ibu Maemunah", "Pak Dullah", "Pak Yosef", "Ibu Ketut")
_PARAGRAPHS = 9
_LONG = 9  # letters of a word that may be broken at the end of a line
_VOWEL = re.compile(r"(?<=[aiueo])(?=[bcdfghjklmnpqrstvwxyz][aiueo])")

_PAGE = """<!doctype html>
<html lang="id"><head><meta charset="utf-8"><title>{title}</title></head>
<body>{body}</body></html>
"""


@lru_cache(maxsize=64)
def write_paper(file: SampleFile) -> bytes:
    """The bytes of a file, the same ones at each call."""
    if file.shape == "locked":
        return files("harvester.samples").joinpath("files", "locked.pdf").read_bytes()
    if file.shape == "login":
        form = '<h1>Login</h1><form method="post"><input name="user"><input type="password" name="password"></form>'
        return _PAGE.format(title="Login", body=form).encode()
    if file.shape == "viewer":
        text = f"<h1>{escape(file.title)}</h1><p>Penampil dokumen memerlukan JavaScript.</p>"
        return _PAGE.format(title="Viewer", body=text).encode()
    pages = list(_iter_pages(file))
    return write_scan(pages[:2]) if file.shape == "scan" else write_pdf(pages)


def paragraphs(file: SampleFile) -> list[str]:
    """What the file says, paragraph by paragraph."""
    source = Random(file.path)  # noqa: S311  # the same text for the same file
    language = file.language
    found = []
    for _ in range(_PARAGRAPHS if file.label or file.shape == "columns" else 2 * _PARAGRAPHS):
        sentences = source.sample(_SENTENCES[language], 5)
        place, other = source.sample(_PLACES, 2)
        found.append(
            " ".join(sentences).format(
                topic=source.choice(file.topics or (file.title.lower(),)),
                place=place,
                other=other,
                month=source.choice(_MONTHS[language]),
                year=source.randint(2009, 2024),
                past=source.randint(1931, 1988),
                number=source.randint(40, 240),
                less=source.randint(11, 39),
                few=source.randint(3, 9),
                share=source.randint(4, 38),
                code=f"{source.choice('ABCDEFGH')}{source.randint(1000, 9999)}",
                person=source.choice(_PEOPLE),
            )
        )
    return found


def _iter_pages(file: SampleFile) -> Iterator[list[Line]]:
    """One column or two, with a running head from the second page on and the number at the foot."""
    columns = 2 if file.shape == "columns" else 1
    width, size = (46, 9) if columns == 2 else (88, 11)
    step = size * 1.4
    rows = int((HEIGHT - 200) / step)
    lines = [line for text in paragraphs(file) for line in (*_wrap(text, width), "")]
    heading = _wrap(f"{file.title}. {file.label}" if file.label else file.title, 60)
    number = 0
    while lines or not number:
        number += 1
        top = [Line(70, HEIGHT - 50, file.title[:70], 8)] if number > 1 else []
        if number == 1:
            top = [Line(70, HEIGHT - 60 - 18 * row, text, 14, bold=True) for row, text in enumerate(heading)]
        body = []
        for column in range(columns):
            part, lines = lines[:rows], lines[rows:]
            left = 70 + column * (WIDTH - 120) / 2
            body += [Line(left, HEIGHT - 130 - step * row, text, size) for row, text in enumerate(part) if text]
        yield [*top, *body, Line(WIDTH / 2, 40, str(number), 9)]


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many characters, long words broken where a syllable may end."""
    lines = [""]
    for word in text.split():
        left = width - len(lines[-1]) - 1
        if len(word) <= left:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
            continue
        places = [found.start() for found in _VOWEL.finditer(word) if 2 < found.start() < min(left, len(word) - 3)]
        if len(word) >= _LONG and word.isalpha() and places:
            lines[-1] += f" {word[: places[-1]]}-"
            word = word[places[-1] :]  # noqa: PLW2901  # what is left of it
        lines.append(word)
    return lines
