"""Dead letters: refused messages with the reason and their bytes, for their producers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from aiokafka.structs import RecordMetadata
from faust.types import Message

from streams.contracts import serde
from streams.contracts.messages import DeadLetter
from streams.errors import InvalidEvent
from streams.kafka.producer import LARGEST_MESSAGE, BatchProducer
from streams.metrics import Metrics


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Publisher of refused messages on the topic of dead letters. Neither key nor value is ever logged."""

    producer: BatchProducer
    metrics: Metrics
    topic: str

    async def send(self, message: Message, refusal: InvalidEvent) -> asyncio.Future[RecordMetadata]:
        """Send the message's dead letter. The future completes when the brokers have it."""
        letter = DeadLetter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=refusal.reason,
            where=refusal.where,
            detail=refusal.detail,
            key=message.key,
            value=message.value,
            failed_at=datetime.now(UTC),
        )
        self.metrics.events.labels(message.topic, "invalid").inc()
        self.metrics.dead_letters.labels(refusal.reason).inc()
        data = serde.encode_json(letter)
        if len(data) > LARGEST_MESSAGE:
            # Base64 makes key and value a third longer. Brokers refuse a larger letter, which would stop the worker at
            # each start. The message itself is still at its offset.
            detail = f"{letter.detail}; the message is too large to be repeated here"
            data = serde.encode_json(msgspec.structs.replace(letter, key=None, value=None, detail=detail))
            return await self.producer.send(self.topic, None, data)
        return await self.producer.send(self.topic, message.key, data)
