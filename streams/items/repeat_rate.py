"""How often shoppers buy an item again: the share of such purchases in those of returning buyers. No I/O.

A returning buyer bought something on an earlier occasion. The counts are kept by partition, published with the trends,
and merged to a rate of all. In a shop where nobody buys an item twice, lists leave out what the shopper bought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

FEWEST, MOST = 500, 10_000
"""Purchases of returning buyers from which on the rate is known, and at which a partition halves its counts."""

Counts = tuple[int, int]
"""Purchases of returning buyers, and those of them that repeat an item."""
PurchaseCounts = Mapping[int, Counts]
"""Counts by partition."""
NOTHING: PurchaseCounts = {}


def added(counts: Counts, more: Counts) -> Counts:
    """Return the sum of counts. Above MOST both are halved, so that the rate follows the newest purchases."""
    returned, repeated = counts[0] + more[0], counts[1] + more[1]
    while returned > MOST:
        returned, repeated = returned // 2, repeated // 2
    return returned, repeated


def rate(all_counts: Iterable[Counts]) -> float | None:
    """Return the repeat rate, None if it is unknown."""
    returned = repeated = 0
    for counts in all_counts:
        returned, repeated = returned + counts[0], repeated + counts[1]
    return repeated / returned if returned >= FEWEST else None
