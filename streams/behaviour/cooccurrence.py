"""Co-occurrence states of items: earlier items of the session and searches that led to the item. No I/O.

A state is bytes with the version first. `inference.kernels.cooccurrence_state` describes versions 2 and 3. Version 1,
in MessagePack, is read too. With its next transition a state becomes version 3.

Weights decay forward (Cormode et al. 2009, doi:10.1109/ICDE.2009.65). A weight is kept as Σ w · 2^((t − L) / h) against
a landmark L, so no weight changes as time passes. A late transition has the weight of its time, and the order of
transitions does not matter.

If a state is full, the lightest item or search is dropped, and the new one enters with its own weight. Weights decay,
so rare items make room by themselves. Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27) would add
the dropped weight to the new one. On a wholesaler's invoices, next item, that found 4% less, even published by its
lower bound; without a bound it would be 1% more. The order of transitions matters only for dropped items and searches.

A pair of items is published once `min_shoppers` distinct shoppers stand behind it (`inference.kernels.support`), so one
visitor alone cannot put an item into other shoppers' lists. A search may be private: it takes two shoppers at least.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from inference.encoding.text import REMEMBERED_BYTES, search_key
from inference.kernels.cooccurrence_fold import FoldedStates, Transitions, fold
from inference.kernels.cooccurrence_messages import MOST_BYTES, publish
from inference.kernels.cooccurrence_state import (
    BEFORE,
    FORMER,
    ITEM,
    MOST_WORDS,
    POSITIONS,
    QUERIES,
    SHARED,
    VERSION,
    States,
)
from inference.kernels.support import ANY, Support
from inference.types import ItemNeighbours
from streams.behaviour.packed import PackedTransitions
from streams.contracts.internal import ItemTransition
from streams.errors import CooccurrenceCodecError

__all__ = [
    "BEFORE",
    "POSITIONS",
    "QUERIES",
    "VERSION",
    "CooccurrenceRules",
    "encode_neighbours",
    "fold_all",
    "fold_packed",
    "neighbours_of_all",
]  # fmt: skip

HEADER = struct.Struct("<BBBBIdqqd")
FIRST_OF_VERSION_1 = 0x99
"""First byte of version 1: a MessagePack array of nine."""
WORD = 8


@dataclass(frozen=True, slots=True)
class CooccurrenceRules:
    """Half-life of the weights, in milliseconds of event time, and the conditions for publishing them."""

    half_life_ms: float = 60 * 86_400e3
    support: Support = ANY


class Folded(NamedTuple):
    """Result of a fold.

    Attributes:
        states: state of each item, the very object that was given if nothing changed.
        counted: for each transition, whether it was counted. False means that the state held it already.
    """

    states: list[bytes]
    counted: list[bool]


class _Position(NamedTuple):
    offset: int
    timestamp_ms: int


class _Version1(msgspec.Struct, array_like=True):
    """Version 1 of a state. `alone` maps each search of only one shopper to 16 bits of that shopper's hash."""

    version: int
    half_life_ms: float
    landmark_ms: int
    latest_ms: int
    weight: float
    before: dict[int, float]
    queries: dict[str, float]
    alone: dict[str, int]
    positions: dict[int, _Position]


_decoder = msgspec.msgpack.Decoder(_Version1)
_neighbours = msgspec.msgpack.Decoder(ItemNeighbours)


def fold_all(
    states: Sequence[bytes | None],
    places: Sequence[int],
    transitions: Sequence[ItemTransition],
    rules: CooccurrenceRules,
) -> Folded:
    """Fold transitions into the states of their items; see `fold_packed`."""
    return fold_packed(states, places, PackedTransitions.of(transitions), rules)


def fold_packed(
    states: Sequence[bytes | None], places: Sequence[int], transitions: PackedTransitions, rules: CooccurrenceRules
) -> Folded:
    """Fold transitions into the states of their items.

    Args:
        states: state of each item, None for a new item.
        places: for each transition, the place of its item in `states`.
        transitions: the transitions, those of one item in their order.
        rules: the half-life. If it changed, the weights in a state decay by the old one up to now.

    Raises:
        CooccurrenceCodecError: a state is unreadable.
    """
    current = _joined(states)
    # Sort the transitions by item. A stable sort keeps those of one item in their order. `ends` holds the end of each
    # item's part.
    items = np.array(places, dtype=np.int64)
    order = np.argsort(items, kind="stable")
    ends = np.cumsum(np.bincount(items, minlength=len(states)))
    _, records, before, weights, texts = transitions
    packed = Transitions(records, order, ends, before, weights, texts)
    words = np.empty((len(states), MOST_WORDS), dtype=np.uint64)
    lengths = np.zeros(len(states), dtype=np.int64)
    counted = np.zeros(len(records), dtype=np.uint8)
    folded = FoldedStates(words, lengths, counted)
    unreadable = fold(current, packed, rules.half_life_ms, np.empty(1, dtype=ITEM), folded)
    if unreadable >= 0:
        raise _unreadable(states[unreadable])
    changed = [
        # No words mean no change: the caller gets its own object back, and can see by identity that there is nothing
        # to store.
        words[number, :length].tobytes() if length else states[number] or b""
        for number, length in enumerate(lengths.tolist())
    ]
    return Folded(changed, [flag != 0 for flag in counted.tolist()])


