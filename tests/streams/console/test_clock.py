"""The time at which a viewer of the console acts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streams.console.clock import EVENTS_KEPT, Clock

NOW = datetime(2026, 11, 29, tzinfo=UTC)
NOW_MS = NOW.timestamp() * 1e3
REPLAYED = datetime(2017, 1, 1, tzinfo=UTC)


def test_a_viewer_acts_now_without_events_and_after_events_of_a_live_shop() -> None:
    clock = Clock()
    assert clock.time(NOW) == NOW
    clock.add(NOW, NOW_MS)
    assert clock.time(NOW + timedelta(days=3)) == NOW + timedelta(days=3)


def test_a_viewer_acts_at_the_newest_time_of_a_replay_also_after_some_events_of_today() -> None:
    clock = Clock()
    for minutes in (0, 9, 5):
        clock.add(REPLAYED + timedelta(minutes=minutes), NOW_MS)
    clock.add(NOW, NOW_MS)
    assert clock.time(NOW) == REPLAYED + timedelta(minutes=9)


def test_late_events_of_a_live_shop_are_no_replay_and_a_replay_ends() -> None:
    clock = Clock()
    clock.add(REPLAYED, NOW_MS)
    clock.add(NOW, NOW_MS)
    assert clock.time(NOW) == NOW
    for _ in range(EVENTS_KEPT):
        clock.add(REPLAYED, NOW_MS)
    assert clock.time(NOW) == REPLAYED
    for _ in range(EVENTS_KEPT):
        clock.add(NOW, NOW_MS)
    assert clock.time(NOW) == NOW
