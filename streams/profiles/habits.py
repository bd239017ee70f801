"""What a shopper buys again, how often, and at which prices: the slow part of a profile. Pure.

A habit's weight counts purchases, decayed in event time, and is kept as of the last one: Σ 2^(−(t_last − tᵢ) / h). Only
a purchase touches it, and the order of habits by weight is the same at any time.
"""

from __future__ import annotations

from math import log1p, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import NO_HABITS, Habits, PriceHabit

HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<f2"), ("interval_days", "<f2")])
HABITS = 80
"""Items kept. Beyond it the lightest goes; weights decay, so a newcomer outweighs what was bought once before it."""
SHARE_OF_NEWEST = 1 / 3
"""How much the newest interval counts in the usual one: a rhythm is told by few intervals, and it changes."""
LONGEST_DAYS = 60_000.0
"""What a float16 holds."""
DAY_S = 86_400

Memory = npt.NDArray[np.void]
Habit = tuple[int, int, float, float]


class PriceMoments(NamedTuple):
    """Decayed sums of weights, of log(1 + price) and of its square."""

    mass: float = 0.0
    first: float = 0.0
    second: float = 0.0


def buy(habits: Memory, key: int, at_ms: int, *, half_life_ms: float, occasion_ms: int) -> Memory:
    """Count a purchase of the item with this stable key; heaviest habits first, ties by key.

    Purchases less than `occasion_ms` apart are one: a basket may name an item on several lines. The usual interval is
    an exponential mean; a purchase that comes late adds its weight, and an interval only where there was none.
    """
    at_s, half_life_s = max(at_ms, 0) // 1000, half_life_ms / 1000
    (places,) = np.nonzero(habits["key"] == key)
    if len(places):
        kept, place = habits.copy(), int(places[0])
        entry = _repeated(kept[place].item(), at_s, half_life_s, occasion_ms / 1000)
    else:
        kept, place, entry = np.empty(len(habits) + 1, dtype=HABIT), -1, (key, at_s, 1.0, 0.0)
        kept[:-1] = habits
    kept[place] = entry
    logarithms = np.log2(kept["weight"], dtype=np.float64) + kept["at_s"] / half_life_s
    ordered: Memory = kept[np.lexsort((kept["key"], -logarithms))[:HABITS]]
    return ordered


def _repeated(habit: Habit, at_s: int, half_life_s: float, occasion_s: float) -> Habit:
    key, last_s, weight, usual = habit
    apart_s = at_s - last_s
    if abs(apart_s) > occasion_s:
        days = min(abs(apart_s) / DAY_S, LONGEST_DAYS)
        fading = 2.0 ** (-abs(apart_s) / half_life_s)
        weight = weight * fading + 1.0 if apart_s > 0 else weight + fading
        if not usual:
            usual = days
        elif apart_s > 0:
            usual += SHARE_OF_NEWEST * (days - usual)
    return key, max(last_s, at_s), weight, usual


def known(habits: Memory, now_ms: int, half_life_ms: float) -> Habits:
    """Return the habits as of `now_ms`."""
    if not len(habits):
        return NO_HABITS
    elapsed_s = np.maximum(now_ms / 1000 - habits["at_s"], 0.0)
    return Habits(
        keys=np.ascontiguousarray(habits["key"]),
        weights=(habits["weight"] * np.exp2(elapsed_s * (-1000 / half_life_ms))).astype(np.float32),
        elapsed_days=(elapsed_s / DAY_S).astype(np.float32),
        interval_days=habits["interval_days"].astype(np.float32),
    )


def pay(moments: PriceMoments, price: float | None, fading: float, weight: float) -> PriceMoments:
    """Let the moments fade, then count a price with its weight."""
    mass, first, second = (moment * fading for moment in moments)
    if price is None:
        return PriceMoments(mass, first, second)
    logarithm = log1p(price)
    return PriceMoments(mass + weight, first + weight * logarithm, second + weight * logarithm * logarithm)


def price_habit(moments: PriceMoments) -> PriceHabit | None:
    """Return mean and standard deviation of log(1 + price); None where nothing is known."""
    mass, first, second = moments
    if not mass > 0:
        return None
    mean = first / mass
    return PriceHabit(mean, sqrt(max(second / mass - mean * mean, 0.0)))
