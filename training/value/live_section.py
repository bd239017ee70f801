"""The section on the live value model.

It shows the calibration of the model on later days, and whether a bounded table of sessions that keeps those of the
highest predicted value makes better lists than one that keeps the newest. The model is fitted to one part of the
learning period, the life of its priorities is chosen on the next part, and both are measured once, on the test period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.axes import Axes
from rich.console import RenderableType

from inference.retrieval.sessions import CAPACITY
from streams.value.live import LiveValue, Retention, Tenth
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.figures import change, relation, share
from training.evaluation.html import html_table
from training.evaluation.plots import INK, OURS, SOURCE, changes_plot, errors, svg_of
from training.evaluation.table import Rows, terminal_table
from training.value.live_model import (
    FEATURES,
    LiveStudy,
    priorities,
)
from training.value.sections import RunContext
from training.value.session_kernels import Floats
from training.value.session_log import SessionLog
from training.value.session_section import SessionSection, study_of
from training.value.session_study import (
    ByPriority,
    NewestFirst,
    SessionStudy,
    mean_of,
    rank_correlation,
    ranks_of,
    reciprocal_ranks,
)

LIVES = (5.0, 15.0, 30.0, 60.0, 120.0, 365.0)
"""Days in which a priority falls as much as by a value that is e times smaller."""
SHARES = (0.1, 0.3)
"""Capacities of the bounded tables, as shares of the sessions before the test."""
TENTHS = 10
FEWEST = 100
"""Fewest sessions, and fewest lists of either period."""
PREDICTED, ITEMS, RANDOM, DOUBLE = "predicted value", "number of items", "random", "newest first, twice the sessions"


def calibration(live: LiveStudy) -> tuple[float, list[Tenth]]:
    """Return the rank correlation and the tenths of the sessions before the test, on the lists of the test."""
    model, _, _ = live.model
    tally, _, exposure = live.valued(live.study.tested)
    own = live.final[(live.times[live.final] < live.study.tested_ms) & (exposure[live.final] > 0)]
    predicted, values, weights = model.predict(live.rows[own]), tally.values[live.keys[own]], exposure[own]
    owners = live.study.owner[live.keys[own]]
    tenths = []
    for tenth in np.array_split(np.argsort(predicted, kind="stable"), TENTHS):
        # A ratio of two means: both are resampled together, and divided in each draw.
        columns = np.stack([values[tenth], weights[tenth]], axis=1) / model.mean
        draws = resampled_means(columns, owners[tenth], live.study.seed)
        rate = columns[:, 0].sum() / weights[tenth].sum()
        tenths.append(
            Tenth(
                predicted=float(np.average(predicted[tenth], weights=weights[tenth]) / model.mean),
                observed=estimate(float(rate), draws[:, 0] / draws[:, 1] / model.mean),
            )
        )
    return rank_correlation(predicted, values / weights), tenths


def retained(live: LiveStudy, capacities: Sequence[int]) -> Iterator[Retention]:
    """Yield the comparisons for tables of these capacities."""
    study, (_, chosen), (model, _, _) = live.study, live.parts, live.model
    predictions = {PREDICTED: model.predict(live.rows), ITEMS: np.exp(live.rows[:, FEATURES.index("items")])}
    rounds = len(capacities) * (2 * len(LIVES) * len(chosen.shoppers) + 5 * len(study.tested.shoppers))
    advance = study.start_phase("Bounded tables", rounds)

    def measured(lists: SessionLog, table: NewestFirst | ByPriority) -> Floats:
        return reciprocal_ranks(ranks_of(lists, table, advance))

    for capacity in capacities:
        before = measured(study.tested, NewestFirst(capacity))
        tables: list[tuple[str, float | None, NewestFirst | ByPriority]] = []
        for name, predicted in predictions.items():
            found = {
                life: measured(chosen, ByPriority(priorities(study.whole, predicted, life), capacity)).mean()
                for life in LIVES
            }
            # The life is chosen on lists before the test. On the test's own lists, the best of several would be too
            # good.
            best = max(found, key=lambda each: float(found[each]))
            tables.append((name, best, ByPriority(priorities(study.whole, predicted, best), capacity)))
        random = np.random.default_rng(study.seed).random(len(live.keys))
        tables += [(RANDOM, None, ByPriority(random, capacity)), (DOUBLE, None, NewestFirst(2 * capacity))]
        for name, life, table in tables:
            change = mean_of(measured(study.tested, table) - before, study.tested.shoppers, study.seed)
            level = float(before.mean())
            yield Retention(
                policy=name,
                capacity=capacity,
                sessions=len(study.known),
                life_days=life,
                lists=len(before),
                newest_first=level,
                change=change,
                relative=change.value / level if level > 0 else None,
            )


def capacities(sessions: int) -> list[int]:
    """Return the capacities to measure for a log with so many sessions before the test."""
    found = [max(round(share * sessions), 1) for share in SHARES]
    return [*found, CAPACITY] if sessions > CAPACITY else found


def live_value(study: SessionStudy) -> LiveValue:
    """Fit the model, and measure its calibration and its use."""
    live = LiveStudy(study)
    model, curve, sessions = live.model
    correlation, tenths = calibration(live)
    retention = list(retained(live, capacities(len(study.known))))
    return LiveValue(
        sessions=sessions,
        weights=dict(zip(FEATURES, (model.regression.weights / model.regression.offset).tolist(), strict=True)),
        correlation=correlation,
        tenths=tenths,
        by_age={str(day): float(curve[day]) for day in (0, 1, 7, 30, 90, 180)},
        retention=retention,
        is_better=all(each.change.low > 0 for each in retention if each.policy == PREDICTED),
    )


CALIBRATION = ("tenth of the sessions", "predicted", "on later days, 95%")
RETENTION = ("kept sessions", "of", "by", "life in days", "newest first", "MRR@20 minus newest first, 95%", "relative")
WEIGHTS = ("feature", "weight")


@dataclass(frozen=True, slots=True)
class LiveSection:
    """The section."""

    found: LiveValue

    def to_json(self) -> object:
        """Return the figures."""
        return self.found

    def sentence(self) -> str:
        """Say whether the predicted value should choose the sessions that are kept."""
        found = self.found
        own = [each for each in found.retention if each.policy == PREDICTED]
        parts = ", ".join(f"{relation(each.relative)} with {each.capacity:,} sessions" for each in own)
        verdict = "beats" if found.is_better else "does not beat"
        return (
            f"A regression predicts the value of a session on later days with a rank correlation of "
            f"{found.correlation:.2f}. Keeping sessions by it {verdict} newest-first at every size ({parts} in MRR@20)."
        )

    def tables(self) -> Sequence[RenderableType]:
        """Return the tables of the calibration and of the bounded tables."""
        return [
            terminal_table("Live value model: value of a session, 1 = mean", CALIBRATION, _tenths(self.found)),
            terminal_table("Bounded tables of sessions", RETENTION, _retention(self.found)),
        ]

    def html(self) -> str:
        """Return the tables and plots."""
        found = self.found
        ages = ", ".join(f"{value:.2f} after {day} days" for day, value in found.by_age.items())
        return f"""<h2>Live value model</h2>
