"""The feed of the console: events, lists and dead letters from Kafka, read while a page is open.

It is a consumer without a group, outside the event path: without an open page, an event costs nothing more. It begins
with the latest messages, so that the first page is not empty. If it falls behind, it skips to the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter, time

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.console.histories import BOUGHT_NEXT, AnsweringList, Histories, decode_event
from streams.contracts.serde import decode_dead_letter
from streams.errors import InvalidEvent
from streams.http.candidates import CatalogueRequest
from streams.http.maker import ListMaker
from streams.http.problems import Refused
from streams.kafka.clients import consumer_options, pace
from streams.settings import Settings

log = logging.getLogger(__name__)

HISTORY = 2000
"""Most messages of each topic that are read at the start."""
AT_ONCE = 100
"""Most messages that are decoded before the event loop continues: a few milliseconds."""
BEHIND_S = 10.0
"""Delay after which the feed skips to the end."""
IDLE_S = 30.0
"""Seconds for which the feed goes on after the last viewer has left: a page change is no reason to start again."""
POPULAR_EVERY_S = 2.0
POPULAR = 60


@dataclass(slots=True)
class Feed:
    """Reader of the topics, started by the first viewer and stopped after the last one.

    Attributes:
        histories: what it has read.
        problem: the name of the error that keeps it from reading, None if it reads.
    """

    settings: Settings
    maker: ListMaker
    histories: Histories = field(default_factory=Histories)
    problem: str | None = None
    _viewers: int = 0
    _reading: asyncio.Task[None] | None = None
    _caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _expected: dict[str, tuple[float, asyncio.Future[AnsweringList]]] = field(default_factory=dict)

    @asynccontextmanager
    async def watched(self, wait_s: float = 1.0) -> AsyncIterator[None]:
        """Keep the feed running, and wait up to `wait_s` until it has read the messages that were there before."""
        self._viewers += 1
        if self._reading is None or self._reading.done():
            self._caught_up.clear()
            self._reading = asyncio.create_task(self._read_while_watched(), name="console feed")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._caught_up.wait()
            yield
        finally:
            self._viewers -= 1

    async def change(self, timeout_s: float, at_least_s: float = 0.0) -> None:
        """Wait for new messages: `at_least_s`, and then until there are some or `timeout_s` have passed."""
        changed = self._changed  # another one replaces it with each change
        await asyncio.sleep(at_least_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await changed.wait()

    def expect(self, event_id: str) -> asyncio.Future[AnsweringList]:
        """Return a future of the list that will answer an event that is about to be sent."""
        future: asyncio.Future[AnsweringList] = asyncio.get_running_loop().create_future()
        self._expected[event_id] = perf_counter(), future
        future.add_done_callback(lambda _: self._expected.pop(event_id, None))
        return future

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_while_watched(self) -> None:
        consumer = AIOKafkaConsumer(
            **consumer_options(self.settings.kafka), auto_offset_reset="latest", fetch_max_wait_ms=100
        )
        try:
            await consumer.start()
            pace(consumer)
            self.problem = None
            await self._read(consumer)
        except KafkaError as error:
            # The console is no reason to end a worker: the page says why it is empty, and the next viewer tries again.
            self.problem = type(error).__name__
            log.warning("the console cannot read from Kafka: %r", error)
        finally:
            self._caught_up.set()
            await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        topics = self.settings.topics
        names = (topics.clicks, topics.searches, topics.recommendations, topics.dead_letters)
        partitions = [TopicPartition(name, number) for name in names for number in range(topics.partitions)]
        consumer.assign(partitions)
        self.histories = Histories(popular=await self._popular())
        await self._read_history(consumer, partitions)
        self._caught_up.set()
        loop = asyncio.get_running_loop()
        watched_at = popular_at = loop.time()
        while (now := loop.time()) < watched_at + IDLE_S:
            if self._viewers:
                watched_at = now
            if now > popular_at + POPULAR_EVERY_S:
                popular_at, self.histories.popular = now, await self._popular()
            records = await _records(consumer)
            if not records:
                continue
            await self._add_all(records)
            # The oldest record of the batch shows how far the feed is behind. A viewer needs the present, not every
            # event.
            if time() - records[0].timestamp / 1e3 > BEHIND_S:
                await consumer.seek_to_end(*partitions)

    async def _read_history(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Read the newest messages of all topics, and add them in the order in which they were sent."""
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        each_at_most = HISTORY // self.settings.topics.partitions
        for partition in partitions:
            consumer.seek(partition, max(begins[partition], ends[partition] - each_at_most))
        history: list[ConsumerRecord] = []
        missing = set(partitions)
        while missing := {each for each in missing if await consumer.position(each) < ends[each]}:
            history += await _records(consumer)
        await self._add_all(history)

    async def _popular(self) -> tuple[str, ...]:
        try:
            made = await self.maker.make(CatalogueRequest(order="trending", k=POPULAR))
        except Refused:
            return self.histories.popular
        return tuple(item.item_id for item in made.items)

    async def _add_all(self, records: Sequence[ConsumerRecord]) -> None:
        """Add messages in the order in which they were sent, a few at a time: the event loop is the worker's."""
        answers = self.settings.topics.recommendations
        # An event and its list can have the same millisecond. The event comes first, so that the list finds it.
        ordered = sorted(records, key=lambda record: (record.timestamp, record.topic == answers))
        for start in range(0, len(ordered), AT_ONCE):
            for record in ordered[start : start + AT_ONCE]:
                self._add(record)
            await asyncio.sleep(0)
        # Each waiting page holds the former event and wakes once. Pages that wait from now on get the next one.
        self._changed.set()
        self._changed = asyncio.Event()

    def _add(self, record: ConsumerRecord) -> None:
        topics, histories = self.settings.topics, self.histories
        if record.topic == topics.recommendations:
            self.add_list(record.value, record.timestamp)
        elif record.topic == topics.dead_letters:
            with suppress(InvalidEvent):
                histories.letters.append(decode_dead_letter(record.value))
        else:
            bought_next = next((value for name, value in record.headers if name == BOUGHT_NEXT), None)
            event = decode_event(record.value, bought_next)
            if event is not None:
                histories.add_event(event, record.timestamp)

    def add_list(self, raw: bytes, arrived_ms: float) -> None:
        """Add a list that was produced at `arrived_ms`, and set the result of the future that expects it."""
        answer = self.histories.add_list(raw, arrived_ms)
        if answer is None:
            return
        expected = self._expected.get(answer.event_id)
        if expected is not None and not expected[1].done():
            # The viewer's own events are timed by this process, not in the brokers' whole milliseconds.
            answer.took_ms = (perf_counter() - expected[0]) * 1e3
            expected[1].set_result(answer)


async def _records(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    found = await consumer.getmany(timeout_ms=200, max_records=AT_ONCE)
    return [record for batch in found.values() for record in batch]
