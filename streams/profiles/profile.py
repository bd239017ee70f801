"""A shopper's profile as people, tests and tools read it, and the rules by which interactions change one. No I/O.

Kernels change profiles as arrays (`kernels.py`); `Profile` shows one of them. Intent vectors are sums of unit vectors,
each weighed by its action and decayed in event time: v(T) = Σ wᵢ · 2^(−(T − tᵢ) / h) · xᵢ. A sum does not depend on the
order of its terms, so late and out-of-order events give the same vectors. Every memory is bounded, and so is the size
of a profile.

Three things do depend on the order: which of more than AFFINITIES labels stay; the usual interval between purchases,
where one comes late; and the start of a session without an id, which an event from before it does not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Vector, stable_key
from streams.contracts.messages import Cart, Click, Interaction, ItemAction, Purchase, Search, View
from streams.profiles.layout import LARGEST_TIME_MS, LONGEST_AGO_MS

ACTIONS: tuple[type[ItemAction], ...] = (View, Click, Cart, Purchase)
ACTION_TYPES = tuple(str(action.__struct_config__.tag) for action in ACTIONS)
SEARCH_TYPE = str(Search.__struct_config__.tag)

RECENT = np.dtype([("at_ms", "<i8"), ("key", "<u8"), ("session", "<u4"), ("action", "u1")])
AFFINITY = np.dtype([("key", "<u8"), ("weight", "<f4")])
HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<f2"), ("interval_days", "<f2")])

Memory = npt.NDArray[np.void]


class Source(NamedTuple):
    """Where an interaction lay in Kafka. `timestamp_ms` is the broker's clock when it was appended."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Position(NamedTuple):
    """The last interaction of a source topic that a profile holds: its offset, and the highest timestamp so far."""

    offset: int
    timestamp_ms: int


class PastQuery(NamedTuple):
    """A search, cut to QUERY_BYTES of UTF-8, and when it happened in event time."""

    at_ms: int
    text: str


class PriceMoments(NamedTuple):
    """Decayed sums of weights, of log(1 + price) and of its square."""

    mass: float = 0.0
    first: float = 0.0
    second: float = 0.0


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """How strongly and how long each action counts. Durations in milliseconds."""

    short_term_half_life_ms: float = 30 * 60e3
    long_term_half_life_ms: float = 30 * 86_400e3
    habit_half_life_ms: float = 90 * 86_400e3
    session_gap_ms: int = 30 * 60_000
    max_clock_skew_ms: int = 5 * 60_000
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"search": 1.0, "view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
    )


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """One shopper's memory, as of `updated_ms`, the newest event time in it.

    Attributes:
        short_term, long_term: decayed sums of item and query vectors, float32 (dim,), not normalised.
        recent: the last items, newest first, each once, dtype RECENT.
        queries: the last searches, newest first.
        categories, brands: decayed weights of labels by their stable keys, dtype AFFINITY, heaviest first.
        space: the stable key of the vector space that the vectors live in.
        positions: the last applied interaction of each source topic, by the stable key of the topic's name.
        habits: what was bought, dtype HABIT, heaviest first.
        prices: what the items acted on cost.
        session_started_ms: event time of the first action after the last pause.
    """

    updated_ms: int
    short_term: Vector
    long_term: Vector
    recent: Memory
    queries: tuple[PastQuery, ...]
    categories: Memory
    brands: Memory
    positions: Mapping[int, Position]
    space: int
    habits: Memory
    prices: PriceMoments
    session_started_ms: int


def empty(dim: int, space: int) -> Profile:
    """Return the profile of a shopper of whom nothing is known."""
    return Profile(
        updated_ms=LONGEST_AGO_MS,
        short_term=np.zeros(dim, dtype=np.float32),
        long_term=np.zeros(dim, dtype=np.float32),
        recent=np.empty(0, dtype=RECENT),
        queries=(),
        categories=np.empty(0, dtype=AFFINITY),
        brands=np.empty(0, dtype=AFFINITY),
        positions={},
        space=space,
        habits=np.empty(0, dtype=HABIT),
        prices=PriceMoments(),
        session_started_ms=LONGEST_AGO_MS,
    )


@lru_cache(maxsize=2**14)
def id_key(text: str) -> int:
    """Return the stable key of what comes again and again: an item's id, a topic's name, a label."""
    return stable_key(text)


@lru_cache(maxsize=2**12)
def session_key(session_id: str | None) -> int:
    """Return 32 bits that tell sessions apart; 0 for none."""
    return 0 if session_id is None else stable_key(session_id) & 0xFFFFFFFF or 1


def occurred_ms(interaction: Interaction) -> int:
    """Return when the shopper acted by the shop's clock, in milliseconds since the epoch."""
    return int(interaction.occurred_at.timestamp() * 1000)


def bounded_ms(timestamp_ms: int) -> int:
    """Return a time that kernels can reckon with: Kafka lets a producer set any 64 bits as the timestamp."""
    return min(max(timestamp_ms, -LARGEST_TIME_MS // 2), LARGEST_TIME_MS // 2)
