"""A producer with scripted brokers, for faults that a real broker does not show on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import RecordMetadata, TopicPartition

from streams.kafka.producer import Record, Sent


@dataclass(eq=False)
class Delivery:
    """Messages that were handed over together, and the future that ends when the brokers have them."""

    topic: str
    partition: int
    messages: list[tuple[bytes, bytes]]
    future: asyncio.Future[RecordMetadata]
    offset: int

    def arrive(self) -> None:
        place = TopicPartition(self.topic, self.partition)
        self.future.set_result(RecordMetadata(self.topic, self.partition, place, self.offset, 0, 0, 0))

    def fail(self, error: Exception) -> None:
        self.future.set_exception(error)


class ScriptedProducer:
    """Keeps what is sent; with `prompt`, the brokers have it at once."""

    def __init__(self, *, prompt: bool = False) -> None:
        self.prompt = prompt
        self.deliveries: list[Delivery] = []

    async def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> Any:
        return self._take(topic, partition or 0, [(key or b"", value or b"")])

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        if not records:
            return []
        messages = [(key or b"", value or b"") for key, value in records]
        return [Sent(self._take(topic, partition, messages), len(messages))]

    def on(self, topic: str) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.topic == topic]

    def arrive(self) -> None:
        """Let the brokers have everything."""
        for delivery in self.deliveries:
            if not delivery.future.done():
                delivery.arrive()

    def _take(self, topic: str, partition: int, messages: list[tuple[bytes, bytes]]) -> asyncio.Future[RecordMetadata]:
        offset = sum(len(each.messages) for each in self.on(topic))
        future = asyncio.get_running_loop().create_future()
        self.deliveries.append(Delivery(topic, partition, messages, future, offset))
        if self.prompt:
            self.deliveries[-1].arrive()
        return future
