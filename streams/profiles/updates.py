"""Updates of a profile by an event, except for its intent vectors (`intents.py`) and habits (`habits.py`).

Kernels call these helpers. They change records in place, by the rules in the docstring of `profile.py`.
"""

from __future__ import annotations

import numpy as np

from inference.kernels.compiler import helper
from streams.profiles.batch import SEARCH
from streams.profiles.earlier import remember_earlier
from streams.profiles.intents import copy
from streams.profiles.layout import (
    AFFINITIES,
    MOST_PARTITIONS,
    PARTITION_BITS,
    QUERY_BYTES,
    RECENT_EVENTS,
    RECENT_ITEMS,
    RECENT_QUERIES,
    TOPICS,
    Array,
    Record,
    int64_of,
)

LOW_32_BITS = 2**32 - 1
NO_KEY = np.uint64(0)
ZERO = np.float32(0.0)


@helper
def is_replay(profile: Record, event: Record) -> bool:
    """Return whether the profile includes the event already.

    A lower offset alone does not mean a replay: a recreated topic starts from offset 0. But the broker's clock goes on.
    So an event with a later timestamp than all applied ones is new, whatever its offset.
    """
    for j in range(int64_of(profile["topics_length"])):
        if profile["topic_keys"][j] == event["topic"]:
            return bool(
                event["offset"] <= profile["topic_offsets"][j]
                and event["timestamp_ms"] <= profile["topic_timestamps_ms"][j]
            )
    return False


@helper
def first_offset(profile: Record, event: Record, place: int) -> int:
    """Return the offset of the event at `place` of the profile's memory, which this one repeats.

    A profile holds the lowest 32 bits of an offset. In the event's own partition the others are those of the nearest
    offset up to the event's. In another partition, to which a producer wrote by mistake, they are taken as 0.
    """
    offset, low = int64_of(event["offset"]), int64_of(profile["event_offsets"][place])
    if partition_of(profile, place) != event["produced_in"]:
        return int(low)
    back = (offset - low) & LOW_32_BITS
    # An offset below 0 means that the topic was created anew meanwhile.
    return int(offset - back if back <= offset else low)


@helper
def remembered(profile: Record, event: Record) -> int:
    """Return the place of the same event in the profile's memory, -1 if there is none.

    A repetition has the action of the first event, so it is on the same topic.
    """
    if event["event_key"] == 0:
        return -1
    for j in range(RECENT_EVENTS):
        if profile["event_keys"][j] == event["event_key"]:
            return j
    return -1


@helper
def is_duplicate(profile: Record, event: Record, place: int) -> bool:
    """Return whether the event at `place` of the profile's memory, if there is one, was produced to another place."""
    if place < 0:
        return False
    low = int64_of(event["offset"]) & LOW_32_BITS
    return bool(
        partition_of(profile, place) != event["produced_in"] or int64_of(profile["event_offsets"][place]) != low
    )


@helper
def partition_of(profile: Record, place: int) -> int:
    """Return the partition that the event at `place` of the profile's memory was produced to."""
    return int(int64_of(profile["event_sources"][place]) & MOST_PARTITIONS)


@helper
def taught_before(profile: Record, place: int) -> int:
    """Return what the item's day had taught before the event at `place` of the profile's memory (`teaching.py`)."""
    return int(int64_of(profile["event_sources"][place]) >> PARTITION_BITS)


@helper
def remember_event(profile: Record, event: Record, taught: int) -> None:
    """Insert an event as the newest one, with what its item's day had taught before. The oldest event drops out."""
    keys, offsets, sources = profile["event_keys"], profile["event_offsets"], profile["event_sources"]
    for j in range(RECENT_EVENTS - 1, 0, -1):
        keys[j], offsets[j], sources[j] = keys[j - 1], offsets[j - 1], sources[j - 1]
    keys[0], offsets[0] = event["event_key"], np.uint32(int64_of(event["offset"]) & LOW_32_BITS)
    sources[0] = np.uint16(taught << PARTITION_BITS | int64_of(event["produced_in"]))


@helper
def apply(profile: Record, earlier: Array, event: Record, at_ms: int, rules: Record, taught: int) -> None:
    """Apply an event to everything but the vectors and the habits. `taught` is what its item's day taught before."""
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
    # Σ w, Σ w · x and Σ w · x² of x = log(1 + price) decay alike, so mean and deviation follow from them at any time.
    moments, logarithm = profile["price_moments"], event["log_price"]
    for j in range(3):
        moments[j] *= fading
    if not np.isnan(logarithm):
        moments[0] += weight
        moments[1] += weight * logarithm
        moments[2] += weight * logarithm * logarithm
    if now_ms - updated_ms > rules["session_gap_ms"]:
        profile["session_started_ms"], profile["earlier_length"] = at_ms, 0
    if action == SEARCH:
        if event["text_length"] > 0:
            _remember_query(profile, event, at_ms)
    else:
        _remember_item(profile, earlier, event, at_ms, taught)
    store_position(profile, event)
    remember_event(profile, event, taught)
    profile["updated_ms"] = now_ms


