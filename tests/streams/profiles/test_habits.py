"""Habits count purchases once an occasion, decay in event time, know their rhythm, and stay few; prices are moments."""

from __future__ import annotations

from math import log1p

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.types import NO_HABITS, Habits, Item, stable_key
from streams.profiles.habits import HABIT, HABITS, PriceMoments, buy, known, pay, price_habit
from streams.profiles.profile import Memory, apply, empty
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, at, fold_all

DAY = 86_400_000
HALF_LIFE = 90.0 * DAY
GAP = 30 * 60_000
NOTHING = np.empty(0, dtype=HABIT)


def bought(*purchases: tuple[int, int]) -> Memory:
    """Return the habits after purchases, each an item's key and its time."""
    habits = NOTHING
    for key, at_ms in purchases:
        habits = buy(habits, key, at_ms, half_life_ms=HALF_LIFE, occasion_ms=GAP)
    return habits


def weights(habits: Habits) -> dict[int, float]:
    return dict(zip(habits.keys.tolist(), habits.weights.tolist(), strict=True))


def test_nothing_bought_is_no_habit() -> None:
    assert known(NOTHING, NOW_MS, HALF_LIFE) is NO_HABITS


def test_a_first_purchase_has_no_rhythm_and_the_second_tells_it() -> None:
    once = known(bought((1, NOW_MS)), NOW_MS + 3 * DAY, HALF_LIFE)
    assert once.elapsed_days.tolist() == pytest.approx([3.0])
    assert once.interval_days.tolist() == [0.0]
    assert weights(once) == pytest.approx({1: 2.0 ** (-3 / 90)}, rel=1e-3)
    twice = known(bought((1, NOW_MS), (1, NOW_MS + 21 * DAY)), NOW_MS + 21 * DAY, HALF_LIFE)
    assert twice.interval_days.tolist() == [21.0]
    assert twice.elapsed_days.tolist() == [0.0]
    assert weights(twice) == pytest.approx({1: 1 + 2.0 ** (-21 / 90)}, rel=1e-3)


def test_the_usual_interval_follows_the_rhythm() -> None:
    times = np.cumsum([0, *[7] * 10, *[28] * 10]) * DAY + NOW_MS
    week = known(bought(*((1, int(time)) for time in times[:11])), int(times[10]), HALF_LIFE)
    month = known(bought(*((1, int(time)) for time in times)), int(times[-1]), HALF_LIFE)
    assert week.interval_days.tolist() == [7.0]
    assert month.interval_days[0] == pytest.approx(28, rel=0.03)


def test_several_lines_of_one_basket_are_one_purchase() -> None:
    lines = bought((1, NOW_MS), (1, NOW_MS), (1, NOW_MS + GAP), (1, NOW_MS + 2 * GAP))
    assert weights(known(lines, NOW_MS + 2 * GAP, HALF_LIFE)) == {1: 1.0}
    assert known(lines, NOW_MS, HALF_LIFE).interval_days.tolist() == [0.0]
    other = bought((1, NOW_MS), (1, NOW_MS + GAP + 1000))
    assert weights(known(other, NOW_MS + GAP + 1000, HALF_LIFE)) == pytest.approx({1: 2.0}, rel=1e-3)


purchases = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 200)), min_size=1, max_size=30)
"""Items and days before now."""


@given(purchases, st.data())
def test_weights_are_the_decayed_sum_in_any_order(history: list[tuple[int, int]], data: st.DataObject) -> None:
    expected: dict[int, float] = {}
    for key, days in set(history):
        expected[key] = expected.get(key, 0.0) + 2.0 ** (-days / 90)
    for order in (history, data.draw(st.permutations(sorted(set(history))))):
        habits = bought(*((key, NOW_MS - days * DAY) for key, days in sorted(order, key=lambda each: -each[1])))
        late = bought(*((key, NOW_MS - days * DAY) for key, days in dict.fromkeys(order)))
        assert weights(known(habits, NOW_MS, HALF_LIFE)) == pytest.approx(expected, rel=0.01)
        assert weights(known(late, NOW_MS, HALF_LIFE)) == pytest.approx(expected, rel=0.01)


