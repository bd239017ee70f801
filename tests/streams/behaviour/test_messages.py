"""Transitions, sessions and trends that others learn from a batch of events, and the sessions to publish."""

from __future__ import annotations

import numpy as np
import pytest

from inference.encoding.text import remembered_query
from inference.types import SessionItems, stable_key
from streams.behaviour.messages import RecentSessions
from streams.contracts.internal import ItemTransition
from streams.contracts.serde import (
    decode_session,
    decode_transitions,
    encode_msgpack,
    recommendation_id,
)
from streams.engine import Engine
from streams.profiles.events import Source
from tests.streams.engines import composed, engine, event, observe
from tests.streams.shoppers import NOW_MS, RULES, SourcedInteraction, act, at, search

__all__ = ["engine"]


def test_a_replayed_event_changes_no_profile_and_no_trend(engine: Engine) -> None:
    first = observe(engine, (act("view", "a"), at(0)), (act("cart", "b", NOW_MS + 1), at(1)))
    again = observe(engine, (act("view", "a"), at(0)), stored=first.profile)
    assert again.outcome == "replayed"
    assert again.profile == first.profile
    assert again.intent == first.intent
    assert [len(column) for column in again.folded.trends] == [0] * 5
    (message,) = composed(engine, again.folded)
    assert message.recommendation_id == recommendation_id("clicks", 0, 0)


def test_an_event_that_is_sent_twice_teaches_once_and_repeats_the_id_of_its_list(engine: Engine) -> None:
    order = act("purchase", "b", NOW_MS + 1)
    history = [(act("view", "a"), at(0)), (order, at(1)), (order, at(2))]
    folded = engine.fold([event(each) for each in history], [None])
    assert folded.outcomes == ["ok", "ok", "duplicate"]
    assert [each.offset for each in folded.transitions] == [0, 1]
    assert len(folded.sessions) == 2
    assert folded.trends.keys.tolist() == [stable_key("a"), stable_key("b")]
    _, first, second = composed(engine, folded)
    assert first.recommendation_id == second.recommendation_id == recommendation_id("clicks", 0, 1)
    assert (first.trigger.offset, second.trigger.offset) == (1, 2)
    assert folded.queries.records[1].tobytes() == folded.queries.records[2].tobytes()


def test_trend_increments_are_weighted_actions_without_searches(engine: Engine) -> None:
    history = [
        (act("purchase", "a"), at(0)),
        (search("boots"), at(0, topic="searches")),
        (act("view", "x", NOW_MS + 9), Source("clicks", 3, 1, NOW_MS)),
        (act("purchase", "a"), at(0)),
    ]
    trends = engine.fold([event(each) for each in history], [None]).trends
    assert [column.tolist() for column in trends] == [
        [0, 3], [stable_key("a"), stable_key("x")], [NOW_MS, NOW_MS + 9], [3.0, 1.0], [1 << stable_key("u") % 64] * 2,
    ]  # fmt: skip
    assert [column.dtype for column in trends] == [np.int32, np.uint64, np.int64, np.float64, np.uint64]


def test_a_transition_holds_the_earlier_items_of_its_session(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + place), at(place)) for place, name in enumerate(["x", "a", "b"])]
    seen = observe(engine, *history, (act("cart", "c", NOW_MS + 9), at(3)))
    assert seen.transition == ItemTransition(
        item_id="c",
        at_ms=NOW_MS + 9,
        weight=2.0,
        before={stable_key("b"): 2.0, stable_key("a"): 1.0, stable_key("x"): 2 / 3},
        query=None,
        topic="clicks",
        partition=0,
        offset=3,
        timestamp_ms=NOW_MS,
        shopper=stable_key("u") & 0xFFFF,
    )
    again = observe(engine, *history, (act("cart", "b", NOW_MS + 9), at(3)))
    assert again.transition is not None
    assert again.transition.before == {stable_key("a"): 1.0, stable_key("x"): 0.5}


def test_a_repeated_action_teaches_nothing_and_keeps_its_session(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + place), at(place)) for place, name in enumerate(["a", "b", "a"])]
    folded = engine.fold([event(each) for each in history], [None])
    assert [each.item_id for each in folded.transitions] == ["a", "b"]
    assert folded.trends.keys.tolist() == [stable_key("a"), stable_key("b")]
    assert folded.sessions[-1].items == (stable_key("b"), stable_key("a"))
    assert folded.unlearned == [None, None, "repeat"]


