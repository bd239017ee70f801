"""Habits: one purchase per occasion, decay in event time, intervals, bounds. Prices: moments."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.types import NO_HABITS, Habits, Item, PriceHabit, stable_key
from streams.profiles import kernels
from streams.profiles.batch import ARRIVAL, PURCHASE, AnswerBatch, EventBatch, Scratch, rules_record
from streams.profiles.codec import Shoppers, encode
from streams.profiles.events import pack_arrivals
from streams.profiles.layout import HABITS
from streams.profiles.profile import HABIT, Memory, PriceMoments, empty
from tests.streams.profiles.reference import price_habit
from tests.streams.shoppers import DIM, NOW_MS, RULES, SPACE, act, at, fold_all, fold_batch, read

pytestmark = pytest.mark.kernel

DAY = 86_400_000
GAP = RULES.session_gap_ms
EACH = rules_record(RULES, window=1, list_size=1, faded=0.0)
ZERO = np.empty(0, dtype=HABIT)
Purchase = tuple[int, int]
"""An item's key and the time of its purchase."""


def bought(*purchases: Purchase, before: Memory = ZERO) -> Memory:
    """Return the habits after purchases."""
    return folded(before, purchases)[0]


def known(habits: Memory, now_ms: int) -> Habits:
    """Return the habits in a query of this time."""
    return folded(habits, [(0, now_ms)], ARRIVAL)[1]


def folded(habits: Memory, purchases: Sequence[Purchase], action: int = PURCHASE) -> tuple[Memory, Habits]:
    """Fold purchases with the kernel. Return the habits, and those of the last query."""
    profile = empty(DIM, SPACE)
    shoppers = Shoppers([encode(profile)], DIM, SPACE)
    arrays = shoppers.arrays
    arrays.records["habits_length"] = len(habits)
    arrays.habits[0, : len(habits)] = habits.view(arrays.habits.dtype)
    events = np.repeat(pack_arrivals(0, 1, DIM).batch.events, len(purchases))
    events["action"], events["offset"] = action, np.arange(len(purchases))
    events["item"] = [key for key, _ in purchases]
    events["occurred_ms"] = events["timestamp_ms"] = [at_ms for _, at_ms in purchases]
    events["topic"] = np.arange(1, len(purchases) + 1)
    answers = AnswerBatch.empty(len(events), DIM)
    batch = EventBatch(events, np.empty((0, DIM), dtype=np.int8), np.empty((0, DIM), dtype=np.float32))
    kernels.fold(arrays, batch, EACH, answers, Scratch.empty(DIM))
    query = answers.queries[-1]
    number = query["habits_length"]
    columns = ("habits", "habit_weights", "habit_elapsed_days", "habit_interval_days")
    return (
        np.frombuffer(arrays.habits[0, : arrays.records["habits_length"][0]].tobytes(), dtype=HABIT),
        Habits(*(query[name][:number] for name in columns), regular=query["habit_regular"][:number]),
    )


def weights(habits: Habits) -> dict[int, float]:
    return dict(zip(habits.keys.tolist(), habits.weights.tolist(), strict=True))


def test_without_purchases_there_are_no_habits() -> None:
    assert len(known(ZERO, NOW_MS).keys) == len(NO_HABITS.keys) == 0


def test_a_purchase_before_any_shop_is_no_habit() -> None:
    assert len(bought((1, 0))) == len(bought((1, 315_532_800_000))) == 0
    assert bought((1, 0), (1, NOW_MS))["interval_days"].tolist() == [0.0]
    assert bought((1, NOW_MS), (1, 0))["interval_days"].tolist() == [0.0]


def test_an_interval_of_more_than_three_years_is_no_rhythm() -> None:
    years = [NOW_MS - number * 365 * DAY for number in (10, 7, 4, 0)]
    assert bought((1, years[1]), (1, years[2]))["interval_days"].tolist() == [1095.0]
    assert bought((1, years[2]), (1, years[3]))["interval_days"].tolist() == [0.0]
    assert bought((1, years[3]), (1, years[2]))["interval_days"].tolist() == [0.0]
    assert bought((1, years[0]), (1, years[0] + DAY), (1, years[3]))["interval_days"].tolist() == [0.0]


