"""Writes the messages that are published of co-occurrence states: `inference.types.ItemNeighbours` in MessagePack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from inference.encoding.text import REMEMBERED_BYTES
from inference.kernels.compiler import helper, kernel
from inference.kernels.cooccurrence_state import BEFORE, ITEMS, QUERIES, STATES, States, is_sound, unpack
from inference.kernels.counters import SMALLEST_EXPONENT
from inference.kernels.support import SUPPORT, Support, supported

ARRAY_OF_FIVE, UINT64, INT64, FLOAT64, MAP, TEXT = 0x95, 0xCF, 0xD3, 0xCB, 0xDE, 0xD9
"""Type codes of MessagePack."""
MOST_BYTES = 4 * 9 + 18 * BEFORE + QUERIES * (2 + REMEMBERED_BYTES + 9)
"""Greatest length of a message: 3.6 kB. Most items have fewer neighbours and searches, and these are shorter."""


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


@helper
def use_supported(weights: Any, shoppers: Any, factor: float, support: Support, length: int) -> int:
    """Decay the first `length` weights and set those without support to 0; return how many are above 0."""
    count = 0
    for row in range(length):
        weights[row] = supported(weights[row] * factor, shoppers[row], support)
        count += weights[row] > 0.0
    return count


@kernel(types.int64(STATES, types.uint64[::1], SUPPORT, ITEMS, types.uint8[:, ::1], types.int64[::1]))
def publish(states: States, keys: Any, support: Support, scratch: Any, messages: Any, lengths: Any) -> int:
    """Write the message that is published of each item.

    States are decayed to their newest transitions. Items before and queries are in the order of falling weight, ties by
    stable key. Entries whose weight has decayed to 0 are left out, and so are entries without support. A query may be
    personal, so it takes two shoppers at least.

    Args:
        states: the states.
        keys: stable keys of the items, (n,).
        support: the conditions.
        scratch: one record of dtype ITEM.
        messages: receives the messages, (n, MOST_BYTES).
        lengths: receives the number of bytes of each message, (n,).

    Returns:
        The index of the first unreadable state, -1 if all are readable.
    """
    item, words, starts = scratch[0], states.words, states.starts
    order = np.empty(max(BEFORE, QUERIES), dtype=np.int64)
    floats = np.empty(1, dtype=np.float64)
    # `bits` reads the memory of `floats` as an integer, because MessagePack stores the eight bytes of a float64.
    bits = floats.view(np.uint64)
    support_of_queries = Support(max(support.min_shoppers, 2), support.weight_each)
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

        length = use_supported(item["before_weights"], item["before_shoppers"], factor, support, item["befores"])
        # Weights without support are 0 and come last, so the first `length` places of the order are those to publish.
        sort_heaviest(item["before"], item["before_weights"], order, item["befores"])
        at = write_map(letters, at, length)
        for place in range(length):
            at = write_word(letters, at, UINT64, item["before"][order[place]])
            floats[0] = item["before_weights"][order[place]]
            at = write_word(letters, at, FLOAT64, bits[0])

        weights, shoppers = item["query_weights"], item["query_shoppers"]
        length = use_supported(weights, shoppers, factor, support_of_queries, item["queries"])
        sort_heaviest(item["query"], weights, order, item["queries"])
        at = write_map(letters, at, length)
        for place in range(length):
            row = order[place]
            floats[0] = weights[row]
            letters[at] = TEXT
            # `TEXT` is followed by one byte of length, which REMEMBERED_BYTES fits into.
            letters[at + 1] = item["text_lengths"][row]
            at += 2
            for letter in range(item["text_lengths"][row]):
                letters[at + letter] = item["texts"][row, letter]
            at = write_word(letters, at + item["text_lengths"][row], FLOAT64, bits[0])
        lengths[number] = at
    return -1
