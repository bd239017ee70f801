"""A client of the topics: it publishes items and events, and collects lists and dead letters."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from inference.types import Item
from streams.contracts.messages import DeadLetter, Interaction, Recommendations, Search
from streams.contracts.serde import decode_dead_letter, decode_recommendations, encode_json
from streams.kafka import topics
from streams.kafka.clients import client_options, pace
from streams.settings import Settings
from tests.integration.workers import until

TOLERANCE = 1e-5
"""For scores: the last bits of a float32 product depend on the batch."""


class ShopClient:
    """Publishes items and events. Collects all lists by event id, and all dead letters."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer
        self.lists: defaultdict[str, list[Recommendations]] = defaultdict(list)
        self.dead_letters: list[DeadLetter] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings) -> AsyncIterator[ShopClient]:
        """Create the topics and connect."""
        await topics.create(settings)
        producer = AIOKafkaProducer(**client_options(settings.kafka), enable_idempotence=True)
        await producer.start()
        shop = cls(settings, producer)
        collecting = asyncio.create_task(shop._collect())
        try:
            yield shop
        finally:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
            await producer.stop()

    async def publish(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> RecordMetadata:
        """Publish raw bytes, and return their position."""
        return await self._producer.send_and_wait(topic, value, key, partition)

    async def publish_items(self, items: Iterable[Item]) -> None:
        """Publish items."""
        topic = self.settings.topics.items
        for sent in [await self._producer.send(topic, encode_json(item), item.item_id.encode()) for item in items]:
            await sent

    async def remove_item(self, item_id: str) -> None:
        """Publish an item's tombstone."""
        await self.publish(self.settings.topics.items, item_id.encode(), None)

    async def publish_event(self, event: Interaction) -> RecordMetadata:
        """Publish an interaction on its topic."""
        return await self.publish(self._topic_of(event), event.user_id.encode(), encode_json(event))

    async def publish_events(self, events: Iterable[Interaction]) -> None:
        """Publish interactions in order, as fast as the broker takes them."""
        for sent in [
            await self._producer.send(self._topic_of(event), encode_json(event), event.user_id.encode())
            for event in events
        ]:
            await sent

    def _topic_of(self, event: Interaction) -> str:
        return self.settings.topics.searches if isinstance(event, Search) else self.settings.topics.clicks

    async def publish_and_wait(self, event: Interaction) -> Recommendations:
        """Publish an interaction and wait for its list."""
        await self.publish_event(event)
        await self.wait_for_lists([event])
        return self.lists[event.event_id][0]

    async def wait_for_lists(self, events: Sequence[Interaction]) -> None:
        """Wait until each of the events has at least one list."""
        await until(
            lambda: all(event.event_id in self.lists for event in events),
            f"{len(events)} events are answered",
        )

    async def wait_for_dead_letters(self, number: int) -> None:
        """Wait for this number of dead letters."""
        await until(lambda: len(self.dead_letters) >= number, f"there are {number} dead letters")

    async def _collect(self) -> None:
        settings = self.settings
        consumer = AIOKafkaConsumer(
            **client_options(settings.kafka), auto_offset_reset="earliest", fetch_max_wait_ms=200
        )
        await consumer.start()
        pace(consumer)
        try:
            consumer.assign(
                [
                    TopicPartition(topic, number)
                    for topic in (settings.topics.recommendations, settings.topics.dead_letters)
                    for number in range(settings.topics.partitions)
                ]
            )
            async for record in consumer:
                if record.topic == settings.topics.dead_letters:
                    self.dead_letters.append(decode_dead_letter(record.value))
                else:
                    message = decode_recommendations(record.value)
                    self.lists[message.trigger.event_id].append(message)
        finally:
            await consumer.stop()


async def closed_loop(shop: ShopClient, history: Sequence[Interaction]) -> None:
    """Publish each event after the list of the one before, so that the order of clicks and searches is known."""
    for event in history:
        position = await shop.publish_event(event)
        await shop.wait_for_lists([event])
        trigger = shop.lists[event.event_id][0].trigger
        assert (trigger.partition, trigger.offset) == (position.partition, position.offset)


def assert_same_list(got: Recommendations, expected: Recommendations) -> None:
    """Compare the parts of a list that depend on the events. Items with equal scores may be in either order."""
    assert [item.rank for item in got.items] == list(range(1, len(expected.items) + 1))
    assert [item.score for item in got.items] == pytest.approx([item.score for item in expected.items], abs=TOLERANCE)
    known = {item.item_id: item for item in expected.items}
    for item in got.items:
        other = known[item.item_id]
        assert (item.sources, item.reason, item.because.kind) == (other.sources, other.reason, other.because.kind)
        assert item.score == pytest.approx(other.score, abs=TOLERANCE)
    assert (got.intent, got.model, got.fallback) == (expected.intent, expected.model, None)