def test_a_longer_interval_of_an_earlier_version_is_not_served() -> None:
    before = bought((1, NOW_MS), (1, NOW_MS + DAY)).copy()
    before["interval_days"] = 20_000
    assert known(before, NOW_MS + 2 * DAY).interval_days.tolist() == [0.0]


def test_the_second_purchase_sets_the_interval() -> None:
    once = known(bought((1, NOW_MS)), NOW_MS + 3 * DAY)
    assert once.elapsed_days.tolist() == pytest.approx([3.0])
    assert once.interval_days.tolist() == [0.0]
    assert weights(once) == pytest.approx({1: 2.0 ** (-3 / 90)}, rel=1e-3)
    twice = known(bought((1, NOW_MS), (1, NOW_MS + 21 * DAY)), NOW_MS + 21 * DAY)
    assert twice.interval_days.tolist() == [21.0]
    assert twice.elapsed_days.tolist() == [0.0]
    assert weights(twice) == pytest.approx({1: 1 + 2.0 ** (-21 / 90)}, rel=1e-3)


@pytest.mark.parametrize("days", [1, 7, 30, 200])
def test_three_purchases_are_regular(days: int) -> None:
    def regular(*at_days: int) -> list[bool]:
        end_ms = NOW_MS + 999 * DAY
        found = known(bought(*((1, NOW_MS + each * DAY) for each in at_days)), end_ms).regular
        assert found is not None
        return [bool(each) for each in found]

    assert regular(0) == regular(0, days) == [False]
    assert regular(0, days, 2 * days) == regular(0, days, 2 * days, 3 * days) == [True]


def test_the_usual_interval_follows_recent_intervals() -> None:
    times = np.cumsum([0, *[7] * 10, *[28] * 10]) * DAY + NOW_MS
    week = known(bought(*((1, int(time)) for time in times[:11])), int(times[10]))
    month = known(bought(*((1, int(time)) for time in times)), int(times[-1]))
    assert week.interval_days.tolist() == [7.0]
    assert month.interval_days[0] == pytest.approx(28, rel=0.03)


def test_several_lines_of_one_basket_count_once() -> None:
    lines = bought((1, NOW_MS), (1, NOW_MS), (1, NOW_MS + GAP), (1, NOW_MS + 2 * GAP))
    assert weights(known(lines, NOW_MS + 2 * GAP)) == {1: 1.0}
    assert known(lines, NOW_MS).interval_days.tolist() == [0.0]
    other = bought((1, NOW_MS), (1, NOW_MS + GAP + 1000))
    assert weights(known(other, NOW_MS + GAP + 1000)) == pytest.approx({1: 2.0}, rel=1e-3)


purchases = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 200)), min_size=1, max_size=30)
"""Items and days before now."""


@given(purchases, st.data())
def test_weights_are_decayed_sums_in_any_order(history: list[tuple[int, int]], data: st.DataObject) -> None:
    expected: dict[int, float] = {}
    for key, days in set(history):
        expected[key] = expected.get(key, 0.0) + 2.0 ** (-days / 90)
    for order in (history, data.draw(st.permutations(sorted(set(history))))):
        habits = bought(*((key, NOW_MS - days * DAY) for key, days in sorted(order, key=lambda each: -each[1])))
        late = bought(*((key, NOW_MS - days * DAY) for key, days in dict.fromkeys(order)))
        assert weights(known(habits, NOW_MS)) == pytest.approx(expected, rel=0.01)
        assert weights(known(late, NOW_MS)) == pytest.approx(expected, rel=0.01)


