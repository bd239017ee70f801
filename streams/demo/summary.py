"""The demo's plain text: progress lines where there is no terminal, and the summary at the end. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from streams.demo.tally import Tally
from streams.demo.view import Ranked, legend, told

WIDTH = 100
ITEMS = 5


def plain_line(tally: Tally, now: float) -> str:
    """Return the progress of the replay as one line, for output that is no terminal."""
    sent, answered = tally.rates(now)
    times = tally.percentiles()
    latency = "no times yet" if times is None else f"p50 {times.p50:.1f}  p95 {times.p95:.1f}  p99 {times.p99:.1f} ms"
    return (
        f"{tally.answered:,} of {tally.total:,} answered   {sent:.0f} sent/s  {answered:.0f} answered/s   {latency}   "
        f"fallbacks {tally.fallbacks}  refused {tally.refused}"
    )


def summary(tally: Tally, first_list_seconds: float) -> RenderableType:
    """Return the figures of the replay and the shopper's last list."""
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim")
    figures.add_column()
    figures.add_row("events", f"{tally.sent:,} sent, {tally.answered:,} answered, {tally.unanswered:,} unanswered")
    if (times := tally.percentiles()) is not None:
        figures.add_row("end to end", f"p50 {times.p50:.1f} ms   p95 {times.p95:.1f} ms   p99 {times.p99:.1f} ms")
    figures.add_row("fallbacks", f"{tally.fallbacks:,}")
    figures.add_row("refused", f"{tally.refused:,}")
    figures.add_row("first list", f"{first_list_seconds:.1f} s after the start of the demo")
    figures.add_row("sources", _shares(tally.sources, tally.items))
    figures.add_row("reasons", _shares(tally.reasons, tally.items))
    parts: list[RenderableType] = [figures]
    if (answer := tally.shown) is not None:
        parts.append(Text.assemble("\nShopper ", tally.shopper, ", last: ", *told(answer.act, " "), ". Recommended:"))
        probable = answer.message.fallback is None
        parts.append(Constrain(Ranked(answer.message.items[:ITEMS], tally.titles, probable=probable), WIDTH))
        parts.append(Constrain(legend(), WIDTH))
    return Group(*parts)


def _shares(counts: Mapping[str, int], items: int) -> Columns:
    """Return each name with its share of the recommended items, greatest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return Columns([f"{count / items:4.0%} {name}" for name, count in ordered], padding=(0, 2))
