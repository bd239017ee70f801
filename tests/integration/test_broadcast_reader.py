"""Broadcast topics: every record of every partition is read, and readiness follows the end offsets of the start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.kafka import topics
from streams.kafka.broadcast import BroadcastReader
from streams.kafka.clients import consumer_options
from streams.kafka.producer import BatchProducer
from streams.settings import Settings
from tests.integration.conftest import settings_on
from tests.integration.workers import until

pytestmark = pytest.mark.embedded
PATIENCE = 30


class Listener:
    """A reader with what it handed on; `gate` holds its batches up at the flush."""

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
    async def listening(self) -> AsyncIterator[Listener]:
        running = asyncio.create_task(self.reader.run())
        try:
            yield self
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def caught_up(self) -> None:
        await asyncio.wait_for(self.reader.caught_up.wait(), PATIENCE)

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
    settings = settings_on(embedded, request.node.name).replace(partitions=3)
    await topics.create(settings)
    return settings


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[BatchProducer]:
    producer = BatchProducer(consumer_options(settings.kafka), linger_ms=1)
    await producer.start()
    yield producer
    await producer.stop(10)


async def publish(producer: BatchProducer, settings: Settings, partition: int, *values: bytes | None) -> None:
    for sent in [await producer.send(settings.topics.item_vectors, b"item", value, partition) for value in values]:
        await sent


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, end)]


async def test_everything_there_is_read_in_order_from_the_beginning_then_it_is_caught_up(
    settings: Settings, producer: BatchProducer
) -> None:
    await publish(producer, settings, 0, *numbers(0, 3000))
    await publish(producer, settings, 1, b"first", None, b"last")
    async with Listener(settings).listening() as listener:
        await listener.caught_up()
        assert listener.values == {0: numbers(0, 3000), 1: [b"first", None, b"last"], 2: []}


async def test_where_all_is_empty_it_is_caught_up_at_once_and_flushes_nothing(settings: Settings) -> None:
    async with Listener(settings).listening() as listener:
        await listener.caught_up()
        assert (listener.read, listener.flushed) == (0, [])


async def test_new_records_are_followed_in_every_partition(settings: Settings, producer: BatchProducer) -> None:
    await publish(producer, settings, 0, b"old")
    async with Listener(settings).listening() as listener:
        await listener.caught_up()
        for partition in range(3):
            await publish(producer, settings, partition, b"new", None)
        await until(lambda: listener.read == 7, "seven records are read")
        assert listener.values == {0: [b"old", b"new", None], 1: [b"new", None], 2: [b"new", None]}


async def test_each_batch_is_flushed_once_and_wholly_and_no_record_comes_meanwhile(
    settings: Settings, producer: BatchProducer
) -> None:
    await publish(producer, settings, 0, *numbers(0, 2500))
    listener = Listener(settings)
    listener.gate.clear()
    async with listener.listening():
        await until(lambda: listener.read > 0, "a batch is applied")
        held = listener.read
        await publish(producer, settings, 1, b"later")
        assert (listener.read, listener.flushed) == (held, [])
        assert not listener.reader.caught_up.is_set()
        listener.gate.set()
        await listener.caught_up()
        await until(lambda: sum(listener.flushed) == 2501, "all is flushed")
        assert all(0 < size <= 2000 for size in listener.flushed)
        assert listener.unflushed == 0


async def test_what_comes_after_the_start_does_not_put_off_being_caught_up(
    settings: Settings, producer: BatchProducer
) -> None:
    await publish(producer, settings, 2, b"old")
    listener = Listener(settings)
    listener.gate.clear()
    async with listener.listening():
        await until(lambda: listener.read == 1, "the old record is applied")
        await publish(producer, settings, 2, *numbers(0, 5000))
        listener.gate.set()
        await listener.caught_up()
        await until(lambda: listener.read == 5001, "the new records are applied")
        assert listener.caught_up_in_flush[:2] == [False, True]


async def test_of_a_long_topic_only_the_end_is_read(settings: Settings, producer: BatchProducer) -> None:
    await publish(producer, settings, 0, *numbers(0, 50))
    await publish(producer, settings, 1, *numbers(0, 5))
    listener = Listener(settings)
    listener.reader.newest = {settings.topics.item_vectors: 10}
    async with listener.listening():
        await listener.caught_up()
        assert listener.values == {0: numbers(40, 50), 1: numbers(0, 5), 2: []}
        await publish(producer, settings, 2, b"new")
        await until(lambda: listener.values[2] == [b"new"], "the new record is read")
