"""Stored co-occurrence states: their size, the layout of each version, and states that are refused."""

from __future__ import annotations

import struct
from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.support import Support
from inference.types import stable_key
from streams.behaviour.cooccurrence import (
    BEFORE,
    VERSION,
)
from streams.errors import CooccurrenceCodecError
from tests.streams.behaviour.items import DAY, ITEM, RULES, fold, fold_in_turn, item_transition, neighbours
from tests.streams.shoppers import NOW_MS

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("letter", ["a", "ж", "茶", "😀"])
def test_the_largest_item_takes_at_most_6200_bytes(letter: str) -> None:
    state = None
    for number in range(1000):
        before = {2**64 - 1 - (number * 10 + place): 1.0 for place in range(10)}
        partition, at_ms = number % 100, NOW_MS + number
        each = item_transition(2**62 + number, at_ms, 1.0, before, f"{number}{letter * 300}", number, partition, at_ms)
        state = fold(state, each, RULES)
    assert state is not None
    assert len(state) <= 6200
    published = neighbours(ITEM, state)
    assert len(published.before) == BEFORE
    assert len(msgspec.msgpack.encode(published)) <= 1300


VERSION_1 = [1, RULES.half_life_ms, NOW_MS, NOW_MS + DAY, 3.0, {1: 1.0, 2: 0.5}, {"boots": 2.0, "чайник": 1.0},
             {"boots": 7}, {2**64 - 5: [41, NOW_MS]}]  # fmt: skip
"""The fields of a stored state of version 1."""


def with_field(position: int, value: object) -> bytes:
    """Return a valid state of version 1 with one field replaced."""
    return msgspec.msgpack.encode([*VERSION_1[:position], value, *VERSION_1[position + 1 :]])


def patched(offset: int, data: bytes) -> bytes:
    """Return a valid state with some bytes replaced."""
    state = fold_in_turn([item_transition(before={1: 1.0}, query="boots")])
    return state[:offset] + data + state[offset + len(data) :]


VERSION_2 = bytes.fromhex(
    "020202020000000000000000d94ff34100a4381c9c01000000005f219c010000b4c1e0eecb1710400100000000000000"
    "ffffffffffffffffb4c1e0eecb170040000000000000e03f09a018faf51ace7dc43b09c96abd403f0500000000000000"
    "040000000000000000a4381c9c01000000a4381c9c01000065a7ed1df5dbeab634f6ec3a70b0d54eb4c1e0eecb170840"
    "6883c1dd972ff03f06000000000000000500090000000000d0a7d0b0d0b9626f6f74730000000000"
)
"""A state of version 2. Later versions must read it."""
GOLDEN = bytes.fromhex(
    "030202020000000000000000d94ff34100a4381c9c01000000005f219c010000b4c1e0eecb1710400100000000000000"
    "ffffffffffffffffb4c1e0eecb170040000000000000e03f0003000000000000000200000000000009a018faf51ace7d"
    "c43b09c96abd403f0500000000000000040000000000000000a4381c9c01000000a4381c9c01000065a7ed1df5dbeab6"
    "34f6ec3a70b0d54eb4c1e0eecb1708406883c1dd972ff03f000300000000000000010000000000000600000000000000"
    "0500000000000000d0a7d0b0d0b9626f6f74730000000000"
)
"""The same state in version 3."""


def golden_state() -> bytes:
    state = fold(None, item_transition(3, before={1: 1.0, 2**64 - 1: 0.5}, query="Чай", shopper=9, weight=2.0), RULES)
    state = fold(state, item_transition(4, NOW_MS + DAY, before={1: 1.0}, query="Чай", shopper=8, partition=1), RULES)
    return fold(state, item_transition(5, NOW_MS + DAY, query="boots", shopper=8), RULES)


def test_the_layout_of_version_3_is_unchanged() -> None:
    assert golden_state() == GOLDEN
    published = neighbours(ITEM, GOLDEN)
    assert list(published.before) == [1, 2**64 - 1]
    assert list(published.queries) == ["Чай"]


