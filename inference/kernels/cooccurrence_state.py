"""The co-occurrence state of an item: the transitions to it, as bytes that kernels fold new transitions into.

A state is a row of 8-byte little-endian words. Its length depends on its content:

    version, and the numbers of items before, queries and positions (a byte each, then zeros)
    half-life (float64), landmark, time of the newest transition, weight of all transitions (float64)
    items before: their stable keys, then their weights (float64)
    positions: keys of the partitions, then offsets, then the timestamps of the broker
    queries: stable keys, then weights (float64), then 65536 · (mark + 1) + length of the text in bytes
    texts of the queries in UTF-8, one after the other, zeros up to the end of the last word

The mark of a query is 16 bits of the only shopper that used it, -1 once there were two. Times are in milliseconds.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.types import float64, int64, uint8, uint64

from inference.encoding.text import REMEMBERED_BYTES
from inference.kernels.compiler import helper, kernel
from inference.kernels.counters import LARGEST_EXPONENT, SMALLEST_EXPONENT

VERSION = 2
BEFORE, QUERIES, POSITIONS = 64, 8, 64
"""Greatest numbers of items before, queries and positions of one item. Beyond POSITIONS partitions the one with the
oldest timestamp is dropped: the records that Kafka delivers again are recent ones."""

HEADER = 5
"""Words before the lists."""
MOST_WORDS = HEADER + 2 * BEFORE + 3 * POSITIONS + 3 * QUERIES + QUERIES * REMEMBERED_BYTES // 8
ARRAY_OF_FIVE, UINT64, INT64, FLOAT64, MAP, TEXT = 0x95, 0xCF, 0xD3, 0xCB, 0xDE, 0xD9
"""Type codes of MessagePack."""
MOST_BYTES = 4 * 9 + 18 * BEFORE + QUERIES * (2 + REMEMBERED_BYTES + 9)
"""Greatest length of a message."""
SHARED = -1
"""The mark of a query that more than one shopper used."""

ITEM = np.dtype(
    [
        ("half_life_ms", "<f8"),
        ("landmark_ms", "<i8"),
        ("latest_ms", "<i8"),
        ("weight", "<f8"),
        ("befores", "<i8"),
        ("positions", "<i8"),
        ("queries", "<i8"),
        ("before", "<u8", BEFORE),
        ("before_weights", "<f8", BEFORE),
        ("partitions", "<u8", POSITIONS),
        ("offsets", "<i8", POSITIONS),
        ("timestamps_ms", "<i8", POSITIONS),
        ("query", "<u8", QUERIES),
        ("query_weights", "<f8", QUERIES),
        ("marks", "<i8", QUERIES),
        ("text_lengths", "<i8", QUERIES),
        ("texts", "u1", (QUERIES, REMEMBERED_BYTES)),
    ],
    align=True,
)
"""A decoded state with room for all entries, used while transitions are folded in."""

TRANSITION = np.dtype(
    [
        ("at_ms", "<i8"),
        ("weight", "<f8"),
        ("partition", "<u8"),
        ("offset", "<i8"),
        ("timestamp_ms", "<i8"),
        ("shopper", "<i8"),
        ("query", "<u8"),
        ("before_end", "<i8"),
        ("text_end", "<i8"),
    ],
    align=True,
)
"""A transition. `query` is 0 for none. Its items before and the text of its query begin where those of the preceding
transition end."""

_ITEMS = numba.from_dtype(ITEM)[::1]
_TRANSITIONS = numba.from_dtype(TRANSITION)[::1]

Words = npt.NDArray[np.uint64]


@helper
def is_sound(words: Any, first: int, last: int) -> bool:
    """Return whether the words from `first` to `last` are a state that `unpack` can read.

    Kernels do not check bounds. Without this check a damaged state would make `unpack` write beyond its arrays.
    """
    if last - first < HEADER:
        return False
    letters = words[first:last].view(np.uint8)
    befores, queries, positions = int(letters[1]), int(letters[2]), int(letters[3])
    if letters[0] != VERSION or befores > BEFORE or queries > QUERIES or positions > POSITIONS:
        return False
    if not words.view(np.float64)[first + 1] > 0.0:
        return False
    lists = HEADER + 2 * befores + 3 * positions + 3 * queries
    if first + lists > last:
        return False
    text = 8 * lists
    for row in range(queries):
        both = words.view(np.int64)[first + lists - queries + row]
        if both < 0 or both % 65536 > REMEMBERED_BYTES:
            return False
        text += both % 65536
    return bool((text + 7) // 8 == last - first)


@helper
def unpack(words: Any, first: int, item: Any) -> None:
    """Decode the state that begins at `first` into `item`."""
    integers, floats, letters = words.view(np.int64), words.view(np.float64), words.view(np.uint8)
    item["befores"] = letters[8 * first + 1]
    item["queries"] = letters[8 * first + 2]
    item["positions"] = letters[8 * first + 3]
    item["half_life_ms"] = floats[first + 1]
    item["landmark_ms"] = integers[first + 2]
    item["latest_ms"] = integers[first + 3]
    item["weight"] = floats[first + 4]
    at = first + HEADER
    for row in range(item["befores"]):
        item["before"][row] = words[at + row]
        item["before_weights"][row] = floats[at + item["befores"] + row]
    at += 2 * item["befores"]
    for row in range(item["positions"]):
        item["partitions"][row] = words[at + row]
        item["offsets"][row] = integers[at + item["positions"] + row]
        item["timestamps_ms"][row] = integers[at + 2 * item["positions"] + row]
    at += 3 * item["positions"]
    text = 8 * (at + 3 * item["queries"])
    for row in range(item["queries"]):
        item["query"][row] = words[at + row]
        item["query_weights"][row] = floats[at + item["queries"] + row]
        both = integers[at + 2 * item["queries"] + row]
        item["marks"][row] = both // 65536 - 1
        item["text_lengths"][row] = both % 65536
        for letter in range(item["text_lengths"][row]):
            item["texts"][row, letter] = letters[text + letter]
        text += item["text_lengths"][row]


@helper
def pack(item: Any, words: Any) -> int:
    """Encode the state into `words`, and return how many words it takes."""
    integers, floats, letters = words.view(np.int64), words.view(np.float64), words.view(np.uint8)
    words[0] = 0
    letters[0] = VERSION
    letters[1] = item["befores"]
    letters[2] = item["queries"]
    letters[3] = item["positions"]
    floats[1] = item["half_life_ms"]
    integers[2] = item["landmark_ms"]
    integers[3] = item["latest_ms"]
    floats[4] = item["weight"]
    at = HEADER
    for row in range(item["befores"]):
        words[at + row] = item["before"][row]
        floats[at + item["befores"] + row] = item["before_weights"][row]
    at += 2 * item["befores"]
    for row in range(item["positions"]):
        words[at + row] = item["partitions"][row]
        integers[at + item["positions"] + row] = item["offsets"][row]
        integers[at + 2 * item["positions"] + row] = item["timestamps_ms"][row]
    at += 3 * item["positions"]
    text = 8 * (at + 3 * item["queries"])
    for row in range(item["queries"]):
        words[at + row] = item["query"][row]
        floats[at + item["queries"] + row] = item["query_weights"][row]
        integers[at + 2 * item["queries"] + row] = 65536 * (item["marks"][row] + 1) + item["text_lengths"][row]
        for letter in range(item["text_lengths"][row]):
            letters[text + letter] = item["texts"][row, letter]
        text += item["text_lengths"][row]
    while text % 8 != 0:
        letters[text] = 0
        text += 1
    return int(text // 8)


@helper
def rebase(item: Any, half_life_ms: float) -> None:
    """Move the landmark to the newest transition, and use this half-life from there on.

    All weights decay to the new landmark by the old half-life.
    """
    elapsed_ms = item["latest_ms"] - item["landmark_ms"]
    factor = 2.0 ** max(-elapsed_ms / item["half_life_ms"], SMALLEST_EXPONENT)
    item["weight"] *= factor
    for row in range(item["befores"]):
        item["before_weights"][row] *= factor
    for row in range(item["queries"]):
        item["query_weights"][row] *= factor
    item["landmark_ms"] = item["latest_ms"]
    item["half_life_ms"] = half_life_ms


@helper
def find(keys: Any, length: int, key: Any) -> int:
    """Return the row of a key among the first `length`, -1 if it is missing."""
    for row in range(length):
        if keys[row] == key:
            return row
    return -1


@helper
def add_before(item: Any, keys: Any, weights: Any, first: Any, last: Any, growth: float) -> None:
    """Add the weights of the items before a transition.

    If there is no room for all, the new items replace the lightest of the earlier ones, ties by key.
    """
    # The items that have no room yet. They are placed last, so that all weights of the earlier ones are up to date.
    came = np.zeros(BEFORE, dtype=np.int64)
    newcomers = 0
    for entry in range(first, last):
        row = find(item["before"], item["befores"], keys[entry])
        if row >= 0:
            item["before_weights"][row] += weights[entry] * growth
        elif item["befores"] < BEFORE:
            item["before"][item["befores"]] = keys[entry]
            item["before_weights"][item["befores"]] = weights[entry] * growth
            item["befores"] += 1
        elif newcomers < BEFORE:
            came[newcomers] = entry
            newcomers += 1
    if newcomers == 0:
        return
    # A new item does not replace another new one of the same transition.
    is_new = np.zeros(BEFORE, dtype=np.bool_)
    for newcomer in range(newcomers):
        lightest = -1
        for row in range(BEFORE):
            if not is_new[row] and (
                lightest < 0
                or item["before_weights"][row] < item["before_weights"][lightest]
                or (
                    item["before_weights"][row] == item["before_weights"][lightest]
                    and item["before"][row] < item["before"][lightest]
                )
            ):
                lightest = row
        item["before"][lightest] = keys[came[newcomer]]
        item["before_weights"][lightest] = weights[came[newcomer]] * growth
        is_new[lightest] = True


@helper
def row_to_write(held: int, values: Any, keys: Any) -> int:
    """Return the first free row. If there is none, return the row with the least value, ties by the least key."""
    if held < len(values):
        return held
    row = 0
    for other in range(1, len(values)):
        if values[other] < values[row] or (values[other] == values[row] and keys[other] < keys[row]):
            row = other
    return row


@helper
def add_query(item: Any, transition: Any, texts: Any, first: Any, growth: float) -> None:
    """Add the weight of the search that led to the item. If there is no room, it replaces the lightest, ties by key."""
    row = find(item["query"], item["queries"], transition["query"])
    if row >= 0:
        if item["marks"][row] != transition["shopper"]:
            item["marks"][row] = SHARED
        item["query_weights"][row] += transition["weight"] * growth
        return
    row = row_to_write(item["queries"], item["query_weights"], item["query"])
    if row == item["queries"]:
        item["queries"] += 1
    item["query"][row] = transition["query"]
    item["query_weights"][row] = transition["weight"] * growth
    item["marks"][row] = transition["shopper"]
    item["text_lengths"][row] = transition["text_end"] - first
    for letter in range(item["text_lengths"][row]):
        item["texts"][row, letter] = texts[first + letter]


@helper
def note_position(item: Any, transition: Any) -> bool:
    """Record a transition's position in Kafka; return False if it was counted before, by offset and timestamp."""
    row = find(item["partitions"], item["positions"], transition["partition"])
    if row >= 0:
        # A lower offset with a later timestamp is a new record: the topic was created anew.
        if transition["offset"] <= item["offsets"][row] and transition["timestamp_ms"] <= item["timestamps_ms"][row]:
            return False
        item["offsets"][row] = transition["offset"]
        item["timestamps_ms"][row] = max(item["timestamps_ms"][row], transition["timestamp_ms"])
        return True
    partition, offset, timestamp_ms = transition["partition"], transition["offset"], transition["timestamp_ms"]
    row = row_to_write(item["positions"], item["timestamps_ms"], item["partitions"])
    if row == item["positions"]:
        item["positions"] += 1
    else:
        oldest_ms = item["timestamps_ms"][row]
        if timestamp_ms < oldest_ms or (timestamp_ms == oldest_ms and partition < item["partitions"][row]):
            return True  # the new position is the oldest: the transition counts, its position is not kept
    item["partitions"][row], item["offsets"][row], item["timestamps_ms"][row] = partition, offset, timestamp_ms
    return True


