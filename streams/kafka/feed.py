"""Feed of new recommendations with the titles of their items, for the command `watch`.

It is a plain consumer without a group, so it leaves nothing behind on the brokers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from streams.contracts.messages import Recommendations
from streams.contracts.serde import decode_item, decode_recommendations
from streams.errors import InvalidEvent
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, consumer_options
from streams.settings import Settings


class Feed:
    """Recommendations in an `async for`: `async with Feed.connected(settings) as feed: ... feed.recommendations()`."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._consumer = consumer
        self.titles: dict[str, str] = {}
        """Titles by item id. They follow the catalogue while the feed is read."""

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings, *, from_beginning: bool = False) -> AsyncIterator[Feed]:
        """Connect and read the catalogue. `recommendations` then yields new lists, or all lists `from_beginning`."""
        topics = await require_topics(settings.kafka, (settings.topics.items, settings.topics.recommendations))
        partitions = {topic: [TopicPartition(topic, number) for number in range(n)] for topic, n in topics.items()}
        consumer = AIOKafkaConsumer(**consumer_options(settings.kafka), auto_offset_reset="earliest")
        with broker_errors(settings.kafka, "reading recommendations"):
            try:
                await consumer.start()
                feed = cls(settings, consumer)
                await feed._begin(
                    partitions[settings.topics.items],
                    partitions[settings.topics.recommendations],
                    from_beginning=from_beginning,
                )
                yield feed
            finally:
                await consumer.stop()

    async def recommendations(self) -> AsyncGenerator[Recommendations, None]:
        """Yield lists in the order of each partition, until cancelled. Skip unreadable ones."""
        while True:
            for record in await self._records():
                if record.topic == self._settings.topics.items:
                    self._learn(record)
                elif message := _readable(record):
                    yield message

    async def _begin(self, items: list[TopicPartition], lists: list[TopicPartition], *, from_beginning: bool) -> None:
        self._consumer.assign([*items, *lists])
        self._consumer.pause(*lists)
        await self._consumer.seek_to_beginning(*items)
        # Take the position before reading the catalogue, so that lists made meanwhile are shown as well.
        ends = await self._consumer.end_offsets([*items, *lists])
        for partition in lists:
            self._consumer.seek(partition, ends[partition])
        if from_beginning:
            await self._consumer.seek_to_beginning(*lists)
        unread = {partition for partition in items if ends[partition] > 0}
        while unread := {p for p in unread if await self._consumer.position(p) < ends[p]}:
            for record in await self._records():
                self._learn(record)
        self._consumer.resume(*lists)

    async def _records(self) -> list[ConsumerRecord]:
        batches = await self._consumer.getmany(timeout_ms=200)
        return [record for records in batches.values() for record in records]

    def _learn(self, record: ConsumerRecord) -> None:
        try:
            item = decode_item(record.key, record.value)
        except InvalidEvent:
            return  # the item has a dead letter; only its title is missing here
        if item is None:
            self.titles.pop(record.key.decode(), None)
        else:
            self.titles[item.item_id] = item.title


def _readable(record: ConsumerRecord) -> Recommendations | None:
    try:
        return decode_recommendations(record.value)
    except InvalidEvent:
        return None