def test_a_state_of_version_2_keeps_its_pairs_and_its_private_searches() -> None:
    many = Support(min_shoppers=5)
    assert neighbours(ITEM, VERSION_2) == neighbours(ITEM, GOLDEN)
    assert list(neighbours(ITEM, VERSION_2, many).before) == [1, 2**64 - 1]
    assert list(neighbours(ITEM, VERSION_2, many).queries) == ["Чай"]
    state = fold(VERSION_2, item_transition(6, NOW_MS + DAY, before={3: 1.0}, query="boots", shopper=7), RULES)
    assert state[0] == VERSION
    assert list(neighbours(ITEM, state, many).before) == [1, 2**64 - 1]  # a new pair needs its own shoppers
    assert set(neighbours(ITEM, state).queries) == {"Чай", "boots"}


def test_a_state_of_version_1_is_read_and_updated() -> None:
    old = msgspec.msgpack.encode(VERSION_1)
    share = 2.0 ** (-DAY / RULES.half_life_ms)
    published = neighbours(ITEM, old)
    assert published.as_of_ms == NOW_MS + DAY
    assert published.weight == pytest.approx(3.0 * share)
    assert published.before == pytest.approx({1: share, 2: 0.5 * share})
    assert published.queries == pytest.approx({"чайник": share})
    state = fold(old, item_transition(1, NOW_MS + DAY, before={2: 1.0}, query="boots", shopper=8), RULES)
    assert state[0] == VERSION
    published = neighbours(ITEM, state)
    assert published.before == pytest.approx({2: 1 + 0.5 * share, 1: share})
    assert published.queries == pytest.approx({"boots": 1 + 2.0 * share, "чайник": share})
    # Transitions that version 1 counted are replays.
    position = stable_key("clicks/0")
    counted = msgspec.msgpack.encode([*VERSION_1[:8], {position: [41, NOW_MS]}])
    assert fold(counted, item_transition(41), RULES) is counted
    assert fold(counted, item_transition(42), RULES) is not counted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        with_field(0, 0),
        with_field(0, VERSION),
        with_field(1, 0.0),
        with_field(1, float("nan")),
        with_field(5, dict.fromkeys(range(BEFORE + 1), 1.0)),
        with_field(6, {65 * "x": 1.0}),
        with_field(3, 2**63),
        GOLDEN[:40],
        GOLDEN[:-8],
        GOLDEN + bytes(8),
        patched(0, b"\x01"),
        patched(0, bytes([VERSION + 1])),
        patched(1, b"\xff"),
        patched(2, b"\x02"),
        patched(3, b"\xff"),
        patched(8, bytes(8)),
        patched(8, b"\xff" * 8),
        # The weights of the item, of an item before it and of a search; then the landmark and the newest time.
        *(patched(offset, struct.pack("<d", weight)) for offset in (32, 48, 96) for weight in (nan, inf, -1.0)),
        *(patched(offset, struct.pack("<q", at_ms)) for offset in (16, 24) for at_ms in (2**61 + 1, -(2**63))),
    ],
)
def test_an_invalid_state_is_refused(data: bytes) -> None:
    with pytest.raises(CooccurrenceCodecError, match="stored co-occurrence"):
        fold(data, item_transition(), RULES)
    with pytest.raises(CooccurrenceCodecError, match="stored co-occurrence"):
        neighbours(ITEM, data)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # random numbers overflow where kernels run as plain Python
@given(st.binary(min_size=1, max_size=300), st.integers(0, 300))
def test_a_damaged_state_is_refused_or_read(noise: bytes, offset: int) -> None:
    data = patched(offset, noise)
    try:
        state = fold(data, item_transition(7, NOW_MS, 1.0, {3: 1.0}, "tent", timestamp_ms=2**62), RULES)
        neighbours(ITEM, data)
    except CooccurrenceCodecError:
        return
    neighbours(ITEM, state)


@given(st.binary(max_size=200), st.integers(0, 8), st.booleans())
def test_random_bytes_are_refused(noise: bytes, position: int, replace: bool) -> None:
    data = with_field(position, noise) if replace else noise
    with pytest.raises(CooccurrenceCodecError):
        neighbours(ITEM, data)
