"""Broadcast topics: all partitions are read, and the reader is caught up at the end offsets of its start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.kafka import topics
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import client_options, consumer_options
from streams.kafka.producer import BatchProducer
from streams.settings import Settings
from tests.integration.conftest import isolated_settings
from tests.integration.workers import until

pytestmark = pytest.mark.embedded
TIMEOUT_S = 30


class ReaderHarness:
    """A reader that records values and flushes. `gate` blocks its flushes."""

    def __init__(self, settings: Settings) -> None:
        self.values: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
        self.unflushed = 0
        self.flushed: list[int] = []
        self.caught_up_in_flush: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reader = BroadcastReader(
            options=consumer_options(settings.kafka),
            partitions=[TopicPartition(settings.topics.item_vectors, number) for number in range(3)],
            apply=self._apply,
            flush=self._flush,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReaderHarness]:
        task = asyncio.create_task(self.reader.run())
        try:
            yield self
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def wait_until_caught_up(self) -> None:
        await asyncio.wait_for(self.reader.caught_up.wait(), TIMEOUT_S)

    @property
    def read(self) -> int:
        return sum(map(len, self.values.values()))

    def _apply(self, record: ConsumerRecord) -> None:
        self.values[record.partition].append(record.value)
        self.unflushed += 1

    async def _flush(self) -> None:
        self.caught_up_in_flush.append(self.reader.caught_up.is_set())
        await self.gate.wait()
        self.flushed.append(self.unflushed)
        self.unflushed = 0


@pytest.fixture
async def settings(embedded: str, request: pytest.FixtureRequest) -> Settings:
    settings = isolated_settings(embedded, request.node.name).replace(partitions=3)
    await topics.create(settings)
    return settings


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(client_options(settings.kafka), linger_ms=1)
    await producer.start()
    yield producer
    await producer.stop(10)


async def publish(producer: BatchProducer, settings: Settings, partition: int, *values: bytes | None) -> None:
    for sent in [await producer.send(settings.topics.item_vectors, b"item", value, partition) for value in values]:
        await sent


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, end)]


async def test_existing_records_are_read_in_order_before_the_reader_is_caught_up(
    settings: Settings, producer: BatchProducer
) -> None:
    await publish(producer, settings, 0, *numbers(0, 3000))
    await publish(producer, settings, 1, b"first", None, b"last")
    async with ReaderHarness(settings).running() as harness:
        await harness.wait_until_caught_up()
        assert harness.values == {0: numbers(0, 3000), 1: [b"first", None, b"last"], 2: []}


async def test_a_reader_of_empty_topics_is_caught_up_without_a_flush(settings: Settings) -> None:
    async with ReaderHarness(settings).running() as harness:
        await harness.wait_until_caught_up()
        assert (harness.read, harness.flushed) == (0, [])


async def test_new_records_of_every_partition_are_read(settings: Settings, producer: BatchProducer) -> None:
    await publish(producer, settings, 0, b"old")
    async with ReaderHarness(settings).running() as harness:
        await harness.wait_until_caught_up()
        for partition in range(3):
            await publish(producer, settings, partition, b"new", None)
        await until(lambda: harness.read == 7, "seven records are read")
        assert harness.values == {0: [b"old", b"new", None], 1: [b"new", None], 2: [b"new", None]}


async def test_each_batch_is_flushed_once_and_blocks_reading(settings: Settings, producer: BatchProducer) -> None:
    await publish(producer, settings, 0, *numbers(0, 2500))
    harness = ReaderHarness(settings)
    harness.gate.clear()
    async with harness.running():
        await until(lambda: harness.read > 0, "a batch is applied")
        read_before = harness.read
        await publish(producer, settings, 1, b"later")
        assert (harness.read, harness.flushed) == (read_before, [])
        assert not harness.reader.caught_up.is_set()
        harness.gate.set()
        await harness.wait_until_caught_up()
        await until(lambda: sum(harness.flushed) == 2501, "all is flushed")
        assert all(0 < size <= 2000 for size in harness.flushed)
        assert harness.unflushed == 0


async def test_records_after_the_start_do_not_delay_being_caught_up(
    settings: Settings, producer: BatchProducer
) -> None:
    await publish(producer, settings, 2, b"old")
    harness = ReaderHarness(settings)
    harness.gate.clear()
    async with harness.running():
        await until(lambda: harness.read == 1, "the old record is applied")
        await publish(producer, settings, 2, *numbers(0, 5000))
        harness.gate.set()
        await harness.wait_until_caught_up()
        await until(lambda: harness.read == 5001, "the new records are applied")
        assert harness.caught_up_in_flush[:2] == [False, True]


async def test_only_the_newest_records_of_a_limited_topic_are_read(settings: Settings, producer: BatchProducer) -> None:
    await publish(producer, settings, 0, *numbers(0, 50))
    await publish(producer, settings, 1, *numbers(0, 5))
    harness = ReaderHarness(settings)
    harness.reader.newest = {settings.topics.item_vectors: 10}
    async with harness.running():
        await harness.wait_until_caught_up()
        assert harness.values == {0: numbers(40, 50), 1: numbers(0, 5), 2: []}
        await publish(producer, settings, 2, b"new")
        await until(lambda: harness.values[2] == [b"new"], "the new record is read")


async def test_a_wait_for_the_end_of_a_partition_ends_after_its_records_are_flushed(
    settings: Settings, producer: BatchProducer
) -> None:
    async with ReaderHarness(settings).running() as harness:
        await harness.wait_until_caught_up()
        harness.gate.clear()
        await publish(producer, settings, 2, *numbers(0, 3))
        partition = TopicPartition(settings.topics.item_vectors, 2)
        waiting = asyncio.create_task(harness.reader.read_to_end(partition))
        await until(lambda: harness.read == 3, "the records are applied")
        assert not waiting.done()
        harness.gate.set()
        await asyncio.wait_for(waiting, TIMEOUT_S)
        await asyncio.wait_for(harness.reader.read_to_end(partition), TIMEOUT_S)
