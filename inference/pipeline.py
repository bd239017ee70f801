"""The complete ranking: retrieve -> filter -> score -> rank, one batch at a time, with each stage timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import perf_counter
from typing import Protocol

import numpy as np

from inference.errors import ScoringError
from inference.kernels.fusion import Exclusions, fuse
from inference.placements import DEFAULT_OPTIONS, EVERYWHERE, Placement, RankingOptions
from inference.queries import QueryBatch
from inference.ranking.choice import SCORE_DECIMALS, Chosen, Rules, choose
from inference.ranking.explanation import explained, explained_by_sources, positions_of
from inference.ranking.feature_matrix import Buffer, features
from inference.ranking.features import FEATURES
from inference.ranking.lists import Lists, RankedRows, in_retrieval_order, names_of
from inference.ranking.occlusion import GROUPS, carried_by, matches_search, occlude
from inference.ranking.reasons import Partners, Shown, no_partners, reasons
from inference.records import Explanation
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.catalogue_sources import VectorSource
from inference.retrieval.restrictions import Restrictions
from inference.retrieval.shortlists import Candidates, Hits, Shortlists, no_hits
from inference.retrieval.sources import NEW, CandidateSource
from inference.types import Query, RankedList, Vector

SCORING_FAILED = "scoring_failed"
ALL = 2**31 - 1
"""Limit above the number of candidates of any query."""
NOBODY_REPEATS = 0.01
"""Repeat rate below which lists leave out what the shopper bought."""

Observer = Callable[[str, float], None]
"""Callback with the name of a stage and the seconds that it took for a batch."""


def unobserved(_stage: str, _seconds: float) -> None:
    """Do nothing."""


def nobody_repeats(repeat_rate: float | None) -> bool:
    """Return whether nobody buys an item twice, as far as is known."""
    return repeat_rate is not None and repeat_rate < NOBODY_REPEATS


class ScoresFeatures(Protocol):
    """A ranker."""

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, for features (n, F), float32. Raises ScoringError.

        A ranker must not keep the array of features: it is used again for the next batch.
        """
        ...


