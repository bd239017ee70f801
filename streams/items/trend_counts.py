"""Decayed counts of the actions on items in one partition: counting, the heaviest items, and sums of snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels import counters as kernels
from inference.kernels.counters import HEAVIEST, LANDMARK_MS, LATEST_MS, LENGTH, Actions, Counters
from inference.kernels.support import BITS, EVERYONE, Support, all_supported
from inference.types import Keys

KEPT_TIMES = 4
"""Counted items of a partition, as a multiple of the published ones. At twice as many the lightest are dropped."""

Weights = npt.NDArray[np.float64]


class TrendIncrements(NamedTuple):
    """Actions to count, in order: arrays of one length.

    Attributes:
        partition: partitions of the actions, int32.
        keys: stable keys of the items, uint64.
        at_ms: event times, int64.
        weights: weights of the actions, float64.
        shoppers: the bits of their shoppers, uint64.
    """

    partition: npt.NDArray[np.int32]
    keys: Keys
    at_ms: npt.NDArray[np.int64]
    weights: Weights
    shoppers: Keys

    @classmethod
    def of(cls, actions: Iterable[tuple[int, int, int, float]], shoppers: Sequence[int] = ()) -> TrendIncrements:
        """Return the arrays of (partition, key, at_ms, weight) tuples, by these shoppers, or all by shopper 0."""
        partition, keys, at_ms, weights = zip(*actions, strict=True) if (actions := list(actions)) else ((),) * 4
        numbers = np.array(shoppers or (0,) * len(actions), dtype=np.uint64)
        return cls(
            np.array(partition, dtype=np.int32),
            np.array(keys, dtype=np.uint64),
            np.array(at_ms, dtype=np.int64),
            np.array(weights, dtype=np.float64),
            np.uint64(1) << numbers % np.uint64(BITS),
        )


class Shares(NamedTuple):
    """Shares in (0, 1] of the heaviest item's weight, by stable key, heaviest first: uint64 and float64 arrays."""

    keys: Keys = np.zeros(0, dtype=np.uint64)
    shares: Weights = np.zeros(0, dtype=np.float64)

    @classmethod
    def of(cls, shares: Mapping[int, float]) -> Shares:
        """Return the arrays of a mapping."""
        number = len(shares)
        return cls(
            np.fromiter(shares.keys(), dtype=np.uint64, count=number),
            np.fromiter(shares.values(), dtype=np.float64, count=number),
        )

    def mapping(self) -> dict[int, float]:
        """Return the shares by key."""
        return dict(zip(self.keys.tolist(), self.shares.tolist(), strict=True))


class Heaviest(NamedTuple):
    """Heaviest items of a partition, decayed to `as_of_ms`."""

    as_of_ms: int
    keys: Keys
    weights: Weights
    shoppers: Keys

    def few_shoppers(self) -> dict[int, int]:
        """Return the shoppers' bits of each item, unless all bits are set, as of most popular items."""
        (few,) = (self.shoppers != EVERYONE).nonzero()
        return dict(zip(self.keys[few].tolist(), self.shoppers[few].tolist(), strict=True))


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
        self._count_snapshot(counted, Heaviest(*kept))
        counted.leading[: len(rows)], counted.leaders[: len(rows)] = leading, leaders

    def _count_snapshot(self, counted: Counters, snapshot: Heaviest) -> None:
        number = len(snapshot.keys)
        partitions, at_ms = np.zeros(number, dtype=np.int32), np.full(number, snapshot.as_of_ms, dtype=np.int64)
        actions = Actions(partitions, snapshot.keys, at_ms, snapshot.weights, snapshot.shoppers)
        # Without a limit of the weight of one shopper: weights of a snapshot are those of several.
        kernels.count(counted, actions, 0, 0, self.half_life_ms, Support(self.support.min_shoppers))


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


def heaviest_of(as_of_ms: int, counts: Mapping[int, float], shoppers: Mapping[int, int]) -> Heaviest:
    """Return the items of a snapshot on Kafka: weights and shoppers' bits by stable key, heaviest first."""
    bits = np.fromiter((shoppers.get(key, EVERYONE) for key in counts), dtype=np.uint64, count=len(counts))
    return Heaviest(as_of_ms, *Shares.of(counts), bits)
