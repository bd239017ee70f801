"""The contents of a topic: all records, the end offsets, and the compacted state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.clients import client_options
from streams.settings import Settings


async def stored(settings: Settings, topic: str, partitions: int | None = None) -> list[ConsumerRecord]:
    """Return everything on a topic, partition by partition; it has as many as the settings say, if not told."""
    async with _reading(settings, topic, partitions) as (consumer, of):
        found: list[ConsumerRecord] = []
        for partition, end in (await consumer.end_offsets(of)).items():
            while await consumer.position(partition) < end:
                found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        return found


async def ends(settings: Settings, topic: str) -> dict[tuple[str, int], int]:
    """Return where each partition of a topic ends."""
    async with _reading(settings, topic, None) as (consumer, of):
        found = await consumer.end_offsets(of)
    return {(partition.topic, partition.partition): end for partition, end in found.items()}


async def latest(settings: Settings, topic: str, partitions: int | None = None) -> dict[int, dict[bytes, bytes]]:
    """Return a compacted topic's state: the last value of each key that has one, by partition."""
    state: dict[int, dict[bytes, bytes]] = {number: {} for number in range(partitions or settings.topics.partitions)}
    for record in await stored(settings, topic, partitions):
        if record.value is None:
            state[record.partition].pop(record.key, None)
        else:
            state[record.partition][record.key] = record.value
    return state


@asynccontextmanager
async def _reading(
    settings: Settings, topic: str, partitions: int | None
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    consumer = AIOKafkaConsumer(
        **client_options(settings.kafka), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        of = [TopicPartition(topic, number) for number in range(partitions or settings.topics.partitions)]
        consumer.assign(of)
        yield consumer, of
    finally:
        await consumer.stop()
