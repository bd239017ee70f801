"""The whole function: retrieve -> filter -> score -> rank, a batch at a time, observed stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

import numpy as np

from inference.errors import ScoringError
from inference.ranking.features import features
from inference.ranking.reasons import reasons
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlist import Shortlist, merge
from inference.retrieval.sources import CandidateSource, ask
from inference.types import Query, RankedList, ScoredCandidate, Vector

SCORING_FAILED = "scoring_failed"
SCORE_DECIMALS = 6
"""Scores are rounded to this before sorting: a float32 product may differ in the last bits from batch to batch."""

Observer = Callable[[str, float], None]
"""Told the name of a stage and the seconds that it took for a batch."""


def unobserved(_stage: str, _seconds: float) -> None:
    """Let a stage pass."""


class ScoresFeatures(Protocol):
    """A ranker."""

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, for features (n, F), float32. Raises ScoringError."""
        ...


class Recommender:
    """Ranks the catalogue for batches of queries. Not thread-safe: one thread at a time, also for the catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        scorer: ScoresFeatures,
        sources: Sequence[CandidateSource],
        *,
        candidates_per_source: int = 100,
        observe: Observer = unobserved,
    ) -> None:
        self.catalogue = catalogue
        self._scorer = scorer
        self._sources = tuple(sources)
        self._limit = candidates_per_source
        self._observe = observe

    def recommend(self, queries: Sequence[Query]) -> list[RankedList]:
        """Rank for each query; in retrieval order, marked, where the model fails."""
        shortlists = self.retrieve(queries)
        try:
            return self.rank(shortlists)
        except ScoringError:
            return [in_retrieval_order(shortlist, SCORING_FAILED) for shortlist in shortlists]

    def retrieve(self, queries: Sequence[Query]) -> list[Shortlist]:
        """Ask every source about every query and merge what they found."""
        with self._stage("retrieve"):
            found = ask(self._sources, queries, self.catalogue, self._limit)
            names = [source.name for source in self._sources]
            return [
                merge(query, [(name, hits[position]) for name, hits in zip(names, found, strict=True)], self.catalogue)
                for position, query in enumerate(queries)
            ]

    def rank(self, shortlists: Sequence[Shortlist]) -> list[RankedList]:
        """Score all shortlists in one run of the model and order each.

        Raises:
            ScoringError: the model failed.
        """
        with self._stage("score"):
            matrices = [self.features(shortlist) for shortlist in shortlists]
            scores = self._scorer.score(np.concatenate(matrices)) if matrices else np.empty(0, dtype=np.float32)
        with self._stage("rank"):
            ends = np.cumsum([len(matrix) for matrix in matrices], dtype=np.intp)
            parts = np.split(scores, ends[:-1]) if matrices else []
            return [order(shortlist, part, self.catalogue) for shortlist, part in zip(shortlists, parts, strict=True)]

    def features(self, shortlist: Shortlist) -> Vector:
        """Return what the model sees of a shortlist, (candidates, len(FEATURES)), as the catalogue stands now."""
        return features(shortlist.query, self.catalogue, shortlist.rows)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._observe(name, perf_counter() - started)


def order(shortlist: Shortlist, scores: Vector, catalogue: Catalogue) -> RankedList:
    """Take the k best candidates by `scores` (n,), ties by stable key, each with its origins and its reason."""
    rounded = scores.astype(np.float64).round(SCORE_DECIMALS)
    best = np.lexsort((catalogue.columns.keys[shortlist.rows], -rounded))[: shortlist.query.k]
    rows = shortlist.rows[best]
    origins = [shortlist.origins(position) for position in best]
    words = reasons(shortlist.query, catalogue, rows, origins)
    items = map(catalogue.item, rows.tolist())
    return RankedList(tuple(map(ScoredCandidate, items, rounded[best].tolist(), origins, words)))


def in_retrieval_order(shortlist: Shortlist, fallback: str) -> RankedList:
    """Return the list as retrieval had it, marked with the reason why the model did not rank it.

    Reads nothing but the shortlist, so any thread may call it at any time. Scores are the fused retrieval scores.
    """
    return RankedList(
        tuple(
            ScoredCandidate(item, round(float(fused), SCORE_DECIMALS), shortlist.origins(position), "may suit you")
            for position, (item, fused) in enumerate(zip(shortlist.leading, shortlist.fused, strict=False))
        ),
        fallback=fallback,
    )
