"""The items of each list and their order: the best by score, made to differ, with places for what is new."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import Tuple, float32, float64, int32, int64

from inference.kernels.compiler import helper, kernel
from inference.kernels.selection import offer, sort_best_first
from inference.queries import Queries
from inference.ranking.diversity import CONSIDERED, diversify
from inference.ranking.signatures import CANDIDATES, COLUMNS, RECORDS
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Candidates
from inference.types import Keys, Vector

SCORE_DECIMALS = 6
"""Scores are rounded to this before sorting: a float32 product may differ in the last bits from batch to batch."""
FEWEST_BESIDE_NEW = 10
"""Places of a list for each one that an item nobody has acted on may have: a short list has none to give away."""

_UNIT = 10.0**SCORE_DECIMALS

Rows = npt.NDArray[np.int32]


class Rules(NamedTuple):
    """How lists are chosen.

    Attributes:
        diversity: in [0, 1], how much the items of a list must differ; a search is answered by relevance alone.
        places_for_new: of a list that answers no search, how many go to items nobody has acted on yet, at the least.
        new_source: the column of the source that proposes such items, -1 where it is not asked.
    """

    diversity: float
    places_for_new: int
    new_source: int


class Chosen(NamedTuple):
    """The candidates to show, L in all: list i has `starts[i]:starts[i + 1]`, in order.

    Attributes:
        starts: int64 (n + 1,).
        positions: of each among the candidates, int32 (L,).
        scores: float64 (L,), rounded to SCORE_DECIMALS.
        sources: which sources proposed each, as the bits of an int64, (L,).
    """

    starts: npt.NDArray[np.int64]
    positions: Rows
    scores: npt.NDArray[np.float64]
    sources: npt.NDArray[np.int64]


def choose(records: Queries, candidates: Candidates, columns: Columns, scores: Vector, rules: Rules) -> Chosen:
    """Choose the `k` candidates of each query to show, by their scores, float32 (C,), ties by stable key."""
    return Chosen(*_choose(records, candidates, columns, scores, rules))


@helper
def rounded(score: float) -> float:
    """Return a score as lists have it."""
    return np.float64(np.rint(np.float64(score) * _UNIT) / _UNIT)


_RULES = NamedTupleType((float64, int64, int64), Rules)


@kernel(Tuple((int64[::1], int32[::1], float64[::1], int64[::1]))(RECORDS, CANDIDATES, COLUMNS, float32[::1], _RULES))
def _choose(
    records: Queries, candidates: Candidates, columns: Columns, scores: Vector, rules: Rules
) -> tuple[npt.NDArray[np.int64], Rows, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    starts, rows, ranks = candidates.starts, candidates.rows, candidates.ranks
    room = widest = 0
    for query in range(len(records)):
        count, k = starts[query + 1] - starts[query], max(np.int64(records[query]["k"]), 0)
        room += min(k, count)
        widest = max(widest, min(CONSIDERED * k, count))
    ends = np.zeros(len(records) + 1, dtype=np.int64)
    shown = np.empty(room, dtype=np.int32)
    # Best first: positions among the candidates, their rows, scores; and the positions among these that are chosen.
    best, own = np.empty(widest, dtype=np.int32), np.empty(widest, dtype=np.int32)
    likely, order = np.empty(widest, dtype=np.float32), np.empty(widest, dtype=np.int32)
    score_of = np.empty(len(rows), dtype=np.float32)
    keys = np.empty(len(rows), dtype=np.uint64)
    for at in range(len(rows)):
        score_of[at] = rounded(scores[at])
        keys[at] = columns.keys[rows[at]]
    for query in range(len(records)):
        start, end = starts[query], starts[query + 1]
        k = min(max(np.int64(records[query]["k"]), 0), end - start)
        browses = records[query]["searching"] == 0
        varied = browses and rules.diversity > 0 and end - start > 1
        limit = min(CONSIDERED * k, end - start) if varied else k
        size = 0
        for at in range(start, end):
            size = offer(best[:limit], likely[:limit], keys, size, at, score_of[at])
        sort_best_first(best[:limit], likely[:limit], keys, size)
        place = ends[query]
        if varied:
            for each in range(size):
                own[each] = rows[best[each]]
            diversify(own[:size], likely[:size], columns, np.float32(rules.diversity), order[:k])
            for each in range(k):
                shown[place + each] = best[order[each]]
        else:
            for each in range(k):
                shown[place + each] = best[each]
        ends[query + 1] = place + k
        if browses and rules.new_source >= 0:
            _make_room_for_new(shown[place : place + k], candidates, columns, rules, query, score_of, keys)
    return ends, shown, *_described(shown, score_of, ranks)


@helper
def _make_room_for_new(
    shown: Rows, candidates: Candidates, columns: Columns, rules: Rules, query: int, scores: Vector, keys: Keys
) -> None:
    """Give the last places to items that nobody has acted on yet, where `shown` has fewer of them than it should.

    Without a place they would never be acted on, and never be known better (exploration). Those are taken that the
    source `new` proposed, the best by their scores: they fit the shopper best by their text.
    """
    missing = min(rules.places_for_new, len(shown) // FEWEST_BESIDE_NEW)
    for position in shown:
        missing -= not columns.seen[candidates.rows[position]]
    if missing <= 0:
        return
    new, likely, size = np.empty(missing, dtype=np.int32), np.empty(missing, dtype=np.float32), 0
    for at in range(candidates.starts[query], candidates.starts[query + 1]):
        if candidates.ranks[at, rules.new_source] > 0 and not columns.seen[candidates.rows[at]]:
            is_shown = False
            for position in shown:
                is_shown = is_shown or position == at
            if not is_shown:
                size = offer(new, likely, keys, size, at, scores[at])
    sort_best_first(new, likely, keys, size)
    for each in range(size):
        shown[len(shown) - size + each] = new[each]


@helper
def _described(
    shown: Rows, scores: Vector, ranks: Vector
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the scores (L,) of what is shown, and the bits (L,) of the sources that proposed it."""
    likely, sources = np.empty(len(shown), dtype=np.float64), np.zeros(len(shown), dtype=np.int64)
    for place in range(len(shown)):
        likely[place] = rounded(scores[shown[place]])
        for source in range(ranks.shape[1]):
            if ranks[shown[place], source] > 0:
                sources[place] |= np.int64(1) << source
    return likely, sources
