"""Values of trends: the actions and purchases to count, the heaviest items of a partition, and popularity. No I/O.

The repeat rate is the share of purchases that repeat an item in those of returning buyers. A returning buyer bought
something on an earlier occasion. The counts are kept by partition, published with the trends, and merged to a rate of
all. In a shop where nobody buys an item twice, lists leave out what the shopper bought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.support import BITS, EVERYONE
from inference.types import Keys

FEWEST, MOST = 500, 10_000
"""Purchases of returning buyers from which on the rate is known, and at which a partition halves its counts."""

Counts = tuple[int, int]
"""Purchases of returning buyers, and those of them that repeat an item."""
PurchaseCounts = Mapping[int, Counts]
"""Counts by partition."""
NOTHING: PurchaseCounts = {}

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


class Popularity(NamedTuple):
    """Popularity now, and in the long run; and the repeat rate, None if it is unknown."""

    now: Shares = Shares()
    lasting: Shares = Shares()
    repeat_rate: float | None = None


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


def heaviest_of(as_of_ms: int, counts: Mapping[int, float], shoppers: Mapping[int, int]) -> Heaviest:
    """Return the items of a snapshot on Kafka: weights and shoppers' bits by stable key, heaviest first."""
    bits = np.fromiter((shoppers.get(key, EVERYONE) for key in counts), dtype=np.uint64, count=len(counts))
    return Heaviest(as_of_ms, *Shares.of(counts), bits)


def added(counts: Counts, more: Counts) -> Counts:
    """Return the sum of counts. Above MOST both are halved, so that the rate follows the newest purchases."""
    returned, repeated = counts[0] + more[0], counts[1] + more[1]
    # Halving both keeps the rate, and makes each new purchase count twice as much.
    while returned > MOST:
        returned, repeated = returned // 2, repeated // 2
    return returned, repeated


def rate(all_counts: Iterable[Counts]) -> float | None:
    """Return the repeat rate, None if it is unknown."""
    returned = repeated = 0
    for counts in all_counts:
        returned, repeated = returned + counts[0], repeated + counts[1]
    return repeated / returned if returned >= FEWEST else None
