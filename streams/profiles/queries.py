"""Values of a query, and of an event's answer, written from the shopper's profile after the event.

The kernel `fold` calls these helpers.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.compiler import helper
from inference.kernels.gaps import gap_bucket
from streams.profiles.batch import ARRIVAL
from streams.profiles.float16 import from_half
from streams.profiles.habits import DAY_S, LONGEST_RHYTHM_DAYS
from streams.profiles.intents import ZERO, copy
from streams.profiles.layout import RECENT_ITEMS, Array, Record, int64_of

ROUNDING = 0.01
"""More than the error of two float16 up to 2."""


@helper
def write_session(profile: Record, event: Record, rules: Record, query: Record, answer: Record, exclude: Array) -> int:
    """Write the items of the event's session to the query and to `exclude`. Return their number.

    Without a session id, the session is everything since the last pause. With one, it is the items with this id, as far
    as no pause parts them from the event: some shops never change the id.
    """
    size, session, at_ms, gap_ms = 0, event["session"], answer["at_ms"], rules["session_gap_ms"]
    started_ms = int64_of(profile["session_started_ms"])
    newest_ms, oldest_ms = at_ms, at_ms
    if event["action"] != ARRIVAL:
        for j in range(int64_of(profile["recent_length"])):
            then_ms = int64_of(profile["recent_at_ms"][j])
            if session == 0 and then_ms < started_ms:
                break
            if session != 0 and profile["recent_sessions"][j] != session:
                continue
            if session != 0 and size > 0 and then_ms < started_ms and oldest_ms - then_ms > gap_ms:
                # A pause. An event after it belongs to the newer items, a late one to the older items.
                if at_ms - then_ms > gap_ms:
                    break
                size = 0
            if size == 0:
                newest_ms = then_ms
            oldest_ms = then_ms
            query["session"][size] = exclude[size] = profile["recent_keys"][j]
            size += 1
    if session != 0 and size > 0:
        # All items with the event's session id may be on the other side of a pause. Then the event is in a session
        # without them.
        is_later = at_ms - newest_ms > gap_ms and newest_ms < started_ms
        is_earlier = oldest_ms - at_ms > gap_ms and at_ms < started_ms
        if is_later or is_earlier:
            size = 0
    query["session_length"] = size
    if size > 0:
        answer["session_at_ms"] = newest_ms
    # The start names the session. Items from before the last pause are a session of their own.
    answer["session_started_ms"] = oldest_ms if session != 0 and size > 0 and newest_ms < started_ms else started_ms
    if size > 0:
        _write_before(profile, event, rules, answer, newest_ms, oldest_ms)
    return size


@helper
def write_bought_before(profile: Record, habits: Array, query: Record, answer: Record, exclude: Array) -> int:
    """Write the items that the shopper bought since the session began to `exclude`. Return their number.

    A profile remembers RECENT_ITEMS items. In a longer session, such as a wholesaler's order, the habits have the items
    that were bought before these, up to HABITS of them.
    """
    size, started_s = 0, int64_of(answer["session_started_ms"]) // 1000
    if int64_of(query["session_length"]) < RECENT_ITEMS:
        return size
    for j in range(int64_of(profile["habits_length"])):
        if int64_of(habits[j]["at_s"]) >= started_s:
            exclude[size] = habits[j]["key"]
            size += 1
    return size


@helper
def _write_before(
    profile: Record, event: Record, rules: Record, answer: Record, newest_ms: int, oldest_ms: int
) -> None:
    """Write the items of the session before the event's item, each with its share, and those of the same millisecond.

    The share of an item is 1 / (steps back to it). Items of one millisecond have no order, so they share the mean of
    their steps. Items of the event's own millisecond are no items before it.
    """
    session, at_ms, window = event["session"], answer["at_ms"], rules["window"]
    before, group, tied = 0, 0, 0
    group_ms = at_ms
    for j in range(int64_of(profile["recent_length"])):
        then_ms, key = int64_of(profile["recent_at_ms"][j]), profile["recent_keys"][j]
        is_in_session = oldest_ms <= then_ms <= newest_ms and (session == 0 or profile["recent_sessions"][j] == session)
        if not is_in_session or then_ms >= at_ms or key == event["item"]:
            continue
        # Items of one millisecond are a group, whose shares are written when it is complete.
        if then_ms != group_ms:
            _share_steps(answer["before_shares"], group, before, window)
            if before >= window:
                break
            group, group_ms = before, then_ms
        answer["before"][before] = key
        before += 1
    _share_steps(answer["before_shares"], group, before, window)
    for j in range(int64_of(profile["recent_length"])):
        is_in_session = oldest_ms <= at_ms and (session == 0 or profile["recent_sessions"][j] == session)
        if is_in_session and profile["recent_at_ms"][j] == at_ms and profile["recent_keys"][j] != event["item"]:
            answer["before"][before + tied] = profile["recent_keys"][j]
            tied += 1
    answer["before_length"], answer["tied_length"] = before, tied


@helper
def _share_steps(shares: Array, start: int, end: int, window: int) -> None:
    """Write the mean of 1 / steps over the items from `start` to `end`. Steps beyond the window count 0."""
    total = 0.0
    for step in range(start + 1, min(end, window) + 1):
        total += 1.0 / step
    for j in range(start, end):
        shares[j] = total / (end - start)


@helper
def write_searches(profile: Record, answer: Record, rules: Record) -> None:
    """Write the search that led to the event, and the shopper's newest search."""
    at_ms = answer["at_ms"]
    for j in range(int64_of(profile["queries_length"])):
        searched_ms = profile["query_at_ms"][j]
        # Searches are newest first, so the first match is the last search before the event. A search of the same
        # millisecond has no order to it.
        if searched_ms < at_ms <= searched_ms + rules["session_gap_ms"]:
            answer["led_query_length"] = profile["query_lengths"][j]
            copy(profile["query_texts"][j], answer["led_query"])
            break
    if profile["queries_length"] > 0:
        answer["last_query_length"] = profile["query_lengths"][0]
        copy(profile["query_texts"][0], answer["last_query"])
        elapsed_ms = np.float64(profile["updated_ms"] - profile["query_at_ms"][0])
        answer["last_query_weight"] = 2.0 ** (-elapsed_ms / rules["short_term_half_life_ms"])