<p>A ridge regression over {found.sessions:,} sessions, fitted to the first part of the lists before the test. It reads
only what the stream knows when it learns a session. Rank correlation on later days: {found.correlation:.2f}. The value
of a session falls with its age: {escape(ages)}.</p>
<figure>{_calibration_plot(found)}</figure>
{html_table(CALIBRATION, _tenths(found))}
{html_table(WEIGHTS, [(name, f"{value:+.2f}") for name, value in found.weights.items()])}
<h3>Which sessions to keep</h3>
<figure>{_retention_plot(found.retention)}</figure>
{html_table(RETENTION, _retention(found))}"""


def _tenths(found: LiveValue) -> Rows:
    return [
        (str(number), f"{each.predicted:+.2f}", change(each.observed))
        for number, each in enumerate(found.tenths, start=1)
    ]


def _retention(found: LiveValue) -> Rows:
    return [
        (f"{each.capacity:,}", f"{each.sessions:,}", each.policy,
         "" if each.life_days is None else f"{each.life_days:g}", share(each.newest_first), change(each.change),
         relation(each.relative))
        for each in found.retention
    ]  # fmt: skip


def _calibration_plot(found: LiveValue) -> str:
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


def _retention_plot(rows: Sequence[Retention]) -> str:
    names = [f"{each.capacity:,} sessions: {each.policy}" for each in rows]
    return changes_plot(names, [each.change for each in rows], "MRR@20 minus that of newest-first")


def live_values(context: RunContext) -> LiveSection | None:
    """Fit the live value model and compare it with newest-first; None if the log is too short."""
    made = context.made.get("sessions")
    study = made.study if isinstance(made, SessionSection) else study_of(context)
    if min(len(study.known), len(study.valued.shoppers), len(study.tested.shoppers)) < FEWEST:
        return None
    return LiveSection(live_value(study))
