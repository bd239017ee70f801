"""Broadcast topics, read whole by every worker: item vectors and what trends.

A plain consumer from the beginning, in no group. `caught_up` tells that all that was there at the start is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.kafka.clients import ClientOptions


@dataclass(slots=True, kw_only=True)
class BroadcastReader:
    """Follows partitions from their beginning and hands every record on, in batches.

    Attributes:
        options: how to reach the brokers.
        partitions: what to read.
        apply: called for each record.
        flush: awaited after each batch of records.
        caught_up: set once the ends that were found at the start are reached.
    """

    options: ClientOptions
    partitions: Sequence[TopicPartition]
    apply: Callable[[ConsumerRecord], None]
    flush: Callable[[], Awaitable[None]]
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            **self.options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        await consumer.start()
        try:
            consumer.assign(self.partitions)
            await consumer.seek_to_beginning(*self.partitions)
            missing = await consumer.end_offsets(self.partitions)
            while True:
                missing = await self._behind(consumer, missing)
                if not missing and not self.caught_up.is_set():
                    self.caught_up.set()
                records = await consumer.getmany(timeout_ms=200, max_records=2000)
                if records:
                    self._apply(records.values())
                    await self.flush()
        finally:
            await consumer.stop()

    def _apply(self, batches: Iterable[Sequence[ConsumerRecord]]) -> None:
        for batch in batches:
            for record in batch:
                self.apply(record)

    async def _behind(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the partitions whose starting end is not reached yet."""
        return {partition: end for partition, end in ends.items() if await consumer.position(partition) < end}
