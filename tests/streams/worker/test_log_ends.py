"""The age of the next unread message of a partition."""

from __future__ import annotations

from streams.worker.state_metrics import LogEnds


def test_the_age_is_0_at_the_end_of_the_log() -> None:
    ends = LogEnds()
    ends.note("p", 10, 100.0)
    assert ends.age("p", 10, 160.0) == 0.0
    assert ends.age("never seen", 0, 160.0) == 0.0


def test_the_age_counts_from_the_first_observation_of_the_next_message() -> None:
    ends = LogEnds()
    for at_s, end in ((100.0, 10), (105.0, 12), (110.0, 12), (115.0, 20)):
        ends.note("p", end, at_s)
    assert ends.age("p", 9, 120.0) == 20.0
    assert ends.age("p", 10, 120.0) == 15.0
    assert ends.age("p", 12, 120.0) == 5.0


def test_the_age_grows_while_the_log_end_does_not_change() -> None:
    ends = LogEnds()
    for at_s in range(100, 10_000, 5):
        ends.note("p", 7, float(at_s))
    assert ends.age("p", 6, 10_000.0) == 9_900.0


def test_observations_are_bounded_and_can_be_removed() -> None:
    ends = LogEnds(kept=3)
    for end in range(1, 11):
        ends.note("p", end, float(end))
    assert ends.age("p", 0, 10.0) == 2.0
    ends.forget("p")
    assert ends.age("p", 0, 10.0) == 0.0
