"""The demo's traffic: publishes the catalogue, sends events at a constant rate, and reads the lists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.console.histories import BOUGHT_NEXT
from streams.contracts import serde
from streams.contracts.internal import ItemVector
from streams.contracts.messages import PRODUCER_HEADER, Interaction, Search
from streams.demo.process import WorkerProcess
from streams.demo.staging import APP, CATALOGUE, WrongData, is_wrong, producer_of
from streams.demo.statistics import Statistics
from streams.errors import StreamsError
from streams.kafka.clients import broker_errors, client_options, pace
from streams.settings import Settings

READY_SECONDS = 90
FIRST_ANSWER_SECONDS = 60
DRAIN_SECONDS = 20
"""The demo stops waiting for the last events when no list has arrived for this long."""
SHOW_SECONDS = 0.3
FINDINGS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The traffic from the worker's start to the last list. It calls `show` a few times a second.

    `bought_next` has the items that a shopper bought after each event, by event id. The console marks them in lists.
    `wrong` is the wrong data that one of the producers sends beside the events, None without any.
    """

    settings: Settings
    worker: WorkerProcess
    stats: Statistics
    show: Callable[[float], None]
    bought_next: Mapping[str, Sequence[str]]
    wrong: WrongData | None = None

    async def publish(self, records: Sequence[ItemVector]) -> None:
        """Publish the catalogue and wait until the worker serves it.

        The vectors go first. The items follow when the worker has read the vectors, so that it encodes nothing again.
        Both go to the partition of the item's key, as if the worker had sent them.
        """
        with broker_errors(self.settings.kafka, "publishing the catalogue"):
            async with AIOKafkaProducer(**client_options(self.settings.kafka), linger_ms=5) as producer:
                for record in records:
                    key, value = record.item.item_id.encode(), serde.encode_msgpack(record)
                    await producer.send(self.settings.topics.item_vectors, value, key)
                await producer.flush()
                await self.worker.until("intentstream_ready", 1, within_seconds=READY_SECONDS)
                await self.worker.until("intentstream_catalogue_items", len(records), within_seconds=READY_SECONDS)
                for record in records:
                    key, value = record.item.item_id.encode(), serde.encode_json(record.item)
                    headers = [(PRODUCER_HEADER, CATALOGUE.encode())]
                    await producer.send(self.settings.topics.items, value, key, headers=headers)
        # Events start when the worker has read all items. Otherwise that work would add to the measured latency.
        taken = f'intentstream_events_total{{outcome="ok",topic="{self.settings.topics.items}"}}'
        await self.worker.until(taken, len(records), within_seconds=READY_SECONDS)

    async def run(self, events: Sequence[Interaction], rate: float, first: Callable[[], None]) -> None:
        """Send the events at `rate` a second. Return when all are answered, or when no more lists arrive.

        The first event goes alone, because its list waits until the worker has its partitions. Then `first` is called.
        Raises StreamsError if the worker ends or the first list does not arrive.
        """
        options = client_options(self.settings.kafka)
        with broker_errors(self.settings.kafka, "replaying"):
            async with (
                AIOKafkaConsumer(**options, auto_offset_reset="latest", fetch_max_wait_ms=100) as consumer,
                AIOKafkaProducer(**options) as producer,
            ):
                pace(consumer)
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
            work = (self._follow(consumer), self._guard(), self._follow_findings())
            background = [group.create_task(each) for each in work]
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
            for key, value in self.wrong.beside(n, event) if self.wrong else ():
                headers = [(PRODUCER_HEADER, APP.encode())]
                await producer.send(self.settings.topics.clicks, value, key, headers=headers)

    async def _send(self, producer: AIOKafkaProducer, event: Interaction) -> None:
        topic = self.settings.topics.searches if isinstance(event, Search) else self.settings.topics.clicks
        value, key = serde.encode_json(event), event.user_id.encode()
        self.stats.send(event, monotonic())
        later = self.bought_next.get(event.event_id)
        headers = [(PRODUCER_HEADER, producer_of(event).encode())]
        if later:  # a header, because the worker must not know the future: it reads keys and values only
            headers.append((BOUGHT_NEXT, " ".join(later).encode()))
        await producer.send(topic, value, key, headers=headers)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Count the lists and dead letters that arrive."""
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                if partition.topic == self.settings.topics.dead_letters:
                    self.stats.refused += sum(not is_wrong(record.key) for record in records)
                    continue
                now = monotonic()
                for record in records:
                    message = serde.decode_recommendations(record.value)
                    self.stats.receive(message, now, warm=self.stats.sent > 1)

    async def _follow_findings(self) -> None:
        """Ask the worker for what is wrong with the data."""
        while True:
            self.stats.findings = await self.worker.findings()
            await asyncio.sleep(FINDINGS_SECONDS)

    async def _guard(self) -> None:
        while True:
            self.worker.check()
            self.show(monotonic())
            await asyncio.sleep(SHOW_SECONDS)

    async def _first_answer(self) -> None:
        deadline = monotonic() + FIRST_ANSWER_SECONDS
        while not self.stats.answered:
            if monotonic() > deadline:
                raise StreamsError(f"required a list for the first event within {FIRST_ANSWER_SECONDS} s, got none")
            await asyncio.sleep(0.005)

    async def _drain(self) -> None:
        answered, since = self.stats.answered, monotonic()
        while self.stats.unanswered and monotonic() - since < DRAIN_SECONDS:
            await asyncio.sleep(0.02)
            if self.stats.answered != answered:
                answered, since = self.stats.answered, monotonic()

    async def _at_the_end(self, consumer: AIOKafkaConsumer) -> None:
        """Move to the end of the lists and dead letters: on the user's own Kafka, there may be older ones."""
        topics = (self.settings.topics.recommendations, self.settings.topics.dead_letters)
        partitions = [TopicPartition(topic, n) for topic in topics for n in range(self.settings.topics.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
