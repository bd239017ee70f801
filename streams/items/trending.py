"""What all shoppers are after: decayed counts of items, one set a partition, merged. No I/O.

Each partition counts twice: what trends, with a short half-life, and what is popular in the long run, with a long one.
Counts decay forward (see `inference.kernels.counters`): time passing changes none of them, and late events weigh what
they should.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels import counters as kernels
from inference.kernels.counters import HEAVIEST, LANDMARK_MS, LARGEST_EXPONENT, LATEST_MS, LENGTH, Counters
from inference.types import Keys
from streams.contracts.messages import TrendingSnapshot

__all__ = ["LARGEST_EXPONENT", "Popularity", "Shares", "TrendIncrements", "Trending", "decay"]

SNAPSHOT_ITEMS, LASTING_ITEMS = 500, 1000
"""Items that a partition publishes."""
KEPT_TIMES = 4
"""A partition counts this many times the items that it publishes; at twice as many the lightest are forgotten."""

Weights = npt.NDArray[np.float64]


class TrendIncrements(NamedTuple):
    """Actions to count, in order: int32, uint64, int64 and float64 arrays of one length.

    Attributes:
        partition: of the action.
        keys: stable keys of the items.
        at_ms: event times.
        weights: of the actions.
    """

    partition: npt.NDArray[np.int32]
    keys: Keys
    at_ms: npt.NDArray[np.int64]
    weights: Weights

    @classmethod
    def of(cls, actions: Iterable[tuple[int, int, int, float]]) -> TrendIncrements:
        """Return the arrays of (partition, key, at_ms, weight)."""
        partition, keys, at_ms, weights = zip(*actions, strict=True) if (actions := list(actions)) else ((),) * 4
        return cls(
            np.array(partition, dtype=np.int32),
            np.array(keys, dtype=np.uint64),
            np.array(at_ms, dtype=np.int64),
            np.array(weights, dtype=np.float64),
        )


class Shares(NamedTuple):
    """Weights in (0, 1] of items by stable key, heaviest first, the heaviest being 1: uint64 and float64 arrays."""

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
        """Return shares by key."""
        return dict(zip(self.keys.tolist(), self.shares.tolist(), strict=True))


class Popularity(NamedTuple):
    """What is popular now, and in the long run."""

    now: Shares = Shares()
    lasting: Shares = Shares()


class _Heaviest(NamedTuple):
    """The heaviest items of a partition, decayed to `as_of_ms`."""

    as_of_ms: int
    keys: Keys
    weights: Weights


@dataclass(frozen=True, slots=True)
class _Measure:
    """One of the two ways to count: the half-life, and how many items a partition publishes."""

    half_life_ms: float
    published: int

    @property
    def kept(self) -> int:
        return KEPT_TIMES * self.published

    def resumed(self, snapshot: _Heaviest) -> Counters:
        """Return counters that go on from a snapshot."""
        counted = kernels.counters(max(2 * self.kept, len(snapshot.keys)), self.published, snapshot.as_of_ms)
        self._count_snapshot(counted, snapshot)
        return counted

    def count(self, counted: Counters, increments: TrendIncrements, partition: int) -> None:
        """Count a partition's actions. Where there is no room, the lightest items are forgotten."""
        action, number = 0, len(increments.keys)
        while (action := kernels.count(counted, *increments, action, partition, self.half_life_ms)) < number:
            self._forget_lightest(counted)

    def heaviest(self, counted: Counters) -> _Heaviest:
        """Return the items to publish, heaviest first."""
        landmark_ms, latest_ms = int(counted.numbers[LANDMARK_MS]), int(counted.numbers[LATEST_MS])
        rows = counted.heaviest[: counted.numbers[HEAVIEST]]
        weights = counted.weights[rows] * decay(latest_ms - landmark_ms, self.half_life_ms)
        return _Heaviest(latest_ms, counted.keys[rows], weights)

    def merged(self, snapshots: list[_Heaviest]) -> _Heaviest:
        """Add up snapshots as of different times."""
        now_ms = max((snapshot.as_of_ms for snapshot in snapshots), default=0)
        # Which are the heaviest is seen at the end: on the way each item would rise once a snapshot.
        total = kernels.counters(sum(len(snapshot.keys) for snapshot in snapshots), 0, now_ms)
        for snapshot in snapshots:
            self._count_snapshot(total, snapshot)
        return _Heaviest(now_ms, *_selected(total, self.published))

    def _forget_lightest(self, counted: Counters) -> None:
        """Make room: go on with the `kept` heaviest items as of the landmark."""
        keys, weights = _selected(counted, self.kept)
        counted.table[:] = kernels.EMPTY
        counted.ranks[:] = kernels.NONE
        counted.numbers[LENGTH] = counted.numbers[HEAVIEST] = 0
        self._count_snapshot(counted, _Heaviest(int(counted.numbers[LANDMARK_MS]), keys, weights))

    def _count_snapshot(self, counted: Counters, snapshot: _Heaviest) -> None:
        number = len(snapshot.keys)
        partitions, at_ms = np.zeros(number, dtype=np.int32), np.full(number, snapshot.as_of_ms, dtype=np.int64)
        kernels.count(counted, partitions, snapshot.keys, at_ms, snapshot.weights, 0, 0, self.half_life_ms)


