"""Merging what the sources found into one shortlist for each query, its origins kept: a batch of them in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.columns import Rows
from inference.retrieval.found import falling
from inference.retrieval.tally import Numbers, whose
from inference.types import NO_KEYS, Item, Query, Vector

NO_ROWS: Rows = np.empty(0, dtype=np.intp)
NO_SCORES: Vector = np.empty(0, dtype=np.float32)
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

    def origins(self, positions: Rows | slice) -> list[tuple[str, ...]]:
        """Name for each of the candidates at `positions`, (n,) or a slice, the sources that proposed it."""
        return [tuple(compress(self.sources, each)) for each in self.proposed[positions].tolist()]


def merge(
    queries: Sequence[Query], found: Mapping[str, Sequence[Found | None]], catalogue: Catalogue
) -> list[Shortlist]:
    """Fuse what each source, by its name, found for each of `queries`, leaving out what the query excludes."""
    hits, sources, columns = _end_to_end(found), tuple(found), catalogue.columns
    # A candidate is a row for a query. Both in one number: then one sort finds the distinct ones.
    capacity = len(columns.keys)
    pairs = np.concatenate([hits.queries * capacity + hits.rows, _excluded(queries, catalogue)])
    candidates, places = np.unique(pairs, return_inverse=True)
    places, excluded = places[: len(hits.rows)], places[len(hits.rows) :]
    scores, ranks = np.zeros((2, len(candidates), len(sources)), dtype=np.float32)
    scores[places, hits.sources] = hits.scores
    ranks[places, hits.sources] = 1 / hits.standing
    # A few float32 add up exactly in float64, whatever the order of the sources.
    fused = np.bincount(places, 1 / (RRF_OFFSET + hits.standing), minlength=len(candidates)).astype(np.float32)

    offered = np.ones(len(candidates), dtype=np.bool_)
    offered[excluded] = False
    (kept,) = offered.nonzero()
    numbers, rows = np.divmod(candidates[kept], capacity)
    order = falling(numbers, fused[kept], columns.keys[rows])
    rows, kept = rows[order], kept[order]
    ends = np.bincount(numbers, minlength=len(queries)).cumsum().tolist()
    fused, scores, ranks = (each.take(kept, axis=0) for each in (fused, scores, ranks))
    proposed = ranks > 0
    return [
        Shortlist(
            query=query,
            rows=rows[start:end],
            fused=fused[start:end],
            scores=scores[start:end],
            proposed=proposed[start:end],
            ranks=ranks[start:end],
            sources=sources,
            leading=tuple(map(catalogue.item, rows[start : min(start + query.k, end)].tolist())),
        )
        for query, start, end in zip(queries, [0, *ends], ends, strict=False)
    ]


class _Hits(NamedTuple):
    """What was found, end to end, (n,) each: for which query, by which source, which row, at which place from 1 on."""

    queries: Numbers
    sources: Numbers
    rows: Rows
    standing: Vector
    scores: Vector


def _end_to_end(found: Mapping[str, Sequence[Found | None]]) -> _Hits:
    present = [
        (query, source, hits)
        for source, answers in enumerate(found.values())
        for query, hits in enumerate(answers)
        if hits is not None
    ]
    lengths = np.array([len(hits.rows) for _, _, hits in present], dtype=np.intp)
    told = np.array([each[:2] for each in present], dtype=np.intp).reshape(-1, 2).T
    queries, sources, before = np.repeat([*told, lengths.cumsum() - lengths], lengths, axis=1)
    return _Hits(
        queries=queries,
        sources=sources,
        rows=np.concatenate([NO_ROWS, *(hits.rows for _, _, hits in present)]),
        standing=(np.arange(1, len(before) + 1) - before).astype(np.float32),
        scores=np.concatenate([NO_SCORES, *(hits.scores for _, _, hits in present)]),
    )


def _excluded(queries: Sequence[Query], catalogue: Catalogue) -> Numbers:
    """Return what the queries exclude as `merge` tells candidates: the query's number · capacity + the row."""
    rows, known = catalogue.rows_of(np.concatenate([NO_KEYS, *(query.exclude for query in queries)]))
    numbers = whose([len(query.exclude) for query in queries])
    return np.asarray((numbers * len(catalogue.columns.keys) + rows)[known])
