"""The behaviour of a replay equals the messages that workers publish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.vectors import quantise
from streams.behaviour.messages import RecentSessions
from streams.behaviour.packed import PackedTransitions
from streams.contracts.internal import ItemVector
from streams.engine import Engine, EngineOptions
from streams.items.live import LiveCatalogue
from streams.profiles.events import Event
from tests.streams.engines import MODEL, event
from tests.streams.shoppers import DIM, NOW_MS, RULES, SourcedInteraction, act, at, item_of, search, unit_vector

SERVED = ("a", "b", "c", "d")


def engine() -> Engine:
    live = LiveCatalogue("m/1", DIM)
    for item_id in SERVED:
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    # Robots after a few events, so that some actions teach nothing.
    return Engine(
        model=MODEL, catalogue=live, rules=replace(RULES, robot_events_per_minute=6), options=EngineOptions(list_size=5)
    )


ACTIONS = st.tuples(
    st.sampled_from(["view", "cart", "purchase", "search"]),
    st.sampled_from([*SERVED, "not served", "nor this"]),
    # Many of the same time, some late, some after a pause.
    st.sampled_from([0, 0, 0, 900, 40_000, -5_000, 3_600_000]),
    st.integers(0, 2),
    st.sampled_from([None, "s1", "s2", "null"]),
    st.booleans(),
)


def history(drawn: list[tuple[str, str, int, int, str | None, bool]]) -> list[Event]:
    """Return events of three shoppers; some are sent twice, and some read twice."""
    events: list[Event] = []
    at_ms, offset = NOW_MS, 0
    for kind, name, step_ms, shopper, session_id, again in drawn:
        at_ms += step_ms
        make = search if kind == "search" else lambda *given, **named: act(kind, *given, **named)  # noqa: B023
        interaction = make(name, at_ms, session_id=session_id, user_id=f"u{shopper}")
        topic = "searches" if kind == "search" else "clicks"
        sourced: SourcedInteraction = (interaction, at(offset, topic=topic))
        events.append(event(sourced, shopper))
        offset += 1
        if again:
            events.append(event((interaction, at(offset - step_ms % 2, topic=topic)), shopper))
            offset += 1
    return events


@pytest.mark.kernel
@given(st.lists(ACTIONS, min_size=1, max_size=40))
def test_arrays_equal_the_messages(drawn: list[tuple[str, str, int, int, str | None, bool]]) -> None:
    own, events = engine(), history(drawn)
    folded, arrays = own.fold(events, [None] * 3), own.fold_for_replay(events, [None] * 3)
    assert arrays.profiles == folded.profiles
    assert arrays.queries.records.tobytes() == folded.queries.records.tobytes()
    assert arrays.queries.texts == folded.queries.texts
    expected = PackedTransitions.of(folded.transitions)
    for name in PackedTransitions._fields:
        ours, theirs = getattr(arrays.transitions, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    kept, all_of_them = RecentSessions(), RecentSessions()
    for session in arrays.sessions:
        kept.observe(session)
    for session in folded.sessions:
        all_of_them.observe(session)
    assert kept.take_changed() == all_of_them.take_changed()
    for one, other in zip(arrays.trends, folded.trends, strict=True):
        np.testing.assert_array_equal(one, other)
    assert arrays.purchases == folded.purchases


def test_items_of_one_time_and_searches_teach() -> None:
    events = history([
        ("search", "a", 0, 0, None, False), ("view", "a", 900, 0, None, False), ("view", "b", 900, 0, None, False),
        ("view", "not served", 0, 0, None, False), ("view", "c", 0, 0, None, False),
    ])  # fmt: skip
    arrays = engine().fold_for_replay(events, [None] * 3)
    assert arrays.transitions.records["query"].any()
    assert bytes(arrays.transitions.texts).startswith(b"a")
    # b, c and the item that is not served have one time: b and c come after each other, both ways.
    assert len(arrays.transitions.keys) > 4
    assert len(arrays.sessions) == 1
