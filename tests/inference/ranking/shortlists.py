"""Hand-made shortlists for the tests of ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.queries import QueryBatch
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.retrieval.sources import NAMES
from inference.types import Query, Vector
from tests.inference.catalogues import DIM


def shortlists_of(
    queries: Sequence[Query],
    rows: Sequence[Sequence[int]],
    scores: Vector | None = None,
    ranks: Vector | None = None,
    sources: tuple[str, ...] = NAMES,
) -> Shortlists:
    """Return shortlists of these rows for each query; without `scores` and `ranks` (C, S) no source proposed them."""
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    nothing = np.zeros((int(starts[-1]), len(sources)), dtype=np.float32)
    candidates = Candidates(
        starts,
        np.array([row for each in rows for row in each], dtype=np.int32),
        np.zeros(int(starts[-1]), dtype=np.float32),
        nothing if scores is None else scores,
        nothing if ranks is None else ranks,
    )
    return Shortlists(QueryBatch.of(queries, DIM), candidates, sources)
