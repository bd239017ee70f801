"""Updates of a shopper's habits by a purchase.

Kernels call these helpers. They change records in place, by the rules in the docstring of `profile.py`.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.float16 import from_half, to_half
from streams.profiles.layout import HABITS, Array, Record, int64_of

HEAVIEST = 60_000.0
"""Largest weight of a habit. A float16 can hold it."""
LONGEST_RHYTHM_DAYS = 3 * 365.0
"""Largest interval of a rhythm, in days. A longer one is a wrong clock or a new beginning."""
EARLIEST_PURCHASE_MS = 788_918_400_000
"""Time of the earliest purchase that counts as a habit, 1995-01-01: no shop sold online before. A clock that was never
set starts in 1970 or 1980."""
SHARE_OF_NEWEST = 1 / 3
"""Weight of the newest interval in the usual one. It is large, because habits have few intervals and change."""
DAY_S = 86_400.0
FIRST, RETURNED, REPEATED = 1, 2, 3
"""Kinds of purchases; 0 is none."""
LARGEST_SECONDS = 2**32 - 1


@helper
def count_purchase(profile: Record, habits: Array, key: np.uint64, at_ms: int, rules: Record, ranks: Array) -> int:
    """Count a purchase of an item. Keep the habits sorted: heaviest first at any time, ties by key.

    Return whether the shopper bought on an earlier occasion (RETURNED), and the item as well (REPEATED), or FIRST.

    A habit's weight is the number of purchases, decayed in event time to the last one: Σ 2^(−(t_last − tᵢ) / h). Beyond
    HABITS items the lightest is dropped. `ranks` (HABITS,) is working memory.
    """
    if at_ms < EARLIEST_PURCHASE_MS:
        return FIRST
    at_s = min(max(at_ms, 0) // 1000, LARGEST_SECONDS)
    half_life_s = rules["habit_half_life_ms"] / 1000
    size = int64_of(profile["habits_length"])
    place = 0
    while place < size and habits[place]["key"] != key:
        place += 1
    # Before the purchase is counted, which changes the time of the item's last one.
    kind = _kind(habits, size, place, at_s - rules["session_gap_ms"] / 1000)
    for j in range(size):
        ranks[j] = _rank(habits[j], half_life_s)
    if place < size:
        _count_repeat(habits[place], at_s, half_life_s, rules["session_gap_ms"] / 1000)
    else:
        if size == HABITS:
            place = HABITS - 1
            # The rank of a single purchase now: the logarithm of its weight 1 is 0.
            newcomer, lightest = at_s / half_life_s, ranks[place]
            if newcomer < lightest or (newcomer == lightest and key > habits[place]["key"]):
                return kind
        else:
            size += 1
            profile["habits_length"] = size
        habit = habits[place]
        habit["key"], habit["at_s"], habit["weight"], habit["interval_days"] = key, at_s, to_half(1.0), 0
    ranks[place] = _rank(habits[place], half_life_s)
    # The habits were in order before, except for the one at `place`. The half-life may have changed since the last
    # purchase, which changes the order of all. Insertion sort is right in both cases, and fast in the usual one.
    for j in range(1, size):
        k = j
        while k > 0 and (
            ranks[k - 1] < ranks[k] or (ranks[k - 1] == ranks[k] and habits[k - 1]["key"] > habits[k]["key"])
        ):
            ranks[k - 1], ranks[k] = ranks[k], ranks[k - 1]
            _swap(habits[k - 1], habits[k])
            k -= 1
    return kind


@helper
def _kind(habits: Array, size: int, place: int, before_s: float) -> int:
    """Return the kind of a purchase of the item at `place` of the habits, none if it is `size`."""
    if place < size and int64_of(habits[place]["at_s"]) < before_s:
        return REPEATED
    for j in range(size):
        if int64_of(habits[j]["at_s"]) < before_s:
            return RETURNED
    return FIRST


@helper
def _rank(habit: Record, half_life_s: float) -> float:
    """Return the logarithm of a habit's weight, decayed to a fixed time. Its order holds at any time.

    All weights decay by the same factor, so the heaviest habit stays the heaviest. The logarithm avoids an overflow.
    """
    weight = from_half(int64_of(habit["weight"]))
    return float((np.log2(weight) if weight > 0 else -np.inf) + int64_of(habit["at_s"]) / half_life_s)


@helper
def _count_repeat(habit: Record, at_s: int, half_life_s: float, occasion_s: float) -> None:
    """Count another purchase of an item.

    Purchases less than `occasion_s` apart count as one, because a basket may name an item on several lines. The usual
    interval is an exponential mean. A late purchase adds its weight, and sets the interval only if there is none yet. A
    pause of more than LONGEST_RHYTHM_DAYS ends the rhythm.
    """
    last_s, weight = int64_of(habit["at_s"]), from_half(int64_of(habit["weight"]))
    usual = from_half(int64_of(habit["interval_days"]))
    apart_s = at_s - last_s
    if abs(apart_s) > occasion_s:
        days = abs(apart_s) / DAY_S
        fading = 2.0 ** (-abs(apart_s) / half_life_s)
        weight = weight * fading + 1.0 if apart_s > 0 else weight + fading
        if days > LONGEST_RHYTHM_DAYS:
            usual = 0.0 if apart_s > 0 else usual
        elif usual == 0.0:
            usual = days
        elif apart_s > 0:
            usual += SHARE_OF_NEWEST * (days - usual)
        habit["weight"], habit["interval_days"] = to_half(min(weight, HEAVIEST)), to_half(usual)
    habit["at_s"] = max(last_s, at_s)


@helper
def _swap(one: Record, other: Record) -> None:
    """Exchange two habits."""
    key, at_s, weight, interval = one["key"], one["at_s"], one["weight"], one["interval_days"]
    one["key"], one["at_s"] = other["key"], other["at_s"]
    one["weight"], one["interval_days"] = other["weight"], other["interval_days"]
    other["key"], other["at_s"], other["weight"], other["interval_days"] = key, at_s, weight, interval
