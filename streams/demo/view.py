"""The demo's screen: figures above, one shopper's actions and the list that answers them below. No I/O: data to rich.

The layout fits 100 x 30 and 80 x 24. A larger terminal shows more lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from inference.plain_text import printable
from inference.retrieval.sources import SOURCES
from streams.assets.expectations import Expected
from streams.assets.inventory import DataFinding
from streams.contracts.messages import RecommendedItem
from streams.demo.statistics import Action, Statistics
from streams.demo.words import ENGLISH, Words

SOURCE_TITLES = {source.name: source.title for source in SOURCES}
VERBS = {"search": "searched", "view": "viewed", "click": "clicked", "cart": "cart", "purchase": "bought"}
COLOURS = {"search": "magenta", "view": "cyan", "click": "cyan", "cart": "yellow", "purchase": "green"}
HEADER_LINES = 6
_BORDERS = 2


@dataclass(frozen=True, slots=True)
class Screen:
    """One frame; a console of any size can render it."""

    stats: Statistics
    heading: str
    now: float
    words: Words = ENGLISH

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        lines = max(height - HEADER_LINES - _BORDERS, 2)
        layout = Layout()
        layout.split_column(Layout(self._header(), size=HEADER_LINES), Layout(name="shopper"))
        layout["shopper"].split_row(
            Layout(self._actions(lines), ratio=5), Layout(self._list(lines), ratio=8, name="list")
        )
        yield from console.render(layout, options.update(height=height))

    def _header(self) -> Panel:
        stats, words = self.stats, self.words
        done = Table.grid(expand=True, padding=(0, 1))
        done.add_column(no_wrap=True)
        done.add_column(ratio=1)
        done.add_column(no_wrap=True, justify="right")
        day = stats.day.strftime(words("%a %d %b %Y")) if stats.day else words("starting")
        bar = ProgressBar(total=stats.total, completed=stats.answered, complete_style="green")
        answered = words("%(answered)s of %(total)s events answered")
        figures = {"answered": f"{stats.answered:,}", "total": f"{stats.total:,}"}
        done.add_row(f"[bold]{day}[/bold]", bar, answered % figures)
        return Panel(
            Group(done, *self._figures(), self._data()), title=self.heading, title_align="left", border_style="blue"
        )

    def _figures(self) -> tuple[Text, Text]:
        words = self.words
        sent, answered = self.stats.rates(self.now)
        rates = Text.assemble(
            *_figure(words("sent"), f"{sent:.0f}/s"),
            *_figure(words("answered"), f"{answered:.0f}/s"),
            *_figure(words("in flight"), str(self.stats.unanswered)),
            *_figure(words("fallbacks"), str(self.stats.fallbacks), alarming=self.stats.fallbacks > 0),
            *_figure(words("refused"), str(self.stats.refused), alarming=self.stats.refused > 0),
        )
        times = self.stats.percentiles()
        if times is None:
            return rates, Text(words("end to end") + "  " + words("waiting for the first lists"), style="dim")
        latency = Text.assemble(
            (words("end to end") + "  ", "dim"),
            *_figure("p50", f"{times.p50:.1f} ms"),
            *_figure("p95", f"{times.p95:.1f} ms"),
            *_figure("p99", f"{times.p99:.1f} ms"),
        )
        return rates, latency

    def _data(self) -> Text:
        """Return a line about the quality of the data: the producer that sends wrong data, if there is one."""
        lines, words = wrong_lines(self.stats.findings, self.words), self.words
        what = (" · ".join(lines), "bold red") if lines else (words("nothing wrong"), "bold")
        return Text.assemble((words("data") + "  ", "dim"), what, no_wrap=True, overflow="ellipsis")

    def _actions(self, lines: int) -> Panel:
        body = Table.grid(expand=True, padding=(0, 1))
        body.add_column(width=8, no_wrap=True)
        body.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for action in reversed(list(self.stats.actions)[-lines:]):
            body.add_row(Text(self.words(VERBS[action.verb]), style=COLOURS[action.verb]), Text(action.what))
        title = self.words("Actions of shopper %s") % self.stats.shopper
        return Panel(body, title=title, title_align="left", border_style="cyan")

    def _list(self, lines: int) -> Panel:
        answer, words = self.stats.shown, self.words
        if answer is None:
            body: RenderableType = Text(words("The shopper has not done anything yet."), style="dim")
            return Panel(body, title=words("Recommended"), title_align="left", border_style="green")
        title = Text.assemble(words("After: "), *action_text(answer.action, " ", words))
        late = answer.message.fallback
        body = Ranked(answer.message.items[: lines // 2], self.stats.titles, probable=late is None, words=words)
        subtitle = None
        if late is not None:
            subtitle = Text(words("not ranked by the model: %s") % words(late.replace("_", " ")), style="bold red")
        return Panel(body, title=title, title_align="left", subtitle=subtitle, border_style="green")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranked list, two lines for each item: rank, title and probability, then reason and sources.

    `probable` is false if the model did not rank the list. Its scores are then no probabilities and are not shown.
    """

    items: tuple[RecommendedItem, ...]
    titles: Mapping[str, str]
    probable: bool = True
    words: Words = ENGLISH

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        for item in self.items:
            figure = f" {_percent(item.score) if self.probable else '':>6}"
            title = _fit(self.titles.get(item.item_id, item.item_id), width - 3 - len(figure))
            yield Text.assemble((f"{item.rank:>2} ", "dim"), (title, "bold"), (figure, "green"), no_wrap=True)
            yield Text.assemble("   ", *_origin(item, width - 3, self.words), no_wrap=True)


