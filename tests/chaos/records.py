"""The committed records of topics, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

STUCK_AFTER = 20
"""Polls without progress after which the rest of a partition counts as an open transaction."""


class Record(NamedTuple):
    """A record. `timestamp_ms` is the broker's time of the append, or the producer's, as the topic's settings say."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def position(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


async def read_topics(servers: str, partitions: Mapping[str, int]) -> dict[str, list[Record]]:
    """Return all committed records of each topic, by partition and offset. `partitions` has each topic's number."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        return {topic: await _read(consumer, topic, number) for topic, number in partitions.items()}
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, topic: str, number: int) -> list[Record]:
    partitions = [TopicPartition(topic, each) for each in range(number)]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[Record] = []
    for partition in partitions:
        idle = 0
        while await consumer.position(partition) < ends[partition] and idle < STUCK_AFTER:
            batch = (await consumer.getmany(partition, timeout_ms=250)).get(partition, [])
            idle = 0 if batch else idle + 1
            found += [
                Record(topic, each.partition, each.offset, each.timestamp, each.key, each.value, tuple(each.headers))
                for each in batch
            ]
    return found
