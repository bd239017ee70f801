"""The profile codec: exact round trips, bounded size, all versions, and invalid bytes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Interaction
from streams.errors import ConfigurationError
from streams.profiles import codec
from streams.profiles.batch import fixed_size
from streams.profiles.codec import Shoppers, encode, load
from streams.profiles.layout import HABIT, MOST_PARTITIONS, PROFILE, ROBOT, VERSION
from streams.profiles.layout import VERSION_6 as VERSION_6_NUMBER
from streams.profiles.profile import Activity, PastQuery, Position, PriceMoments
from streams.settings import load_settings
from tests.streams.profiles import reference
from tests.streams.profiles.versions import (
    EARLIER_ITEMS,
    EVENTS,
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


def test_positions_of_the_longest_silent_topics_are_dropped() -> None:
    positions = {number: Position(7, NOW_MS - number) for number in range(9)}
    assert set(decode(encode(replace(empty(4), positions=positions)), 4).positions) == {0, 1, 2, 3}
