"""Delivery: sends the records that messages cause, and the dead letters of refused messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec
from aiokafka.structs import RecordMetadata
from faust.types import Message

from streams.contracts import serde
from streams.contracts.messages import TOO_LARGE, DeadLetter, Fault, Header
from streams.errors import InvalidEvent
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer, Record
from streams.metrics import Metrics

Shopper = tuple[int, bytes]
"""Partition and key, of a profile or of a list."""
Value = TypeVar("Value", bytes, bytes | None)
Delivered = asyncio.Future[RecordMetadata]
"""Completes when all in-sync replicas have the records, with the offset of the first one, or fails with the error."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sender of the paths. No key and no value is ever logged.

    Attributes:
        keeps_payloads: whether dead letters have the key and the value of the refused message.
    """

    producer: BatchProducer
    metrics: Metrics
    dead_letters_topic: str
    keeps_payloads: bool = True

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Delivered]:
        """Send records of one partition in their order, in as few record batches as possible."""
        return [each.delivered for each in await self.producer.send_all(topic, partition, records)]

    async def refuse(self, message: Message, refusal: InvalidEvent) -> Delivered:
        """Count a refused message and send its dead letter: the reason, the place in the message and its bytes."""
        letter = DeadLetter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=refusal.reason,
            where=refusal.where,
            detail=refusal.detail,
            key=message.key if self.keeps_payloads else None,
            value=message.value if self.keeps_payloads else None,
            failed_at=datetime.now(UTC),
            value_size=None if message.value is None else len(message.value),
            value_hash=None if message.value is None else blake2b(message.value, digest_size=16).hexdigest(),
            others=tuple(Fault(reason=each.reason, where=each.where, detail=each.detail) for each in refusal.others),
            headers=tuple(Header(name=name, value=value) for name, value in message.headers or ()),
        )
        self.metrics.events.labels(message.topic, "invalid").inc()
        self.metrics.dead_letters.labels(message.topic, refusal.reason).inc()
        data = serde.encode_json(letter)
        if len(data) > LARGEST_MESSAGE:
            # Base64 makes key and value a third longer. Brokers refuse a larger letter, which would stop the worker at
            # each start. The message itself is still at its offset.
            detail = f"{letter.detail}; {TOO_LARGE}"
            without = msgspec.structs.replace(letter, key=None, value=None, headers=(), detail=detail)
            data = serde.encode_json(without)
            return await self.producer.send(self.dead_letters_topic, None, data)
        # The key has the id of the shopper, so it goes with the payload.
        return await self.producer.send(self.dead_letters_topic, message.key if self.keeps_payloads else None, data)


def by_partition(shoppers: Sequence[Shopper], values: Sequence[Value]) -> dict[int, list[tuple[bytes, Value]]]:
    """Group keys and values by partition."""
    records: dict[int, list[tuple[bytes, Value]]] = {}
    for (partition, key), value in zip(shoppers, values, strict=True):
        records.setdefault(partition, []).append((key, value))
    return records
