"""Snapshots of workers become one history: intervals, hours, and hours that are over."""

from __future__ import annotations

import msgspec
import pytest

from streams.assets.collector import Collector
from streams.assets.history import HOURS, AssetHistory
from streams.assets.profile import MOST_STREAMS, Stream
from streams.assets.snapshots import HOUR_MS, Snapshot, decode_snapshot, encode_snapshot
from streams.errors import InvalidEvent
from tests.streams.assets.streams import observed
from tests.streams.shoppers import act

CLICKS = Stream("clicks", "click", "web")
START_MS = 1_770_000_000_000 // HOUR_MS * HOUR_MS
INTERVAL_MS = 20_000


def snapshots(worker: str, counts: list[int], start_ms: int = START_MS) -> list[Snapshot]:
    """Return the snapshots of a worker that sees some clicks in each interval."""
    collector, made = Collector(worker, start_ms), []
    for number, count in enumerate(counts, start=1):
        collector.observe(observed(act("click", "i", start_ms)) for _ in range(count))
        made += collector.take(start_ms + number * INTERVAL_MS)
    return made


def test_a_snapshot_has_the_interval_and_the_hour_so_far() -> None:
    first, second = snapshots("a", [3, 4])
    assert (first.window.messages, first.hour.messages) == (3, 3)
    assert (second.window.messages, second.hour.messages) == (4, 7)
    assert (second.from_ms, second.until_ms) == (START_MS + INTERVAL_MS, START_MS + 2 * INTERVAL_MS)
    assert first.key == second.key
    assert decode_snapshot(encode_snapshot(second)) == second


def test_a_quiet_stream_has_no_snapshot_and_a_new_hour_begins_empty() -> None:
    per_hour = HOUR_MS // INTERVAL_MS
    every = snapshots("a", [1] + [0] * (per_hour - 1) + [2])
    assert [each.hour.messages for each in every] == [1, 2]
    assert [each.hour_ms for each in every] == [START_MS, START_MS + HOUR_MS]
    assert every[0].key != every[1].key


def test_many_names_of_producers_share_a_stream_over_the_intervals_of_an_hour() -> None:
    collector, history = Collector("a", START_MS), AssetHistory()
    for number in range(1, 5):
        made = [observed(act("click", "i", START_MS), f"{number}-{name}") for name in range(MOST_STREAMS)]
        collector.observe(made)
        for each in collector.take(START_MS + number * INTERVAL_MS):
            history.apply(each)
    assert len(history.records(START_MS)) == MOST_STREAMS + 1
    assert sum(each.messages for each in history.hour(START_MS).values()) == 4 * MOST_STREAMS
    assert sum(each.messages for each in history.window(60).values()) == 3 * MOST_STREAMS


def test_a_clock_that_is_set_back_gives_readable_snapshots() -> None:
    collector = Collector("a", START_MS + HOUR_MS)
    collector.observe([observed(act("click", "i", START_MS))])
    (snapshot,) = collector.take(START_MS + 5)
    assert (snapshot.hour_ms, snapshot.from_ms, snapshot.until_ms) == (START_MS, START_MS + 5, START_MS + 5)
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_history_merges_the_workers_intervals_and_hours() -> None:
    history = AssetHistory()
    for each in sorted(snapshots("a", [1, 2, 3, 4]) + snapshots("b", [10, 20, 30, 40]), key=lambda s: s.until_ms):
        history.apply(each)
    assert history.window(60)[CLICKS].messages == 99
    assert history.window(20)[CLICKS].messages == 44
    assert history.hour(START_MS)[CLICKS].messages == 110
    assert history.last_hours()[CLICKS].messages == 110


def test_a_repeated_snapshot_counts_once_in_its_hour() -> None:
    history, (only,) = AssetHistory(), snapshots("a", [5])
    for _ in range(2):
        history.apply(only)
    assert history.hour(START_MS)[CLICKS].messages == 5


def test_an_hour_is_handed_on_once_when_it_is_over_and_old_hours_are_dropped() -> None:
    sealed: list[tuple[int, int]] = []

    history = AssetHistory()
    for hour in range(HOURS + 6):
        for worker in ("a", "b"):
            for each in snapshots(worker, [1, hour], START_MS + hour * HOUR_MS):
                history.apply(each)
        sealed += [(hour_ms, profile.messages) for hour_ms, _, profile in history.seal()]
    assert sealed == [(START_MS + hour * HOUR_MS, 2 * (1 + hour)) for hour in range(HOURS + 4)]
    assert len(history.hours()) <= HOURS + 2
    assert [len(history.records(hour_ms)) for hour_ms in history.hours()[-4:]] == [1, 1, 2, 2]
    assert history.hour(history.hours()[0])[CLICKS].messages == 2 * (1 + HOURS + 6 - len(history.hours()))
    (late,) = snapshots("late", [9], START_MS)
    assert history.apply(late) is None
    assert list(history.seal()) == []


def test_unreadable_records_are_refused_and_leave_no_trace() -> None:
    history, (snapshot,) = AssetHistory(), snapshots("a", [5])
    broken = msgspec.structs.replace(snapshot.window.columns["user_id"], distinct=b"?")
    record = msgspec.structs.replace(snapshot.window, columns={"user_id": broken})
    with pytest.raises(ValueError, match="required sketches"):
        history.apply(msgspec.structs.replace(snapshot, window=record))
    assert history.hours() == []
    history.apply(msgspec.structs.replace(snapshot, hour=record))
    history.apply(msgspec.structs.replace(snapshot, worker="b"))
    assert history.hour(START_MS)[CLICKS].messages == 5
    others = [
        encode_snapshot(msgspec.structs.replace(snapshot, **fields))
        for fields in ({"hour_ms": START_MS + 1}, {"hour_ms": START_MS + HOUR_MS}, {"until_ms": START_MS - 1})
    ]
    nested = b"\x81\xa1x" + b"\x91" * 100_000
    for value in (None, b"", b"\xff", nested, msgspec.msgpack.encode([1, 2]), b"[]", *others):
        with pytest.raises(InvalidEvent):
            decode_snapshot(value)
