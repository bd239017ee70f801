"""The sections on single assets and on overlapping ones, for the terminal and as HTML with plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from matplotlib.axes import Axes
from rich.table import Table

from streams.value.report import Assets, AssetValue, Overlap
from training.evaluation.figures import change, metric_title, percent, share, with_margin
from training.evaluation.html import html_table, table_of
from training.evaluation.plots import BASELINE, INK, LINES, OURS, SOURCE, errors, svg_of
from training.evaluation.table import Rows, terminal_table
from training.value.study import METRICS

TITLES = {
    "source": "Sources of candidates",
    "group": "Features by kind of reason",
    "feature": "Features of the ranker",
    "type": "Types of events",
    "producer": "Producers of events",
    "field": "Fields of events",
    "context": "Keys of the context",
    "attribute": "Attributes of items",
    "history": "Days of history",
}
SHAPLEY = ("", "value, 95%", "± orders", "alone", "lost without it")
SHOWN_FEATURES = 12
"""Features that the terminal shows: those with the greatest losses and gains."""


def asset_tables(found: Assets) -> list[Table]:
    """Return a table for each kind, the most valuable assets first."""
    values, metric, k = found.values, found.metric, found.k
    tables = []
    for kind, title in TITLES.items():
        rows = _ordered(values, kind, metric)
        if not rows:
            continue
        shown = rows if kind != "feature" else _extremes(rows)
        more = f" ({len(shown)} of {len(rows)})" if len(shown) < len(rows) else ""
        per_day = ("loss a day",) if kind == "history" else ()
        header = ("", "without it", f"loss of {metric_title(metric, k)}, 95%", *per_day, "relative", "model")
        tables.append(terminal_table(title + more, header, [(each.name, *_cells(each, metric)) for each in shown]))
    return tables


def asset_html(found: Assets) -> str:
    """Return a plot and a table for each kind."""
    values, metric, k = found.values, found.metric, found.k
    parts = [f"<p>{escape(whole_note(found))}</p>"]
    shown = [each for each in METRICS if each != "recall" or metric == "recall"]
    names = [metric_title(each, k) if each != "predicted" else "predicted clicks" for each in shown]
    for kind, title in TITLES.items():
        rows = _ordered(values, kind, metric)
        if not rows:
            continue
        measured = [each for each in rows if each.loss]
        per_day = ["loss a day"] if kind == "history" else []
        header = ["", "", "has it", "without it", *(f"loss of {name}" for name in names), *per_day, "relative", "model"]
        plot = f"<figure>{losses_plot(measured, metric, k)}</figure>" if measured else ""
        body = [_row(each, shown, metric) for each in rows]
        parts.append(f"<h2>{escape(title)}</h2>{_note(rows)}{plot}{table_of(header, body)}")
    return "\n".join(parts)


def overlap_tables(found: Overlap, k: int) -> list[Table]:
    """Return the table of Shapley values."""
    title = f"Shapley values of groups of assets, {metric_title(found.metric, k)}"
    return [terminal_table(title, SHAPLEY, _shapley_rows(found), overlap_note(found))]


def overlap_html(found: Overlap, k: int) -> str:
    """Return the table and the plots of the Shapley values."""
    return f"""<h2>Shapley values of groups of assets, {metric_title(found.metric, k)}</h2>
