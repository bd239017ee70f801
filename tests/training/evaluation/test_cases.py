"""The cases of each protocol, which use no data from the future."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search, View
from streams.errors import ConfigurationError
from tests.training.evaluation.acts import acts_of
from training.evaluation.baseline_pass import run
from training.evaluation.baselines.base import Moment, Ranked
from training.evaluation.cases import Case, cases, next_basket, next_item, sampled, search
from training.evaluation.log import SEARCH, Act, first_tested, read_log

START = datetime(2026, 1, 1, tzinfo=UTC)
GAP_MS = 30 * 60_000


def event(minute: float, item: str, user: str = "u", kind: type[View | Purchase] = View) -> Interaction:
    return kind(event_id=f"{minute}", user_id=user, occurred_at=START + timedelta(minutes=minute), item_id=item)


def asked(minute: float, query: str, user: str = "u") -> Search:
    return Search(event_id=f"{minute}", user_id=user, occurred_at=START + timedelta(minutes=minute), query=query)


CATALOGUE = [Item(item_id=name, title=name, in_stock=name != "d") for name in "abcd"]


def test_the_next_new_item_of_the_session_is_the_target() -> None:
    acts = acts_of((1, 1, 0), (2, 2, 5), (1, 1, 0), (1, 1, SEARCH), (1, 1, 2), (1, 1, 3))
    found = next_item(acts, 0)
    assert [(case.at, case.targets, case.position) for case in found] == [(0, {2: 1.0}, 1), (4, {3: 1.0}, 2)]
    assert next_item(acts, 1) == [found[1]]


def test_ten_positions_of_a_session_are_asked_for() -> None:
    found = next_item(acts_of(*((1, 1, item) for item in range(14))), 0)
    assert [case.position for case in found] == list(range(1, 11))
    assert found[-1].targets == {10: 1.0}


def test_a_basket_is_asked_for_when_a_known_shopper_comes_again() -> None:
    acts = acts_of((1, 1, 0), (2, 2, 5), (1, 3, 1), (1, 3, 2), (1, 3, 1), (2, 4, 5))
    found = next_basket(acts, 0)
    assert [(case.at, case.targets) for case in found] == [(2, {1: 1.0, 2: 1.0}), (5, {5: 1.0})]
    assert all(case.arrival for case in found)
    # A session that began before the test period is not asked for in its middle.
    assert [case.at for case in next_basket(acts, 3)] == [5]


def test_in_a_log_with_purchases_only_they_make_a_basket() -> None:
    looked = [act._replace(bought=False) for act in acts_of((1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 3, 3))]
    looked[3] = looked[3]._replace(bought=True)
    assert [(case.at, case.targets) for case in next_basket(looked, 0)] == [(2, {3: 1.0})]


def test_what_follows_a_search_answers_it_by_its_strongest_action() -> None:
    acts = acts_of((1, 1, 4), (1, 1, SEARCH), (1, 1, 0), (1, 1, 0), (1, 1, 4), (1, 1, SEARCH), (1, 1, 1), (1, 2, 2))
    kinds = ["view", "search", "view", "purchase", "view", "search", "cart", "view"]
    assert search(acts, 0, kinds) == [
        Case(1, arrival=False, targets={0: 3.0}, position=1), Case(5, arrival=False, targets={1: 2.0}, position=2)
    ]  # fmt: skip
    assert search(acts[:2], 0, kinds[:2]) == []


def test_a_log_is_put_in_order_and_numbered() -> None:
    log = read_log([event(2, "x"), event(0, "b"), asked(1, "tea"), event(50, "b")], CATALOGUE, GAP_MS)
    assert log.item.tolist() == [1, SEARCH, 4, 1]
    assert log.session.tolist() == [0, 0, 0, 1]
    assert log.first.tolist() == [True, False, True, True]
    assert log.available.tolist() == [True, True, True, False, False]
    assert log.unknown_share == pytest.approx(1 / 3)
    assert log.acts()[0] == Act(1, 0, 0, 1_767_225_600_000, bought=False, first=True)


def test_the_test_period_is_a_share_or_begins_on_a_date() -> None:
    log = read_log([event(n, "a") for n in range(10)], CATALOGUE, GAP_MS)
    assert first_tested(log, 0.2, None) == 8
    assert first_tested(log, 0.2, START + timedelta(minutes=4)) == 4
    with pytest.raises(ConfigurationError, match="got the last event at 2026-01-01 00:09"):
        first_tested(log, 0.2, START + timedelta(days=4))


def test_there_has_to_be_something() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        read_log([], CATALOGUE, GAP_MS)
    with pytest.raises(ConfigurationError, match="got 1 repeated ids"):
        read_log([event(0, "a")], [*CATALOGUE, CATALOGUE[0]], GAP_MS)
    log = read_log([event(0, "a"), event(1, "b", "v")], CATALOGUE, GAP_MS)
    for protocol in ("next-item", "next-basket", "search"):
        with pytest.raises(ConfigurationError, match=f"{protocol}: required .* 2 events tested"):
            cases(log, log.acts(), protocol, 0)


def test_what_is_known_of_a_case() -> None:
    happened = [event(0, "a"), event(1, "b"), event(90, "b", "v"), event(91, "a"), event(92, "b"), event(93, "c")]
    log = read_log(happened, CATALOGUE, GAP_MS)
    found = cases(log, log.acts(), "next-item", 2)
    assert found.at.tolist() == [3, 4]
    assert found.seen.tolist() == [2, 0]
    assert found.known.tolist() == [2, 2]
    assert found.position.tolist() == [1, 2]
    one = found.take(np.array([1]))
    assert (one.seen.tolist(), one.targets.items.tolist(), len(one)) == ([0], [2], 1)


def test_a_sample_follows_from_the_seed_and_keeps_the_order() -> None:
    log = read_log([event(n, "abc"[n % 3], f"u{n // 3}") for n in range(90)], CATALOGUE, GAP_MS)
    found = cases(log, log.acts(), "next-item", 0)
    assert len(found) == 60
    some = sampled(found, 7, seed=1)
    assert len(some) == 7
    assert (np.diff(some.at) > 0).all()
    assert some.at.tolist() == sampled(found, 7, seed=1).at.tolist() != sampled(found, 7, seed=2).at.tolist()
    assert sampled(found, 100, 1) is found


class Witness:
    """Writes down what it is taught and asked."""

    name = "witness"

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.moments: list[Moment] = []

    def learn(self, act: Act, session: Sequence[int]) -> None:
        self.heard.append(("learn", act.item))

    def rank(self, moment: Moment, k: int) -> Ranked:
        self.heard.append(("rank", -1))
        self.moments.append(moment)
        return np.array([2])


def test_a_case_is_ranked_before_its_target_is_learned() -> None:
    log = read_log([event(0, "a"), event(1, "b"), event(2, "d"), event(3, "c")], CATALOGUE, GAP_MS)
    witness = Witness()
    (ranking,) = run([witness], log, log.acts(), cases(log, log.acts(), "next-item", 1), 3, lambda _: None)
    # `d` is out of stock: it is nothing to learn of, yet a case.
    assert witness.heard == [("learn", 0), ("learn", 1), ("rank", -1), ("rank", -1)]
    assert [each.session for each in witness.moments] == [[0, 1], [0, 1]]
    assert ranking.lists.tolist() == [[2, -1, -1]] * 2


def test_who_arrives_is_known_by_his_last_session() -> None:
    log = read_log([event(0, "a"), event(1, "b"), event(90, "c")], CATALOGUE, GAP_MS)
    witness = Witness()
    run([witness], log, log.acts(), cases(log, log.acts(), "next-basket", 1), 3, lambda _: None)
    assert witness.heard[:3] == [("learn", 0), ("learn", 1), ("rank", -1)]
    assert witness.moments[0].session == [0, 1]
    assert witness.moments[0].hidden == ()
