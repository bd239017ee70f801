"""The deadline of a batch: none for events that have waited for long, unless the backlog grows."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import pytest

from streams.settings import load_settings
from streams.worker.checkpoint import Batch
from streams.worker.processing import WINDOW_S, Deadlines
from tests.streams.fakes import message

LIMITS = load_settings({"scoring_deadline_ms": 200.0, "catch_up_seconds": 5.0}, env_file=None).latency


class Clock:
    """A clock in seconds."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Harness:
    """Deadlines of batches whose events have given ages in seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(LIMITS, now=self.clock)

    def has_deadline(self, *ages_s: float) -> bool:
        messages = [message("clicks", b"u", b"", at_ms=round((self.clock.now_s - age) * 1000)) for age in ages_s]
        left = self.deadlines.left_s(Batch(messages, [0.0] * len(messages), monotonic()))
        assert left is None or left <= 0.2
        return left is not None

    def over(self, ages_s: Sequence[float]) -> list[bool]:
        """Return whether batches have a deadline, one each second."""
        found = []
        for age in ages_s:
            found.append(self.has_deadline(age))
            self.clock.now_s += 1.0
        return found


@pytest.mark.parametrize(
    ("ages_s", "expected"),
    [((0.1,), True), ((4.9, 60.0), True), ((5.1, 60.0), False), ((3600.0,), False), ((-3.0, 60.0), True)],
)
def test_a_batch_has_a_deadline_if_one_of_its_events_is_new(ages_s: Sequence[float], expected: bool) -> None:
    assert Harness().has_deadline(*ages_s) is expected


def test_a_backlog_that_shrinks_has_no_deadline_until_its_events_are_new() -> None:
    assert Harness().over(range(60, 0, -1)) == [False] * 55 + [True] * 5


def test_a_backlog_that_grows_gets_the_deadline_back_and_loses_it_when_it_shrinks_again() -> None:
    harness = Harness()
    grows = harness.over(range(10, 60))
    assert not any(grows[: int(WINDOW_S)])
    assert all(grows[int(2 * WINDOW_S) + 2 :])
    shrinks = harness.over(range(59, 9, -1))
    assert not any(shrinks[int(2 * WINDOW_S) + 2 :])


def test_partitions_that_are_behind_by_different_times_are_one_backlog() -> None:
    ages = [age for pair in zip(range(60, 30, -1), range(30, 0, -1), strict=True) for age in pair]
    assert not any(Harness().over(ages[:50]))


def test_a_new_outage_is_a_new_backlog() -> None:
    harness = Harness()
    assert harness.over(range(10, 60))[-1]
    harness.over([0.1] * 60)
    assert not harness.has_deadline(30.0)
