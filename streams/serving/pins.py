"""The `models` topic: the model that all workers have to serve, by slot.

The last message of a slot counts, also for workers that start later. A message without a value removes the pin.
"""

from __future__ import annotations

import logging

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.contracts.messages import ModelPin
from streams.contracts.serde import decode_model_pin, encode_json
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options, consumer_options
from streams.settings import Settings

log = logging.getLogger(__name__)

SERVING_SLOT = b"serving"


async def pinned_model(settings: Settings) -> ModelPin | None:
    """Return the pinned model, None if there is none. Skip unreadable messages."""
    partition = TopicPartition(settings.topics.models, 0)
    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), group_id=None, auto_offset_reset="earliest")
    pinned = None
    with broker_errors(settings.kafka, "reading which model is pinned"):
        try:
            await consumer.start()
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, []):
                    if record.key == SERVING_SLOT:
                        pinned = _read(record.value, pinned)
        finally:
            await consumer.stop()
    return pinned


async def pin_model(settings: Settings, model: ModelPin | None) -> None:
    """Pin `model` for all workers, or remove the pin. Raises TopicError, StreamsError."""
    await require_topics(settings.kafka, [settings.topics.models])
    producer = AIOKafkaProducer(**client_options(settings.kafka), acks="all", enable_idempotence=True)
    with broker_errors(settings.kafka, "pinning a model"):
        try:
            await producer.start()
            value = None if model is None else encode_json(model)
            await producer.send_and_wait(settings.topics.models, value, SERVING_SLOT)
        finally:
            await producer.stop()


def _read(value: bytes | None, otherwise: ModelPin | None) -> ModelPin | None:
    try:
        return decode_model_pin(value)
    except InvalidEvent as refusal:
        log.error("an unreadable message on the topic of models is skipped: %s", refusal.reason)  # noqa: TRY400
        return otherwise
