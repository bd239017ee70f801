"""The profile codec: exact round trips, bounded size, all versions, and invalid bytes."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Interaction
from streams.errors import ConfigurationError, ProfileCodecError
from streams.profiles import codec
from streams.profiles import profile as profiles
from streams.profiles.codec import Shoppers, encode, load
from streams.profiles.layout import HABIT, MOST_PARTITIONS, PROFILE, RECORD_5, ROBOT, VERSION, fixed_size
from streams.profiles.layout import VERSION_6 as VERSION_6_NUMBER
from streams.profiles.profile import Activity, PastEvent, PastQuery, Position, PriceMoments, Source
from streams.settings import load_settings
from tests.streams.profiles import reference
from tests.streams.shoppers import (
    DIM,
    NOW_MS,
    RULES,
    SPACE,
    TIME_SPANS,
    SourcedInteraction,
    TimeSpan,
    act,
    at,
    fold,
    fold_all,
    fold_batch,
    histories,
    item_of,
    search,
    subject,
    unit_vector,
)

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


VERSION_4 = bytes.fromhex(
    "9d04"
    + VERSION_3.hex()[4:]
    + "c410dbbeaf7e34fa7ca5800e8069003e003c93cb400a000000000000cb3ff0000000000000cb4000000000"
    "000000cf0000019c1c38a018"
)
"""Version 4: version 3 with a habit, prices and the start of the session."""

VERSION_5 = zlib.decompress(
    base64.b85decode(
        b"c-muSVgvyOh9wp<bAXh@0tk%?xEvt#2YaZ1gX!&J=dTx@xijDZnhf|s^%89MAOXDY8T`QE$2`mEG$;L*qC<~;Tm4IioCk2kPr%i?"
        b"<|h*cddM~Q_P+IXCckQylB>TcHANvQKfk1yVQ2z&n%kh@fM5QAJ%0HHpnQW1GY(l622L>jzn<X$g90#}16d3Hv%urEfv+Kx!H&TO0OII0js"
    )
)
"""Version 4 as version 5, compressed: it is mostly zeros."""
EVENTS = (PastEvent(0xDEADBEEF, 41, 3), PastEvent(7, 2**32 - 1, 2**16 - 1))
VERSION_6 = b"".join(
    (
        b"\x06" + VERSION_5[1:RECORD_5],
        np.array([0xDEADBEEF, 7], "<u4").tobytes() + bytes(56) + np.array([41, 2**32 - 1], "<u4").tobytes() + bytes(56),
        b"\x03\0\xff\xff" + bytes(28),
        bytes(32),
        VERSION_5[RECORD_5:],
    )
)
"""Version 5 with two events, without the shopper's activity."""
EARLIER_ITEMS = (0xC0FFEE, 2**32 - 1)
VERSION_7 = b"\x07" + VERSION_6[1:7] + b"\x02" + VERSION_6[8:] + bytes.fromhex("eeffc000ffffffff")
"""Version 6 with two earlier items of the session."""


def assert_close(actual: Vector, expected: Vector) -> None:
    """Compare to half of 1/32767 of the largest component, the precision of the bytes."""
    largest = float(np.abs(expected).max())
    assert np.abs(actual - expected).max() <= largest / 32767 * 0.501


@pytest.mark.parametrize("time_span", TIME_SPANS, ids=lambda time_span: time_span.name)
@given(st.data())
def test_a_profile_round_trips(time_span: TimeSpan, data: st.DataObject) -> None:
    stored = fold_all(data.draw(histories(time_span)))
    assert load(stored, DIM, SPACE) == stored
    assert encode(decode(stored, DIM)) == stored
    profile = decode(stored, DIM)
    assert len(stored) == fixed_size(DIM) + HABIT.itemsize * len(profile.habits) + 4 * len(profile.earlier)


vectors = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40)


