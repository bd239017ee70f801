"""The co-occurrence state of an item: the transitions to it, as bytes, and its decoded form.

A state is a row of 8-byte little-endian words. Its length depends on its content:

    version, and the numbers of items before, queries and positions (a byte each, then zeros)
    half-life (float64), landmark, time of the newest transition, weight of all transitions (float64)
    items before: their stable keys, then their weights (float64), then their shoppers (`support.py`)
    positions: keys of the partitions, then offsets, then the timestamps of the broker
    queries: stable keys, then weights (float64), then their shoppers, then the lengths of the texts in bytes
    texts of the queries in UTF-8, one after the other, zeros up to the end of the last word

Version 2 has no shoppers. Instead of the length of a text it has 65536 · (mark + 1) + length. The mark is 16 bits of
the only shopper that used the query, -1 once there were two. Its pairs count as supported, so that a shop keeps what it
has learned; they fade with the half-life.

`cooccurrence_fold.py` adds transitions to states, `cooccurrence_messages.py` writes the messages that are published.
Times are in milliseconds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types

from inference.encoding.text import REMEMBERED_BYTES
from inference.kernels.compiler import helper
from inference.kernels.support import EVERYONE, bit_of

VERSION = 3
FORMER = 2
"""Version without shoppers, which is still read."""
BEFORE, QUERIES, POSITIONS = 64, 32, 64
"""Greatest numbers of items before, queries and positions of one item. Beyond POSITIONS partitions the one with the
oldest timestamp is dropped: the records that Kafka delivers again are recent ones.