def _origin(item: RecommendedItem, width: int, words: Words) -> tuple[tuple[str, str], ...]:
    """Return the reason and the names of the sources in one line. A long reason leaves a third to the names.

    Widths are in cells of the terminal: a Chinese character takes two.
    """
    names = words(", ").join(words(SOURCE_TITLES.get(source, source)) for source in item.sources)
    if item.because.kind is None:
        return ((_fit(names, width), "dim green"),)
    between = " · "
    reason = _fit(item.reason, max(width - cell_len(between) - min(cell_len(names), width // 3), 1)).rstrip()
    return (reason, "italic dim"), (_fit(between + names, width - cell_len(reason)), "dim green")


def action_text(action: Action, between: str, words: Words = ENGLISH) -> tuple[Text, str, str]:
    """Return an action as parts for `Text.assemble`."""
    return Text(words(VERBS[action.verb]), style=COLOURS[action.verb]), between, action.what


def _figure(name: str, value: str, *, alarming: bool = False) -> tuple[tuple[str, str], ...]:
    return (f"{name} ", "dim"), (value, "bold red" if alarming else "bold"), ("   ", "")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.1 else f"{share:.2%}"


def _fit(text: str, width: int) -> str:
    fitted = Text(text)
    fitted.truncate(width, overflow="ellipsis", pad=True)
    return fitted.plain


KINDS: dict[str, str] = {
    Expected.REFUSED: "broken messages",
    Expected.UNKNOWN_ITEMS: "unknown items",
    Expected.CLOCK: "times in the future",
    Expected.DISORDER: "messages out of order",
    Expected.ROBOTS: "messages of robots",
    Expected.PERSONAL_DATA: "personal data",
    Expected.COMPLETENESS: "messages without %s",
    Expected.TYPES: "another type of %s",
    Expected.RANGE: "%s out of range",
    Expected.VALUES: "new values of %s",
    Expected.DRIFT: "%s as never before",
    Expected.MEANING: "texts of another meaning",
    Expected.VOLUME: "an unusual number of messages",
    Expected.SILENCE: "nothing any more",
}
"""Wrong data in words, by kind of finding. `%s` is the field."""
FIELDS = {"price": "prices"}
"""Names of fields for people."""


def wrong_lines(findings: Iterable[DataFinding], words: Words = ENGLISH) -> list[str]:
    """Return a line for each producer: what it sends, and since when, the first one first."""
    by_producer: dict[str, list[DataFinding]] = {}
    for each in findings:
        by_producer.setdefault(each.producer, []).append(each)
    ordered = sorted(by_producer.items(), key=lambda each: min(finding.since for finding in each[1]))
    return [_line(producer, found, words) for producer, found in ordered]


def _line(producer: str, findings: list[DataFinding], words: Words) -> str:
    kinds = dict.fromkeys(_kind(each, words) for each in sorted(findings, key=lambda each: each.since))
    since = min(each.since for each in findings).astimezone(UTC)
    return words("%(producer)s sends %(wrong)s, since %(since)s UTC") % {
        "producer": printable(producer),
        "wrong": words(", ").join(kinds),
        "since": f"{since:%H:%M:%S}",
    }


def _kind(finding: DataFinding, words: Words) -> str:
    text = words(KINDS[finding.kind])
    name = FIELDS.get(finding.field)
    return text % (words(name) if name else printable(finding.field)) if "%s" in text else text
