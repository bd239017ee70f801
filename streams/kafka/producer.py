"""The one producer of a worker: lists, dead letters, broadcasts and the changelogs of its tables."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from streams.kafka.clients import ClientOptions

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1_000_000
"""Bytes of a value that brokers take as they come: Kafka's `message.max.bytes` is 1 MiB, headers and key included."""
BATCH_BYTES = 256 * 1024
"""Largest record batch of a partition: the profiles or the lists of a whole batch of events."""

FEW = 3
"""So few records of a partition are cheaper to send one by one: three of 3 kB for 37 µs each instead of 47."""

Record = tuple[bytes | None, bytes | None]
"""Key and value."""

_partition = DefaultPartitioner()


@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition in which every producer with Kafka's default partitioner puts this key."""
    every = range(partitions)
    return int(_partition(key, every, every))


class Sent(NamedTuple):
    """Records on their way together: `delivered` ends when the brokers have them, with the place of the first."""

    delivered: asyncio.Future[RecordMetadata]
    records: int


class BatchProducer:
    """Sends to Kafka; every future that it returns ends when all in-sync replicas have the records."""

    def __init__(self, options: ClientOptions, *, linger_ms: int) -> None:
        self._options = options
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            max_batch_size=BATCH_BYTES,
            max_request_size=4 * 1024 * 1024,
        )
        await self._producer.start()

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> asyncio.Future[RecordMetadata]:
        """Hand a message over. The future ends when every in-sync replica has it, or with the KafkaError."""
        future: asyncio.Future[RecordMetadata] = await self._started().send(topic, value, key, partition)
        return future

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        """Hand records of one partition over in their order, in as few record batches as hold them."""
        producer = self._started()
        if len(records) <= FEW:
            return [Sent(await producer.send(topic, value, key, partition), 1) for key, value in records]
        return [
            Sent(await producer.send_batch(batch, topic, partition=partition), batch.record_count())
            for batch in _batches(producer, records)
        ]

    async def stop(self, timeout_s: float) -> None:
        """Deliver what is on its way within `timeout_s` seconds, then disconnect."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await producer.stop()
        except TimeoutError:
            log.warning("the brokers did not take everything within %s s: those events will be read again", timeout_s)

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not started")
        return self._producer


def _batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[BatchBuilder]:
    """Yield batches as full as they may be, closed: nothing else is to be put into them, and they go at once."""
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    batch.close()
    yield batch
