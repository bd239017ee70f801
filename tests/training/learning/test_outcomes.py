"""Actions belong to the list that the shopper saw, and are counted by version, rank and score."""

from __future__ import annotations

import numpy as np
import pytest

from inference.types import stable_key
from tests.training.learning.acts import START_MS, answer, ms, view
from training.learning.outcomes import MOST_LISTS, Outcomes, bins
from training.learning.rules import DAY_MS, HOUR_MS

WINDOW_MS = 30 * 60_000
LATER_MS = START_MS + WINDOW_MS + 3_600_000


def counted(outcomes: Outcomes, version: str = "1") -> dict[int, list[int]]:
    outcomes.advance(LATER_MS)
    return outcomes.counts(version, START_MS, LATER_MS)


def test_an_action_belongs_to_the_newest_list_before_it() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1, 2, 3]))
    outcomes.show(answer(view(1, 1), [3, 4]))
    assert outcomes.act(view(2, 4)) == 2
    assert outcomes.act(view(2, 2)) == 0
    assert counted(outcomes) == {stable_key("u"): [2, 1]}


def test_a_named_list_comes_before_newer_ones() -> None:
    outcomes = Outcomes(WINDOW_MS)
    old = answer(view(0, 0), [1, 2, 3])
    outcomes.show(old)
    outcomes.show(answer(view(1, 1), [3, 4]))
    assert outcomes.act(view(2, 3, recommendation_id=old.recommendation_id)) == 3


def test_where_actions_name_their_list_others_belong_to_none() -> None:
    outcomes = Outcomes(WINDOW_MS)
    named = answer(view(0, 0, user="v"), [1, 2, 3])
    outcomes.show(named)
    outcomes.show(answer(view(0, 0), [1, 2, 3]))
    assert outcomes.act(view(1, 3)) == 3
    assert outcomes.act(view(2, 2, user="v", recommendation_id=named.recommendation_id)) == 2
    # The shopper found the item elsewhere, although it is on the newest list.
    assert outcomes.act(view(3, 2)) == 0
    # A day without such an action: the shop no longer names lists.
    outcomes.show(answer(view(1500, 0), [1, 2, 3]))
    assert outcomes.act(view(1501, 2)) == 2


@pytest.mark.parametrize(
    ("minute", "user"), [(0, "u"), (31, "u"), (2, "v")], ids=["at the same time", "too late", "another shopper"]
)
def test_other_actions_are_no_outcomes(minute: float, user: str) -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1, 2]))
    assert outcomes.act(view(minute, 2, user=user)) == 0


def test_a_list_is_complete_after_its_time_although_its_shopper_has_newer_ones() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1, 2]))
    outcomes.act(view(1, 2))
    outcomes.show(answer(view(40, 2), [3]))
    outcomes.advance(START_MS + 41 * 60_000)
    assert outcomes.counts("1", START_MS, LATER_MS) == {stable_key("u"): [1, 1]}


def test_a_list_counts_once_when_it_is_sent_again() -> None:
    outcomes = Outcomes(WINDOW_MS)
    for _ in range(2):
        outcomes.show(answer(view(0, 0), [1]))
    assert counted(outcomes) == {stable_key("u"): [1, 0]}


def test_repeated_lists_and_lists_without_items_do_not_count() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1], fallback="rate_limited"))
    outcomes.show(answer(view(1, 0), []))
    assert counted(outcomes) == {}


def test_lists_are_counted_by_version_and_by_hour() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1], version="1"))
    outcomes.show(answer(view(1, 0, user="v"), [1], version="2"))
    outcomes.act(view(2, 1, user="v"))
    assert counted(outcomes, "1") == {stable_key("u"): [1, 0]}
    assert counted(outcomes, "2") == {stable_key("v"): [1, 1]}
    assert outcomes.counts("2", START_MS + HOUR_MS, LATER_MS) == {}


def test_exposures_count_ranks_and_scores_of_ranked_lists() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1, 2, 3], score=0.2))
    outcomes.show(answer(view(0, 0, user="v"), [1, 2], score=0.2, fallback="scoring_failed"))
    outcomes.act(view(1, 2))
    outcomes.advance(LATER_MS)
    ((name, (shown, acted)),) = outcomes.take_exposures().items()
    assert name == f"1/{START_MS // DAY_MS}"
    at = bins(np.array([0.2]))[0]
    # The item below the one acted on had no chance.
    assert (shown.sum(), shown[0, at], shown[1, at]) == (2, 1, 1)
    assert (acted.sum(), acted[1, at]) == (1, 1)
    assert outcomes.take_exposures() == {}


def test_a_shopper_with_many_lists_keeps_the_newest() -> None:
    outcomes = Outcomes(WINDOW_MS)
    events = [view(minute, 0) for minute in range(MOST_LISTS + 3)]
    for event in events:
        outcomes.show(answer(event, [1]))
    outcomes.advance(ms(events[-1]))
    ((lists, _),) = outcomes.counts("1", START_MS, LATER_MS).values()
    assert lists == 3


def test_a_forgotten_shopper_is_not_counted() -> None:
    outcomes = Outcomes(WINDOW_MS)
    outcomes.show(answer(view(0, 0), [1]))
    counted(outcomes)
    outcomes.show(answer(view(1, 0), [1]))
    outcomes.forget("u")
    assert counted(outcomes) == {}
