"""A profile reads back as it was, in bounded space, in every version; what is no profile is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.types import Vector, stable_key
from streams.contracts.messages import Interaction
from streams.errors import ProfileCodecError
from streams.profiles import codec
from streams.profiles import profile as profiles
from streams.profiles.codec import VERSION, encode
from streams.profiles.habits import HABIT, PriceMoments
from streams.profiles.profile import AFFINITY, RECENT, PastQuery, Position, Profile, apply
from tests.streams.shoppers import (
    DIM,
    NOW_MS,
    RULES,
    SPREADS,
    Spread,
    act,
    at,
    fold,
    fold_all,
    histories,
    item_of,
    search,
    unit_vector,
)

SPACE = 0
decode = partial(codec.decode, space=SPACE)
empty = partial(profiles.empty, space=SPACE)

HEAD = (
    "cf0000019c1c38a400c408003c00b800340000c4080040006400c20030c42a00a4381c9c01000040f89e395b66422f070000000318a0381c9c"
)
TAIL = (
    "0100008472c2e34d854f7500000000009192cf0000019c1c38a400a972656420626f6f7473c40c50d5dd37c961108c0000204081a6636c69636b"
    "739229cf0000019c1c38a47b"
)
VERSION_1 = bytes.fromhex("9801" + HEAD + TAIL)
VERSION_2 = bytes.fromhex("9902" + HEAD + TAIL + "c40cdbbeaf7e34fa7ca50000c03f")

VERSION_3 = bytes.fromhex(
    "9a03cf0000019c1c38a400c40c0000803fff7f00c000200000c40c000080444000ff7fa0ff0400c42a00a4381c9c01000040f89e395b66422f07"
    "0000000318a0381c9c0100008472c2e34d854f7500000000009192cf0000019c1c38a400a972656420626f6f7473c40c50d5dd37c96110"
    "8c0000204081cf47e6d0f54373db359229cf0000019c1c38a47bc40cdbbeaf7e34fa7ca50000c03f00"
)


def assert_close(mine: Vector, yours: Vector) -> None:
    """Every component to half of 1/32767 of the largest one, the precision of the bytes."""
    largest = float(np.abs(yours).max())
    assert np.abs(mine - yours).max() <= largest / 32767 * 0.501


@pytest.mark.parametrize("spread", SPREADS, ids=lambda spread: spread.name)
@given(st.data())
def test_a_profile_reads_back_and_is_written_as_the_same_bytes(spread: Spread, data: st.DataObject) -> None:
    profile = fold_all(data.draw(histories(spread)))
    written = encode(profile)
    read = decode(written, DIM)
    assert_close(read.short_term, profile.short_term)
    assert_close(read.long_term, profile.long_term)
    assert (read.updated_ms, read.queries, read.positions) == (
        profile.updated_ms,
        profile.queries,
        profile.positions,
    )
    for name in ("recent", "categories", "brands", "habits"):
        assert getattr(read, name).tobytes() == getattr(profile, name).tobytes()
    assert (read.prices, read.session_started_ms) == (profile.prices, profile.session_started_ms)
    assert encode(read) == written


@given(histories(SPREADS[3]))
def test_what_storing_gives_back_is_what_reading_gives(history: list[Interaction]) -> None:
    written, kept = codec.store(fold_all(history))
    read = decode(written, DIM)
    for name in Profile.__dataclass_fields__:
        mine, yours = getattr(kept, name), getattr(read, name)
        assert mine.tobytes() == yours.tobytes() if isinstance(mine, np.ndarray) else mine == yours


vectors = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40)


@given(vectors)
@example([1e-45, -1e-45])
@example([1e30, 1e-30])
def test_any_vector_is_written_as_the_same_bytes_again(values: list[float]) -> None:
    vector = np.array(values, dtype=np.float32)
    profile = replace(empty(len(vector)), short_term=vector)
    read = decode(encode(profile), len(vector))
    assert_close(read.short_term, vector)
    assert encode(read) == encode(profile)


def test_the_profile_of_nobody_reads_back() -> None:
    assert encode(decode(encode(empty(DIM)), DIM)) == encode(empty(DIM))


def test_what_decays_a_little_at_a_time_decays_in_the_bytes_too() -> None:
    """An action every minute takes 1.6e-5 off the long-term intent each time, less than a float16 can tell."""
    actions = 3000
    profile = stored = empty(384)
    for number in range(actions):
        at_ms = NOW_MS + number * 60_000
        item_id, place = ("old" if number < actions // 2 else "new"), at(number, at_ms)
        profile = fold(profile, act("view", item_id, at_ms), place, dim=384)
        stored = decode(encode(fold(stored, act("view", item_id, at_ms), place, dim=384)), 384)
    cosine = profile.long_term @ stored.long_term
    cosine /= np.linalg.norm(profile.long_term) * np.linalg.norm(stored.long_term)
    assert cosine > 0.9999
    assert np.linalg.norm(stored.long_term) == pytest.approx(np.linalg.norm(profile.long_term), rel=1e-3)


@pytest.mark.parametrize("letter", ["a", "ж", "茶", "😀"])
def test_the_largest_profile_takes_at_most_4000_bytes(letter: str) -> None:
    profile = empty(384)
    topics = ["c" * 249, "s" * 249]
    for number in range(100):
        at_ms, place = NOW_MS + number, (2**63 - 200 + number, NOW_MS + number)
        vector = unit_vector(str(number), 384)
        interaction: Interaction = search(f"{number}{letter * 990}", at_ms, letter * 128, user_id=letter * 128)
        profile = apply(profile, interaction, at(*place, topics[0]), vector=vector, item=None, rules=RULES)
        interaction = act("purchase", f"{letter * 120}{number}", at_ms, letter * 128)
        names = {"category": (letter * 200 + str(number),), "brand": f"{letter}{number}"}
        item = msgspec.structs.replace(item_of("x"), price=0.1, **names)
        profile = apply(profile, interaction, at(*place, topics[1]), vector=vector, item=item, rules=RULES)
    assert len(profile.recent) == 24
    assert len(profile.categories) == len(profile.brands) == 8
    assert len(profile.habits) == 80
    assert len(encode(profile)) <= 4000


@pytest.mark.parametrize(
    ("data", "brands"),
    [(VERSION_1, 0), (VERSION_2, 1), (VERSION_3, 1)],
    ids=["version 1", "version 2", "version 3"],
)
def test_older_versions_are_read(data: bytes, brands: int) -> None:
    profile = decode(data, 4)
    assert profile.updated_ms == NOW_MS
    assert_close(profile.short_term, np.array([1, -0.5, 0.25, 0], dtype=np.float32))
    assert_close(profile.long_term, np.array([2, 1024, -3, 0.125], dtype=np.float32))
    assert profile.recent.tolist() == [(NOW_MS, stable_key("a"), 7, 3), (NOW_MS - 1000, stable_key("b"), 0, 0)]
    assert profile.queries == (PastQuery(NOW_MS, "red boots"),)
    assert profile.categories.tolist() == [(stable_key("Boots"), 2.5)]
    assert profile.brands.tolist() == [(stable_key("Fjell"), 1.5)][:brands]
    assert profile.positions == {stable_key("clicks"): Position(41, NOW_MS + 123)}
    assert (len(profile.habits), profile.prices) == (0, PriceMoments())
    assert profile.session_started_ms == NOW_MS


def test_an_older_version_knows_its_replays_and_is_written_in_the_newest() -> None:
    profile = decode(VERSION_1, 4)
    assert fold(profile, act("view", "a"), at(41), dim=4) is profile
    written = encode(profile)
    assert msgspec.msgpack.decode(written)[0] == VERSION
    assert decode(written, 4).positions == profile.positions


def with_field(position: int, value: object) -> bytes:
    """Return a good profile of 4 dimensions with one field replaced."""
    wire = msgspec.msgpack.decode(encode(decode(VERSION_2, 4)))
    wire[position] = value
    return msgspec.msgpack.encode(wire)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"{}", "no profile"),
        (with_field(0, VERSION + 1), f"{VERSION + 1} came"),
        (with_field(0, 0), "0 came"),
        (encode(empty(5)), "vectors of 4 dimensions"),
        (with_field(2, bytes(11)), "vectors of 4 dimensions"),
        (with_field(2, np.float32(np.nan).tobytes() + bytes(8)), "finite"),
        (with_field(2, np.float32(np.inf).tobytes() + bytes(8)), "finite"),
        (with_field(2, np.float32(-1).tobytes() + bytes(8)), "finite"),
        (with_field(4, bytes(RECENT.itemsize + 1)), "no profile"),
        (with_field(4, np.array([(0, 1, 0, 4)], RECENT).tobytes()), "actions 0 to 3"),
        (with_field(6, bytes(AFFINITY.itemsize - 1)), "no profile"),
        (with_field(7, {"clicks": [1]}), "no profile"),
        (with_field(8, b"x"), "no profile"),
        (with_field(10, bytes(HABIT.itemsize + 1)), "no profile"),
        (with_field(11, ["x"]), "no profile"),
        (with_field(12, "now"), "no profile"),
        (VERSION_1.replace(bytes.fromhex("003c"), bytes.fromhex("007c"), 1), "finite"),
        (encode(empty(4))[:-1], "no profile"),
        (b"\xdc\x10\x00" + b"\x91" * 100_000, "no profile"),
        (b"\x9a" + encode(empty(4))[1:] + b"\x91" * 100_000, "no profile"),
    ],
)  # fmt: skip
def test_what_is_no_profile_is_refused_with_what_was_required(data: bytes, words: str) -> None:
    with pytest.raises(ProfileCodecError, match=words):
        decode(data, 4)


def answer(data: bytes) -> Profile | None:
    """Decode, or be refused; anything else fails the test."""
    try:
        return decode(data, 4)
    except ProfileCodecError:
        return None


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    assert answer(data) is None or data


@given(st.sampled_from([VERSION_1, VERSION_2, VERSION_3, with_field(0, VERSION)]), st.data())
def test_any_damage_is_refused_or_read_as_a_profile_that_can_go_on(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.sampled_from([len(data), draw.draw(st.integers(0, len(data)))]))
    profile = answer(bytes(damaged[:end]))
    if profile is not None:
        assert encode(decode(encode(profile), 4)) == encode(profile)
