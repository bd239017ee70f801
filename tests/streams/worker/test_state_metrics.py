"""The lag that a worker reports, with and without answers from the brokers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from streams.metrics import Metrics
from streams.settings import Settings
from streams.worker import state_metrics
from streams.worker.health import Health
from streams.worker.state_metrics import StateMetrics

CLICKS = TP("clicks", 0)
TOPIC = {"topic": "clicks"}
PARTITION = {"topic": "clicks", "partition": "0"}


class FakeLogEnds:
    """Brokers that return the ends of some partitions, or never answer."""

    def __init__(self) -> None:
        self.known_ends: Mapping[TopicPartition, int] = {}
        self.unresponsive = False

    async def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.unresponsive:
            await asyncio.sleep(3600)
        return {partition: self.known_ends[partition] for partition in partitions if partition in self.known_ends}


class Harness:
    """`StateMetrics` of a worker that owns one partition, with its position at `position`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.position = 10
        monkeypatch.setattr(state_metrics, "time", lambda: self.now)
        monkeypatch.setattr(state_metrics, "ANSWER_S", 0.01)
        self.log_ends: Any = FakeLogEnds()
        self.in_flight: list[Any] = []
        self.metrics = Metrics()
        consumer = SimpleNamespace(position_of=lambda _: self.position, fetched_to=lambda _: self.position)
        app: Any = SimpleNamespace(consumer=consumer)
        checkpoint: Any = SimpleNamespace(
            oldest=lambda: {(message.topic, message.partition): message for message in self.in_flight}
        )
        self.state_metrics = StateMetrics(
            settings=Settings.model_construct(),
            app=app,
            tables=[],
            checkpoints=[checkpoint],
            metrics=self.metrics,
            health=Health(),
            topics=SimpleNamespace(),  # type: ignore[arg-type]
        )
        self.state_metrics.assigned({CLICKS})

    async def update(self, at_s: float, end: int | None) -> None:
        self.now = at_s
        self.log_ends.known_ends = {} if end is None else {TopicPartition(*CLICKS): end}
        await self.state_metrics.update_lag(self.log_ends)

    def value(self, name: str, labels: dict[str, str]) -> float | None:
        return self.metrics.registry.get_sample_value(f"intentstream_{name}", labels)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(monkeypatch)


async def test_lag_grows_from_the_last_known_end_without_an_answer(harness: Harness) -> None:
    await harness.update(1000.0, end=15)
    await harness.update(1030.0, end=None)
    assert harness.value("consumer_lag_seconds", TOPIC) == 30.0
    assert harness.value("consumer_lag_records", PARTITION) == 5
    harness.position = 15
    await harness.update(1040.0, end=None)
    assert harness.value("consumer_lag_seconds", TOPIC) == 0.0


async def test_the_lag_of_messages_in_flight_grows_without_an_answer(harness: Harness) -> None:
    harness.in_flight = [SimpleNamespace(topic="clicks", partition=0, timestamp=990.0)]
    await harness.update(1000.0, end=None)
    assert harness.value("consumer_lag_seconds", TOPIC) == 10.0


async def test_the_time_of_the_last_answer_is_exported(harness: Harness) -> None:
    assert harness.value("lag_known_timestamp_seconds", {}) == 0.0
    await harness.update(1000.0, end=10)
    await harness.update(1005.0, end=None)
    assert harness.value("lag_known_timestamp_seconds", {}) == 1000.0


async def test_an_update_ends_if_the_brokers_never_answer(harness: Harness) -> None:
    harness.log_ends.unresponsive = True
    async with asyncio.timeout(5):
        await harness.update(1000.0, end=15)
    assert harness.value("consumer_lag_records", PARTITION) is None


async def test_a_partition_revoked_during_an_update_is_not_exported(harness: Harness) -> None:
    harness.log_ends.unresponsive = True
    updating = asyncio.create_task(harness.update(1000.0, end=15))
    await asyncio.sleep(0)
    harness.state_metrics.assigned(set())
    await updating
    assert harness.value("consumer_offset", PARTITION) is None
    assert harness.value("assigned_partitions", TOPIC) == 0


async def test_a_failed_update_is_logged_and_the_next_one_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_metrics, "UPDATE_EVERY_S", 0.0)
    harness, updates = Harness(monkeypatch), asyncio.Semaphore(0)

    def fails() -> None:
        updates.release()
        raise OSError("the disk is gone")

    monkeypatch.setattr(StateMetrics, "update_recovery", lambda _: fails())
    updating = asyncio.create_task(harness.state_metrics.run(harness.log_ends))
    async with asyncio.timeout(10):
        await updates.acquire()
        await updates.acquire()
    updating.cancel()
    assert "the disk is gone" in caplog.text


async def test_silent_brokers_and_their_return_are_logged_once(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.update(1000.0, end=10)
    for at_s in (1010.0, 1021.0, 1030.0):
        await harness.update(at_s, end=None)
    await harness.update(1035.0, end=10)
    await harness.update(1040.0, end=10)
    assert caplog.messages == [
        "no answer from Kafka for 21 s: shoppers get no lists until it answers",
        "Kafka answers again after 35 s",
    ]


async def test_a_worker_without_partitions_does_not_take_silence_for_an_answer(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    await harness.update(1000.0, end=10)
    await harness.update(1030.0, end=None)
    harness.state_metrics.assigned(set())
    await harness.update(1040.0, end=None)
    assert caplog.messages == ["no answer from Kafka for 30 s: shoppers get no lists until it answers"]
