"""Values of a query, and of an event's answer, written from the shopper's profile after the event.

The kernel `fold` calls these helpers.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.batch import ARRIVAL
from streams.profiles.float16 import from_half
from streams.profiles.intents import ZERO, Array, copy
from streams.profiles.updates import DAY_S, Record, int64_of


@helper
def write_session(profile: Record, event: Record, rules: Record, query: Record, answer: Record, exclude: Array) -> int:
    """Write the items of the event's session to the query and to `exclude`. Return their number.

    The session is that of the event's session id, else the time since the last pause.
    """
    size, before, session = 0, 0, event["session"]
    if event["action"] != ARRIVAL:
        for j in range(int64_of(profile["recent_length"])):
            at_ms = profile["recent_at_ms"][j]
            if session != 0:
                is_in_session = profile["recent_sessions"][j] == session
            else:
                is_in_session = at_ms >= profile["session_started_ms"]
            if is_in_session:
                key = profile["recent_keys"][j]
                if size == 0:
                    answer["session_at_ms"] = at_ms
                if key != event["item"] and at_ms <= answer["at_ms"] and before < rules["window"]:
                    answer["before"][before] = key
                    before += 1
                query["session"][size] = exclude[size] = key
                size += 1
    query["session_length"], answer["before_length"] = size, before
    answer["session_started_ms"] = profile["session_started_ms"]
    return size


@helper
def write_searches(profile: Record, answer: Record, rules: Record) -> None:
    """Write the search that led to the event, and the shopper's newest search."""
    at_ms = answer["at_ms"]
    for j in range(int64_of(profile["queries_length"])):
        searched_ms = profile["query_at_ms"][j]
        if searched_ms <= at_ms <= searched_ms + rules["session_gap_ms"]:
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
        intervals[j] = from_half(int64_of(habit["interval_days"]))


@helper
def write_rest(profile: Record, query: Record, rules: Record) -> None:
    """Write the recent items, the shares of the labels, and the usual price."""
    size = int64_of(profile["recent_length"])
    query["recent_length"] = size
    for j in range(size):
        query["recent"][j] = profile["recent_keys"][j]
        query["recent_actions"][j] = profile["recent_actions"][j]
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
