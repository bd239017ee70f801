"""The comparison of a new ranker with the present one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.ranking.features import FEATURES
from inference.types import Vector
from tests.training.ranker.lists import labelled
from training.ranker.acceptance import DETECTED, TOLERANCE, comparison, differences, refusal


class ByColumns:
    """A ranker that adds some features, with a share of noise."""

    def __init__(self, *names: str, noise: float = 0.0) -> None:
        self._columns = [FEATURES.index(name) for name in names]
        self._noise = noise

    def score(self, features: Vector) -> Vector:
        noise = np.random.default_rng(0).normal(size=len(features)) * self._noise
        return np.asarray(features[:, self._columns].sum(axis=1) + noise, dtype=np.float32)


EXAMPLES = labelled(FEATURES, lists=600)
GOOD, BAD = ByColumns("query", "popularity"), ByColumns("brand")


def test_a_worse_ranker_is_refused_by_kind_of_list() -> None:
    found = differences(EXAMPLES, GOOD, ByColumns("query"))
    # Only browsing lists depend on `popularity`.
    assert {each.kind: each.is_worse for each in found} == {"browsing": True, "searching": False}
    assert "no worse than the present one, got NDCG@20 browsing -0." in (refusal(found) or "")
    assert "searching" not in (refusal(found) or "")
    assert "worse" in {row[-1] for row in comparison(found).rows}


def test_a_better_or_equal_ranker_is_accepted() -> None:
    assert refusal(differences(EXAMPLES, BAD, GOOD)) is None
    equal = differences(EXAMPLES, GOOD, GOOD)
    assert refusal(equal) is None
    assert not any(each.is_uncertain for each in equal)
    assert {row[-1] for row in comparison(equal).rows} == {"no worse"}


def test_a_certain_loss_within_the_tolerance_is_accepted() -> None:
    found = [
        replace(each, value=-TOLERANCE / 2, low=-TOLERANCE, high=-TOLERANCE / 4)
        for each in differences(EXAMPLES, GOOD, GOOD)
    ]
    assert refusal(found) is None


def test_too_few_lists_are_reported_with_the_number_that_is_needed() -> None:
    few = differences(labelled(FEATURES, lists=120), GOOD, ByColumns("query", "popularity", noise=0.2))
    uncertain = [each for each in few if each.is_uncertain]
    assert uncertain
    for each in uncertain:
        assert each.needed > each.lists
        assert f"{each.kind}: too few data. {each.lists} held-out lists cannot exclude" in comparison(few).markdown()
        assert f"that needs about {each.needed:,}." in comparison(few).markdown()
        # With the number that is needed, the interval has the width that excludes the loss.
        width = (each.high - each.low) / 2 * np.sqrt(each.lists / each.needed)
        assert width == pytest.approx(DETECTED, rel=0.02)


def test_a_handful_of_lists_is_never_enough_to_refuse() -> None:
    found = differences(labelled(FEATURES, lists=30), GOOD, BAD)
    assert refusal(found) is None
    assert all(each.is_uncertain for each in found)


def test_lists_of_one_shopper_are_drawn_together() -> None:
    alone = differences(EXAMPLES, GOOD, ByColumns("query", "popularity", noise=0.3))[0]
    same = replace(EXAMPLES, shoppers=np.arange(600) // 60)
    together = differences(same, GOOD, ByColumns("query", "popularity", noise=0.3))[0]
    assert alone.value == together.value
    assert (alone.low, alone.high) != (together.low, together.high)


def test_a_refusal_says_that_the_present_ranker_may_know_the_lists() -> None:
    found = differences(EXAMPLES, GOOD, BAD)
    assert "fitted to events of this log" in (refusal(found, is_known=True) or "")
    assert "fitted to events of this log" not in (refusal(found) or "")
