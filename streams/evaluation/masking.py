"""Shortlists changed after retrieval: without one of the sources, cut, or some of them alone. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference.queries import LONG_TERM as LONG_TERM_VECTOR
from inference.queries import SEARCH as SEARCH_VECTOR
from inference.queries import SHORT_TERM as SHORT_TERM_VECTOR
from inference.queries import QueryBatch
from inference.retrieval.shortlists import RRF_OFFSET, Candidates, Shortlists
from inference.retrieval.sources import LONG_TERM, QUERY, SHORT_TERM
from inference.types import NO_KEYS, Keys

VECTORS = {SHORT_TERM: SHORT_TERM_VECTOR, LONG_TERM: LONG_TERM_VECTOR, QUERY: SEARCH_VECTOR}
"""The vector that a source goes by. Without the source it is zero, so that no feature is made of it either."""

Places = npt.NDArray[np.intp]


def without(shortlists: Shortlists, source: str, keys: Keys) -> Shortlists:
    """Leave out what `source` alone proposed, its scores and ranks, and fuse the others anew.

    `keys` are those of all candidates, (C,): ties go by them.
    """
    candidates = shortlists.candidates
    others = np.array([name != source for name in shortlists.sources])
    ranks = np.where(others, candidates.ranks, np.float32(0.0))
    places = np.divide(1, ranks, out=np.full(ranks.shape, np.inf), where=ranks > 0)
    fused = (1 / (RRF_OFFSET + places)).sum(axis=1).astype(np.float32)
    kept = np.flatnonzero(ranks.any(axis=1))
    order = kept[np.lexsort((keys[kept], -fused[kept], _list_of_each(candidates)[kept]))]
    masked = candidates._replace(fused=fused, scores=np.where(others, candidates.scores, np.float32(0.0)), ranks=ranks)
    return Shortlists(_unknown(shortlists.queries, source), _taken(masked, order), shortlists.sources)


def first(shortlists: Shortlists, most: int | None) -> Shortlists:
    """Return each list's `most` first candidates, and at least k, as a recommender ranks them; None for all."""
    if most is None:
        return shortlists
    candidates = shortlists.candidates
    lists = _list_of_each(candidates)
    place = np.arange(len(lists)) - candidates.starts[lists]
    kept = np.flatnonzero(place < np.maximum(shortlists.queries.records["k"], most)[lists])
    return replace(shortlists, candidates=_taken(candidates, kept))


def select(shortlists: Shortlists, lists: Sequence[int]) -> Shortlists:
    """Return some of the lists. What their queries exclude is left out already."""
    batch, starts = shortlists.queries, shortlists.candidates.starts
    chosen = np.array(lists, dtype=np.intp)
    places = np.concatenate([np.arange(0), *(np.arange(starts[each], starts[each + 1]) for each in lists)])
    taken = Candidates(starts, *(each[places] for each in shortlists.candidates[1:]))
    lengths = np.diff(starts)[chosen]
    queries = QueryBatch(
        batch.records[chosen],
        batch.vectors[chosen],
        batch.inverse_norms[chosen],
        [batch.texts[each] for each in lists],
        NO_KEYS,
        np.zeros(len(lists) + 1, dtype=np.int64),
    )
    return Shortlists(queries, taken._replace(starts=_starts(lengths)), shortlists.sources)


def alone(shortlists: Shortlists, number: int, source: str, k: int) -> npt.NDArray[np.int32]:
    """Return the rows of the `k` candidates of list `number` that `source` ranked highest."""
    own = slice(*shortlists.candidates.starts[number : number + 2].tolist())
    ranks = shortlists.candidates.ranks[own, shortlists.sources.index(source)]
    places = np.flatnonzero(ranks)
    return shortlists.candidates.rows[own][places[np.argsort(-ranks[places], kind="stable")][:k]]


def _list_of_each(candidates: Candidates) -> Places:
    lengths = np.diff(candidates.starts)
    return np.repeat(np.arange(len(lengths)), lengths)


def _taken(candidates: Candidates, places: Places) -> Candidates:
    """Return the candidates at `places`, list by list."""
    lists = _list_of_each(candidates)[places]
    lengths = np.bincount(lists, minlength=len(candidates.starts) - 1)
    return Candidates(_starts(lengths), *(each[places] for each in candidates[1:]))


def _starts(lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _unknown(batch: QueryBatch, source: str) -> QueryBatch:
    if source not in VECTORS:
        return batch
    vectors, inverse_norms = batch.vectors.copy(), batch.inverse_norms.copy()
    vectors[:, VECTORS[source]] = 0
    inverse_norms[:, VECTORS[source]] = 0
    return replace(batch, vectors=vectors, inverse_norms=inverse_norms)
