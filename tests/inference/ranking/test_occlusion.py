"""Occlusion, compared with scoring every candidate without every group."""

from __future__ import annotations

import numpy as np
import pytest

from inference.pipeline import Recommender
from inference.placements import Placement
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.ranking.occlusion import (
    CLICKED,
    GROUPS,
    HABIT,
    LEAST_SHARE,
    MATCHING_COSINE,
    MATCHING_WORDS,
    NOTHING,
    OFTEN_CLICKED,
    POPULAR,
    SEARCH,
    TASTE,
    TOGETHER,
    TREND,
    Carried,
    carried_by,
    occlude,
)
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.sources import NAMES, SOURCES
from inference.types import NO_CLAIM, Vector
from tests.inference.catalogues import DIM, NUMBERS, catalogue_of, queries_of, unit_vectors

pytestmark = pytest.mark.kernel


def logistic(weights: dict[str, float], features: Vector) -> Vector:
    logits = sum(weight * features[:, FEATURES.index(name)] for name, weight in weights.items())
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits))), dtype=np.float32)


def carried(weights: dict[str, float], features: Vector) -> Carried:
    occluded = occlude(features, np.arange(len(features), dtype=np.int32))
    whole = logistic(weights, features).astype(np.float64).round(6)
    return carried_by(whole, logistic(weights, occluded.features), occluded, features)


def groups_of(weights: dict[str, float], *candidates: dict[str, float]) -> list[int]:
    """Return the groups of candidates with these features."""
    features = np.zeros((len(candidates), len(FEATURES)), dtype=np.float32)
    for own, named in zip(features, candidates, strict=True):
        own[[FEATURES.index(name) for name in named]] = [*named.values()]
    return list(carried(weights, features).groups)


def test_the_reason_is_the_group_whose_occlusion_lowers_the_score_most() -> None:
    weights = {"query": 3.0, "popularity": 1.0, "short_term": 1.0, "together": 2.0, "dearer": 5.0, "repeat": 0.1}
    groups = groups_of(
        weights,
        {"query": 0.9, "popularity": 1},
        {"short_term": 0.9, "together": 0.2},
        {"dearer": 1},
        {"repeat": 0.3},
    )
    assert groups == [SEARCH, TASTE, NOTHING, HABIT]


def test_a_group_gives_the_reason_only_if_its_sentence_is_true_of_the_item() -> None:
    weights = dict.fromkeys(("query", "words", "clicked", "popularity", "lasting"), 1.0)
    below = 0.99
    assert groups_of(
        weights,
        {"query": MATCHING_COSINE},
        {"query": MATCHING_COSINE * below},
        {"words": MATCHING_WORDS**0.5 / below},
        {"words": MATCHING_WORDS**0.5 * below, "query": 0.1},
        {"clicked": OFTEN_CLICKED**0.5 / below},
        {"clicked": OFTEN_CLICKED**0.5 * below},
        {"lasting": POPULAR**0.5 / below},
        {"popularity": POPULAR**0.5 * below, "lasting": POPULAR**0.5 * below},
    ) == [SEARCH, NOTHING, SEARCH, NOTHING, CLICKED, NOTHING, TREND, NOTHING]


def test_the_heaviest_group_with_a_true_sentence_gives_the_reason_if_its_share_suffices() -> None:
    weights = {"query": 1.0, "together": 1.0}
    enough, few = LEAST_SHARE / (1 - LEAST_SHARE) * 1.02, LEAST_SHARE / (1 - LEAST_SHARE) * 0.98
    query = MATCHING_COSINE * 0.9
    assert groups_of(weights, {"query": query, "together": query * enough}) == [TOGETHER]
    assert groups_of(weights, {"query": query, "together": query * few}) == [NOTHING]


