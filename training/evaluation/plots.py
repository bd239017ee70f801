"""The plots of a report as SVG for an HTML page. Text stays text and has the page's colour, light or dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams.value.estimates import Estimate
from training.evaluation.figures import TITLES, metric_title
from training.evaluation.report import Calibration, Report, Row, Slice
from training.evaluation.table import compared

INK = "#123456"
"""The placeholder of the page's own colour. Nothing else has this colour."""
OURS, BASELINE, SOURCE = "#d9822b", "#3f86c9", "#8a8f98"
LINES = (OURS, BASELINE, "#2a9d6f", "#a06cc8", SOURCE)
COLOURS = {"ours": OURS, "baseline": BASELINE, "source": SOURCE}
STYLE = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "grid.color": SOURCE, "grid.alpha": 0.35,
}  # fmt: skip
WIDTH = 8.0


def plots(report: Report) -> list[tuple[str, str]]:
    """Return the title and the SVG of each plot for which the report has figures."""
    metric, k = report.primary[0]
    title = metric_title(metric, k)
    drawn = [
        (f"{title} with 95% intervals", _bars(report, metric, k)),
        (f"{TITLES[metric]} by list length", _by_length(report, metric)),
    ]
    for by, words in (("item", "earlier actions on the item"), ("position", "position in the session")):
        if parts := [each for each in report.slices if each.by == by]:
            drawn.append((f"Targets found among the first {k}, by {words}", _by_slice(report, parts)))
    if report.worth:
        drawn.append((f"Value of each source: {title} with the source minus without it", _worth(report)))
    if any(each.protected for each in report.fairness):
        drawn.append((f"Cost of fairness: {title} against the exposure of protected items", _fairness(report)))
    if report.calibration is not None:
        drawn.append(
            ("Probabilities against what shoppers did, by tenth of the listed items", _calibration(report.calibration))
        )
    if any(row.rank_us for row in report.rows):
        drawn.append(("Time of a list in microseconds (median)", _times(report)))
    return drawn


def svg_of(height: float, draw: Callable[[Axes], object]) -> str:
    """Return a plot as SVG. `draw` draws it, and its qualified name makes the ids in the SVG."""
    # Without a salt, ids in the SVG are random and the page differs at each run.
    with rc_context({**STYLE, "svg.hashsalt": draw.__qualname__}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.add_subplot())
        text = StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def errors(found: Sequence[Estimate]) -> list[list[float]]:
    """Return the distances from each value to the ends of its interval."""
    return [[max(each.value - each.low, 0) for each in found], [max(each.high - each.value, 0) for each in found]]


def changes_plot(names: Sequence[str], changes: Sequence[Estimate], label: str) -> str:
    """Return changes with their intervals, the first at the top."""

    def named_changes(axes: Axes) -> None:
        shown = changes[::-1]
        axes.errorbar([each.value for each in shown], names[::-1], xerr=errors(shown), fmt="o", color=OURS, ecolor=INK)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(label)
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.9 + 0.26 * len(changes), named_changes)


def _bars(report: Report, metric: str, k: int) -> str:
    rows = report.rows[::-1]
    found = [row.metrics[metric][str(k)] for row in rows]

    def bars(axes: Axes) -> None:
        axes.barh([row.name for row in rows], [each.value for each in found], xerr=errors(found), ecolor=INK,
                  color=[COLOURS[row.group] for row in rows], height=0.7)  # fmt: skip
        axes.set_xlabel(metric_title(metric, k))
        axes.set_xlim(left=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.6 + 0.28 * len(rows), bars)


def _by_length(report: Report, metric: str) -> str:
    rows = _compared(report)

    def by_length(axes: Axes) -> None:
        for row, colour in zip(rows, LINES, strict=False):
            ks = sorted(map(int, row.metrics[metric]))
            found = [row.metrics[metric][str(k)] for k in ks]
            axes.fill_between(ks, [each.low for each in found], [each.high for each in found], color=colour, alpha=0.2)
            axes.plot(ks, [each.value for each in found], "o-", color=colour, label=row.name)
        axes.set_xticks(sorted(map(int, rows[0].metrics[metric])))
        axes.set_xlabel("k")
        axes.set_ylabel(f"{TITLES[metric]}@k")
        _finish(axes)

    return svg_of(3.6, by_length)


