"""Charts as the points of SVG lines. Templates draw them; colours are classes, because styles come from files only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600.0, 120.0
COLOURS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: its label, the points of a polyline, the number of its colour, and the last value."""

    label: str
    points: str
    colour: int
    last: float


def lines(series: Mapping[str, Sequence[float]], most: float | None = None) -> list[Line]:
    """Return lines over WIDTH × HEIGHT, the values from 0 to `most`, by default the greatest one."""
    top = most or max((max(values, default=0.0) for values in series.values()), default=0.0) or 1.0
    return [
        Line(label, _points(values, top), place % COLOURS, values[-1] if values else 0.0)
        for place, (label, values) in enumerate(series.items())
    ]


def _points(values: Sequence[float], top: float) -> str:
    step = WIDTH / max(len(values) - 1, 1)
    return " ".join(
        f"{place * step:.1f},{HEIGHT - 3 - min(value / top, 1.0) * (HEIGHT - 6):.1f}"
        for place, value in enumerate(values)
    )
