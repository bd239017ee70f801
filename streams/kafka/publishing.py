"""Messages onto their topics, keyed as the contract says: what `produce` sends with."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from streams.contracts.jsonlines import Line
from streams.contracts.messages import Interaction, Item
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options
from streams.settings import Settings

Message = Line[Interaction | Item]
UNCONFIRMED_AT_MOST = 1000


class Publisher:
    """Sends messages in order and counts those that the broker has confirmed, by topic."""

    def __init__(self, producer: AIOKafkaProducer, topics: Mapping[str, str]) -> None:
        self._producer = producer
        self._topics = topics
        self._unconfirmed: list[tuple[str, Future[object]]] = []
        self.confirmed: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings) -> AsyncIterator[Publisher]:
        """Connect; at the end, and where the block raises, all that was sent is confirmed first.

        Raises TopicError where a topic is missing: a broker that makes topics itself would make a wrong one.
        """
        topics = {
            "clicks": settings.clicks_topic,
            "searches": settings.searches_topic,
            "items": settings.items_topic,
        }
        await require_topics(settings, topics.values())
        # Idempotent: a retry must not count a purchase twice.
        producer = AIOKafkaProducer(
            **client_options(settings), linger_ms=settings.producer_linger_ms, enable_idempotence=True
        )
        publisher = cls(producer, topics)
        with broker_errors(settings, "publishing"):
            try:
                await producer.start()
                try:
                    yield publisher
                finally:
                    await publisher.confirm()
            finally:
                await producer.stop()

    async def send(self, message: Message) -> None:
        """Send a message; waits for confirmations where too many are outstanding."""
        topic = self._topics[message.topic]
        self._unconfirmed.append((topic, await self._producer.send(topic, message.value, message.key)))
        if len(self._unconfirmed) >= UNCONFIRMED_AT_MOST:
            await self.confirm()

    async def confirm(self) -> None:
        """Wait until the broker has confirmed everything that was sent."""
        waiting, self._unconfirmed = self._unconfirmed, []
        for topic, future in waiting:
            await future
            self.confirmed[topic] += 1


async def paced(messages: Iterable[Message], rate: float | None) -> AsyncIterator[Message]:
    """Yield messages at most `rate` a second, on average from the start; without a rate, as they come."""
    started = time.monotonic()
    for number, message in enumerate(messages):
        if rate is not None and (ahead := started + number / rate - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
        yield message
