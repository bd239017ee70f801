"""Delivery: sends the records that messages cause, and the dead letters of refused messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
from aiokafka.structs import RecordMetadata
from faust.types import Message

from streams.contracts import serde
from streams.contracts.messages import DeadLetter
from streams.errors import InvalidEvent
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer, Record
from streams.metrics import Metrics

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
        )
        self.metrics.events.labels(message.topic, "invalid").inc()
        self.metrics.dead_letters.labels(refusal.reason).inc()
        data = serde.encode_json(letter)
        if len(data) > LARGEST_MESSAGE:
            # Base64 makes key and value a third longer. Brokers refuse a larger letter, which would stop the worker at
            # each start. The message itself is still at its offset.
            detail = f"{letter.detail}; the message is too large to be repeated here"
            data = serde.encode_json(msgspec.structs.replace(letter, key=None, value=None, detail=detail))
            return await self.producer.send(self.dead_letters_topic, None, data)
        # The key has the id of the shopper, so it goes with the payload.
        return await self.producer.send(self.dead_letters_topic, message.key if self.keeps_payloads else None, data)