def test_a_robot_teaches_nothing_and_gets_its_lists(engine: Engine) -> None:
    history = [(act("view", f"i{n}", NOW_MS + n), at(n)) for n in range(RULES.robot_events_per_minute + 5)]
    folded = engine.fold([event(each) for each in history], [None])
    assert len(folded.queries) == len(history)
    for taught in (folded.transitions, folded.sessions, folded.trends.keys):
        assert len(taught) == RULES.robot_events_per_minute
    assert folded.unlearned == [None] * RULES.robot_events_per_minute + ["robot"] * 5
    again = engine.fold([event(history[-1])], folded.profiles)
    assert (again.outcomes, again.transitions, again.sessions, again.unlearned) == (["replayed"], [], [], [None])


def test_items_of_one_time_are_before_each_other_in_either_order(engine: Engine) -> None:
    order = [(act("purchase", name), at(n)) for n, name in enumerate("abc")]
    for lines in (order, order[::-1]):
        pairs: dict[tuple[str, int], float] = {}
        weights: dict[str, float] = {}
        folded = engine.fold([event((action, at(n))) for n, (action, _) in enumerate(lines)], [None])
        for each in folded.transitions:
            weights[each.item_id] = weights.get(each.item_id, 0.0) + each.weight
            for other, weight in each.before.items():
                pairs[each.item_id, other] = pairs.get((each.item_id, other), 0.0) + weight
        assert weights == dict.fromkeys("abc", 3.0)
        assert pairs == {(one, stable_key(other)): 0.75 for one in "abc" for other in "abc" if one != other}
        assert decode_transitions(encode_msgpack(folded.transitions)) == folded.transitions


def test_an_item_of_the_same_time_that_is_not_listed_gets_no_transition(engine: Engine) -> None:
    folded = engine.fold([event((act("view", "unknown"), at(0))), event((act("view", "a"), at(1)))], [None])
    assert [(each.item_id, len(each.before)) for each in folded.transitions] == [("unknown", 0), ("a", 1)]


def test_a_transition_is_bounded_by_the_window_and_the_session(engine: Engine) -> None:
    later = NOW_MS + 2 * RULES.session_gap_ms
    history = [(act("view", "old"), at(0))]
    history += [(act("view", f"i{n}", later + n), at(1 + n, later)) for n in range(15)]
    seen = observe(engine, *history)
    assert seen.transition is not None
    assert list(seen.transition.before) == [stable_key(f"i{n}") for n in range(13, 3, -1)]
    assert list(seen.transition.before.values()) == pytest.approx([1 / n for n in range(1, 11)])


def test_a_transition_holds_the_last_search_before_it_within_the_session_gap(engine: Engine) -> None:
    def query(after_ms: int, *searches: tuple[str, int]) -> str | None:
        searched = [(search(text, at_ms), at(n, topic="searches")) for n, (text, at_ms) in enumerate(searches)]
        seen = observe(engine, *searched, (act("view", "a", NOW_MS + after_ms), at(0, NOW_MS + after_ms)))
        assert seen.transition is not None
        return seen.transition.query

    gap_ms = RULES.session_gap_ms
    assert query(gap_ms, ("  Red   BOOTS ", NOW_MS)) == "red boots"
    assert query(gap_ms + 1, ("boots", NOW_MS)) is None
    assert query(9, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "tent"
    assert query(3, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "boots"
    assert query(1, ("x" * 500, NOW_MS)) == remembered_query("x" * 500) == "x" * 64


def test_a_search_makes_no_transition(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), at(0)), (search("boots", NOW_MS + 1), at(0, topic="searches")))
    assert (seen.transition, seen.session) == (None, None)
    assert seen.keys("session") == [stable_key("a")]


def test_a_replayed_event_gives_the_same_transition(engine: Engine) -> None:
    history: list[SourcedInteraction] = [
        (act("view", "a"), at(0)),
        (search("boots", NOW_MS + 1), at(0, topic="searches")),
        (act("view", "b", NOW_MS + 2), at(1)),
    ]
    first = observe(engine, *history)
    later = observe(
        engine, *history, (search("tent", NOW_MS + 3), at(1, topic="searches")), (act("view", "c", NOW_MS + 4), at(2))
    )
    for stored in (first.profile, later.profile):
        again = observe(engine, history[-1], stored=stored)
        assert again.outcome == "replayed"
        assert again.transition == first.transition