@helper
def _count_label(keys: Array, weights: Array, size: int, key: np.uint64, weight: np.float32, fading: np.float32) -> int:
    """Decay the weights of labels, count one label (NO_KEY for none), and return the number of labels.

    This is Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27). If there is no room, the new label
    replaces the lightest one and adds to its weight. Otherwise no new label could ever enter.
    """
    for j in range(size):
        weights[j] *= fading
    if key == NO_KEY:
        return size
    place = 0
    while place < size and keys[place] != key:
        place += 1
    if place == size and size < AFFINITIES:
        weights[place] = ZERO
        size += 1
    # Without room this is the last label, which is the lightest: labels are in order.
    place = min(place, size - 1)
    keys[place] = key
    weights[place] += weight
    # Sort heaviest first, ties by key. Insertion sort suits a few labels that are nearly in order.
    for j in range(1, size):
        k, own, own_key = j, weights[j], keys[j]
        while k > 0 and (weights[k - 1] < own or (weights[k - 1] == own and keys[k - 1] > own_key)):
            weights[k], keys[k] = weights[k - 1], keys[k - 1]
            k -= 1
        weights[k], keys[k] = own, own_key
    return size


@helper
def _remember_item(profile: Record, earlier: Array, event: Record, at_ms: int, taught: int) -> None:
    """Insert an item at the place of its time. Keep each item's newest action, and the newest items.

    The one that drops out becomes an earlier item of its session.

    The order of arrival does not matter. Actions of the same millisecond, such as the lines of one order, have no
    order: they are sorted by key. Of two actions on one item then, the one with the greater number stays.
    """
    times, keys = profile["recent_at_ms"], profile["recent_keys"]
    sessions, actions = profile["recent_sessions"], profile["recent_actions"]
    size, key = int64_of(profile["recent_length"]), event["item"]
    place = 0
    while place < size and (times[place] > at_ms or (times[place] == at_ms and keys[place] < key)):
        if keys[place] == key:
            return
        place += 1
    if place == RECENT_ITEMS:
        remember_earlier(profile, earlier, key, event["session"], at_ms, event["action"])
        return
    if place < size and times[place] == at_ms and keys[place] == key:
        actions[place] = max(actions[place], event["action"])
        sessions[place] = max(sessions[place], event["session"])
        return
    # Move the entries from `place` back by one, up to the item's older entry or the one that drops out.
    last = place
    while last < size and keys[last] != key:
        last += 1
    if last == size and size < RECENT_ITEMS:
        profile["recent_length"] = size + 1
    if last == RECENT_ITEMS:
        last -= 1
        remember_earlier(profile, earlier, keys[last], sessions[last], times[last], actions[last])
    for j in range(last, place, -1):
        times[j], keys[j], sessions[j], actions[j] = times[j - 1], keys[j - 1], sessions[j - 1], actions[j - 1]
        profile["recent_taught"][j] = profile["recent_taught"][j - 1]
    times[place], keys[place], profile["recent_taught"][place] = at_ms, key, taught
    sessions[place], actions[place] = event["session"], event["action"]


@helper
def _remember_query(profile: Record, event: Record, at_ms: int) -> None:
    """Insert a search at the place of its time, each text once. At the same millisecond the greater text is first."""
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
        copy(texts[j - 1], texts[j])
    times[place], lengths[place] = at_ms, length
    copy(text, texts[place])


@helper
def _compare(text: Array, length: int, other: Array, other_length: int) -> int:
    """Compare two texts in UTF-8, padded with zeros: return -1 if the first is smaller, 0 if equal, 1 if greater.

    UTF-8 sorts by code point, as Python's strings do.
    """
    for j in range(QUERY_BYTES):
        if text[j] != other[j]:
            return -1 if text[j] < other[j] else 1
    return 0 if length == other_length else -1 if length < other_length else 1


@helper
def store_position(profile: Record, event: Record) -> None:
    """Store the event's place in its topic. If there is no room, replace the topic with the oldest timestamp."""
    keys, offsets, timestamps = profile["topic_keys"], profile["topic_offsets"], profile["topic_timestamps_ms"]
    size, key, timestamp_ms = int64_of(profile["topics_length"]), event["topic"], event["timestamp_ms"]
    place = 0
    while place < size and keys[place] != key:
        place += 1
    if place < size:
        # The offset may fall, because a recreated topic begins at 0. The timestamp must not: an older event would no
        # longer be a replay.
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
