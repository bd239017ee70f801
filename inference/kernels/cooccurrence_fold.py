"""Folds transitions into the co-occurrence states of their items (`cooccurrence_state.py`).

Weights decay forward (Cormode et al. 2009, doi:10.1109/ICDE.2009.65): a transition at time t weighs
2^((t − landmark) / half-life), so no weight changes as time passes and the order of transitions does not matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.cooccurrence_state import BEFORE, ITEMS, STATES, States, is_sound, pack, unpack
from inference.kernels.counters import LARGEST_EXPONENT, SMALLEST_EXPONENT
from inference.kernels.support import bit_of

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


class Transitions(NamedTuple):
    """Transitions to fold into the states of n items, m in all.

    Attributes:
        records: dtype TRANSITION, (m,).
        order: the transitions by item, those of one item in their order, int64 (m,).
        ends: the end of each item's part of `order`, int64 (n,).
        before: stable keys of the items before the transitions, uint64.
        before_weights: their weights, float64.
        texts: the queries of the transitions in UTF-8, uint8.
    """

    records: npt.NDArray[np.void]
    order: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    before: npt.NDArray[np.uint64]
    before_weights: npt.NDArray[np.float64]
    texts: npt.NDArray[np.uint8]


class FoldedStates(NamedTuple):
    """The output of a fold.

    Attributes:
        words: the new states, uint64 (n, MOST_WORDS).
        lengths: the number of words of each new state, 0 if nothing changed, int64 (n,).
        counted: 1 for each transition that was counted, 0 for one that its state counts already, uint8 (m,).
    """

    words: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]
    counted: npt.NDArray[np.uint8]


_TRANSITIONS = types.NamedTuple(
    (
        numba.from_dtype(TRANSITION)[::1],
        types.int64[::1],
        types.int64[::1],
        types.uint64[::1],
        types.float64[::1],
        types.uint8[::1],
    ),
    Transitions,
)
_FOLDED = types.NamedTuple((types.uint64[:, ::1], types.int64[::1], types.uint8[::1]), FoldedStates)


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
def add_before(item: Any, keys: Any, weights: Any, first: Any, transition: Any, growth: float) -> None:
    """Add the weights of the items before a transition, and its shopper to their shoppers.

    If there is no room for all, the new items replace the lightest of the earlier ones, ties by key.
    """
    # The items that have no room yet. They are placed last, so that all weights of the earlier ones are up to date.
    entries = np.zeros(BEFORE, dtype=np.int64)
    newcomers = 0
    shopper = bit_of(transition["shopper"])
    for entry in range(first, transition["before_end"]):
        row = find(item["before"], item["befores"], keys[entry])
        if row >= 0:
            item["before_weights"][row] += weights[entry] * growth
            item["before_shoppers"][row] |= shopper
        elif item["befores"] < BEFORE:
            item["before"][item["befores"]] = keys[entry]
            item["before_weights"][item["befores"]] = weights[entry] * growth
            item["before_shoppers"][item["befores"]] = shopper
            item["befores"] += 1
        elif newcomers < BEFORE:
            entries[newcomers] = entry
            newcomers += 1
    if newcomers == 0:
        return
    # A new item does not replace another new one of the same transition.
    is_new = np.zeros(BEFORE, dtype=np.bool_)
    for newcomer in range(newcomers):
        lightest = -1
        # Some row is not new: at most BEFORE items are added, and this one is still to come.
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
        item["before"][lightest] = keys[entries[newcomer]]
        item["before_weights"][lightest] = weights[entries[newcomer]] * growth
        item["before_shoppers"][lightest] = shopper
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
        item["query_shoppers"][row] |= bit_of(transition["shopper"])
        item["query_weights"][row] += transition["weight"] * growth
        return
    row = row_to_write(item["queries"], item["query_weights"], item["query"])
    if row == item["queries"]:
        item["queries"] += 1
    item["query"][row] = transition["query"]
    item["query_weights"][row] = transition["weight"] * growth
    item["query_shoppers"][row] = bit_of(transition["shopper"])
    item["text_lengths"][row] = transition["text_end"] - first
    for letter in range(item["text_lengths"][row]):
        item["texts"][row, letter] = texts[first + letter]


@helper
def count_position(item: Any, transition: Any) -> bool:
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
    # More partitions than rows: the quietest one gives its row up. A record of it that is read again would then count
    # twice.
    row = row_to_write(item["positions"], item["timestamps_ms"], item["partitions"])
    if row == item["positions"]:
        item["positions"] += 1
    else:
        oldest_ms = item["timestamps_ms"][row]
        if timestamp_ms < oldest_ms or (timestamp_ms == oldest_ms and partition < item["partitions"][row]):
            return True  # the new position is the oldest: the transition counts, its position is not kept
    item["partitions"][row], item["offsets"][row], item["timestamps_ms"][row] = partition, offset, timestamp_ms
    return True


@kernel(types.int64(STATES, _TRANSITIONS, types.float64, ITEMS, _FOLDED))
def fold(states: States, transitions: Transitions, half_life_ms: float, scratch: Any, folded: FoldedStates) -> int:
    """Fold transitions into the states of their items and write the new states to `folded`.

    `half_life_ms` is the half-life of a transition. When it changes, earlier weights decay by the old one until now.
    `scratch` is one record of dtype ITEM. Return the index of the first unreadable state, -1 if all are readable.
    """
    item, words, starts = scratch[0], states.words, states.starts
    records, order, ends = transitions.records, transitions.order, transitions.ends
    before, before_weights, texts = transitions.before, transitions.before_weights, transitions.texts
    counted, lengths = folded.counted, folded.lengths
    entry = 0
    for number in range(len(ends)):
        is_new = starts[number + 1] == starts[number]
        if is_new:
            # The scratch record still has the entries of the item before. Without these lengths they would be this
            # item's.
            item["befores"], item["queries"], item["positions"] = 0, 0, 0
        elif is_sound(words, starts[number], starts[number + 1]):
            unpack(words, starts[number], item)
        else:
            return number
        # Stays 0 if every transition was counted before, so that the caller neither stores nor publishes an equal
        # state.
        lengths[number] = 0
        while entry < ends[number]:
            place = order[entry]
            transition = records[place]
            entry += 1
            if is_new:
                item["half_life_ms"], item["weight"] = half_life_ms, 0.0
                item["landmark_ms"], item["latest_ms"] = transition["at_ms"], transition["at_ms"]
                is_new = False
            counted[place] = count_position(item, transition)
            if counted[place] == 0:
                continue
            lengths[number] = 1
            item["latest_ms"] = max(item["latest_ms"], transition["at_ms"])
            # The landmark moves long before a factor 2^exponent overflows.
            is_far = item["latest_ms"] - item["landmark_ms"] > LARGEST_EXPONENT * half_life_ms
            if is_far or item["half_life_ms"] != half_life_ms:
                rebase(item, half_life_ms)
            # Forward decay: a transition weighs 2^((t − landmark) / half-life), also when it arrives late.
            elapsed_ms = item["landmark_ms"] - transition["at_ms"]
            growth = 2.0 ** max(-elapsed_ms / half_life_ms, SMALLEST_EXPONENT)
            item["weight"] += transition["weight"] * growth
            # The items before and the texts of all records are contiguous, in the order of the records.
            before_start, text_start = np.int64(0), np.int64(0)
            if place > 0:
                before_start, text_start = records[place - 1]["before_end"], records[place - 1]["text_end"]
            add_before(item, before, before_weights, before_start, transition, growth)
            if transition["query"] != 0:
                add_query(item, transition, texts, text_start, growth)
        if lengths[number] != 0:
            lengths[number] = pack(item, folded.words[number])
    return -1
