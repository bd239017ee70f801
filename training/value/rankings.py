"""The ways to rank a query: with everything, without a source, and without a feature or a group of them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inference.pipeline import Recommender, ScoresFeatures
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.ranking.lists import RankedRows
from inference.ranking.occlusion import GROUPS
from inference.retrieval.sources import REASONS
from inference.types import Vector
from training.evaluation.ablation import joined, without

WHOLE = ""
"""The name of the ranking with everything."""
FEATURE_GROUPS: Mapping[str, tuple[str, ...]] = dict(zip(REASONS, GROUPS.values(), strict=True))
"""The features behind each kind of reason."""


def whole(recommender: Recommender, queries: QueryBatch) -> dict[str, RankedRows]:
    """Rank as the system does."""
    return {WHOLE: recommender.rank_rows(recommender.retrieve(queries))}


class Ablations:
    """Ranks with everything, without each source, and without each feature and each group of features.

    Args:
        scorer: the ranker.
        sources: names of the sources to leave out, each alone.
        features: names of the features to leave out, by the name of the ranking.
    """

    def __init__(self, scorer: ScoresFeatures, sources: Sequence[str], features: Mapping[str, tuple[str, ...]]) -> None:
        self._scorer, self._sources = scorer, tuple(sources)
        self._masked = {name: Masked(scorer, names) for name, names in features.items()}

    def __call__(self, recommender: Recommender, queries: QueryBatch) -> dict[str, RankedRows]:
        """Return the lists by name: WHOLE, `source:NAME`, and the names of the groups of features."""
        every = recommender.retrieve(queries, every=True)
        shortlists = recommender.to_be_ranked(every)
        found = {WHOLE: recommender.rank_rows(shortlists)}
        for name, masked in self._masked.items():
            recommender.set_scorer(masked)
            found[name] = recommender.rank_rows(shortlists)
        recommender.set_scorer(self._scorer)
        if self._sources:
            keys = recommender.catalogue.columns.keys
            left = [recommender.to_be_ranked(without(every, source, keys)) for source in self._sources]
            found |= split(recommender.rank_rows(joined(left)), [f"source:{name}" for name in self._sources])
        return found


class Masked:
    """A ranker to which some features are absent, which is 0 for each of them."""

    def __init__(self, scorer: ScoresFeatures, names: Sequence[str]) -> None:
        self._scorer = scorer
        self._columns = [FEATURES.index(name) for name in names]

    def score(self, features: Vector) -> Vector:
        """Return the probabilities without the features."""
        masked = features.copy()
        masked[:, self._columns] = 0.0
        return self._scorer.score(masked)


def split(ranked: RankedRows, names: Sequence[str]) -> dict[str, RankedRows]:
    """Return the parts of joined lists, the same number of lists for each name."""
    size = (len(ranked.starts) - 1) // len(names)
    found = {}
    for number, name in enumerate(names):
        starts = ranked.starts[number * size : (number + 1) * size + 1]
        own = slice(int(starts[0]), int(starts[-1]))
        found[name] = RankedRows(np.ascontiguousarray(starts - starts[0]), ranked.rows[own], ranked.scores[own])
    return found
