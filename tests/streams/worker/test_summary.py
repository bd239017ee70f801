"""The summary that a worker logs once a minute."""

from __future__ import annotations

import logging

import pytest

from streams.metrics import Metrics
from streams.worker.summary import Summary, quantile


def test_a_summary_covers_the_time_since_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    summary = Summary(metrics, ("clicks", "searches"))
    with caplog.at_level(logging.INFO, "streams.worker.summary"):
        metrics.outcomes([("clicks", "ok")] * 3)
        metrics.end_to_end.labels("click").observe_many([0.004, 0.004, 0.2])
        metrics.dead_letters.labels("items", "not_json").inc()
        metrics.outcomes([("items", "ok")] * 7)  # not events
        metrics.lag_seconds.labels("item-pairs").set(1.0)  # published once a second
        summary.log()
        metrics.outcomes([("searches", "ok")])
        metrics.end_to_end.labels("search").observe(0.03)
        metrics.fallbacks.labels("deadline_exceeded").inc()
        metrics.lag_seconds.labels("clicks").set(1.5)
        summary.log()
    first, second = caplog.messages
    assert first.startswith("last minute: 3 events, 3 lists, p50 4 ms, p99 ")
    assert first.endswith("lag 0.0 s, 0 fallbacks, 1 dead letters")
    assert second.startswith("last minute: 1 events, 1 lists, p50 ")
    assert second.endswith("lag 1.5 s, 1 fallbacks, 0 dead letters")


def test_an_idle_worker_logs_no_summary(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "streams.worker.summary"):
        Summary(Metrics(), ("clicks", "searches")).log()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 0, 0], 0.5, 0.0),
        ([2, 2, 0], 0.5, 1.0),  # half of the values are up to the first bound
        ([0, 4, 0], 0.5, 2.0),  # halfway between the bounds 1 and 3
        ([1, 0, 3], 0.99, 3.0),  # above the largest bound: that bound
    ],
)
def test_quantiles_are_linear_within_a_bucket(counts: list[int], share: float, expected: float) -> None:
    assert quantile((1.0, 3.0), counts, share) == pytest.approx(expected)
