"""Kernels that check stored profiles and fold a batch of events into them, in place.

The rules are in the docstring of `profile.py`. Each step rounds as the stored bytes do, so a profile is the same
whether it was stored between two events or not.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.types import NamedTuple as Tuple
from numba.types import float32, float64, int8, int16, int32, int64, uint8, uint32, uint64, void

from inference.kernels.compiler import helper, kernel
from inference.queries import EARLIER as QUERY_EARLIER
from inference.queries import HABITS as QUERY_HABITS
from inference.queries import LABELS, LONG_TERM, QUERY, RECENT, SHORT_TERM
from inference.queries import SEARCH as SEARCH_VECTOR
from streams.profiles.batch import (
    ANSWER,
    ARRIVAL,
    DUPLICATE,
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
from streams.profiles.earlier import limit_earlier, write_earlier
from streams.profiles.float16 import INFINITE
from streams.profiles.habits import count_purchase
from streams.profiles.intents import (
    TOO_LARGE,
    ZERO,
    clear,
    copy,
    fade,
    fade_and_add,
    length,
    quantise,
    to_unit,
    write_intent,
)
from streams.profiles.layout import (
    AFFINITIES,
    EARLIER,
    HABIT,
    HABITS,
    LARGEST_TIME_MS,
    PROFILE,
    QUERY_BYTES,
    RECENT_ITEMS,
    RECENT_QUERIES,
    ROBOT,
    TOPICS,
    Array,
    int64_of,
)
from streams.profiles.queries import write_bought_before, write_habits, write_rest, write_searches, write_session
from streams.profiles.teaching import count_event, guess_lesson, note_lesson, weigh
from streams.profiles.updates import (
    apply,
    first_offset,
    is_duplicate,
    is_replay,
    partition_of,
    remembered,
    store_position,
    taught_before,
)

_LIMITS = (RECENT_ITEMS, HABITS, AFFINITIES, EARLIER)
assert (RECENT, QUERY_HABITS, LABELS, QUERY_EARLIER) == _LIMITS  # noqa: S101 - the limits of a query

READABLE, WRONG_LENGTHS, WRONG_ACTIONS, NOT_FINITE, WRONG_TIMES = 0, 1, 2, 3, 4
"""Results of `check` for a profile."""
FAULTS = {
    WRONG_LENGTHS: f"stored profile: required at most {RECENT_ITEMS} items, {RECENT_QUERIES} searches, "
    f"{AFFINITIES} labels, {TOPICS} topics, {HABITS} habits and {EARLIER} earlier items, got more",
    WRONG_ACTIONS: f"stored profile: required actions 0 to {SEARCH - 1}, got others",
    NOT_FINITE: "stored profile: required finite vectors and weights, got others",
    WRONG_TIMES: f"stored profile: required times within ±{LARGEST_TIME_MS} ms, got others",
}
"""Error text of each fault that `check` finds."""

_profile, _habit, _event, _answer, _query, _rules = map(numba.from_dtype, (PROFILE, HABIT, EVENT, ANSWER, QUERY, RULES))
_scratch = Tuple((float32[::1], float32[::1], int32[::1], float64[::1]), Scratch)
_profiles = Tuple((_profile[::1], int16[:, :, ::1], _habit[:, ::1], uint32[:, ::1]), ProfileBatch)
_events = Tuple((_event[::1], int8[:, ::1], float32[:, ::1]), EventBatch)
_answers = Tuple((_query[::1], int8[:, :, ::1], float32[:, ::1], uint64[::1], int64[::1], _answer[::1]), AnswerBatch)


@helper
def _is_time(at_ms: int) -> bool:
    return bool(-LARGEST_TIME_MS <= at_ms <= LARGEST_TIME_MS)


@kernel(int64(_profiles, uint8[::1]), allocates=False)
def check(profiles: ProfileBatch, found: Array) -> int:
    """Write a result for each profile to `found` (n,): READABLE or its fault. Return the number of unreadable profiles.

    numba does not check array bounds, and the other kernels rely on these conditions. No other field of a stored
    profile can lead them out of an array.
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
            and profile["earlier_length"] <= EARLIER
        )
        for j in range(RECENT_QUERIES):
            lengths_fit = lengths_fit and profile["query_lengths"][j] <= QUERY_BYTES
        if not lengths_fit:
            # The checks below read as far as these lengths, so they must hold first.
            found[i] = WRONG_LENGTHS
            wrong += 1
            continue
        for j in range(RECENT_ITEMS):
            # Both are indices into the weights of actions: `recent_taught` is 1 + an action, 0 or ROBOT.
            if profile["recent_actions"][j] >= SEARCH or SEARCH < profile["recent_taught"][j] != ROBOT:
                found[i] = WRONG_ACTIONS
        finite = True
        for j in range(2):
            finite = finite and ZERO <= profile["largest"][j] < TOO_LARGE
        for j in range(3):
            finite = finite and abs(profile["price_moments"][j]) < np.inf
        for j in range(AFFINITIES):
            finite = finite and ZERO <= profile["category_weights"][j] < np.float32(np.inf)
            finite = finite and ZERO <= profile["brand_weights"][j] < np.float32(np.inf)
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
    """Fold events into the profiles, one after the other, and write each event's answer to its row of `answers`.

    A replay, a duplicate or an arrival changes nothing, but gets an answer. The vectors of a query are the stored ones,
    rounding included, so a list does not depend on when the profile was stored.
    """
    rules = rules_given[0]
    excluded = 0
    for i in range(len(batch.events)):
        event, answer, query = batch.events[i], answers.answers[i], answers.queries[i]
        shopper, action, row = int64_of(event["shopper"]), int64_of(event["action"]), int64_of(event["vector"])
        if not 0 <= shopper < len(profiles.records):
            raise IndexError("event: required the row of a profile, got another number")
        profile, habits = profiles.records[shopper], profiles.habits[shopper]
        shares, earlier = profiles.shares[shopper], profiles.earlier[shopper]
        # The shop's clock may be ahead: limit the event time to the broker's timestamp plus the allowed skew.
        at_ms = min(event["occurred_ms"], event["timestamp_ms"] + rules["max_clock_skew_ms"])
        now_ms = int64_of(profile["updated_ms"])
        answer["at_ms"], answer["weight"] = at_ms, rules["weights"][action]
        answer["first_offset"], answer["first_partition"] = event["offset"], event["produced_in"]
        # Before any change: the memory of events distinguishes a repetition from a new event.
        place = remembered(profile, event)
        if action == ARRIVAL:
            now_ms = max(now_ms, at_ms)
        elif is_duplicate(profile, event, place):
            # A duplicate that is read again is no replay: it sent no transition, so no state holds its position.
            answer["outcome"], answer["first_offset"] = DUPLICATE, first_offset(profile, event, place)
            answer["first_partition"] = partition_of(profile, place)
            if not is_replay(profile, event):
                store_position(profile, event)
        elif is_replay(profile, event):
            answer["outcome"] = REPLAYED
            if place >= 0:
                note_lesson(answer, action, taught_before(profile, place), rules)
            else:
                guess_lesson(profile, event, at_ms, rules, answer)
        else:
            answer["outcome"] = LATE if at_ms < now_ms else OK
            # Before `apply`, which puts this action in place of the item's former one.
            taught = weigh(profile, event, at_ms, rules, answer, count_event(profile, at_ms, rules))
            has_vector = row >= 0
            if has_vector and action == SEARCH:
                copy(batch.text_vectors[row], scratch.unit)
            elif has_vector:
                to_unit(batch.item_vectors[row], scratch.unit)
            answer["day_events"] = profile["day_events"]
            apply(profile, earlier, event, at_ms, rules, taught)
            # Decay each vector over the time since the newest action, then add the event with the weight that it has
            # by then. So late events give the same sums as events in order.
            idle_ms = np.float64(profile["updated_ms"] - now_ms)
            late_ms = np.float64(profile["updated_ms"] - at_ms)
            for kind in range(2):
                half_life_ms = (
                    rules["short_term_half_life_ms"] if kind == SHORT_TERM else rules["long_term_half_life_ms"]
                )
                fading = np.float32(2.0 ** (-idle_ms / half_life_ms))
                amount = np.float32(answer["weight"] * 2.0 ** (-late_ms / half_life_ms))
                own = shares[kind]
                largest = profile["largest"][kind]
                if has_vector:
                    largest = fade_and_add(own, largest * fading, amount, scratch)
                else:
                    largest = fade(own, largest * fading)
                profile["largest"][kind] = largest
            if action == PURCHASE:
                answer["purchase"] = count_purchase(profile, habits, event["item"], at_ms, rules, scratch.ranks)
            limit_earlier(profile)
            now_ms = int64_of(profile["updated_ms"])
        # The items to exclude of all queries are one array, and those of query i end at `exclude_starts[i + 1]`. The
        # array has room for RECENT_ITEMS items and HABITS of each event, so the rest of it is always long enough.
        excluded += write_session(profile, event, rules, query, answer, answers.exclude[excluded:])
        excluded += write_bought_before(profile, habits, query, answer, answers.exclude[excluded:])
        answers.exclude_starts[i + 1] = excluded
        if action != ARRIVAL:
            write_earlier(profile, earlier, event, rules, query, at_ms)
        write_searches(profile, answer, rules)
        write_habits(profile, habits, now_ms, rules["habit_half_life_ms"], query)
        write_rest(profile, query, rules, now_ms)
        query["searching"] = 1 if action == SEARCH and event["text_length"] > 0 else 0
        vectors, norms = answers.vectors[i], answers.inverse_norms[i]
        norms[SHORT_TERM] = write_intent(shares[0], profile["largest"][0], vectors[SHORT_TERM])
        norms[LONG_TERM] = write_intent(shares[1], profile["largest"][1], vectors[LONG_TERM])
        clear(vectors[SEARCH_VECTOR])
        norms[SEARCH_VECTOR] = ZERO
        if action == SEARCH and row >= 0:
            norms[SEARCH_VECTOR] = quantise(batch.text_vectors[row], vectors[SEARCH_VECTOR])
        elif action == ARRIVAL:
            # The shopper may have been away for long: drop a short-term intent that has faded by now.
            idle_ms = np.float64(now_ms - profile["updated_ms"])
            fading = 2.0 ** (-idle_ms / rules["short_term_half_life_ms"])
            if length(shares[0], profile["largest"][0]) * fading < rules["faded"]:
                clear(vectors[SHORT_TERM])
                norms[SHORT_TERM] = ZERO
