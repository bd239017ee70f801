"""What all shoppers are after: decayed counts of items, one set a partition, merged. Pure.

Forward decay (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a count is kept as Σ w · 2^((t − L) / h) against a
landmark L, so that time passes without touching it, and late events weigh what they should.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest

from streams.contracts.messages import TrendingSnapshot

SNAPSHOT_ITEMS = 500
KEPT_ITEMS = 2000
"""Items that a partition counts; beyond twice as many the lightest are forgotten."""
LARGEST_EXPONENT = 512.0
"""A landmark this many half-lives old is moved, long before a float64 overflows at 1024."""


@dataclass(slots=True)
class _Counts:
    landmark_ms: int
    latest_ms: int
    mass: dict[int, float] = field(default_factory=dict)

    def heaviest(self, number: int) -> dict[int, float]:
        """Return the items of most mass, ties by key."""
        return dict(nlargest(number, self.mass.items(), key=lambda entry: (entry[1], entry[0])))

    def rebase(self, half_life_ms: float) -> None:
        """Measure against the latest event."""
        factor = decay(self.latest_ms - self.landmark_ms, half_life_ms)
        self.mass = {key: mass * factor for key, mass in self.mass.items()}
        self.landmark_ms = self.latest_ms


def decay(elapsed_ms: float, half_life_ms: float) -> float:
    """Return what is left of 1 after `elapsed_ms`."""
    return float(2.0 ** max(-elapsed_ms / half_life_ms, -1074.0))


class Trending:
    """Counts of the partitions observed here, and the newest snapshot of every partition."""

    def __init__(self, half_life_ms: float) -> None:
        self._half_life_ms = half_life_ms
        self._counts: dict[int, _Counts] = {}
        self._snapshots: dict[int, TrendingSnapshot] = {}
        self._changed: set[int] = set()

    def observe(self, partition: int, key: int, at_ms: int, weight: float) -> None:
        """Count one action on the item with this stable key."""
        counts = self._counts.get(partition)
        if counts is None:
            counts = self._counts[partition] = self._resumed(partition, at_ms)
        counts.latest_ms = max(counts.latest_ms, at_ms)
        if counts.latest_ms - counts.landmark_ms > LARGEST_EXPONENT * self._half_life_ms:
            counts.rebase(self._half_life_ms)
        growth = 2.0 ** max((at_ms - counts.landmark_ms) / self._half_life_ms, -1074.0)
        counts.mass[key] = counts.mass.get(key, 0.0) + weight * growth
        if len(counts.mass) > 2 * KEPT_ITEMS:
            counts.mass = counts.heaviest(KEPT_ITEMS)
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

    def scores(self) -> dict[int, float]:
        """Return the items of all snapshots, heaviest first, with their weight in (0, 1], the heaviest being 1."""
        now_ms = max((snapshot.as_of_ms for snapshot in self._snapshots.values()), default=0)
        total: defaultdict[int, float] = defaultdict(float)
        for _, snapshot in sorted(self._snapshots.items()):
            factor = decay(now_ms - snapshot.as_of_ms, self._half_life_ms)
            for key, mass in snapshot.counts.items():
                total[key] += mass * factor
        best = nlargest(SNAPSHOT_ITEMS, total.items(), key=lambda entry: (entry[1], entry[0]))
        return {key: share for key, mass in best if mass > 0 and (share := mass / best[0][1]) > 0}

    def _snapshot(self, partition: int) -> TrendingSnapshot:
        counts = self._counts[partition]
        counts.rebase(self._half_life_ms)
        return TrendingSnapshot(partition=partition, as_of_ms=counts.latest_ms, counts=counts.heaviest(SNAPSHOT_ITEMS))

    def _resumed(self, partition: int, at_ms: int) -> _Counts:
        snapshot = self._snapshots.get(partition)
        if snapshot is None:
            return _Counts(at_ms, at_ms)
        return _Counts(snapshot.as_of_ms, snapshot.as_of_ms, dict(snapshot.counts))
