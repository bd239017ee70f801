"""The candidates of a batch of queries, as arrays that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference.queries import LONG_TERM, SEARCH, SHORT_TERM, QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.types import Vector

RRF_OFFSET = 60
"""Cormack, Clarke & Büttcher 2009, doi:10.1145/1571941.1572114: an item's fused score is Σ 1 / (60 + rank)."""


class Candidates(NamedTuple):
    """Candidates of n queries, C in all: query i has `starts[i]:starts[i + 1]`, in retrieval order.

    Attributes:
        starts: int64 (n + 1,).
        rows: rows of the catalogue, int32 (C,).
        fused: the fused score of each, float32 (C,).
        scores: each source's score, float32 (C, S); 0 where a source did not propose the item.
        ranks: 1 / the rank that each source gave the item, float32 (C, S); 0 where it did not propose it.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    fused: Vector
    scores: Vector
    ranks: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Shortlists:
    """Candidates of a batch of queries, proposed by `sources`."""

    queries: QueryBatch
    candidates: Candidates
    sources: tuple[str, ...]


class Named(Protocol):
    """A source."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


def retrieve(
    sources: Sequence[Named], batch: QueryBatch, catalogue: Catalogue, limit: int, most: int | None
) -> Shortlists:
    """Stand in for retrieval until it is merged: the sources by vectors, `trending` and `given`, by brute force."""
    columns, names = catalogue.columns, tuple(source.name for source in sources)
    parts = []
    for place, record in enumerate(batch.records):
        (excluded,) = np.isin(columns.keys, batch.exclude[slice(*batch.exclude_starts[place : place + 2])]).nonzero()
        scores, ranks = np.zeros((2, len(columns.keys), len(names)), dtype=np.float32)
        for source, name in enumerate(names):
            score = _score(name, batch, place, columns)
            if score is not None:
                order = np.lexsort((columns.keys, -score))
                order = order[np.isfinite(score[order])][: len(score) if name == "given" else limit]
                scores[order, source] = score[order]
                ranks[order, source] = 1 / np.arange(1, len(order) + 1)
        fused = np.where(ranks > 0, ranks / (RRF_OFFSET * ranks + 1), 0).sum(axis=1, dtype=np.float64)
        fused[excluded] = 0
        order = np.lexsort((columns.keys, -fused.astype(np.float32)))
        rows = order[fused[order] > 0][: None if most is None else max(most, int(record["k"]))]
        parts.append((rows, fused[rows], scores[rows], ranks[rows]))
    empty = (np.empty(0), np.empty(0), np.empty((0, len(names))), np.empty((0, len(names))))
    rows, fused, scores, ranks = (np.concatenate(each) for each in zip(empty, *parts, strict=True))
    return Shortlists(
        batch,
        Candidates(
            np.cumsum([0, *(len(each[0]) for each in parts)], dtype=np.int64),
            rows.astype(np.int32),
            fused.astype(np.float32),
            scores.astype(np.float32),
            ranks.astype(np.float32),
        ),
        names,
    )


def _score(name: str, batch: QueryBatch, place: int, columns: object) -> Vector | None:
    vectors = batch.vectors[place].astype(np.float32) * batch.inverse_norms[place][:, None]
    present = [each for each in (SEARCH, SHORT_TERM, LONG_TERM) if batch.inverse_norms[place, each] > 0]
    places = {"short_term": SHORT_TERM, "long_term": LONG_TERM, "query": SEARCH, "new": (*present, None)[0]}
    score = None
    if name in places and places[name] in present:
        score = columns.vectors.astype(np.float32) @ vectors[places[name]] * columns.inverse_norms
        if name == "new":
            score = np.where(columns.seen, -np.inf, score)
    elif name == "trending":
        score = np.where(columns.popularity > 0, columns.popularity, -np.inf)
    elif name == "given":
        score = np.zeros(len(columns.keys), dtype=np.float32)
    return None if score is None else np.where(columns.available, score, -np.inf).astype(np.float32)