class _Snapshot(NamedTuple):
    now: _Heaviest
    lasting: _Heaviest


class _Partition(NamedTuple):
    now: Counters
    lasting: Counters


class Trending:
    """Counts of the partitions observed here, and the newest snapshot of every other partition.

    One thread at a time may use it.
    """

    def __init__(self, half_life_ms: float, lasting_half_life_ms: float = 30 * 86_400e3) -> None:
        self._now = _Measure(half_life_ms, SNAPSHOT_ITEMS)
        self._lasting = _Measure(lasting_half_life_ms, LASTING_ITEMS)
        self._counts: dict[int, _Partition] = {}
        self._snapshots: dict[int, _Snapshot] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Return how many counts are held, of all partitions observed here."""
        return sum(int(counted.numbers[LENGTH]) for partition in self._counts.values() for counted in partition)

    def add(self, increments: TrendIncrements) -> None:
        """Count actions."""
        for partition in set(increments.partition.tolist()):
            counts = self._counts.get(partition)
            if counts is None:
                first_ms = int(increments.at_ms[increments.partition == partition][0])
                counts = self._counts[partition] = self._resumed(partition, first_ms)
            for counted, measure in zip(counts, (self._now, self._lasting), strict=True):
                measure.count(counted, increments, partition)
            self._changed.add(partition)

    def restore(self, snapshot: TrendingSnapshot) -> None:
        """Take over a snapshot from another worker. A partition that is counted here is known better here."""
        if snapshot.partition not in self._counts:
            self._snapshots[snapshot.partition] = _Snapshot(
                _heaviest(snapshot.as_of_ms, snapshot.counts), _heaviest(snapshot.as_of_ms, snapshot.lasting)
            )

    def release(self, partition: int) -> None:
        """Stop counting a partition that another worker takes over. Its counts stay until that worker publishes."""
        if partition in self._counts:
            self._snapshots[partition] = self._snapshot(partition)
            del self._counts[partition]
        self._changed.discard(partition)

    def take_changed(self) -> Iterator[TrendingSnapshot]:
        """Yield a new snapshot of each partition that was counted in since the last call, one at a time."""
        for partition in sorted(self._changed):
            self._changed.discard(partition)
            now, lasting = self._snapshot(partition)
            yield TrendingSnapshot(
                partition=partition,
                as_of_ms=now.as_of_ms,
                counts=Shares(now.keys, now.weights).mapping(),
                lasting=Shares(lasting.keys, lasting.weights).mapping(),
            )

    def popularity(self) -> Popularity:
        """Return what trends and what is popular in the long run, by all partitions."""
        if len(self._counts) == 1 and not self._snapshots:
            (partition,) = self._counts
            return Popularity(*map(_shares, self._snapshot(partition)))
        known = {**self._snapshots, **{partition: self._snapshot(partition) for partition in self._counts}}
        snapshots = [known[partition] for partition in sorted(known)]
        return Popularity(
            _shares(self._now.merged([snapshot.now for snapshot in snapshots])),
            _shares(self._lasting.merged([snapshot.lasting for snapshot in snapshots])),
        )

    def _snapshot(self, partition: int) -> _Snapshot:
        counts = self._counts[partition]
        return _Snapshot(self._now.heaviest(counts.now), self._lasting.heaviest(counts.lasting))

    def _resumed(self, partition: int, at_ms: int) -> _Partition:
        """Return counters of a partition that begin with its snapshot, if there is one."""
        nothing = _heaviest(at_ms, {})
        snapshot = self._snapshots.pop(partition, _Snapshot(nothing, nothing))
        return _Partition(self._now.resumed(snapshot.now), self._lasting.resumed(snapshot.lasting))


def decay(elapsed_ms: float, half_life_ms: float) -> float:
    """Return what is left of 1 after `elapsed_ms`."""
    return float(2.0 ** max(-elapsed_ms / half_life_ms, kernels.SMALLEST_EXPONENT))


def _selected(counted: Counters, limit: int) -> tuple[Keys, Weights]:
    """Return the `limit` heaviest keys and their weights, measured against the landmark."""
    number = int(counted.numbers[LENGTH])
    keys, weights = counted.keys[:number], counted.weights[:number]
    if number > limit:
        # Only what may be among the heaviest is sorted; where weights are equal, that is more than `limit`.
        (rows,) = np.nonzero(weights >= np.partition(weights, -limit)[-limit])
        keys, weights = keys[rows], weights[rows]
    rows = np.lexsort((keys, weights))[::-1][:limit]
    return keys[rows], weights[rows]


def _shares(heaviest: _Heaviest) -> Shares:
    """Return the items' shares of the very heaviest."""
    weights = heaviest.weights
    if not len(weights) or weights[0] <= 0:
        return Shares()
    shares = weights / weights[0]
    number = int(np.count_nonzero(shares > 0))
    return Shares(heaviest.keys[:number], shares[:number])


def _heaviest(as_of_ms: int, counts: Mapping[int, float]) -> _Heaviest:
    return _Heaviest(as_of_ms, *Shares.of(counts))
