"""Metrics with confidence intervals: of each ranking, of differences, of slices, and of each source's value. No I/O.

Intervals are by bootstrap over shoppers; see `training.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streams.value.estimates import Estimate
from training.bootstrap import interval, resampled_means
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.figures import change, metric_title, percent, share
from training.evaluation.metrics import METRICS, Lists, Targets, at_k, coverage, gains, novelty
from training.evaluation.plan import Primary
from training.evaluation.report import Row, Slice, Verdict, Versus, Worth
from training.evaluation.system_pass import SystemResult

SEEN = ((0, 0, "no event"), (1, 9, "1–9"), (10, 99, "10–99"), (100, 999, "100–999"), (1000, None, "1,000+"))
"""Slices of items, by the number of earlier actions on the target."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The metrics of several rankings over the same cases, with the same resamples for all.

    Attributes:
        names: names of the rankings.
        columns: metric and k of each column.
        means: (rankings, columns).
        draws: resampled means, (draws, rankings, columns).
    """

    names: Sequence[str]
    columns: Sequence[tuple[str, int]]
    means: Floats
    draws: Floats

    def estimate(self, name: str, metric: str, k: int) -> Estimate:
        """Return a ranking's metric."""
        row, column = self.names.index(name), self.columns.index((metric, k))
        return estimate(float(self.means[row, column]), self.draws[:, row, column])

    def difference(self, name: str, other: str, metric: str, k: int) -> Estimate:
        """Return the difference between two rankings in a metric."""
        one, two, column = self.names.index(name), self.names.index(other), self.columns.index((metric, k))
        means, draws = self.means[:, column], self.draws[:, :, column]
        return estimate(float(means[one] - means[two]), draws[:, one] - draws[:, two])

    def relative(self, name: str, other: str, metric: str, k: int) -> Estimate | None:
        """Return the difference divided by the metric of `other`, None if that is 0 in the data or in a resample."""
        one, two, column = self.names.index(name), self.names.index(other), self.columns.index((metric, k))
        means, draws = self.means[:, column], self.draws[:, :, column]
        if means[two] <= 0 or (draws[:, two] <= 0).any():
            return None
        return estimate(float(means[one] / means[two] - 1), draws[:, one] / draws[:, two] - 1)

    def best(self, names: Sequence[str], metrics: Sequence[tuple[str, int]]) -> str | None:
        """Return the one of `names` with the highest first metric; the next metrics decide between equal ones."""
        columns = [self.columns.index(metric) for metric in metrics]
        return max(names, key=lambda name: self.means[self.names.index(name), columns].tolist(), default=None)


def estimate(value: float, draws: Floats) -> Estimate:
    """Return a mean with its interval."""
    return Estimate(value, *interval(draws))


def measure(rankings: Sequence[Ranking], targets: Targets, clusters: npt.NDArray[np.int64], ks: Sequence[int],
            seed: int) -> Measured:  # fmt: skip
    """Compute every metric at every k. `clusters` are the shoppers of the cases, (cases,)."""
    columns = [(metric, k) for k in ks for metric in METRICS]
    values = np.concatenate([_values(ranking.lists, targets, ks) for ranking in rankings], axis=1)
    # All rankings are columns of one array, so each draw has the same shoppers for all of them. Differences between
    # columns are then paired.
    draws = resampled_means(values, clusters, seed)
    shape = (len(rankings), len(columns))
    names = [ranking.name for ranking in rankings]
    return Measured(names, columns, values.mean(axis=0).reshape(shape), draws.reshape(-1, *shape))


def _values(lists: Lists, targets: Targets, ks: Sequence[int]) -> Floats:
    found = gains(lists, targets)
    at = [at_k(found, targets, k) for k in ks]
    return np.stack([metrics[name] for metrics in at for name in METRICS], axis=1)


def rows(measured: Measured, rankings: Mapping[str, Sequence[Ranking]], ks: Sequence[int], items: int,
         counts: npt.NDArray[np.int64] | None) -> Iterator[Row]:  # fmt: skip
    """Yield a row for each ranking, by group. `counts` are the actions on each item, None if there are no actions."""
    for group, members in rankings.items():
        for ranking in members:
            yield Row(
                name=ranking.name,
                group=group,
                metrics={
                    metric: {str(k): measured.estimate(ranking.name, metric, k) for k in ks} for metric in METRICS
                },
                coverage={str(k): coverage(ranking.lists, items, k) for k in ks} if counts is not None else {},
                novelty={str(k): novelty(ranking.lists, counts, k) for k in ks} if counts is not None else {},
                rank_us=float(np.median(ranking.rank_us)) if len(ranking.rank_us) else None,
                learn_us=ranking.learn_us,
            )


