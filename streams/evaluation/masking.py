"""What a shortlist would have been without one of its sources: how much each is worth. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from inference.retrieval.columns import Rows
from inference.retrieval.shortlist import RRF_OFFSET, Shortlist
from inference.retrieval.sources import LONG_TERM, QUERY, SHORT_TERM
from inference.types import Keys, Query

UNKNOWN: dict[str, Callable[[Query], Query]] = {
    SHORT_TERM: lambda query: replace(query, short_term=None),
    LONG_TERM: lambda query: replace(query, long_term=None),
    # A vector of no direction, not none: it is still a search.
    QUERY: lambda query: replace(
        query, text_vector=None if query.text_vector is None else np.zeros_like(query.text_vector)
    ),
}
"""What a query is without the vector that a source goes by, so that no feature is made of it either."""


def without(shortlist: Shortlist, source: str, keys: Keys) -> Shortlist:
    """Leave out what `source` alone proposed, its scores and ranks, and fuse the others anew.

    `keys` are those of the shortlist's rows, (n,): ties go by them.
    """
    others = np.array([name != source for name in shortlist.sources])
    ranks = np.where(others, shortlist.ranks, np.float32(0.0))
    places = np.divide(1, ranks, out=np.full(ranks.shape, np.inf), where=ranks > 0)
    fused = (1 / (RRF_OFFSET + places)).sum(axis=1).astype(np.float32)
    kept = np.flatnonzero(ranks.any(axis=1))
    order = kept[np.lexsort((keys[kept], -fused[kept]))]
    items = dict(zip(shortlist.rows[: len(shortlist.leading)].tolist(), shortlist.leading, strict=True))
    return replace(
        shortlist,
        query=UNKNOWN.get(source, _same)(shortlist.query),
        rows=shortlist.rows[order],
        fused=fused[order],
        scores=np.where(others, shortlist.scores, np.float32(0.0))[order],
        proposed=ranks[order] > 0,
        ranks=ranks[order],
        leading=tuple(items[row] for row in shortlist.rows[order].tolist() if row in items),
    )


def alone(shortlist: Shortlist, source: str, k: int) -> Rows:
    """Return the rows of the `k` candidates that `source` ranked highest."""
    ranks = shortlist.ranks[:, shortlist.sources.index(source)]
    places = np.flatnonzero(ranks)
    return shortlist.rows[places[np.argsort(-ranks[places], kind="stable")][:k]]


def _same(query: Query) -> Query:
    return query
