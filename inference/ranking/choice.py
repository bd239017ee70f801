"""The items of each list and their order: the best scores, one item of a title, diversity, and places for new items.

Items are sorted by the ranker's score as it is, ties by the order of retrieval: the fused score of the sources, then
the stable key. The compiled ranker gives a candidate the same score in any batch, so a replay gives the worker's lists.
`Scorer` rounds the scores of ONNX Runtime, whose last bits differ from batch to batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import boolean, float32, float64, int32, int64, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.kernels.selection import select
from inference.kernels.signatures import CANDIDATES, COLUMNS, QUERIES
from inference.queries import Queries
from inference.ranking.diversity import CONSIDERED, Scratch, diversify
from inference.retrieval.columns import Columns
from inference.retrieval.shortlists import Candidates
from inference.types import Keys, Vector

SCORE_DECIMALS = 6
"""Decimals of the scores that are published."""
FEWEST_BESIDE_NEW = 10
"""Places of a list for each place that goes to an item without any action. A short list gives none away."""

LEAST_RELEVANCE = np.float32(0.5)
"""A protected item takes the place of an item at most twice as probable: fairness must not fill lists with noise."""
NOTHING_PROTECTED = np.zeros(0, dtype=np.bool_)

_UNIT = 10.0**SCORE_DECIMALS

Rows = npt.NDArray[np.int32]


class Rules(NamedTuple):
    """Rules for the choice of items.

    Attributes:
        diversity: in [0, 1], how much the items of a list must differ; lists for searches go by relevance alone.
        places_for_new: least number of places for items without any action, in lists that answer no search.
        new_source: the column of the source that proposes such items, -1 if it is not in use.
        fairness: in [0, 1], least share of protected items among the first places of a list that answers no search.
        is_protected: whether the item of each row of the catalogue is protected; read only if `fairness` is above 0.
    """

    diversity: float
    places_for_new: int
    new_source: int
    fairness: float = 0.0
    is_protected: npt.NDArray[np.bool_] = NOTHING_PROTECTED


class Chosen(NamedTuple):
    """The candidates to show, L in all: list i has `starts[i]:starts[i + 1]`, in order.

    Attributes:
        starts: int64 (n + 1,).
        positions: the place of each among the candidates, int32 (L,).
        scores: float64 (L,), rounded to SCORE_DECIMALS.
        sources: the sources that proposed each, as the bits of an int64, (L,).
    """

    starts: npt.NDArray[np.int64]
    positions: Rows
    scores: npt.NDArray[np.float64]
    sources: npt.NDArray[np.int64]


def choose(records: Queries, candidates: Candidates, columns: Columns, scores: Vector, rules: Rules) -> Chosen:
    """Choose the `k` candidates of each query to show, by their scores, float32 (C,), 0 or more, ties by position.

    Items of one title, brand and category, such as a shop's variants, take one place: the others come after all other
    items. If all candidates are shown, as in the order of given items, each keeps its place.
    """
    most = len(candidates.rows)
    chosen = Chosen(
        np.zeros(len(records) + 1, dtype=np.int64),
        np.empty(most, dtype=np.int32),
        np.empty(most, dtype=np.float64),
        np.empty(most, dtype=np.int64),
    )
    _choose(_Scored(records, candidates, scores), columns, rules, _Scratch.make(most), chosen)
    number = int(chosen.starts[-1])
    return Chosen(chosen.starts, chosen.positions[:number], chosen.scores[:number], chosen.sources[:number])


@helper
def rounded(score: float) -> float:
    """Return a score rounded to SCORE_DECIMALS."""
    return np.float64(np.rint(np.float64(score) * _UNIT) / _UNIT)


class _Scored(NamedTuple):
    """The candidates of n queries and their scores, float32 (C,)."""

    records: Queries
    candidates: Candidates
    scores: Vector


class _Scratch(NamedTuple):
    """Scratch memory of the kernel, C entries each.

    Attributes:
        keys: positions of the candidates, which break ties, uint64.
        scores: scores of the candidates, float32; below 0 for all but the best item of a title.
        of_title: the best candidate so far of each title, a hash table of at least 2 · C entries, int32.
        pool, pool_scores: candidates from which the best are selected, and their scores, int32 and float32.
        best: the best candidates of a query, the best first, int32.
        best_scores: their scores, float32.
        best_rows: their rows, int32.
        order: places among them, int32.
        relevance, nearest, compared: see `diversify`.
    """

    keys: Keys
    scores: Vector
    of_title: Rows
    pool: Rows
    pool_scores: Vector
    best: Rows
    best_scores: Vector
    best_rows: Rows
    order: Rows
    relevance: Vector
    nearest: Vector
    compared: Rows

    @classmethod
    def make(cls, most: int) -> _Scratch:
        floats, integers = np.empty((5, most), dtype=np.float32), np.empty((5, most), dtype=np.int32)
        return cls(
            np.arange(most, dtype=np.uint64),
            floats[0],
            np.full(2 << most.bit_length(), -1, dtype=np.int32),
            integers[0], floats[1], integers[1], floats[2], integers[2], integers[3], floats[3], floats[4],
            integers[4],
        )  # fmt: skip


_SCORED = NamedTupleType((QUERIES, CANDIDATES, float32[::1]), _Scored)
_RULES = NamedTupleType((float64, int64, int64, float64, boolean[::1]), Rules)
_SCRATCH = NamedTupleType(
    (
        uint64[::1], float32[::1], int32[::1], int32[::1], float32[::1], int32[::1], float32[::1], int32[::1],
        int32[::1], float32[::1], float32[::1], int32[::1],
    ),
    _Scratch,
)  # fmt: skip
_CHOSEN = NamedTupleType((int64[::1], int32[::1], float64[::1], int64[::1]), Chosen)


@kernel(void(_SCORED, COLUMNS, _RULES, _SCRATCH, _CHOSEN), allocates=False)
def _choose(scored: _Scored, columns: Columns, rules: Rules, scratch: _Scratch, chosen: Chosen) -> None:
    """Fill `chosen`, list by list."""
    records, candidates, scores = scored
    starts, rows = candidates.starts, candidates.rows
    # A copy, because `_put_same_titles_last` lowers scores. The published scores are those of the ranker.
    for at in range(len(rows)):
        scratch.scores[at] = scores[at]
    for query in range(len(records)):
        start, end = starts[query], starts[query + 1]
        k = min(max(np.int64(records[query]["k"]), 0), end - start)
        if k < end - start:
            _put_same_titles_last(rows, columns, scratch, start, end)
        browses = records[query]["searching"] == 0
        varied = browses and rules.diversity > 0 and end - start > 1
        # A list with diversity is chosen from the best CONSIDERED · k candidates, any other list is the best k.
        limit = min(CONSIDERED * k, end - start) if varied else k
        best, likely = scratch.best[:limit], scratch.best_scores[:limit]
        for at in range(start, end):
            scratch.pool[at - start], scratch.pool_scores[at - start] = at, scratch.scores[at]
        size = select(scratch.keys, scratch.pool, scratch.pool_scores, end - start, best, likely)
        first = chosen.starts[query]
        chosen.starts[query + 1] = first + k
        shown = chosen.positions[first : first + k]
        if varied:
            for place in range(size):
                scratch.best_rows[place] = rows[best[place]]
            memory = Scratch(scratch.relevance[:size], scratch.nearest[:size], scratch.compared[:size])
            diversify(scratch.best_rows[:size], likely, columns, np.float32(rules.diversity), memory, scratch.order[:k])
            for place in range(k):
                shown[place] = best[scratch.order[place]]
        else:
            for place in range(k):
                shown[place] = best[place]
        if browses and rules.fairness > 0:
            _prefer_protected(shown, candidates, rules, query, scratch)
        if browses and rules.new_source >= 0:
            _reserve_places_for_new(shown, candidates, columns, rules, query, scratch)
        for place in range(k):
            chosen.scores[first + place] = rounded(scores[shown[place]])
            proposed = np.int64(0)
            for source in range(candidates.ranks.shape[1]):
                if candidates.ranks[shown[place], source] > 0:
                    proposed |= np.int64(1) << source
            chosen.sources[first + place] = proposed


@helper
def _put_same_titles_last(rows: Rows, columns: Columns, scratch: _Scratch, start: int, end: int) -> None:
    """Lower the scores of all candidates from `start` to `end` but the best of each title below 0, in their order."""
    scores, of_title = scratch.scores, scratch.of_title
    last = np.uint64(len(of_title) - 1)
    for at in range(start, end):
        title = columns.titles[rows[at]]
        if title == 0:
            continue
        slot = title & last
        # Entries of earlier queries are free. Linear probing: the table has twice as many entries as candidates.
        while of_title[slot] >= start and columns.titles[rows[of_title[slot]]] != title:
            slot = (slot + np.uint64(1)) & last
        other = of_title[slot]
        if other < start:
            of_title[slot] = at
        elif scores[at] > scores[other]:
            of_title[slot] = at
            # −1 / (1 + s) is below 0 and rises with s. So the other variants come after all other titles, in their own
            # order.
            scores[other] = np.float32(-1) / (np.float32(1) + scores[other])
        else:
            scores[at] = np.float32(-1) / (np.float32(1) + scores[at])


@helper
def _prefer_protected(shown: Rows, candidates: Candidates, rules: Rules, query: int, scratch: _Scratch) -> None:
    """Order a list so that its first n places have at least ⌊fairness · n⌋ protected items, for every n.

    This is the ranking of FA*IR (Zehlike et al. 2017, doi:10.1145/3132847.3132938) without its significance test: each
    place goes to the next item of the list, or to the best protected item if there are too few of them so far. The
    protected item must have at least LEAST_RELEVANCE of the score of the item that it goes before.
    """
    rows, scores, k = candidates.rows, scratch.scores, len(shown)
    most = np.int64(rules.fairness * k)
    best, likely = scratch.best[: min(most, len(scratch.best))], scratch.best_scores[: min(most, len(scratch.best))]
    size = 0
    for at in range(candidates.starts[query], candidates.starts[query + 1]):
        if rules.is_protected[rows[at]]:
            scratch.pool[size], scratch.pool_scores[size] = at, scores[at]
            size += 1
    size = select(scratch.keys, scratch.pool, scratch.pool_scores, size, best, likely)
    # `order` receives the new list. A list's items and the best protected ones are two queues, which share items.
    ordered, next_shown, next_best, protected = scratch.order[:k], 0, 0, 0
    for place in range(k):
        while next_shown < k - 1 and _is_among(shown[next_shown], ordered[:place]):
            next_shown += 1
        while next_best < size and _is_among(best[next_best], ordered[:place]):
            next_best += 1
        chosen = shown[next_shown]
        lacks = protected < np.int64(rules.fairness * (place + 1)) and not rules.is_protected[rows[chosen]]
        if lacks and next_best < size and likely[next_best] >= LEAST_RELEVANCE * scores[chosen]:
            chosen = best[next_best]
        ordered[place] = chosen
        protected += rules.is_protected[rows[chosen]]
    for place in range(k):
        shown[place] = ordered[place]


@helper
def _is_among(item: int, items: Rows) -> bool:
    found = False
    for each in items:
        found = found or each == item
    return found


@helper
def _reserve_places_for_new(
    shown: Rows, candidates: Candidates, columns: Columns, rules: Rules, query: int, scratch: _Scratch
) -> None:
    """Give the last places of `shown` to items without any action, if it has fewer of them than the rules require.

    Without a place such items would never get an action, and their scores could not improve (exploration). The places
    go to the candidates of the source `new` with the best scores: their text fits the shopper best.
    """
    missing = min(rules.places_for_new, len(shown) // FEWEST_BESIDE_NEW)
    for place in range(len(shown)):
        missing -= not columns.seen[candidates.rows[shown[place]]]
    if missing <= 0:
        return
    new, likely, size = scratch.best[:missing], scratch.best_scores[:missing], 0
    pool, pool_scores = scratch.pool, scratch.pool_scores
    for at in range(candidates.starts[query], candidates.starts[query + 1]):
        is_new = candidates.ranks[at, rules.new_source] > 0 and not columns.seen[candidates.rows[at]]
        if is_new and not _is_among(at, shown):
            pool[size], pool_scores[size] = at, scratch.scores[at]
            size += 1
    size = select(scratch.keys, pool, pool_scores, size, new, likely)
    for place in range(size):
        shown[len(shown) - size + place] = new[place]