def test_the_share_is_that_of_all_contributions() -> None:
    features = np.zeros((2, len(FEATURES)), dtype=np.float32)
    features[0, [FEATURES.index(name) for name in ("query", "together", "repeat")]] = (0.6, 0.3, 0.1)
    features[0, FEATURES.index("popularity")] = 0.5  # lowers the score: no contribution
    found = carried({"query": 1.0, "together": 1.0, "repeat": 1.0, "popularity": -1.0}, features)
    assert found.groups.tolist() == [SEARCH, NOTHING]
    assert found.shares.tolist() == pytest.approx([0.6, 0], abs=0.001)


def test_every_feature_is_in_one_group_or_gives_no_reason() -> None:
    named = [name for names in GROUPS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(FEATURES) - set(named) == {"price", "dearer", "searching", "session_length", "habits", "intent"}


@pytest.mark.parametrize("seed", range(8))
def test_skipping_absent_groups_does_not_change_reasons(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = (60, len(FEATURES))
    features = (random.uniform(-1, 1, shape) * (random.random(shape) < 0.4)).astype(np.float32)
    weights = {name: float(weight) for name, weight in zip(FEATURES, random.normal(size=len(FEATURES)), strict=True)}
    expected = []
    for row in features:
        without = np.tile(row, (1 + len(GROUPS), 1))
        for group, names in GROUPS.items():
            without[1 + group, [FEATURES.index(name) for name in names]] = 0
        likely = np.clip(logistic(weights, without).astype(np.float64).round(6), 1e-9, 1 - 1e-9)
        logits = np.log(likely) - np.log1p(-likely)
        fall = logits[0] - logits[1:]
        falls = np.where(fall > 0, fall, 0)
        own = dict(zip(FEATURES, row, strict=True))
        is_true = dict.fromkeys(GROUPS, True) | {
            SEARCH: own["query"] >= MATCHING_COSINE or own["words"] ** 2 >= MATCHING_WORDS,
            CLICKED: own["clicked"] ** 2 >= OFTEN_CLICKED,
            TREND: max(own["popularity"], own["lasting"]) ** 2 >= POPULAR,
        }
        best = max(GROUPS, key=lambda group: falls[group] * is_true[group])
        enough = falls[best] * is_true[best] > 0 and falls[best] >= LEAST_SHARE * falls.sum()
        expected.append(best if enough else NOTHING)
    assert list(carried(weights, features).groups) == expected


def test_only_shown_candidates_are_occluded() -> None:
    features = np.ones((5, len(FEATURES)), dtype=np.float32)
    features[3] = 2
    occluded = occlude(features, np.array([3, 1], dtype=np.int32))
    assert occluded.places.tolist() == [0] * len(GROUPS) + [1] * len(GROUPS)
    assert occluded.groups.tolist() == [*GROUPS, *GROUPS]
    for row, group in zip(occluded.features[: len(GROUPS)], occluded.groups, strict=False):
        missing = [FEATURES.index(name) for name in GROUPS[group]]
        assert not row[missing].any()
        assert (np.delete(row, missing) == 2).all()


def test_the_reason_of_a_source_is_that_of_its_feature_group() -> None:
    kinds = {SEARCH: "search", CLICKED: "clicked", TOGETHER: "together", TASTE: "taste", HABIT: "habit"}
    group_of = {name: kinds.get(group) for group, names in GROUPS.items() for name in names}
    for source in SOURCES:
        assert {group_of[name] for name in source.features} <= {source.reason}


class Constant:
    """A ranker on which no feature has an effect. Its score has more decimals than are published."""

    def score(self, features: Vector) -> Vector:
        return np.full(len(features), 0.1234564, dtype=np.float32)


def test_weights_of_a_placement_give_no_group_a_part_that_it_does_not_have() -> None:
    sources = make_sources(NAMES, Behaviour(numbers=NUMBERS))
    ranks, batch = Recommender(catalogue_of(unit_vectors(300)), Constant(), sources), QueryBatch.of(queries_of(6), DIM)
    for placement in (Placement(), Placement(weights={"long_term": 1.0})):
        lists = ranks.rank(ranks.retrieve(batch, placement=placement))
        assert len(lists.because) > 0
        assert set(lists.because) == {NO_CLAIM}
