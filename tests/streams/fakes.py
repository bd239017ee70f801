"""Fakes for the tests of the worker: Faust messages, a producer with scripted deliveries, and a table in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import RecordMetadata, TopicPartition
from faust.types import TP, Message

from streams.contracts import serde
from streams.contracts.messages import Interaction, Search
from streams.kafka.producer import Copy, Record, Sent
from streams.worker.delivery import Delivered
from tests.streams.shoppers import NOW_MS

CHANGELOG = "profiles-changelog"


def message(
    topic: str, key: bytes | None, value: bytes | None, offset: int = 0, partition: int = 0, at_ms: int = NOW_MS
) -> Message:
    """Return a Faust message with the broker timestamp `at_ms`."""
    return Message(
        topic,
        partition,
        offset,
        timestamp=at_ms / 1000,
        timestamp_type=1,
        headers=None,
        key=key,
        value=value,
        checksum=None,
        tp=TP(topic, partition),
    )


def message_of(event: Interaction, offset: int = 0, partition: int = 0) -> Message:
    """Return the Faust message of an interaction."""
    topic = "searches" if isinstance(event, Search) else "clicks"
    at_ms = int(event.occurred_at.timestamp() * 1000)
    return message(topic, event.user_id.encode(), serde.encode_json(event), offset, partition, at_ms)


@dataclass(eq=False)
class Delivery:
    """Messages of one send, and the future of their delivery."""

    topic: str
    partition: int
    messages: list[tuple[bytes, bytes]]
    future: asyncio.Future[RecordMetadata]
    offset: int

    def complete(self) -> None:
        topic_partition = TopicPartition(self.topic, self.partition)
        self.future.set_result(RecordMetadata(self.topic, self.partition, topic_partition, self.offset, 0, 0, 0))

    def fail(self, error: Exception) -> None:
        self.future.set_exception(error)


class FakeProducer:
    """Records what is sent. A test completes the deliveries; with `immediate`, each completes at once."""

    def __init__(self, *, immediate: bool = False) -> None:
        self.immediate = immediate
        self.deliveries: list[Delivery] = []
        self.copies: list[Copy] = []

    async def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> Any:
        return self._take(topic, partition or 0, [(key or b"", value or b"")])

    async def send_copy(self, copy: Copy) -> Any:
        self.copies.append(copy)
        return self._take(copy.topic, copy.partition, [(copy.key or b"", copy.value or b"")])

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        if not records:
            return []
        messages = [(key or b"", value or b"") for key, value in records]
        return [Sent(self._take(topic, partition, messages), len(messages))]

    def on(self, topic: str) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.topic == topic]

    def complete(self) -> None:
        """Complete all pending deliveries."""
        for delivery in self.deliveries:
            if not delivery.future.done():
                delivery.complete()

    def _take(self, topic: str, partition: int, messages: list[tuple[bytes, bytes]]) -> asyncio.Future[RecordMetadata]:
        offset = sum(len(each.messages) for each in self.on(topic))
        future = asyncio.get_running_loop().create_future()
        self.deliveries.append(Delivery(topic, partition, messages, future, offset))
        if self.immediate:
            self.deliveries[-1].complete()
        return future


class FakeTable:
    """A `StateTable` in memory that records its reads. Its changelog goes to a fake producer."""

    def __init__(self, producer: FakeProducer) -> None:
        self.stored: dict[tuple[int, bytes], bytes] = {}
        self.reads: list[tuple[int, bytes]] = []
        self._producer = producer

    def read_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads += [(partition, key) for key in keys]
        return [self.stored.get((partition, key)) for key in keys]

    def put_many(self, partition: int, values: Sequence[tuple[bytes, bytes | None]]) -> None:
        for key, value in values:
            if value is None:
                self.stored.pop((partition, key), None)
            else:
                self.stored[partition, key] = value

    async def log_many(self, partition: int, values: Sequence[tuple[bytes, bytes | None]]) -> list[Delivered]:
        return [each.delivered for each in await self._producer.send_all(CHANGELOG, partition, values)]