def _by_slice(report: Report, parts: Sequence[Slice]) -> str:
    names = compared(report)
    width = 0.8 / len(names)

    def by_slice(axes: Axes) -> None:
        for place, (name, colour) in enumerate(zip(names, LINES, strict=False)):
            found = [each.found[name] for each in parts]
            axes.bar([x + (place - (len(names) - 1) / 2) * width for x in range(len(parts))],
                     [each.value for each in found], width, yerr=errors(found), ecolor=INK, color=colour,
                     label=name, error_kw={"linewidth": 0.8})  # fmt: skip
        axes.set_xticks(range(len(parts)), [f"{each.name}\n{each.targets:,}" for each in parts])
        axes.set_ylabel("share found")
        _finish(axes)

    return svg_of(3.6, by_slice)


def _worth(report: Report) -> str:
    worth = sorted(report.worth, key=lambda each: each.loss.value)
    losses = [each.loss for each in worth]

    def worths(axes: Axes) -> None:
        axes.barh([each.source for each in worth], [each.value for each in losses], xerr=errors(losses), ecolor=INK,
                  color=[OURS if each.value > 0 else SOURCE for each in losses], height=0.7)  # fmt: skip
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"loss of {metric_title(*report.primary[0])} without the source")
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.6 + 0.3 * len(worth), worths)


def _fairness(report: Report) -> str:
    metric, k = report.primary[0]
    found = [each.metrics[metric] for each in report.fairness]
    exposure = [100 * each.protected for each in report.fairness]

    def fairness(axes: Axes) -> None:
        axes.errorbar(exposure, [each.value for each in found], yerr=errors(found), fmt="o-", color=OURS, ecolor=INK,
                      elinewidth=0.8)  # fmt: skip
        for each, x, estimate in zip(report.fairness, exposure, found, strict=True):
            axes.annotate(f"{each.fairness:g}", (x, estimate.value), textcoords="offset points", xytext=(6, 6))
        axes.set_xlabel("% of the exposure: items without any action, and items of small sellers")
        axes.set_ylabel(metric_title(metric, k))
        axes.grid()
        axes.set_axisbelow(True)

    return svg_of(3.6, fairness)


def _calibration(calibration: Calibration) -> str:
    found = [each.observed for each in calibration.tenths]
    predicted = [each.predicted for each in calibration.tenths]
    greatest = max([*predicted, *(each.high for each in found)]) * 1.05 or 1.0

    def reliability(axes: Axes) -> None:
        axes.plot([0, greatest], [0, greatest], color=SOURCE, linewidth=0.8, label="predicted = observed")
        axes.errorbar(predicted, [each.value for each in found], yerr=errors(found), fmt="o-", color=OURS, ecolor=INK,
                      elinewidth=0.8, label="a tenth of the items")  # fmt: skip
        # Most probabilities are small. Roots spread them, and still have a place for 0.
        for set_scale, set_limits in ((axes.set_xscale, axes.set_xlim), (axes.set_yscale, axes.set_ylim)):
            set_scale("function", functions=(_root, _square))
            set_limits(0, greatest)
        axes.set_xlabel("predicted: mean probability")
        axes.set_ylabel("observed: share acted on")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(loc="upper left")

    return svg_of(4.6, reliability)


def _root(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.sqrt(np.maximum(values, 0.0))


def _square(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.square(values)


def _times(report: Report) -> str:
    stages = [(f"{report.rows[0].name}: {name}", value, OURS) for name, value in report.stages_us.items()]
    others = [(row.name, row.rank_us, COLOURS[row.group]) for row in report.rows if row.rank_us]
    bars = [*others, *stages][::-1]

    def times(axes: Axes) -> None:
        axes.barh([name for name, _, _ in bars], [value for _, value, _ in bars],
                  color=[colour for _, _, colour in bars], height=0.7)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("µs")
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.6 + 0.28 * len(bars), times)


def _compared(report: Report) -> list[Row]:
    return [row for name in compared(report) if (row := report.row(name)) is not None]


def _finish(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
