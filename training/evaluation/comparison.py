"""The statistical comparison of two evaluations: paired over the same cases, by bootstrap over shoppers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from streams.errors import ConfigurationError
from streams.value.estimates import Estimate
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate, outcome_of
from training.evaluation.figures import metric_title, percent, share
from training.evaluation.per_case import FLOAT, INTEGER, unpacked
from training.evaluation.report import PerCase, Report

Floats = npt.NDArray[np.float64]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of two evaluations; `difference` is the second minus the first, `relative` relative to the first.

    `chance` is the two-sided p-value of the bootstrap: how often resamples cross 0, at least 1 of the draws.
    """

    metric: str
    k: int
    first: Estimate
    second: Estimate
    difference: Estimate
    relative: Estimate | None
    chance: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of two evaluations.

    Attributes:
        sentence: the result in the primary metric.
        is_paired: whether both have the same cases.
        cases, shoppers: their numbers in the first and in the second evaluation.
        metrics: the primary metric first.
        changes: what else differs: model, options and settings, as the values of the first and of the second.
    """

    protocol: str
    sentence: str
    is_paired: bool
    cases: tuple[int, int]
    shoppers: tuple[int, int]
    metrics: list[Compared]
    changes: Mapping[str, tuple[object, object]]


class Run:
    """One evaluation and its values of each case. `name` is that of its file.

    Raises:
        ConfigurationError: the report has no values of each case, or they are damaged.
    """

    def __init__(self, name: str, report: Report) -> None:
        self.name, self.report = name, report
        if report.per_case is None:
            raise ConfigurationError(
                f"{name}: required an evaluation with values of each case, got one of an older version: evaluate again"
            )
        self.held: PerCase = report.per_case
        try:
            self.shoppers = unpacked(self.held.shoppers, INTEGER).astype(np.int64)
            self.values = {key: unpacked(each, FLOAT).astype(np.float64) for key, each in self.held.values.items()}
        except ValueError as error:
            raise ConfigurationError(f"{name}: required the values of each case, got damaged ones: {error}") from error
        if {len(each) for each in self.values.values()} != {len(self.shoppers)} or not len(self.shoppers):
            raise ConfigurationError(f"{name}: required a value of each metric for each case, got other numbers")


def compare_runs(first: Run, second: Run, *, unpaired: bool, seed: int = 0) -> Comparison:
    """Compare two evaluations.

    Raises:
        ConfigurationError: they have another protocol, no common metric, or other cases without `unpaired`.
    """
    one, other = first.report, second.report
    if one.protocol != other.protocol:
        raise ConfigurationError(
            f"required two evaluations of one protocol, got {one.protocol} in {first.name} and {other.protocol} in "
            f"{second.name}"
        )
    keys = [key for key in first.values if key in second.values]
    if not keys:
        raise ConfigurationError(
            f"required a common metric, got {', '.join(first.values)} in {first.name} and {', '.join(second.values)} "
            f"in {second.name}: use the same -k"
        )
    is_paired = first.held.cases == second.held.cases and not unpaired
    if not is_paired and not unpaired:
        raise ConfigurationError(_other_cases(first, second))
    metrics = [_compared(key, first, second, seed, is_paired=is_paired) for key in keys]
    return Comparison(
        protocol=one.protocol,
        sentence=_sentence(metrics[0], is_paired=is_paired),
        is_paired=is_paired,
        cases=(len(first.shoppers), len(second.shoppers)),
        shoppers=(len(np.unique(first.shoppers)), len(np.unique(second.shoppers))),
        metrics=metrics,
        changes=_changes(one, other),
    )


def _compared(key: str, first: Run, second: Run, seed: int, *, is_paired: bool) -> Compared:
    a, b = first.values[key], second.values[key]
    if is_paired:
        # Paired: one draw of shoppers gives the means of both, so the spread that shoppers have in common cancels out
        # in the difference.
        draws = resampled_means(np.stack([a, b], axis=1), first.shoppers, seed)
        one, other = draws[:, 0], draws[:, 1]
    else:
        # Two samples: each is resampled by its own shoppers.
        one = resampled_means(a[:, None], first.shoppers, seed)[:, 0]
        other = resampled_means(b[:, None], second.shoppers, seed + 1)[:, 0]
    metric, k = key.split("@")
    change, before, after = other - one, float(a.mean()), float(b.mean())
    # The share of resamples on the other side of 0, which is doubled below for the two sides.
    crossing = min((change <= 0).mean(), (change >= 0).mean())
    return Compared(
        metric=metric,
        k=int(k),
        first=estimate(before, one),
        second=estimate(after, other),
        difference=estimate(after - before, change),
        relative=estimate(after / before - 1, other / one - 1) if before > 0 and (one > 0).all() else None,
        # N draws cannot show a chance below 1 / N. "0 of N crossed" is therefore reported as one.
        chance=min(1.0, 2 * max(float(crossing), 1 / len(change))),
    )


def _sentence(found: Compared, *, is_paired: bool) -> str:
    _, words = outcome_of(found.difference)
    relative = "" if found.relative is None else f", {percent(found.relative)}"
    note = "" if is_paired else " The cases differ, so this is a comparison of two samples."
    title = metric_title(found.metric, found.k)
    return (
        f"B: {words[0].lower()}{words[1:]} A: {title} {share(found.second.value)} against {share(found.first.value)}"
        f"{relative}.{note}"
    )


def _other_cases(first: Run, second: Run) -> str:
    def described(run: Run) -> str:
        data = run.report.data
        return f"{run.name} has {len(run.shoppers):,} of {data.cases_found:,} lists from {data.tested_since} on"

    changed = {
        name: values
        for name, values in _changes(first.report, second.report).items()
        if name in ("sample", "seed", "test_share", "test_from", "session_gap_minutes")
    }
    because = "".join(f"; {name} {one} and {other}" for name, (one, other) in changed.items())
    return (
        f"required two evaluations of the same cases, got others: {described(first)}, {described(second)}{because}. "
        "Evaluate both on the same files with the same options, or use --unpaired"
    )


def _changes(one: Report, other: Report) -> dict[str, tuple[object, object]]:
    """Return the facts in which two evaluations differ."""

    def facts(report: Report) -> dict[str, object]:
        model = {f"model {name}": value for name, value in msgspec.structs.asdict(report.model).items()}
        return {**model, **report.options, **report.settings}

    before, after = facts(one), facts(other)
    names = dict.fromkeys([*before, *after])
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
