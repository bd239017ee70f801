"""The lag that a worker reports, while brokers answer and while they do not."""

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
OF_CLICKS = {"topic": "clicks"}
PLACE = {"topic": "clicks", "partition": "0"}


class Logs:
    """Brokers that say where logs end, say nothing of them, or never answer."""

    def __init__(self) -> None:
        self.told: Mapping[TopicPartition, int] = {}
        self.silent = False

    async def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.silent:
            await asyncio.sleep(3600)
        return {partition: self.told[partition] for partition in partitions if partition in self.told}


class Watched:
    """A worker that owns a partition and has answered everything up to `position`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.position = 10
        monkeypatch.setattr(state_metrics, "time", lambda: self.now)
        monkeypatch.setattr(state_metrics, "ANSWER_S", 0.01)
        self.logs: Any = Logs()
        self.in_flight: list[Any] = []
        self.metrics = Metrics()
        consumer = SimpleNamespace(position_of=lambda _: self.position, fetched_to=lambda _: self.position)
        app: Any = SimpleNamespace(consumer=consumer)
        checkpoint: Any = SimpleNamespace(
            oldest=lambda: {(message.topic, message.partition): message for message in self.in_flight}
        )
        self.watch = StateMetrics(
            settings=Settings.model_construct(),
            app=app,
            tables=[],
            checkpoints=[checkpoint],
            metrics=self.metrics,
            health=Health(),
        )
        self.watch.assigned({CLICKS})

    async def looks(self, at_s: float, end: int | None) -> None:
        self.now = at_s
        self.logs.told = {} if end is None else {TopicPartition(*CLICKS): end}
        await self.watch.update_lag(self.logs)

    def told(self, name: str, labels: dict[str, str]) -> float | None:
        return self.metrics.registry.get_sample_value(f"intentstream_{name}", labels)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_what_waited_at_the_last_answer_goes_on_to_wait(watched: Watched) -> None:
    await watched.looks(1000.0, end=15)
    await watched.looks(1030.0, end=None)
    assert watched.told("consumer_lag_seconds", OF_CLICKS) == 30.0
    assert watched.told("consumer_lag_records", PLACE) == 5
    watched.position = 15
    await watched.looks(1040.0, end=None)
    assert watched.told("consumer_lag_seconds", OF_CLICKS) == 0.0


async def test_what_is_under_way_grows_older_without_an_answer(watched: Watched) -> None:
    watched.in_flight = [SimpleNamespace(topic="clicks", partition=0, timestamp=990.0)]
    await watched.looks(1000.0, end=None)
    assert watched.told("consumer_lag_seconds", OF_CLICKS) == 10.0


async def test_it_tells_since_when_no_broker_has_answered(watched: Watched) -> None:
    assert watched.told("lag_known_timestamp_seconds", {}) == 0.0
    await watched.looks(1000.0, end=10)
    await watched.looks(1005.0, end=None)
    assert watched.told("lag_known_timestamp_seconds", {}) == 1000.0


async def test_brokers_that_never_answer_hold_no_look_up(watched: Watched) -> None:
    watched.logs.silent = True
    async with asyncio.timeout(5):
        await watched.looks(1000.0, end=15)
    assert watched.told("consumer_lag_records", PLACE) is None


async def test_a_partition_that_goes_while_brokers_are_asked_is_not_told_of(watched: Watched) -> None:
    watched.logs.silent = True
    looking = asyncio.create_task(watched.looks(1000.0, end=15))
    await asyncio.sleep(0)
    watched.watch.assigned(set())
    await looking
    assert watched.told("consumer_offset", PLACE) is None
    assert watched.told("assigned_partitions", OF_CLICKS) == 0


async def test_a_look_that_fails_is_told_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_metrics, "UPDATE_EVERY_S", 0.0)
    watched, looks = Watched(monkeypatch), asyncio.Semaphore(0)

    def fails() -> None:
        looks.release()
        raise OSError("the disk is gone")

    monkeypatch.setattr(StateMetrics, "update_recovery", lambda _: fails())
    looking = asyncio.create_task(watched.watch.run(watched.logs))
    async with asyncio.timeout(10):
        await looks.acquire()
        await looks.acquire()
    looking.cancel()
    assert "the disk is gone" in caplog.text


async def test_silent_brokers_and_their_return_are_logged_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    await watched.looks(1000.0, end=10)
    for at_s in (1010.0, 1021.0, 1030.0):
        await watched.looks(at_s, end=None)
    await watched.looks(1035.0, end=10)
    await watched.looks(1040.0, end=10)
    assert caplog.messages == [
        "no answer from Kafka for 21 s: shoppers get no lists until it answers",
        "Kafka answers again after 35 s",
    ]
