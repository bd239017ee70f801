"""Faust's sensor observes commits and rebalances only, and its alarm about idle streams is off."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from faust.sensors.monitor import Monitor
from faust.types import TP

from streams.kafka.clients import READ_COMMITTED
from streams.metrics import Metrics
from streams.worker.faust.consumer import FETCH_WAIT_MS, ConsumerThread
from streams.worker.faust.monitor import WorkerMonitor
from streams.worker.health import Health

APP: Any = SimpleNamespace(tables=SimpleNamespace(recovery=SimpleNamespace(missing=12)))


@pytest.fixture
def health() -> Health:
    return Health(model_verified=True, catalogue_read=True, partitions_assigned=True, tables_recovered=True)


def test_a_rebalance_clears_readiness_until_the_tables_are_recovered(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    monitor = WorkerMonitor(metrics, health)
    with caplog.at_level(logging.INFO):
        state = monitor.on_rebalance_start(APP)
        assert not all(health.ready().values())
        health.partitions_assigned = True
        monitor.on_rebalance_end(APP, state)
    assert all(health.ready().values())
    assert metrics.registry.get_sample_value("intentstream_rebalances_total") == 1
    rebalancing, recovered, ready = caplog.messages
    assert rebalancing == "rebalancing: joining the group"
    assert recovered.startswith("recovered: 12 changelog records, ")
    assert ready == "ready"


def test_messages_are_not_observed(health: Health) -> None:
    monitor, plain = WorkerMonitor(Metrics(), health), Monitor()
    tp = TP("clicks", 0)
    for each in (monitor, plain):
        each.on_message_in(tp, 7, MagicMock())
        each.track_tp_end_offset(tp, 8)
    assert (plain.messages_received_total, monitor.messages_received_total) == (1, 0)
    assert plain.tp_end_offsets
    assert not monitor.tp_end_offsets


async def test_idle_streams_cause_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    thread: Any = ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread.verify_event_path(1e9, TP("clicks", 0))
    assert caplog.messages == []


async def test_a_client_fetches_briefly_and_reads_committed_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace()
    monkeypatch.setattr(ConsumerThread.__mro__[1], "_create_worker_consumer", lambda *_: client)
    loop = asyncio.get_running_loop()
    thread: Any = ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    assert thread._create_worker_consumer(MagicMock()) is client
    assert vars(client) == {"_fetch_max_wait_ms": FETCH_WAIT_MS, "_isolation_level": READ_COMMITTED}
