"""Is the predicted value of use to a bounded table of sessions? Keeps sessions by it, and compares with newest-first.

The model is fitted to one part of the learning period, the life of its priorities is chosen on the next part, and both
are measured once, on the test period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from inference.retrieval.sessions import CAPACITY
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.report import Estimate
from training.value.live_model import (
    FEATURES,
    Calibrated,
    age_curve,
    calibrate,
    exposures,
    features,
    final_states,
    fit,
    priorities,
)
from training.value.session_kernels import Floats, Tally
from training.value.session_log import SessionLog
from training.value.session_pass import ByPriority, NewestFirst, ranks_of, reciprocal_ranks, values_of
from training.value.session_study import Integers, SessionStudy, rank_correlation

FITTED = 0.7
"""Share of the valued lists that the model is fitted to; the others choose the life of priorities."""
LIVES = (5.0, 15.0, 30.0, 60.0, 120.0, 365.0)
"""Days in which a priority falls as much as by a value that is e times smaller."""
SHARES = (0.1, 0.3)
"""Capacities of the bounded tables, as shares of the sessions before the test."""
UNBOUNDED = 1 << 40
MOST_CHOSEN = 4000
"""Lists for the choice of a life at most."""
TENTHS = 10
PREDICTED, ITEMS, RANDOM, DOUBLE = "predicted value", "number of items", "random", "newest first, twice the sessions"


class Tenth(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the sessions by predicted value: the mean prediction, and what they were worth on later days.

    Both are relative to the mean value of all sessions when the model was fitted.
    """

    predicted: float
    observed: Estimate


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """MRR of later lists if a table of `capacity` sessions keeps those of a policy, minus that of newest-first.

    `life_days` is the chosen life of the priorities, None for policies without one.
    """

    policy: str
    capacity: int
    sessions: int
    life_days: float | None
    lists: int
    newest_first: float
    change: Estimate
    relative: float | None


class LiveValue(msgspec.Struct, frozen=True, kw_only=True):
    """The live value model.

    Attributes:
        sessions: sessions that it was fitted to.
        weights: weight of each standardised feature, relative to the mean value of a session.
        correlation: rank correlation of predictions and values on later days.
        tenths: calibration on later days.
        by_age: value of a session by its age in days, relative to its first day.
        retention: the comparisons with newest-first.
        is_better: whether the predicted value beat newest-first at each capacity that was measured.
    """

    sessions: int
    weights: dict[str, float]
    correlation: float
    tenths: list[Tenth]
    by_age: dict[str, float]
    retention: list[Retention]
    is_better: bool


