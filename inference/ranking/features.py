"""What the ranker knows about each candidate: one row of numbers.

All lie in [-1, 1] and none depends on the size of the shop, so that a ranker fitted in one shop can serve another:
scores of sources are shares, not counts, and their roots tell small shares apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice

import numpy as np

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.shortlist import NO_ROWS, Shortlist
from inference.retrieval.sources import (
    CLICKED,
    LONG_TERM,
    NEXT,
    QUERY,
    REPEAT,
    SESSIONS,
    SHORT_TERM,
    TOGETHER,
    WORDS,
)
from inference.retrieval.tally import Numbers, among, whose
from inference.retrieval.vectors import inverse_norms, quantise
from inference.types import NO_KEYS, Keys, Query, Vector

LAST_ITEMS = 3
"""Items of the session that a candidate is compared with one by one."""
LONG_SESSION = 24
"""A session this long counts as 1: more are not remembered."""
OFTEN = 20
"""So many purchases of one item count as 1."""

SIMILARITIES = (
    "short_term",  # cosine to the short-term intent vector; 0 without one
    "long_term",  # cosine to the long-term intent vector; 0 without one
    "query",  # cosine to the search's vector; 0 without one
    "last_item",  # cosine to the last item of the session
    "last_items",  # greatest cosine to the last LAST_ITEMS of the session
)
SCORED = {
    "together": TOGETHER,  # √ of the source's score: how often the item goes with those of the session
    "next": NEXT,  # how often it follows the last one
    "sessions": SESSIONS,  # of the sessions like this one, the share that holds it
    "clicked": CLICKED,  # of what shoppers acted on after this search and near ones, its share
    "words": WORDS,  # how well it holds the words of the search
    "repeat": REPEAT,  # how due it is by the shopper's own rhythm
}
PLACED = {
    "short_term_place": SHORT_TERM,  # 1 / the place that the source gave it; 0 where it did not propose it
    "long_term_place": LONG_TERM,
    "query_place": QUERY,
    "words_place": WORDS,
    "together_place": TOGETHER,
    "next_place": NEXT,
    "sessions_place": SESSIONS,
    "repeat_place": REPEAT,
}
POPULARITIES = (
    "popularity",  # √ of what all shoppers do with the item now, beside the most popular one
    "lasting",  # √ of the same over weeks
    "new",  # 1 if nobody has acted on the item yet
)
PERSONAL = (
    "category",  # the shopper's affinity to the item's category
    "brand",  # the shopper's affinity to the item's brand
    "same_category",  # 1 if the last item of the session has the same category
    "same_brand",  # 1 if it has the same brand
    "seen_before",  # 1 if the shopper acted on the item in an earlier session
    "bought",  # log of how often the shopper bought it, decayed: 1 for OFTEN
    "price",  # exp(−z²/2), z being the price's distance to the shopper's usual one in deviations; 0 where unknown
    "dearer",  # tanh(z): above what is usual or below
)
CONTEXT = (
    "searching",  # 1 if the shopper searches
    "session_length",  # log of how many items the session has, 1 for LONG_SESSION
    "habits",  # 1 if the shopper bought something before
    "intent",  # 1 if there is a long-term intent
)
"""What is the same for all candidates of a list: it can change what the others mean, and how likely any of them is."""

FEATURES = (*SIMILARITIES, *SCORED, *PLACED, *POPULARITIES, *PERSONAL, *CONTEXT)
_PLACE = {name: place for place, name in enumerate(FEATURES)}
_LEAST_DEVIATION = 0.25
"""Of log(1 + price): who bought one thing only is not taken to want this very price."""


_PRODUCTS = 8
"""Vectors that each candidate is compared with, some of them zero: BLAS is faster with eight than with six."""


def features(shortlists: Sequence[Shortlist], catalogue: Catalogue) -> Vector:
    """Return the features (candidates, len(FEATURES)), float32, as the catalogue stands now.

    The candidates of the shortlists, one or more from the same sources, follow one another list by list.
    """
    queries = [each.query for each in shortlists]
    rows = np.concatenate([NO_ROWS, *(each.rows for each in shortlists)])
    lists = whose([len(each.rows) for each in shortlists])
    last = _last_items(queries, catalogue)
    columns = np.zeros((len(FEATURES), len(rows)), dtype=np.float32)
    columns[_places(SIMILARITIES)] = _similarities(shortlists, catalogue, rows, lists, last)
    _sources(columns, shortlists)
    columns[_PLACE["popularity"]] = np.sqrt(catalogue.columns.popularity[rows])
    columns[_PLACE["lasting"]] = np.sqrt(catalogue.columns.lasting[rows])
    columns[_PLACE["new"]] = ~catalogue.columns.seen[rows]
    _personal(columns, queries, catalogue, rows, lists, last[:, 0])
    columns[_places(CONTEXT)] = _context(queries)[:, lists]
    return columns.T


def _places(names: Iterable[str]) -> list[int]:
    return [_PLACE[name] for name in names]


@cache
def _found_by(names: tuple[tuple[str, str], ...], sources: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Return the places of the features that tell of any of `sources`, and of those sources."""
    present = [(_PLACE[feature], sources.index(source)) for feature, source in names if source in sources]
    return [feature for feature, _ in present], [source for _, source in present]


