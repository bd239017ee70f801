"""The demo's output: a live screen on a terminal, otherwise a line every few seconds, and the summary at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.demo.statistics import Statistics
from streams.demo.view import Ranked, Screen, action_text
from streams.terminal import Printable

PLAIN_SECONDS = 5.0
WIDTH = 100
ITEMS = 5


class LiveOutput:
    """A live view on the alternate screen; the terminal's earlier content returns at the end."""

    def __init__(self, console: Console, stats: Statistics, heading: str) -> None:
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._stats = stats
        self._heading = heading

    def start(self) -> None:
        """Switch to the alternate screen."""
        self._live.start()

    def show(self, now: float) -> None:
        """Draw the current figures."""
        if self._live.is_started:
            self._live.update(Printable(Screen(self._stats, self._heading, now)), refresh=True)

    def stop(self) -> None:
        """Switch back to the normal screen."""
        self._live.stop()


@dataclass(slots=True)
class PlainOutput:
    """A line of figures every `PLAIN_SECONDS`."""

    say: Callable[[str], None]
    stats: Statistics
    _next: float | None = None

    def start(self) -> None:
        """Start to print."""
        self._next = 0.0

    def show(self, now: float) -> None:
        """Print a line if one is due."""
        # Computed at every call: the rates need the figures of the last seconds.
        line = plain_line(self.stats, now)
        if self._next is not None and now >= self._next:
            self._next = now + PLAIN_SECONDS
            self.say(line)

    def stop(self) -> None:
        """Stop printing."""
        self._next = None


def plain_line(stats: Statistics, now: float) -> str:
    """Return the progress of the replay as one line, for output that is no terminal."""
    sent, answered = stats.rates(now)
    times = stats.percentiles()
    latency = "no times yet" if times is None else f"p50 {times.p50:.1f}  p95 {times.p95:.1f}  p99 {times.p99:.1f} ms"
    return (
        f"{stats.answered:,} of {stats.total:,} answered   {sent:.0f} sent/s  {answered:.0f} answered/s   {latency}   "
        f"fallbacks {stats.fallbacks}  refused {stats.refused}"
    )


def summary(stats: Statistics, first_list_seconds: float) -> RenderableType:
    """Return the figures of the replay and the shopper's last list."""
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim")
    figures.add_column()
    figures.add_row("events", f"{stats.sent:,} sent, {stats.answered:,} answered, {stats.unanswered:,} unanswered")
    if (times := stats.percentiles()) is not None:
        figures.add_row("end to end", f"p50 {times.p50:.1f} ms   p95 {times.p95:.1f} ms   p99 {times.p99:.1f} ms")
    figures.add_row("fallbacks", f"{stats.fallbacks:,}")
    figures.add_row("refused", f"{stats.refused:,}")
    figures.add_row("first list", f"{first_list_seconds:.1f} s after the start of the demo")
    figures.add_row("sources", _shares(stats.sources, stats.items))
    figures.add_row("reasons", _shares(stats.reasons, stats.items))
    parts: list[RenderableType] = [figures]
    if (answer := stats.shown) is not None:
        parts.append(
            Text.assemble("\nShopper ", stats.shopper, ", last: ", *action_text(answer.action, " "), ". Recommended:")
        )
        probable = answer.message.fallback is None
        parts.append(Constrain(Ranked(answer.message.items[:ITEMS], stats.titles, probable=probable), WIDTH))
    return Group(*parts)


def _shares(counts: Mapping[str, int], items: int) -> Columns:
    """Return each name with its share of the recommended items, greatest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return Columns([f"{count / items:4.0%} {name}" for name, count in ordered], padding=(0, 2))