class Recommender:
    """A recommender that ranks the catalogue for batches of queries.

    Not thread-safe: one thread at a time may use it, its catalogue included.

    Args:
        catalogue: the items.
        scorer: the ranker.
        sources: the candidate sources.
        partners: function that returns the query's item with which each listed item co-occurs most often, for reasons.
        options: numbers of candidates, diversity, places for new items.
        observe: called with the duration of each stage.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        scorer: ScoresFeatures,
        sources: Sequence[CandidateSource],
        *,
        partners: Partners = no_partners,
        options: RankingOptions = DEFAULT_OPTIONS,
        observe: Observer = unobserved,
    ) -> None:
        self.catalogue = catalogue
        self._scorer = scorer
        self._partners = partners
        self._options = options
        self._sources = tuple(sources)
        self._observe = observe
        self._features, self._occluded = Buffer(len(FEATURES)), Buffer(len(FEATURES))

    def set_scorer(self, scorer: ScoresFeatures) -> None:
        """Use another ranker from the next list on. It must take the same features."""
        self._scorer = scorer

    def set_observer(self, observe: Observer) -> None:
        """Set the function that is called with the duration of each stage."""
        self._observe = observe

    @property
    def candidates_ranked(self) -> int | None:
        """The greatest number of a query's candidates that the ranker scores; None for all."""
        return self._options.candidates_ranked

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in the order of the candidates' columns."""
        return tuple(source.name for source in self._sources)

    def recommend(self, queries: Sequence[Query]) -> list[RankedList]:
        """Return a ranked list for each query. For notebooks and evaluations.

        If the model fails, lists keep the retrieval order and are marked as a fallback.
        """
        lists = self.rank_or_fall_back(self.retrieve(QueryBatch.of(queries, self.catalogue.dim)))
        return [lists.ranked(number) for number in range(len(lists))]

    def retrieve(self, batch: QueryBatch, *, every: bool = False, placement: Placement = EVERYWHERE) -> Shortlists:
        """Return the merged candidates of the placement's sources for every query: those to be ranked, or `every` one.

        The queries are those of `QueryBatch.at` this placement.
        """
        with self._stage("retrieve"):
            if nobody_repeats(self.catalogue.repeat_rate) and not every:
                batch = batch.without_bought()
            most = None if every else self._options.candidates_ranked
            sources = self._sources
            if placement.sources is not None:
                sources = tuple(source for source in sources if source.name in placement.sources)
            found = retrieve(sources, batch, self.catalogue, self._options.candidates_per_source, most)
            return found if placement is EVERYWHERE else replace(found, placement=placement)

    def to_be_ranked(self, shortlists: Shortlists) -> Shortlists:
        """Return those of all candidates that the ranker scores."""
        most = self._options.candidates_ranked
        return shortlists if most is None else shortlists.first(most)

    def rank_or_fall_back(self, shortlists: Shortlists) -> Lists:
        """Return lists as `rank` does, or in retrieval order and marked as a fallback if the model fails."""
        try:
            return self.rank(shortlists)
        except ScoringError:
            return in_retrieval_order(shortlists, self.catalogue, SCORING_FAILED)

    def rank(self, shortlists: Shortlists) -> Lists:
        """Score all candidates in one run of the model and return the list of each query.

        Raises:
            ScoringError: the model failed.
        """
        batch, candidates, catalogue = shortlists.queries, shortlists.candidates, self.catalogue
        matrix, scores, weighted, chosen = self._choose(shortlists)
        with self._stage("explain"):
            rows = candidates.rows[chosen.positions]
            items = list(map(catalogue.item, rows.tolist()))
            # The ranker scores each listed item again without one group of features at a time. All runs of a batch
            # share one call, and the memory belongs to this object, so only one thread may rank.
            occluded = occlude(matrix, chosen.positions, self._occluded.rows(len(GROUPS) * len(rows)))
            without = self._scorer.score(occluded.features)
            listed = matrix[chosen.positions]
            # Reasons come from the ranker's own probabilities, rounded as those without a group are. With weights of
            # the placement, `chosen.scores` has the weights in it.
            own = (
                chosen.scores
                if weighted is scores
                else scores[chosen.positions].astype(np.float64).round(SCORE_DECIMALS)
            )
            carried = carried_by(own, without, occluded, listed)
            because = reasons(Shown(chosen.starts, rows, items, carried), batch, catalogue, self._partners)
            names = names_of(shortlists.sources)
            return Lists(
                starts=chosen.starts,
                rows=rows,
                scores=chosen.scores,
                sources=[names[bits] for bits in chosen.sources.tolist()],
                because=because,
                items=items,
                matches=matches_search(batch.records, chosen.starts, listed),
            )

    def rank_rows(self, shortlists: Shortlists) -> RankedRows:
        """Return the lists of `rank` without reasons.

        Raises:
            ScoringError: the model failed.
        """
        *_, chosen = self._choose(shortlists)
        return RankedRows(chosen.starts, shortlists.candidates.rows[chosen.positions], chosen.scores)

    def rank_rows_with(self, shortlists: Shortlists, fairness: Sequence[float]) -> list[RankedRows]:
        """Return the lists of `rank_rows` for each of these values of fairness, scored once. Raises ScoringError."""
        rows, columns = shortlists.candidates.rows, self.catalogue.columns
        *_, weighted = self._score(shortlists)
        found = []
        for each in fairness:
            rules = self._rules(shortlists)._replace(fairness=each)
            chosen = choose(shortlists.queries.records, shortlists.candidates, columns, weighted, rules)
            found.append(RankedRows(chosen.starts, rows[chosen.positions], chosen.scores))
        return found

    def explain(self, shortlists: Shortlists, lists: Lists, number: int) -> list[Explanation]:
        """Return the explanation of each item of list `number`, by the catalogue's current state.

        `lists` are those of `shortlists`. If the model fails, only the sources are explained.
        """
        own, rows = shortlists.take([number]), lists.own_rows(number)
        if lists.fallback is None:
            at = positions_of(own, rows)
            with suppress(ScoringError):
                return explained(own, at, self.features(own)[at], own.weights()[at], self._scorer.score)
        return explained_by_sources(own, rows)

    def features(self, shortlists: Shortlists) -> Vector:
        """Return the features of all candidates, (C, len(FEATURES)), by the catalogue's current state."""
        return features(shortlists, self.catalogue)

    def _choose(self, shortlists: Shortlists) -> tuple[Vector, Vector, Vector, Chosen]:
        """Return the candidates' features, probabilities, weighted probabilities, and the chosen places."""
        with self._stage("score"):
            matrix, scores, weighted = self._score(shortlists)
        with self._stage("rank"):
            records, rules = shortlists.queries.records, self._rules(shortlists)
            chosen = choose(records, shortlists.candidates, self.catalogue.columns, weighted, rules)
            return matrix, scores, weighted, chosen

    def _score(self, shortlists: Shortlists) -> tuple[Vector, Vector, Vector]:
        """Return the candidates' features, probabilities, and probabilities with the placement's weights."""
        matrix = features(shortlists, self.catalogue, self._features.rows(len(shortlists.candidates.rows)))
        scores = self._scorer.score(matrix)
        return matrix, scores, scores if not shortlists.placement.weights else scores * shortlists.weights()

    def _rules(self, shortlists: Shortlists) -> Rules:
        sources, placement = shortlists.sources, shortlists.placement
        new_source = sources.index(NEW) if NEW in sources else -1
        options, groups = self._options, self.catalogue.groups
        return Rules(
            options.diversity if placement.diversity is None else placement.diversity,
            options.places_for_new if placement.places_for_new is None else placement.places_for_new,
            new_source,
            options.fairness,
            groups.is_protected,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._observe(name, perf_counter() - started)


def retrieve(
    sources: Sequence[CandidateSource], batch: QueryBatch, catalogue: Catalogue, limit: int, most: int | None = None
) -> Shortlists:
    """Return the candidates of a batch: from each source at most `limit`, for each query the first `most`.

    A query whose k is greater gets k candidates. `most` None keeps all that the sources found.

    Queries with filters get candidates that pass them, and k of them if the catalogue has so many. The sources run once
    for each set of filters, on a view of the catalogue in which only the matching items are available.
    """
    names = tuple(source.name for source in sources)
    if not batch.filters:
        return merge(names, batch, catalogue, find(sources, batch, catalogue, limit), most)
    restrictions = Restrictions.of(batch, catalogue)
    hits = no_hits(len(batch), len(sources), limit)
    # Queries with equal filters are searched together. Their results go back to the queries' places in the batch.
    for places, matching in restrictions.groups:
        view = catalogue if matching is None else catalogue.restricted(matching)
        found = find(sources, batch if len(places) == len(batch) else batch.take(places), view, limit)
        for array, part in zip(hits, found, strict=True):
            array[places] = part
    shortlists = merge(names, batch, catalogue, hits, most)
    return Shortlists(batch, restrictions.filled(shortlists.candidates, batch, catalogue, names), names)


def find(sources: Sequence[CandidateSource], batch: QueryBatch, catalogue: Catalogue, limit: int) -> Hits:
    """Return the results of each source for each query. Vector sources share one search of the items."""
    hits = no_hits(len(batch), len(sources), limit)
    searches = []
    for place, source in enumerate(sources):
        if isinstance(source, VectorSource):
            searches.append((source.vector, place))
        else:
            source.retrieve(batch, catalogue, hits, place)
    if searches:
        catalogue.search_batch(batch, searches, hits)
    return hits


def merge(
    names: tuple[str, ...], batch: QueryBatch, catalogue: Catalogue, hits: Hits, most: int | None = None
) -> Shortlists:
    """Return the fused results of the sources with these names, without the items that each query excludes."""
    counts = np.maximum(batch.records["k"].astype(np.int64), ALL if most is None else most)
    columns, exclusions = catalogue.columns, Exclusions(batch.exclude, batch.exclude_starts)
    candidates = fuse(batch.records, hits, catalogue.table, columns.keys, exclusions, counts)
    return Shortlists(batch, Candidates(*candidates), names)
