"""The session gap and the repeat rate of simulated shops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from streams.contracts.messages import Interaction, Purchase
from training.shop_habits import FEWEST_TIMES, ShopHabits, repeat_rate, session_gap, shop_habits

MINUTE, DAY = 60.0, 86_400.0


def times(*kinds: tuple[float, float, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return times from kinds of (median in seconds, deviation of log2, number)."""
    random = np.random.default_rng(0)
    return np.concatenate([median * 2.0 ** random.normal(0, deviation, number) for median, deviation, number in kinds])


@pytest.mark.parametrize(
    ("within_s", "between_s", "least_minutes", "most_minutes"),
    [(40.0, 3 * DAY, 10, 300), (20 * MINUTE, 20 * DAY, 200, 2_000), (DAY, 60 * DAY, 5 * 1440, 20 * 1440)],
)
def test_the_gap_is_the_valley_between_two_kinds_of_times(
    within_s: float, between_s: float, least_minutes: float, most_minutes: float
) -> None:
    found = session_gap(times((within_s, 1.2, 5000), (between_s, 1.2, 1000)))
    assert found is not None
    assert least_minutes < found < most_minutes
    assert within_s < found * MINUTE < between_s


def test_without_a_valley_or_with_few_events_there_is_no_gap() -> None:
    assert session_gap(times((600.0, 2.0, 5000))) is None
    assert session_gap(times((40.0, 1.0, FEWEST_TIMES // 3), (DAY, 1.0, FEWEST_TIMES // 3))) is None
    assert session_gap(np.zeros(5000)) is None


def bought(user: int, item: str, day: float) -> Purchase:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return Purchase(event_id=f"{user}-{item}-{day}", user_id=str(user), item_id=item, occurred_at=at)


def test_the_repeat_rate_counts_purchases_of_returning_buyers() -> None:
    events: list[Interaction] = []
    for user in range(300):
        # The first visit is no chance to repeat, nor is a second line of the same occasion.
        events += [bought(user, "milk", 0), bought(user, "milk", 0.01), bought(user, "bread", 0)]
        events += [bought(user, "milk" if user < 75 else "tea", 7), bought(user, "salt", 7)]
    assert repeat_rate(events, 30 * 60e3) == pytest.approx(75 / 600)
    assert repeat_rate(events[:1000], 30 * 60e3) is None
    assert shop_habits(events[::-1], 30.0) == ShopHabits(None, 0.0, 75 / 600)


def test_a_gap_that_parts_the_same_events_is_not_proposed() -> None:
    """The lines of a receipt are a second apart, and receipts some days."""
    events: list[Interaction] = []
    for user in range(30):
        for visit in range(10):
            start = visit * 9 + user / 7 + (user * visit) % 5
            events += [bought(user, f"{visit}-{line}", start + line / DAY) for line in range(5)]
    found = shop_habits(events, 30.0)
    assert found.session_gap_minutes is not None
    assert found.moved == 0
    assert shop_habits(events, 30 * 1440.0).moved > 0.1


def test_sentences_appear_where_a_setting_does_not_fit() -> None:
    assert ShopHabits(450.0, 0.01, 0.2).sentences(30.0) == ShopHabits(None, 0.0, None).sentences(30.0) == []
    gap, repeats = ShopHabits(4321.0, 0.1, 0.002).sentences(30.0)
    assert "begin at about 4300 minutes" in gap
    assert "0.2% of the purchases of returning buyers" in repeats
