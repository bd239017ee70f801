"""Occlusion, compared with scoring every candidate without every group."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ranking.features import FEATURES
from inference.ranking.occlusion import CLICKED, GROUPS, HABIT, NOTHING, SEARCH, TASTE, TOGETHER, carried_by, occlude
from inference.retrieval.sources import SOURCES
from inference.types import Vector

pytestmark = pytest.mark.kernel


def logistic(weights: dict[str, float], features: Vector) -> Vector:
    logits = sum(weight * features[:, FEATURES.index(name)] for name, weight in weights.items())
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits))), dtype=np.float32)


def carried(weights: dict[str, float], features: Vector) -> list[int]:
    occluded = occlude(features, np.arange(len(features), dtype=np.int32))
    whole = logistic(weights, features).astype(np.float64).round(6)
    return list(carried_by(whole, logistic(weights, occluded.features), occluded))


def test_the_reason_is_the_group_whose_occlusion_lowers_the_score_most() -> None:
    features = np.zeros((4, len(FEATURES)), dtype=np.float32)
    features[0, [FEATURES.index("query"), FEATURES.index("popularity")]] = (0.9, 1)
    features[1, [FEATURES.index("short_term"), FEATURES.index("together")]] = (0.9, 0.2)
    features[2, FEATURES.index("dearer")] = 1
    features[3, FEATURES.index("repeat")] = 0.3
    weights = {"query": 3.0, "popularity": 1.0, "short_term": 1.0, "together": 2.0, "dearer": 5.0, "repeat": 0.1}
    assert carried(weights, features) == [SEARCH, TASTE, NOTHING, HABIT]


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
        expected.append(int(fall.argmax()) if fall.max() > 0 else NOTHING)
    assert carried(weights, features) == expected


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