def test_a_late_purchase_adds_its_weight_and_only_a_first_interval() -> None:
    late = bought((1, NOW_MS), (1, NOW_MS - 10 * DAY), (1, NOW_MS - 17 * DAY))
    habits = known(late, NOW_MS)
    assert habits.elapsed_days.tolist() == [0.0]
    assert habits.interval_days.tolist() == [10.0]
    assert weights(habits) == pytest.approx({1: 1 + 2.0 ** (-10 / 90) + 2.0 ** (-17 / 90)}, rel=2e-3)


def test_habits_are_bounded_and_sorted_by_weight_and_a_new_one_enters() -> None:
    habits = bought(*((key, NOW_MS + day * DAY) for day in range(5) for key in range(10)))
    for key in range(100, 400):
        habits = bought((key, NOW_MS + key * DAY), before=habits)
        assert key in habits["key"]
    assert len(habits) == HABITS
    for later in (400, 500, 900):
        later_weights = known(habits, NOW_MS + later * DAY).weights
        assert np.all(np.diff(later_weights) <= 0)
        assert np.isfinite(later_weights).all()


@pytest.mark.parametrize("far_ms", [-(10**12), 0, 4_102_444_799_000])
def test_habits_stay_finite_with_times_far_apart(far_ms: int) -> None:
    for order in ((NOW_MS, far_ms), (far_ms, NOW_MS)):
        habits = known(bought(*((1, at_ms) for at_ms in order)), NOW_MS)
        for column in (habits.weights, habits.elapsed_days, habits.interval_days):
            assert np.isfinite(column).all()
            assert (column >= 0).all()


def test_only_purchases_make_habits() -> None:
    profile = read(fold_all([act(kind, kind) for kind in ("view", "click", "cart", "purchase")]))
    assert profile.habits["key"].tolist() == [stable_key("purchase")]


def paid(*prices: float | None, every_ms: int = 0, weights: Sequence[str] = ()) -> PriceHabit | None:
    """Return the price habit after actions on items of these prices."""
    kinds = [*weights, *["cart"] * len(prices)]
    actions = [
        msgspec.structs.replace(act(kind, f"i{place}", NOW_MS + place * every_ms), price=price)
        for place, (kind, price) in enumerate(zip(kinds, prices, strict=False))
    ]
    history = [(each, at(place, NOW_MS + place * every_ms)) for place, each in enumerate(actions)]
    return price_habit(read(fold_batch(None, history)[0]).prices)


def test_the_price_habit_is_mean_and_deviation_of_logarithms() -> None:
    assert price_habit(PriceMoments()) is None
    logarithms = [log1p(price) for price in (0.0, 9.5, 100.0)]
    habit = paid(0.0, 9.5, 100.0, None)
    assert habit is not None
    assert habit.mean == pytest.approx(np.mean(logarithms))
    assert habit.deviation == pytest.approx(np.std(logarithms))
    assert paid(None, None) is None


def test_equal_prices_have_no_deviation_and_old_prices_decay() -> None:
    half_life_ms = round(RULES.long_term_half_life_ms)
    assert paid(3.3, 3.3, every_ms=half_life_ms, weights=["view", "purchase"]) == pytest.approx(
        (log1p(3.3), 0.0), abs=1e-7
    )
    faded = paid(1.0, 5.0, every_ms=half_life_ms, weights=["view", "view"])
    assert faded is not None
    assert faded.mean == pytest.approx((0.5 * log1p(1.0) + log1p(5.0)) / 1.5)


def test_the_price_of_an_action_precedes_the_catalogues_price() -> None:
    for given_price, listed, expected in ((4.0, 9.0, 4.0), (None, 9.0, 9.0)):
        action = msgspec.structs.replace(act("view", "a"), price=given_price)
        item = Item(item_id="a", title="A", price=listed)
        stored, _ = fold_batch(None, [(action, at(0))], item_of={"a": item}.get)
        habit = price_habit(read(stored).prices)
        assert habit is not None
        assert habit.mean == pytest.approx(log1p(expected))
    assert price_habit(read(fold_all([act("view", "a")])).prices) is None
