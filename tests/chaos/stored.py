"""Decoders of stored bytes, from the layouts that docs/architecture.md and the layouts' docstrings describe."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

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
        ("topic_keys", "<u8", 4),
        ("topic_offsets", "<i8", 4),
        ("topic_timestamps_ms", "<i8", 4),
        ("recent_at_ms", "<i8", 24),
        ("recent_keys", "<u8", 24),
        ("query_at_ms", "<i8", 3),
        ("category_keys", "<u8", 8),
        ("brand_keys", "<u8", 8),
        ("query_texts", "u1", (3, 64)),
        ("recent_sessions", "<u4", 24),
        ("category_weights", "<f4", 8),
        ("brand_weights", "<f4", 8),
        ("largest", "<f4", 2),
        ("recent_actions", "u1", 24),
        ("dim", "<u2"),
        ("query_lengths", "u1", 3),
        ("reserved", "u1", 3),
    ],
    align=True,
)
"""The record of version 5. Later versions append fields to it. Then come 4 bytes for each dimension, the habits, and in
version 7 4 bytes for each earlier item of the session."""
PROFILE_VERSIONS = (5, 6, 7)
HABIT = np.dtype([("key", "<u8"), ("at_s", "<u4"), ("weight", "<f2"), ("interval_days", "<f2")], align=True)
COOCCURRENCE_HEADER = struct.Struct("<B7xdqqd")
"""Version, half-life, landmark, newest action, weight of all actions at the landmark."""
COOCCURRENCE_VERSIONS = (2, 3)


class UnreadableStateError(Exception):
    """The stored bytes are not of a version in this module."""


class StoredProfile(NamedTuple):
    """Fields of a stored profile, as in `model.ExpectedProfile`."""

    updated_ms: int
    recent: list[tuple[int, int, int]]
    queries: list[tuple[int, str]]
    habits: dict[int, tuple[int, float]]
    weight: float
    offsets: dict[int, int]


class StoredItem(NamedTuple):
    """Newest action of a stored co-occurrence state, and the weight of all, decayed to it."""

    latest_ms: int
    weight: float


def read_profile(data: bytes | None) -> StoredProfile:
    """Decode a profile. Raises UnreadableStateError."""
    if not data or data[0] not in PROFILE_VERSIONS:
        raise UnreadableStateError(f"profile: required version {PROFILE_VERSIONS}, got {data[0] if data else 'none'}")
    if len(data) < PROFILE.itemsize:
        raise UnreadableStateError(f"profile: required at least {PROFILE.itemsize} bytes, got {len(data)}")
    fields = np.frombuffer(data, PROFILE, 1)[0]
    habits = int(fields["habits_length"])
    habits_at = len(data) - HABIT.itemsize * habits - 4 * int(fields["earlier_length"])
    if habits_at < PROFILE.itemsize + 4 * int(fields["dim"]):
        raise UnreadableStateError(f"profile: required room for its vectors and habits, got {len(data)} bytes")
    recent, searches, topics = (int(fields[f"{name}_length"]) for name in ("recent", "queries", "topics"))
    texts = [bytes(fields["query_texts"][row][: fields["query_lengths"][row]]).decode() for row in range(searches)]
    lists = fields["recent_at_ms"], fields["recent_keys"], fields["recent_actions"]
    return StoredProfile(
        updated_ms=int(fields["updated_ms"]),
        recent=list(zip(*(each[:recent].tolist() for each in lists), strict=True)),
        queries=list(zip(fields["query_at_ms"][:searches].tolist(), texts, strict=True)),
        habits={
            int(each["key"]): (int(each["at_s"]), float(each["weight"]))
            for each in np.frombuffer(data, HABIT, habits, habits_at)
        },
        weight=float(fields["price_moments"][0]),
        offsets=dict(
            zip(fields["topic_keys"][:topics].tolist(), fields["topic_offsets"][:topics].tolist(), strict=True)
        ),
    )


def read_cooccurrence(data: bytes | None) -> StoredItem:
    """Decode the header of a co-occurrence state. Raises UnreadableStateError."""
    if not data or data[0] not in COOCCURRENCE_VERSIONS or len(data) < COOCCURRENCE_HEADER.size:
        got = data[0] if data else "none"
        raise UnreadableStateError(f"co-occurrence: required version {COOCCURRENCE_VERSIONS}, got {got}")
    _, half_life_ms, landmark_ms, latest_ms, weight = COOCCURRENCE_HEADER.unpack_from(data)
    return StoredItem(latest_ms, weight * 2.0 ** ((landmark_ms - latest_ms) / half_life_ms))
