"""The demo's output: a live screen on a terminal, otherwise a line every few seconds, and the summary at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streams.demo.statistics import Percentiles, Statistics
from streams.demo.view import Ranked, Screen, action_text, wrong_lines
from streams.demo.words import ENGLISH, Words
from streams.terminal import Printable

PLAIN_SECONDS = 5.0
WIDTH = 100
ITEMS = 5


class LiveOutput:
    """A live view on the alternate screen; the terminal's earlier content returns at the end."""

    def __init__(self, console: Console, stats: Statistics, heading: str, words: Words) -> None:
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._stats = stats
        self._heading = heading
        self._words = words

    def start(self) -> None:
        """Switch to the alternate screen."""
        self._live.start()

    def show(self, now: float) -> None:
        """Draw the current figures."""
        if self._live.is_started:
            self._live.update(Printable(Screen(self._stats, self._heading, now, self._words)), refresh=True)

    def stop(self) -> None:
        """Switch back to the normal screen."""
        self._live.stop()


@dataclass(slots=True)
class PlainOutput:
    """A line of figures every `PLAIN_SECONDS`."""

    say: Callable[[str], None]
    stats: Statistics
    words: Words = ENGLISH
    _next: float | None = None
    _wrong: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start to print."""
        self._next = 0.0

    def show(self, now: float) -> None:
        """Print a line if one is due."""
        # Computed at every call: the rates need the figures of the last seconds.
        line = plain_line(self.stats, now, self.words)
        wrong = wrong_lines(self.stats.findings, self.words)
        if self._next is not None and wrong and wrong != self._wrong:
            self.say(self.words("Data: %s") % " · ".join(wrong))
        self._wrong = wrong or self._wrong
        if self._next is not None and now >= self._next:
            self._next = now + PLAIN_SECONDS
            self.say(line)

    def stop(self) -> None:
        """Stop printing."""
        self._next = None


def plain_line(stats: Statistics, now: float, words: Words = ENGLISH) -> str:
    """Return the progress of the replay as one line, for output that is no terminal."""
    sent, answered = stats.rates(now)
    times = stats.percentiles()
    latency = words("no times yet") if times is None else _times(times)
    line = words(
        "%(answered)s of %(total)s answered   %(sent_rate).0f sent/s  %(answered_rate).0f answered/s   %(latency)s   "
        "fallbacks %(fallbacks)d  refused %(refused)d"
    )
    return line % {
        "answered": f"{stats.answered:,}",
        "total": f"{stats.total:,}",
        "sent_rate": sent,
        "answered_rate": answered,
        "latency": latency,
        "fallbacks": stats.fallbacks,
        "refused": stats.refused,
    }


def summary(stats: Statistics, first_list_seconds: float, words: Words = ENGLISH) -> RenderableType:
    """Return the figures of the replay and the shopper's last list."""
    figures = Table.grid(padding=(0, 2))
    figures.add_column(style="dim")
    figures.add_column()
    counts = {"sent": f"{stats.sent:,}", "answered": f"{stats.answered:,}", "unanswered": f"{stats.unanswered:,}"}
    figures.add_row(words("events"), words("%(sent)s sent, %(answered)s answered, %(unanswered)s unanswered") % counts)
    if (times := stats.percentiles()) is not None:
        figures.add_row(
            words("end to end"), f"p50 {times.p50:.1f} ms   p95 {times.p95:.1f} ms   p99 {times.p99:.1f} ms"
        )
    figures.add_row(words("fallbacks"), f"{stats.fallbacks:,}")
    figures.add_row(words("refused"), f"{stats.refused:,}")
    wrong = wrong_lines(stats.findings, words)
    figures.add_row(words("data"), Text("\n".join(wrong) or words("nothing wrong")))
    figures.add_row(words("first list"), words("%.1f s after the start of the demo") % first_list_seconds)
    figures.add_row(words("sources"), _shares(stats.sources, stats.items, ENGLISH))
    figures.add_row(words("reasons"), _shares(stats.reasons, stats.items, words))
    parts: list[RenderableType] = [figures]
    if (answer := stats.shown) is not None:
        last, recommended = words("Shopper %s, last: ") % stats.shopper, words(". Recommended:")
        parts.append(Text.assemble("\n", last, *action_text(answer.action, " ", words), recommended))
        probable = answer.message.fallback is None
        ranked = Ranked(answer.message.items[:ITEMS], stats.titles, probable=probable, words=words)
        parts.append(Constrain(ranked, WIDTH))
    return Group(*parts)


def _times(times: Percentiles) -> str:
    return f"p50 {times.p50:.1f}  p95 {times.p95:.1f}  p99 {times.p99:.1f} ms"


def _shares(counts: Mapping[str, int], items: int, words: Words) -> Columns:
    """Return each name with its share of the recommended items, greatest first."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return Columns([f"{count / items:4.0%} {words(name)}" for name, count in ordered], padding=(0, 2))