A popular item is acted on after many searches. Of the simulated clicks of `training.datasets.clicks`, 8 searches an
item have 93% of the weight, 32 have 99.8%. A state has at most 6.2 kB."""

HEADER = 5
"""Words before the lists."""
MOST_WORDS = HEADER + 3 * BEFORE + 3 * POSITIONS + 4 * QUERIES + QUERIES * REMEMBERED_BYTES // 8
LATEST_MS = 2**61
"""Greatest time in a state, in milliseconds: the difference of two times fits into 64 bits."""
SHARED = -1
"""The mark of a query of version 2 that more than one shopper used."""

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
        ("before_shoppers", "<u8", BEFORE),
        ("partitions", "<u8", POSITIONS),
        ("offsets", "<i8", POSITIONS),
        ("timestamps_ms", "<i8", POSITIONS),
        ("query", "<u8", QUERIES),
        ("query_weights", "<f8", QUERIES),
        ("query_shoppers", "<u8", QUERIES),
        ("text_lengths", "<i8", QUERIES),
        ("texts", "u1", (QUERIES, REMEMBERED_BYTES)),
    ],
    align=True,
)
"""A decoded state with room for all entries, used while transitions are folded in."""


class States(NamedTuple):
    """Encoded states of n items.

    Attributes:
        words: the states, one after the other, uint64.
        starts: the start of each state, and the end of the last one, int64 (n + 1,). An item without a state takes no
            words.
    """

    words: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]


STATES = types.NamedTuple((types.uint64[::1], types.int64[::1]), States)
ITEMS = numba.from_dtype(ITEM)[::1]


@helper
def is_sound(words: Any, first: int, last: int) -> bool:
    """Return whether the words from `first` to `last` are a state that `unpack` can read.

    Kernels do not check bounds. Without this check a damaged state would make `unpack` write beyond its arrays.
    """
    if last - first < HEADER:
        return False
    letters = words[first:last].view(np.uint8)
    befores, queries, positions = int(letters[1]), int(letters[2]), int(letters[3])
    is_former = letters[0] == FORMER
    if not (is_former or letters[0] == VERSION) or befores > BEFORE or queries > QUERIES or positions > POSITIONS:
        return False
    integers, floats = words.view(np.int64), words.view(np.float64)
    if not (0.0 < floats[first + 1] < np.inf and 0.0 <= floats[first + 4] < np.inf):
        return False
    # The landmark and the newest time. Beyond LATEST_MS their difference would not fit into 64 bits.
    for word in (first + 2, first + 3):
        if not -LATEST_MS <= integers[word] <= LATEST_MS:
            return False
    # The words before the texts. Version 2 lacks the shoppers: a word less for each item before and each query.
    lists = HEADER + 3 * befores + 3 * positions + 4 * queries
    if is_former:
        lists -= befores + queries
    if first + lists > last:
        return False
    # A weight that is not finite, or below 0, would stay in every later sum.
    for row in range(befores):
        if not 0.0 <= floats[first + HEADER + befores + row] < np.inf:
            return False
    # `lists` counts words, `text` counts bytes.
    text = 8 * lists
    for row in range(queries):
        if not 0.0 <= floats[first + lists - (2 if is_former else 3) * queries + row] < np.inf:
            return False
        length = integers[first + lists - queries + row]
        if is_former and length >= 0:
            length %= 65536
        if not 0 <= length <= REMEMBERED_BYTES:
            return False
        text += length
    return bool((text + 7) // 8 == last - first)


@helper
def unpack(words: Any, first: int, item: Any) -> None:
    """Decode the state that begins at `first` into `item`."""
    integers, floats, letters = words.view(np.int64), words.view(np.float64), words.view(np.uint8)
    # `first` counts words of 8 bytes. `letters` are the same memory, byte by byte.
    is_former = letters[8 * first] == FORMER
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
    for row in range(item["befores"]):
        item["before_shoppers"][row] = np.uint64(EVERYONE) if is_former else words[at + row]
    if not is_former:
        at += item["befores"]
    for row in range(item["positions"]):
        item["partitions"][row] = words[at + row]
        item["offsets"][row] = integers[at + item["positions"] + row]
        item["timestamps_ms"][row] = integers[at + 2 * item["positions"] + row]
    at += 3 * item["positions"]
    # The lengths are the last of the numbers of a query, and the texts follow them.
    length_at = at + (2 if is_former else 3) * item["queries"]
    text = 8 * (length_at + item["queries"])
    for row in range(item["queries"]):
        item["query"][row] = words[at + row]
        item["query_weights"][row] = floats[at + item["queries"] + row]
        length = integers[length_at + row]
        if is_former:
            mark = length // 65536 - 1
            item["query_shoppers"][row] = np.uint64(EVERYONE) if mark == SHARED else bit_of(mark)
            length %= 65536
        else:
            item["query_shoppers"][row] = words[at + 2 * item["queries"] + row]
        item["text_lengths"][row] = length
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
    # The lists have the order of the module's description. `is_sound` and `unpack` compute the same places from the
    # three numbers in the first word.
    at = HEADER
    for row in range(item["befores"]):
        words[at + row] = item["before"][row]
        floats[at + item["befores"] + row] = item["before_weights"][row]
        words[at + 2 * item["befores"] + row] = item["before_shoppers"][row]
    at += 3 * item["befores"]
    for row in range(item["positions"]):
        words[at + row] = item["partitions"][row]
        integers[at + item["positions"] + row] = item["offsets"][row]
        integers[at + 2 * item["positions"] + row] = item["timestamps_ms"][row]
    at += 3 * item["positions"]
    text = 8 * (at + 4 * item["queries"])
    for row in range(item["queries"]):
        words[at + row] = item["query"][row]
        floats[at + item["queries"] + row] = item["query_weights"][row]
        words[at + 2 * item["queries"] + row] = item["query_shoppers"][row]
        integers[at + 3 * item["queries"] + row] = item["text_lengths"][row]
        for letter in range(item["text_lengths"][row]):
            letters[text + letter] = item["texts"][row, letter]
        text += item["text_lengths"][row]
    # Zeros fill the last word, so that equal states have equal bytes.
    while text % 8 != 0:
        letters[text] = 0
        text += 1
    return int(text // 8)