def test_an_evicted_session_gives_no_session_and_no_earlier_items(engine: Engine) -> None:
    later = NOW_MS + 2 * RULES.session_gap_ms
    history = [(act("view", f"i{n}", later + n), at(n, later)) for n in range(30)]
    seen = observe(engine, *history, (act("view", "a", NOW_MS, "old"), at(30, later)))
    assert (seen.outcome, seen.session, seen.exclude) == ("late", None, [])
    assert seen.transition is not None
    assert seen.transition.before == {}


def test_a_session_has_a_unique_key_and_its_items_oldest_first(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + n), at(n)) for n, name in enumerate(["a", "b", "a", "c"])]
    seen = observe(engine, *history)
    assert seen.session is not None
    assert seen.session.items == tuple(map(stable_key, ["b", "a", "c"]))
    assert seen.session.at_ms == NOW_MS + 3
    assert seen.keys("session") == list(reversed(seen.session.items))
    later = NOW_MS + 2 * RULES.session_gap_ms
    keys = set()
    for user, session_id, at_ms in [("u", None, NOW_MS), ("v", None, NOW_MS), ("u", "1", NOW_MS), ("u", "1", later)]:
        other = observe(engine, (act("view", "a", at_ms, session_id, user), at(0, at_ms)))
        assert other.session is not None
        keys.add(other.session.key)
    assert len(keys) == 4
    assert seen.session.key in keys
    paused = observe(engine, *history, (act("view", "a", later), at(4, later)))
    assert paused.session is not None
    assert paused.session.key != seen.session.key
    assert paused.session.key >> 24 == seen.session.key >> 24 == stable_key("u") >> 24


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63), 0])
def test_transitions_and_sessions_decode_for_any_message_timestamp(engine: Engine, timestamp_ms: int) -> None:
    action, source = act("view", "a"), Source("clicks", 0, 1, timestamp_ms)
    folded = engine.fold([event((action, source))], [None])
    assert decode_transitions(encode_msgpack(folded.transitions)) == folded.transitions
    assert [decode_session(encode_msgpack(each)) for each in folded.sessions] == folded.sessions


def test_purchases_of_returning_buyers_are_counted_by_partition(engine: Engine) -> None:
    day = 86_400_000
    history = [
        (act("purchase", "a"), at(0)),
        (act("purchase", "b", NOW_MS + 1), at(1)),  # the same occasion
        (act("purchase", "a", NOW_MS + day), Source("clicks", 0, 2, NOW_MS + day)),  # repeats
        (act("purchase", "c", NOW_MS + day + 1), Source("clicks", 0, 3, NOW_MS + day)),
        (act("view", "a", NOW_MS + day + 2), Source("clicks", 0, 4, NOW_MS + day)),
        (act("purchase", "a", NOW_MS + 2 * day), Source("clicks", 3, 1, NOW_MS + 2 * day)),
    ]
    assert engine.fold([event(each) for each in history], [None]).purchases == {0: (2, 1), 3: (1, 1)}
    assert engine.fold([event(each) for each in history[:2]], [None]).purchases == {}
    late_ms = NOW_MS + 2 * day
    robot = [
        (act("view" if n else "purchase", "a", late_ms + 999 - n), Source("clicks", 0, 999 - n, late_ms))
        for n in reversed(range(RULES.robot_events_per_minute + 1))
    ]
    before = engine.fold([event(history[0])], [None]).profiles
    assert engine.fold([event(each) for each in robot], before).purchases == {}


def session(key: int, *items: int, at_ms: int = 0) -> SessionItems:
    return SessionItems(key=key, at_ms=at_ms, items=items)


def test_each_changed_session_is_taken_once_in_its_latest_state() -> None:
    sessions = RecentSessions()
    sessions.observe(session(1, 5, 6))
    sessions.observe(session(2, 5, 7))
    sessions.observe(session(1, 5, 6, 7))
    assert sessions.take_changed() == [session(2, 5, 7), session(1, 5, 6, 7)]
    assert sessions.take_changed() == []
    sessions.observe(session(2, 5, 7, 8))
    assert sessions.take_changed() == [session(2, 5, 7, 8)]


def test_a_session_of_one_item_is_not_published() -> None:
    sessions = RecentSessions()
    sessions.observe(session(1))
    sessions.observe(session(2, 5))
    assert sessions.take_changed() == []


def test_no_session_is_dropped_before_it_is_published() -> None:
    sessions = RecentSessions()
    for key in range(20_000):
        sessions.observe(session(key, 5, 6))
    assert [each.key for each in sessions.take_changed()] == list(range(20_000))
