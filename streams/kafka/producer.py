"""The producer of a worker: sends lists, dead letters, broadcasts and changelogs of tables."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from streams.kafka.clients import ClientOptions

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1_000_000
"""Most bytes of a value. Kafka's default `message.max.bytes` is 1 MiB, which includes key and headers."""
BATCH_BYTES = 256 * 1024
"""Most bytes of a record batch for one partition. The profiles or lists of a whole batch of events fit."""

FEW = 3
"""Up to so many records of a partition are cheaper to send alone: 3 records of 3 kB take 37 µs each instead of 47."""

Record = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


class Copy(NamedTuple):
    """Record with everything that a producer can set. The brokers replace the timestamp if the topic says so."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp_ms: int | None


class Sent(NamedTuple):
    """Records that are sent together. `delivered` completes when the brokers have them, with the first one's offset."""

    delivered: asyncio.Future[RecordMetadata]
    records: int


class BatchProducer:
    """Producer for whole record batches. Its futures complete when all in-sync replicas have the records."""

    def __init__(self, options: ClientOptions, *, linger_ms: int) -> None:
        self._options = options
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect to the brokers."""
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
        """Send a message. The future completes when all in-sync replicas have it, or fails with the KafkaError."""
        future: asyncio.Future[RecordMetadata] = await self._started().send(topic, value, key, partition)
        return future

    async def send_copy(self, copy: Copy) -> asyncio.Future[RecordMetadata]:
        """Send a copy of a record, as `send` does."""
        topic, partition, key, value, headers, timestamp_ms = copy
        future: asyncio.Future[RecordMetadata] = await self._started().send(
            topic, value, key, partition, timestamp_ms, headers
        )
        return future

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        """Send records of one partition in their order, in as few record batches as possible."""
        producer = self._started()
        if len(records) <= FEW:
            return [Sent(await producer.send(topic, value, key, partition), 1) for key, value in records]
        return [
            Sent(await producer.send_batch(batch, topic, partition=partition), batch.record_count())
            for batch in _batches(producer, records)
        ]

    async def stop(self, timeout_s: float) -> None:
        """Deliver pending records within `timeout_s` seconds, then disconnect."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await producer.stop()
        except TimeoutError:
            log.warning("the brokers did not take all records within %s s; their events will be read again", timeout_s)

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not started")
        return self._producer


def _batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[BatchBuilder]:
    """Yield closed batches, as full as possible. The producer adds nothing to a closed batch and sends it at once."""
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    batch.close()
    yield batch
