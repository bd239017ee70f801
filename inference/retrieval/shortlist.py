"""Merging what the sources found into one shortlist for each query, its origins kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.columns import Rows
from inference.retrieval.tally import among
from inference.types import Item, Query, Vector

NO_ROWS: Rows = np.empty(0, dtype=np.intp)
NO_RANKS: Vector = np.empty(0, dtype=np.float32)
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
        ranks: 1 / the rank that each source gave the item, float32 (n, sources); 0 where it did not propose it.
        sources: the names of the sources.
        leading: the first k items themselves: what is shown when scoring fails after the catalogue has moved on.
    """

    query: Query
    rows: Rows
    fused: Vector
    scores: Vector
    proposed: npt.NDArray[np.bool_]
    ranks: Vector
    sources: tuple[str, ...]
    leading: tuple[Item, ...]

    def first(self, most: int) -> Shortlist:
        """Return the shortlist with its `most` first candidates."""
        if len(self.rows) <= most:
            return self
        return replace(
            self,
            rows=self.rows[:most],
            fused=self.fused[:most],
            scores=self.scores[:most],
            proposed=self.proposed[:most],
            ranks=self.ranks[:most],
        )

    def origins(self, position: int) -> tuple[str, ...]:
        """Name the sources that proposed the candidate at `position`."""
        return tuple(compress(self.sources, self.proposed[position].tolist()))


def merge(query: Query, found: Sequence[tuple[str, Found | None]], catalogue: Catalogue) -> Shortlist:
    """Fuse what each source found for `query`, leaving out what the query excludes."""
    present = [(column, hits) for column, (_, hits) in enumerate(found) if hits is not None]
    lengths = [len(hits.rows) for _, hits in present]
    rows, places = catalogue.distinct(np.concatenate([NO_ROWS, *(hits.rows for _, hits in present)]))
    columns = np.repeat(np.array([column for column, _ in present], dtype=np.intp), lengths)
    standing = np.concatenate([NO_RANKS, *(np.arange(1, length + 1, dtype=np.float32) for length in lengths)])
    scores, ranks = np.zeros((2, len(rows), len(found)), dtype=np.float32)
    scores[places, columns] = np.concatenate([NO_RANKS, *(hits.scores for _, hits in present)])
    ranks[places, columns] = 1 / standing
    # A few float32 add up exactly in float64, whatever the order of the sources.
    fused = np.bincount(places, 1 / (RRF_OFFSET + standing), minlength=len(rows)).astype(np.float32)
    keys = catalogue.columns.keys[rows]
    if len(query.exclude):
        (kept,) = (~among(keys, query.exclude)).nonzero()
        rows, keys, fused = rows[kept], keys[kept], fused[kept]
        scores, ranks = scores[kept], ranks[kept]
    order = np.lexsort((keys, -fused))
    rows, ranks = rows[order], ranks[order]
    return Shortlist(
        query=query,
        rows=rows,
        fused=fused[order],
        scores=scores[order],
        proposed=ranks > 0,
        ranks=ranks,
        sources=tuple(name for name, _ in found),
        leading=tuple(map(catalogue.item, rows[: query.k].tolist())),
    )
