"""The demo's screen: figures above, one shopper's actions and the list that answers them below. No I/O: data to rich.

The layout fits 100 x 30 and 80 x 24. A larger terminal shows more lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from inference.retrieval.sources import SOURCES
from streams.contracts.messages import RecommendedItem
from streams.demo.tally import Act, Tally

SOURCE_LETTERS = {source.name: source.letter for source in SOURCES}
SOURCE_WORDS = {
    source.name: source.title.lower().replace(source.letter.lower(), source.letter, 1) for source in SOURCES
}
"""The name of a source in the legend. Its capital letter stands for the source beside an item."""
VERBS = {"search": "searched", "view": "viewed", "click": "clicked", "cart": "cart", "purchase": "bought"}
COLOURS = {"search": "magenta", "view": "cyan", "click": "cyan", "cart": "yellow", "purchase": "green"}
HEADER_LINES, LEGEND_LINES = 5, 1
_BORDERS = 2


@dataclass(frozen=True, slots=True)
class Screen:
    """One frame; a console of any size can render it."""

    tally: Tally
    heading: str
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        lines = max(height - HEADER_LINES - LEGEND_LINES - _BORDERS, 2)
        layout = Layout()
        layout.split_column(
            Layout(self._header(), size=HEADER_LINES), Layout(name="shopper"), Layout(legend(), size=LEGEND_LINES)
        )
        layout["shopper"].split_row(
            Layout(self._actions(lines), ratio=5), Layout(self._list(lines), ratio=8, name="list")
        )
        yield from console.render(layout, options.update(height=height))

    def _header(self) -> Panel:
        tally = self.tally
        done = Table.grid(expand=True, padding=(0, 1))
        done.add_column(no_wrap=True)
        done.add_column(ratio=1)
        done.add_column(no_wrap=True, justify="right")
        day = f"{tally.day:%a %d %b %Y}" if tally.day else "starting"
        bar = ProgressBar(total=tally.total, completed=tally.answered, complete_style="green")
        done.add_row(f"[bold]{day}[/bold]", bar, f"{tally.answered:,} of {tally.total:,} events answered")
        return Panel(Group(done, *self._figures()), title=self.heading, title_align="left", border_style="blue")

    def _figures(self) -> tuple[Text, Text]:
        sent, answered = self.tally.rates(self.now)
        rates = Text.assemble(
            *_figure("sent", f"{sent:.0f}/s"),
            *_figure("answered", f"{answered:.0f}/s"),
            *_figure("in flight", str(self.tally.unanswered)),
            *_figure("fallbacks", str(self.tally.fallbacks), alarming=self.tally.fallbacks > 0),
            *_figure("refused", str(self.tally.refused), alarming=self.tally.refused > 0),
        )
        times = self.tally.percentiles()
        if times is None:
            return rates, Text("end to end  waiting for the first lists", style="dim")
        latency = Text.assemble(
            ("end to end  ", "dim"),
            *_figure("p50", f"{times.p50:.1f} ms"),
            *_figure("p95", f"{times.p95:.1f} ms"),
            *_figure("p99", f"{times.p99:.1f} ms"),
        )
        return rates, latency

    def _actions(self, lines: int) -> Panel:
        body = Table.grid(expand=True, padding=(0, 1))
        body.add_column(width=8, no_wrap=True)
        body.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for act in reversed(list(self.tally.acts)[-lines:]):
            body.add_row(Text(VERBS[act.verb], style=COLOURS[act.verb]), Text(act.what))
        title = f"Actions of shopper {self.tally.shopper}"
        return Panel(body, title=title, title_align="left", border_style="cyan")

    def _list(self, lines: int) -> Panel:
        answer = self.tally.shown
        if answer is None:
            body: RenderableType = Text("The shopper has not done anything yet.", style="dim")
            return Panel(body, title="Recommended", title_align="left", border_style="green")
        title = Text.assemble("After: ", *told(answer.act, " "))
        late = answer.message.fallback
        body = Ranked(answer.message.items[: lines // 2], self.tally.titles, probable=late is None)
        subtitle = (
            None if late is None else Text(f"not ranked by the model: {late.replace('_', ' ')}", style="bold red")
        )
        return Panel(body, title=title, title_align="left", subtitle=subtitle, border_style="green")


def legend() -> Text:
    """Return the line that explains the sources' letters."""
    words = Text(" ".join(SOURCE_WORDS.values()), style="dim", justify="center", no_wrap=True)
    words.highlight_regex("[A-Z]", "bold not dim green")
    return words


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranked list, two lines for each item: rank, title, sources and probability, then the reason.

    `probable` is false if the model did not rank the list. Its scores are then no probabilities and are not shown.
    """

    items: tuple[RecommendedItem, ...]
    titles: Mapping[str, str]
    probable: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        origins = ["".join(SOURCE_LETTERS.get(source, "?") for source in item.sources) for item in self.items]
        widest = max(map(len, origins), default=0)
        for item, letters in zip(self.items, origins, strict=True):
            figures = f" {letters:<{widest}} {_percent(item.score) if self.probable else '':>6}"
            title = _fit(self.titles.get(item.item_id, item.item_id), width - 3 - len(figures))
            yield Text.assemble((f"{item.rank:>2} ", "dim"), (title, "bold"), (figures, "green"), no_wrap=True)
            yield Text.assemble("   ", (_fit(item.reason, width - 3), "italic dim"), no_wrap=True)


def told(act: Act, between: str) -> tuple[Text, str, str]:
    """Return an action as parts for `Text.assemble`."""
    return Text(VERBS[act.verb], style=COLOURS[act.verb]), between, act.what


def _figure(name: str, value: str, *, alarming: bool = False) -> tuple[tuple[str, str], ...]:
    return (f"{name} ", "dim"), (value, "bold red" if alarming else "bold"), ("   ", "")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}"


def _fit(text: str, width: int) -> str:
    fitted = Text(text)
    fitted.truncate(width, overflow="ellipsis", pad=True)
    return fitted.plain
