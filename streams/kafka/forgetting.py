"""Requests to forget a shopper, for the command `forget`: publishes a request and waits for its receipt."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.contracts.messages import Forget, ForgetReceipt
from streams.contracts.serde import decode_receipt, encode_json
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options, consumer_options
from streams.kafka.producer import partition_of
from streams.settings import Settings


async def forget(settings: Settings, request: Forget, timeout_s: float) -> ForgetReceipt | None:
    """Publish a request and return its receipt, None after `timeout_s` seconds without one.

    Raises TopicError if a topic is missing.
    """
    topics, key = settings.topics, request.user_id.encode()
    counts = await require_topics(settings.kafka, (topics.privacy, topics.privacy_receipts))
    receipts = TopicPartition(topics.privacy_receipts, partition_of(key, counts[topics.privacy_receipts]))
    consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), fetch_max_wait_ms=100)
    producer = AIOKafkaProducer(**client_options(settings.kafka), enable_idempotence=True)
    with broker_errors(settings.kafka, "asking to forget a shopper"):
        try:
            await asyncio.gather(consumer.start(), producer.start())
            consumer.assign([receipts])
            # Take the position before the request: the receipt comes after it.
            await consumer.seek_to_end(receipts)
            await consumer.position(receipts)
            partition = partition_of(key, counts[topics.privacy])
            await producer.send_and_wait(topics.privacy, encode_json(request), key, partition)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    return await _receipt(consumer, request)
            return None
        finally:
            await asyncio.gather(consumer.stop(), producer.stop())


async def _receipt(consumer: AIOKafkaConsumer, request: Forget) -> ForgetReceipt:
    while True:
        record = await consumer.getone()
        with suppress(InvalidEvent):
            receipt = decode_receipt(record.value)
            if (receipt.request_id, receipt.user_id) == (request.request_id, request.user_id):
                return receipt
