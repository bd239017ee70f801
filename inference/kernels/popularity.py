"""Behaviour of all shoppers: popular items, items that were ever acted on, and the sources `trending…`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import boolean, float32, int32, int64, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.keytable import EMPTY, KEY_TABLE, KeyTable, find, retain
from inference.kernels.selection import Rows, is_better, sort_best_first, write_best
from inference.kernels.signatures import COLUMNS, HITS, QUERIES
from inference.queries import LABELS, Queries
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Hits
from inference.types import Keys, Vector

CATEGORIES = 5
"""Number of a shopper's strongest categories that count."""


@kernel(int64(KEY_TABLE, float32[::1], uint64[::1], uint64[::1], float32[::1], int32[::1]))
def fill(table: KeyTable, column: Vector, row_keys: Keys, keys: Keys, weights: Vector, rows: Rows) -> int:
    """Write weights to their rows of a column and 0 elsewhere, and return how many rows have one.

    `keys` and `weights` (n,) are the input. `rows` (n,) is the output, the heaviest row first, ties by stable key.
    """
    column[:] = 0.0
    size = 0
    for place in range(len(keys)):
        row = find(table, keys[place])
        if row != EMPTY:
            column[row] = weights[place]
            rows[size] = row
            size += 1
    # The input mostly is in this order already, which costs less to check than to sort.
    is_sorted = True
    scores = np.empty(size, dtype=np.float32)
    for place in range(size):
        scores[place] = column[rows[place]]
        if place > 0 and not is_better(
            scores[place - 1], row_keys[rows[place - 1]], scores[place], row_keys[rows[place]]
        ):
            is_sorted = False
    if not is_sorted:
        sort_best_first(rows, scores, row_keys, size)
    return size


@kernel(int64(KEY_TABLE, KEY_TABLE, boolean[::1], uint64[::1], float32[::1]), allocates=False)
def mark_seen(seen: KeyTable, table: KeyTable, column: npt.NDArray[np.bool_], keys: Keys, weights: Vector) -> int:
    """Mark keys whose weight is above 0 as seen, and return how many of them are new.

    `seen` holds the keys seen so far and has room for all of these. `column` marks the rows that were seen; `table`
    finds the row of a key.
    """
    fresh = 0
    for place in range(len(keys)):
        if weights[place] > 0 and find(seen, keys[place]) == EMPTY:
            retain(seen, keys[place])
            fresh += 1
            row = find(table, keys[place])
            if row != EMPTY:
                column[row] = True
    return fresh


@kernel(void(COLUMNS, int32[::1], HITS, int64), allocates=False)
def find_trending(columns: Columns, popular: Rows, hits: Hits, place: int) -> None:
    """Write the most popular available items, the same for every query. `popular` are rows, most popular first."""
    queries, _, limit = hits.rows.shape
    if queries == 0:
        return
    # Query 0 is filled first, then its hits are copied to all queries.
    count = 0
    for row in popular:
        if count == limit:
            break
        if columns.available[row]:
            hits.rows[0, place, count] = row
            hits.scores[0, place, count] = columns.popularity[row]
            count += 1
    for query in range(queries):
        for rank in range(count):
            hits.rows[query, place, rank] = hits.rows[0, place, rank]
            hits.scores[query, place, rank] = hits.scores[0, place, rank]
        hits.counts[query, place] = count


@kernel(void(QUERIES, COLUMNS, int32[::1], HITS, int64))
def find_trending_in_categories(queries: Queries, columns: Columns, popular: Rows, hits: Hits, place: int) -> None:
    """Write the most popular available items of each query's strongest categories.

    With a(c), the shopper's affinity to a category, at most 1, and p(i), the item's popularity,
    score(i) = a(c) p(i) / max p in c. `popular` are rows, most popular first, so the first row of a category has its
    greatest popularity.
    """
    rows = np.empty(len(popular), dtype=np.int32)
    scores = np.empty(len(popular), dtype=np.float32)
    labels = np.empty(LABELS, dtype=np.uint64)
    shares = np.empty(LABELS, dtype=np.float32)
    greatest = np.empty(LABELS, dtype=np.float32)
    for number in range(len(queries)):
        wanted = strongest(queries, number, labels, shares)
        greatest[:wanted] = -1.0
        size = 0
        if wanted > 0:
            for row in popular:
                if not columns.available[row]:
                    continue
                for label in range(wanted):
                    if columns.categories[row] == labels[label]:
                        # The first available row of a category is its most popular one. If that is 0, the category has
                        # no score.
                        if greatest[label] < 0:
                            greatest[label] = columns.popularity[row]
                        if greatest[label] > 0:
                            score = shares[label] * columns.popularity[row] / greatest[label]
                            if score > 0:
                                rows[size], scores[size] = row, score
                                size += 1
                        break
        write_best(columns.keys, rows[:size], scores[:size], hits, number, place)


@helper
def strongest(queries: Queries, number: int, labels: Keys, shares: Vector) -> int:
    """Write the strongest CATEGORIES of a query, ties by the greater label; return how many. Label 0 is no category."""
    query = queries[number]
    length = query["categories_length"]
    size = 0
    # The rank of a label is the number of stronger ones. There are at most LABELS, so no sort is needed.
    for one in range(length):
        better = 0
        for other in range(length):
            if query["category_shares"][other] > query["category_shares"][one] or (
                query["category_shares"][other] == query["category_shares"][one]
                and query["categories"][other] > query["categories"][one]
            ):
                better += 1
        if better < CATEGORIES and query["categories"][one] != 0:
            labels[size] = query["categories"][one]
            shares[size] = min(query["category_shares"][one], 1.0)
            size += 1
    return size
