"""The whole function: retrieve -> filter -> score -> rank, a batch at a time, observed stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import Protocol

import numpy as np

from inference.errors import ScoringError
from inference.ranking.diversity import diversify
from inference.ranking.features import features
from inference.ranking.reasons import SUITS, Explainer, Partners, carried_by, occluded
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.found import falling
from inference.retrieval.shortlist import Shortlist, merge
from inference.retrieval.sources import NEW, CandidateSource, ask
from inference.retrieval.tally import whose
from inference.types import Keys, Query, RankedList, ScoredCandidate, Vector

SCORING_FAILED = "scoring_failed"
FEWEST_BESIDE_NEW = 10
"""Places of a list for each one that an item nobody has acted on may have: a short list has none to give away."""
SCORE_DECIMALS = 6
"""Scores are rounded to this before sorting: a float32 product may differ in the last bits from batch to batch."""

Observer = Callable[[str, float], None]
"""Told the name of a stage and the seconds that it took for a batch."""


def unobserved(_stage: str, _seconds: float) -> None:
    """Let a stage pass."""


def nothing_goes_together(keys: Keys, _others: Keys) -> list[int | None]:
    """Know of no items that go together."""
    return [None] * len(keys)


class ScoresFeatures(Protocol):
    """A ranker."""

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, for features (n, F), float32. Raises ScoringError."""
        ...


class Recommender:
    """Ranks the catalogue for batches of queries. Not thread-safe: one thread at a time, also for the catalogue.

    Args:
        catalogue: what there is to recommend.
        scorer: the ranker.
        sources: where candidates come from.
        partners: which of some items goes with each of others most often, for the reasons.
        candidates_per_source: how many each source may bring.
        candidates_ranked: how many the ranker is asked about, those that most sources agree on; None for all. What is
            left out has next to no chance of a place in the list.
        diversity: in [0, 1], how much the items of a list must differ; a search is answered by relevance alone.
        places_for_new: of a list that answers no search, how many go to items nobody has acted on yet, at the least.
        observe: told how long each stage took.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        scorer: ScoresFeatures,
        sources: Sequence[CandidateSource],
        *,
        partners: Partners = nothing_goes_together,
        candidates_per_source: int = 100,
        candidates_ranked: int | None = None,
        diversity: float = 0.0,
        places_for_new: int = 0,
        observe: Observer = unobserved,
    ) -> None:
        self.catalogue = catalogue
        self._scorer = scorer
        self._partners = partners
        self._diversity = diversity
        self._places_for_new = places_for_new
        self._sources = tuple(sources)
        self._limit = candidates_per_source
        self._most = candidates_ranked
        self._observe = observe

    def use(self, scorer: ScoresFeatures) -> None:
        """Rank by another model from the next list on; it must know the same features."""
        self._scorer = scorer

    def tell(self, observe: Observer) -> None:
        """Tell `observe` from now on how long each stage takes."""
        self._observe = observe

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in the order of a shortlist's columns."""
        return tuple(source.name for source in self._sources)

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
            return merge(queries, dict(zip(self.source_names, found, strict=True)), self.catalogue)

    def rank(self, shortlists: Sequence[Shortlist]) -> list[RankedList]:
        """Score all shortlists in one run of the model and order each.

        Raises:
            ScoringError: the model failed.
        """
        if not shortlists:
            return []
        with self._stage("score"):
            if self._most is not None:
                shortlists = [each.first(max(self._most, each.query.k)) for each in shortlists]
            matrix = self.features(shortlists)
            scores = self._scores(matrix)
        starts = np.cumsum([0, *(len(each.rows) for each in shortlists)])[:-1]
        scores_of = np.split(scores, starts[1:])
        with self._stage("rank"):
            orders = np.split(self._order(shortlists, scores), starts[1:])
            ordered = zip(shortlists, scores_of, orders, starts, strict=True)
            chosen = [self._choose(each, own, order - start) for each, own, order, start in ordered]
        with self._stage("explain"):
            shown = np.concatenate([best + start for best, start in zip(chosen, starts, strict=True)])
            carried = iter(carried_by(self._scores(occluded(matrix[shown]))))
            groups = [list(islice(carried, len(best))) for best in chosen]
            return [self._put_in_words(*each) for each in zip(shortlists, scores_of, chosen, groups, strict=True)]

    def features(self, shortlists: Sequence[Shortlist]) -> Vector:
        """Return what the model sees of all candidates, (candidates, len(FEATURES)), as the catalogue stands now."""
        return features(shortlists, self.catalogue)

    def _scores(self, features: Vector) -> Vector:
        return self._scorer.score(features).astype(np.float64).round(SCORE_DECIMALS).astype(np.float32)

    def _order(self, shortlists: Sequence[Shortlist], scores: Vector) -> Rows:
        """Return the positions of all candidates, list by list, by their scores (n,), ties by stable key."""
        rows = [each.rows for each in shortlists]
        return falling(whose([len(each) for each in rows]), scores, self.catalogue.columns.keys[np.concatenate(rows)])

    def _choose(self, shortlist: Shortlist, scores: Vector, order: Rows) -> Rows:
        """Return the positions of the k candidates to show, in their order."""
        query = shortlist.query
        if query.text is not None:
            return order[: query.k]
        varied = diversify(shortlist.rows[order], scores[order], self.catalogue, k=query.k, diversity=self._diversity)
        return self._with_new(shortlist, order, order[varied])

    def _with_new(self, shortlist: Shortlist, order: Rows, chosen: Rows) -> Rows:
        """Give the last places to items that nobody has acted on yet, where `chosen` has fewer of them than it should.

        Without a place they would never be acted on, and never be known better (exploration). Those are asked that the
        source `new` proposed: they fit the shopper best by their text.
        """
        unseen = ~self.catalogue.columns.seen[shortlist.rows]
        missing = min(self._places_for_new, len(chosen) // FEWEST_BESIDE_NEW) - int(unseen[chosen].sum())
        if missing <= 0 or NEW not in shortlist.sources:
            return chosen
        proposed = unseen & shortlist.proposed[:, shortlist.sources.index(NEW)]
        proposed[chosen] = False
        new = order[proposed[order]][:missing]
        return np.concatenate([chosen[: len(chosen) - len(new)], new])

    def _put_in_words(
        self, shortlist: Shortlist, scores: Vector, chosen: Rows, carried: Sequence[str | None]
    ) -> RankedList:
        rows = shortlist.rows[chosen]
        words = Explainer(shortlist.query, self.catalogue, self._partners).explain(rows, carried)
        items = map(self.catalogue.item, rows.tolist())
        likely = scores[chosen].astype(np.float64).round(SCORE_DECIMALS).tolist()
        return RankedList(tuple(map(ScoredCandidate, items, likely, shortlist.origins(chosen), words)))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._observe(name, perf_counter() - started)


def in_retrieval_order(shortlist: Shortlist, fallback: str) -> RankedList:
    """Return the list as retrieval had it, marked with the reason why the model did not rank it.

    Reads nothing but the shortlist, so any thread may call it at any time. Scores are the fused retrieval scores.
    """
    return RankedList(
        tuple(
            ScoredCandidate(item, round(float(fused), SCORE_DECIMALS), origins, SUITS)
            for item, fused, origins in zip(
                shortlist.leading, shortlist.fused, shortlist.origins(slice(len(shortlist.leading))), strict=False
            )
        ),
        fallback=fallback,
    )
