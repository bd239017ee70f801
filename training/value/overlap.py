"""The section on overlapping assets: Shapley values of groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import or_
from threading import Event

import numpy as np
from rich.console import RenderableType

from streams.value.report import FROZEN, RETRAINED, Overlap, ShapleyValue
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.figures import metric_title, share
from training.value import views
from training.value.assets import groups
from training.value.planning import MARGIN, overlap_seconds, plan_overlap
from training.value.sections import RunContext
from training.value.shapley import Coalition, Order, Shapley, Walk, antithetic_orders, shapley, walk
from training.value.study import METRICS, Floats, Scope, ranking
from training.value.variants import COMPLETE, Variant

LISTS = 1000
"""Lists of a replay for Shapley values, at most."""


@dataclass(frozen=True, slots=True)
class OverlapSection:
    """The section. `k` is the length of the lists."""

    found: Overlap
    k: int

    def to_json(self) -> object:
        """Return the values."""
        return self.found

    def sentence(self) -> str:
        """Say how the worth of all data divides."""
        found = self.found
        total = found.whole.value - found.nothing.value
        best = sorted(found.values, key=lambda each: -each.value.value)[:2]
        names = " and ".join(f"{each.title} ({each.value.value / total:.0%})" for each in best if total > 0)
        title = metric_title(found.metric, self.k)
        return (
            f"All data together raise {title} from {share(found.nothing.value)} to {share(found.whole.value)}. "
            + (f"Most of it is due to {names}." if names else "")
        ).strip()

    def tables(self) -> Sequence[RenderableType]:
        """Return the table of the values."""
        return views.overlap_tables(self.found, self.k)

    def html(self) -> str:
        """Return the table, and plots of the values and of their convergence."""
        return views.overlap_html(self.found, self.k)


def overlap(context: RunContext) -> OverlapSection | None:
    """Estimate the Shapley values; None if the log has fewer than two groups of assets."""
    study, limits = context.study, context.limits
    whole = Scope(context.full_scope.events, min(limits.lists, LISTS))
    number = len(groups(study, study.part(whole)))
    if number < 2:
        return None
    jobs = context.runner.jobs
    plan = plan_overlap(context.costs, whole, number, MARGIN * context.remaining_s(), jobs)
    if limits.events is not None:
        plan = plan._replace(scope=whole)
    if limits.pairs is not None:
        plan = plan._replace(pairs=limits.pairs)
    scope, pairs = plan
    minutes = overlap_seconds(context.costs, plan, number, jobs) / 60
    part = study.part(scope)
    players = groups(study, part)
    context.note(
        f"Shapley values: {len(players)} groups, {pairs} pairs of orders, replays of the newest {scope.events:,} "
        f"events with {len(part.cases):,} of {part.found:,} lists, about {max(minutes, 0.1):.1f} minutes"
    )
    worth = Coalitions(context, scope, [variant for _, variant in players.values()])
    everyone = frozenset(range(len(players)))
    column = METRICS.index(study.options.primary)
    # Before the threads start, so that both are known to all walks.
    full, empty = worth(everyone), worth(frozenset())
    tolerance = limits.tolerance * abs(float((full - empty)[:, column].mean()))
    orders = antithetic_orders(len(players), pairs, study.options.seed)
    walks = _walked(context, worth, orders, tolerance)
    found = shapley(zip(walks[::2], walks[1::2], strict=True))
    titles = {name: title for name, (title, _) in players.items()}
    return OverlapSection(_reported(worth, titles, found, tolerance), study.options.k)


def _walked(
    context: RunContext, worth: Coalitions, orders: Sequence[tuple[Order, Order]], tolerance: float
) -> list[Walk]:
    """Return the walk of each order, both of a pair one after the other."""
    first = METRICS.index(context.study.options.primary)
    columns = [first, *_others(first)]
    advance = context.start_phase("Shapley values", 2 * len(orders))
    is_stopped = Event()

    def some_worth(coalition: Coalition) -> Floats:
        if is_stopped.is_set():
            raise CancelledError
        return worth(coalition)[:, columns]

    def walked(order: Order) -> Walk:
        found = walk(order, some_worth, tolerance)
        advance(1)
        return found

    # Walks share nothing but the results of replays, so each thread takes the next one. A thread cannot be ended from
    # outside: after Ctrl-C or an error, it ends before its next replay.
    with ThreadPoolExecutor(context.runner.jobs) as threads:
        try:
            return list(threads.map(walked, [order for pair in orders for order in pair]))
        except BaseException:
            is_stopped.set()
            raise


class Coalitions:
    """The worth of coalitions: replays of the shop that has their assets only.

    Args:
        context: the study and its runner.
        scope: the part of the log.
        without: the shop without each player's assets.

    Attributes:
        study, scope: the data, and the part of the log.
        visited: the replays so far.
    """

    def __init__(self, context: RunContext, scope: Scope, without: Sequence[Variant]) -> None:
        self.study, self.scope = context.study, scope
        self._runner, self._without = context.runner, without
        self._everyone = frozenset(range(len(without)))
        self.visited: set[str] = set()

    def __call__(self, coalition: Coalition) -> Floats:
        """Return the metrics of each case, (cases, METRICS). Safe to call from several threads."""
        variant = reduce(or_, (self._without[each] for each in sorted(self._everyone - coalition)), COMPLETE)
        job = self.study.job(self.scope, variant)
        self.visited.add(job.key)
        return ranking(self._runner.result(job))


def _others(column: int) -> list[int]:
    return [each for each in range(len(METRICS)) if each != column]


def _reported(worth: Coalitions, players: Mapping[str, str], found: Shapley, tolerance: float) -> Overlap:
    """Return the values with their intervals. `players` are the titles of the groups by name."""
    study, scope = worth.study, worth.scope
    part = study.part(scope)
    first = METRICS.index(study.options.primary)
    columns = [METRICS[each] for each in (first, *_others(first))]
    users, seed, everyone = part.cases.user, study.options.seed, frozenset(range(len(players)))
    full, empty = worth(everyone)[:, first], worth(frozenset())[:, first]
    single = np.stack([worth(frozenset({each}))[:, first] - empty for each in sorted(everyone)])
    last = np.stack([full - worth(everyone - {each})[:, first] for each in sorted(everyone)])
    values = np.moveaxis(found.values, 0, 1)  # (cases, players, METRICS)
    ends = (full[:, None], empty[:, None])
    # All figures are columns of one array, so they share their resamples and their differences are paired. The order of
    # the columns is read again below: values of each player and metric, alone, last, and the two ends.
    stacked = np.concatenate([values.reshape(len(users), -1), single.T, last.T, *ends], axis=1)
    draws, means = resampled_means(stacked, users, seed), stacked.mean(axis=0)
    every = [estimate(float(means[column]), draws[:, column]) for column in range(stacked.shape[1])]
    size = len(players) * len(METRICS)
    rows = []
    for number, (name, title) in enumerate(players.items()):
        own = every[number * len(METRICS) : (number + 1) * len(METRICS)]
        rows.append(
            ShapleyValue(
                name=name,
                title=title,
                value=own[0],
                error=float(found.errors[number, 0]) if len(found.by_pair) > 1 else 0.0,
                alone=every[size + number],
                last=every[size + len(players) + number],
                metrics=dict(zip(columns, own, strict=True)),
                running=found.running[:, number, 0].tolist(),
            )
        )
    return Overlap(
        events=scope.events,
        cases=len(users),
        metric=study.options.primary,
        whole=every[-2],
        nothing=every[-1],
        values=rows,
        gap=sum(each.value.value for each in rows) - (every[-2].value - every[-1].value),
        pairs=len(found.by_pair),
        coalitions=len(worth.visited),
        cut=found.cut,
        tolerance=tolerance,
        model=RETRAINED if study.options.retrained else FROZEN,
    )
