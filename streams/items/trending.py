"""What all shoppers are after: decayed counts of items, one set a partition, merged. Pure.

Each partition counts twice: what trends, with a short half-life, and what is popular in the long run, with a long one.

Forward decay (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a count is kept as Σ w · 2^((t − L) / h) against a
landmark L, so that time passes without touching it, and late events weigh what they should.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Keys
from streams.contracts.messages import TrendingSnapshot

SNAPSHOT_ITEMS, LASTING_ITEMS = 500, 1000
"""Items that a partition tells."""
KEPT_TIMES = 4
"""A partition counts this many times the items that it tells; beyond twice as many the lightest are forgotten."""
LARGEST_EXPONENT = 512.0
"""A landmark this many half-lives old is moved, long before a float64 overflows at 1024."""


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
    weights: npt.NDArray[np.float64]


@dataclass(slots=True)
class _Counts:
    """Counts with one half-life, of which the `told` heaviest are told."""

    half_life_ms: float
    told: int
    landmark_ms: int
    mass: dict[int, float] = field(default_factory=dict)

    def observe(self, key: int, at_ms: int, latest_ms: int, weight: float) -> None:
        """Count an action at `at_ms`; the newest one so far was at `latest_ms`."""
        if latest_ms - self.landmark_ms > LARGEST_EXPONENT * self.half_life_ms:
            self._rebase(latest_ms)
        growth = 2.0 ** max((at_ms - self.landmark_ms) / self.half_life_ms, -1074.0)
        self.mass[key] = self.mass.get(key, 0.0) + weight * growth
        if len(self.mass) > 2 * KEPT_TIMES * self.told:
            self.mass = heaviest(self.mass, KEPT_TIMES * self.told)

    def as_of(self, latest_ms: int) -> dict[int, float]:
        """Return the heaviest items, measured against the newest action."""
        self._rebase(latest_ms)
        return heaviest(self.mass, self.told)

    def _rebase(self, latest_ms: int) -> None:
        factor = decay(latest_ms - self.landmark_ms, self.half_life_ms)
        self.mass = {key: mass * factor for key, mass in self.mass.items()}
        self.landmark_ms = latest_ms


@dataclass(slots=True)
class _Partition:
    latest_ms: int
    now: _Counts
    lasting: _Counts


def decay(elapsed_ms: float, half_life_ms: float) -> float:
    """Return what is left of 1 after `elapsed_ms`."""
    return float(2.0 ** max(-elapsed_ms / half_life_ms, -1074.0))


def heaviest(counts: Mapping[int, float], number: int) -> dict[int, float]:
    """Return the items of most mass, ties by key."""
    keys = np.fromiter(counts.keys(), dtype=np.uint64, count=len(counts))
    mass = np.fromiter(counts.values(), dtype=np.float64, count=len(counts))
    if len(mass) > number:
        enough = mass >= np.partition(mass, -number)[-number]
        keys, mass = keys[enough], mass[enough]
    best = np.lexsort((keys, mass))[::-1][:number]
    return dict(zip(keys[best].tolist(), mass[best].tolist(), strict=True))


class Popularity(NamedTuple):
    """Weights in (0, 1] of items by stable key, heaviest first, the heaviest being 1: now, and in the long run."""

    now: Mapping[int, float] = {}
    lasting: Mapping[int, float] = {}


class Trending:
    """Counts of the partitions observed here, and the newest snapshot of every partition."""

    def __init__(self, half_life_ms: float, lasting_half_life_ms: float = 30 * 86_400e3) -> None:
        self._half_life_ms = half_life_ms
        self._lasting_half_life_ms = lasting_half_life_ms
        self._counts: dict[int, _Partition] = {}
        self._snapshots: dict[int, TrendingSnapshot] = {}
        self._changed: set[int] = set()

    def observe(self, partition: int, key: int, at_ms: int, weight: float) -> None:
        """Count one action on the item with this stable key."""
        counts = self._counts.get(partition)
        if counts is None:
            counts = self._counts[partition] = self._resumed(partition, at_ms)
        counts.latest_ms = max(counts.latest_ms, at_ms)
        counts.now.observe(key, at_ms, counts.latest_ms, weight)
        counts.lasting.observe(key, at_ms, counts.latest_ms, weight)
        self._changed.add(partition)

    def restore(self, snapshot: TrendingSnapshot) -> None:
        """Take over a snapshot from another worker; what is counted here is known better here."""
        if snapshot.partition not in self._counts:
            self._snapshots[snapshot.partition] = snapshot

    def release(self, partition: int) -> None:
        """Stop counting a partition: another worker does from now on. What was counted stays known until it tells."""
        if partition in self._counts:
            self._snapshots[partition] = self._snapshot(partition)
            del self._counts[partition]
        self._changed.discard(partition)

    def take_changed(self) -> Iterator[TrendingSnapshot]:
        """Yield a new snapshot of each partition that was counted in since it was last told, one at a time."""
        for partition in sorted(self._changed):
            self._changed.discard(partition)
            self._snapshots[partition] = self._snapshot(partition)
            yield self._snapshots[partition]

    def popularity(self) -> Popularity:
        """Return what trends, and what is popular in the long run."""
        return Popularity(self.scores(), self.lasting())

    def scores(self) -> dict[int, float]:
        """Return what trends: items of all snapshots, heaviest first, with their weight in (0, 1], the heaviest's 1."""
        told = ((each.as_of_ms, each.counts) for _, each in sorted(self._snapshots.items()))
        return _shares(told, self._half_life_ms, SNAPSHOT_ITEMS)

    def lasting(self) -> dict[int, float]:
        """Return what is popular in the long run, in the same way."""
        told = ((each.as_of_ms, each.lasting) for _, each in sorted(self._snapshots.items()))
        return _shares(told, self._lasting_half_life_ms, LASTING_ITEMS)

    def _snapshot(self, partition: int) -> TrendingSnapshot:
        counts = self._counts[partition]
        latest_ms = counts.latest_ms
        return TrendingSnapshot(
            partition=partition,
            as_of_ms=latest_ms,
            counts=counts.now.as_of(latest_ms),
            lasting=counts.lasting.as_of(latest_ms),
        )

    def _resumed(self, partition: int, at_ms: int) -> _Partition:
        told = self._snapshots.get(partition, TrendingSnapshot(partition=partition, as_of_ms=at_ms, counts={}))
        return _Partition(
            latest_ms=told.as_of_ms,
            now=_Counts(self._half_life_ms, SNAPSHOT_ITEMS, told.as_of_ms, dict(told.counts)),
            lasting=_Counts(self._lasting_half_life_ms, LASTING_ITEMS, told.as_of_ms, dict(told.lasting)),
        )


def _shares(told: Iterable[tuple[int, Mapping[int, float]]], half_life_ms: float, number: int) -> dict[int, float]:
    """Add up counts as of different times, and return the heaviest items with their share of the very heaviest."""
    snapshots = list(told)
    now_ms = max((as_of_ms for as_of_ms, _ in snapshots), default=0)
    total: defaultdict[int, float] = defaultdict(float)
    for as_of_ms, counts in snapshots:
        factor = decay(now_ms - as_of_ms, half_life_ms)
        for key, mass in counts.items():
            total[key] += mass * factor
    best = list(heaviest(total, number).items())
    return {key: share for key, mass in best if mass > 0 and (share := mass / best[0][1]) > 0}
