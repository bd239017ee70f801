"""Trends: decayed counts of items, a set for each partition, merged to the popularity of all. No I/O.

Each partition has two sets: short-term trends with a short half-life, and long-term popularity with a long one. Counts
decay forward (see `inference.kernels.counters`): no count changes as time passes, and a late event has the weight of
its time.

An item is published once `min_shoppers` distinct shoppers of the partition acted on it, with at most so much weight as
they may have together (`inference.kernels.support`), and no shopper counts more for it than the second heaviest one
(`inference.kernels.counters`). A shopper belongs to one partition, so no shopper counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels import counters as kernels
from inference.kernels.counters import HEAVIEST, LANDMARK_MS, LATEST_MS, LENGTH, Actions, Counters
from inference.kernels.support import ANY, Support, all_supported
from inference.types import Keys
from streams.contracts.internal import TrendingSnapshot
from streams.items.trend_counts import (
    NOTHING,
    Counts,
    Heaviest,
    Popularity,
    PurchaseCounts,
    Shares,
    TrendIncrements,
    Weights,
    added,
    heaviest_of,
    rate,
)

SNAPSHOT_ITEMS, LASTING_ITEMS = 500, 1000
"""Items that a partition publishes, of short-term trends and of long-term popularity."""
KEPT_TIMES = 4
"""Counted items of a partition, as a multiple of the published ones. At twice as many the lightest are dropped."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the two sets: its half-life, the number of items that a partition publishes, and the conditions."""

    half_life_ms: float
    published: int
    support: Support

    @property
    def kept(self) -> int:
        """The number of items that are counted at least."""
        return KEPT_TIMES * self.published

    def resumed(self, snapshot: Heaviest) -> Counters:
        """Return counters that continue from a snapshot."""
        counted = kernels.counters(max(2 * self.kept, len(snapshot.keys)), self.published, snapshot.as_of_ms)
        self._count_snapshot(counted, snapshot)
        return counted

    def count(self, counted: Counters, increments: TrendIncrements, partition: int) -> None:
        """Count a partition's actions. If the counters are full, drop the lightest items."""
        # The kernel returns the action at which the counters are full, or the number of actions.
        action, number = 0, len(increments.keys)
        actions = Actions(*increments)
        rules = (partition, self.half_life_ms, self.support)
        while (action := kernels.count(counted, actions, action, *rules)) < number:
            self._forget_lightest(counted)

    def heaviest(self, counted: Counters) -> Heaviest:
        """Return the items to publish, heaviest first."""
        landmark_ms, latest_ms = int(counted.numbers[LANDMARK_MS]), int(counted.numbers[LATEST_MS])
        rows = counted.heaviest[: counted.numbers[HEAVIEST]]
        keys, shoppers = counted.keys[rows], counted.shoppers[rows]
        weights = counted.weights[rows] * decay(latest_ms - landmark_ms, self.half_life_ms)
        used = all_supported(weights, shoppers, self.support)
        # The limit by shoppers can put an item behind lighter ones that have more shoppers.
        if (used < weights).any():
            order = np.lexsort((keys, used))[::-1]
            keys, used, shoppers = keys[order], used[order], shoppers[order]
        return Heaviest(latest_ms, keys, used, shoppers)

    def merged(self, snapshots: list[Heaviest]) -> Heaviest:
        """Return the sum of snapshots of different times. Each contains only what has support."""
        now_ms = max((snapshot.as_of_ms for snapshot in snapshots), default=0)
        # Select the heaviest at the end: sorted on the way, each item would rise once for each snapshot.
        total = kernels.counters(sum(len(snapshot.keys) for snapshot in snapshots), 0, now_ms)
        for snapshot in snapshots:
            self._count_snapshot(total, snapshot)
        return Heaviest(now_ms, *_selected(total, self.published))

    def _forget_lightest(self, counted: Counters) -> None:
        """Keep the `kept` heaviest items, measured against the same landmark, and drop the others."""
        # With all that was held back, so that an item with one shopper can wait for the second one.
        number = int(counted.numbers[LENGTH])
        held_back = np.abs(counted.leading[:number, 0] - counted.leading[:number, 1])
        rows = _heaviest_rows(counted.keys[:number], counted.weights[:number] + held_back, self.kept)
        kept = (int(counted.numbers[LANDMARK_MS]), counted.keys[rows], counted.weights[rows], counted.shoppers[rows])
        leading, leaders = counted.leading[rows], counted.leaders[rows]
        counted.table[:] = kernels.EMPTY
        counted.ranks[:] = kernels.NONE
        counted.numbers[LENGTH] = counted.numbers[HEAVIEST] = 0
        # Counted at the landmark, the weights stay as they are. Rows are given in this order, so `leading` and
        # `leaders` fit.
        self._count_snapshot(counted, Heaviest(*kept))
        counted.leading[: len(rows)], counted.leaders[: len(rows)] = leading, leaders

    def _count_snapshot(self, counted: Counters, snapshot: Heaviest) -> None:
        number = len(snapshot.keys)
        partitions, at_ms = np.zeros(number, dtype=np.int32), np.full(number, snapshot.as_of_ms, dtype=np.int64)
        actions = Actions(partitions, snapshot.keys, at_ms, snapshot.weights, snapshot.shoppers)
        # Without a limit of the weight of one shopper: weights of a snapshot are those of several.
        kernels.count(counted, actions, 0, 0, self.half_life_ms, Support(self.support.min_shoppers))


