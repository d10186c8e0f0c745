"""The geometry of the site's two pictures; the templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from indexer.engine import Bucket
from web.question import Years

_MOST_BARS = 36
_STEPS = (1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram in user units of its picture, for the years `lower` to `upper`, both included."""

    lower: int
    upper: int
    count: int
    x: float
    y: float
    width: float
    height: float
    chosen: bool


@dataclass(frozen=True, slots=True)
class Dot:
    """A run in a plot: its place, and the index of its run."""

    x: float
    y: float
    index: int


@dataclass(frozen=True, slots=True)
class Plot:
    """Values over time: the points of a polyline, and one dot for each."""

    points: str
    dots: tuple[Dot, ...]
    top: int


def year_bars(
    buckets: Iterable[Bucket],
    years: Years,
    single: Collection[int] = (),
    *,
    width: float = 240,
    height: float = 60,
) -> tuple[Bar, ...]:
    """One bar for each year, or for as many years as keep the picture readable; none where no year is known.

    Bars are chosen by the span `years`, or by the `single` years.
    """
    counts = {int(bucket.value): bucket.count for bucket in buckets if bucket.value.isdigit()}
    if not counts:
        return ()
    first, last = min(counts), max(counts)
    step = next((s for s in _STEPS if (last - first) // s < _MOST_BARS), _STEPS[-1])
    start = first // step * step
    sums: dict[int, int] = dict.fromkeys(range(start, last + 1, step), 0)
    for year, count in counts.items():
        sums[year // step * step] += count
    most = max(sums.values())
    room = width / len(sums)
    wide = min(room - 1.5, 18)
    bars = []
    for place, (lower, count) in enumerate(sums.items()):
        tall = max(round(count / most * height, 1), 2) if count else 0
        inside = (years[0] or 0) <= lower + step - 1 and lower <= (years[1] or 9999)
        bars.append(
            Bar(
                lower=max(lower, first),
                upper=min(lower + step - 1, last),
                count=count,
                x=round(place * room + (room - wide) / 2, 1),
                y=height - tall,
                width=round(wide, 1),
                height=tall,
                chosen=(years != (None, None) and inside) or any(lower <= year < lower + step for year in single),
            )
        )
    return tuple(bars)


def plot_values(moments: Sequence[int], values: Sequence[int], *, width: float = 640, height: float = 140) -> Plot:
    """The values at their moments (ascending), from zero to the largest."""
    top = max(*values, 1) if values else 1
    first, span = (moments[0], max(moments[-1] - moments[0], 1)) if moments else (0, 1)
    dots = tuple(
        Dot(
            x=round((moment - first) / span * width, 1) if len(moments) > 1 else width / 2,
            y=round(height - value / top * height, 1),
            index=index,
        )
        for index, (moment, value) in enumerate(zip(moments, values, strict=True))
    )
    return Plot(" ".join(f"{dot.x},{dot.y}" for dot in dots), dots, top)