def versus(measured: Measured, ours: str, baselines: Sequence[str], primary: Primary) -> Iterator[Versus]:
    """Compare the system with each baseline on the two primary metrics."""
    for baseline in baselines:
        for metric, k in primary:
            difference = measured.difference(ours, baseline, metric, k)
            level = measured.estimate(baseline, metric, k).value
            yield Versus(
                baseline=baseline,
                metric=metric,
                k=k,
                difference=difference,
                relative=difference.value / level if level > 0 else None,
            )


def verdict(measured: Measured, ours: str, baseline: str | None, metric: str, k: int) -> Verdict | None:
    """Compare the system with the best baseline in a metric; None without a baseline."""
    if baseline is None:
        return None
    difference = measured.difference(ours, baseline, metric, k)
    relative = measured.relative(ours, baseline, metric, k)
    own, other = (measured.estimate(name, metric, k).value for name in (ours, baseline))
    outcome, words = outcome_of(difference)
    name = f"the best baseline ({baseline})"
    return Verdict(
        outcome=outcome,
        sentence=f"{words} {name}: {metric_title(metric, k)} {share(own)} against {share(other)}, "
        f"{change(difference) if relative is None else percent(relative)}.",
        baseline=baseline,
        metric=metric,
        k=k,
        ours=own,
        theirs=other,
        difference=difference,
        relative=relative,
    )


def outcome_of(difference: Estimate) -> tuple[Literal["better", "worse", "undecided"], str]:
    """Return the outcome of a difference, and the beginning of a sentence about it."""
    if difference.low > 0:
        return "better", "Better than"
    if difference.high < 0:
        return "worse", "Worse than"
    return "undecided", "Not distinguishable from"


def slices(rankings: Sequence[Ranking], cases: Cases, k: int, seed: int) -> Iterator[Slice]:
    """Split the targets by earlier actions on the item, by shopper and by position, and count the targets found."""
    targets = cases.targets
    case = targets.cases
    found = np.stack([_found(ranking.lists, targets, k) for ranking in rankings], axis=1)
    parts: list[tuple[str, str, npt.NDArray[np.bool_]]] = [
        # Without an upper bound each number is compared with itself.
        ("item", name, (cases.seen >= least) & (cases.seen <= (most if most is not None else cases.seen)))
        for least, most, name in SEEN
    ]
    parts += [("shopper", "new", cases.known[case] == 0), ("shopper", "known", cases.known[case] > 0)]
    places = np.unique(cases.position)
    if len(places) > 1:
        parts += [("position", str(place), cases.position[case] == place) for place in places.tolist()]
    for by, name, mask in parts:
        if not mask.any():
            continue
        # A slice holds targets, not cases. The resampled unit remains the shopper: the targets of one shopper are not
        # independent.
        draws = resampled_means(found[mask], cases.user[case[mask]], seed)
        means = found[mask].mean(axis=0).tolist()
        yield Slice(
            by=by,
            name=name,
            targets=int(mask.sum()),
            found={
                ranking.name: estimate(mean, draws[:, column])
                for column, (ranking, mean) in enumerate(zip(rankings, means, strict=True))
            },
        )


def _found(lists: Lists, targets: Targets, k: int) -> Floats:
    """Return for each target whether it is among the first `k` items of its list, 0 or 1, (m,)."""
    return np.asarray((lists[targets.cases, :k] == targets.items[:, None]).any(axis=1), dtype=np.float64)


def worths(result: SystemResult, cases: Cases, metric: str, k: int, seed: int) -> Iterator[Worth]:
    """Yield the value of each source, over the cases of the result's sample."""
    if not result.without:
        return
    some, whole = cases.take(result.sample), result.ours[0]
    # The whole system on the sample alone, so that the difference is between the same cases.
    whole = Ranking(whole.name, whole.lists[result.sample], whole.rank_us)
    measured = measure([whole, *result.without.values()], some.targets, some.user, [k], seed)
    single = measure(list(result.alone.values()), cases.targets, cases.user, [k], seed)
    for source in result.without:
        yield Worth(
            source=source,
            alone=single.estimate(source, metric, k),
            whole=measured.estimate(whole.name, metric, k),
            without=measured.estimate(source, metric, k),
            loss=measured.difference(whole.name, source, metric, k),
        )
