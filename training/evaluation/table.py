"""A report for the terminal: the main figures, at a width of 100 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.evaluation.figures import change, metric_title, relation, share, with_margin
from training.evaluation.report import Calibration, Exposure, Report, Row

GROUPS = {"ours": "", "baseline": "", "source": "the system's sources, each alone"}
DATE = 10
"""The number of characters of the date in an RFC 3339 time."""
Rows = Sequence[Sequence[str]]
"""The cells of a table's rows, as text."""
Cell = tuple[str, float | None]
"""The text of a cell, and the value by which cells are compared."""


def show(report: Report, console: Console) -> None:
    """Print the report."""
    if report.verdict is not None:
        console.print(Text(report.verdict.sentence, style="bold"))
    for line in headlines(report):
        console.print(line, highlight=False)
    console.print(_main(report))
    if report.versus:
        console.print(_versus(report))
    if report.slices:
        console.print(_slices(report))
    if report.worth:
        console.print(_worth(report))
    if exposure_rows(report):
        console.print(_exposure(report))
    if report.fairness:
        console.print(_fairness(report))
    if report.calibration is not None:
        console.print(_calibration(report.calibration))
    if report.stages_us:
        stages = ", ".join(f"{name} {value:.0f}" for name, value in report.stages_us.items())
        console.print(f"Microseconds, median: {stages} (fold per interaction, others per list)", highlight=False)


def terminal_table(title: str, header: Sequence[str], rows: Rows, caption: str | None = None) -> Table:
    """Return a table whose first column is text and whose other columns are figures."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="", caption=caption
    )
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def headlines(report: Report) -> list[str]:
    """Return a few lines that summarise the data and the model."""
    data, model = report.data, report.model
    ranker = "" if model.ranker == "bundle" else f", {model.ranker} ranker"
    lines = [f"{report.protocol}, {model.name} {model.version}{ranker}"]
    if model.known_share > 0:
        tested, other = ("test period", "--ranker fitted, or a later --test-from") if data.events else (
            "searches", "other searches")  # fmt: skip
        lines.append(
            f"[yellow]The model's ranker was fitted to the {tested} (about {model.known_share:.0%} of what is tested), "
            f"so the figures are too high. Use {other}[/yellow]"
        )
    if not data.events:
        missing = f"; {data.unknown_share:.1%} of the graded items are not in the catalogue" * (data.unknown_share > 0)
        lines.append(
            f"{data.cases:,} of {data.cases_found:,} searches have items of more than one grade, "
            f"in a catalogue of {data.items:,}{missing}"
        )
        return lines
    searches = f" ({data.searches:,} searches)" if data.searches else ""
    lines.append(
        f"{data.events:,} events{searches} of {data.shoppers:,} shoppers in {data.sessions:,} "
        f"sessions, {(data.since or '')[:DATE]} to {(data.until or '')[:DATE]}, {data.items:,} items"
    )
    lines.append(f"Tested from {moment(data.tested_since)} on: {data.cases:,} of {data.cases_found:,} lists")
    if data.unknown_share > 0:
        lines.append(
            f"[yellow]{data.unknown_share:.1%} of the actions are on items that the catalogue lacks. They cannot be "
            f"recommended: {data.unknown_targets:.1%} of the targets are misses for every recommender[/yellow]"
        )
    return lines


def moment(at: str | None) -> str:
    """Return a time in a readable form."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}" if at else ""


def shown_metrics(report: Report) -> list[tuple[str, int]]:
    """Return the metrics of the main table: the two primary ones, NDCG, and those of shorter lists."""
    (first, k), second = report.primary
    ks = sorted(map(int, report.rows[0].metrics[first]))
    ndcg = [("ndcg", k)] if ("ndcg", k) not in report.primary else []
    hits = [("hr", k)] if first in ("recall", "ndcg") else []
    # As many as fit into 100 columns.
    short = [(first, each) for each in ks if each < k][-1 if hits else -2 :]
    return [(first, k), second, *ndcg, *hits, *short]


