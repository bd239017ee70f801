"""What all shoppers are after: decayed counts of items, one set a partition, merged. Pure.

Forward decay (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a count is kept as Σ w · 2^((t − L) / h) against a
landmark L, so that time passes without touching it, and late events weigh what they should.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from streams.messages import TrendingSnapshot

SNAPSHOT_ITEMS = 500
LARGEST_EXPONENT = 512.0
"""A landmark this many half-lives old is moved, long before a float64 overflows at 1024."""


@dataclass(slots=True)
class _Counts:
    landmark_ms: int
    latest_ms: int
    mass: dict[int, float] = field(default_factory=dict)

    def rebase(self, landmark_ms: int, half_life_ms: float) -> None:
        """Measure against a newer landmark, forgetting what has decayed to nothing."""
        factor = 2.0 ** max((self.landmark_ms - landmark_ms) / half_life_ms, -1074.0)
        self.mass = {key: mass * factor for key, mass in self.mass.items() if mass * factor > 1e-9}
        self.landmark_ms = landmark_ms


class Trending:
    """Decayed counts of every partition: the worker's own as they grow, the others' as their workers publish them."""

    def __init__(self, half_life_ms: float) -> None:
        self._half_life_ms = half_life_ms
        self._partitions: dict[int, _Counts] = {}
        self._changed: set[int] = set()

    def observe(self, partition: int, key: int, at_ms: int, weight: float) -> None:
        """Count one action on the item with this stable key."""
        counts = self._partitions.setdefault(partition, _Counts(at_ms, at_ms))
        counts.latest_ms = max(counts.latest_ms, at_ms)
        exponent = (at_ms - counts.landmark_ms) / self._half_life_ms
        if exponent > LARGEST_EXPONENT:
            counts.rebase(at_ms, self._half_life_ms)
            exponent = 0.0
        if exponent > -LARGEST_EXPONENT:
            counts.mass[key] = counts.mass.get(key, 0.0) + weight * 2.0**exponent
            self._changed.add(partition)

    def take_changed(self) -> list[TrendingSnapshot]:
        """Return a snapshot of each partition counted in since the last call: its heaviest items."""
        changed, self._changed = sorted(self._changed), set()
        return [self._snapshot(partition) for partition in changed]

    def restore(self, snapshot: TrendingSnapshot) -> None:
        """Take over what another worker counted for a partition."""
        self._partitions[snapshot.partition] = _Counts(snapshot.as_of_ms, snapshot.as_of_ms, dict(snapshot.counts))

    def scores(self) -> dict[int, float]:
        """Return the heaviest items over all partitions with their weight in (0, 1], the heaviest being 1."""
        if not self._partitions:
            return {}
        now_ms = max(counts.latest_ms for counts in self._partitions.values())
        total: Counter[int] = Counter()
        for counts in self._partitions.values():
            factor = 2.0 ** max((counts.landmark_ms - now_ms) / self._half_life_ms, -1074.0)
            for key, mass in counts.mass.items():
                total[key] += mass * factor
        best = sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))[:SNAPSHOT_ITEMS]
        largest = best[0][1] if best else 0.0
        return {key: mass / largest for key, mass in best if mass > 0 and largest > 0}

    def _snapshot(self, partition: int) -> TrendingSnapshot:
        counts = self._partitions[partition]
        counts.rebase(counts.latest_ms, self._half_life_ms)
        best = sorted(counts.mass.items(), key=lambda entry: (-entry[1], entry[0]))[:SNAPSHOT_ITEMS]
        return TrendingSnapshot(partition=partition, as_of_ms=counts.latest_ms, counts=dict(best))
