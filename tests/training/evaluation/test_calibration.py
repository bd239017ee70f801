"""The moments of a calibration, and its tenths."""

from __future__ import annotations

import numpy as np
import pytest

from inference.types import stable_key
from streams.contracts.messages import Search
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.evaluation import calibration as module
from training.evaluation.calibration import calibration, moments
from training.evaluation.system_pass import Outcomes
from training.log import Log, read_log
from training.ranker.gather import Sampling, next_items

GAP_MS = 30 * 60_000


def logged() -> Log:
    return read_log(random_events(5, 90), ITEMS, GAP_MS)


@pytest.mark.parametrize("protocol", ["next-item", "search"])
def test_moments_are_of_the_protocols_kind_with_and_without_a_next_action(protocol: str) -> None:
    log = logged()
    found = moments(log, protocol, (30, 80), GAP_MS, seed=0)
    assert found
    assert all(30 <= at < 80 for at in found)
    assert {isinstance(log.interactions[at], Search) for at in found} == {protocol == "search"}
    assert frozenset() in found.values()
    following = next_items(log.interactions, Sampling(session_gap_ms=GAP_MS))
    for at, keys in found.items():
        assert keys == frozenset(following[at])
        later = log.interactions[at + 1 :]
        same = [each for each in later if each.user_id == log.interactions[at].user_id]
        assert keys <= {stable_key(each.item_id) for each in same if not isinstance(each, Search)}
        assert len(keys) <= (1 if protocol == "search" else 5)


def test_the_moments_of_a_basket_are_arrivals_of_known_shoppers() -> None:
    log = logged()
    for at, keys in moments(log, "next-basket", (30, 80), GAP_MS, seed=0).items():
        assert log.user[at] in log.user[:at]
        assert log.session[at] not in log.session[:at]
        held = [log.interactions[each] for each in np.flatnonzero(log.session == log.session[at]).tolist()]
        assert keys == {stable_key(each.item_id) for each in held if not isinstance(each, Search)}


def test_a_sample_of_the_moments_keeps_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    every = moments(logged(), "next-item", (30, 80), GAP_MS, seed=0)
    monkeypatch.setattr(module, "LISTS", 7)
    some = moments(logged(), "next-item", (30, 80), GAP_MS, seed=0)
    assert len(some) == 7
    assert list(some) == sorted(some)
    assert some.items() <= every.items()


def test_tenths_compare_probabilities_with_outcomes() -> None:
    rng, outcomes = np.random.default_rng(0), Outcomes()
    for shopper in range(3000):
        scores = rng.uniform(0, 0.5, 4)
        # The true share is half of the probability.
        keys = [int(n + 10 * (rng.random() > score / 2)) for n, score in enumerate(scores)]
        outcomes.add(scores.tolist(), keys, frozenset(range(4)), shopper)
    found = calibration(outcomes, seed=0)
    assert found is not None
    assert found.lists == 3000
    assert [each.items for each in found.tenths] == [1200] * 10
    assert found.predicted == pytest.approx(0.25, abs=0.01)
    assert found.observed == pytest.approx(0.125, abs=0.01)
    assert found.error == pytest.approx(0.125, abs=0.01)
    within = 0
    for number, each in enumerate(found.tenths):
        assert each.predicted == pytest.approx((number + 0.5) / 20, abs=0.005)
        within += each.observed.low <= each.predicted / 2 <= each.observed.high
    assert within >= 8


def test_few_items_have_no_calibration() -> None:
    outcomes = Outcomes()
    outcomes.add([0.5] * 9, list(range(9)), frozenset(), 0)
    assert calibration(outcomes, seed=0) is None