def encode_neighbours(keys: Sequence[int], states: Sequence[bytes], support: Support) -> list[bytes]:
    """Return the messages to publish for items with these stable keys, decayed to their newest transitions.

    Heaviest first, ties by stable key, without pairs and searches that lack `support`. Raises CooccurrenceCodecError.
    """
    current = _joined(states)
    messages = np.empty((len(states), MOST_BYTES), dtype=np.uint8)
    lengths = np.empty(len(states), dtype=np.int64)
    unreadable = publish(current, np.array(keys, dtype=np.uint64), support, np.empty(1, dtype=ITEM), messages, lengths)
    if unreadable >= 0:
        raise _unreadable(states[unreadable])
    return [message[:length].tobytes() for message, length in zip(messages, lengths.tolist(), strict=True)]


def neighbours_of_all(keys: Sequence[int], states: Sequence[bytes], support: Support) -> list[ItemNeighbours]:
    """Return the decoded messages of `encode_neighbours`. Raises CooccurrenceCodecError."""
    try:
        return [_neighbours.decode(message) for message in encode_neighbours(keys, states, support)]
    except msgspec.DecodeError as error:
        raise CooccurrenceCodecError(
            f"stored co-occurrence: required searches in UTF-8, got other bytes ({error})"
        ) from error


def _joined(states: Sequence[bytes | None]) -> States:
    """Return the states as one array, those of version 1 as version 2."""
    current = []
    for state in states:
        # The kernel reads whole words. A state that is no row of words is of version 1, or `_from_version_1` refuses
        # it.
        if state is not None and (not state or state[0] == FIRST_OF_VERSION_1 or len(state) % WORD):
            state = _from_version_1(state)
        current.append(state or b"")
    starts = np.zeros(len(states) + 1, dtype=np.int64)
    np.cumsum([len(state) // WORD for state in current], out=starts[1:])
    return States(np.frombuffer(bytearray().join(current), dtype=np.uint64), starts)


def _unreadable(state: bytes | None) -> CooccurrenceCodecError:
    got = b"" if state is None else state
    return CooccurrenceCodecError(
        f"stored co-occurrence: required version 1 to {VERSION}, got {len(got)} bytes: {got[:8].hex()}…"
    )


def _from_version_1(stored: bytes) -> bytes:
    try:
        item = _decoder.decode(stored)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise CooccurrenceCodecError(
            f"stored co-occurrence: required version 1, got {len(stored)} other bytes ({error})"
        ) from error
    if item.version != 1 or not item.half_life_ms > 0:
        raise CooccurrenceCodecError("stored co-occurrence: required version 1 and a half-life above 0, got others")
    texts = {query: query.encode("utf-8", "replace") for query in item.queries}
    is_sound = len(item.before) <= BEFORE and len(item.queries) <= QUERIES and len(item.positions) <= POSITIONS
    if not is_sound or any(len(text) > REMEMBERED_BYTES for text in texts.values()):
        raise CooccurrenceCodecError(
            "stored co-occurrence: required version 1 within the limits of the newest version, got more"
        )
    sizes = len(item.before), len(item.queries), len(item.positions)
    positions = item.positions.values()
    try:
        # Version 2 in words of 8 bytes: the header, then arrays for the items before, the positions and the searches,
        # then all texts. The last number of a search is the shopper's 16 bits plus 1, or SHARED plus 1 if several
        # shoppers made it, above 16 bits of its text's length.
        words = [
            HEADER.pack(FORMER, *sizes, 0, item.half_life_ms, item.landmark_ms, item.latest_ms, item.weight),
            struct.pack(f"<{sizes[0]}Q", *item.before.keys()),
            struct.pack(f"<{sizes[0]}d", *item.before.values()),
            struct.pack(f"<{sizes[2]}Q", *item.positions.keys()),
            struct.pack(f"<{sizes[2]}q", *(position.offset for position in positions)),
            struct.pack(f"<{sizes[2]}q", *(position.timestamp_ms for position in positions)),
            struct.pack(f"<{sizes[1]}Q", *map(search_key, item.queries)),
            struct.pack(f"<{sizes[1]}d", *item.queries.values()),
            struct.pack(
                f"<{sizes[1]}q",
                *(65536 * (item.alone.get(query, SHARED) + 1) + len(text) for query, text in texts.items()),
            ),
        ]
    except struct.error as error:
        raise CooccurrenceCodecError(
            f"stored co-occurrence: required numbers of 64 bits, got larger ones ({error})"
        ) from error
    text = b"".join(texts.values())
    return b"".join([*words, text.ljust(_whole(len(text)), b"\0")])


def _whole(length: int) -> int:
    """Return `length` bytes rounded up to whole words."""
    return -(-length // WORD) * WORD
