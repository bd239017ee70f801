"""Changed sessions are published once, in their latest state, if they have at least two items."""

from __future__ import annotations

from inference.types import SessionItems
from streams.behaviour.transitions import RecentSessions


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
