"""Broadcast topics, read by every worker: item vectors, what trends, what goes together, sessions.

A plain consumer from the beginning, in no group. `caught_up` tells that all that was there at the start is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.clients import ClientOptions

RECORDS_AT_ONCE = 256
"""Records that are applied in one turn of the event loop, in a few milliseconds."""


@dataclass(slots=True, kw_only=True)
class BroadcastReader:
    """Follows partitions from their beginning and hands every record on, in batches.

    Attributes:
        options: how to reach the brokers.
        partitions: what to read.
        apply: called for each record.
        flush: awaited after each batch of records.
        newest: of a topic's partitions, how many offsets before the end to begin at most; else at the beginning.
        caught_up: set once the ends that were found at the start are reached.
    """

    options: ClientOptions
    partitions: Sequence[TopicPartition]
    apply: Callable[[ConsumerRecord], None]
    flush: Callable[[], Awaitable[None]]
    newest: Mapping[str, int] = field(default_factory=dict)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _consumer: AIOKafkaConsumer | None = None

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            **self.options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=500
        )
        await consumer.start()
        self._consumer = consumer
        try:
            consumer.assign(self.partitions)
            missing = await self._begin(consumer)
            while True:
                missing = await self._behind(consumer, missing)
                if not missing and not self.caught_up.is_set():
                    self.caught_up.set()
                records = await consumer.getmany(timeout_ms=500, max_records=RECORDS_AT_ONCE)
                if records:
                    self._apply(records.values())
                    await self.flush()
        finally:
            self._consumer = None
            await consumer.stop()

    async def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask where any partitions end now; nothing where it is not running or no broker answers."""
        if self._consumer is None or not partitions:
            return {}
        try:
            ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        except KafkaError:
            return {}
        return ends

    async def _begin(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Seek to where reading begins, and return where each partition ends."""
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self.partitions)
        begins = await consumer.beginning_offsets(self.partitions)
        for partition, begin in begins.items():
            consumer.seek(partition, max(begin, ends[partition] - self.newest.get(partition.topic, ends[partition])))
        return ends

    def _apply(self, batches: Iterable[Sequence[ConsumerRecord]]) -> None:
        for batch in batches:
            for record in batch:
                self.apply(record)

    async def _behind(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the partitions whose starting end is not reached yet."""
        return {partition: end for partition, end in ends.items() if await consumer.position(partition) < end}