@kernel(
    int64(
        uint64[::1], int64[::1], _TRANSITIONS, int64[::1], int64[::1], uint64[::1], float64[::1], uint8[::1],
        float64, _ITEMS, uint64[:, ::1], int64[::1], uint8[::1],
    )
)  # fmt: skip
def fold(
    words: Any, starts: Any, transitions: Any, order: Any, ends: Any, before: Any, before_weights: Any, texts: Any,
    half_life_ms: float, scratch: Any, folded: Any, lengths: Any, counted: Any,
) -> int:  # fmt: skip
    """Fold transitions into the states of their items.

    Args:
        words: the states, one after the other.
        starts: the start of each state, and the end of the last one, (n + 1,). An item without a state takes no words.
        transitions: dtype TRANSITION, (m,).
        order: the transitions by item, those of one item in their order, (m,).
        ends: the end of each item's part of `order`, (n,).
        before: stable keys of the items before the transitions.
        before_weights: their weights.
        texts: the queries of the transitions in UTF-8.
        half_life_ms: the half-life of a transition. When it changes, earlier weights decay by the old one until now.
        scratch: one record of dtype ITEM.
        folded: receives the new states, (n, MOST_WORDS).
        lengths: receives the number of words of each new state, 0 if nothing changed, (n,).
        counted: receives 1 for each transition that was counted, 0 for one that its state counts already, (m,).

    Returns:
        The index of the first unreadable state, -1 if all are readable.
    """
    item = scratch[0]
    entry = 0
    for number in range(len(ends)):
        is_new = starts[number + 1] == starts[number]
        if is_new:
            item["befores"], item["queries"], item["positions"] = 0, 0, 0
        elif is_sound(words, starts[number], starts[number + 1]):
            unpack(words, starts[number], item)
        else:
            return number
        lengths[number] = 0
        while entry < ends[number]:
            place = order[entry]
            transition = transitions[place]
            entry += 1
            if is_new:
                item["half_life_ms"], item["weight"] = half_life_ms, 0.0
                item["landmark_ms"], item["latest_ms"] = transition["at_ms"], transition["at_ms"]
                is_new = False
            counted[place] = note_position(item, transition)
            if counted[place] == 0:
                continue
            lengths[number] = 1
            item["latest_ms"] = max(item["latest_ms"], transition["at_ms"])
            is_far = item["latest_ms"] - item["landmark_ms"] > LARGEST_EXPONENT * half_life_ms
            if is_far or item["half_life_ms"] != half_life_ms:
                rebase(item, half_life_ms)
            # Forward decay: a transition weighs 2^((t − landmark) / half-life), also when it arrives late.
            elapsed_ms = item["landmark_ms"] - transition["at_ms"]
            growth = 2.0 ** max(-elapsed_ms / half_life_ms, SMALLEST_EXPONENT)
            item["weight"] += transition["weight"] * growth
            before_start, text_start = np.int64(0), np.int64(0)
            if place > 0:
                before_start, text_start = transitions[place - 1]["before_end"], transitions[place - 1]["text_end"]
            add_before(item, before, before_weights, before_start, transition["before_end"], growth)
            if transition["query"] != 0:
                add_query(item, transition, texts, text_start, growth)
        if lengths[number] != 0:
            lengths[number] = pack(item, folded[number])
    return -1