<p>The value of a group is the mean of what it adds to the groups before it, over random orders. <em>Alone</em> is its
worth without the others, <em>lost without it</em> what is lost if only it is missing. The model is {found.model}.
{escape(overlap_note(found))}</p>
<figure>{shapley_plot(found, k)}</figure>
{html_table(SHAPLEY, _shapley_rows(found))}
<h3>Convergence</h3>
<figure>{convergence_plot(found, k)}</figure>"""


def whole_note(found: Assets) -> str:
    """Return the metrics with all data."""
    metrics = {name: each for name, each in found.whole.items() if name != "predicted"}
    named = ", ".join(f"{metric_title(name, found.k)} {with_margin(each)}" for name, each in metrics.items())
    return (
        f"With all data, {found.cases:,} lists have {named}. The ranker expects "
        f"{with_margin(found.whole['predicted'])} actions on the items of a list (predicted clicks). It also counts "
        "shoppers who leave, and here all stay."
    )


def overlap_note(found: Overlap) -> str:
    """Return how the values were estimated, and whether they add up."""
    return (
        f"{found.pairs} antithetic pairs of orders, {found.coalitions} replays of {found.events:,} events with "
        f"{found.cases:,} lists; {found.cut:.0%} of the steps cut short at {found.tolerance:.4f} from the whole. "
        f"Whole {with_margin(found.whole)}, nothing {with_margin(found.nothing)}; the values add up to their "
        f"difference {found.gap:+.4f}."
    )


def _ordered(values: Sequence[AssetValue], kind: str, metric: str) -> list[AssetValue]:
    """Return the values of a kind: periods in order of time, others by falling loss, those not measured last."""
    rows = [each for each in values if each.kind == kind]
    if kind == "history":
        return rows
    return sorted(rows, key=lambda each: -each.loss[metric].value if each.loss else float("inf"))


def _extremes(rows: Sequence[AssetValue]) -> list[AssetValue]:
    if len(rows) <= SHOWN_FEATURES:
        return [*rows]
    return [*rows[: SHOWN_FEATURES - 4], *rows[-4:]]


def _cells(each: AssetValue, metric: str) -> Iterable[str]:
    if each.without is None:
        return (each.state, "+0.0000" if each.state == "not read" else "", "", "")
    relative = "" if each.relative is None else percent(each.relative)
    per_day = (f"{each.loss[metric].value / each.days:+.5f}",) if each.days else ()
    return (share(each.without.value), change(each.loss[metric]), *per_day, relative, each.model)


def _row(each: AssetValue, shown: Sequence[str], metric: str) -> str:
    size = "" if each.size is None else f"{each.size:,}"
    if each.without is None:
        words = {"absent": "nothing has it", "not read": "the system does not read it: 0 by construction"}[each.state]
        span = len(shown) + 3
        return f'<tr><td>{escape(each.name)}</td>{_title(each)}<td>{size}</td><td colspan="{span}">{words}</td></tr>'
    cells = "".join(f"<td>{change(each.loss[name])}</td>" for name in shown)
    if each.days:
        cells += f"<td>{each.loss[metric].value / each.days:+.5f}</td>"
    relative = "" if each.relative is None else percent(each.relative)
    mark = ' class="marked"' if each.loss[metric].low > 0 or each.loss[metric].high < 0 else ""
    return (
        f"<tr{mark}><td>{escape(each.name)}</td>{_title(each)}"
        f"<td>{size}</td><td>{share(each.without.value)}</td>{cells}<td>{relative}</td><td>{each.model}</td></tr>"
    )


def _title(each: AssetValue) -> str:
    title = escape(each.title if each.title != each.name else "")
    return f'<td style="min-width: 12rem; text-align: left; white-space: normal">{title}</td>'


def _note(rows: Sequence[AssetValue]) -> str:
    cases = {each.cases for each in rows if each.cases}
    lists = f"{max(cases):,} lists. " if cases else ""
    notes = {
        "type": "Events of a missing type are still targets, so all rows have the same lists to predict.",
        "producer": "Events of a missing producer are still targets, so all rows have the same lists to predict.",
        "history": "Events of a period before the test are deleted. The lists are those of the first days of the test.",
        "group": "The features of a group are 0, as if they were absent.",
        "feature": "One feature is 0, as if it were absent.",
        "source": "The candidates of one source, its scores and its vector are left out.",
    }
    return f"<p>{lists}{notes.get(rows[0].kind, '')} Marked rows: the interval does not include 0.</p>"


def _shapley_rows(found: Overlap) -> Rows:
    return [
        (each.title, change(each.value), share(each.error), share(each.alone.value), share(each.last.value))
        for each in sorted(found.values, key=lambda each: -each.value.value)
    ]


def losses_plot(values: Sequence[AssetValue], metric: str, k: int) -> str:
    """Return bars of the losses without each asset, the greatest at the top; of periods, the latest at the top."""
    is_history = values[0].kind == "history"
    rows = values[::-1] if is_history else sorted(values, key=lambda each: each.loss[metric].value)
    found = [each.loss[metric] for each in rows]

    def value_losses(axes: Axes) -> None:
        axes.barh([each.name for each in rows], [each.value for each in found], xerr=errors(found), ecolor=INK,
                  color=[OURS if each.low > 0 else BASELINE if each.high < 0 else SOURCE for each in found],
                  height=0.7)  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"loss of {metric_title(metric, k)} without it")
        axes.set_ylabel("days before the test" if is_history else "")
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.7 + 0.26 * len(rows), value_losses)


def shapley_plot(found: Overlap, k: int) -> str:
    """Return the Shapley value of each group, between its worth alone and what is lost without it."""
    rows = sorted(found.values, key=lambda each: each.value.value)
    places = range(len(rows))

    def shapley_values(axes: Axes) -> None:
        values = [each.value for each in rows]
        axes.barh(places, [each.value for each in values], xerr=errors(values), ecolor=INK, color=OURS, height=0.6,
                  label="Shapley value")  # fmt: skip
        axes.plot([each.alone.value for each in rows], places, "D", color=BASELINE, label="alone")
        axes.plot([each.last.value for each in rows], places, "o", color=LINES[2], label="lost without it")
        axes.set_yticks(places, [each.title for each in rows])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(metric_title(found.metric, k))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.legend(loc="lower right")

    return svg_of(1.0 + 0.36 * len(rows), shapley_values)


def convergence_plot(found: Overlap, k: int) -> str:
    """Return the Shapley value of each group after each pair of orders."""
    rows = sorted(found.values, key=lambda each: -each.value.value)

    def shapley_convergence(axes: Axes) -> None:
        for number, each in enumerate(rows):
            pairs = range(1, len(each.running) + 1)
            style = "-" if number < len(LINES) else "--"
            axes.plot(pairs, each.running, style, color=LINES[number % len(LINES)], label=each.name)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("pairs of orders")
        axes.set_ylabel(metric_title(found.metric, k))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return svg_of(3.8, shapley_convergence)
