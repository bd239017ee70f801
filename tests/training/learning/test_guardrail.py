"""The guardrail: finds drops, and seldom alarms without one however often it looks."""

from __future__ import annotations

import numpy as np

from training.learning.guardrail import evidence, rate
from training.learning.outcomes import Counts

ERROR, DROP = 0.05, 0.1


def counts(draw: np.random.Generator, shoppers: int, share: float) -> Counts:
    """Return the lists of shoppers who differ in how often they act."""
    lists = draw.integers(1, 12, shoppers)
    own = draw.beta(share * 20, (1 - share) * 20, shoppers)
    return {number: [int(n), int(draw.binomial(n, p))] for number, (n, p) in enumerate(zip(lists, own, strict=True))}


def alarms(share: float, looks: int, seed: int) -> bool:
    """Return whether any of several looks at a growing number of shoppers alarms."""
    draw = np.random.default_rng(seed)
    before, now = rate(counts(draw, 1500, 0.3)), counts(draw, 1500, share)
    step = len(now) // looks
    return any(
        evidence(rate({key: now[key] for key in range(step * look)}), before, DROP) >= 1 / ERROR
        for look in range(1, looks + 1)
    )


def test_a_large_drop_is_found() -> None:
    assert sum(alarms(0.2, 20, seed) for seed in range(40)) >= 38


def test_without_a_drop_there_are_few_alarms_over_all_looks() -> None:
    # The boundary of what is accepted, where the error is greatest.
    assert sum(alarms(0.3 * (1 - DROP), 20, seed) for seed in range(200)) <= 14


def test_few_shoppers_are_no_evidence() -> None:
    draw = np.random.default_rng(0)
    assert evidence(rate(counts(draw, 20, 0.01)), rate(counts(draw, 1000, 0.5)), DROP) == 0


def test_no_lists_are_no_evidence() -> None:
    assert evidence(rate({}), rate({}), DROP) == 0


def test_the_variance_is_that_over_shoppers() -> None:
    # One shopper's lists are alike: many lists of few shoppers say less than as many lists of many shoppers.
    few = {number: [100, 100 * (number % 2)] for number in range(40)}
    many = {number: [1, number % 2] for number in range(4000)}
    assert rate(few).value == rate(many).value == 0.5
    assert rate(few).variance > 50 * rate(many).variance