def test_a_late_purchase_adds_its_weight_and_a_first_interval_only() -> None:
    late = bought((1, NOW_MS), (1, NOW_MS - 10 * DAY), (1, NOW_MS - 17 * DAY))
    habits = known(late, NOW_MS, HALF_LIFE)
    assert habits.elapsed_days.tolist() == [0.0]
    assert habits.interval_days.tolist() == [10.0]
    assert weights(habits) == pytest.approx({1: 1 + 2.0 ** (-10 / 90) + 2.0 ** (-17 / 90)}, rel=2e-3)


def test_habits_are_few_heaviest_first_at_any_time_and_a_newcomer_enters() -> None:
    habits = bought(*((key, NOW_MS + day * DAY) for day in range(5) for key in range(10)))
    for key in range(100, 400):
        habits = buy(habits, key, NOW_MS + key * DAY, half_life_ms=HALF_LIFE, occasion_ms=GAP)
        assert key in habits["key"]
    assert len(habits) == HABITS
    for later in (400, 500, 900):
        told = known(habits, NOW_MS + later * DAY, HALF_LIFE).weights
        assert np.all(np.diff(told) <= 0)
        assert np.isfinite(told).all()


@pytest.mark.parametrize("far_ms", [-(10**12), 0, 4_102_444_799_000])
def test_times_far_apart_stay_finite(far_ms: int) -> None:
    for order in ((NOW_MS, far_ms), (far_ms, NOW_MS)):
        habits = known(bought(*((1, at_ms) for at_ms in order)), NOW_MS, HALF_LIFE)
        for column in (habits.weights, habits.elapsed_days, habits.interval_days):
            assert np.isfinite(column).all()
            assert (column >= 0).all()


def test_only_purchases_make_habits() -> None:
    profile = fold_all([act(kind, kind) for kind in ("view", "click", "cart", "purchase")])
    assert profile.habits["key"].tolist() == [stable_key("purchase")]


def test_prices_are_the_mean_and_deviation_of_their_logarithms() -> None:
    moments = PriceMoments()
    assert price_habit(moments) is None
    for price in (0.0, 9.5, 100.0, None):
        moments = pay(moments, price, 1.0, 2.0)
    logarithms = [log1p(price) for price in (0.0, 9.5, 100.0)]
    habit = price_habit(moments)
    assert habit is not None
    assert habit.mean == pytest.approx(np.mean(logarithms))
    assert habit.deviation == pytest.approx(np.std(logarithms))
    assert price_habit(pay(moments, None, 0.0, 1.0)) is None


def test_the_same_price_twice_has_no_deviation_and_old_prices_fade() -> None:
    one = pay(pay(PriceMoments(), 3.3, 1.0, 1.0), 3.3, 0.1, 3.0)
    assert price_habit(one) == pytest.approx((log1p(3.3), 0.0), abs=1e-7)
    faded = price_habit(pay(pay(PriceMoments(), 1.0, 1.0, 1.0), 5.0, 0.5, 1.0))
    assert faded is not None
    assert faded.mean == pytest.approx((0.5 * log1p(1.0) + log1p(5.0)) / 1.5)


def test_what_was_paid_goes_before_what_the_item_costs() -> None:
    for paid, listed, expected in ((4.0, 9.0, 4.0), (None, 9.0, 9.0)):
        action = msgspec.structs.replace(act("view", "a"), price=paid)
        costing = Item(item_id="a", title="A", price=listed)
        profile = apply(empty(DIM, 0), action, at(0), vector=None, item=costing, rules=RULES)
        habit = price_habit(profile.prices)
        assert habit is not None
        assert habit.mean == pytest.approx(log1p(expected))
    assert price_habit(fold_all([act("view", "a")]).prices) is None
