"""Latency by rate as a small SVG, without a plotting library. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, log10

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 60, 40, 20, 70
COLOURS = ("#1b9e77", "#7570b3", "#d95f02")


def latency_plot(rates: Sequence[float], milliseconds: Mapping[str, Sequence[float]]) -> str:
    """Draw one line for each percentile: events per second on the x axis, milliseconds on the y axis, log scale.

    A line ends at its first value that is not finite, because that rate was not held.
    """
    values = [value for line in milliseconds.values() for value in line if isfinite(value)] or [1.0]
    low, high = _decade(min(values), up=False), _decade(max(values), up=True)
    span = max(rates) * 1.05

    def x(rate: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * rate / span

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(value) - low) / (high - low)

    parts = [_grid(low, high, y), *(_tick(rate, x(rate)) for rate in rates)]
    for colour, (name, line) in zip(COLOURS, milliseconds.items(), strict=False):
        points = [(x(rate), y(value)) for rate, value in zip(rates, line, strict=True) if isfinite(value)]
        if points:
            parts.append(_line(name, colour, points))
    body = "\n".join(parts)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
{body}
<text x="{(WIDTH - RIGHT + LEFT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">events per second</text>
<text x="14" y="{HEIGHT / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2:.0f})">milliseconds</text>
</svg>
"""


def _decade(value: float, *, up: bool) -> int:
    exponent = int(log10(value) // 1)
    return exponent + 1 if up else exponent


def _grid(low: int, high: int, y: Callable[[float], float]) -> str:
    lines = []
    for exponent in range(low, high + 1):
        at = y(10.0**exponent)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    return "\n".join(lines)


def _tick(rate: float, at: float) -> str:
    return f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{rate:g}</text>'


def _line(name: str, colour: str, points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    dots = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points)
    end = points[-1]
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
        f'<text x="{end[0] + 8:.1f}" y="{end[1] + 4:.1f}" fill="{colour}">{name}</text>'
    )
