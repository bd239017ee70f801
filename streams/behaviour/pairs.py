"""How shoppers come to an item: the items before it and the searches that led there, folded from transitions. No I/O.

The state of an item is bytes, with the version first: `inference.kernels.cooccurrence_state` describes version 2.
Version 1,
in MessagePack, is read; it becomes version 2 with the next transition.

Weights decay forward (Cormode et al. 2009, doi:10.1109/ICDE.2009.65), kept as Σ w · 2^((t − L) / h) against a landmark
L: time passes without touching them, late transitions weigh what they should, and their order does not matter.

Where there is no room, the lightest goes, whatever the newcomer brings; weights decay, so what came once makes room by
itself. Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27) would give the newcomer its weight too. On
a wholesaler's invoices, next item, that found 4% less, even published by its lower bound; without a bound it would be
1% more. Only here does order matter.

A search may be private: what one shopper alone typed is kept, and never published. A query is published once two
shoppers came by it, which 16 bits of the first one's key tell apart; in one of 65,536 cases two shoppers pass for one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.encoding.text import REMEMBERED_BYTES, shortened
from inference.kernels import cooccurrence_state as kernels
from inference.kernels.cooccurrence_state import (
    BEFORE,
    ITEM,
    MOST_BYTES,
    MOST_WORDS,
    POSITIONS,
    QUERIES,
    TRANSITION,
    VERSION,
)
from inference.types import ItemNeighbours, stable_key
from streams.contracts.messages import Approach
from streams.errors import PairsCodecError

__all__ = [
    "BEFORE",
    "POSITIONS",
    "QUERIES",
    "VERSION",
    "PairRules",
    "encode_neighbours",
    "fold_all",
    "neighbours_of_all",
]  # fmt: skip

HEADER = struct.Struct("<BBBBIdqqd")
FIRST_OF_VERSION_1 = 0x99
"""An array of nine in MessagePack."""
WORD = 8


@dataclass(frozen=True, slots=True)
class PairRules:
    """How long a transition counts, in milliseconds of event time."""

    half_life_ms: float = 60 * 86_400e3


class Folded(NamedTuple):
    """States after transitions.

    Attributes:
        states: of each item; the very bytes that were given where nothing changed.
        counted: whether each transition was counted, False where its state held it already.
    """

    states: list[bytes]
    counted: list[bool]


class _Position(NamedTuple):
    offset: int
    timestamp_ms: int


class _Version1(msgspec.Struct, array_like=True):
    """`alone` holds the mark of the only shopper who came by a query so far, for those that had no second one."""

    version: int
    half_life_ms: float
    landmark_ms: int
    latest_ms: int
    mass: float
    before: dict[int, float]
    queries: dict[str, float]
    alone: dict[str, int]
    positions: dict[int, _Position]


_decoder = msgspec.msgpack.Decoder(_Version1)
_neighbours = msgspec.msgpack.Decoder(ItemNeighbours)


def fold_all(
    states: Sequence[bytes | None], places: Sequence[int], approaches: Sequence[Approach], rules: PairRules
) -> Folded:
    """Fold transitions into the states of their items.

    Args:
        states: what is known of each item, None for nothing.
        places: of each transition, the place of its item in `states`.
        approaches: the transitions, those of one item in their order.
        rules: the half-life. Where it changes, what was counted before decays by the old one until now.

    Raises:
        PairsCodecError: a state is unreadable.
    """
    words, starts = _joined(states)
    items = np.array(places, dtype=np.int64)
    order = np.argsort(items, kind="stable")
    ends = np.cumsum(np.bincount(items, minlength=len(states)))
    transitions, before, weights, texts = _arrays(approaches)
    folded = np.empty((len(states), MOST_WORDS), dtype=np.uint64)
    lengths = np.zeros(len(states), dtype=np.int64)
    counted = np.zeros(len(approaches), dtype=np.uint8)
    unreadable = kernels.fold(
        words, starts, transitions, order, ends, before, weights, texts, rules.half_life_ms,
        np.empty(1, dtype=ITEM), folded, lengths, counted,
    )  # fmt: skip
    if unreadable >= 0:
        raise _unreadable(states[unreadable])
    changed = [
        folded[number, :length].tobytes() if length else states[number] or b""
        for number, length in enumerate(lengths.tolist())
    ]
    return Folded(changed, [flag != 0 for flag in counted.tolist()])


def encode_neighbours(keys: Sequence[int], states: Sequence[bytes]) -> list[bytes]:
    """Return what is published of the items with these stable keys, decayed to their newest transitions: messages.

    Heaviest first, ties by stable key. Raises PairsCodecError.
    """
    words, starts = _joined(states)
    messages = np.empty((len(states), MOST_BYTES), dtype=np.uint8)
    lengths = np.empty(len(states), dtype=np.int64)
    unreadable = kernels.publish(
        words, starts, np.array(keys, dtype=np.uint64), np.empty(1, dtype=ITEM), messages, lengths
    )
    if unreadable >= 0:
        raise _unreadable(states[unreadable])
    return [message[:length].tobytes() for message, length in zip(messages, lengths.tolist(), strict=True)]


def neighbours_of_all(keys: Sequence[int], states: Sequence[bytes]) -> list[ItemNeighbours]:
    """Return the same as `encode_neighbours`, decoded. Raises PairsCodecError."""
    try:
        return [_neighbours.decode(message) for message in encode_neighbours(keys, states)]
    except msgspec.DecodeError as error:
        raise PairsCodecError(f"stored pairs: a query that is no UTF-8 ({error})") from error


def _joined(states: Sequence[bytes | None]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the words of all states, and where each begins and the last one ends."""
    current = []
    for state in states:
        if state is not None and (not state or state[0] == FIRST_OF_VERSION_1 or len(state) % WORD):
            state = _from_version_1(state)
        current.append(state or b"")
    starts = np.zeros(len(states) + 1, dtype=np.int64)
    np.cumsum([len(state) // WORD for state in current], out=starts[1:])
    return np.frombuffer(bytearray().join(current), dtype=np.uint64), starts


def _unreadable(state: bytes | None) -> PairsCodecError:
    came = b"" if state is None else state
    return PairsCodecError(f"stored pairs: required version 1 to {VERSION}, got {len(came)} bytes: {came[:8].hex()}…")


def _arrays(
    approaches: Sequence[Approach],
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint64], npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Return transitions as records, with the items before them, those items' weights and their queries' texts."""
    before: list[int] = []
    weights: list[float] = []
    texts = bytearray()
    rows = []
    for each in approaches:
        before += each.before.keys()
        weights += each.before.values()
        query = 0
        if each.query:
            query, text = _query(each.query)
            texts += text
        rows.append(
            (each.at_ms, each.weight, _partition(each.topic, each.partition), each.offset, each.timestamp_ms,
             each.shopper, query, len(before), len(texts))
        )  # fmt: skip
    return (
        np.array(rows, dtype=TRANSITION),
        np.array(before, dtype=np.uint64),
        np.array(weights, dtype=np.float64),
        np.frombuffer(texts, dtype=np.uint8),
    )


@lru_cache(maxsize=2**12)
def _partition(topic: str, partition: int) -> int:
    return stable_key(f"{topic}/{partition}")


@lru_cache(maxsize=2**12)
def _query(query: str) -> tuple[int, bytes]:
    """Return the stable key of a query as it is remembered, and its text."""
    text = shortened(query)
    return stable_key(text), text.encode()


def _from_version_1(stored: bytes) -> bytes:
    try:
        item = _decoder.decode(stored)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PairsCodecError(f"stored pairs: {len(stored)} bytes that are none ({error})") from error
    if item.version != 1 or not item.half_life_ms > 0:
        raise PairsCodecError(f"stored pairs: version 1 to {VERSION} and a half-life required, others came")
    texts = {query: query.encode("utf-8", "replace") for query in item.queries}
    is_sound = len(item.before) <= BEFORE and len(item.queries) <= QUERIES and len(item.positions) <= POSITIONS
    if not is_sound or any(len(text) > REMEMBERED_BYTES for text in texts.values()):
        raise PairsCodecError("stored pairs: version 1 holds more than it may")
    sizes = len(item.before), len(item.queries), len(item.positions)
    positions = item.positions.values()
    try:
        words = [
            HEADER.pack(VERSION, *sizes, 0, item.half_life_ms, item.landmark_ms, item.latest_ms, item.mass),
            struct.pack(f"<{sizes[0]}Q", *item.before.keys()),
            struct.pack(f"<{sizes[0]}d", *item.before.values()),
            struct.pack(f"<{sizes[2]}Q", *item.positions.keys()),
            struct.pack(f"<{sizes[2]}q", *(position.offset for position in positions)),
            struct.pack(f"<{sizes[2]}q", *(position.timestamp_ms for position in positions)),
            struct.pack(f"<{sizes[1]}Q", *map(stable_key, item.queries)),
            struct.pack(f"<{sizes[1]}d", *item.queries.values()),
            struct.pack(
                f"<{sizes[1]}q",
                *(65536 * (item.alone.get(query, kernels.SHARED) + 1) + len(text) for query, text in texts.items()),
            ),
        ]
    except struct.error as error:
        raise PairsCodecError(f"stored pairs: version 1 with numbers that are too large ({error})") from error
    text = b"".join(texts.values())
    return b"".join([*words, text.ljust(_whole(len(text)), b"\0")])


def _whole(length: int) -> int:
    """Return the bytes of as many words as `length` bytes need."""
    return -(-length // WORD) * WORD