@given(vectors)
@example([1e-45, -1e-45])
@example([1e30, 1e-30])
def test_any_vector_round_trips(values: list[float]) -> None:
    vector = np.array(values, dtype=np.float32)
    profile = replace(empty(len(vector)), short_term=vector)
    read = decode(encode(profile), len(vector))
    assert_close(read.short_term, vector)
    assert encode(read) == encode(profile)


def test_an_empty_profile_round_trips() -> None:
    assert encode(decode(encode(empty(DIM)), DIM)) == encode(empty(DIM)) == load(None, DIM, SPACE)


def test_small_decay_steps_are_not_lost_by_rounding() -> None:
    """Each minute decays the long-term intent by 1.6e-5, less than the precision of a float16."""
    actions = 3000
    profile, history = empty(384), list[SourcedInteraction]()
    for number in range(actions):
        at_ms = NOW_MS + number * 60_000
        action = act("view", "old" if number < actions // 2 else "new", at_ms)
        history.append((action, at(number, at_ms)))
        vector = unit_vector(subject(action), 384)
        profile = reference.apply(profile, *history[-1], vector=vector, item=None, rules=RULES)
    stored = decode(fold_batch(None, history, dim=384)[0], 384)
    cosine = profile.long_term @ stored.long_term
    cosine /= np.linalg.norm(profile.long_term) * np.linalg.norm(stored.long_term)
    assert cosine > 0.9999
    assert np.linalg.norm(stored.long_term) == pytest.approx(np.linalg.norm(profile.long_term), rel=1e-3)


@pytest.mark.parametrize("letter", ["a", "ж", "茶", "😀"])
def test_the_largest_profile_takes_at_most_4096_bytes(letter: str) -> None:
    topics = ["c" * 249, "s" * 249, "o" * 249, "p" * 249, "q" * 249]
    history: list[SourcedInteraction] = []
    for number in range(100):
        at_ms, place = NOW_MS + number, (2**63 - 200 + number, NOW_MS + number)
        interaction: Interaction = search(f"{number}{letter * 990}", at_ms, letter * 128, user_id=letter * 128)
        history.append((interaction, at(*place, topics[number % 4])))
        history.append((act("purchase", f"{letter * 120}{number}", at_ms, letter * 128), at(*place, topics[4])))

    def labelled(item_id: str) -> Item:
        names = {"category": (letter * 200 + item_id[-2:],), "brand": f"{letter}{item_id[-2:]}"}
        return msgspec.structs.replace(item_of(item_id), price=0.1, **names)

    stored, _ = fold_batch(None, history, dim=384, item_of=labelled)
    profile = decode(stored, 384)
    assert len(profile.recent) == 24
    assert len(profile.categories) == len(profile.brands) == 8
    assert (len(profile.habits), len(profile.positions), len(profile.queries)) == (80, 4, 3)
    assert len(stored) <= 4096


def test_a_profile_without_habits_is_2808_bytes() -> None:
    assert len(fold_all([act("view", "a")], dim=384)) == PROFILE.itemsize + 4 * 384 == 2808


@pytest.mark.parametrize(
    ("data", "brands"),
    [(VERSION_1, 0), (VERSION_2, 1), (VERSION_3, 1), (VERSION_4, 1), (VERSION_5, 1), (VERSION_6, 1), (VERSION_7, 1)],
    ids=[f"version {version}" for version in range(1, 8)],
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
    assert profile.earlier == (EARLIER_ITEMS if data is VERSION_7 else ())
    if data not in (VERSION_4, VERSION_5, VERSION_6, VERSION_7):
        assert (len(profile.habits), profile.prices) == (0, PriceMoments())
        assert profile.session_started_ms == NOW_MS


@pytest.mark.parametrize("data", [VERSION_4, VERSION_5, VERSION_6, VERSION_7])
def test_habits_prices_and_the_start_of_the_session_are_read(data: bytes) -> None:
    profile = decode(data, 4)
    assert profile.habits.tolist() == [(stable_key("Fjell"), NOW_MS // 1000, 1.5, 1.0)]
    assert profile.prices == PriceMoments(3.25, 1.0, 2.0)
    assert profile.session_started_ms == NOW_MS - 1000


def test_the_layout_of_versions_6_and_7_is_unchanged() -> None:
    """A change of the layout needs a new version."""
    assert VERSION_7[0] == VERSION
    assert len(VERSION_7) == len(VERSION_6) + 8
    assert load(VERSION_7, 4, SPACE) == encode(decode(VERSION_7, 4)) == VERSION_7
    assert len(VERSION_5) == 1080 + 16 + 16
    assert len(VERSION_6) == PROFILE.itemsize + 16 + 16 == 1272 + 16 + 16
    assert decode(VERSION_6, 4).events == EVENTS
    acted = replace(decode(VERSION_6, 4), activity=Activity(29_500_000, 7, 9), taught=bytes([3, ROBOT]))
    assert encode(acted)[1240:1272] == bytes.fromhex("6022c201" + "0700" + "0900" + "0307" + 22 * "00")
    for stored in (VERSION_6, encode(acted)):
        assert load(stored, 4, SPACE) == encode(decode(stored, 4)) == stored


def test_a_profile_can_hold_the_number_of_every_partition() -> None:
    with pytest.raises(ConfigurationError, match="required a whole number from 1 to 8,192"):
        load_settings({"partitions": MOST_PARTITIONS + 2}, env_file=None)
    assert load_settings({"partitions": MOST_PARTITIONS + 1}, env_file=None).topics.partitions == MOST_PARTITIONS + 1


def test_an_older_version_has_no_events_and_loses_nothing_else() -> None:
    assert load(VERSION_4, 4, SPACE) == load(VERSION_5, 4, SPACE) == encode(replace(decode(VERSION_6, 4), events=()))


def test_version_5_of_another_space_is_read() -> None:
    shoppers = Shoppers([VERSION_5, VERSION_6, VERSION_7], 8, SPACE + 1)
    assert shoppers.of_other_space == [0, 1, 2]
    assert shoppers.arrays.records["recent_keys"][:, 0].tolist() == [stable_key("a")] * 3
    assert decode(shoppers.stored()[2], 8).earlier == EARLIER_ITEMS


@pytest.mark.parametrize("data", [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7])
def test_every_version_detects_replays_and_is_written_in_the_newest(data: bytes) -> None:
    """Without earlier items that is version 6, which workers of 0.2.0 can read."""
    written = fold(data, act("view", "a"), at(41), dim=4)
    assert written == load(data, 4, SPACE)
    assert written[0] == (VERSION if data is VERSION_7 else VERSION_6_NUMBER)
    assert decode(written, 4).positions == decode(data, 4).positions


@pytest.mark.parametrize("data", [VERSION_1, VERSION_2, VERSION_3, VERSION_4])
def test_the_first_byte_distinguishes_the_versions(data: bytes) -> None:
    assert data[0] & 0xF0 == 0x90
    assert (VERSION_5[0] | VERSION_6[0] | VERSION_7[0]) & 0x80 == 0


def test_unreadable_profiles_of_a_batch_are_reported_by_index() -> None:
    with pytest.raises(ProfileCodecError, match="got 103") as refusal:
        Shoppers([None, b"garbage", VERSION_6, VERSION_6[:-1], VERSION_5, damaged("recent_length", 25)], 4, SPACE)
    assert sorted(refusal.value.reasons) == [1, 3, 5]
    assert len(set(refusal.value.reasons.values())) == 3


def test_positions_of_the_longest_silent_topics_are_dropped() -> None:
    positions = {number: Position(7, NOW_MS - number) for number in range(9)}
    assert set(decode(encode(replace(empty(4), positions=positions)), 4).positions) == {0, 1, 2, 3}


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
