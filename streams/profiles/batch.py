"""Arrays of a batch: events, profiles, and the answers that kernels write."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.queries import QUERY, QueryBatch
from inference.types import Keys, Vector
from streams.profiles.layout import EARLIER, HABIT, HABITS, PROFILE, QUERY_BYTES, RECENT_ITEMS, Profiles
from streams.profiles.profile import ACTION_TYPES, ACTIONS, SEARCH_TYPE, ProfileRules

PURCHASE = ACTION_TYPES.index("purchase")
SEARCH, ARRIVAL = len(ACTIONS), len(ACTIONS) + 1
"""Actions after the places of ACTIONS. An arrival changes nothing: it only needs the query."""
OK, LATE, REPLAYED, DUPLICATE = 0, 1, 2, 3
"""Outcomes of an event. A late event is older than the shopper's newest action. A duplicate was sent before."""

EVENT = np.dtype(
    [
        ("occurred_ms", "<i8"),
        ("timestamp_ms", "<i8"),
        ("offset", "<i8"),
        ("topic", "<u8"),
        ("item", "<u8"),
        ("category", "<u8"),
        ("brand", "<u8"),
        ("log_price", "<f8"),
        ("session", "<u4"),
        ("shopper", "<i4"),
        ("partition", "<i4"),
        ("vector", "<i4"),
        ("event_key", "<u4"),
        ("action", "u1"),
        ("text_length", "u1"),
        ("text", "u1", QUERY_BYTES),
        ("shopper_hash", "<u2"),
        ("produced_in", "<u2"),
    ],
    align=True,
)
"""An event. `topic`, `item`, `category` and `brand` are stable keys, 0 if there is none.

`shopper` is the row of the shopper's profile. `vector` is the row among the batch's item vectors, or among its text
vectors for a search; -1 if there is no vector. `event_key` is a hash of the event's id, 0 if there is
none. `log_price` is log(1 + price), NaN if unknown. `text` is the text of a search, in UTF-8, empty if it has no words.
`shopper_hash` is 16 bits of the shopper's stable key. `produced_in` is the partition that the producer wrote to.
"""
PACKED_EVENT = Struct(f"<qqqQQQQdIiiiIBB{QUERY_BYTES}sHH")
"""An event packed by Python, in the order of the fields. This takes a fraction of the time of filling an array."""

ANSWER = np.dtype(
    [
        ("at_ms", "<i8"),
        ("session_started_ms", "<i8"),
        ("session_at_ms", "<i8"),
        ("first_offset", "<i8"),
        ("first_partition", "<i4"),
        ("weight", "<f8"),
        ("last_query_weight", "<f8"),
        ("learned", "<f8"),
        ("before", "<u8", RECENT_ITEMS),
        ("before_shares", "<f8", RECENT_ITEMS),
        ("before_length", "<i4"),
        ("tied_length", "<i4"),
        ("day_events", "<i4"),
        ("outcome", "u1"),
        ("last_query_length", "u1"),
        ("led_query_length", "u1"),
        ("unlearned", "u1"),
        ("purchase", "u1"),
        ("last_query", "u1", QUERY_BYTES),
        ("led_query", "u1", QUERY_BYTES),
    ],
    align=True,
)
"""Values of an event beside the query. `at_ms` is its event time, and `weight` the weight of its action. `learned` is
the part of the weight that others learn, and `unlearned` the reason if they learn nothing (`teaching.py`).
`day_events` counts the shopper's events of the day, this one included. `purchase` is the kind of a purchase
(`habits.py`), 0 without one.

`before` holds the items of the session before the event's item, newest first, each with its share of the weight in
`before_shares`, and behind them the `tied_length` items of the same millisecond. `led_query` is the search that led to
the event. `last_query` is the shopper's newest search, and `last_query_weight` its decayed weight. A length of 0 means
that there is none. `session_started_ms` is the start of the session, and `session_at_ms` the time of its newest item.
`first_offset` and `first_partition` are the place to which the event was produced, for a duplicate that of the event
which it repeats.
"""

RULES = np.dtype(
    [
        ("short_term_half_life_ms", "<f8"),
        ("long_term_half_life_ms", "<f8"),
        ("habit_half_life_ms", "<f8"),
        ("session_gap_ms", "<i8"),
        ("max_clock_skew_ms", "<i8"),
        ("weights", "<f8", len(ACTIONS) + 2),
        ("window", "<i8"),
        ("list_size", "<i8"),
        ("faded", "<f8"),
        ("robot_minute", "<i8"),
        ("robot_day", "<i8"),
    ],
    align=True,
)
"""`ProfileRules` for kernels. `weights` are indexed by action. `window` is the most items in `before`."""


