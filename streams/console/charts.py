"""Charts: the points of SVG lines, which templates draw.

Colours are CSS classes, because the Content-Security-Policy forbids styles outside files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600.0, 120.0
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: its label, the points of its polylines, the number of its colour, and the last value."""

    label: str
    parts: list[str]
    colour: int
    last: float


def lines(series: Mapping[str, Sequence[float | None]], least: float = 0.0) -> list[Line]:
    """Return lines over WIDTH × HEIGHT, from 0 to the greatest value, or `least` if that is greater.

    A line has a gap where its value is None.
    """
    top = max([least, *(value for values in series.values() for value in values if value is not None)]) or 1.0
    return [
        Line(label, _parts(values, top), place % COLOURS, (values[-1] if values else 0.0) or 0.0)
        for place, (label, values) in enumerate(series.items())
    ]


def sparkline(values: Sequence[float]) -> list[str]:
    """Return the points of one line, from 0 to its greatest value."""
    return _parts(values, max(values, default=0.0) or 1.0)


def _parts(values: Sequence[float | None], top: float) -> list[str]:
    step = WIDTH / max(len(values) - 1, 1)
    parts: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            # A margin of 3 above and below, so that the stroke of the line is not cut off.
            parts[-1].append(f"{place * step:.1f},{HEIGHT - 3 - value / top * (HEIGHT - 6):.1f}")
        elif parts[-1]:
            parts.append([])
    # A single point becomes a line of no length, which its round ends make visible.
    return [" ".join(part if len(part) > 1 else 2 * part) for part in parts if part]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from 0 with its interval, over a width of 100: the places of 0, and of the bar's and interval's ends.

    `is_sure` says whether the interval excludes 0.
    """

    zero: float
    left: float
    right: float
    low: float
    high: float
    is_negative: bool
    is_sure: bool


def bar(interval: tuple[float, float, float], least: float, most: float) -> Bar:
    """Return the bar of a low end, a value and a high end. Values outside of `least` to `most` are cut off."""
    width = (most - least) or 1.0

    def place(value: float) -> float:
        return 100 * min(max((value - least) / width, 0.0), 1.0)

    low, value, high = interval
    return Bar(
        zero=place(0.0),
        left=place(min(value, 0.0)),
        right=place(max(value, 0.0)),
        low=place(low),
        high=place(high),
        is_negative=value < 0,
        is_sure=low > 0 or high < 0,
    )
