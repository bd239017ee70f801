"""The cases of each protocol, which use no data from the future."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search, View
from streams.errors import ConfigurationError
from tests.training.evaluation.acts import acts_of
from training.evaluation.baseline_pass import run
from training.evaluation.baselines.base import Moment, Ranked
from training.evaluation.cases import Case, cases, next_basket, next_item, sampled, search
from training.log import SEARCH, Act, first_tested, read_log

START = datetime(2026, 1, 1, tzinfo=UTC)
GAP_MS = 30 * 60_000


def event(minute: float, item: str, user: str = "u", kind: type[View | Purchase] = View) -> Interaction:
    return kind(event_id=f"{minute}", user_id=user, occurred_at=START + timedelta(minutes=minute), item_id=item)


def searched(minute: float, query: str, user: str = "u") -> Search:
    return Search(event_id=f"{minute}", user_id=user, occurred_at=START + timedelta(minutes=minute), query=query)


CATALOGUE = [Item(item_id=name, title=name, in_stock=name != "d") for name in "abcd"]


def test_the_target_is_the_next_new_item_of_the_session() -> None:
    acts = acts_of((1, 1, 0), (2, 2, 5), (1, 1, 0), (1, 1, SEARCH), (1, 1, 2), (1, 1, 3))
    found = next_item(acts, 0)
    assert [(case.at, case.targets, case.position) for case in found] == [(0, {2: 1.0}, 1), (4, {3: 1.0}, 2)]
    assert next_item(acts, 1) == [found[1]]


def test_items_of_one_time_are_targets_together_and_no_targets_of_each_other() -> None:
    interactions = [event(0, "a"), event(5, "b"), event(5, "c"), event(5, "d", "v"), event(9, "a"), event(9, "d")]
    for order in (interactions, [interactions[place] for place in (0, 2, 1, 3, 5, 4)]):
        log = read_log(order, CATALOGUE, GAP_MS)
        found = next_item(log.acts(), 0)
        assert [(case.at, case.targets, case.position) for case in found] == [
            (0, {1: 1.0, 2: 1.0}, 1),
            (2, {3: 1.0}, 3),
        ]


def test_a_session_of_one_time_has_no_next_item_but_is_a_basket() -> None:
    log = read_log([event(day * 1440, item) for day in (0, 1) for item in "abc"], CATALOGUE, GAP_MS)
    assert next_item(log.acts(), 0) == []
    (case,) = next_basket(log.acts(), 0)
    assert case.targets == {0: 1.0, 1: 1.0, 2: 1.0}


def test_an_action_of_the_time_of_a_search_does_not_answer_it() -> None:
    log = read_log([event(0, "a"), searched(0, "tea"), event(0, "b"), event(1, "c")], CATALOGUE, GAP_MS)
    (case,) = search(log.acts(), 0, [each.type for each in log.interactions])
    assert case.targets == {2: 1.0}


def test_a_session_with_an_id_ends_with_a_pause() -> None:
    weeks = [msgspec.structs.replace(event(10_080 * week, "abcd"[week]), session_id="s") for week in range(4)]
    assert read_log(weeks, CATALOGUE, GAP_MS).session.tolist() == [0, 1, 2, 3]
    placeholders = [
        msgspec.structs.replace(event(n, "abcd"[n]), session_id="(not set)" if n % 2 else None) for n in range(4)
    ]
    assert read_log(placeholders, CATALOGUE, GAP_MS).session.tolist() == [0, 0, 0, 0]


def test_a_session_has_at_most_ten_cases() -> None:
    found = next_item(acts_of(*((1, 1, item) for item in range(14))), 0)
    assert [case.position for case in found] == list(range(1, 11))
    assert found[-1].targets == {10: 1.0}


def test_a_basket_is_a_case_when_a_known_shopper_returns() -> None:
    acts = acts_of((1, 1, 0), (2, 2, 5), (1, 3, 1), (1, 3, 2), (1, 3, 1), (2, 4, 5))
    found = next_basket(acts, 0)
    assert [(case.at, case.targets) for case in found] == [(2, {1: 1.0, 2: 1.0}), (5, {5: 1.0})]
    assert all(case.arrival for case in found)
    # A session that began before the test period is no case.
    assert [case.at for case in next_basket(acts, 3)] == [5]


def test_a_basket_has_only_purchases_if_the_log_has_any() -> None:
    viewed = [act._replace(bought=False) for act in acts_of((1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 3, 3))]
    viewed[3] = viewed[3]._replace(bought=True)
    assert [(case.at, case.targets) for case in next_basket(viewed, 0)] == [(2, {3: 1.0})]


def test_targets_of_a_search_have_the_weight_of_their_strongest_action() -> None:
    acts = acts_of((1, 1, 4), (1, 1, SEARCH), (1, 1, 0), (1, 1, 0), (1, 1, 4), (1, 1, SEARCH), (1, 1, 1), (1, 2, 2))
    kinds = ["view", "search", "view", "purchase", "view", "search", "cart", "view"]
    assert search(acts, 0, kinds) == [
        Case(1, arrival=False, targets={0: 3.0}, position=1), Case(5, arrival=False, targets={1: 2.0}, position=2)
    ]  # fmt: skip
    assert search(acts[:2], 0, kinds[:2]) == []


def test_a_log_is_sorted_by_time_and_numbered() -> None:
    log = read_log([event(2, "x"), event(0, "b"), searched(1, "tea"), event(50, "b")], CATALOGUE, GAP_MS)
    assert log.item.tolist() == [1, SEARCH, 4, 1]
    assert log.session.tolist() == [0, 0, 0, 1]
    assert log.first.tolist() == [True, False, True, True]
    assert log.available.tolist() == [True, True, True, False, False]
    assert log.unknown_share == pytest.approx(1 / 3)
    assert log.acts()[0] == Act(1, 0, 0, 1_767_225_600_000, bought=False, first=True, end=0)


def test_the_test_period_is_a_share_or_starts_at_a_date() -> None:
    log = read_log([event(n, "a") for n in range(10)], CATALOGUE, GAP_MS)
    assert first_tested(log, 0.2, None) == 8
    assert first_tested(log, 0.2, START + timedelta(minutes=4)) == 4
    with pytest.raises(ConfigurationError, match="got the last event at 2026-01-01 00:09"):
        first_tested(log, 0.2, START + timedelta(days=4))


def test_logs_and_protocols_without_data_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        read_log([], CATALOGUE, GAP_MS)
    with pytest.raises(ConfigurationError, match="got 1 repeated ids"):
        read_log([event(0, "a")], [*CATALOGUE, CATALOGUE[0]], GAP_MS)
    log = read_log([event(0, "a"), event(1, "b", "v")], CATALOGUE, GAP_MS)
    for protocol in ("next-item", "next-basket", "search"):
        with pytest.raises(ConfigurationError, match=f"{protocol}: required .* 2 events tested"):
            cases(log, log.acts(), protocol, 0)


def test_a_case_has_the_counts_of_its_shopper_and_item() -> None:
    events = [event(0, "a"), event(1, "b"), event(90, "b", "v"), event(91, "a"), event(92, "b"), event(93, "c")]
    log = read_log(events, CATALOGUE, GAP_MS)
    found = cases(log, log.acts(), "next-item", 2)
    assert found.at.tolist() == [3, 4]
    assert found.seen.tolist() == [2, 0]
    assert found.known.tolist() == [2, 2]
    assert found.position.tolist() == [1, 2]
    one = found.take(np.array([1]))
    assert (one.seen.tolist(), one.targets.items.tolist(), len(one)) == ([0], [2], 1)


def test_a_sample_is_a_function_of_its_seed_and_keeps_the_order() -> None:
    log = read_log([event(n, "abc"[n % 3], f"u{n // 3}") for n in range(90)], CATALOGUE, GAP_MS)
    found = cases(log, log.acts(), "next-item", 0)
    assert len(found) == 60
    some = sampled(found, 7, seed=1)
    assert len(some) == 7
    assert (np.diff(some.at) > 0).all()
    assert some.at.tolist() == sampled(found, 7, seed=1).at.tolist() != sampled(found, 7, seed=2).at.tolist()
    assert sampled(found, 100, 1) is found


class RecordingBaseline:
    """Records its calls and moments."""

    name = "recording"

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.moments: list[Moment] = []

    def learn(self, act: Act, session: Sequence[int]) -> None:
        self.calls.append(("learn", act.item))

    def rank(self, moment: Moment, k: int) -> Ranked:
        self.calls.append(("rank", -1))
        self.moments.append(moment)
        return np.array([2])


def test_a_case_is_ranked_before_its_target_is_learned() -> None:
    log = read_log([event(0, "a"), event(1, "b"), event(2, "d"), event(3, "c")], CATALOGUE, GAP_MS)
    recording = RecordingBaseline()
    (ranking,) = run([recording], log, log.acts(), cases(log, log.acts(), "next-item", 1), 3, lambda _: None)
    # `d` is out of stock: it is not learned, but is a case.
    assert recording.calls == [("learn", 0), ("learn", 1), ("rank", -1), ("rank", -1)]
    assert [each.session for each in recording.moments] == [[0, 1], [0, 1]]
    assert ranking.lists.tolist() == [[2, -1, -1]] * 2


def test_an_arriving_shopper_is_ranked_with_the_last_session() -> None:
    log = read_log([event(0, "a"), event(1, "b"), event(90, "c")], CATALOGUE, GAP_MS)
    recording = RecordingBaseline()
    run([recording], log, log.acts(), cases(log, log.acts(), "next-basket", 1), 3, lambda _: None)
    assert recording.calls[:3] == [("learn", 0), ("learn", 1), ("rank", -1)]
    assert recording.moments[0].session == [0, 1]
    assert recording.moments[0].hidden == ()


def test_two_sessions_of_a_shopper_with_items_of_one_time_are_both_ranked_and_so_are_later_cases() -> None:
    def act(minute: float, item: str, session: str) -> View:
        return View(
            event_id=f"{minute}{session}", user_id="u", session_id=session, item_id=item,
            occurred_at=START + timedelta(minutes=minute),
        )  # fmt: skip

    events = [act(0, "a", "one"), act(0, "b", "two"), act(1, "c", "one"), act(2, "c", "two"), act(3, "b", "one")]
    log = read_log(events, CATALOGUE, GAP_MS)
    found = cases(log, log.acts(), "next-item", 0)
    assert len(set(found.at.tolist())) < len(found)
    (ranking,) = run([RecordingBaseline()], log, log.acts(), found, 3, lambda _: None)
    assert ranking.lists.tolist() == [[2, -1, -1]] * len(found)
