"""Folds a batch of events into profiles, in place, and writes what is known of each shopper after each event.

The rules are those of `profile.py`'s docstring. Every step rounds as the stored bytes do, so a profile is the same
whether it was stored between two events or not.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.types import NamedTuple as Tuple
from numba.types import float32, float64, int8, int16, int32, int64, uint8, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.queries import HABITS as QUERY_HABITS
from inference.queries import LABELS, LONG_TERM, QUERY, RECENT, SHORT_TERM
from inference.queries import SEARCH as SEARCH_VECTOR
from streams.profiles.batch import (
    ANSWER,
    ARRIVAL,
    EVENT,
    LATE,
    OK,
    PURCHASE,
    REPLAYED,
    RULES,
    SEARCH,
    AnswerBatch,
    EventBatch,
    ProfileBatch,
    Scratch,
)
from streams.profiles.halves import INFINITE, from_half, to_half
from streams.profiles.layout import (
    AFFINITIES,
    HABIT,
    HABITS,
    LARGEST_TIME_MS,
    PROFILE,
    QUERY_BYTES,
    RECENT_ITEMS,
    RECENT_QUERIES,
    SHARES,
    TOPICS,
)

assert (RECENT, QUERY_HABITS, LABELS) == (RECENT_ITEMS, HABITS, AFFINITIES)  # noqa: S101 - a query holds a whole profile

READABLE, WRONG_LENGTHS, WRONG_ACTIONS, NOT_FINITE, WRONG_TIMES = 0, 1, 2, 3, 4
"""What `check` finds."""
LONGEST_DAYS = 60_000.0
"""Of an interval, and the largest weight of a habit: a float16 holds it."""
SHARE_OF_NEWEST = 1 / 3
"""How much the newest interval counts in the usual one: a rhythm shows in few intervals, and it changes."""
DAY_S = 86_400.0
LARGEST_SECONDS = 2**32 - 1
NEXT_TO_NOTHING = np.float32(2.0**-75)
"""A vector whose largest component is smaller counts as zero: a float32 cannot hold its length squared."""
TOO_LARGE = np.float32(2.0**127)
NO_KEY = np.uint64(0)
NOTHING = np.float32(0.0)

_profile, _habit, _event, _answer, _query, _rules = map(numba.from_dtype, (PROFILE, HABIT, EVENT, ANSWER, QUERY, RULES))
_scratch = Tuple((float32[::1], float32[::1], int32[::1], float64[::1]), Scratch)
_profiles = Tuple((_profile[::1], int16[:, :, ::1], _habit[:, ::1]), ProfileBatch)
_events = Tuple((_event[::1], int8[:, ::1], float32[:, ::1]), EventBatch)
_answers = Tuple((_query[::1], int8[:, :, ::1], float32[:, ::1], uint64[::1], int64[::1], _answer[::1]), AnswerBatch)

Record = Any
"""A record of a structured array; writing to its fields writes to the array."""
Array = Any
int64_of: Any = np.int64
int32_of: Any = np.int32
"""Convert a field of a record: numba would make a float of an unsigned and a signed integer."""


@kernel(int64(_profiles, uint8[::1]), allocates=False)
def check(profiles: ProfileBatch, found: Array) -> int:
    """Write for each profile to `found` (n,) whether it is READABLE, else what is wrong; return how many are not.

    What stands here the other kernels rely on; nothing else of a stored profile can lead them out of bounds.
    """
    wrong = 0
    for i in range(len(profiles.records)):
        profile = profiles.records[i]
        found[i] = READABLE
        lengths_fit = (
            profile["recent_length"] <= RECENT_ITEMS
            and profile["queries_length"] <= RECENT_QUERIES
            and profile["categories_length"] <= AFFINITIES
            and profile["brands_length"] <= AFFINITIES
            and profile["topics_length"] <= TOPICS
            and profile["habits_length"] <= HABITS
        )
        for j in range(RECENT_QUERIES):
            lengths_fit = lengths_fit and profile["query_lengths"][j] <= QUERY_BYTES
        if not lengths_fit:
            found[i] = WRONG_LENGTHS
            wrong += 1
            continue
        for j in range(RECENT_ITEMS):
            if profile["recent_actions"][j] >= SEARCH:
                found[i] = WRONG_ACTIONS
        finite = True
        for j in range(2):
            finite = finite and NOTHING <= profile["largest"][j] < TOO_LARGE
        for j in range(3):
            finite = finite and abs(profile["price_moments"][j]) < np.inf
        for j in range(AFFINITIES):
            finite = finite and NOTHING <= profile["category_weights"][j] < np.float32(np.inf)
            finite = finite and NOTHING <= profile["brand_weights"][j] < np.float32(np.inf)
        for j in range(int64_of(profile["habits_length"])):
            finite = (
                finite
                and profiles.habits[i, j]["weight"] < INFINITE
                and profiles.habits[i, j]["interval_days"] < INFINITE
            )
        if not finite:
            found[i] = NOT_FINITE
        times_fit = _is_time(profile["updated_ms"]) and _is_time(profile["session_started_ms"])
        for j in range(RECENT_ITEMS):
            times_fit = times_fit and _is_time(profile["recent_at_ms"][j])
        for j in range(RECENT_QUERIES):
            times_fit = times_fit and _is_time(profile["query_at_ms"][j])
        if not times_fit:
            found[i] = WRONG_TIMES
        if found[i] != READABLE:
            wrong += 1
    return wrong


@kernel(void(_profiles, _events, _rules[::1], _answers, _scratch), allocates=False)
def fold(profiles: ProfileBatch, batch: EventBatch, rules_given: Array, answers: AnswerBatch, scratch: Scratch) -> None:
    """Fold events into the profiles, one after the other, and write what is known after each to its row of `answers`.

    A replay and an arrival change nothing. A query's vectors are those that were stored, rounding included: a list
    does not depend on who kept the profile at hand.
    """
    rules = rules_given[0]
    excluded = 0
    for i in range(len(batch.events)):
        event, answer, query = batch.events[i], answers.answers[i], answers.queries[i]
        shopper, action, row = int64_of(event["shopper"]), int64_of(event["action"]), int64_of(event["vector"])
        if not 0 <= shopper < len(profiles.records):
            raise IndexError("event: the row of a profile required, another number came")
        profile, habits = profiles.records[shopper], profiles.habits[shopper]
        shares = profiles.shares[shopper]
        at_ms = min(event["occurred_ms"], event["timestamp_ms"] + rules["max_clock_skew_ms"])
        now_ms = int64_of(profile["updated_ms"])
        answer["at_ms"], answer["weight"] = at_ms, rules["weights"][action]
        if action == ARRIVAL:
            now_ms = max(now_ms, at_ms)
        elif _is_replay(profile, event):
            answer["outcome"] = REPLAYED
        else:
            answer["outcome"] = LATE if at_ms < now_ms else OK
            has_vector = row >= 0
            if has_vector and action == SEARCH:
                _copy(batch.text_vectors[row], scratch.unit)
            elif has_vector:
                _to_unit(batch.item_vectors[row], scratch.unit)
            _apply(profile, event, at_ms, rules)
            idle_ms = np.float64(profile["updated_ms"] - now_ms)
            late_ms = np.float64(profile["updated_ms"] - at_ms)
            for place in range(2):
                half_life_ms = rules["short_term_half_life_ms"] if place == 0 else rules["long_term_half_life_ms"]
                fading = np.float32(2.0 ** (-idle_ms / half_life_ms))
                amount = np.float32(answer["weight"] * 2.0 ** (-late_ms / half_life_ms))
                own = shares[place]
                largest = profile["largest"][place]
                if has_vector:
                    largest = _fade_and_add(own, largest * fading, amount, scratch)
                else:
                    largest = _fade(own, largest * fading)
                profile["largest"][place] = largest
            if action == PURCHASE:
                _buy(profile, habits, event["item"], at_ms, rules, scratch.ranks)
            now_ms = int64_of(profile["updated_ms"])
        excluded += _write_session(profile, event, rules, query, answer, answers.exclude[excluded:])
        answers.exclude_starts[i + 1] = excluded
        _write_searches(profile, answer, rules)
        _write_habits(profile, habits, now_ms, rules["habit_half_life_ms"], query)
        _write_rest(profile, query, rules)
        query["searching"] = 1 if action == SEARCH else 0
        vectors, norms = answers.vectors[i], answers.inverse_norms[i]
        norms[SHORT_TERM] = _write_intent(shares[0], profile["largest"][0], vectors[SHORT_TERM])
        norms[LONG_TERM] = _write_intent(shares[1], profile["largest"][1], vectors[LONG_TERM])
        _clear(vectors[SEARCH_VECTOR])
        norms[SEARCH_VECTOR] = NOTHING
        if action == SEARCH and row >= 0:
            norms[SEARCH_VECTOR] = _quantise(batch.text_vectors[row], vectors[SEARCH_VECTOR])
        elif action == ARRIVAL:
            idle_ms = np.float64(now_ms - profile["updated_ms"])
            fading = 2.0 ** (-idle_ms / rules["short_term_half_life_ms"])
            if _length(shares[0], profile["largest"][0]) * fading < rules["faded"]:
                _clear(vectors[SHORT_TERM])
                norms[SHORT_TERM] = NOTHING


@helper
def _copy(values: Array, target: Array) -> None:
    for j in range(len(values)):
        target[j] = values[j]


@helper
def _clear(values: Array) -> None:
    for j in range(len(values)):
        values[j] = 0


@helper
def _is_time(at_ms: int) -> bool:
    return bool(-LARGEST_TIME_MS <= at_ms <= LARGEST_TIME_MS)


@helper
def _is_replay(profile: Record, event: Record) -> bool:
    """Tell whether the profile holds the event already.

    A lower offset alone does not say so: a topic made anew starts from 0 again. But the broker's clock has moved on
    since, so an event that is later than everything applied is new, whatever its offset.
    """
    for j in range(int64_of(profile["topics_length"])):
        if profile["topic_keys"][j] == event["topic"]:
            return bool(
                event["offset"] <= profile["topic_offsets"][j]
                and event["timestamp_ms"] <= profile["topic_timestamps_ms"][j]
            )
    return False


@helper
def _apply(profile: Record, event: Record, at_ms: int, rules: Record) -> None:
    """Fold an event into everything but the vectors and the habits."""
    updated_ms = int64_of(profile["updated_ms"])
    now_ms = max(updated_ms, at_ms)
    idle_ms, late_ms = np.float64(now_ms - updated_ms), np.float64(now_ms - at_ms)
    fading = 2.0 ** (-idle_ms / rules["long_term_half_life_ms"])
    action = int64_of(event["action"])
    weight = rules["weights"][action] * 2.0 ** (-late_ms / rules["long_term_half_life_ms"])
    keys, weights = profile["category_keys"], profile["category_weights"]
    profile["categories_length"] = _count_label(
        keys, weights, int64_of(profile["categories_length"]), event["category"], np.float32(weight), np.float32(fading)
    )
    keys, weights = profile["brand_keys"], profile["brand_weights"]
    profile["brands_length"] = _count_label(
        keys, weights, int64_of(profile["brands_length"]), event["brand"], np.float32(weight), np.float32(fading)
    )
    moments, logarithm = profile["price_moments"], event["log_price"]
    for j in range(3):
        moments[j] *= fading
    if not np.isnan(logarithm):
        moments[0] += weight
        moments[1] += weight * logarithm
        moments[2] += weight * logarithm * logarithm
    if action == SEARCH:
        _remember_query(profile, event, at_ms)
    else:
        _remember_item(profile, event, at_ms)
    _move_on(profile, event)
    if now_ms - updated_ms > rules["session_gap_ms"]:
        profile["session_started_ms"] = at_ms
    profile["updated_ms"] = now_ms


@helper
def _count_label(keys: Array, weights: Array, size: int, key: np.uint64, weight: np.float32, fading: np.float32) -> int:
    """Let the weights of labels fade, count one (NO_KEY for none), and return how many there are.

    This is Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27): where there is no room, a newcomer
    takes the lightest label's place and its weight, else none could ever enter.
    """
    for j in range(size):
        weights[j] *= fading
    if key == NO_KEY:
        return size
    place = 0
    while place < size and keys[place] != key:
        place += 1
    if place == size and size < AFFINITIES:
        weights[place] = NOTHING
        size += 1
    place = min(place, size - 1)
    keys[place] = key
    weights[place] += weight
    # Heaviest first, ties by key: an insertion sort, of few labels that are nearly in order.
    for j in range(1, size):
        k, own, own_key = j, weights[j], keys[j]
        while k > 0 and (weights[k - 1] < own or (weights[k - 1] == own and keys[k - 1] > own_key)):
            weights[k], keys[k] = weights[k - 1], keys[k - 1]
            k -= 1
        weights[k], keys[k] = own, own_key
    return size


@helper
def _remember_item(profile: Record, event: Record, at_ms: int) -> None:
    """Put an item where its time belongs, keeping its newest action and the newest items.

    The order of arrival does not matter, but between actions of the same millisecond, such as the lines of one order:
    there the one that came later is the newer one.
    """
    times, keys = profile["recent_at_ms"], profile["recent_keys"]
    sessions, actions = profile["recent_sessions"], profile["recent_actions"]
    size, key = int64_of(profile["recent_length"]), event["item"]
    place = 0
    while place < size and times[place] > at_ms:
        if keys[place] == key:
            return
        place += 1
    if place == RECENT_ITEMS:
        return
    # The entries from `place` on move back by one, up to the item's older entry or the one that drops out.
    last = place
    while last < size and keys[last] != key:
        last += 1
    if last == size and size < RECENT_ITEMS:
        profile["recent_length"] = size + 1
    last = min(last, RECENT_ITEMS - 1)
    for j in range(last, place, -1):
        times[j], keys[j], sessions[j], actions[j] = times[j - 1], keys[j - 1], sessions[j - 1], actions[j - 1]
    times[place], keys[place] = at_ms, key
    sessions[place], actions[place] = event["session"], event["action"]


@helper
def _remember_query(profile: Record, event: Record, at_ms: int) -> None:
    """Put a search where its time belongs, each text once; of the same millisecond the greater text goes first."""
    times, texts, lengths = profile["query_at_ms"], profile["query_texts"], profile["query_lengths"]
    size, text, length = int64_of(profile["queries_length"]), event["text"], event["text_length"]
    place = 0
    while place < size:
        order = _compare(texts[place], lengths[place], text, length)
        if order == 0 and times[place] >= at_ms:
            return
        if times[place] < at_ms or (times[place] == at_ms and order < 0):
            break
        place += 1
    if place == RECENT_QUERIES:
        return
    last = place
    while last < size and _compare(texts[last], lengths[last], text, length) != 0:
        last += 1
    if last == size and size < RECENT_QUERIES:
        profile["queries_length"] = size + 1
    last = min(last, RECENT_QUERIES - 1)
    for j in range(last, place, -1):
        times[j], lengths[j] = times[j - 1], lengths[j - 1]
        _copy(texts[j - 1], texts[j])
    times[place], lengths[place] = at_ms, length
    _copy(text, texts[place])


@helper
def _compare(text: Array, length: int, other: Array, other_length: int) -> int:
    """Return -1, 0 or 1 as a text in UTF-8, padded with zeros, is smaller than another one, the same or greater.

    UTF-8 sorts by code point, as Python's strings do.
    """
    for j in range(QUERY_BYTES):
        if text[j] != other[j]:
            return -1 if text[j] < other[j] else 1
    return 0 if length == other_length else -1 if length < other_length else 1


@helper
def _move_on(profile: Record, event: Record) -> None:
    """Take note of the event's place in its topic; where there is no room, the topic silent for longest goes."""
    keys, offsets, timestamps = profile["topic_keys"], profile["topic_offsets"], profile["topic_timestamps_ms"]
    size, key, timestamp_ms = int64_of(profile["topics_length"]), event["topic"], event["timestamp_ms"]
    place = 0
    while place < size and keys[place] != key:
        place += 1
    if place < size:
        timestamp_ms = max(timestamp_ms, timestamps[place])
    elif size < TOPICS:
        profile["topics_length"] = size + 1
    else:
        place = 0
        for j in range(1, TOPICS):
            older = timestamps[j] < timestamps[place]
            if older or (timestamps[j] == timestamps[place] and keys[j] < keys[place]):
                place = j
    keys[place], offsets[place], timestamps[place] = key, event["offset"], timestamp_ms


