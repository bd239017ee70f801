"""Faust's sensor, reduced to commits and rebalances.

Faust's own monitor costs more CPU for each message than all metrics of this project, and nothing reads its figures.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from faust.sensors.monitor import Monitor

from streams.metrics import Metrics
from streams.worker.health import Health

log = logging.getLogger(__name__)


def _ignore(*_arguments: Any, **_options: Any) -> None:
    return None


class WorkerMonitor(Monitor):  # type: ignore[misc]  # Faust is untyped
    """Monitor of Faust's own actions. The message paths record their metrics themselves."""

    logger = logging.getLogger("faust.sensors")

    def __init__(self, metrics: Metrics, health: Health) -> None:
        super().__init__()
        self._metrics = metrics
        self._health = health

    def on_commit_initiated(self, _consumer: Any) -> float:
        """Return the time at which the commit began."""
        return perf_counter()

    def on_commit_completed(self, _consumer: Any, state: float) -> None:
        """Record the duration of a commit."""
        self._metrics.commit.observe(perf_counter() - state)

    def on_rebalance_start(self, _app: Any) -> dict[str, float]:
        """Record the start of a rebalance, and clear readiness."""
        self._health.rebalancing()
        log.info("rebalancing: joining the group")
        self._metrics.rebalances.inc()
        return {"began": perf_counter()}

    def on_rebalance_end(self, app: Any, state: dict[str, float]) -> None:
        """Record that tables are recovered and messages flow, and the duration of the rebalance."""
        self._health.tables_recovered = True
        seconds = perf_counter() - state["began"]
        self._metrics.rebalance.observe(seconds)
        missing = app.tables.recovery.missing
        log.info("recovered: %s changelog records, %.1f s after the rebalance began", missing, seconds)
        if self._health.is_ready:
            log.info("ready")

    on_rebalance_return = _ignore
    on_message_in = _ignore
    on_stream_event_in = _ignore
    on_stream_event_out = _ignore
    on_message_out = _ignore
    on_send_initiated = _ignore
    on_send_completed = _ignore
    on_tp_commit = _ignore
    track_tp_end_offset = _ignore
