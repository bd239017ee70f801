"""The plots of the value report as SVG, with the style of the evaluation's plots."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from training.evaluation.figures import metric_title
from training.evaluation.plots import BASELINE, INK, LINES, OURS, SOURCE, errors, svg_of
from training.value.report import AssetValue, Overlap


def losses(values: Sequence[AssetValue], metric: str, k: int) -> str:
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


def shapley_bars(found: Overlap, k: int) -> str:
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


def convergence(found: Overlap, k: int) -> str:
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