def _main(report: Report) -> Table:
    columns: list[tuple[str, Callable[[Row], Cell]]] = [
        (metric_title(metric, k), _metric(metric, k, interval=(metric, k) in report.primary))
        for metric, k in shown_metrics(report)
    ]
    k = str(report.primary[0][1])
    if any(row.coverage for row in report.rows):
        columns += [
            ("shown", lambda row: (f"{row.coverage[k]:.0%}", None)),
            ("bits", lambda row: (f"{row.novelty[k]:.1f}", None)),
            ("µs", lambda row: ("" if row.rank_us is None else f"{row.rank_us:,.0f}", None)),
        ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    recommenders = [row for row in report.rows if row.group != "source"]
    best = [
        max((value for row in recommenders if (value := cell(row)[1]) is not None), default=None) for _, cell in columns
    ]
    group = report.rows[0].group
    for row in report.rows:
        if row.group != group:
            table.add_section()
            group = row.group
        cells = [
            _bold(cell(row), top if row in recommenders else None) for (_, cell), top in zip(columns, best, strict=True)
        ]
        table.add_row(Text(row.name, style="bold" if row.name == report.rows[0].name else ""), *cells)
    if any(row.coverage for row in report.rows):
        table.caption = "±: 95%; shown: share of the catalogue; bits: novelty; µs: of a list, median"
    return table


def _metric(metric: str, k: int, *, interval: bool) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        found = row.metrics[metric][str(k)]
        return (with_margin(found) if interval else share(found.value)), found.value

    return cell


def _bold(cell: Cell, best: float | None) -> Text:
    text, value = cell
    return Text(text, style="bold" if best is not None and value == best else "")


def _versus(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{report.rows[0].name} minus each baseline, paired, 95%",
                  title_justify="left", title_style="")  # fmt: skip
    table.add_column("", no_wrap=True)
    for metric, k in report.primary:
        table.add_column(metric_title(metric, k), justify="right", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    names = list(dict.fromkeys(each.baseline for each in report.versus))
    for name in names:
        cells = []
        for each in report.versus:
            if each.baseline == name:
                cells += [change(each.difference), relation(each.relative)]
        table.add_row(Text(name, style="bold" if name == report.best_baseline else ""), *cells)
    return table


def _slices(report: Report) -> Table:
    k = report.primary[0][1]
    names = compared(report)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"Targets found among the first {k}, by slice",
                  title_justify="left", title_style="")  # fmt: skip
    table.add_column("", no_wrap=True)
    table.add_column("targets", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    by = report.slices[0].by
    for each in (part for part in report.slices if part.by != "position"):
        if each.by != by:
            table.add_section()
            by = each.by
        title = {"item": f"earlier actions: {each.name}", "shopper": f"{each.name} shopper"}[by]
        best = max(each.found[name].value for name in names)
        cells = [_bold((with_margin(each.found[name]), each.found[name].value), best or None) for name in names]
        table.add_row(title, f"{each.targets:,}", *cells)
    return table


def compared(report: Report) -> Sequence[str]:
    """Return the rows that the slices compare: the system, the best baseline, V-SkNN and popularity."""
    wanted = (report.rows[0].name, report.best_baseline, "V-SkNN", "popularity")
    present = {row.name for row in report.rows}
    return list(dict.fromkeys(name for name in wanted if name in present and name is not None))


def _worth(report: Report) -> Table:
    title = metric_title(*report.primary[0])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"Value of each source, {title}",
                  title_justify="left", title_style="",
                  caption="value: the system minus the system without the source, paired, 95%")  # fmt: skip
    for name in ("", "alone", "with it", "without it", "value"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for each in sorted(report.worth, key=lambda worth: -worth.loss.value):
        table.add_row(each.source, share(each.alone.value), share(each.whole.value), share(each.without.value),
                      change(each.loss))  # fmt: skip
    return table


def _calibration(found: Calibration) -> Table:
    title = f"Calibration: probabilities of the items of {found.lists:,} lists, by tenth"
    caption = f"{calibration_note(found)}; ±: 95%"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="",
                  caption=caption)  # fmt: skip
    for name in ("tenth", "items", "predicted", "observed"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, each in enumerate(found.tenths, start=1):
        table.add_row(str(number), f"{each.items:,}", share(each.predicted), with_margin(each.observed))
    return table


def calibration_note(found: Calibration) -> str:
    """Return the means of a calibration in one line."""
    return (
        f"mean predicted {share(found.predicted)}, observed {share(found.observed)}; "
        f"calibration error {share(found.error)}"
    )


EXPOSURE_TITLES = {
    "age": "age: {}",
    "popularity": "popularity, tenth {} of 10",
    "seller": "seller: {}",
}
"""The title of each group of items, by kind of group."""


def exposed(report: Report) -> Sequence[str]:
    """Return the rows whose exposure is shown: those of the slices, and the retrieval order."""
    return [*compared(report), *(row.name for row in report.rows[1:2] if row.name not in compared(report))]


def exposure_rows(report: Report) -> Sequence[Exposure]:
    """Return the groups whose exposure is shown.

    A group without items that no list shows says nothing: a small shop has items in few tenths of popularity only. Nor
    does the only group of its kind, which has all items and all exposure: without sellers, that is `none`.
    """
    names = exposed(report)
    rows = [each for each in report.exposure if each.items or any(each.shown[name] for name in names)]
    groups = Counter(each.by for each in rows)
    return [each for each in rows if groups[each.by] > 1]


def _exposure(report: Report) -> Table:
    names, rows = exposed(report), exposure_rows(report)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Exposure of items, 1 / log2(1 + rank), by group",
                  title_justify="left", title_style="",
                  caption="items: share of the catalogue; Gini: 0 if all items have the same exposure")  # fmt: skip
    table.add_column("", no_wrap=True)
    table.add_column("items", justify="right")
    for name in names:
        table.add_column(name, justify="right")
    by = rows[0].by
    for each in rows:
        if each.by != by:
            table.add_section()
            by = each.by
        cells = (f"{each.shown[name]:.1%}" for name in names)
        table.add_row(EXPOSURE_TITLES[by].format(each.name), f"{each.items:.1%}", *cells)
    table.add_section()
    table.add_row("Gini", "", *(share(report.concentration[name].gini) for name in names))
    table.add_row("coverage", "", *(f"{report.concentration[name].coverage:.1%}" for name in names))
    return table


def _fairness(report: Report) -> Table:
    caption = "cost: minus fairness 0, paired, 95%; shares of the exposure; tail: the less popular half"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Cost of INTENTSTREAM_FAIRNESS",
                  title_justify="left", title_style="", caption=caption)  # fmt: skip
    table.add_column("", no_wrap=True)
    for metric, k in report.primary:
        table.add_column(metric_title(metric, k), justify="right", no_wrap=True)
        table.add_column("cost", justify="right", no_wrap=True)
    for name in ("new", "small sellers", "tail", "Gini"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in report.fairness:
        cells = []
        for metric, _ in report.primary:
            cells += [share(each.metrics[metric].value), change(each.cost[metric]) if each.fairness else ""]
        table.add_row(f"{each.fairness:g}", *cells, f"{each.new:.1%}", f"{each.small_sellers:.1%}",
                      f"{each.tail:.1%}", share(each.concentration.gini))  # fmt: skip
    return table
