"""Stored profiles that are damaged or invalid are refused, or can be read and folded."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ProfileCodecError
from streams.profiles import profile as profiles
from streams.profiles.codec import Shoppers, encode, load
from streams.profiles.events import Source
from streams.profiles.layout import HABIT, PROFILE, VERSION
from tests.streams.profiles.versions import (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4,
    VERSION_5,
    VERSION_6,
    VERSION_7,
    empty,
)
from tests.streams.shoppers import (
    NOW_MS,
    SPACE,
    act,
    fold,
)


def with_field(position: int, value: object) -> bytes:
    """Return a valid profile of version 4 and 4 dimensions with one field replaced."""
    wire = msgspec.msgpack.decode(VERSION_4)
    wire[position] = value
    return msgspec.msgpack.encode(wire)


def damaged(name: str, value: object, place: int | None = None) -> bytes:
    """Return a valid profile of version 6 and 4 dimensions with one field, or one element of it, replaced."""
    record = np.frombuffer(VERSION_6, dtype=PROFILE, count=1).copy()
    if place is None:
        record[name] = value
    else:
        record[name][0, place] = value
    return record.tobytes() + VERSION_6[PROFILE.itemsize :]


def damaged_habit(name: str, value: int) -> bytes:
    habit = np.frombuffer(VERSION_6[-HABIT.itemsize :], dtype=HABIT).copy()
    habit[name] = value
    return VERSION_6[: -HABIT.itemsize] + habit.tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "got 0 other bytes"),
        (b"{}", f"required version 1 to {VERSION}, got 123"),
        (b"\x08" + VERSION_6[1:], f"required version 1 to {VERSION}, got 8"),
        (VERSION_7[:-1], "required a profile"),
        (VERSION_7[:-4], "required a profile"),
        (VERSION_7 + b"\x00", "required a profile"),
        (b"\x06" + VERSION_7[1:], "required a profile"),
        (damaged("earlier_length", 1), "required a profile"),
        (damaged("earlier_length", 1) + bytes(4), "required a profile"),
        (b"\x07" + damaged("earlier_length", 97)[1:] + bytes(4 * 97), "required a profile"),
        (b"\x00" + VERSION_6[1:], "got 0"),
        (b"\x05", "got 1 other bytes"),
        (b"\x06", "got 1 other bytes"),
        (VERSION_6[:-1], "required a profile"),
        (VERSION_6 + b"\x00", "required a profile"),
        (VERSION_5[:-1], "required a profile"),
        (VERSION_5[:1000], "required a profile"),
        (VERSION_5 + b"\x00", "required a profile"),
        (damaged("recent_taught", 5, 23), "required actions"),
        (encode(empty(5)), "vectors of 4 dimensions"),
        (damaged("dim", 3), "vectors of 4 dimensions"),
        (damaged("habits_length", 2), "required a profile"),
        (damaged("habits_length", 81), "required a profile"),
        (damaged("recent_length", 25), "required at most"),
        (damaged("queries_length", 4), "required at most"),
        (damaged("categories_length", 9), "required at most"),
        (damaged("brands_length", 9), "required at most"),
        (damaged("topics_length", 5), "required at most"),
        (damaged("query_lengths", 65, 2), "required at most"),
        (damaged("recent_actions", 4, 0), "actions 0 to 3"),
        (damaged("largest", np.nan, 0), "finite"),
        (damaged("largest", np.inf, 1), "finite"),
        (damaged("largest", -1.0, 1), "finite"),
        (damaged("largest", 2.0**127, 1), "finite"),
        (damaged("price_moments", np.nan, 0), "finite"),
        (damaged("category_weights", np.nan, 7), "finite"),
        (damaged("brand_weights", -1.0, 0), "finite"),
        (damaged("updated_ms", -(2**63)), "times within"),
        (damaged("session_started_ms", 2**63 - 1), "times within"),
        (damaged("recent_at_ms", 2**63 - 1, 23), "times within"),
        (damaged("query_at_ms", -(2**63), 0), "times within"),
        (damaged_habit("weight", 0x7E00), "finite"),
        (damaged_habit("interval_days", 0x7C00), "finite"),
        (with_field(0, 5), "got 5"),
        (with_field(0, 0), "got 0"),
        (with_field(1, 2**63), "64 bits"),
        (with_field(2, bytes(11)), "vectors of 4 dimensions"),
        (with_field(2, np.float32(np.nan).tobytes() + bytes(8)), "finite"),
        (with_field(2, np.float32(np.inf).tobytes() + bytes(8)), "finite"),
        (with_field(2, np.float32(-1).tobytes() + bytes(8)), "finite"),
        (with_field(4, bytes(profiles.RECENT.itemsize + 1)), "required a profile"),
        (with_field(4, np.array([(0, 1, 0, 4)], profiles.RECENT).tobytes()), "actions 0 to 3"),
        (with_field(4, bytes(25 * profiles.RECENT.itemsize)), "required at most"),
        (with_field(5, [[NOW_MS, "a"]] * 4), "required at most"),
        (with_field(6, bytes(profiles.AFFINITY.itemsize - 1)), "required a profile"),
        (with_field(6, bytes(9 * profiles.AFFINITY.itemsize)), "required at most"),
        (with_field(7, {"clicks": [1]}), "required a profile"),
        (with_field(8, b"x"), "required a profile"),
        (with_field(10, bytes(HABIT.itemsize + 1)), "required a profile"),
        (with_field(10, bytes(81 * HABIT.itemsize)), "required at most"),
        (with_field(11, ["x"]), "required a profile"),
        (with_field(12, "now"), "required a profile"),
        (VERSION_1.replace(bytes.fromhex("003c"), bytes.fromhex("007c"), 1), "finite"),
        (VERSION_4[:-1], "required a profile"),
        (b"\xdc\x10\x00" + b"\x91" * 100_000, "required a profile"),
        (b"\x9a" + VERSION_4[1:] + b"\x91" * 100_000, "required a profile"),
    ],
)  # fmt: skip
def test_an_invalid_profile_is_refused_with_the_requirement(data: bytes, words: str) -> None:
    with pytest.raises(ProfileCodecError, match=words):
        load(data, 4, SPACE)


def load_or_none(data: bytes) -> bytes | None:
    """Load a profile. Return None if it is refused."""
    try:
        return load(data, 4, SPACE)
    except ProfileCodecError:
        return None


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    assert load_or_none(data) is None or data


@given(st.sampled_from([VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7]), st.data())
def test_a_damaged_profile_is_refused_or_can_be_folded(data: bytes, draw: st.DataObject) -> None:
    damage = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damage[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.sampled_from([len(data), draw.draw(st.integers(0, len(data)))]))
    loaded = load_or_none(bytes(damage[:end]))
    if loaded is not None:
        later = Source("clicks", 0, 1000, NOW_MS + 1000)
        assert load_or_none(loaded) == loaded
        assert load_or_none(fold(loaded, act("purchase", "a", NOW_MS + 1000), later, dim=4)) is not None


def test_unreadable_profiles_of_a_batch_are_reported_by_index() -> None:
    with pytest.raises(ProfileCodecError, match="got 103") as refusal:
        Shoppers([None, b"garbage", VERSION_6, VERSION_6[:-1], VERSION_5, damaged("recent_length", 25)], 4, SPACE)
    assert sorted(refusal.value.reasons) == [1, 3, 5]
    assert len(set(refusal.value.reasons.values())) == 3
