"""The demo's traffic: publishes the catalogue, sends events at a rate, and follows the lists that come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.contracts import serde
from streams.contracts.messages import Interaction, ItemVector, Search
from streams.demo.process import WorkerProcess
from streams.demo.tally import Tally
from streams.errors import StreamsError
from streams.kafka.clients import broker_errors, client_options
from streams.settings import Settings

READY_SECONDS = 90
FIRST_ANSWER_SECONDS = 60
DRAIN_SECONDS = 20
"""How long the last events may go without any list coming, before they are given up."""
SHOW_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Everything between the worker's start and the last list; `show` is called a few times a second."""

    settings: Settings
    worker: WorkerProcess
    tally: Tally
    show: Callable[[float], None]

    async def publish(self, records: Sequence[ItemVector]) -> None:
        """Publish the catalogue and wait until the worker serves it.

        The vectors go first, and the items when the worker knows them: it then has nothing to encode again. Both go
        to the partition of the item's key, as the worker itself would send them.
        """
        with broker_errors(self.settings, "publishing the catalogue"):
            async with AIOKafkaProducer(**client_options(self.settings), linger_ms=5) as producer:
                for record in records:
                    key, value = record.item.item_id.encode(), serde.encode_msgpack(record)
                    await producer.send(self.settings.item_vectors_topic, value, key)
                await producer.flush()
                await self.worker.until("intentstream_ready", 1, within_seconds=READY_SECONDS)
                await self.worker.until("intentstream_catalogue_items", len(records), within_seconds=READY_SECONDS)
                for record in records:
                    key, value = record.item.item_id.encode(), serde.encode_json(record.item)
                    await producer.send(self.settings.items_topic, value, key)
        # Shoppers come when the shop is open: what the worker still has to take in would show in their latency.
        taken = f'intentstream_events_total{{outcome="ok",topic="{self.settings.items_topic}"}}'
        await self.worker.until(taken, len(records), within_seconds=READY_SECONDS)

    async def run(self, events: Sequence[Interaction], rate: float, first: Callable[[], None]) -> None:
        """Send the events at `rate` a second and return when all are answered, or none is any more.

        The first event goes alone, because its list waits for Kafka to give the worker its partitions; then `first`
        is called. Raises StreamsError where the worker dies or no first list comes.
        """
        options = client_options(self.settings)
        with broker_errors(self.settings, "replaying"):
            async with (
                AIOKafkaConsumer(**options, auto_offset_reset="latest", fetch_max_wait_ms=100) as consumer,
                AIOKafkaProducer(**options) as producer,
            ):
                await self._at_the_end(consumer)
                try:
                    await self._traffic(consumer, producer, events, rate, first)
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None

    async def _traffic(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        events: Sequence[Interaction],
        rate: float,
        first: Callable[[], None],
    ) -> None:
        async with asyncio.TaskGroup() as group:
            background = (group.create_task(self._follow(consumer)), group.create_task(self._guard()))
            await self._send(producer, events[0])
            await self._first_answer()
            first()
            await self._send_all(producer, events[1:], rate)
            await self._drain()
            for task in background:
                task.cancel()

    async def _send_all(self, producer: AIOKafkaProducer, events: Sequence[Interaction], rate: float) -> None:
        start = monotonic()
        for n, event in enumerate(events):
            if (early := start + n / rate - monotonic()) > 0:
                await asyncio.sleep(early)
            await self._send(producer, event)

    async def _send(self, producer: AIOKafkaProducer, event: Interaction) -> None:
        topic = self.settings.searches_topic if isinstance(event, Search) else self.settings.clicks_topic
        value, key = serde.encode_json(event), event.user_id.encode()
        self.tally.send(event, monotonic())
        await producer.send(topic, value, key)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Count what comes back."""
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                if partition.topic == self.settings.dead_letters_topic:
                    self.tally.refused += len(records)
                    continue
                now = monotonic()
                for record in records:
                    message = serde.decode_recommendations(record.value)
                    self.tally.receive(message, now, warm=self.tally.sent > 1)

    async def _guard(self) -> None:
        while True:
            self.worker.check()
            self.show(monotonic())
            await asyncio.sleep(SHOW_SECONDS)

    async def _first_answer(self) -> None:
        deadline = monotonic() + FIRST_ANSWER_SECONDS
        while not self.tally.answered:
            if monotonic() > deadline:
                raise StreamsError(f"the first event must be answered within {FIRST_ANSWER_SECONDS} s, it was not")
            await asyncio.sleep(0.005)

    async def _drain(self) -> None:
        answered, since = self.tally.answered, monotonic()
        while self.tally.unanswered and monotonic() - since < DRAIN_SECONDS:
            await asyncio.sleep(0.02)
            if self.tally.answered != answered:
                answered, since = self.tally.answered, monotonic()

    async def _at_the_end(self, consumer: AIOKafkaConsumer) -> None:
        """Read lists and refusals from now on: on a Kafka of one's own there may be older ones."""
        topics = (self.settings.recommendations_topic, self.settings.dead_letters_topic)
        partitions = [TopicPartition(topic, n) for topic in topics for n in range(self.settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
