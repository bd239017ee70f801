"""Queries related to a query by the items that they led to, by their words, and by their meaning. No I/O.

With c(q, i), the decayed weight of the actions on item i after query q, two queries are co-clicked by the cosine of
their vectors c, as in the click graph of Craswell & Szummer 2007, doi:10.1145/1277741.1277784. Their meanings are
compared by the cosine of their embeddings. A query refines another if it has all of its words and more.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from inference.retrieval.vectors import Int8Vector, inverse_norms
from inference.types import Vector

Kind = Literal["co_clicked", "refining", "similar"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Numbers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

CHUNK = 4096
"""Vectors that are converted to float32 at once: few enough for the processor's cache."""


class RelatedQuery(msgspec.Struct, frozen=True, gc=False):
    """A query related to another, with its strongest relation and the relation's score in (0, 1]."""

    text: str
    kind: Kind
    score: float


class Clicks(NamedTuple):
    """Actions after queries: `queries[i]` led to the item numbered `items[i]` with `weights[i]`; (n,) each."""

    queries: Numbers
    items: Numbers
    weights: Scores


class CoClicks:
    """Queries by the items that they led to. Immutable."""

    def __init__(self, clicks: Clicks, queries: int, items: int) -> None:
        squares = np.bincount(clicks.queries, weights=clicks.weights**2, minlength=queries)
        # Each share is a component of its query's unit vector, so a cosine is a sum of products and needs no division
        # later.
        shares = clicks.weights / np.sqrt(squares)[clicks.queries]
        by_query = np.argsort(clicks.queries, kind="stable")
        by_item = np.argsort(clicks.items, kind="stable")
        self._items, self._item_shares = clicks.items[by_query], shares[by_query]
        self._queries, self._query_shares = clicks.queries[by_item], shares[by_item]
        # The same actions in two orders: by query, to find its items, and by item, to find the queries that led to it.
        self._by_query = np.searchsorted(clicks.queries[by_query], np.arange(queries + 1))
        self._by_item = np.searchsorted(clicks.items[by_item], np.arange(items + 1))

    def similar(self, query: int) -> tuple[Numbers, Scores]:
        """Return the other queries that led to items of this one, ascending, and the cosines, in (0, 1]."""
        # A cosine is a sum over shared items: each own item adds its share times that of every query that led to it.
        own = slice(self._by_query[query], self._by_query[query + 1])
        slices = [slice(self._by_item[item], self._by_item[item + 1]) for item in self._items[own]]
        if not slices:
            return np.empty(0, np.int64), np.empty(0)
        numbers = np.concatenate([self._queries[each] for each in slices])
        terms = [share * self._query_shares[each] for share, each in zip(self._item_shares[own], slices, strict=True)]
        others, places = np.unique(numbers, return_inverse=True)
        cosines = np.minimum(np.bincount(places, weights=np.concatenate(terms)), 1.0)
        return others[others != query], cosines[others != query]


class Embeddings:
    """Vectors of queries, compared by cosine. Immutable.

    Args:
        vectors: int8 (n, dim), see `inference.retrieval.vectors`; zero for a query without one.
    """

    def __init__(self, vectors: Int8Vector) -> None:
        self._vectors = vectors
        self._inverse_norms = np.concatenate(
            [np.empty(0, np.float32)]
            + [inverse_norms(vectors[at : at + CHUNK].astype(np.float32)) for at in range(0, len(vectors), CHUNK)]
        )

    def of(self, number: int) -> Vector:
        """Return the unit vector of a query, (dim,), or zeros."""
        return np.asarray(self._vectors[number].astype(np.float32) * self._inverse_norms[number], dtype=np.float32)

    def cosines(self, vector: Vector, numbers: Numbers) -> Vector:
        """Return the cosines of a vector (dim,) with those of some queries, (n,); 0 where one of both is zero."""
        norm = float(np.linalg.norm(vector))
        unit = np.asarray(vector, dtype=np.float32) / np.float32(norm or 1.0)
        parts = (numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK))
        products = [self._vectors[part].astype(np.float32) @ unit for part in parts]
        return np.asarray(np.concatenate([np.empty(0, np.float32), *products]) * self._inverse_norms[numbers])
