"""The contents of a topic: all records, the end offsets, and the compacted state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.clients import client_options
from streams.settings import Settings


async def read_all(settings: Settings, topic: str, partitions: int | None = None) -> list[ConsumerRecord]:
    """Return all records of a topic, by partition. The default number of partitions is that of the settings."""
    async with _reading(settings, topic, partitions) as (consumer, assigned):
        found: list[ConsumerRecord] = []
        for partition, end in (await consumer.end_offsets(assigned)).items():
            while await consumer.position(partition) < end:
                found += (await consumer.getmany(partition, timeout_ms=500)).get(partition, [])
        return found


async def end_offsets(settings: Settings, topic: str) -> dict[tuple[str, int], int]:
    """Return the end offset of each partition of a topic."""
    async with _reading(settings, topic, None) as (consumer, assigned):
        found = await consumer.end_offsets(assigned)
    return {(partition.topic, partition.partition): end for partition, end in found.items()}


async def compacted_state(
    settings: Settings, topic: str, partitions: int | None = None
) -> dict[int, dict[bytes, bytes]]:
    """Return a compacted topic's state by partition: the last value of each key, without tombstones."""
    state: dict[int, dict[bytes, bytes]] = {number: {} for number in range(partitions or settings.topics.partitions)}
    for record in await read_all(settings, topic, partitions):
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
        assigned = [TopicPartition(topic, number) for number in range(partitions or settings.topics.partitions)]
        consumer.assign(assigned)
        yield consumer, assigned
    finally:
        await consumer.stop()