@helper
def write_habits(profile: Record, habits: Array, now_ms: int, half_life_ms: float, query: Record) -> None:
    """Write the habits, decayed to `now_ms`."""
    size = int64_of(profile["habits_length"])
    query["habits_length"] = size
    keys, weights = query["habits"], query["habit_weights"]
    elapsed_days, intervals = query["habit_elapsed_days"], query["habit_interval_days"]
    for j in range(size):
        habit = habits[j]
        elapsed_s = max(now_ms / 1000 - int64_of(habit["at_s"]), 0.0)
        keys[j] = habit["key"]
        weights[j] = from_half(int64_of(habit["weight"])) * np.exp2(elapsed_s * (-1000 / half_life_ms))
        elapsed_days[j] = elapsed_s / DAY_S
        # Earlier versions stored longer intervals, which wrong clocks had caused.
        interval_days = from_half(int64_of(habit["interval_days"]))
        intervals[j] = interval_days if interval_days <= LONGEST_RHYTHM_DAYS else 0.0
        query["habit_regular"][j] = _is_regular(habit, half_life_ms)


@helper
def _is_regular(habit: Record, half_life_ms: float) -> bool:
    """Return whether a habit has at least three purchases, as far as its weight proves it.

    After two purchases d days apart, the interval is d and the weight 1 + 2^(−d / h). A greater weight needs a third.
    """
    interval_days, weight = from_half(int64_of(habit["interval_days"])), from_half(int64_of(habit["weight"]))
    if interval_days <= 0 or weight <= 1:
        return False
    if weight > 2.0 + ROUNDING:
        return True
    return bool(weight > 1.0 + np.exp2(interval_days * DAY_S * (-1000 / half_life_ms)) + ROUNDING)


@helper
def write_rest(profile: Record, query: Record, rules: Record, now_ms: int) -> None:
    """Write the recent items, the shares of the labels, and the usual price, at `now_ms`."""
    size = int64_of(profile["recent_length"])
    query["recent_length"] = size
    newest_ms = int64_of(profile["recent_at_ms"][0])
    for j in range(size):
        query["recent"][j] = profile["recent_keys"][j]
        query["recent_actions"][j] = profile["recent_actions"][j]
        query["recent_gaps"][j] = gap_bucket(newest_ms - int64_of(profile["recent_at_ms"][j]))
    query["pause"] = gap_bucket(now_ms - newest_ms) if size > 0 else 0
    query["categories_length"] = _write_shares(
        profile["category_keys"],
        profile["category_weights"],
        int64_of(profile["categories_length"]),
        query["categories"],
        query["category_shares"],
    )
    query["brands_length"] = _write_shares(
        profile["brand_keys"],
        profile["brand_weights"],
        int64_of(profile["brands_length"]),
        query["brands"],
        query["brand_shares"],
    )
    weight, first, second = profile["price_moments"][0], profile["price_moments"][1], profile["price_moments"][2]
    query["price_mean"] = query["price_deviation"] = np.nan
    if weight > 0:
        mean = first / weight
        query["price_mean"] = mean
        # Rounding can make the variance of equal prices slightly negative.
        query["price_deviation"] = np.sqrt(max(second / weight - mean * mean, 0.0))
    query["k"] = rules["list_size"]


@helper
def _write_shares(keys: Array, weights: Array, size: int, labels: Array, shares: Array) -> int:
    """Write each label's share of the shopper's total weight. Return the number of labels."""
    total = ZERO
    for j in range(size):
        total += weights[j]
    if not total > 0:
        return 0
    for j in range(size):
        labels[j] = keys[j]
        shares[j] = np.float64(weights[j]) / np.float64(total)
    return size