class _Snapshot(NamedTuple):
    now: Heaviest
    lasting: Heaviest
    purchases: Counts = (0, 0)


class _Partition(NamedTuple):
    now: Counters
    lasting: Counters
    purchases: Counts


class Trending:
    """Counts of the partitions that this worker owns, and the newest snapshots of all others.

    Not thread-safe: one thread at a time may use it.
    """

    def __init__(
        self,
        half_life_ms: float,
        lasting_half_life_ms: float = 30 * 86_400e3,
        support: Support = ANY,
        *,
        is_private: bool = False,
    ) -> None:
        """With `is_private`, lists use only what was released (`private_trends.py`), of the own partitions too."""
        self._is_private = is_private
        self._now = Measure(half_life_ms, SNAPSHOT_ITEMS, support)
        self._lasting = Measure(lasting_half_life_ms, LASTING_ITEMS, support)
        self._counts: dict[int, _Partition] = {}
        self._snapshots: dict[int, _Snapshot] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Return the number of counts in all owned partitions."""
        return sum(int(counted.numbers[LENGTH]) for each in self._counts.values() for counted in each[:2])

    def add(self, increments: TrendIncrements, purchases: PurchaseCounts = NOTHING) -> None:
        """Count actions, and the purchases of returning buyers with those that repeat an item, by partition."""
        for partition in set(increments.partition.tolist()):
            counts = self._counts.get(partition)
            if counts is None:
                first_ms = int(increments.at_ms[increments.partition == partition][0])
                counts = self._counts[partition] = self._resumed(partition, first_ms)
            self._now.count(counts.now, increments, partition)
            self._lasting.count(counts.lasting, increments, partition)
            self._changed.add(partition)
        for partition, more in purchases.items():
            if partition in self._counts:
                counts = self._counts[partition]
                self._counts[partition] = counts._replace(purchases=added(counts.purchases, more))

    def restore(self, snapshot: TrendingSnapshot) -> None:
        """Store a snapshot. Ignore that of a partition which this worker counts itself, unless counts are private."""
        if self._is_private or snapshot.partition not in self._counts:
            self._snapshots[snapshot.partition] = _Snapshot(
                heaviest_of(snapshot.as_of_ms, snapshot.counts, snapshot.shoppers),
                heaviest_of(snapshot.as_of_ms, snapshot.lasting, snapshot.shoppers),
                snapshot.purchases,
            )

    def release(self, partition: int) -> None:
        """Stop counting a partition. Its last snapshot is used until its new owner publishes one."""
        if partition in self._counts:
            self._snapshots |= {} if self._is_private else {partition: self._snapshot(partition)}
            del self._counts[partition]
        self._changed.discard(partition)

    def take_changed(self, is_due: Callable[[int], bool] = lambda _: True) -> Iterator[TrendingSnapshot]:
        """Yield a snapshot of each partition that changed since the last call and is due, one at a time."""
        for partition in sorted(filter(is_due, self._changed)):
            if partition not in self._changed:  # released while the caller sent the last snapshot
                continue
            self._changed.discard(partition)
            now, lasting, purchases = self._snapshot(partition)
            yield TrendingSnapshot(
                partition=partition,
                as_of_ms=now.as_of_ms,
                counts=Shares(now.keys, now.weights).mapping(),
                lasting=Shares(lasting.keys, lasting.weights).mapping(),
                shoppers={**now.few_shoppers(), **lasting.few_shoppers()},
                purchases=purchases,
            )

    def popularity(self) -> Popularity:
        """Return the short-term and long-term popularity over all partitions."""
        # The only partition needs no merge.
        if len(self._counts) == 1 and not self._snapshots and not self._is_private:
            (partition,) = self._counts
            only = self._snapshot(partition)
            return Popularity(_shares(only.now), _shares(only.lasting), rate([only.purchases]))
        own = {} if self._is_private else {partition: self._snapshot(partition) for partition in self._counts}
        known = {**self._snapshots, **own}
        snapshots = [known[partition] for partition in sorted(known)]
        return Popularity(
            _shares(self._now.merged([snapshot.now for snapshot in snapshots])),
            _shares(self._lasting.merged([snapshot.lasting for snapshot in snapshots])),
            rate(snapshot.purchases for snapshot in snapshots),
        )

    def _snapshot(self, partition: int) -> _Snapshot:
        counts = self._counts[partition]
        return _Snapshot(self._now.heaviest(counts.now), self._lasting.heaviest(counts.lasting), counts.purchases)

    def _resumed(self, partition: int, at_ms: int) -> _Partition:
        """Return counters of a partition that continue from its snapshot, if there is one."""
        empty = heaviest_of(at_ms, {}, {})
        # Private lists go on using what was released. Otherwise the counters take the snapshot's place.
        take = self._snapshots.get if self._is_private else self._snapshots.pop
        snapshot = take(partition, _Snapshot(empty, empty))
        return _Partition(self._now.resumed(snapshot.now), self._lasting.resumed(snapshot.lasting), snapshot.purchases)


def _shares(heaviest: Heaviest) -> Shares:
    """Return the items' shares of the heaviest one's weight."""
    weights = heaviest.weights
    if not len(weights) or weights[0] <= 0:
        return Shares()
    shares = weights / weights[0]
    number = int(np.count_nonzero(shares > 0))
    return Shares(heaviest.keys[:number], shares[:number])


def decay(elapsed_ms: float, half_life_ms: float) -> float:
    """Return the part of 1 that is left after `elapsed_ms`."""
    return float(2.0 ** max(-elapsed_ms / half_life_ms, kernels.SMALLEST_EXPONENT))


def _selected(counted: Counters, limit: int) -> tuple[Keys, Weights, Keys]:
    """Return the `limit` heaviest keys, their weights, measured against the landmark, and their shoppers."""
    number = int(counted.numbers[LENGTH])
    rows = _heaviest_rows(counted.keys[:number], counted.weights[:number], limit)
    return counted.keys[rows], counted.weights[rows], counted.shoppers[rows]


def _heaviest_rows(keys: Keys, weights: Weights, limit: int) -> npt.NDArray[np.int64]:
    """Return the rows of the `limit` heaviest keys, heaviest first, ties by falling key."""
    if len(keys) <= limit:
        return np.lexsort((keys, weights))[::-1]
    # Sort only the items that may be among the heaviest. If weights are equal, these are more than `limit`.
    (rows,) = np.nonzero(weights >= np.partition(weights, -limit)[-limit])
    return rows[np.lexsort((keys[rows], weights[rows]))[::-1][:limit]]
