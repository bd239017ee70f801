"""Binary layout of a profile in RocksDB and on the changelog. Kernels change the same bytes in place.

A stored profile, version 7, is one record of dtype PROFILE, the shares of the two intent vectors, one record of dtype
HABIT for each habit of the shopper, and the fingerprints of the session's earlier items:

    PROFILE, 1,272 bytes | int16 (2, dim) | HABIT (habits_length,) | uint32 (earlier_length,)

The first byte is the version. It is below 0x80, so it cannot begin a MessagePack array, as versions 1 to 4 do.
Version 6 is the same without fingerprints. Profiles without any are still written as version 6, so that workers of
0.2.0 can read all but those of open sessions of more than RECENT_ITEMS items. The record of version 5 lacks the fields
at its end.

A vector is stored as its largest component in float32 (`largest`), and each component's share of it in int16. A decay
scales all components alike, so it changes `largest` and no share. In float16 each component would be rounded by itself.
A decay of less than 2⁻¹² between two actions, as of the long-term intent within a session, would be rounded away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inference.encoding.text import REMEMBERED_BYTES

VERSION = 7
VERSION_6 = 6
"""Version of a profile without fingerprints."""
VERSION_5, RECORD_5 = 5, 1080
"""Version whose record is the first RECORD_5 bytes of the newest one. The fields after them are 0 then."""
RECENT_ITEMS, RECENT_QUERIES, AFFINITIES, TOPICS, HABITS, RECENT_EVENTS = 24, 3, 8, 4, 80, 16
QUERY_BYTES = REMEMBERED_BYTES
"""Most bytes of a search. With the other limits a profile without fingerprints has at most 4,088 bytes at 384
dimensions, in any script."""
EARLIER = 96
"""Most fingerprints of earlier items. An item is taken for one of them by mistake with probability EARLIER / 2³²."""
MOST_VARIABLE_BYTES = 1288
"""Bytes that habits and fingerprints share: a profile of 384 dimensions then has at most 4,096 bytes."""
MOST_EVENTS = 2**16 - 1
"""Events of a day of a robot, and the greatest count of a minute."""
PARTITION_BITS = 13
MOST_PARTITIONS = 2**PARTITION_BITS - 1
"""Greatest number of a partition that a profile can hold. Kafka advises far fewer."""
ROBOT = 7
"""Value of `recent_taught` and `event_sources` for an action of a robot. It fits into three bits."""
SHORT_TERM, LONG_TERM = 0, 1
"""Places of the two intent vectors."""
SHARES = 2**15 - 1
"""Share of the largest component."""
LARGEST_TIME_MS = 2**62
"""Limit of times in both directions, so that differences of times fit into 64 bits."""
LONGEST_AGO_MS = -LARGEST_TIME_MS
"""Time of an event that has not happened."""

PROFILE = np.dtype(
    [
        ("version", "u1"),
        ("recent_length", "u1"),
        ("queries_length", "u1"),
        ("categories_length", "u1"),
        ("brands_length", "u1"),
        ("topics_length", "u1"),
        ("habits_length", "u1"),
        ("earlier_length", "u1"),
        ("updated_ms", "<i8"),
        ("session_started_ms", "<i8"),
        ("space", "<u8"),
        ("price_moments", "<f8", 3),
        ("topic_keys", "<u8", TOPICS),
        ("topic_offsets", "<i8", TOPICS),
        ("topic_timestamps_ms", "<i8", TOPICS),
        ("recent_at_ms", "<i8", RECENT_ITEMS),
        ("recent_keys", "<u8", RECENT_ITEMS),
        ("query_at_ms", "<i8", RECENT_QUERIES),
        ("category_keys", "<u8", AFFINITIES),
        ("brand_keys", "<u8", AFFINITIES),
        ("query_texts", "u1", (RECENT_QUERIES, QUERY_BYTES)),
        ("recent_sessions", "<u4", RECENT_ITEMS),
        ("category_weights", "<f4", AFFINITIES),
        ("brand_weights", "<f4", AFFINITIES),
        ("largest", "<f4", 2),
        ("recent_actions", "u1", RECENT_ITEMS),
        ("dim", "<u2"),
        ("query_lengths", "u1", RECENT_QUERIES),
        ("reserved", "u1", 3),
        ("event_keys", "<u4", RECENT_EVENTS),
        ("event_offsets", "<u4", RECENT_EVENTS),
        ("event_sources", "<u2", RECENT_EVENTS),
        ("minute", "<u4"),
        ("minute_events", "<u2"),
        ("day_events", "<u2"),
        ("recent_taught", "u1", RECENT_ITEMS),
    ],
    align=True,
)
"""A profile without habits and shares. Lists are padded with zeros. `Profile` describes the fields.

`recent_*` and `query_*` are newest first, `category_*`, `brand_*` and habits heaviest first. `event_*` are the last
events in the order of their arrival, newest first: 32 bits of the event's hash, 0 for none, the lowest 32 bits of its
offset, and the partition that its producer wrote to. Above the 13 bits of the partition, `event_sources` has what the
day of the event's item had taught before it, like `recent_taught`. So a replay teaches the same.

`minute` is that of the newest event, since the epoch, with the events in it and in its day. `recent_taught` is 1 + the
place of the heaviest action that an item's day taught before its newest one, 0 without one, ROBOT if that is a robot's
(`teaching.py`).
"""

HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<u2"), ("interval_days", "<u2")], align=True)
"""A habit: an item with its last purchase, the decayed number of purchases at that time, and the usual interval.

`weight` and `interval_days` are the bits of a float16, which kernels cannot read on a CPU; see `float16.py`.
"""

Profiles = npt.NDArray[np.void]
"""Records of dtype PROFILE, (n,)."""

Record = Any
"""Record of a structured array. Writing to its fields writes to the array."""
Array = Any
int64_of: Any = np.int64
"""Conversion of a record's field: numba would turn an unsigned with a signed integer into a float."""
