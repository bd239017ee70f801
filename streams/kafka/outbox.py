"""What leaves: one producer for lists, dead letters, broadcasts and the tables' changelogs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from streams.kafka.clients import ClientOptions

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 1_000_000
"""Bytes of a value that brokers take as they come: Kafka's `message.max.bytes` is 1 MiB, headers and key included."""
BATCH_BYTES = 64 * 1024
"""Room of a partition's batch: a full window's profiles. aiokafka's own 16 KiB are full with seven of them, and the
eighth would wait, with everything behind it in its partition, until those are on their way."""


class Outbox:
    """Sends to Kafka in small batches; every send comes with a future that ends when the brokers have it."""

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
        if self._producer is None:
            raise RuntimeError("the outbox is not started")
        future: asyncio.Future[RecordMetadata] = await self._producer.send(topic, value, key, partition)
        return future

    async def send_all(
        self, topic: str, partition: int, messages: Iterable[tuple[bytes, bytes]]
    ) -> asyncio.Future[RecordMetadata]:
        """Hand many messages of one partition over at once, without lingering: a tenth of the CPU of sending each.

        At least one is required. The future is the last one's, and ends when the brokers have them all.
        """
        if self._producer is None:
            raise RuntimeError("the outbox is not started")
        sent = [
            (await self._producer.send_batch(batch, topic, partition=partition), batch.record_count())
            for batch in _batches(self._producer, messages)
        ]
        return asyncio.ensure_future(_last(sent))

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


def _batches(producer: AIOKafkaProducer, messages: Iterable[tuple[bytes, bytes]]) -> Iterator[BatchBuilder]:
    """Yield batches as full as they may be, closed: nothing else is to be put into them, and they go at once."""
    batch = producer.create_batch()
    for key, value in messages:
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    batch.close()
    yield batch


async def _last(sent: list[tuple[asyncio.Future[RecordMetadata], int]]) -> RecordMetadata:
    """Wait for every batch, and return where the last message lies."""
    places = await asyncio.gather(*(future for future, _ in sent))
    return places[-1]._replace(offset=places[-1].offset + sent[-1][1] - 1)
