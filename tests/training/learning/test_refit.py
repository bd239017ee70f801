"""The decision on a refit: published, not better, too few; and what the lists weigh in the fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from inference.ranking.features import FEATURES
from tests.training.learning.some_lists import ByFeature, gathered, some_lists
from training.learning.loop import Stopped
from training.learning.metrics import NOT_BETTER, PUBLISHED, TOO_FEW
from training.learning.outcomes import RANKS
from training.learning.refit import refit, resampled
from training.learning.rules import LearningRules
from training.learning.store import as_lists, joined

MINUTE_MS = 60_000
RULES = LearningRules(least_lists=20, units=0, half_life_ms=(10**9,), margin=0.01)
EQUAL = np.ones(RANKS)
HELD_OUT_MS = 150 * MINUTE_MS


def test_a_better_ranker_is_published_and_fitted_to_all_lists() -> None:
    decision = refit(some_lists("popularity", 500), ByFeature("query"), EQUAL, HELD_OUT_MS, RULES)
    assert decision.outcome == PUBLISHED
    assert decision.ranker is not None
    assert np.argmax(np.abs(decision.ranker.network.direct)) == FEATURES.index("popularity")
    assert decision.comparison is not None
    assert decision.comparison.lists == 150 - 22
    assert "NDCG@20" in decision.reason


def test_an_error_of_progress_ends_a_refit_in_each_fit() -> None:
    lists, calls = some_lists("popularity", 500), 0

    def stop_after(most: int) -> None:
        nonlocal calls
        calls += 1
        if calls > most:
            raise Stopped

    # Both the candidate and the ranker for all lists take at least 100 steps.
    for most in (50, 150):
        calls = 0
        with pytest.raises(Stopped):
            refit(lists, ByFeature("query"), EQUAL, HELD_OUT_MS, RULES, partial(stop_after, most))
        assert calls == most + 1


def test_an_equally_good_ranker_is_not_published() -> None:
    decision = refit(some_lists("popularity", 500), ByFeature("popularity"), EQUAL, HELD_OUT_MS, RULES)
    assert (decision.outcome, decision.ranker) == (NOT_BETTER, None)
    assert "required a lower bound above" in decision.reason


def test_a_gain_must_not_cost_the_searches() -> None:
    browsing, searching = gathered("popularity", 1000), gathered("query", 1000, seed=1)
    for each in searching:
        each.examples.features[:, FEATURES.index("searching")] = 1
    mixed = as_lists([searching[n] if n % 4 == 0 else browsing[n] for n in range(1000)])
    # The present ranker is perfect for searches. One linear ranker for both kinds is not.
    decision = refit(mixed, ByFeature("query"), EQUAL, 2 * HELD_OUT_MS, RULES)
    assert (decision.outcome, decision.ranker) == (NOT_BETTER, None)
    assert "searching -0." in decision.reason


def test_a_gain_below_the_margin_is_not_published() -> None:
    strict = replace(RULES, margin=2.0)
    assert refit(some_lists("popularity", 500), ByFeature("query"), EQUAL, HELD_OUT_MS, strict).outcome == NOT_BETTER


@pytest.mark.parametrize(("lists", "part"), [(160, "to fit"), (0, "held out")])
def test_too_few_lists_are_stated(lists: int, part: str) -> None:
    found = some_lists("popularity", lists or 500)
    decision = refit(found, ByFeature("query"), EQUAL, HELD_OUT_MS if lists else MINUTE_MS, RULES)
    assert decision.outcome == TOO_FEW
    assert f"lists with an action {part}, got" in decision.reason


def test_a_short_half_life_is_chosen_after_a_change_of_taste() -> None:
    old = gathered("query", 1500)
    new = gathered("popularity", 300, start_ms=1500 * MINUTE_MS, seed=1)
    rules = replace(RULES, half_life_ms=(10**12, 60 * MINUTE_MS))
    decision = refit(as_lists(old + new), ByFeature("query"), EQUAL, 100 * MINUTE_MS, rules)
    assert decision.outcome == PUBLISHED
    assert decision.ranker is not None
    assert np.argmax(np.abs(decision.ranker.network.direct)) == FEATURES.index("popularity")


def test_older_lists_are_drawn_less_often() -> None:
    lists = some_lists("popularity", 200)
    examples = resampled(lists, EQUAL, 50 * MINUTE_MS, RULES)
    assert len(examples.relevant) == 200
    newest = lists.examples.features[-1, :3]
    copies = (examples.features[:, :3] == newest).all(axis=1).sum()
    assert copies >= 2


def test_lists_acted_on_at_low_ranks_are_drawn_more_often() -> None:
    theta = 1 / np.arange(1.0, RANKS + 1)
    first, fifth = gathered("popularity", 140, rank=1), gathered("popularity", 140, rank=5, seed=1)
    lists = joined([as_lists(first), as_lists(fifth)])
    examples = resampled(lists, theta, 10**12, RULES)
    known = {tuple(each.examples.features[0, :4].tolist()): number < 140 for number, each in enumerate(first + fifth)}
    starts = np.searchsorted(examples.groups, np.arange(len(examples.relevant)))
    drawn = Counter(
        known[tuple(examples.features[start, :4].tolist())]
        for number, start in enumerate(starts.tolist()) if examples.relevant[number]
    )  # fmt: skip
    assert drawn[False] == pytest.approx(5 * drawn[True], rel=0.1)


def test_labels_of_a_list_keep_their_greatest_value() -> None:
    (one,) = gathered("popularity", 2)[1:]
    labels, ranks = one.examples.labels.copy(), one.ranks.copy()
    other = int(np.flatnonzero(labels == 0)[0])
    labels[other], ranks[other], ranks[labels == 1] = 0.5, 10, 1
    lists = as_lists([one._replace(examples=one.examples._replace(labels=labels, relevant=2), ranks=ranks)])
    examples = resampled(lists, 1 / np.arange(1.0, RANKS + 1), 10**12, RULES)
    # The second action counts 10 times as much: 5 against 1.
    assert examples.labels[other] == 1
    assert sorted(examples.labels.tolist())[-2] == pytest.approx(0.2)
