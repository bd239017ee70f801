"""Publisher of messages for the command `produce`, with the keys of the contract."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from streams.contracts.jsonlines import Line
from streams.contracts.messages import PRODUCER_HEADER, Interaction, Item
from streams.kafka.admin import require_topics
from streams.kafka.clients import broker_errors, client_options
from streams.settings import Settings

Message = Line[Interaction | Item]
UNCONFIRMED_AT_MOST = 1000


class Publisher:
    """Sender of messages in order. It counts those that the broker has confirmed, by topic."""

    def __init__(self, producer: AIOKafkaProducer, topics: Mapping[str, str], name: str) -> None:
        self._producer = producer
        self._name = name
        self._topics = topics
        self._unconfirmed: list[tuple[str, Future[object]]] = []
        self.confirmed: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings, name: str) -> AsyncIterator[Publisher]:
        """Connect. Messages that name no producer have `name`.

        At the end, also if the block raises, wait for the confirmation of all messages.

        Raises TopicError if a topic is missing: brokers that create topics automatically would use wrong settings.
        """
        topics = {
            "clicks": settings.topics.clicks,
            "searches": settings.topics.searches,
            "items": settings.topics.items,
        }
        await require_topics(settings.kafka, topics.values())
        # Idempotent: a retry must not make a purchase count twice.
        producer = AIOKafkaProducer(
            **client_options(settings.kafka), linger_ms=settings.latency.producer_linger_ms, enable_idempotence=True
        )
        publisher = cls(producer, topics, name)
        with broker_errors(settings.kafka, "publishing"):
            try:
                await producer.start()
                try:
                    yield publisher
                finally:
                    await publisher.confirm()
            finally:
                await producer.stop()

    async def send(self, message: Message) -> None:
        """Send a message as its own producer, if it names one. Wait for confirmations if too many are outstanding."""
        topic = self._topics[message.topic]
        headers = [(PRODUCER_HEADER, (message.producer or self._name).encode())]
        sent = await self._producer.send(topic, message.value, message.key, headers=headers)
        self._unconfirmed.append((topic, sent))
        if len(self._unconfirmed) >= UNCONFIRMED_AT_MOST:
            await self.confirm()

    async def confirm(self) -> None:
        """Wait until the broker has confirmed all messages."""
        waiting, self._unconfirmed = self._unconfirmed, []
        for topic, future in waiting:
            await future
            self.confirmed[topic] += 1


async def paced(messages: Iterable[Message], rate: float | None) -> AsyncIterator[Message]:
    """Yield messages, on average at most `rate` a second. Without a rate, yield them at once."""
    started = time.monotonic()
    for number, message in enumerate(messages):
        # Each message has its time from the start on, so a delay is caught up and the mean rate holds.
        if rate is not None and (ahead := started + number / rate - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
        yield message