@helper
def sort_heaviest(keys: Any, weights: Any, order: Any, length: int) -> None:
    """Write the order of rows by falling weight, ties by key (insertion sort)."""
    for row in range(length):
        at = row
        while at > 0 and (
            weights[row] > weights[order[at - 1]]
            or (weights[row] == weights[order[at - 1]] and keys[row] < keys[order[at - 1]])
        ):
            order[at] = order[at - 1]
            at -= 1
        order[at] = row


@helper
def write_word(letters: Any, at: int, sort: int, word: Any) -> int:
    """Write a type code of MessagePack and 8 bytes, most significant first; return the place of the next value."""
    letters[at] = sort
    for place in range(8):
        letters[at + 8 - place] = word & np.uint64(0xFF)
        word >>= np.uint64(8)
    return at + 9


@helper
def write_map(letters: Any, at: int, length: int) -> int:
    """Write the header of a map; return the place of the next value."""
    letters[at] = MAP
    letters[at + 1] = length // 256
    letters[at + 2] = length % 256
    return at + 3


@kernel(int64(uint64[::1], int64[::1], uint64[::1], _ITEMS, uint8[:, ::1], int64[::1]))
def publish(words: Any, starts: Any, keys: Any, scratch: Any, messages: Any, lengths: Any) -> int:
    """Write the message that is published of each item: `inference.types.ItemNeighbours` in MessagePack.

    States are decayed to their newest transitions. Items before and queries are in the order of falling weight, ties by
    stable key. Entries whose weight has decayed to 0 are left out, and so are queries that only one shopper used.

    Args:
        words: the states, one after the other.
        starts: the start of each state, and the end of the last one, (n + 1,).
        keys: stable keys of the items, (n,).
        scratch: one record of dtype ITEM.
        messages: receives the messages, (n, MOST_BYTES).
        lengths: receives the number of bytes of each message, (n,).

    Returns:
        The index of the first unreadable state, -1 if all are readable.
    """
    item = scratch[0]
    order = np.empty(BEFORE, dtype=np.int64)
    floats = np.empty(1, dtype=np.float64)
    bits = floats.view(np.uint64)
    for number in range(len(keys)):
        if not is_sound(words, starts[number], starts[number + 1]):
            return number
        unpack(words, starts[number], item)
        elapsed_ms = item["latest_ms"] - item["landmark_ms"]
        factor = 2.0 ** max(-elapsed_ms / item["half_life_ms"], SMALLEST_EXPONENT)
        letters = messages[number]
        letters[0] = ARRAY_OF_FIVE
        at = write_word(letters, 1, UINT64, keys[number])
        at = write_word(letters, at, INT64, np.uint64(item["latest_ms"]))
        floats[0] = item["weight"] * factor
        at = write_word(letters, at, FLOAT64, bits[0])

        sort_heaviest(item["before"], item["before_weights"], order, item["befores"])
        length = 0
        while length < item["befores"] and item["before_weights"][order[length]] * factor > 0.0:
            length += 1
        at = write_map(letters, at, length)
        for place in range(length):
            at = write_word(letters, at, UINT64, item["before"][order[place]])
            floats[0] = item["before_weights"][order[place]] * factor
            at = write_word(letters, at, FLOAT64, bits[0])

        sort_heaviest(item["query"], item["query_weights"], order, item["queries"])
        length = 0
        for row in range(item["queries"]):
            length += item["marks"][row] == SHARED and item["query_weights"][row] * factor > 0.0
        at = write_map(letters, at, length)
        for place in range(item["queries"]):
            row = order[place]
            floats[0] = item["query_weights"][row] * factor
            if item["marks"][row] != SHARED or not floats[0] > 0.0:
                continue
            letters[at] = TEXT
            letters[at + 1] = item["text_lengths"][row]
            at += 2
            for letter in range(item["text_lengths"][row]):
                letters[at + letter] = item["texts"][row, letter]
            at = write_word(letters, at + item["text_lengths"][row], FLOAT64, bits[0])
        lengths[number] = at
    return -1
