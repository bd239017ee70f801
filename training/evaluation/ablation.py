"""Shortlists without one of their sources, to measure the value of each source. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.kernels.fusion import RRF_OFFSET
from inference.queries import LONG_TERM, SEARCH, SHORT_TERM, QueryBatch
from inference.retrieval import sources
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.types import Keys

VECTORS = {sources.SHORT_TERM: SHORT_TERM, sources.LONG_TERM: LONG_TERM, sources.QUERY: SEARCH}
"""The query vector of a source. Without the source, its vector is removed too, so that no feature depends on it."""


def without(shortlists: Shortlists, source: str, keys: Keys) -> Shortlists:
    """Remove the candidates of `source` alone, its scores and its ranks, and fuse the other sources again.

    `keys` are the stable keys of the catalogue's rows. They decide ties.
    """
    given = shortlists.candidates
    column = shortlists.sources.index(source)
    ranks, scores = given.ranks.copy(), given.scores.copy()
    ranks[:, column] = scores[:, column] = 0.0
    # `ranks` are reciprocal, and 0 for a source that lacks the candidate. Its place is then infinite and adds nothing.
    places = np.divide(1, ranks, out=np.full(ranks.shape, np.inf), where=ranks > 0)
    fused = (1 / (RRF_OFFSET + places)).sum(axis=1).astype(np.float32)
    lists = np.repeat(np.arange(len(shortlists)), np.diff(given.starts))
    kept = np.flatnonzero(ranks.any(axis=1))
    # `lexsort` compares its last array first: the lists stay apart, and each is in the order of the kernel `fuse`, by
    # falling score and then by key.
    order = kept[np.lexsort((keys[given.rows[kept]], -fused[kept], lists[kept]))]
    lengths = np.bincount(lists[kept], minlength=len(shortlists))
    return replace(
        shortlists,
        queries=_without_vector(shortlists.queries, source),
        candidates=Candidates(
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            rows=given.rows[order],
            fused=fused[order],
            scores=scores[order],
            ranks=ranks[order],
        ),
    )


def joined(parts: Sequence[Shortlists]) -> Shortlists:
    """Return shortlists of the same sources and placement as one batch, so that they are ranked at once."""
    # The parts follow one another, so the list numbers of a part begin where those of the part before end.
    # `SystemPass._leave_out` counts on it.
    sizes = np.concatenate([np.diff(each.candidates.starts) for each in parts])
    columns = zip(*(each.candidates[1:] for each in parts), strict=True)
    return replace(
        parts[0],
        queries=QueryBatch.joined([each.queries for each in parts]),
        candidates=Candidates(np.append(0, np.cumsum(sizes)), *map(np.concatenate, columns)),
    )


def _without_vector(queries: QueryBatch, source: str) -> QueryBatch:
    """Remove the source's vector from the queries. A search remains a search."""
    if source not in VECTORS:
        return queries
    vectors, norms = queries.vectors.copy(), queries.inverse_norms.copy()
    vectors[:, VECTORS[source]] = 0
    norms[:, VECTORS[source]] = 0.0
    return replace(queries, vectors=vectors, inverse_norms=norms)