@dataclass(frozen=True, eq=False)
class LiveStudy:
    """A model that is fitted to the first part of the valued lists of a study."""

    study: SessionStudy

    @cached_property
    def parts(self) -> tuple[SessionLog, SessionLog]:
        """The lists for fitting, and those for choosing."""
        valued = self.study.valued
        places = np.arange(len(valued.shoppers))
        split = round(FITTED * len(places))
        return valued.take(places[:split]), valued.take(places[split:]).sampled(MOST_CHOSEN, self.study.seed)

    @cached_property
    def rows(self) -> Floats:
        """The features of each state of a session."""
        return features(self.study.log, self.study.whole)

    @cached_property
    def final(self) -> Integers:
        """The place of the last state of each session."""
        return final_states(self.study.whole)

    @cached_property
    def times(self) -> Integers:
        """The time of each state."""
        return np.array([record.at_ms for record in self.study.whole.records], dtype=np.int64)

    @cached_property
    def keys(self) -> Integers:
        """The session of each state."""
        return np.array([record.key for record in self.study.whole.records], dtype=np.int64)

    def valued(self, lists: SessionLog) -> tuple[Tally, Floats, Floats]:
        """Return the values of sessions in an unbounded table, the curve by age, and the exposure of each state."""
        advance = self.study.start_phase("Values for the live model", len(lists.shoppers))
        tally = values_of(lists, table=NewestFirst(UNBOUNDED), progress=advance)
        curve = age_curve(lists, tally)
        return tally, curve, exposures(lists, curve)

    @cached_property
    def model(self) -> tuple[Calibrated, Floats, int]:
        """The model, the curve by age, and the number of sessions that the model was fitted to.

        It is fitted to the first part of the lists, and calibrated on the second one.
        """
        fitted, later = self.parts
        tally, curve, exposure = self.valued(fitted)
        own = self.final[self.times[self.final] < later.queries.at_ms[0]]
        regression = fit(self.rows[own], tally.values[self.keys[own]], exposure[own])
        tally, _, exposure = self.valued(later)
        return calibrate(regression, self.rows[own], tally.values[self.keys[own]], exposure[own]), curve, len(own)

    def calibration(self) -> tuple[float, list[Tenth]]:
        """Return the rank correlation and the tenths of the sessions before the test, on the lists of the test."""
        model, _, _ = self.model
        tally, _, exposure = self.valued(self.study.tested)
        own = self.final[(self.times[self.final] < self.study.tested_ms) & (exposure[self.final] > 0)]
        predicted, values, weights = model.predict(self.rows[own]), tally.values[self.keys[own]], exposure[own]
        owners = self.study.owner[self.keys[own]]
        tenths = []
        for tenth in np.array_split(np.argsort(predicted, kind="stable"), TENTHS):
            columns = np.stack([values[tenth], weights[tenth]], axis=1) / model.mean
            draws = resampled_means(columns, owners[tenth], self.study.seed)
            rate = columns[:, 0].sum() / weights[tenth].sum()
            tenths.append(
                Tenth(
                    predicted=float(np.average(predicted[tenth], weights=weights[tenth]) / model.mean),
                    observed=estimate(float(rate), draws[:, 0] / draws[:, 1] / model.mean),
                )
            )
        return rank_correlation(predicted, values / weights), tenths

    def retention(self, capacities: Sequence[int]) -> Iterator[Retention]:
        """Yield the comparisons for tables of these capacities."""
        study, (_, chosen), (model, _, _) = self.study, self.parts, self.model
        predictions = {PREDICTED: model.predict(self.rows), ITEMS: np.exp(self.rows[:, FEATURES.index("items")])}
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
                best = max(found, key=lambda each: float(found[each]))
                tables.append((name, best, ByPriority(priorities(study.whole, predicted, best), capacity)))
            random = np.random.default_rng(study.seed).random(len(self.keys))
            tables += [(RANDOM, None, ByPriority(random, capacity)), (DOUBLE, None, NewestFirst(2 * capacity))]
            for name, life, table in tables:
                change = measured(study.tested, table) - before
                draws = resampled_means(change[:, None], study.tested.shoppers, study.seed)[:, 0]
                level = float(before.mean())
                yield Retention(
                    policy=name,
                    capacity=capacity,
                    sessions=len(study.known),
                    life_days=life,
                    lists=len(before),
                    newest_first=level,
                    change=estimate(float(change.mean()), draws),
                    relative=float(change.mean()) / level if level > 0 else None,
                )


def capacities(sessions: int) -> list[int]:
    """Return the capacities to measure for a log with so many sessions before the test."""
    found = [max(round(share * sessions), 1) for share in SHARES]
    return [*found, CAPACITY] if sessions > CAPACITY else found


def live_value(study: SessionStudy) -> LiveValue:
    """Fit the model, and measure its calibration and its use."""
    live = LiveStudy(study)
    model, curve, sessions = live.model
    correlation, tenths = live.calibration()
    retention = list(live.retention(capacities(len(study.known))))
    return LiveValue(
        sessions=sessions,
        weights=dict(zip(FEATURES, (model.regression.weights / model.regression.offset).tolist(), strict=True)),
        correlation=correlation,
        tenths=tenths,
        by_age={str(day): float(curve[day]) for day in (0, 1, 7, 30, 90, 180)},
        retention=retention,
        is_better=all(each.change.low > 0 for each in retention if each.policy == PREDICTED),
    )