@helper
def _buy(profile: Record, habits: Array, key: np.uint64, at_ms: int, rules: Record, ranks: Array) -> None:
    """Count a purchase; heaviest habits first, ties by key, at any time.

    A habit's weight counts purchases, decayed in event time, as of the last one: Σ 2^(−(t_last − tᵢ) / h). Beyond
    HABITS items the lightest goes. `ranks` (HABITS,) is scratch.
    """
    at_s = min(max(at_ms, 0) // 1000, LARGEST_SECONDS)
    half_life_s = rules["habit_half_life_ms"] / 1000
    size = int64_of(profile["habits_length"])
    place = 0
    while place < size and habits[place]["key"] != key:
        place += 1
    for j in range(size):
        ranks[j] = _rank(habits[j], half_life_s)
    if place < size:
        _repeat(habits[place], at_s, half_life_s, rules["session_gap_ms"] / 1000)
    else:
        if size == HABITS:
            place = HABITS - 1
            newcomer, lightest = at_s / half_life_s, ranks[place]
            if newcomer < lightest or (newcomer == lightest and key > habits[place]["key"]):
                return
        else:
            size += 1
            profile["habits_length"] = size
        habit = habits[place]
        habit["key"], habit["at_s"], habit["weight"], habit["interval_days"] = key, at_s, to_half(1.0), 0
    ranks[place] = _rank(habits[place], half_life_s)
    for j in range(1, size):
        k = j
        while k > 0 and (
            ranks[k - 1] < ranks[k] or (ranks[k - 1] == ranks[k] and habits[k - 1]["key"] > habits[k]["key"])
        ):
            ranks[k - 1], ranks[k] = ranks[k], ranks[k - 1]
            _exchange(habits[k - 1], habits[k])
            k -= 1


@helper
def _rank(habit: Record, half_life_s: float) -> float:
    """Return the logarithm of a habit's weight against a fixed point in time."""
    weight = from_half(int64_of(habit["weight"]))
    return float((np.log2(weight) if weight > 0 else -np.inf) + int64_of(habit["at_s"]) / half_life_s)


@helper
def _repeat(habit: Record, at_s: int, half_life_s: float, occasion_s: float) -> None:
    """Count one more purchase of an item.

    Purchases less than `occasion_s` apart are one: a basket may name an item on several lines. The usual interval is
    an exponential mean; a purchase that comes late adds its weight, and an interval only where there was none.
    """
    last_s, weight = int64_of(habit["at_s"]), from_half(int64_of(habit["weight"]))
    usual = from_half(int64_of(habit["interval_days"]))
    apart_s = at_s - last_s
    if abs(apart_s) > occasion_s:
        days = min(abs(apart_s) / DAY_S, LONGEST_DAYS)
        fading = 2.0 ** (-abs(apart_s) / half_life_s)
        weight = weight * fading + 1.0 if apart_s > 0 else weight + fading
        if usual == 0.0:
            usual = days
        elif apart_s > 0:
            usual += SHARE_OF_NEWEST * (days - usual)
        habit["weight"], habit["interval_days"] = to_half(min(weight, LONGEST_DAYS)), to_half(usual)
    habit["at_s"] = max(last_s, at_s)


@helper
def _exchange(one: Record, other: Record) -> None:
    """Exchange two neighbouring habits."""
    key, at_s, weight, interval = one["key"], one["at_s"], one["weight"], one["interval_days"]
    one["key"], one["at_s"] = other["key"], other["at_s"]
    one["weight"], one["interval_days"] = other["weight"], other["interval_days"]
    other["key"], other["at_s"], other["weight"], other["interval_days"] = key, at_s, weight, interval


@helper
def _to_unit(integers: Array, unit: Array) -> None:
    """Write the unit vector that an int8 vector stands for."""
    squares = 0
    for j in range(len(integers)):
        component = int32_of(integers[j])
        squares += component * component
    norm = np.float32(1.0) / np.sqrt(np.float32(squares)) if squares > 0 else NOTHING
    for j in range(len(integers)):
        unit[j] = np.float32(integers[j]) * norm


@helper
def _fade(shares: Array, largest: np.float32) -> np.float32:
    """Return the largest component of a vector after time passed: no share changes, until nothing is left."""
    if largest >= NEXT_TO_NOTHING:
        return largest
    _clear(shares)
    return NOTHING


@helper
def _fade_and_add(shares: Array, largest: np.float32, amount: np.float32, scratch: Scratch) -> np.float32:
    """Add `amount` times the unit vector to the vector of these shares of `largest`; return the largest component."""
    unit, sums, bits = scratch.unit, scratch.sums, scratch.bits
    scale = largest / np.float32(SHARES)
    for j in range(len(shares)):
        sums[j] = np.float32(shares[j]) * scale + unit[j] * amount
    # The bits of positive floats sort as they do, and integers are compared in vector registers.
    greatest = int32_of(0)
    for j in range(len(bits)):
        greatest = max(greatest, bits[j] & int32_of(0x7FFFFFFF))
    largest = NOTHING
    for j in range(len(bits)):
        if bits[j] & int32_of(0x7FFFFFFF) == greatest:
            largest = abs(sums[j])
            break
    if not NEXT_TO_NOTHING <= largest < TOO_LARGE:
        _clear(shares)
        return NOTHING
    inverse = np.float32(SHARES) / largest
    for j in range(len(shares)):
        shares[j] = np.int16(np.rint(sums[j] * inverse))
    return largest


@helper
def _write_session(profile: Record, event: Record, rules: Record, query: Record, answer: Record, exclude: Array) -> int:
    """Write the event's session, by its id, else since the last pause, also to `exclude`, and return its length."""
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
def _write_searches(profile: Record, answer: Record, rules: Record) -> None:
    """Write the search that led to the event, and the shopper's newest one."""
    at_ms = answer["at_ms"]
    for j in range(int64_of(profile["queries_length"])):
        searched_ms = profile["query_at_ms"][j]
        if searched_ms <= at_ms <= searched_ms + rules["session_gap_ms"]:
            answer["led_query_length"] = profile["query_lengths"][j]
            _copy(profile["query_texts"][j], answer["led_query"])
            break
    if profile["queries_length"] > 0:
        answer["last_query_length"] = profile["query_lengths"][0]
        _copy(profile["query_texts"][0], answer["last_query"])
        elapsed_ms = np.float64(profile["updated_ms"] - profile["query_at_ms"][0])
        answer["last_query_weight"] = 2.0 ** (-elapsed_ms / rules["short_term_half_life_ms"])


@helper
def _write_habits(profile: Record, habits: Array, now_ms: int, half_life_ms: float, query: Record) -> None:
    """Write the habits as of `now_ms`."""
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
def _write_rest(profile: Record, query: Record, rules: Record) -> None:
    """Write the items remembered, the shares of the labels, and the usual price."""
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
    mass, first, second = profile["price_moments"][0], profile["price_moments"][1], profile["price_moments"][2]
    query["price_mean"] = query["price_deviation"] = np.nan
    if mass > 0:
        mean = first / mass
        query["price_mean"] = mean
        query["price_deviation"] = np.sqrt(max(second / mass - mean * mean, 0.0))
    query["k"] = rules["list_size"]


@helper
def _write_shares(keys: Array, weights: Array, size: int, labels: Array, shares: Array) -> int:
    """Write each label's share of the shopper's weight, and return how many there are."""
    total = NOTHING
    for j in range(size):
        total += weights[j]
    if not total > 0:
        return 0
    for j in range(size):
        labels[j] = keys[j]
        shares[j] = np.float64(weights[j]) / np.float64(total)
    return size


@helper
def _write_intent(shares: Array, largest: np.float32, integers: Array) -> np.float32:
    """Write an intent as int8, its largest component at ±127, and return 1 / ‖integers‖; zeros without a direction."""
    greatest = int32_of(0)
    for j in range(len(shares)):
        greatest = max(greatest, abs(int32_of(shares[j])))
    squares = 0
    if greatest > 0 and largest >= NEXT_TO_NOTHING:
        scale = np.float32(127.0) / np.float32(greatest)
        for j in range(len(shares)):
            integer = int32_of(np.rint(np.float32(shares[j]) * scale))
            integers[j] = integer
            squares += integer * integer
    if squares == 0:
        _clear(integers)
        return NOTHING
    return np.float32(1.0 / np.sqrt(np.float32(squares)))


@helper
def _quantise(vector: Array, integers: Array) -> np.float32:
    """Write a vector as int8, its largest component at ±127, and return 1 / ‖integers‖; zero for the zero vector."""
    largest = NOTHING
    for j in range(len(vector)):
        largest = max(largest, abs(vector[j]))
    squares = 0
    if largest > NOTHING:
        scale = np.float32(127.0) / largest
        for j in range(len(vector)):
            integer = int32_of(np.rint(vector[j] * scale))
            integers[j] = integer
            squares += integer * integer
    if squares == 0:
        _clear(integers)
        return NOTHING
    return np.float32(1.0 / np.sqrt(np.float32(squares)))


@helper
def _length(shares: Array, largest: np.float32) -> float:
    """Return the length of the vector of these shares of `largest`."""
    squares = 0.0
    for j in range(len(shares)):
        squares += np.float64(shares[j]) * np.float64(shares[j])
    return float(np.sqrt(squares) * largest / SHARES)
