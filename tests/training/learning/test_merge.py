"""Records of several partitions come in the order of their timestamps, none too early."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from training.learning import merge
from training.learning.merge import CURRENT_MS, SETTLE_MS, MergedLog


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None


def records(topic: str, *timestamps: int, first: int = 0) -> list[Record]:
    return [Record(topic, 0, first + number, at) for number, at in enumerate(timestamps)]


def times(log: MergedLog, now_ms: int) -> list[int]:
    return [record.timestamp for record in log.release(now_ms)]


@pytest.fixture
def log() -> MergedLog:
    return MergedLog([("a", 0), ("b", 0)])


def test_records_wait_for_a_partition_that_is_behind(log: MergedLog) -> None:
    log.add("a", 0, records("a", 10, 20, 30))
    assert times(log, 10**9) == []
    log.add("b", 0, records("b", 15, 25))
    assert times(log, 10**9) == [10, 15, 20, 25]
    log.set_behind("b", 0, is_behind=False)
    assert not log.is_current(10**9)
    assert times(log, 10**9) == [30]


def test_at_the_ends_records_wait_until_they_are_settled(log: MergedLog) -> None:
    for topic in ("a", "b"):
        log.set_behind(topic, 0, is_behind=False)
    log.add("a", 0, records("a", 1000))
    assert log.is_current(1000)
    assert times(log, 1000) == []
    log.add("b", 0, records("b", 999))
    assert times(log, 1000 + SETTLE_MS) == [999, 1000]


def test_records_of_a_partition_keep_their_order(log: MergedLog) -> None:
    log.add("a", 0, records("a", 30, 10, 40))
    log.add("b", 0, records("b", 20, 50))
    assert [record.timestamp for record in log.release(10**9)] == [20, 30, 10, 40]


def test_a_partition_far_ahead_is_not_read(log: MergedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MOST_WAITING", 2)
    log.add("a", 0, records("a", 1, 2, 3))
    assert log.full() == {("a", 0)}


def test_new_records_of_a_busy_partition_leave_the_log_current(log: MergedLog) -> None:
    now_ms = 10**9
    log.set_behind("b", 0, is_behind=False)
    log.add("a", 0, records("a", now_ms - CURRENT_MS - 1))
    assert not log.is_current(now_ms)
    log.add("a", 0, records("a", now_ms - 500))
    assert log.is_current(now_ms)