def _last_items(queries: Sequence[Query], catalogue: Catalogue) -> Rows:
    """Return the rows (lists, LAST_ITEMS) of the last items of each session that are in the catalogue, newest first.

    Where there are fewer, the newest stands in for the others; where there are none, -1.
    """
    keys = [query.session[:LAST_ITEMS] for query in queries]
    rows, _ = catalogue.rows_of(np.concatenate([NO_KEYS, *keys]))
    found = iter(rows.tolist())
    known = [[row for row in islice(found, len(each)) if row >= 0] for each in keys]
    filled = [(each + LAST_ITEMS * (each[:1] or [-1]))[:LAST_ITEMS] for each in known]
    return np.array(filled, dtype=np.intp).reshape(-1, LAST_ITEMS)


def _similarities(
    shortlists: Sequence[Shortlist], catalogue: Catalogue, rows: Rows, lists: Numbers, last: Rows
) -> Vector:
    """Return the SIMILARITIES (5, n): all cosines of a list in one product of matrices. To no vector they are 0."""
    vectors = np.zeros((len(shortlists), _PRODUCTS, catalogue.dim), dtype=np.float32)
    for own, query in zip(vectors, (each.query for each in shortlists), strict=True):
        for place, intent in enumerate((query.short_term, query.long_term, query.text_vector)):
            if intent is not None:
                own[place] = intent
    (present,) = (last[:, 0] >= 0).nonzero()
    theirs = catalogue.columns.vectors
    vectors[present, 3 : 3 + LAST_ITEMS] = theirs[last[present]]
    vectors = quantise(vectors).astype(np.float32)
    products = [theirs.take(each.rows, axis=0) @ own.T for each, own in zip(shortlists, vectors, strict=True)]
    norms = inverse_norms(vectors)[lists]
    cosines = (np.concatenate(products) * norms * catalogue.columns.inverse_norms[rows][:, None]).T
    return np.concatenate([cosines[:4], cosines[3 : 3 + LAST_ITEMS].max(axis=0, keepdims=True)])


def _sources(columns: Vector, shortlists: Sequence[Shortlist]) -> None:
    sources = shortlists[0].sources
    scored, places = _found_by(tuple(SCORED.items()), sources)
    columns[scored] = np.sqrt(np.concatenate([each.scores for each in shortlists]).T[places])
    placed, places = _found_by(tuple(PLACED.items()), sources)
    columns[placed] = np.concatenate([each.ranks for each in shortlists]).T[places]


def _personal(
    columns: Vector, queries: Sequence[Query], catalogue: Catalogue, rows: Rows, lists: Numbers, last: Rows
) -> None:
    """Fill in what is PERSONAL; `last` (lists,) are the rows of the last items of the sessions, -1 without one."""
    given = catalogue.columns
    keys, categories, brands = given.keys[rows], given.categories[rows], given.brands[rows]
    ends = np.searchsorted(lists, np.arange(len(queries) + 1)).tolist()
    times = np.empty(len(rows), dtype=np.float32)
    for query, start, end in zip(queries, ends, ends[1:], strict=False):
        part = slice(start, end)
        columns[_PLACE["category"], part] = _affinity(query.categories, categories[part])
        columns[_PLACE["brand"], part] = _affinity(query.brands, brands[part])
        columns[_PLACE["seen_before"], part] = among(
            keys[part], np.array([memory.key for memory in query.recent], dtype=np.uint64)
        )
        times[part] = _held(query.habits.keys, query.habits.weights, keys[part])
    for name, own, labels in (("same_category", categories, given.categories), ("same_brand", brands, given.brands)):
        # 0 stands for none.
        before = np.where(last >= 0, labels[last], np.uint64(0))[lists]
        columns[_PLACE[name]] = (own == before) & (before != 0)
    columns[_PLACE["bought"]] = np.minimum(np.log1p(times) / np.log1p(OFTEN), 1.0)
    usual = np.array([query.price or (np.nan, 1.0) for query in queries], dtype=np.float32)[lists]
    z = (given.prices[rows] - usual[:, 0]) / np.maximum(usual[:, 1], _LEAST_DEVIATION)
    known = np.isfinite(z)
    columns[_PLACE["price"]] = np.where(known, np.exp(-np.square(z) / 2), 0.0)
    columns[_PLACE["dearer"]] = np.where(known, np.tanh(z), 0.0)


def _affinity(shares: Mapping[int, float], labels: Keys) -> Vector:
    return _held(
        np.fromiter(shares, np.uint64, len(shares)), np.fromiter(shares.values(), np.float32, len(shares)), labels
    )


def _held(held: Keys, values: Vector, keys: Keys) -> Vector:
    """Return for each of `keys` (n,) the one of `values` (m,) whose key in `held` (m,) is the same, 0 without one."""
    # At most one of the products is not 0, so the sum is exact.
    return np.asarray(values @ (held[:, None] == keys))


def _context(queries: Sequence[Query]) -> Vector:
    """Return the CONTEXT (4, lists)."""
    lengths = np.array([len(query.session) for query in queries])
    return np.array(
        [
            [query.text is not None for query in queries],
            np.minimum(np.log1p(lengths) / np.log1p(LONG_SESSION), 1.0),
            [len(query.habits.keys) > 0 for query in queries],
            [query.long_term is not None for query in queries],
        ],
        dtype=np.float32,
    )
