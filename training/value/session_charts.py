"""The plots of the sections on sessions, cost and the live value model, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from training.evaluation.plots import BASELINE, INK, LINES, OURS, SOURCE, errors, svg_of
from training.value.cost_advice import AssetCost
from training.value.live_retention import LiveValue, Retention
from training.value.session_report import Age, Planted, Removal


def removals(rows: Sequence[Removal]) -> str:
    """Return the effect of each removal, with intervals."""
    shown = [*rows][::-1]

    def session_removals(axes: Axes) -> None:
        found = [each.change for each in shown]
        names = [f"{each.by}, {each.share:.0%}{', whole system' if each.whole else ''}" for each in shown]
        axes.errorbar([each.value for each in found], names, xerr=errors(found), fmt="o", color=OURS, ecolor=INK)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("change of MRR@20 on later lists without these sessions")
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.9 + 0.26 * len(shown), session_removals)


def precision(rows: Sequence[Planted]) -> str:
    """Return the precision among the k lowest values, for each kind of planted session."""

    def planted_precision(axes: Axes) -> None:
        for each, colour in zip(rows, LINES, strict=False):
            for shown, style, by in ((each.shown, "-", "Shapley"), (each.shown_by_leaving_out, ":", "leave-one-out")):
                k = np.linspace(1, 2 * each.sessions, len(shown))
                axes.plot(k, shown, style, color=colour, label=f"{each.name}, {by}")
            axes.axhline(each.chance, color=SOURCE, linewidth=0.8)
        axes.set_xlabel("k sessions of the lowest value")
        axes.set_ylabel("share of planted ones")
        axes.set_ylim(0, 1)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return svg_of(3.6, planted_precision)


def ages(rows: Sequence[Age]) -> str:
    """Return the shares of the value and of the neighbours by age."""
    names = [f"{each.since}–{each.until}" if each.until else f"{each.since}+" for each in rows]

    def session_ages(axes: Axes) -> None:
        places = np.arange(len(rows))
        axes.bar(places - 0.2, [each.share for each in rows], 0.4, color=OURS, label="value")
        axes.bar(places + 0.2, [each.uses for each in rows], 0.4, color=BASELINE, label="neighbours")
        axes.set_xticks(places, names)
        axes.set_xlabel("age of the session in days")
        axes.set_ylabel("share")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend()

    return svg_of(3.2, session_ages)


def calibration(found: LiveValue) -> str:
    """Return predicted and observed values by tenth of the predictions."""
    observed, predicted = [each.observed for each in found.tenths], [each.predicted for each in found.tenths]

    def live_calibration(axes: Axes) -> None:
        ends = [min(predicted), max(predicted)]
        axes.plot(ends, ends, color=SOURCE, linewidth=0.8, label="predicted = observed")
        axes.errorbar(predicted, [each.value for each in observed], yerr=errors(observed), fmt="o-", color=OURS,
                      ecolor=INK, elinewidth=0.8, label="a tenth of the sessions")  # fmt: skip
        axes.set_xlabel("predicted value of a session, 1 = mean")
        axes.set_ylabel("value on later days")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(loc="upper left")

    return svg_of(3.8, live_calibration)


def retention(rows: Sequence[Retention]) -> str:
    """Return the differences to newest-first, with intervals."""
    shown = [*rows][::-1]

    def bounded_tables(axes: Axes) -> None:
        found = [each.change for each in shown]
        names = [f"{each.capacity:,} sessions: {each.policy}" for each in shown]
        axes.errorbar([each.value for each in found], names, xerr=errors(found), fmt="o", color=OURS, ecolor=INK)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("MRR@20 minus that of newest-first")
        axes.grid(axis="x")
        axes.set_axisbelow(True)

    return svg_of(0.9 + 0.26 * len(shown), bounded_tables)


def value_and_cost(rows: Sequence[AssetCost]) -> str:
    """Return each asset by its part of the cost and its value, one colour for each kind."""
    kinds = list(dict.fromkeys(each.kind for each in rows))

    def value_against_cost(axes: Axes) -> None:
        for kind, colour in zip(kinds, [*LINES, INK], strict=False):
            own = [each for each in rows if each.kind == kind]
            values = [each.value for each in own]
            axes.errorbar([100 * each.cost_share for each in own], [100 * each.value for each in values],
                          yerr=100 * np.array(errors(values)), fmt="o", color=colour, ecolor=colour, elinewidth=0.5,
                          label=kind)  # fmt: skip
            # The names of assets without any value would cover each other.
            for each in (each for each in own if each.value.value):
                axes.annotate(each.name, (100 * each.cost_share, 100 * each.value.value), fontsize=8,
                              textcoords="offset points", xytext=(5, 4))  # fmt: skip
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("% of the cost of its kind")
        axes.set_ylabel("% of the metric lost without it")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return svg_of(5.0, value_against_cost)
