"""Items that the shopper buys again: the source `repeat`."""

from __future__ import annotations

from math import exp, log

import numpy as np
from numba import int64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, KEY_TABLE, KeyTable, find
from inference.kernels.selection import write_best
from inference.kernels.signatures import COLUMNS, HITS, QUERIES
from inference.queries import HABITS, Queries
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Hits

MANY = 10.0
"""Number of purchases at which the weight is one half."""
FLOOR = 0.7
SPREAD = 0.7
ONCE = 0.45
SHORTEST_DAYS = 0.5
"""Least interval in days. Shorter ones are one shopping trip with several receipts."""
EARLIEST = 0.02


@helper
def rhythm(elapsed_days: float, interval_days: float) -> float:
    """Return how due a purchase is, in (0, 1]: 1 after the usual interval."""
    if interval_days <= 0:
        return ONCE
    # A bell over the logarithm of the ratio: half and twice the interval are equally due. EARLIEST keeps the logarithm
    # finite right after a purchase.
    ratio = max(elapsed_days / max(interval_days, SHORTEST_DAYS), EARLIEST)
    return FLOOR + (1 - FLOOR) * exp(-(log(ratio) ** 2) / (2 * SPREAD**2))


@kernel(void(QUERIES, KEY_TABLE, COLUMNS, HITS, int64))
def find_repeats(queries: Queries, table: KeyTable, columns: Columns, hits: Hits, place: int) -> None:
    """Write the items that each shopper buys again, by weight / (weight + MANY) · rhythm."""
    rows = np.empty(HABITS, dtype=np.int32)
    scores = np.empty(HABITS, dtype=np.float32)
    for number in range(len(queries)):
        query = queries[number]
        size = 0
        for habit in range(query["habits_length"]):
            row = find(table, query["habits"][habit])
            if row == EMPTY or not columns.available[row]:
                continue
            weight = max(np.float64(query["habit_weights"][habit]), 0.0)
            due = rhythm(
                np.float64(query["habit_elapsed_days"][habit]), np.float64(query["habit_interval_days"][habit])
            )
            rows[size], scores[size] = row, weight / (weight + MANY) * due
            size += 1
        write_best(columns.keys, rows[:size], scores[:size], hits, number, place)
