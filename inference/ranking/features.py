"""What the ranker knows about each candidate: one row of numbers.

All lie in [-1, 1] and none depends on the size of the shop, so that a ranker fitted in one shop can serve another:
scores of sources are shares, not counts, and their roots tell small shares apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.shortlist import Shortlist
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
from inference.retrieval.tally import among
from inference.types import Query, Vector

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


def features(shortlist: Shortlist, catalogue: Catalogue) -> Vector:
    """Return the features (candidates, len(FEATURES)), float32, of a shortlist, as the catalogue stands now."""
    query, rows = shortlist.query, shortlist.rows
    columns = np.zeros((len(FEATURES), len(rows)), dtype=np.float32)
    last, known = catalogue.rows_of(query.session[:LAST_ITEMS])
    last = last[known]
    _similarities(columns, query, catalogue, rows, last)
    _sources(columns, shortlist)
    columns[_PLACE["popularity"]] = np.sqrt(catalogue.columns.popularity[rows])
    columns[_PLACE["lasting"]] = np.sqrt(catalogue.columns.lasting[rows])
    columns[_PLACE["new"]] = ~catalogue.columns.seen[rows]
    _personal(columns, query, catalogue, rows, last)
    columns[_PLACE["searching"]] = query.text is not None
    columns[_PLACE["session_length"]] = min(np.log1p(len(query.session)) / np.log1p(LONG_SESSION), 1.0)
    columns[_PLACE["habits"]] = len(query.habits.keys) > 0
    columns[_PLACE["intent"]] = query.long_term is not None
    return columns.T


def _similarities(columns: Vector, query: Query, catalogue: Catalogue, rows: Rows, last: Rows) -> None:
    """All cosines in one product of matrices."""
    intents = {"short_term": query.short_term, "long_term": query.long_term, "query": query.text_vector}
    present = {_PLACE[name]: vector for name, vector in intents.items() if vector is not None}
    vectors = [*present.values(), *catalogue.columns.vectors[last]]
    if not vectors:
        return
    found = catalogue.similarities(np.stack(vectors), rows)
    columns[list(present)] = found[: len(present)]
    if len(last):
        columns[_PLACE["last_item"]] = found[len(present)]
        columns[_PLACE["last_items"]] = found[len(present) :].max(axis=0)


def _sources(columns: Vector, shortlist: Shortlist) -> None:
    place_of = {name: place for place, name in enumerate(shortlist.sources)}
    for feature, source in SCORED.items():
        if (place := place_of.get(source)) is not None:
            columns[_PLACE[feature]] = np.sqrt(shortlist.scores[:, place])
    for feature, source in PLACED.items():
        if (place := place_of.get(source)) is not None:
            columns[_PLACE[feature]] = shortlist.ranks[:, place]


def _personal(columns: Vector, query: Query, catalogue: Catalogue, rows: Rows, last: Rows) -> None:
    keys, categories, brands = (
        column[rows] for column in (catalogue.columns.keys, catalogue.columns.categories, catalogue.columns.brands)
    )
    columns[_PLACE["category"]] = _affinity(query.categories, categories)
    columns[_PLACE["brand"]] = _affinity(query.brands, brands)
    if len(last):
        category, brand = catalogue.columns.categories[last[0]], catalogue.columns.brands[last[0]]
        # 0 stands for none.
        columns[_PLACE["same_category"]] = (categories == category) & (category != 0)
        columns[_PLACE["same_brand"]] = (brands == brand) & (brand != 0)
    remembered = np.array([memory.key for memory in query.recent], dtype=np.uint64)
    columns[_PLACE["seen_before"]] = among(keys, remembered)
    habits = query.habits
    if len(habits.keys):
        order = np.argsort(habits.keys)
        place = np.searchsorted(habits.keys, keys, sorter=order).clip(max=len(order) - 1)
        times = np.where(habits.keys[order[place]] == keys, habits.weights[order[place]], 0.0)
        columns[_PLACE["bought"]] = np.minimum(np.log1p(times) / np.log1p(OFTEN), 1.0)
    if query.price is not None:
        prices = catalogue.columns.prices[rows]
        z = (prices - query.price.mean) / max(query.price.deviation, _LEAST_DEVIATION)
        known = np.isfinite(prices)
        columns[_PLACE["price"]] = np.where(known, np.exp(-np.square(z) / 2), 0.0)
        columns[_PLACE["dearer"]] = np.where(known, np.tanh(z), 0.0)


def _affinity(shares: Mapping[int, float], labels: npt.NDArray[np.uint64]) -> Vector:
    """Look up the share of each label (n,), 0 where the shopper has none."""
    values = np.zeros(len(labels), dtype=np.float32)
    for label, share in shares.items():
        values[labels == label] = share
    return values