class ProfileBatch(NamedTuple):
    """Profiles as arrays, one row for each shopper; see `layout.py`.

    Attributes:
        records: dtype PROFILE, (n,).
        shares: shares of the two vectors, int16 (n, 2, dim).
        habits: dtype HABIT, (n, HABITS). Row i has `records[i]["habits_length"]` habits.
        earlier: fingerprints of the session's earlier items (`earlier.py`), uint32 (n, EARLIER). Row i has
            `records[i]["earlier_length"]` of them, newest first.
    """

    records: Profiles
    shares: npt.NDArray[np.int16]
    habits: Profiles
    earlier: npt.NDArray[np.uint32]

    @staticmethod
    def empty(n: int, dim: int) -> ProfileBatch:
        """Return uninitialised arrays for `n` profiles."""
        return ProfileBatch(
            np.empty(n, dtype=PROFILE),
            np.empty((n, 2, dim), dtype=np.int16),
            np.empty((n, HABITS), dtype=HABIT),
            np.empty((n, EARLIER), dtype=np.uint32),
        )


class EventBatch(NamedTuple):
    """Events in order, dtype EVENT (n,), with vectors of items, int8 (i, dim), and of searches, float32 (s, dim)."""

    events: npt.NDArray[np.void]
    item_vectors: npt.NDArray[np.int8]
    text_vectors: Vector


class AnswerBatch(NamedTuple):
    """Output of kernels, one row for each event: the arrays of a QueryBatch, and records of dtype ANSWER."""

    queries: npt.NDArray[np.void]
    vectors: npt.NDArray[np.int8]
    inverse_norms: Vector
    exclude: Keys
    exclude_starts: npt.NDArray[np.int64]
    answers: npt.NDArray[np.void]

    @staticmethod
    def empty(n: int, dim: int) -> AnswerBatch:
        """Return arrays for `n` events."""
        return AnswerBatch(
            np.zeros(n, dtype=QUERY),
            np.empty((n, 3, dim), dtype=np.int8),
            np.empty((n, 3), dtype=np.float32),
            np.empty(n * (RECENT_ITEMS + HABITS), dtype=np.uint64),
            np.zeros(n + 1, dtype=np.int64),
            np.zeros(n, dtype=ANSWER),
        )

    def query_batch(self, texts: list[str | None]) -> QueryBatch:
        """Return the queries."""
        exclude = self.exclude[: self.exclude_starts[-1]]
        return QueryBatch(self.queries, self.vectors, self.inverse_norms, texts, exclude, self.exclude_starts)


class Scratch(NamedTuple):
    """Working memory of a kernel.

    Attributes:
        unit: a unit vector, float32 (dim,).
        sums: a sum of vectors, float32 (dim,).
        bits: the memory of `sums` as int32 (dim,).
        ranks: ranks of habits, float64 (HABITS,).
    """

    unit: Vector
    sums: Vector
    bits: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.float64]

    @staticmethod
    def empty(dim: int) -> Scratch:
        """Return working memory for vectors of `dim` dimensions."""
        # `bits` is a view of the memory of `sums`, not a copy: a kernel reads the floats that it wrote as integers.
        sums = np.empty(dim, dtype=np.float32)
        return Scratch(np.empty(dim, dtype=np.float32), sums, sums.view(np.int32), np.empty(HABITS))


def rules_record(rules: ProfileRules, *, window: int, list_size: int, faded: float) -> npt.NDArray[np.void]:
    """Return the rules as one record of dtype RULES, (1,)."""
    record = np.zeros(1, dtype=RULES)
    for name in ("short_term_half_life_ms", "long_term_half_life_ms", "habit_half_life_ms"):
        record[name] = getattr(rules, name)
    record["session_gap_ms"], record["max_clock_skew_ms"] = rules.session_gap_ms, rules.max_clock_skew_ms
    # The last weight is that of an arrival, which is no action and must teach nothing.
    record["weights"] = [*(rules.weights[action] for action in (*ACTION_TYPES, SEARCH_TYPE)), 0.0]
    record["robot_minute"], record["robot_day"] = rules.robot_events_per_minute, rules.robot_events_per_day
    record["window"], record["list_size"], record["faded"] = min(window, RECENT_ITEMS), list_size, faded
    return record


def texts_of(texts: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint8]) -> list[str | None]:
    """Return the texts of stored searches, (n, QUERY_BYTES) in UTF-8. The text of length 0 is None."""
    data, width = texts.tobytes(), texts.shape[1]
    return [
        data[place * width : place * width + length].decode("utf-8", "replace") if length else None
        for place, length in enumerate(lengths.tolist())
    ]


def fixed_size(dim: int) -> int:
    """Return the bytes of a stored profile without habits."""
    return PROFILE.itemsize + 4 * dim
