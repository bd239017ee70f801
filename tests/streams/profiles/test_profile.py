"""A profile is a fold: independent of order, unchanged by replays, and bounded in size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.plain_text import has_words, readable
from inference.types import Item, Vector, stable_key
from streams.contracts.messages import Interaction
from streams.profiles.events import PLACEHOLDERS, is_placeholder, session_key
from streams.profiles.layout import AFFINITIES, QUERY_BYTES, RECENT_ITEMS, RECENT_QUERIES
from streams.profiles.profile import PastQuery, Profile, ProfileRules
from tests.streams.shoppers import (
    DIM,
    NOW_MS,
    RULES,
    TIME_SPANS,
    TimeSpan,
    act,
    at,
    fold,
    fold_all,
    fold_batch,
    histories,
    in_one_topic,
    read,
    search,
    subject,
    unit_vector,
)


def relative_error(one: Vector, other: Vector) -> float:
    """Return the distance of two vectors, relative to the longer one."""
    longest = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return float(np.linalg.norm(one - other)) / longest if longest else 0.0


ROUNDING = 0.5 / 32767 * np.sqrt(DIM)
"""The largest error of one rounding to int16, relative to the largest component."""


def assert_equal_up_to_rounding(one: Profile, other: Profile, events: int) -> None:
    """Compare profiles: vectors up to the rounding of each event, items and queries exactly, label weights closely."""
    assert one.updated_ms == other.updated_ms
    assert relative_error(one.short_term, other.short_term) < 2 * events * ROUNDING
    assert relative_error(one.long_term, other.long_term) < 2 * events * ROUNDING
    assert one.recent.tobytes() == other.recent.tobytes()
    assert one.queries == other.queries
    for labels, other_labels in ((one.categories, other.categories), (one.brands, other.brands)):
        assert dict(labels.tolist()) == pytest.approx(dict(other_labels.tolist()), rel=1e-4)
    assert one.prices == pytest.approx(other.prices, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("time_span", TIME_SPANS, ids=lambda time_span: time_span.name)
@given(st.data())
def test_events_in_any_order_give_the_same_profile(time_span: TimeSpan, data: st.DataObject) -> None:
    history = data.draw(histories(time_span))
    shuffled = data.draw(st.permutations(history))
    assert_equal_up_to_rounding(read(fold_all(history)), read(fold_all(shuffled)), len(history))


@given(st.permutations(range(30)))
def test_the_lines_of_an_order_have_no_order(numbers: list[int]) -> None:
    profile = read(fold_all([act("purchase", f"line{number}") for number in numbers]))
    assert profile.recent["key"].tolist() == sorted(stable_key(f"line{number}") for number in numbers)[:RECENT_ITEMS]


def test_of_two_actions_on_an_item_at_one_time_the_stronger_stays() -> None:
    actions = [act("purchase", "a", NOW_MS, "s"), act("view", "a")]
    for history in (actions, actions[::-1]):
        assert read(fold_all(history)).recent.tolist() == [(NOW_MS, stable_key("a"), session_key("s"), 3)]


@pytest.mark.parametrize("time_span", TIME_SPANS, ids=lambda time_span: time_span.name)
@given(st.data())
def test_vectors_are_decayed_sums(time_span: TimeSpan, data: st.DataObject) -> None:
    history = data.draw(histories(time_span))
    profile = read(fold_all(history))
    times = [int(event.occurred_at.timestamp() * 1000) for event in history]
    for memory, half_life_ms in (
        (profile.short_term, RULES.short_term_half_life_ms),
        (profile.long_term, RULES.long_term_half_life_ms),
    ):
        expected = np.zeros(DIM)
        for event, at_ms in zip(history, times, strict=True):
            vector = unit_vector(subject(event))
            expected += vector * RULES.weights[event.type] * 2.0 ** (-(max(times) - at_ms) / half_life_ms)
        assert relative_error(memory, expected.astype(np.float32)) < len(history) * ROUNDING + 1e-5


@given(histories(TIME_SPANS[2]), st.data())
def test_a_replayed_offset_changes_nothing(history: list[Interaction], data: st.DataObject) -> None:
    stored = fold_all(history)
    offset = data.draw(st.integers(0, len(history) - 1))
    assert fold(stored, history[offset], at(offset)) == stored


def test_offsets_are_tracked_by_topic() -> None:
    stored = fold(None, act("view", "a"), at(7))
    searched = fold(stored, search("boots"), at(3, topic="searches"))
    assert read(searched).queries == (PastQuery(NOW_MS, "boots"),)
    assert fold(searched, search("tents"), at(3, topic="searches")) == searched


def test_events_of_a_recreated_topic_are_counted_once() -> None:
    stored = fold_all([act("view", f"old{number}") for number in range(50)])
    events = [act("view", f"new{number}", NOW_MS + 60_000) for number in range(5)]
    for offset, event in enumerate(events):
        stored = fold(stored, event, at(offset, NOW_MS + 60_000))
    assert set(read(stored).recent["key"][:5].tolist()) == {stable_key(f"new{number}") for number in range(5)}
    for offset, event in enumerate(events):
        assert fold(stored, event, at(offset, NOW_MS + 60_000)) == stored


def test_a_replay_is_detected_after_the_brokers_clock_steps_back() -> None:
    stored = fold(None, act("view", "a"), at(0, NOW_MS))
    stored = fold(stored, act("view", "b"), at(1, NOW_MS - 5000))
    assert len(read(stored).recent) == 2
    assert fold(stored, act("view", "a"), at(0, NOW_MS)) == stored


@pytest.mark.parametrize("at_ms", [0, NOW_MS + 86_400_000, 4_070_908_799_000], ids=["1970", "tomorrow", "2099"])
def test_a_wrong_event_time_is_limited_and_later_events_count(at_ms: int) -> None:
    stored = fold(None, act("view", "wrong", at_ms), at(0))
    wrong = read(stored)
    assert wrong.updated_ms <= NOW_MS + RULES.max_clock_skew_ms
    later_ms = NOW_MS + 10 * 60_000
    profile = read(fold(stored, act("view", "right", later_ms), at(1, later_ms)))
    assert profile.updated_ms == later_ms
    kept = wrong.short_term * 2.0 ** (-(later_ms - wrong.updated_ms) / RULES.short_term_half_life_ms)
    assert np.allclose(profile.short_term - kept, unit_vector("right"), atol=5e-5)
    assert profile.recent["key"][0] == stable_key("right")


def test_an_event_of_long_ago_does_not_change_the_vectors() -> None:
    stored = fold(None, act("view", "now"), at(0))
    profile, late = read(stored), read(fold(stored, act("purchase", "1970", 0), at(1)))
    assert np.array_equal(late.short_term, profile.short_term)
    assert late.updated_ms == profile.updated_ms
    assert late.recent["key"].tolist() == [stable_key("now"), stable_key("1970")]


def test_an_unknown_item_is_remembered_and_does_not_change_the_vectors() -> None:
    stored = fold(None, act("view", "a"), at(0))
    known = read(stored)
    profile = read(fold_batch(stored, [(act("view", "unknown"), at(1))], item_of=lambda _: None)[0])
    assert np.array_equal(profile.short_term, known.short_term)
    assert np.array_equal(profile.categories, known.categories)
    assert stable_key("unknown") in profile.recent["key"]


def test_a_repeated_item_is_kept_once_with_its_newest_action() -> None:
    history = [act("purchase", "a", NOW_MS), act("view", "b", NOW_MS - 10), act("view", "a", NOW_MS - 20)]
    profile = read(fold_all(history))
    assert profile.recent["key"].tolist() == [stable_key("a"), stable_key("b")]
    assert profile.recent["action"].tolist() == [3, 0]


def test_every_memory_is_bounded() -> None:
    history = [
        search(f"query {offset}", NOW_MS + offset) if offset % 3 else act("view", f"i{offset}", NOW_MS + offset)
        for offset in range(3000)
    ]
    profile = read(fold_all(history))
    assert len(profile.recent) == RECENT_ITEMS
    assert len(profile.queries) == RECENT_QUERIES
    assert len(profile.categories) == 5 <= AFFINITIES
    assert profile.queries[0].text == "query 2999"
    assert list(profile.positions) == [stable_key("clicks")]


def labelled(item_id: str) -> Item:
    """Return an item whose category is its id up to a dash."""
    return Item(item_id=item_id, title="A", category=("Shop", item_id.split("-")[0]))


def test_the_heaviest_labels_are_kept() -> None:
    names = ["favourite" if offset % 5 == 0 else f"passing {offset}" for offset in range(100)]
    profile = read(fold_batch(None, in_one_topic(act("view", name) for name in names), item_of=labelled)[0])
    assert len(profile.categories) == AFFINITIES
    assert profile.categories["key"][0] == stable_key("favourite")
    assert profile.categories["weight"][0] == 20


def test_a_new_label_enters_a_full_memory() -> None:
    names = [f"old{number}" for number in range(AFFINITIES)]
    history = [*(act("purchase", name) for name in names), act("view", "new")]
    profile = read(fold_batch(None, in_one_topic(history), item_of=labelled)[0])
    assert stable_key("new") in profile.categories["key"]
    assert len(profile.categories) == AFFINITIES


@given(st.text(min_size=1, max_size=1000))
def test_a_remembered_query_is_the_readable_search_cut_to_its_limit_of_bytes(text: str) -> None:
    queries, query = read(fold(None, search(text), at(0))).queries, readable(text)
    assert len(queries) == has_words(text)
    for past in queries:
        assert query.startswith(past.text)
        assert len(past.text.encode()) <= QUERY_BYTES
        assert past.text == query or len(past.text.encode()) > QUERY_BYTES - 4


def test_vectors_stay_finite_over_many_events_at_one_instant() -> None:
    heavy = ProfileRules(weights=dict.fromkeys(RULES.weights, 100.0))
    profile = read(fold_all([search("boots")] * 20_000, heavy))
    assert np.linalg.norm(profile.short_term) == pytest.approx(2e6, rel=1e-3)
    assert np.linalg.norm(profile.long_term) == pytest.approx(2e6, rel=1e-3)


@given(
    st.text(st.sampled_from("0a1_.:-N/ \"'<&\u200b\u00e9\u2460"), max_size=6) | st.sampled_from(sorted(PLACEHOLDERS))
)
def test_plain_ids_are_placeholders_by_the_rule_for_all_ids(text: str) -> None:
    for each in (text, text.upper()):
        word = readable(each).strip(" \"'()[]{}<>").casefold()
        expected = word in PLACEHOLDERS or not any(char.isalnum() and char != "0" for char in word)
        assert is_placeholder(each) == expected
