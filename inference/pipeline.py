"""The complete ranking: retrieve -> filter -> score -> rank, one batch at a time, with each stage timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.errors import ScoringError
from inference.placements import EVERYWHERE, Placement
from inference.queries import Queries, QueryBatch
from inference.ranking.choice import Chosen, Rules, choose
from inference.ranking.explanation import explained, explained_by_sources, positions_of
from inference.ranking.feature_matrix import features
from inference.ranking.features import FEATURES
from inference.ranking.lists import Lists, RankedRows, in_retrieval_order, names_of
from inference.ranking.occlusion import GROUPS, carried_by, matches_search, occlude
from inference.ranking.reasons import Partners, Shown, reasons
from inference.records import Explanation
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Shortlists, retrieve
from inference.retrieval.sources import NEW, CandidateSource
from inference.types import Keys, Query, RankedList, Vector

SCORING_FAILED = "scoring_failed"
NOBODY_REPEATS = 0.01
"""Repeat rate below which lists leave out what the shopper bought."""

Observer = Callable[[str, float], None]
"""Callback with the name of a stage and the seconds that it took for a batch."""


def unobserved(_stage: str, _seconds: float) -> None:
    """Do nothing."""


def nobody_repeats(repeat_rate: float | None) -> bool:
    """Return whether nobody buys an item twice, as far as is known."""
    return repeat_rate is not None and repeat_rate < NOBODY_REPEATS


def no_partners(_queries: Queries, _starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
    """Return no co-occurring item for any key."""
    return np.zeros_like(keys)


class ScoresFeatures(Protocol):
    """A ranker."""

    def score(self, features: Vector) -> Vector:
        """Return probabilities (n,), float32, for features (n, F), float32. Raises ScoringError.

        A ranker must not keep the array of features: it is used again for the next batch.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOptions:
    """Options of a recommender.

    Attributes:
        candidates_per_source: greatest number of candidates from each source.
        candidates_ranked: greatest number of candidates that the ranker scores, the first in retrieval order; None for
            all. The others have almost no chance of a place in the list.
        diversity: in [0, 1], how much the items of a list must differ; lists for searches go by relevance alone.
        places_for_new: least number of places for items without any action, in lists that answer no search.
        fairness: least share of protected items in such lists, in [0, 1]; see `choice.py` and `groups.py`.
    """

    candidates_per_source: int = 100
    candidates_ranked: int | None = None
    diversity: float = 0.0
    places_for_new: int = 0
    fairness: float = 0.0


DEFAULT_OPTIONS = RankingOptions()


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
        self._features, self._occluded = _Buffer(len(FEATURES)), _Buffer(len(FEATURES))

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
            occluded = occlude(matrix, chosen.positions, self._occluded.rows(len(GROUPS) * len(rows)))
            without = self._scorer.score(occluded.features)
            listed = matrix[chosen.positions]
            own = chosen.scores if weighted is scores else scores[chosen.positions].astype(np.float64)
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
                matches=_matches(batch.records, chosen.starts, listed),
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
                return explained(own, at, self.features(own)[at], _weights(own)[at], self._scorer.score)
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
        return matrix, scores, scores if not shortlists.placement.weights else scores * _weights(shortlists)

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


def _matches(records: Queries, starts: npt.NDArray[np.int64], listed: Vector) -> list[bool | None]:
    """Return whether each listed item matches its list's search, None in other lists; nothing without any search."""
    searching = records["searching"] > 0
    if not searching.any():
        return []
    of_search = np.repeat(searching, np.diff(starts)).tolist()
    found = matches_search(listed).tolist()
    return [each if answers else None for each, answers in zip(found, of_search, strict=True)]


def _weights(shortlists: Shortlists) -> Vector:
    """Return the weight of each candidate at its placement, float32 (C,): the greatest of its sources, or else 1."""
    weights = np.array([shortlists.placement.weights.get(name, 1.0) for name in shortlists.sources], dtype=np.float32)
    proposed = shortlists.candidates.ranks > 0
    greatest = np.where(proposed, weights, np.float32(-1)).max(axis=1, initial=-1)
    return np.where(greatest < 0, np.float32(1), greatest).astype(np.float32)


class _Buffer:
    """An array that is used again from batch to batch: memory in use causes no page faults."""

    def __init__(self, width: int) -> None:
        self._array: npt.NDArray[np.float32] = np.empty((0, width), dtype=np.float32)

    def rows(self, number: int) -> Vector:
        """Return an array of this number of rows, (number, width), with undefined content."""
        if len(self._array) < number:
            self._array = np.empty((max(number, 2 * len(self._array)), self._array.shape[1]), dtype=np.float32)
        return self._array[:number]
