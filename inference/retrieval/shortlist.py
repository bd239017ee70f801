"""Merging what the sources found into one shortlist for each query, its origins kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.columns import Rows
from inference.types import Item, Keys, Query, Vector

RRF_OFFSET = 60
"""Cormack, Clarke & Büttcher 2009, doi:10.1145/1571941.1572114: an item's fused score is Σ 1 / (60 + rank)."""


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Candidates of one query in retrieval order (reciprocal rank fusion of the sources, ties by stable key).

    Attributes:
        rows: rows of the catalogue, (n,).
        fused: the fused score of each, float32 (n,).
        scores: each source's score, float32 (n, sources); 0 where a source did not propose the item.
        proposed: whether it did, bool (n, sources).
        sources: the names of the sources.
        leading: the first k items themselves: what is shown when scoring fails after the catalogue has moved on.
    """

    query: Query
    rows: Rows
    fused: Vector
    scores: Vector
    proposed: npt.NDArray[np.bool_]
    sources: tuple[str, ...]
    leading: tuple[Item, ...]

    def origins(self, position: int) -> tuple[str, ...]:
        """Name the sources that proposed the candidate at `position`."""
        return tuple(compress(self.sources, self.proposed[position].tolist()))


def among(keys: Keys, few: Keys) -> npt.NDArray[np.bool_]:
    """Tell which of `keys` (n,) are among a `few` (m,): for so few, comparing each beats the sorting of `np.isin`."""
    return np.asarray((keys[:, None] == few).any(axis=1))


def merge(query: Query, found: Sequence[tuple[str, Found | None]], catalogue: Catalogue) -> Shortlist:
    """Fuse what each source found for `query`, leaving out what the query excludes."""
    present = [(column, hits) for column, (_, hits) in enumerate(found) if hits is not None]
    gathered = [hits.rows for _, hits in present]
    rows, inverse = np.unique(np.concatenate(gathered) if gathered else np.empty(0, dtype=np.intp), return_inverse=True)
    scores = np.zeros((len(rows), len(found)), dtype=np.float32)
    proposed = np.zeros(scores.shape, dtype=np.bool_)
    fused = np.zeros(len(rows), dtype=np.float32)
    start = 0
    for column, hits in present:
        places = inverse[start : start + len(hits.rows)]
        start += len(hits.rows)
        scores[places, column] = hits.scores
        proposed[places, column] = True
        fused[places] += 1.0 / (RRF_OFFSET + 1 + np.arange(len(places), dtype=np.float32))
    keys = catalogue.columns.keys[rows]
    order = np.lexsort((keys, -fused))
    if len(query.exclude):
        order = order[~among(keys[order], query.exclude)]
    rows = rows[order]
    return Shortlist(
        query=query,
        rows=rows,
        fused=fused[order],
        scores=scores[order],
        proposed=proposed[order],
        sources=tuple(name for name, _ in found),
        leading=tuple(map(catalogue.item, rows[: query.k].tolist())),
    )
