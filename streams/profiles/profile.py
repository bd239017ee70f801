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

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.plain_text import readable
from inference.types import Vector, stable_key
from streams.contracts.messages import Cart, Click, Interaction, ItemAction, Purchase, Search, View
from streams.profiles.layout import LARGEST_TIME_MS, LONGEST_AGO_MS, MOST_EVENTS

ACTIONS: tuple[type[ItemAction], ...] = (View, Click, Cart, Purchase)
ACTION_TYPES = tuple(str(action.__struct_config__.tag) for action in ACTIONS)
SEARCH_TYPE = str(Search.__struct_config__.tag)

RECENT = np.dtype([("at_ms", "<i8"), ("key", "<u8"), ("session", "<u4"), ("action", "u1")])
AFFINITY = np.dtype([("key", "<u8"), ("weight", "<f4")])
HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<f2"), ("interval_days", "<f2")])

PLACEHOLDERS = frozenset({
    "-1", "anonymous", "empty", "false", "n/a", "na", "nan", "nil", "no session", "none", "not available",
    "not provided", "not set", "null", "undefined", "unknown", "unset",
})  # fmt: skip
"""Words in place of an id, in lower case. Ids of zeros and signs alone are placeholders too."""
_QUOTES = " \"'()[]{}<>"
_SIGNS = "_.:-"
_PLAIN = re.compile(r"[0-9A-Za-z_.:-]+", re.ASCII)
"""Ids that `readable` leaves as they are: nearly all, and each event has one."""

Memory = npt.NDArray[np.void]


class Source(NamedTuple):
    """Place of an interaction in Kafka. `timestamp_ms` is the broker's time of the append.

    `partition` is the partition that it was read from. If its producer wrote it to another one, and a worker forwarded
    it, `forwarded_from` is that other partition. `offset` and `timestamp_ms` are then the message's there. So a message
    that is forwarded twice has the same place both times.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    forwarded_from: int | None = None

    @property
    def stream(self) -> str:
        """Name of the stream within `partition` whose offsets ascend: the topic, or what was forwarded to it."""
        return self.topic if self.forwarded_from is None else f"{self.topic}<{self.forwarded_from}"

    @property
    def produced_in(self) -> int:
        """The partition that the producer wrote to."""
        return self.partition if self.forwarded_from is None else self.forwarded_from


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


def is_placeholder(text: str) -> bool:
    """Return whether an id stands for none: analytics and trackers write such words where they have no id.

    >>> [is_placeholder(text) for text in ("(not set)", "NULL", " ", "00000000-0000-0000-0000-000000000000", "s-0")]
    [True, True, True, True, False]
    """
    if _PLAIN.fullmatch(text):
        return text.lower() in PLACEHOLDERS or not text.strip("0" + _SIGNS)
    word = readable(text).strip(_QUOTES).casefold()
    return word in PLACEHOLDERS or not any(char.isalnum() and char != "0" for char in word)


@lru_cache(maxsize=2**14)
def id_key(text: str) -> int:
    """Return the stable key of a frequent text: an item's id, a topic's name, a label."""
    return stable_key(text)


@lru_cache(maxsize=2**14)
def shopper_hash(user_id: str) -> int:
    """Return 16 bits of the user id's stable key: enough to distinguish shoppers, too few to identify one."""
    return stable_key(user_id) & 0xFFFF


@lru_cache(maxsize=2**12)
def session_key(session_id: str | None) -> int:
    """Return 32 bits of the session id's hash, which are not 0; 0 for no session and for a placeholder."""
    return 0 if session_id is None or is_placeholder(session_id) else stable_key(session_id) & 0xFFFFFFFF or 1


def event_key(event_id: str, action: str, subject: str) -> int:
    """Return 32 bits of an event's hash, of its id, its action, and its item or query; 0 if its id is a placeholder.

    A message with the same id about another item is no repetition: shops send the lines of one order with its number.
    """
    if is_placeholder(event_id):
        return 0
    return stable_key(f"{len(event_id)} {event_id} {action} {subject}") & 0xFFFFFFFF or 1


def occurred_ms(interaction: Interaction) -> int:
    """Return the event time by the shop's clock, in milliseconds since the epoch."""
    return int(interaction.occurred_at.timestamp() * 1000)


def bounded_ms(timestamp_ms: int) -> int:
    """Return the time within the limits of kernels: a Kafka producer can set any 64 bits as timestamp."""
    return min(max(timestamp_ms, -LARGEST_TIME_MS // 2), LARGEST_TIME_MS // 2)
