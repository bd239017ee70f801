"""Profile of a shopper in readable form, and the rules by which interactions change it. No I/O.

Kernels change profiles as arrays (`kernels.py`). `Profile` shows one of them to people, tests and tools.

Intent vectors are sums of unit vectors, each weighted by its action and decayed in event time:
v(T) = Σ wᵢ · 2^(−(T − tᵢ) / h) · xᵢ. A sum does not depend on the order of its terms, so late events give the same
vectors. All lists of a profile are bounded, and so is its size.

Four values do depend on the order of events: which labels stay if there are more than AFFINITIES; the usual interval
between purchases, if one comes late; the start of a session without an id, which a late event does not move; and the
order of the session's earlier items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.types import Vector
from streams.contracts.messages import Cart, Click, ItemAction, Purchase, Search, View
from streams.profiles.layout import LONGEST_AGO_MS, MOST_EVENTS

ACTIONS: tuple[type[ItemAction], ...] = (View, Click, Cart, Purchase)
ACTION_TYPES = tuple(str(action.__struct_config__.tag) for action in ACTIONS)
SEARCH_TYPE = str(Search.__struct_config__.tag)

RECENT = np.dtype([("at_ms", "<i8"), ("key", "<u8"), ("session", "<u4"), ("action", "u1")])
AFFINITY = np.dtype([("key", "<u8"), ("weight", "<f4")])
HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<f2"), ("interval_days", "<f2")])

Memory = npt.NDArray[np.void]


class Position(NamedTuple):
    """Last interaction of a source topic in a profile: its offset, and the highest timestamp so far."""

    offset: int
    timestamp_ms: int


class PastQuery(NamedTuple):
    """Search, cut to QUERY_BYTES of UTF-8, and its event time."""

    at_ms: int
    text: str


class PastEvent(NamedTuple):
    """Event that was folded: `event_keys`, `event_offsets` and `event_sources` of the stored record (`layout.py`)."""

    key: int
    offset: int
    source: int = 0


class Activity(NamedTuple):
    """Minute of the newest event, since the epoch, and the events counted in that minute and in its day."""

    minute: int = 0
    minute_events: int = 0
    day_events: int = 0


NO_ACTIVITY = Activity()


class PriceMoments(NamedTuple):
    """Decayed sums of the weights, of log(1 + price) and of its square."""

    weight: float = 0.0
    first: float = 0.0
    second: float = 0.0


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """Weights and half-lives of actions, and the rates beyond which a shopper is a robot. Durations in milliseconds."""

    short_term_half_life_ms: float = 30 * 60e3
    long_term_half_life_ms: float = 30 * 86_400e3
    habit_half_life_ms: float = 90 * 86_400e3
    session_gap_ms: int = 30 * 60_000
    max_clock_skew_ms: int = 5 * 60_000
    robot_events_per_minute: int = 120
    robot_events_per_day: int = 2000
    trends_events_per_day: int = MOST_EVENTS
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"search": 1.0, "view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0}
    )


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Profile of one shopper at `updated_ms`, the newest event time in it.

    Attributes:
        short_term, long_term: decayed sums of item and query vectors, float32 (dim,), not normalised.
        recent: last items, newest first, each once, dtype RECENT.
        queries: last searches, newest first.
        categories, brands: decayed weights of labels by stable key, dtype AFFINITY, heaviest first.
        space: stable key of the vector space of the vectors.
        positions: last applied interaction of each source topic, by the stable key of the topic's name.
        habits: items bought, dtype HABIT, heaviest first.
        prices: prices of the items acted on.
        session_started_ms: event time of the first action after the last pause.
        events: last events in the order of their arrival, newest first.
        activity: how fast the shopper acts.
        taught: for each of `recent`, what its day had taught before its newest action; see `teaching.py`.
        earlier: fingerprints of items of the session that dropped out of `recent`, newest first; see `earlier.py`.
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
    events: tuple[PastEvent, ...] = ()
    activity: Activity = NO_ACTIVITY
    taught: bytes = b""
    earlier: tuple[int, ...] = ()


def empty(dim: int, space: int) -> Profile:
    """Return the profile of a new shopper."""
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
