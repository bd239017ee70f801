"""Reader of the broadcast topics: items with vectors, trends, co-occurrence, sessions and the pinned model.

It is a plain consumer without a group. Every worker reads these topics completely, from the beginning by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.clients import ConsumerOptions, pace
from streams.kafka.topic_states import TopicState, topic_states

RECORDS_AT_ONCE = 256
"""Records that are applied in one turn of the event loop, in a few milliseconds."""
EMPTY_FETCH_PAUSE_S = 0.05
"""Seconds after a fetch that came back at once, without messages. They come about once a second."""
ASK_AGAIN_S = 1.0
"""Seconds between two requests for the end of a partition while no broker answers."""


@dataclass(slots=True, kw_only=True)
class BroadcastReader:
    """Reader of partitions, from the beginning and then on. It hands records on in batches.

    Attributes:
        options: connection options.
        partitions: partitions to read.
        apply: called for each record.
        flush: awaited after each batch of records.
        at_once: records that are applied in one turn of the event loop.
        newest: by topic, at most how many offsets before the end to begin. Other topics are read from the beginning.
        caught_up: set when the ends found at the start are reached.
    """

    options: ConsumerOptions
    partitions: Sequence[TopicPartition]
    apply: Callable[[ConsumerRecord], None]
    flush: Callable[[], Awaitable[None]]
    at_once: int = RECORDS_AT_ONCE
    newest: Mapping[str, int] = field(default_factory=dict)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _consumer: AIOKafkaConsumer | None = None
    _waiting: list[tuple[TopicPartition, int, asyncio.Future[None]]] = field(default_factory=list)

    async def run(self) -> None:
        """Read until cancelled."""
        # aiokafka's fetcher wakes up at least once in `consumer_timeout_ms`, by default five times a second. These
        # wake-ups are a tenth of an idle worker's CPU, and with fixed partitions they only repeat a lost wake-up.
        consumer = AIOKafkaConsumer(
            **self.options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=500,
            consumer_timeout_ms=500,
        )
        await consumer.start()
        pace(consumer, EMPTY_FETCH_PAUSE_S)
        self._consumer = consumer
        try:
            consumer.assign(self.partitions)
            missing = await self._begin(consumer)
            while True:
                # A position moves when records are handed out. It is read here, after the last records were applied and
                # flushed, so that `caught_up` and `read_to_end` promise no record that is still on its way.
                missing = await self._behind(consumer, missing)
                await self._wake(consumer)
                if not missing and not self.caught_up.is_set():
                    self.caught_up.set()
                records = await consumer.getmany(timeout_ms=500, max_records=self.at_once)
                if records:
                    self._apply(records.values())
                    await self.flush()
        finally:
            self._consumer = None
            await consumer.stop()

    async def ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the current ends of any partitions, nothing if this reader does not run or no broker answers."""
        if self._consumer is None or not partitions:
            return {}
        try:
            ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        except KafkaError:
            return {}
        return ends

    async def read_to_end(self, partition: TopicPartition) -> None:
        """Wait until every record that a partition holds now is applied and flushed."""
        while partition not in (ends := await self.ends([partition])):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(ASK_AGAIN_S)
        is_read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((partition, ends[partition], is_read))
        await is_read

    async def _wake(self, consumer: AIOKafkaConsumer) -> None:
        """Complete the futures of the partitions that are read up to the awaited offsets."""
        # `read_to_end` may append while a position is awaited, so the list is taken as a whole first.
        waiting, self._waiting = self._waiting, []
        for partition, end, is_read in waiting:
            if await consumer.position(partition) < end:
                self._waiting.append((partition, end, is_read))
            elif not is_read.done():
                is_read.set_result(None)

    async def topic_states(self, names: Collection[str]) -> Mapping[str, TopicState] | None:
        """Return the states of those topics that exist, or None if their states are unknown."""
        if self._consumer is None:
            return None
        try:
            return await topic_states(self._consumer._client, names)
        except (KafkaError, NotImplementedError):
            return None

    async def _begin(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Seek to the first offset to read of each partition. Return the ends of the partitions."""
        ends: dict[TopicPartition, int] = await consumer.end_offsets(self.partitions)
        begins = await consumer.beginning_offsets(self.partitions)
        for partition, begin in begins.items():
            # Without an entry in `newest` the difference is 0, and the partition is read from its beginning.
            consumer.seek(partition, max(begin, ends[partition] - self.newest.get(partition.topic, ends[partition])))
        return ends

    def _apply(self, batches: Iterable[Sequence[ConsumerRecord]]) -> None:
        for batch in batches:
            for record in batch:
                self.apply(record)

    async def _behind(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the partitions that are not read up to the ends found at the start."""
        return {partition: end for partition, end in ends.items() if await consumer.position(partition) < end}
